"""Folders that are not as they were, cut into pieces that are not too large, and these put together into batches.

A piece says which paths belong to it, so that what is known of these, and of those that are gone, can be asked for
together: all pieces of a dataset cover all paths in its changed folders, each once.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from dver.workspace.statcache import Fingerprint
from dver.workspace.walk import BLOCK_FILES, Block, Folder, WalkItem, file_type

_Range: TypeAlias = tuple[bytes, bytes]

# No path comes after this one, for no name is as long.
_END = b"\xff" * 4096


@dataclass(frozen=True, slots=True)
class Piece:
    """A folder that is not as it was, or, if it has very many files, some neighbours of these.

    Attributes:
        ranges: of the paths that belong to it, be they in the folder or in one in it that is gone.
        mark: the folder's fingerprint, with the last piece of it.
    """

    prefix: bytes
    names: Sequence[bytes]
    stats: Sequence[os.stat_result]
    ranges: Sequence[_Range]
    mark: bytes | None

    def items(self) -> Iterator[WalkItem]:
        """Yield what is in it."""
        for name, found in zip(self.names, self.stats, strict=True):
            yield WalkItem(self.prefix + name, file_type(found), found)


def pieces_of(folder: Folder) -> Iterator[Piece]:
    """Yield the pieces of a folder, in order; the last one has its fingerprint."""
    made = Fingerprint()
    gaps = _gaps(folder)
    low = folder.prefix
    last = Block([], [])
    for block in folder.blocks():
        made.add(block.names, block.stats)
        if last.names and block.names:
            high = folder.prefix + block.names[0]
            yield Piece(folder.prefix, last.names, last.stats, _clip(gaps, low, high), None)
            low = high
        if block.names:
            last = block
    yield Piece(folder.prefix, last.names, last.stats, _clip(gaps, low, _END), made.finish(folder.folders))


def in_batches(pieces: Iterable[Piece]) -> Iterator[list[Piece]]:
    """Yield pieces in batches of about as many files as a large folder's piece has."""
    batch: list[Piece] = []
    files = 0
    for piece in pieces:
        batch.append(piece)
        files += len(piece.names) + 1
        if files >= BLOCK_FILES:
            yield batch
            batch, files = [], 0
    if batch:
        yield batch


def _gaps(folder: Folder) -> list[_Range]:
    """Return the ranges of paths that are in a folder, and not in one of the folders in it."""
    gaps = []
    low = folder.prefix
    for inner in sorted(folder.prefix + name + b"/" for name in folder.folders):
        gaps.append((low, inner))
        # "0" is the byte after "/".
        low = inner[:-1] + b"0"
    return [*gaps, (low, folder.prefix[:-1] + b"0" if folder.prefix else _END)]


def _clip(ranges: Iterable[_Range], low: bytes, high: bytes) -> list[_Range]:
    clipped = [(max(start, low), min(end, high)) for start, end in ranges]
    return [(start, end) for start, end in clipped if start < end]
