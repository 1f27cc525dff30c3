"""Files that appear whole or not at all, and files that are opened only if they are files.

A file is written under a temporary name in the same directory, flushed to the disk, then renamed over the target, so
that a reader, a crash or a full disk never meets half of it. This module knows nothing of dver's formats.
"""

import contextlib
import errno
import os
import resource
import stat
from collections.abc import Sequence
from pathlib import Path

TEMPORARY_PREFIX = ".tmp-"
_WRITEV_MAX = 512
_COPY_PIECE = 8 * 1024 * 1024
# Between some kinds of file systems, and on some at all.
_CANNOT_COPY = frozenset({errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.ETXTBSY})
_PART_KEPT_OPEN = 8
# Opening a pipe would wait for its other end.
_SAFELY = os.O_NONBLOCK | os.O_CLOEXEC
# What opening a link, a folder or a socket fails with.
_NO_FILE = (errno.ELOOP, errno.EISDIR, errno.ENXIO)


class IrregularFileError(OSError):
    """What is to be opened is no regular file, but a link, a folder, a pipe or a device."""


def temporary_name() -> str:
    """Return a file name that no other writer uses, and that listings of stores skip."""
    return f"{TEMPORARY_PREFIX}{os.getpid()}-{os.urandom(6).hex()}"


def kept_open(most: int) -> int:
    """Return how many files one cache of open files may hold: `most`, or fewer where this process may open few."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return most if allowed == resource.RLIM_INFINITY else max(1, min(most, allowed // _PART_KEPT_OPEN))


def open_regular(path: Path | bytes, flags: int = os.O_RDONLY, *, follow: bool = False) -> int:
    """Open a file that may have come with a clone, and return its descriptor; never waits for anybody.

    Links are refused, for one could lead to anything; with `follow` only what is at their end must be a file.

    Raises:
        IrregularFileError: it is not a regular file.
        OSError: it cannot be opened.
    """
    try:
        fd = os.open(path, flags | _SAFELY | (0 if follow else os.O_NOFOLLOW), 0o666)
    except OSError as exc:
        if exc.errno in _NO_FILE:
            raise IrregularFileError(exc.errno, "not a regular file") from exc
        raise
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    raise IrregularFileError(errno.EINVAL, "not a regular file")


def read_regular(path: Path | bytes, most: int, *, follow: bool = False) -> bytes:
    """Return at most the first `most` bytes of a file, opened as `open_regular` does, with its errors."""
    with open(open_regular(path, follow=follow), "rb") as file:
        return file.read(most)


def write_all(fd: int, pieces: Sequence[bytes | bytearray | memoryview]) -> None:
    """Write the concatenation of `pieces` to `fd`, however often the kernel writes short."""
    # A pack of small records has a hundred thousand pieces; views of all of them at once would outweigh the data.
    for first in range(0, len(pieces), _WRITEV_MAX):
        pending = [memoryview(piece).cast("B") for piece in pieces[first : first + _WRITEV_MAX] if len(piece)]
        start = 0
        while start < len(pending):
            written = os.writev(fd, pending[start:])
            while written:
                head = pending[start]
                if written < len(head):
                    pending[start] = head[written:]
                    break
                written -= len(head)
                start += 1


def copy_bytes(source: int, target: int, length: int) -> None:
    """Write the first `length` bytes of one open file to another one, by the kernel alone where it can.

    Raises:
        OSError: one of them fails, or there are not so many bytes.
    """
    done = 0
    while done < length:
        copied = _copy_some(source, target, done, length - done)
        if not copied:
            raise OSError(errno.EIO, "the file is shorter than it was")
        done += copied


def _copy_some(source: int, target: int, offset: int, length: int) -> int:
    # macOS has no such call.
    if hasattr(os, "copy_file_range"):
        try:
            return os.copy_file_range(source, target, length, offset)
        except OSError as exc:
            if exc.errno not in _CANNOT_COPY:
                raise
    return os.write(target, os.pread(source, min(_COPY_PIECE, length), offset))


def sync_directory(directory: Path | bytes, *, dir_fd: int | None = None) -> None:
    """Flush a directory, so that names created in it survive a power cut; a relative one is meant from `dir_fd`."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY, dir_fd=dir_fd)
    try:
        os.fsync(fd)
    except OSError as exc:
        # Some network file systems have no such thing, and keep their own promises about names.
        if exc.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(fd)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, unless they are there, each of them durable; OSError passes through."""
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for made in reversed(missing):
        made.mkdir(exist_ok=True)
        sync_directory(made.parent)


def write_atomically(path: Path, data: bytes, *, mode: int = 0o666) -> None:
    """Replace `path` by a file holding `data`, durably. `mode` is subject to the umask; OSError passes through."""
    temporary = path.parent / temporary_name()
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            write_all(fd, [data])
            os.fsync(fd)
        finally:
            os.close(fd)
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    sync_directory(path.parent)
