"""Entries of many index files, sorted on disk, so that a B-tree is filled with them from left to right.

Random ids put into a large table a file at a time rewrite most of its pages each time; sorted first, each page once.
What is kept in memory is one run of entries, whatever their number. For one thread.
"""

import heapq
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO

from dver.objects.ids import IndexId
from dver.objects.indexfile import index_length
from dver.objects.pack import ENTRY_LENGTH
from dver.storage.index_files import ListedPack
from dver.storage.sorted_runs import read_run, write_run

RUN_LENGTH = 250_000
_AT_ONCE = 4096
# An entry as in an index file, and the number of its pack among those that were added.
_ROW = struct.Struct("<32sQIIBBHI")
_NUMBER = struct.Struct("<I")

Row = tuple[bytes, int, int, int, int, int, int]


class SortedRows:
    """What index files list. Use as a context manager; add to it, then read it.

    Attributes:
        files: the index files that were added, each with its packs and the number that each pack has here; these say
            no more of its entries than whether they are all.
        lengths: how many bytes each of these index files has.
    """

    def __init__(self, folder: Path | None, *, run_length: int = RUN_LENGTH) -> None:
        """Begin with nothing, with temporary files in `folder`; `run_length` is how many entries are kept in memory."""
        self.files: dict[IndexId, dict[int, ListedPack]] = {}
        self.lengths: dict[IndexId, int] = {}
        self._folder = folder
        self._run_length = run_length
        self._recent: list[bytes] = []
        self._runs: list[IO[bytes]] = []
        self._packs = 0
        self._length = 0

    def __enter__(self) -> "SortedRows":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for run in self._runs:
            run.close()

    def __len__(self) -> int:
        return self._length

    def add(self, index: IndexId, packs: list[ListedPack]) -> None:
        """Add what an index file lists."""
        self.files[index] = numbered = {}
        self.lengths[index] = index_length(len(pack.entries) // ENTRY_LENGTH for pack in packs)
        for pack in packs:
            self._packs += 1
            numbered[self._packs] = ListedPack(pack.id, pack.size, memoryview(b""), complete=pack.complete)
            self._add_entries(pack.entries, _NUMBER.pack(self._packs))

    def _add_entries(self, entries: memoryview, number: bytes) -> None:
        step = _AT_ONCE * ENTRY_LENGTH
        for start in range(0, len(entries), step):
            raw = bytes(entries[start : start + step])
            self._recent += [raw[at : at + ENTRY_LENGTH] + number for at in range(0, len(raw), ENTRY_LENGTH)]
            self._length += len(raw) // ENTRY_LENGTH
            if len(self._recent) >= self._run_length:
                self._spill()

    def rows(self, numbers: Mapping[int, int]) -> Iterator[Row]:
        """Yield in the order of ids what goes into a table, for the packs whose numbers in there are given."""
        self._recent.sort()
        runs = (read_run(run, _ROW.size) for run in self._runs)
        for row in heapq.merge(*runs, self._recent):
            identity, offset, stored, plain, kind, codec, _, pack = _ROW.unpack(row)
            if pack in numbers:
                yield identity, numbers[pack], offset, stored, plain, kind, codec

    def _spill(self) -> None:
        self._recent.sort()
        self._runs.append(write_run(self._recent, self._folder))
        self._recent.clear()
