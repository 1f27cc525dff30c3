"""Packs: round trip, recovery without the footer, and damage at every byte."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from dver.errors import FormatError, IntegrityError, UnsupportedFormatError
from dver.objects.chunker import MAX_CHUNK
from dver.objects.codec import Codec
from dver.objects.ids import ChunkId, NodeId, PackId, checksum, chunk_id, node_id, pack_id
from dver.objects.pack import (
    ENTRY_LENGTH,
    HEAD_LENGTH,
    RECORD_HEADER_LENGTH,
    TRAILER_LENGTH,
    EncodedPack,
    Kind,
    PackBuilder,
    PackEntry,
    Record,
    check_head,
    decode_entries,
    decode_footer,
    decode_record,
    decode_trailer,
    encode_footer,
    encode_object,
    identify,
    scan_records,
)

TEXT = b"compressible " * 30
PLAINS = [(Kind.DATA, b"raw"), (Kind.DATA, TEXT), (Kind.NODE, b"\x94\x01\x00\x00\x90"), (Kind.DATA, b"")]


def build(plains: list[tuple[Kind, bytes]]) -> EncodedPack:
    builder = PackBuilder()
    for kind, plain in plains:
        builder.add(encode_object(kind, identify(kind, plain), plain))
    return builder.finish()


def read_pack(data: bytes, name: PackId) -> list[tuple[Kind, bytes]]:
    """Read a pack with every check there is."""
    check_head(data, "pack")
    length, expected = decode_trailer(data[-TRAILER_LENGTH:], len(data), "pack")
    entries = decode_footer(data[len(data) - TRAILER_LENGTH - length : -TRAILER_LENGTH], expected, name, "pack")
    plains = []
    at = HEAD_LENGTH
    for entry in entries:
        record = decode_record(data, entry.offset, "pack")
        found = PackEntry(record.id, at, len(record.payload), record.plain_length, record.kind, record.codec)
        if found != entry:
            raise FormatError("pack", "the footer and the records disagree")
        plains.append((record.kind, bytes(record.verified("pack"))))
        at = entry.end
    return plains


PACK = build(PLAINS)
BYTES = b"".join(PACK.pieces)


def test_a_pack_gives_back_its_objects() -> None:
    assert PACK.size == len(BYTES)
    assert read_pack(BYTES, PACK.id) == PLAINS


def test_compressible_objects_are_compressed_and_others_kept() -> None:
    assert [entry.codec for entry in PACK.entries] == [Codec.RAW, Codec.ZSTD, Codec.RAW, Codec.RAW]


def test_the_same_records_make_the_same_pack() -> None:
    assert build(PLAINS).id == PACK.id
    assert build(PLAINS[1:]).id != PACK.id


def test_a_pack_is_named_by_its_footer() -> None:
    assert PACK.id == pack_id(encode_footer(PACK.entries))


def test_an_empty_pack_is_whole() -> None:
    empty = PackBuilder().finish()
    assert read_pack(b"".join(empty.pieces), empty.id) == []


def test_a_builder_takes_over_another_ones_records() -> None:
    first, second = PackBuilder(), PackBuilder()
    for builder, plains in [(first, PLAINS[:1]), (second, PLAINS[1:])]:
        for kind, plain in plains:
            builder.add(encode_object(kind, identify(kind, plain), plain))
    first.absorb(second)
    assert len(first) == len(PLAINS)
    pack = first.finish()
    assert pack.id == PACK.id
    assert b"".join(pack.pieces) == BYTES


def test_an_object_is_not_tied_to_the_buffer_it_came_from() -> None:
    buffer = bytearray(b"abc")
    record = encode_object(Kind.DATA, chunk_id(b"abc"), memoryview(buffer))
    buffer[:] = b"xyz"
    assert record.plain("x") == b"abc"


@pytest.mark.parametrize(("plain_length", "payload"), [(MAX_CHUNK + 1, b"x"), (1, b"xx")])
def test_a_record_that_no_reader_would_accept_is_not_written(plain_length: int, payload: bytes) -> None:
    record = Record(ChunkId(bytes(32)), Kind.DATA, Codec.ZSTD, plain_length, payload)
    with pytest.raises(FormatError, match="impossible length"):
        PackBuilder().add(record)


def test_verification_finds_a_record_whose_bytes_are_not_its_ids() -> None:
    record = encode_object(Kind.DATA, chunk_id(b"other"), b"bytes")
    assert record.plain("x") == b"bytes"
    with pytest.raises(IntegrityError, match="does not match its id"):
        record.verified("x")


def test_a_data_file_cannot_pass_for_a_node() -> None:
    record = encode_object(Kind.NODE, NodeId(bytes(chunk_id(b"bytes"))), b"bytes")
    with pytest.raises(IntegrityError):
        record.verified("x")
    assert encode_object(Kind.NODE, node_id(b"bytes"), b"bytes").verified("x") == b"bytes"


def test_scanning_finds_all_records_whatever_is_left_of_the_end() -> None:
    records_end = PACK.entries[-1].end
    for length in range(records_end, len(BYTES) + 1):
        assert list(scan_records(BYTES[:length], "pack")) == list(PACK.entries)


def test_scanning_a_cut_pack_finds_the_whole_records() -> None:
    for length in range(HEAD_LENGTH, PACK.entries[-1].end):
        whole = [entry for entry in PACK.entries if entry.end <= length]
        assert list(scan_records(BYTES[:length], "pack")) == whole


def test_scanning_stops_at_the_first_damaged_record() -> None:
    for at in range(PACK.entries[1].offset, PACK.entries[1].end):
        damaged = bytearray(BYTES)
        damaged[at] ^= 0x10
        assert list(scan_records(bytes(damaged), "pack")) == [PACK.entries[0]]


def test_scanning_what_is_no_pack_is_an_error() -> None:
    with pytest.raises(FormatError, match="too short"):
        list(scan_records(b"", "pack"))
    with pytest.raises(FormatError, match="not a dver pack"):
        list(scan_records(b"PK\3\4" + bytes(20), "pack"))


def test_any_flipped_bit_is_detected() -> None:
    for at in range(len(BYTES)):
        for bit in range(8):
            damaged = bytearray(BYTES)
            damaged[at] ^= 1 << bit
            with pytest.raises((FormatError, IntegrityError)):
                read_pack(bytes(damaged), PACK.id)


def test_a_pack_cut_short_anywhere_is_detected() -> None:
    for length in range(len(BYTES)):
        with pytest.raises((FormatError, IntegrityError)):
            read_pack(BYTES[:length], PACK.id)


def test_a_flipped_bit_of_a_record_is_found_by_the_record_alone() -> None:
    entry = PACK.entries[1]
    for at in range(entry.offset, entry.end):
        damaged = bytearray(BYTES)
        damaged[at] ^= 1
        with pytest.raises((FormatError, IntegrityError)):
            decode_record(damaged, entry.offset, "pack")


def test_a_newer_format_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedFormatError) as caught:
        check_head(BYTES[:4] + b"\x02" + BYTES[5:], "pack")
    assert (caught.value.found, caught.value.supported) == (2, 1)


@pytest.mark.parametrize("head", [b"DVPK\0\0\0\0", b"DVPK\1\0\0\1", b"DVPE\1\0\0\0"])
def test_a_damaged_head_is_refused(head: bytes) -> None:
    with pytest.raises(FormatError):
        check_head(head + BYTES[8:], "pack")


def forge(**fields: int) -> bytes:
    """Return an entry of a footer with impossible fields."""
    values = {"offset": HEAD_LENGTH, "stored": 1, "plain": 1, "kind": 0, "codec": 0, "reserved": 0, **fields}
    widths = [("offset", 8), ("stored", 4), ("plain", 4), ("kind", 1), ("codec", 1), ("reserved", 2)]
    return bytes(32) + b"".join(values[name].to_bytes(width, "little") for name, width in widths)


@pytest.mark.parametrize(
    "entry",
    [
        forge(offset=0),
        forge(offset=1 << 62),
        forge(offset=(1 << 64) - 1),
        forge(stored=2),
        forge(plain=2),
        forge(plain=MAX_CHUNK + 1, codec=1),
        forge(kind=2),
        forge(codec=2),
        forge(reserved=1),
        forge()[:-1],
    ],
)
def test_impossible_entries_are_refused(entry: bytes) -> None:
    with pytest.raises(FormatError):
        decode_entries(entry, "x")


def test_possible_entries_are_read() -> None:
    assert len(forge()) == ENTRY_LENGTH
    assert decode_entries(forge(), "x") == [PackEntry(ChunkId(bytes(32)), HEAD_LENGTH, 1, 1, Kind.DATA, Codec.RAW)]
    assert decode_entries(b"", "x") == []


def test_a_footer_is_held_to_its_checksum_and_to_the_packs_name() -> None:
    footer = encode_footer(PACK.entries)
    assert decode_footer(footer, checksum(footer), PACK.id, "x") == list(PACK.entries)
    with pytest.raises(IntegrityError, match="footer is damaged"):
        decode_footer(footer, checksum(footer) ^ 1, PACK.id, "x")
    with pytest.raises(IntegrityError, match="footer is damaged"):
        decode_footer(footer, checksum(footer), PackId(bytes(32)), "x")


def test_a_trailer_cannot_announce_more_than_the_pack_has_room_for() -> None:
    trailer = BYTES[-TRAILER_LENGTH:]
    footer_length = ENTRY_LENGTH * len(PLAINS)
    assert decode_trailer(trailer, HEAD_LENGTH + footer_length + TRAILER_LENGTH, "x")[0] == footer_length
    with pytest.raises(FormatError):
        decode_trailer(trailer, HEAD_LENGTH + footer_length + TRAILER_LENGTH - 1, "x")
    with pytest.raises(FormatError):
        decode_trailer(b"\xff" * 8 + trailer[8:], 1 << 62, "x")


@pytest.mark.parametrize(
    "change",
    [
        lambda record: replace(record, kind=Kind.NODE),
        lambda record: replace(record, codec=Codec.RAW),
        lambda record: replace(record, plain_length=record.plain_length + 1),
    ],
)
def test_a_record_with_a_wrong_field_fails_when_it_is_read(change: Callable[[Record], Record]) -> None:
    record = encode_object(Kind.DATA, chunk_id(TEXT), TEXT)
    builder = PackBuilder()
    builder.add(change(record))
    data = b"".join(builder.finish().pieces)
    with pytest.raises((FormatError, IntegrityError)):
        decode_record(data, HEAD_LENGTH, "x").verified("x")


def test_a_record_length_counts_header_and_payload() -> None:
    assert encode_object(Kind.DATA, chunk_id(b"abc"), b"abc").length == RECORD_HEADER_LENGTH + 3


def test_small_records_are_kept_together() -> None:
    """As an object each, they would take more memory than their bytes, and a call of the system for a few of them."""
    builder = PackBuilder()
    for number in range(3000):
        builder.add(encode_object(Kind.DATA, chunk_id(b"%d" % number), b"%d" % number))

    pack = builder.finish()

    assert len(pack) == 3000
    assert len(pack.pieces) < 10
    assert [entry.id for entry in pack.entries] == [chunk_id(b"%d" % number) for number in range(3000)]
    assert list(scan_records(b"".join(pack.pieces), "x")) == list(pack.entries)
