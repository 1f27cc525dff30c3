"""The entries that a checkout is to write: possibly as many as there are files, so most of them wait on disk."""

from collections.abc import Iterator
from typing import Any

from dver.objects.entry import DirectoryEntry, Entry, FileEntry, LinkEntry
from dver.spool import Spool

_LINK_FIELDS = 2


class Writes:
    """Entries in the order in which they were added.

    Attributes:
        files: how many of them are files.
        bytes: the size of these.
        largest: the size of the largest of these.
        links: how many of them are symbolic links.
        first_link: the path of the first of these.
    """

    def __init__(self, spool: Spool) -> None:
        """Keep entries in an empty list."""
        self.files = self.bytes = self.largest = self.links = 0
        self.first_link = b""
        self._spool = spool

    def __len__(self) -> int:
        return len(self._spool)

    def append(self, entry: Entry) -> None:
        """Add an entry."""
        if isinstance(entry, FileEntry):
            self.files += 1
            self.bytes += entry.size
            self.largest = max(self.largest, entry.size)
        elif isinstance(entry, LinkEntry):
            self.first_link = self.first_link if self.links else entry.path
            self.links += 1
        self._spool.append(_fields(entry))

    def __iter__(self) -> Iterator[Entry]:
        """Yield all entries."""
        return map(_entry, self._spool)

    def file_entries(self) -> Iterator[FileEntry]:
        """Yield the entries of files."""
        return (entry for entry in self if isinstance(entry, FileEntry))

    def others(self) -> Iterator[LinkEntry | DirectoryEntry]:
        """Yield the entries of links and directories."""
        if self.files < len(self):
            yield from (entry for entry in self if not isinstance(entry, FileEntry))


def _fields(entry: Entry) -> tuple[Any, ...]:
    if isinstance(entry, FileEntry):
        return entry.path, entry.size, entry.executable, entry.chunks, entry.chunk_tree
    return (entry.path, entry.target) if isinstance(entry, LinkEntry) else (entry.path,)


def _entry(fields: tuple[Any, ...]) -> Entry:
    if len(fields) > _LINK_FIELDS:
        return FileEntry(*fields)
    return LinkEntry(*fields) if len(fields) == _LINK_FIELDS else DirectoryEntry(*fields)
