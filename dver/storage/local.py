"""A backend in a local folder, or in one on a network file system.

A blob is written under a temporary name in its own folder, flushed, renamed into place, and the folder flushed: after
`write` returns it survives a power cut, and before that nobody sees any of it. No links and no locks are used, so that
NFS and the like serve as well. Blobs are made read-only, against edits by accident. Temporary files of writers that
were killed stay behind until `remove_stale_temporaries`; listings never show them.
"""

import errno
import os
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from stat import S_ISREG
from typing import TypeVar

from dver.errors import DAMAGE_HINT, BackendError, BackendProblem
from dver.fileio import (
    TEMPORARY_PREFIX,
    copy_bytes,
    kept_open,
    make_folder,
    sync_directory,
    temporary_name,
    write_all,
)
from dver.objects.ids import Bytes
from dver.storage.backend import BlobInfo

_T = TypeVar("_T")
_BLOB_MODE = 0o444
_OPEN_FILES = 64
_TRIES = 20


class LocalBackend:
    """Blobs as files below `root`, which is made by the first write.

    Args:
        root: absolute path of the folder.
        open_files: how many files stay open at most for further reads.
    """

    def __init__(self, root: Path, *, open_files: int = _OPEN_FILES) -> None:
        self._root = root
        self._files = _OpenFiles(kept_open(open_files))
        self._settled: set[Path] = set()
        # A backend that is dropped without `close` must not leak its descriptors.
        self._finalizer = weakref.finalize(self, self._files.close)

    @property
    def location(self) -> str:
        """The folder's path."""
        return str(self._root)

    @property
    def is_local(self) -> bool:
        """True."""
        return True

    def close(self) -> None:
        """Close the files that are held open; the backend can still be used, and opens them again."""
        self._files.close()

    def write(self, key: str, pieces: Sequence[Bytes]) -> None:
        """Store the concatenation of `pieces` under `key`, durably, whole or not at all.

        A blob of the same size that is there already is kept, since keys are named by content, but made young again,
        so that a collector with a grace period spares it. To replace a damaged blob, delete it first.
        """
        path = self._path(key)
        self._run("write", key, lambda: self._write(path, pieces))
        self._files.forget(str(path))

    def copy_in(self, key: str, source: int, size: int) -> None:
        """Store the first `size` bytes of an open file under `key`, as `write` does."""
        path = self._path(key)
        self._run("write", key, lambda: self._store(path, size, lambda fd: copy_bytes(source, fd, size)))
        self._files.forget(str(path))

    def _write(self, path: Path, pieces: Sequence[Bytes]) -> None:
        self._store(path, sum(len(piece) for piece in pieces), lambda fd: write_all(fd, pieces))

    def _store(self, path: Path, size: int, fill: Callable[[int], None]) -> None:
        """Make a file of `size` bytes, which `fill` writes, unless it is there."""
        if not _refresh(path, size):
            temporary = path.parent / temporary_name()
            try:
                _write_temporary(temporary, self._root, fill)
                temporary.replace(path)
            except BaseException:
                with suppress(OSError):
                    temporary.unlink()
                raise
        self._settle(path.parent)

    def settle(self, key: str) -> None:
        """Make it durable that there is a blob of this name, or that there is none."""
        self._run("write", key, lambda: self._settle_if_there(self._path(key).parent))

    def _settle_if_there(self, folder: Path) -> None:
        # In a folder that is not there nothing was seen.
        with suppress(FileNotFoundError):
            self._settle(folder)

    def _settle(self, folder: Path) -> None:
        """Flush a folder and, once, those above it: who made it may have been killed before that."""
        # Gone with what was in it: whoever deleted that had the right to, and found the folder empty.
        with suppress(FileNotFoundError):
            sync_directory(folder)
        while folder.is_relative_to(self._root) and (folder not in self._settled or self._comes_and_goes(folder)):
            self._settled.add(folder)
            folder = folder.parent
            # One above the store may be such that others can only go through it.
            with suppress(PermissionError):
                sync_directory(folder)

    def _comes_and_goes(self, folder: Path) -> bool:
        """Whether a folder is one of those that are removed when they are empty, so that it may be a new one by now."""
        return self._root not in {folder, folder.parent}

    def read(self, key: str) -> bytes:
        """Return a whole blob."""
        return self._run("read", key, self._path(key).read_bytes)

    def read_range(self, key: str, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes from `offset`; an empty range opens nothing."""
        if length == 0:
            return b""
        path = f"{self._root}/{key}"
        data = self._run("read", key, lambda: self._files.read(path, offset, length))
        if len(data) != length:
            reason = f"{key} has {len(data)} bytes at {offset}, where {length} should be"
            raise BackendError(self.location, BackendProblem.OTHER, reason, hint=DAMAGE_HINT)
        return data

    def size(self, key: str) -> int | None:
        """Return the size of a blob in bytes, or None if there is none."""
        return self._run("look up", key, partial(_regular_size, self._path(key)))

    def list(self, prefix: str) -> Iterator[BlobInfo]:
        """Yield all blobs whose key begins with `prefix`; nothing for a missing folder."""
        for key, entry in self._walk(prefix):
            if not entry.name.startswith(TEMPORARY_PREFIX):
                found = self._run("list", key, partial(_regular_stat, entry))
                if found is not None:
                    yield BlobInfo(key, found.st_size, found.st_mtime)

    def _walk(self, prefix: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
        """Yield all below `prefix` other than folders, temporary files too, each with its key."""
        waiting = [prefix]
        while waiting:
            folder = waiting.pop()
            folders, others = self._run("list", folder or "it", partial(_scan, self._path(folder)))
            waiting += [f"{folder}{entry.name}/" for entry in folders]
            for entry in others:
                yield folder + entry.name, entry

    def delete(self, key: str) -> None:
        """Delete a blob; a missing one is no error."""
        path = self._path(key)
        self._run("delete", key, lambda: path.unlink(missing_ok=True))
        self._files.forget(str(path))

    def modified(self, key: str) -> float:
        """Return when a blob was written, in seconds since 1970 by the file system's clock."""
        return self._run("look up", key, lambda: self._path(key).stat().st_mtime)

    def remove_empty_folders(self, prefix: str, *, inside: bool = False) -> None:
        """Remove a folder and those in it that have no files, as far as that may be; `inside` leaves itself.

        Whoever is about to write into one makes it again.
        """
        top = str(self._path(prefix))
        for folder, _, _ in os.walk(top, topdown=False):
            if not (inside and folder == top):
                with suppress(OSError):
                    os.rmdir(folder)

    def remove_stale_temporaries(self, max_age_seconds: float) -> int:
        """Delete what writers that were killed left behind, and return how many files that was.

        A writer at work must be done within `max_age_seconds`: younger files are kept.
        """
        oldest = time.time() - max_age_seconds
        removed = 0
        for key, entry in self._walk(""):
            if entry.name.startswith(TEMPORARY_PREFIX):
                removed += self._run("delete", key, partial(_unlink_older, entry, oldest))
        return removed

    def _path(self, key: str) -> Path:
        return self._root / key

    def _run(self, verb: str, key: str, call: Callable[[], _T]) -> _T:
        try:
            return call()
        except OSError as exc:
            # Deferred: it knows how any storage service fails, and here most often nothing does.
            from dver.storage.failures import translate_os_error  # noqa: PLC0415

            raise translate_os_error(exc, self.location, verb, key) from exc


def _refresh(path: Path, size: int) -> bool:
    """Make a file that is there already, with that size, young again; say whether that was so."""
    try:
        found = path.stat()
        if not S_ISREG(found.st_mode) or found.st_size != size:
            return False
        os.utime(path)
    except FileNotFoundError:
        return False
    except PermissionError:
        # Somebody else's file in a shared store: a new one in its place is young as well.
        return False
    return True


def _write_temporary(path: Path, root: Path, fill: Callable[[int], None]) -> None:
    fd = _create(path, root)
    try:
        fill(fd)
        os.fsync(fd)
    finally:
        # Network file systems report a full disk or quota here at the latest, so this may raise as well.
        os.close(fd)


def _create(path: Path, root: Path) -> int:
    """Create a file below `root`, and the folders above it; somebody else may remove them as long as they are empty.

    What is made below `root` is not durable yet.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    for _ in range(_TRIES):
        with suppress(FileNotFoundError):
            return os.open(path, flags, _BLOB_MODE)
        make_folder(root)
        with suppress(FileNotFoundError):
            path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, flags, _BLOB_MODE)


def _scan(folder: Path) -> tuple[Sequence[os.DirEntry[str]], Sequence[os.DirEntry[str]]]:
    """Return the folders in `folder` and everything else in it."""
    folders: list[os.DirEntry[str]] = []
    others: list[os.DirEntry[str]] = []
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            (folders if entry.is_dir() else others).append(entry)
    return folders, others


def _regular_size(file: Path) -> int | None:
    found = _regular_stat(file)
    return None if found is None else found.st_size


def _regular_stat(file: Path | os.DirEntry[str]) -> os.stat_result | None:
    try:
        found = file.stat()
    except FileNotFoundError:
        # Never there, or deleted since its folder was read.
        return None
    return found if S_ISREG(found.st_mode) else None


def _unlink_older(entry: os.DirEntry[str], oldest: float) -> int:
    try:
        if entry.stat().st_mtime > oldest:
            return 0
        os.unlink(entry.path)
    except FileNotFoundError:
        return 0
    return 1


@dataclass(slots=True)
class _OpenFile:
    """A descriptor and how many threads read from it now; `dropped` ones are closed by the last of them."""

    fd: int
    readers: int = 0
    dropped: bool = False


class _OpenFiles:
    """The files read from last, kept open: a checkout reads thousands of ranges from a few packs."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._files: OrderedDict[str, _OpenFile] = OrderedDict()

    def read(self, path: str, offset: int, length: int) -> bytes:
        """Return up to `length` bytes; fewer only at the end of the file."""
        try:
            return self._read(path, offset, length)
        except OSError as exc:
            if exc.errno != errno.ESTALE:
                raise
        # On NFS, another machine has put an equal file in the place of the one held open.
        self.forget(path)
        return self._read(path, offset, length)

    def _read(self, path: str, offset: int, length: int) -> bytes:
        file = self._borrow(path)
        try:
            data = os.pread(file.fd, length, offset)
            while len(data) < length:
                more = os.pread(file.fd, length - len(data), offset + len(data))
                if not more:
                    break
                data += more
            return data
        finally:
            self._give_back(file)

    def forget(self, path: str) -> None:
        """Close the file at `path`, which was deleted or replaced."""
        with self._lock:
            if path in self._files:
                self._drop(self._files.pop(path))

    def close(self) -> None:
        """Close all files."""
        with self._lock:
            while self._files:
                self._drop(self._files.popitem()[1])

    def _borrow(self, path: str) -> _OpenFile:
        with self._lock:
            file = self._files.get(path)
            if file is None:
                file = self._files[path] = _OpenFile(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
            else:
                self._files.move_to_end(path)
            file.readers += 1
            while len(self._files) > self._limit:
                self._drop(self._files.popitem(last=False)[1])
            return file

    def _give_back(self, file: _OpenFile) -> None:
        with self._lock:
            file.readers -= 1
            if file.dropped and not file.readers:
                os.close(file.fd)

    def _drop(self, file: _OpenFile) -> None:
        file.dropped = True
        if not file.readers:
            os.close(file.fd)
