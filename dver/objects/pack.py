"""The pack: an immutable file of many records, each a chunk or a manifest node.

A pack is a head, records, a footer that lists them and a trailer; `docs/design/formats.md` has the byte tables.
Records are self-describing, so a pack whose footer is gone can still be read. A pack is named by its footer, so equal
packs have equal names. Every length is bounded before anything is allocated for it.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

from dver.errors import FormatError, IntegrityError, UnsupportedFormatError
from dver.objects.chunker import MAX_CHUNK
from dver.objects.codec import Codec, compress, decompress, parse_codec
from dver.objects.ids import (
    Bytes,
    ChunkId,
    NodeId,
    ObjectId,
    PackId,
    checksum,
    checksum_joined,
    chunk_id,
    node_id,
    pack_id,
)

FORMAT = 1
MAGIC = b"DVPK"
END_MAGIC = b"DVPE"
TARGET_SIZE = 32 * 1024 * 1024
MAX_PLAIN = MAX_CHUNK
# Of a pack of the target size with nothing but the smallest objects, and some more.
MAX_FOOTER = 128 * 1024 * 1024

_HEAD = struct.Struct("<4sB3s")
_RECORD = struct.Struct("<32sBBHIIQ")
_ENTRY = struct.Struct("<32sQIIBBH")
_TRAILER = struct.Struct("<QQ4sI")
_ZEROS = bytes(3)

HEAD_LENGTH = _HEAD.size
RECORD_HEADER_LENGTH = _RECORD.size
ENTRY_LENGTH = _ENTRY.size
ENTRY_KIND_OFFSET = 48
TRAILER_LENGTH = _TRAILER.size
MAX_OFFSET = (1 << 62) - 1

# The checksum is the last field of a record's header and covers what comes before it and the payload.
_CHECKED_LENGTH = RECORD_HEADER_LENGTH - 8
# Payloads up to this size are copied together, up to so many bytes: as objects of their own they would take more memory
# than their bytes.
_SMALL_PAYLOAD = 4096
_PIECE = 256 * 1024


class Kind(IntEnum):
    """What a record holds."""

    DATA = 0
    NODE = 1


_KINDS = {int(kind): kind for kind in Kind}


@dataclass(frozen=True, slots=True)
class Record:
    """One object as it is stored. `payload` is compressed by `codec`; `plain_length` is in bytes."""

    id: ObjectId
    kind: Kind
    codec: Codec
    plain_length: int
    payload: Bytes

    @property
    def length(self) -> int:
        """The bytes that the record takes in a pack, its header included."""
        return RECORD_HEADER_LENGTH + len(self.payload)

    def plain(self, where: str) -> Bytes:
        """Return the unpacked bytes; IntegrityError when they are not what the header says."""
        return decompress(self.codec, self.payload, self.plain_length, where)

    def verified(self, where: str) -> Bytes:
        """Return the unpacked bytes after checking them against the id; IntegrityError when they differ."""
        plain = self.plain(where)
        if identify(self.kind, plain) != self.id:
            raise IntegrityError(where, f"object {self.id.hex()[:16]}… does not match its id")
        return plain

    def chunk(self, where: str, *, verify: bool) -> Bytes:
        """Return the unpacked bytes of a chunk, checked against the id if `verify` says so.

        Raises:
            IntegrityError: they differ, or the record is no chunk: a node's bytes never pass for a file's.
        """
        if self.kind is not Kind.DATA:
            raise IntegrityError(where, f"object {self.id.hex()[:16]}… is a manifest node where a chunk should be")
        return self.verified(where) if verify else self.plain(where)

    def node(self, where: str) -> Bytes:
        """Return the unpacked bytes of a manifest node, checked against the id.

        Raises:
            IntegrityError: they differ, or the record is no node: a file's bytes never pass for a manifest.
        """
        if self.kind is not Kind.NODE:
            raise IntegrityError(where, f"object {self.id.hex()[:16]}… is a chunk where a manifest node should be")
        return self.verified(where)


@dataclass(frozen=True, slots=True)
class PackEntry:
    """Where a record lies: `offset` of its header in the pack, `stored_length` of its payload, all in bytes."""

    id: ObjectId
    offset: int
    stored_length: int
    plain_length: int
    kind: Kind
    codec: Codec

    @property
    def end(self) -> int:
        """The offset just past the record."""
        return self.offset + RECORD_HEADER_LENGTH + self.stored_length


@dataclass(frozen=True, slots=True)
class EncodedPack:
    """A finished pack: its name, its entries as they are listed, and its bytes as pieces to be written in order."""

    id: PackId
    footer: bytes
    pieces: tuple[Bytes, ...]
    size: int

    def __len__(self) -> int:
        return len(self.footer) // ENTRY_LENGTH

    @property
    def entries(self) -> tuple[PackEntry, ...]:
        """Its entries; as objects they take many times the memory."""
        return tuple(
            PackEntry(_object_id(_KINDS[kind], raw), offset, stored, plain, _KINDS[kind], parse_codec(codec, "pack"))
            for raw, offset, stored, plain, kind, codec, _ in _ENTRY.iter_unpack(self.footer)
        )


def identify(kind: Kind, plain: Bytes) -> ObjectId:
    """Return the id of an object of that kind with these bytes."""
    return chunk_id(plain) if kind is Kind.DATA else node_id(plain)


def encode_object(kind: Kind, object_id: ObjectId, plain: Bytes) -> Record:
    """Return the record for an object whose id is already known. It keeps no reference to a larger buffer."""
    codec, payload = compress(plain)
    return Record(object_id, kind, codec, len(plain), bytes(payload))


class PackBuilder:
    """Collects records in memory until there are enough for a pack. Not safe for several threads."""

    def __init__(self) -> None:
        self._pieces: list[Bytes] = []
        self._open = bytearray()
        self._footer = bytearray()
        self.size = HEAD_LENGTH

    def __len__(self) -> int:
        return len(self._footer) // ENTRY_LENGTH

    def add(self, record: Record) -> None:
        """Append a record. Its payload must not change afterwards.

        Raises:
            FormatError: readers would refuse the record for its size.
        """
        payload = record.payload
        if not len(payload) <= record.plain_length <= MAX_PLAIN:
            raise FormatError("pack", "a record has an impossible length")
        self._footer += _ENTRY.pack(
            record.id, self.size, len(payload), record.plain_length, record.kind, record.codec, 0
        )
        header = encode_record_header(record)
        self._open += header
        if len(payload) <= _SMALL_PAYLOAD:
            self._open += payload
        if len(payload) > _SMALL_PAYLOAD or len(self._open) >= _PIECE:
            self._close_piece()
        if len(payload) > _SMALL_PAYLOAD:
            self._pieces.append(payload)
        self.size += len(header) + len(payload)

    def absorb(self, other: "PackBuilder") -> None:
        """Append all records of another builder, which must not be used afterwards."""
        shift = self.size - HEAD_LENGTH
        for identity, offset, *rest in _ENTRY.iter_unpack(other._footer):
            self._footer += _ENTRY.pack(identity, offset + shift, *rest)
        self._close_piece()
        self._pieces += other._pieces
        self._open = other._open
        self.size += other.size - HEAD_LENGTH

    def finish(self) -> EncodedPack:
        """Return the pack of all records added so far."""
        footer = bytes(self._footer)
        head = _HEAD.pack(MAGIC, FORMAT, _ZEROS)
        trailer = _TRAILER.pack(len(footer), checksum(footer), END_MAGIC, 0)
        size = self.size + len(footer) + len(trailer)
        return EncodedPack(pack_id(footer), footer, (head, *self._pieces, self._open, footer, trailer), size)

    def _close_piece(self) -> None:
        if self._open:
            self._pieces.append(self._open)
            self._open = bytearray()


def encode_record_header(record: Record) -> bytes:
    """Return the header of a record, which its payload follows."""
    payload = record.payload
    fields = (record.id, record.kind, record.codec, 0, record.plain_length, len(payload))
    unchecked = _RECORD.pack(*fields, 0)[:_CHECKED_LENGTH]
    return _RECORD.pack(*fields, checksum_joined(unchecked, payload))


def decode_record(data: Bytes, at: int, where: str) -> Record:
    """Return the record whose header is at offset `at` of `data`, after checking its XXH3.

    Raises:
        FormatError: no record can be there.
        IntegrityError: the payload does not match its checksum.
    """
    if at + RECORD_HEADER_LENGTH > len(data):
        raise FormatError(where, "a record is cut short")
    raw_id, kind, codec, reserved, plain_length, stored_length, expected = _RECORD.unpack_from(data, at)
    start = at + RECORD_HEADER_LENGTH
    if plain_length > MAX_PLAIN or stored_length > plain_length or start + stored_length > len(data):
        raise FormatError(where, "a record has an impossible length")
    view = memoryview(data)
    payload = view[start : start + stored_length]
    if checksum_joined(view[at : at + _CHECKED_LENGTH], payload) != expected:
        raise IntegrityError(where, f"the stored bytes of object {raw_id.hex()[:16]}… are damaged (checksum differs)")
    known_kind = _parse_kind(kind, where)
    known_codec = parse_codec(codec, where)
    if reserved or (known_codec is Codec.RAW and stored_length != plain_length):
        raise FormatError(where, "the header of a record is malformed")
    return Record(_object_id(known_kind, raw_id), known_kind, known_codec, plain_length, payload)


def scan_records(data: Bytes, where: str) -> Iterator[PackEntry]:
    """Yield the entries of all records from the start of a pack, up to the first that is not whole.

    This is how a pack whose footer is gone is read. The footer itself, where it is there, does not pass for a record.
    """
    check_head(data, where)
    at = HEAD_LENGTH
    while True:
        try:
            record = decode_record(data, at, where)
        except (FormatError, IntegrityError):
            return
        yield PackEntry(record.id, at, len(record.payload), record.plain_length, record.kind, record.codec)
        at += record.length


def check_head(data: Bytes, where: str) -> None:
    """Raise FormatError unless `data` begins as a pack that this dver can read."""
    if len(data) < HEAD_LENGTH:
        raise FormatError(where, "too short for a pack")
    magic, version, reserved = _HEAD.unpack_from(data)
    if magic != MAGIC:
        raise FormatError(where, "not a dver pack")
    if version > FORMAT:
        raise UnsupportedFormatError(where, version, FORMAT)
    if version != FORMAT or reserved != _ZEROS:
        raise FormatError(where, "the head of the pack is damaged")


def encode_footer(entries: Sequence[PackEntry]) -> bytes:
    """Return the concatenated entries; also the form in which index files hold them."""
    return b"".join(
        _ENTRY.pack(entry.id, entry.offset, entry.stored_length, entry.plain_length, entry.kind, entry.codec, 0)
        for entry in entries
    )


def decode_entries(data: Bytes, where: str) -> list[PackEntry]:
    """Return the entries that `encode_footer` wrote; FormatError when a field is impossible."""
    if len(data) % ENTRY_LENGTH:
        raise FormatError(where, "a list of records is cut short")
    entries = []
    for raw_id, offset, stored_length, plain_length, kind, codec, reserved in _ENTRY.iter_unpack(data):
        if stored_length > plain_length or plain_length > MAX_PLAIN or not HEAD_LENGTH <= offset <= MAX_OFFSET:
            raise FormatError(where, "a record has an impossible length or place")
        known_kind = _parse_kind(kind, where)
        known_codec = parse_codec(codec, where)
        if reserved or (known_codec is Codec.RAW and stored_length != plain_length):
            raise FormatError(where, "an entry of a list of records is malformed")
        object_id = _object_id(known_kind, raw_id)
        entries.append(PackEntry(object_id, offset, stored_length, plain_length, known_kind, known_codec))
    return entries


def decode_trailer(trailer: Bytes, pack_size: int, where: str) -> tuple[int, int]:
    """Return the footer's length and XXH3, from the last `TRAILER_LENGTH` bytes of a pack of `pack_size` bytes."""
    if len(trailer) != TRAILER_LENGTH:
        raise FormatError(where, "too short for a pack")
    footer_length, footer_checksum, magic, reserved = _TRAILER.unpack(trailer)
    room = min(MAX_FOOTER, pack_size - HEAD_LENGTH - TRAILER_LENGTH)
    if magic != END_MAGIC or reserved or footer_length > room:
        raise FormatError(where, "the end of the pack is missing or damaged")
    return footer_length, footer_checksum


def decode_footer(footer: Bytes, expected_checksum: int, name: PackId, where: str) -> list[PackEntry]:
    """Return the entries of a pack's footer after checking it against its checksum and the pack's name."""
    if checksum(footer) != expected_checksum or pack_id(footer) != name:
        raise IntegrityError(where, "the pack's footer is damaged")
    return decode_entries(footer, where)


def _parse_kind(number: int, where: str) -> Kind:
    kind = _KINDS.get(number)
    if kind is None:
        raise FormatError(where, f"unknown kind of record {number}; a newer dver may have written it")
    return kind


def _object_id(kind: Kind, raw: bytes) -> ObjectId:
    return ChunkId(raw) if kind is Kind.DATA else NodeId(raw)
