"""A set of object ids that may be larger than memory: sorted runs in temporary files, merged when it is read.

Ids are added in any order and any number of times, then the set is read: in order, or asked what it holds. Reading ends
the adding. What is kept in memory is one run of ids, whatever the size of the set.
"""

import heapq
import mmap
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO

from dver.objects.ids import ID_LENGTH, ChunkId, ObjectId
from dver.storage.sorted_runs import read_run, write_run

RUN_LENGTH = 400_000
_FEW_RUNS = 64


class ObjectSet:
    """A set of ids. Use as a context manager, or call `close`. For one thread."""

    def __init__(self, folder: Path | None = None, *, run_length: int = RUN_LENGTH) -> None:
        """Begin an empty set, with temporary files in `folder`; `run_length` is how many ids are kept in memory."""
        self._folder = folder
        self._run_length = run_length
        self._recent: set[bytes] = set()
        self._runs: list[IO[bytes]] = []
        self._sealed: IO[bytes] | None = None
        self._map: mmap.mmap | None = None
        self._length = 0

    def __enter__(self) -> "ObjectSet":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give up the memory and the files; the set must not be used afterwards."""
        if self._map is not None:
            self._map.close()
            self._map = None
        for file in (*self._runs, *([self._sealed] if self._sealed else [])):
            file.close()
        self._runs.clear()
        self._recent.clear()

    def update(self, ids: Iterable[ObjectId]) -> None:
        """Add ids; AssertionError once the set has been read."""
        assert self._sealed is None, "the set has been read"
        self._recent.update(ids)
        if len(self._recent) >= self._run_length:
            self._spill()

    def __len__(self) -> int:
        self._seal()
        return self._length

    def __iter__(self) -> Iterator[ObjectId]:
        """Yield all ids in order."""
        self._seal()
        assert self._sealed is not None
        yield from map(ChunkId, read_run(self._sealed, ID_LENGTH))

    def __contains__(self, identity: object) -> bool:
        self._seal()
        if self._map is None or not isinstance(identity, bytes):
            return False
        low, high = 0, self._length
        while low < high:
            middle = (low + high) // 2
            if self._map[middle * ID_LENGTH : (middle + 1) * ID_LENGTH] < identity:
                low = middle + 1
            else:
                high = middle
        return low < self._length and self._map[low * ID_LENGTH : (low + 1) * ID_LENGTH] == identity

    def intersection(self, ids: Iterable[ObjectId]) -> set[ObjectId]:
        """Return those of `ids` that are in the set."""
        return {identity for identity in ids if identity in self}

    def _spill(self) -> None:
        self._runs.append(write_run(sorted(self._recent), self._folder))
        self._recent.clear()
        if len(self._runs) >= _FEW_RUNS:
            self._runs = [self._merged()]

    def _merged(self) -> IO[bytes]:
        runs = (read_run(run, ID_LENGTH) for run in self._runs)
        merged = write_run(_distinct(heapq.merge(*runs)), self._folder)
        for run in self._runs:
            run.close()
        return merged

    def _seal(self) -> None:
        if self._sealed is not None:
            return
        if self._runs:
            if self._recent:
                self._spill()
            self._sealed = self._runs.pop() if len(self._runs) == 1 else self._merged()
            self._runs.clear()
        else:
            self._sealed = write_run(sorted(self._recent), self._folder)
            self._recent.clear()
        self._length = self._sealed.seek(0, 2) // ID_LENGTH
        if self._length:
            self._map = mmap.mmap(self._sealed.fileno(), 0, access=mmap.ACCESS_READ)


def _distinct(ordered: Iterable[bytes]) -> Iterator[bytes]:
    last = None
    for one in ordered:
        if one != last:
            yield one
        last = one
