"""The index file: what several packs hold, so that a chunk is found without opening each pack.

An index file only repeats the footers of packs, and can always be made again from them. It is named by the BLAKE3 of
its bytes and ends in an XXH3 of them; `docs/design/formats.md` has the byte table.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from dver.errors import FormatError, IntegrityError, UnsupportedFormatError
from dver.objects.ids import Bytes, IndexId, PackId, checksum, index_id
from dver.objects.pack import ENTRY_LENGTH, PackEntry, decode_entries, encode_footer

FORMAT = 1
MAGIC = b"DVIX"
MAX_PACK_SIZE = (1 << 62) - 1

_HEAD = struct.Struct("<4sB3sI")
_PACK = struct.Struct("<32sQI")
_CHECKSUM = struct.Struct("<Q")
_ZEROS = bytes(3)


@dataclass(frozen=True, slots=True)
class IndexedPack:
    """A pack as an index file lists it; `size` is the whole pack's, in bytes."""

    id: PackId
    size: int
    entries: tuple[PackEntry, ...]


def encode_index(packs: Sequence[IndexedPack]) -> tuple[IndexId, bytes]:
    """Return the name and the bytes of an index file over `packs`."""
    pieces = [_HEAD.pack(MAGIC, FORMAT, _ZEROS, len(packs))]
    for pack in packs:
        pieces.append(_PACK.pack(pack.id, pack.size, len(pack.entries)))
        pieces.append(encode_footer(pack.entries))
    body = b"".join(pieces)
    encoded = body + _CHECKSUM.pack(checksum(body))
    return index_id(encoded), encoded


def index_length(entries: Iterable[int]) -> int:
    """Return how many bytes an index file has over packs with so many entries each."""
    return _HEAD.size + sum(_PACK.size + count * ENTRY_LENGTH for count in entries) + _CHECKSUM.size


def decode_index(data: Bytes, where: str) -> list[IndexedPack]:
    """Return the packs that an index file lists.

    Raises:
        FormatError, IntegrityError: the file is not an index, or is damaged.
    """
    return [
        IndexedPack(pack, size, tuple(decode_entries(entries, where)))
        for pack, size, entries in split_index(data, where)
    ]


def split_index(data: Bytes, where: str) -> Iterator[tuple[PackId, int, memoryview]]:
    """Yield the packs that an index file lists, each with its size and its entries as bytes, not checked one by one.

    Where these are all that a pack holds, the pack is named by their hash, as by its footer's.

    Raises:
        FormatError, IntegrityError: the file is not an index, or is damaged.
    """
    if len(data) < _HEAD.size + _CHECKSUM.size:
        raise FormatError(where, "too short for an index file")
    magic, version, reserved, count = _HEAD.unpack_from(data)
    if magic != MAGIC:
        raise FormatError(where, "not a dver index file")
    view = memoryview(data)
    end = len(data) - _CHECKSUM.size
    # Before the version, which all formats have in the same place: damage to it must not pass for a newer format.
    if checksum(view[:end]) != _CHECKSUM.unpack_from(data, end)[0]:
        raise IntegrityError(where, "the index file is damaged (checksum differs)")
    if version > FORMAT:
        raise UnsupportedFormatError(where, version, FORMAT)
    if version != FORMAT or reserved != _ZEROS:
        raise FormatError(where, "the head of the index file is malformed")
    yield from _split_packs(view[_HEAD.size : end], count, where)


def _split_packs(body: memoryview, count: int, where: str) -> Iterator[tuple[PackId, int, memoryview]]:
    at = 0
    for _ in range(count):
        if at + _PACK.size > len(body):
            raise FormatError(where, "the index file is cut short")
        raw, size, entries = _PACK.unpack_from(body, at)
        start = at + _PACK.size
        at = start + entries * ENTRY_LENGTH
        if at > len(body):
            raise FormatError(where, "the index file is cut short")
        if size > MAX_PACK_SIZE:
            raise FormatError(where, f"a pack has an impossible size of {size} bytes")
        yield PackId(raw), size, body[start:at]
    if at != len(body):
        raise FormatError(where, "the index file has bytes that belong to no pack")
