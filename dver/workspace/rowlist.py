"""Rows of the stat cache that are to be written in the end, and are too many to be kept in memory until then."""

from collections.abc import Iterator

from dver.spool import Spool
from dver.workspace.statcache import Row


class RowList:
    """Rows with their paths, in the order in which they were added."""

    def __init__(self, spool: Spool) -> None:
        """Keep rows in an empty list, which is the caller's to close."""
        self._spool = spool

    def __len__(self) -> int:
        return len(self._spool)

    def add(self, path: bytes, row: Row) -> None:
        """Add the row of a path."""
        kind, *rest = row
        # Often an enumeration's member, which is no plain value.
        self._spool.append((path, int(kind), *rest))

    def __iter__(self) -> Iterator[tuple[bytes, Row]]:
        """Yield the rows with their paths."""
        return ((item[0], Row._make(item[1:])) for item in self._spool)
