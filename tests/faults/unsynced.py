"""A disk that forgets, in a power cut, what nobody asked it to keep.

While a process is at work, `Disk` notes what it changes: names in folders, until the folder is flushed, and contents of
files, until the file is. Nothing of that is held back, so the process sees what it did. After it was killed,
`lose_power` takes back any subset of it, as a seed says. A subset is possible if it is so on a journaling file system:
what one call does to names is lost as a whole, and with it all later changes of the same names and all that is in a
folder that is lost. Nothing is assumed of the order beyond that. Folders must not be renamed.

SQLite flushes its files by itself. dver uses it for what can be made anew, and such a file may be older, or lost.
"""

import os
import pickle
import random
import shutil
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_DATABASE = ".db"
_real_link, _real_fstat = os.link, os.fstat


def place_of(path: Any, folder: int | None = None) -> str:
    """Return the absolute path of what a call names, in which the last part alone may be a link."""
    text = os.fsdecode(path)
    if folder is not None and not os.path.isabs(text):
        text = os.path.join(place_of_fd(folder), text)
    above, name = os.path.split(os.path.abspath(text))
    return os.path.join(os.path.realpath(above), name)


def place_of_fd(fd: int) -> str:
    """Return the path of an open file."""
    return os.readlink(f"/proc/self/fd/{fd}")


@dataclass(frozen=True, slots=True)
class Old:
    """What a name stood for before it was changed.

    Attributes:
        kind: "nothing", "file", "link" or "folder".
        kept: the name under which a file is kept, or where a link led to.
    """

    kind: str
    kept: str = ""


@dataclass(frozen=True, slots=True)
class Effect:
    """A change of one name, relative to the top, that is not durable yet."""

    path: str
    old: Old

    @property
    def folder(self) -> str:
        return os.path.dirname(self.path)


@dataclass(slots=True)
class Disk:
    """What a process did below `top` and is not durable yet. Files that are deleted are kept in the folder `kept`."""

    top: str
    kept: str
    pending: list[list[Effect]] = field(default_factory=list)
    # By inode: how much of the file is durable.
    unsynced: dict[int, int] = field(default_factory=dict)
    count: int = 0

    def changes(self, paths: Sequence[str]) -> None:
        """Note that a call is about to change some names, all of them or none."""
        inside = [os.path.relpath(path, self.top) for path in paths if path.startswith(self.top + "/")]
        self.pending.append([Effect(path, self._keep(path)) for path in inside])

    def _keep(self, path: str) -> Old:
        place = os.path.join(self.top, path)
        try:
            mode = os.lstat(place).st_mode
        except (FileNotFoundError, NotADirectoryError):
            return Old("nothing")
        if stat.S_ISLNK(mode):
            return Old("link", os.readlink(place))
        if stat.S_ISDIR(mode):
            return Old("folder")
        self.count += 1
        kept = os.path.join(self.kept, str(self.count))
        _real_link(place, kept)
        return Old("file", kept)

    def writes(self, fd: int, durable: int | None = None) -> None:
        """Note that a file is about to be written to, of which so many bytes, by default all, are durable."""
        found = _real_fstat(fd)
        if stat.S_ISREG(found.st_mode):
            self.unsynced.setdefault(found.st_ino, found.st_size if durable is None else durable)

    def syncs(self, fd: int) -> None:
        """Note that a file or a folder is durable."""
        found = _real_fstat(fd)
        self.unsynced.pop(found.st_ino, None)
        if stat.S_ISDIR(found.st_mode):
            folder = os.path.relpath(place_of_fd(fd), self.top)
            folder = "" if folder == "." else folder
            left = ([one for one in effects if one.folder != folder] for effects in self.pending)
            self.pending = [effects for effects in left if effects]

    def save(self, file: Path) -> None:
        """Write this down, with the paths of the files that are not durable in the place of their inodes."""
        lengths = {path: self.unsynced[inode] for path, inode in _files(self.top) if inode in self.unsynced}
        file.write_bytes(pickle.dumps((self, lengths)))


def _files(top: str) -> Iterator[tuple[str, int]]:
    for folder, _, names in os.walk(top):
        for name in names:
            path = os.path.join(folder, name)
            yield os.path.relpath(path, top), os.lstat(path).st_ino


def read_disk(file: Path) -> tuple[Disk, dict[str, int]]:
    """Return what `Disk.save` wrote: the disk, and how much is durable of files, by their paths."""
    disk, lengths = pickle.loads(file.read_bytes())
    assert isinstance(disk, Disk)
    return disk, lengths


def lose_power(disk: Disk, lengths: dict[str, int], top: Path, seed: int) -> None:
    """Let a copy at `top` of what a killed process left lose what was not durable: with seed 0 all, else a part."""
    chance = random.Random(seed)
    losing = 1.0 if seed == 0 else chance.choice([0.2, 0.5, 0.8])
    for path, length in lengths.items():
        if (top / path).is_file() and chance.random() < losing:
            left = length if seed == 0 else chance.randint(length, max(length, (top / path).stat().st_size))
            _cut_short(top / path, left)
    for effects in reversed(_lost(disk.pending, chance, losing)):
        for effect in reversed(effects):
            _undo(top / effect.path, effect.old)
    for database in sorted(top.rglob(f"*{_DATABASE}")):
        _lose_database(database, chance.choice(["keep", "log", "all"]))


def _lost(pending: Sequence[list[Effect]], chance: random.Random, losing: float) -> list[list[Effect]]:
    """Choose what is lost, with all that depends on it."""
    lost: list[list[Effect]] = []
    names: set[str] = set()
    for effects in pending:
        depends = any(path in names for effect in effects for path in _with_folders(effect.path))
        if depends or chance.random() < losing:
            lost.append(effects)
            names.update(effect.path for effect in effects)
    return lost


def _with_folders(path: str) -> Iterator[str]:
    while path:
        yield path
        path = os.path.dirname(path)


def _cut_short(path: Path, length: int) -> None:
    mode = path.stat().st_mode
    path.chmod(0o600)
    os.truncate(path, length)
    path.chmod(stat.S_IMODE(mode))


def _undo(place: Path, old: Old) -> None:
    if place.is_dir() and not place.is_symlink():
        if old.kind == "folder":
            return
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)
    if old.kind == "nothing" or not place.parent.is_dir():
        return
    if old.kind == "link":
        place.symlink_to(old.kept)
    elif old.kind == "folder":
        place.mkdir()
    else:
        shutil.copy2(old.kept, place)


def _lose_database(database: Path, how: str) -> None:
    """Lose what SQLite had not flushed, or the whole file: with what it calls normal, the log may go at any time."""
    suffixes = {"keep": (), "log": ("-wal", "-shm"), "all": ("", "-wal", "-shm")}[how]
    for suffix in suffixes:
        database.with_name(database.name + suffix).unlink(missing_ok=True)
