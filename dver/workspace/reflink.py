"""Sharing blocks between files: a new file takes over the content of one that is there, and no data is written.

Some file systems can do that (XFS and btrfs on Linux): the blocks belong to both files until one of them is changed,
and then only the changed ones are copied. To whoever reads and writes them they are two ordinary files.

A source is never trusted for its name. It is either a file that dver has just written and has not yet put into place,
or a working file whose stat is, before and after, what it was when its content was last known.
"""

import contextlib
import errno
import fcntl
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from threading import Lock
from typing import TypeAlias

from dver.fileio import temporary_name
from dver.objects.entry import FileEntry
from dver.objects.ids import NodeId
from dver.workspace.statcache import Row, is_trusted
from dver.workspace.walk import FileType

# Below, writing a file takes no longer than sharing its blocks.
SMALLEST = 256 * 1024

_FICLONE = 0x40049409
_PROBE = bytes(4096)

# What files with the same bytes have in common.
Content: TypeAlias = tuple[bytes, NodeId | None]


def content_of(entry: FileEntry) -> Content:
    """Return what an entry has in common with all others of the same content, and with no other."""
    return entry.chunks, entry.chunk_tree


def is_worth_sharing(size: int) -> bool:
    """Whether sharing the blocks of a file of so many bytes takes less than writing it."""
    return size >= SMALLEST


def share_blocks(source: int, target: int) -> None:
    """Make an empty file have the content of another; both are given as file descriptors.

    Raises:
        OSError: it cannot be done, on this file system or for these files; the target may be of any content.
    """
    if sys.platform != "linux":
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
    fcntl.ioctl(target, _FICLONE, source)


def why_not_shared(folder: Path) -> OSError | None:
    """Return why files in a folder cannot share blocks, found by trying; None if they can."""
    names = [os.fsencode(folder / temporary_name()) for _ in range(2)]
    with contextlib.ExitStack() as stack:
        try:
            source, target = (stack.enter_context(_new_file(name)) for name in names)
            os.write(source, _PROBE)
            share_blocks(source, target)
        except OSError as exc:
            return exc
    return None


class Cloner:
    """Shares blocks for the files of one dataset while it is checked out. May be used by several threads.

    Attributes:
        files: how many files share the blocks of another so far.
        bytes: their size.
        refused: entries that could not be made in this way, and have to be written.
    """

    def __init__(self, temporary: Path, *, among_new: bool) -> None:
        """`temporary` is an existing folder on the dataset's file system, in which sources are kept.

        `among_new` says that files which are written share blocks, too: these have to reach the disk first.
        """
        self._temporary = os.fsencode(temporary)
        self._among_new = among_new
        self._kept: dict[Content, bytes] = {}
        self._lock = Lock()
        self.files = 0
        self.bytes = 0
        self.refused: list[FileEntry] = []

    def keep(self, content: Content, path: bytes, row: Row) -> bool:
        """Keep the content of a working file, which may be deleted afterwards; False if it is not what `row` is for."""
        name = self._temporary + b"/" + os.fsencode(temporary_name())
        try:
            source = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            if not _is_still(row, source):
                return False
            with _new_file(name, remains=True) as target:
                share_blocks(source, target)
                # What was written meanwhile has left another stat behind.
                is_sound = _is_still(row, source) and os.fstat(target).st_size == row.size
        except OSError:
            return False
        finally:
            os.close(source)
        if is_sound:
            self._kept[content] = name
        return is_sound

    def groups(self, entries: Iterable[FileEntry]) -> Iterator[tuple[FileEntry, tuple[FileEntry, ...]]]:
        """Yield entries in their order, each with those further on that have the same content and share its blocks."""
        if not self._among_new:
            yield from ((entry, ()) for entry in entries)
            return
        everything = list(entries)
        twins: dict[Content, list[FileEntry]] = {}
        for entry in everything:
            if is_worth_sharing(entry.size):
                twins.setdefault(content_of(entry), []).append(entry)
        for entry in everything:
            found = twins.get(content_of(entry)) if is_worth_sharing(entry.size) else None
            if found is None:
                yield entry, ()
            elif found[0] is entry:
                yield entry, tuple(found[1:])

    def kept(self, entry: FileEntry) -> bytes | None:
        """Return the file that keeps an entry's content, if there is one."""
        return self._kept.get(content_of(entry)) if is_worth_sharing(entry.size) else None

    def share(self, entry: FileEntry, source: int, target: int) -> bool:
        """Make an empty file that of an entry, by the blocks of `source`; return whether that was possible."""
        try:
            share_blocks(source, target)
            possible = os.fstat(target).st_size == entry.size
        except OSError:
            possible = False
        with self._lock:
            if possible:
                self.files += 1
                self.bytes += entry.size
            else:
                self.refused.append(entry)
        return possible


def _is_still(row: Row, file: int) -> bool:
    return not row.differs and is_trusted(row, FileType.FILE, os.fstat(file))


@contextlib.contextmanager
def _new_file(path: bytes, *, remains: bool = False) -> Iterator[int]:
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        yield file
    finally:
        os.close(file)
        if not remains:
            os.unlink(path)
