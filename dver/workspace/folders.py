"""Reaching files of a work tree through descriptors of their folders, so that no symbolic link leads elsewhere.

A path is walked from a folder that is trusted, the top of the work tree, one name at a time. Each folder is opened
relative to the one before, and never through a symbolic link, so one that is put in place of a folder, be it between
two system calls, ends the walk. What is then created, renamed or deleted is named relative to the open folder. The
folders used last stay open, so a file in one of them costs no walk at all.
"""

import errno
import os
import threading
from collections import OrderedDict
from contextlib import suppress
from types import TracebackType

from dver.errors import PathError
from dver.fileio import kept_open, sync_directory, temporary_name, write_all

OPEN_FOLDERS = 64
# Longer ones could be made from within their folder, and then hardly be read or deleted again.
PATH_MAX = 4096

# With O_PATH a folder need not be readable to be gone through, as in a walk by the kernel.
_FLAGS = os.O_DIRECTORY | os.O_CLOEXEC | getattr(os, "O_PATH", os.O_RDONLY)
_NO_FOLDER = frozenset({errno.ENOTDIR, errno.ELOOP})


class Folder:
    """An open folder; its descriptor is closed once nobody refers to it."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __del__(self) -> None:
        os.close(self.fd)


class Folders:
    """The folders at and below `base`, a path relative to the folder `top`. May be used by several threads.

    Whatever leads to `top` is trusted, symbolic links too; nothing below it is.
    """

    def __init__(self, top: bytes, base: bytes = b"", *, limit: int = OPEN_FOLDERS) -> None:
        """`limit` is how many folders stay open at most."""
        self._top = top
        self._base = base
        self._limit = kept_open(limit)
        self._lock = threading.Lock()
        self._open: OrderedDict[bytes, Folder] = OrderedDict()

    def __enter__(self) -> "Folders":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of all folders; those that are used again are opened again."""
        with self._lock:
            self._open.clear()

    def absolute(self, path: bytes) -> bytes:
        """Return the absolute path of a path below `base`, for messages."""
        return self._top + b"/" + self._full(path)

    def above(self, path: bytes) -> tuple[Folder, bytes]:
        """Return the folder that `path` lies in, made if there is none, and its name there; b"" stands for `base`.

        Raises:
            PathError: something that is no folder is in the way, such as a symbolic link.
            OSError: a folder cannot be made or opened.
        """
        full = self._full(path)
        if len(self._top) + len(full) + 1 >= PATH_MAX:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
        folder, _, name = full.rpartition(b"/")
        return self._enter(folder, make=True), name

    def there(self, path: bytes) -> tuple[Folder, bytes] | None:
        """Return what `above` does, or None where no such folder is; none is made."""
        folder, _, name = self._full(path).rpartition(b"/")
        try:
            return self._enter(folder, make=False), name
        except OSError as exc:
            if isinstance(exc, FileNotFoundError) or exc.errno in _NO_FOLDER:
                return None
            raise

    def make(self) -> None:
        """See to it that there is a folder `base`; raises what `above` does."""
        self._enter(self._base, make=True)

    def _full(self, path: bytes) -> bytes:
        return self._base + b"/" + path if path and self._base else path or self._base

    def _enter(self, path: bytes, *, make: bool) -> Folder:
        with self._lock:
            known = self._open.get(path)
            if known is not None:
                self._open.move_to_end(path)
                return known
            return self._walk(path, make=make)

    def _walk(self, path: bytes, *, make: bool) -> Folder:
        """Open the folders from the last that is open to `path`."""
        parts = path.split(b"/") if path else []
        depth = len(parts)
        while depth and b"/".join(parts[:depth]) not in self._open:
            depth -= 1
        folder = self._open.get(b"/".join(parts[:depth])) or self._keep(b"", self._open_top(make=make))
        for at in range(depth, len(parts)):
            here = b"/".join(parts[: at + 1])
            folder = self._keep(here, self._step(folder, parts[at], here, make=make))
        return folder

    def _open_top(self, *, make: bool) -> Folder:
        if make:
            os.makedirs(self._top, exist_ok=True)
        return Folder(os.open(self._top, _FLAGS))

    def _step(self, folder: Folder, name: bytes, here: bytes, *, make: bool) -> Folder:
        try:
            return _open_below(folder, name)
        except FileNotFoundError:
            if not make:
                raise
        except OSError as exc:
            if make and exc.errno in _NO_FOLDER:
                raise self._blocked(here) from exc
            raise
        # Another process may be faster, or put a symbolic link there; opening it tells.
        with suppress(FileExistsError):
            os.mkdir(name, dir_fd=folder.fd)
        try:
            return _open_below(folder, name)
        except OSError as exc:
            if exc.errno in _NO_FOLDER:
                raise self._blocked(here) from exc
            raise

    def _blocked(self, here: bytes) -> PathError:
        return PathError(
            os.fsdecode(self._top + b"/" + here),
            "is in the way: a directory is needed there",
            hint="move it away, then run the command again",
        )

    def _keep(self, path: bytes, folder: Folder) -> Folder:
        self._open[path] = folder
        while len(self._open) > self._limit:
            self._open.popitem(last=False)
        return folder

    def write(self, path: bytes, data: bytes, *, mode: int | None = None) -> None:
        """Replace a small file, durably, whole or not at all, making the folders above it.

        Args:
            mode: its permissions; without one, what the umask leaves.

        Raises what `above` does.
        """
        folder, name = self.above(path)
        temporary = temporary_name()
        try:
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666, dir_fd=folder.fd)
            try:
                write_all(fd, [data])
                if mode is not None:
                    os.fchmod(fd, mode)
                os.fsync(fd)
            finally:
                os.close(fd)
            os.rename(temporary, name, src_dir_fd=folder.fd, dst_dir_fd=folder.fd)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary, dir_fd=folder.fd)
            raise
        sync_directory(b".", dir_fd=folder.fd)

    def unlink(self, path: bytes) -> bool:
        """Delete a file or link, and return whether there was one; OSError passes through."""
        place = self.there(path)
        if place is None:
            return False
        try:
            os.unlink(place[1], dir_fd=place[0].fd)
        except FileNotFoundError:
            return False
        return True

    def forget(self, path: bytes) -> None:
        """Let go of a folder that was deleted, and of all below it."""
        full = self._full(path)
        with self._lock:
            for known in [one for one in self._open if one == full or one.startswith(full + b"/")]:
                del self._open[known]


def open_folder(path: bytes) -> Folder:
    """Return a folder that is no symbolic link itself; what leads to it is trusted. OSError passes through."""
    return Folder(os.open(path, _FLAGS | os.O_NOFOLLOW))


def _open_below(folder: Folder, name: bytes) -> Folder:
    return Folder(os.open(name, _FLAGS | os.O_NOFOLLOW, dir_fd=folder.fd))
