"""Number the steps that a process takes on its disk, and end it at one of them as SIGKILL does.

A step is a call that changes files or what of them is durable, or one that commits to a database. The process dies
before the step is taken; a write of data is cut off in the middle. Calls are counted over all threads, one at a time.
"""

import os
import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial, partialmethod
from pathlib import Path
from typing import Any, NoReturn, TypeAlias
from unittest.mock import patch

from dver.database import CacheDatabase
from dver.workspace.exchange import exchange
from tests.faults.unsynced import Disk, place_of, place_of_fd

Call: TypeAlias = Callable[..., Any]

# By how their arguments say what they are about.
OF_TWO_NAMES = ("rename", "replace", "link")
OF_A_NAME = ("unlink", "rmdir", "mkdir")
OF_A_FILE = ("fsync", "fdatasync", "ftruncate")
OF_DATA = ("write", "writev", "pwrite", "pwritev")
OF_COPIES = ("copy_file_range",)
_CREATES = os.O_CREAT | os.O_TRUNC
_ASKS = ("SELECT", "BEGIN", "PRAGMA")
_STORES = ("cache", "remote")
_AREAS = (
    *(f"{store}/{kind}" for store in _STORES for kind in ("packs", "index", "versions", "keys")),
    *_STORES,
    *("repo/.git", "repo/.dver/tmp", "repo/.dver", "repo/data", "repo", "indexes"),
)


@dataclass(frozen=True, slots=True)
class Step:
    """What kind of call is made, and on what part of the repository."""

    call: str
    area: str


@dataclass(slots=True)
class Steps:
    """The steps of this process below the folder `top`.

    Attributes:
        last: the number of the step at which the process dies, counted from 1; 0 for none.
        disk: told of what is done, where the disk is to forget it.
        taken: all steps so far.
    """

    top: Path
    last: int = 0
    disk: Disk | None = None
    dying: Callable[[], None] = lambda: None
    taken: list[Step] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def watch(self) -> None:
        """From now on, count the steps of this process, which does nothing else any more."""
        for names, how in (
            (OF_TWO_NAMES, self._two_names),
            (OF_A_NAME, self._name),
            (OF_A_FILE, self._file),
            (OF_DATA, self._data),
            (OF_COPIES, self._copied),
            (("symlink",), self._symlink),
            (("open",), self._open),
        ):
            for name in names:
                setattr(os, name, partial(how, name, getattr(os, name)))
        patch("dver.workspace.assemble.exchange", partial(self._exchanged, exchange)).start()
        patch.object(CacheDatabase, "execute", partialmethod(_execute, self, CacheDatabase.execute)).start()

    def _dies_at(self, call: str, where: str) -> bool:
        self.taken.append(Step(call, area_of(os.path.relpath(where, self.top))))
        return len(self.taken) == self.last

    def _die(self) -> NoReturn:
        """Die; the other threads wait for the lock, which is not given back."""
        self.dying()
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    def _step(self, call: str, where: str) -> None:
        if self._dies_at(call, where):
            self._die()

    def _two_names(self, call: str, real: Call, source: Any, target: Any, **keywords: Any) -> Any:
        old = place_of(source, keywords.get("src_dir_fd"))
        new = place_of(target, keywords.get("dst_dir_fd"))
        with self.lock:
            self._step(call, new)
            if self.disk:
                self.disk.changes([new] if call == "link" else [old, new])
            return real(source, target, **keywords)

    def _exchanged(self, real: Call, source: str, source_dir: int, target: bytes, target_dir: int) -> bool:
        old, new = place_of(source, source_dir), place_of(target, target_dir)
        with self.lock:
            self._step("exchange", new)
            if self.disk:
                self.disk.changes([old, new])
            done: bool = real(source, source_dir, target, target_dir)
            return done

    def _name(self, call: str, real: Call, path: Any, *arguments: Any, **keywords: Any) -> Any:
        where = place_of(path, keywords.get("dir_fd"))
        with self.lock:
            self._step(call, where)
            if self.disk:
                self.disk.changes([where])
            return real(path, *arguments, **keywords)

    def _symlink(self, call: str, real: Call, source: Any, path: Any, *arguments: Any, **keywords: Any) -> Any:
        return self._name(call, partial(real, source), path, *arguments, **keywords)

    def _open(self, call: str, real: Call, path: Any, flags: int, *arguments: Any, **keywords: Any) -> Any:
        if not flags & _CREATES:
            return real(path, flags, *arguments, **keywords)
        where = place_of(path, keywords.get("dir_fd"))
        with self.lock:
            self._step(call, where)
            is_new = not os.path.lexists(where)
            if self.disk and is_new:
                self.disk.changes([where])
            fd: int = real(path, flags, *arguments, **keywords)
            if self.disk and (is_new or flags & os.O_TRUNC):
                self.disk.writes(fd, 0)
            return fd

    def _file(self, call: str, real: Call, fd: int, *arguments: Any) -> Any:
        where = place_of_fd(fd)
        with self.lock:
            self._step(call, where)
            if self.disk and call == "ftruncate":
                self.disk.writes(fd)
            done = real(fd, *arguments)
            if self.disk and call != "ftruncate":
                self.disk.syncs(fd)
            return done

    def _data(self, call: str, real: Call, fd: int, data: Any, *arguments: Any) -> Any:
        where = place_of_fd(fd)
        with self.lock:
            dies = self._dies_at(call, where)
            if self.disk:
                self.disk.writes(fd)
            if dies:
                joined = _joined(data)
                half = joined[: len(joined) // 2]
                real(fd, half if isinstance(data, bytes | bytearray | memoryview) else [half], *arguments)
                self._die()
            return real(fd, data, *arguments)

    def _copied(self, call: str, real: Call, source: int, target: int, count: int, *offsets: int) -> Any:
        with self.lock:
            dies = self._dies_at(call, place_of_fd(target))
            if self.disk:
                self.disk.writes(target)
            if dies:
                real(source, target, count // 2, *offsets)
                self._die()
            return real(source, target, count, *offsets)

    def execute(self, real: Call, database: CacheDatabase, sql: str, values: Sequence[object]) -> Any:
        """Run a statement; a commit is a step, and so is a statement that changes something on its own."""
        if sql == "COMMIT" or not (database._depth or sql.lstrip().startswith(_ASKS)):
            with self.lock:
                self._step("commit", str(database._path or self.top))
        # Another thread may hold the database and wait for the lock.
        return real(database, sql, values)


def _execute(database: CacheDatabase, steps: Steps, real: Call, sql: str, values: Sequence[object] = ()) -> Any:
    return steps.execute(real, database, sql, values)


def _joined(data: Any) -> bytes:
    return bytes(data) if isinstance(data, bytes | bytearray | memoryview) else b"".join(map(bytes, data))


def area_of(path: str) -> str:
    """Return what part of a repository, or of the stores beside it, a path is in."""
    path = path.replace("repo/.dver/cache", "cache")
    return next((area for area in _AREAS if path == area or path.startswith(area + "/")), "elsewhere")
