"""Takes the index files of a store into the local copy of its index.

Many new entries are sorted first, so that tables fill from left to right.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

from dver.objects.ids import IndexId
from dver.objects.pack import ENTRY_LENGTH
from dver.storage.backend import Backend, BlobInfo
from dver.storage.index_copy import IndexCopy
from dver.storage.index_files import IndexFile, index_key, read_index_files, read_once_more
from dver.storage.index_rows import SortedRows

# From so many new entries on they are sorted first; and so many are taken in at once, while which others wait.
_MANY_ENTRIES, _MOST_AT_ONCE = 100_000, 4_000_000


def fill(copy: IndexCopy, backend: Backend, files: Mapping[IndexId, BlobInfo], folder: Path | None) -> set[str]:
    """Take index files into a copy, and return the keys of those that are damaged.

    Args:
        folder: where what is sorted may go; None for where temporary files go.
    """
    filling = _Filling(copy, backend)
    with closing(read_index_files(backend, files)) as read:
        if sum(info.size for info in files.values()) >= _MANY_ENTRIES * ENTRY_LENGTH:
            filling.put_sorted(read, folder if folder is not None and os.access(folder, os.W_OK) else None)
        else:
            filling.put_each(read)
    return filling.damaged


class _Filling:
    def __init__(self, copy: IndexCopy, backend: Backend) -> None:
        self.damaged: set[str] = set()
        self._copy = copy
        self._backend = backend

    def put_each(self, read: Iterator[IndexFile]) -> None:
        for file in read:
            packs = file.decode()
            if packs is None:
                packs = read_once_more(self._backend, file).decode()
            if packs is None:
                self.damaged.add(file.key)
            elif packs:
                self._copy.put(file.id, packs, self._is_there)

    def put_sorted(self, read: Iterator[IndexFile], folder: Path | None) -> None:
        is_done = False
        while not is_done:
            with SortedRows(folder) as rows:
                is_done = self._add(rows, read)
                self._copy.put_sorted(rows, self._is_there)

    def _add(self, rows: SortedRows, read: Iterator[IndexFile]) -> bool:
        """Add index files to `rows` until there are enough, and return whether these were the last."""
        for file in read:
            packs = file.split()
            if packs is None:
                packs = read_once_more(self._backend, file).split()
            if packs is None:
                self.damaged.add(file.key)
            elif packs:
                rows.add(file.id, packs)
            if len(rows) >= _MOST_AT_ONCE:
                return False
        return True

    def _is_there(self, index: IndexId) -> bool:
        """Whether an index file was not replaced since it was read; from afar it is believed."""
        return not self._backend.is_local or self._backend.size(index_key(index)) is not None
