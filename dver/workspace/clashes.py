"""Two names that a file system takes for one: `README` and `readme`, or the two spellings of an accented letter.

Whether it does is found by trying, on the file system that is written to, in dver's own folder for half-written files.
Only where that is on another file system, or the folder at hand folds names though its neighbours do not, as ext4 can,
it is tried in that folder itself.
"""

import contextlib
import fcntl
import os
import struct
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from dver.fileio import temporary_name
from dver.objects.names import fold

# Letter case, a letter with an accent as one character and as two, and ends that FAT and Windows cut off.
_TRIALS = ((b"a", b"A"), ("\u00e9".encode(), "e\u0301".encode()), (b"b", b"b."), (b"c", b"c "))


_GET_FLAGS = 0x80086601
_FOLDS_NAMES = 0x40000000


class NameProbe:
    """Asks the file system of one folder which names it takes for one."""

    def __init__(self, folder: Path, scratch: Path) -> None:
        """`folder` need not be there yet; what decides then is the first above it that is."""
        there = next(one for one in (folder, *folder.parents) if one.is_dir())
        alike = there.stat().st_dev == scratch.stat().st_dev and not _folds_names(there)
        self._folder = scratch if alike else there

    def merges_names(self) -> bool:
        """Whether there are names that it takes for one; False where that cannot be tried."""
        with self._trial() as trial:
            return trial is not None and any(_are_one(trial, *pair) for pair in _TRIALS)

    def are_one(self, first: bytes, second: bytes) -> bool:
        """Whether it takes these two names for one; False where that cannot be tried."""
        with self._trial() as trial:
            return trial is not None and _are_one(trial, first, second)

    @contextlib.contextmanager
    def _trial(self) -> Iterator[bytes | None]:
        trial = os.fsencode(self._folder / temporary_name())
        try:
            os.mkdir(trial)
        except OSError:
            # Whatever forbids it will forbid writing as well.
            yield None
            return
        try:
            yield trial
        finally:
            with contextlib.suppress(OSError):
                os.rmdir(trial)


def _folds_names(folder: Path) -> bool:
    """Whether a folder is marked as one that folds names, on a file system that has such marks."""
    if sys.platform != "linux":
        return False
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        flags = struct.unpack("l", fcntl.ioctl(fd, _GET_FLAGS, bytes(struct.calcsize("l"))))[0]
    except OSError:
        return False
    finally:
        os.close(fd)
    return bool(flags & _FOLDS_NAMES)


def _are_one(trial: bytes, first: bytes, second: bytes) -> bool:
    made, asked = trial + b"/" + first, trial + b"/" + second
    try:
        os.close(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except OSError:
        # A name that it cannot hold is no danger to others.
        return False
    try:
        return os.path.lexists(asked)
    finally:
        os.unlink(made)


def find_clash(paths: Iterable[bytes], are_one: Callable[[bytes, bytes], bool]) -> tuple[bytes, bytes] | None:
    """Return the first two paths, of files or of folders above them, that `are_one` says are the same; None if none.

    `are_one` is asked for two names in one folder, and only for those that some file system merges.
    """
    known: dict[str, bytes] = {}
    for path in paths:
        folded, actual = "", b""
        for part in path.split(b"/"):
            folded += "/" + _alike(part)
            actual += b"/" + part if actual else part
            before = known.setdefault(folded, actual)
            if before != actual and are_one(before.rpartition(b"/")[2], part):
                return before, actual
    return None


def spelled(root: bytes, path: bytes) -> bytes:
    """Return a path below `root` as folders list it: as its files were made, and not as somebody else writes them.

    Inode numbers are of no help: some file systems give each spelling one of its own.
    """
    actual = root
    for part in path.split(b"/"):
        actual += b"/" + _listed(actual, part)
    return actual[len(root) + 1 :]


def _listed(folder: bytes, name: bytes) -> bytes:
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return name
    if name in names or not os.path.lexists(folder + b"/" + name):
        return name
    return next((one for one in names if _alike(one) == _alike(name)), name)


def _alike(name: bytes) -> str:
    return fold(name).rstrip(". ")
