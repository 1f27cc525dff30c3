"""Where a file is cut into chunks: FastCDC 2020, by content.

The cut points of a file are a function of its bytes and the parameters alone. `Chunker.cut` finds them in one pass
over a whole buffer. A long file is cut by segments, on several cores: each segment is first cut as if a chunk began
at its start (`cut_segment`), and `SegmentJoiner`, given the segments in order, follows the true cuts from the
file's beginning until they meet a cut that the segment found by itself; from there on both agree, because a cut
depends only on the bytes since the cut before. The result is that of the single pass, whatever the segment size.

Source of the algorithm: Xia et al., "The Design of Fast Content-Defined Chunking for Data Deduplication Based Storage
Systems", IEEE TPDS 31(9), 2020; cut points are those of the Rust crate `fastcdc` (v2020, normalization level 1).
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from dver.errors import FormatError
from dver.objects.ids import Bytes

if TYPE_CHECKING:
    from pyfastcdc import FastCDC

ALGORITHM = "fastcdc-2020"
# Level 1, the crate's default: higher levels gather the sizes closer around the average, which makes an overwritten
# byte cheaper, but they find the old cuts again later after an insertion.
NORMALIZATION: Literal[1] = 1
SMALLEST_AVERAGE = 1024
LARGEST_AVERAGE = 4 * 1024 * 1024
MAX_CHUNK = 4 * LARGEST_AVERAGE


@dataclass(frozen=True, slots=True)
class ChunkerParams:
    """The sizes, in bytes, that decide where files are cut. A store holds to one set of them."""

    min_size: int
    average_size: int
    max_size: int

    @classmethod
    def from_average(cls, average: int) -> "ChunkerParams":
        """Return the parameters for an average chunk size in bytes, a power of two from 1 KiB to 4 MiB."""
        if average & (average - 1) or not SMALLEST_AVERAGE <= average <= LARGEST_AVERAGE:
            raise FormatError("chunk size", f"{average} bytes is not a power of two from 1 KiB to 4 MiB")
        return cls(average // 4, average, average * 4)

    @classmethod
    def from_mapping(cls, fields: Mapping[str, object], where: str) -> "ChunkerParams":
        """Read back what `to_mapping` gave; FormatError names `where` when it is anything else."""
        average = fields.get("average_size")
        if fields.get("algorithm") != ALGORITHM or not isinstance(average, int):
            raise FormatError(where, f"unknown chunker {fields.get('algorithm')!r}")
        params = cls.from_average(average)
        if params.to_mapping() != dict(fields):
            raise FormatError(where, "chunk sizes do not fit together")
        return params

    def to_mapping(self) -> dict[str, object]:
        """Return the parameters as plain values, for a store's description."""
        return {
            "algorithm": ALGORITHM,
            "min_size": self.min_size,
            "average_size": self.average_size,
            "max_size": self.max_size,
            "normalization": NORMALIZATION,
        }


class Chunker:
    """Cuts buffers into chunks. Safe to use from several threads."""

    def __init__(self, params: ChunkerParams) -> None:
        self.params = params

    @cached_property
    def _fastcdc(self) -> "FastCDC":
        # Deferred: most commands only read, and want no more of this module than the sizes.
        from pyfastcdc import FastCDC  # noqa: PLC0415

        sizes = self.params
        return FastCDC(
            sizes.average_size, min_size=sizes.min_size, max_size=sizes.max_size, normalized_chunking=NORMALIZATION
        )

    def cut(self, data: Bytes) -> list[int]:
        """Return the end offset of each chunk of a whole file; nothing for an empty one."""
        return [chunk.offset + chunk.length for chunk in self._fastcdc.cut_buf(data)]

    def cut_segment(self, data: Bytes) -> list[int]:
        """Return the ends of those chunks that bytes after `data` could not change."""
        ends = self.cut(data)
        if ends:
            ends.pop()
        return ends

    def first_cut(self, data: Bytes) -> int | None:
        """Return the end of the first chunk of `data`, or None when it depends on bytes that come later."""
        first = next(iter(self._fastcdc.cut_buf(data[: 2 * self.params.max_size])), None)
        if first is None or (first.length == len(data) and first.length < self.params.max_size):
            return None
        return first.length


class SegmentJoiner:
    """Joins the cuts of consecutive segments of one file into the file's chunks.

    Feed segments in order with `feed`, then call `finish`. Bytes after the last certain cut are carried over.
    """

    def __init__(self, chunker: Chunker) -> None:
        self._chunker = chunker
        self._carry = b""

    def feed(self, segment: memoryview, ends: Sequence[int]) -> list[memoryview]:
        """Return the chunks that are certain after `segment`, whose own cuts are `ends` (from `cut_segment`)."""
        chunks: list[memoryview] = []
        position = 0
        if self._carry:
            position = self._join_carry(segment, chunks)
            if position < 0:
                return chunks
        return chunks + self._follow(segment, ends, position)

    def finish(self) -> list[memoryview]:
        """Return the last chunks of the file."""
        carry = memoryview(self._carry)
        self._carry = b""
        return _slices(carry, 0, self._chunker.cut(carry))

    def _join_carry(self, segment: memoryview, chunks: list[memoryview]) -> int:
        """Cut the carried bytes until a cut lies within `segment`; return its offset, or -1 if none does."""
        carried = len(self._carry)
        joined = memoryview(self._carry + bytes(segment[: 2 * self._chunker.params.max_size]))
        start = 0
        while start < carried:
            end = self._chunker.first_cut(joined[start:])
            if end is None:
                self._carry = bytes(joined[start:])
                return -1
            chunks.append(joined[start : start + end])
            start += end
        self._carry = b""
        return start - carried

    def _follow(self, segment: memoryview, ends: Sequence[int], position: int) -> list[memoryview]:
        """Cut `segment` from `position` until a cut is one of `ends`, then take those over."""
        chunks: list[memoryview] = []
        while position:
            known = bisect_left(ends, position)
            if known < len(ends) and ends[known] == position:
                ends = ends[known + 1 :]
                break
            end = self._chunker.first_cut(segment[position:]) if position < len(segment) else None
            if end is None:
                self._carry = bytes(segment[position:])
                return chunks
            chunks.append(segment[position : position + end])
            position += end
        chunks.extend(_slices(segment, position, ends))
        self._carry = bytes(segment[ends[-1] if ends else position :])
        return chunks


def _slices(data: memoryview, start: int, ends: Sequence[int]) -> list[memoryview]:
    chunks = []
    for end in ends:
        chunks.append(data[start:end])
        start = end
    return chunks
