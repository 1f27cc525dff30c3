"""Index files: round trip, damage at every byte, and fields that cannot be."""

import pytest

from dver.errors import FormatError, IntegrityError, UnsupportedFormatError
from dver.objects.codec import Codec
from dver.objects.ids import ChunkId, NodeId, PackId, checksum, index_id
from dver.objects.indexfile import IndexedPack, decode_index, encode_index
from dver.objects.pack import Kind, PackEntry

PACKS = [
    IndexedPack(
        PackId(b"p" * 32),
        500,
        (
            PackEntry(ChunkId(b"a" * 32), 8, 10, 10, Kind.DATA, Codec.RAW),
            PackEntry(NodeId(b"b" * 32), 70, 20, 300, Kind.NODE, Codec.ZSTD),
        ),
    ),
    IndexedPack(PackId(b"q" * 32), 32, ()),
]
NAME, ENCODED = encode_index(PACKS)


def sealed(body: bytes) -> bytes:
    """Return a file with this body and the checksum that fits it."""
    return body + checksum(body).to_bytes(8, "little")


def test_an_index_file_gives_back_its_packs() -> None:
    assert decode_index(ENCODED, "x") == PACKS


def test_an_index_file_of_no_packs_is_whole() -> None:
    assert decode_index(encode_index([])[1], "x") == []


def test_an_index_file_is_named_by_its_bytes() -> None:
    assert index_id(ENCODED) == NAME


def test_any_flipped_bit_is_detected_as_damage() -> None:
    for at in range(len(ENCODED)):
        for bit in range(8):
            damaged = bytearray(ENCODED)
            damaged[at] ^= 1 << bit
            with pytest.raises((FormatError, IntegrityError)) as caught:
                decode_index(bytes(damaged), "x")
            assert not isinstance(caught.value, UnsupportedFormatError)


def test_a_file_cut_short_anywhere_is_detected() -> None:
    for length in range(len(ENCODED)):
        with pytest.raises((FormatError, IntegrityError)):
            decode_index(ENCODED[:length], "x")


def test_a_newer_format_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedFormatError) as caught:
        decode_index(sealed(b"DVIX\x02\0\0\0 whatever a later format holds"), "x")
    assert caught.value.found == 2


HEAD = b"DVIX\1\0\0\0"
PACK = b"p" * 32 + (500).to_bytes(8, "little")


@pytest.mark.parametrize(
    "body",
    [
        b"DVIX\0\0\0\0" + bytes(4),
        b"DVIX\1\0\0\1" + bytes(4),
        HEAD + b"\xff\xff\xff\xff",
        HEAD + b"\1\0\0\0" + PACK,
        HEAD + b"\1\0\0\0" + PACK + b"\xff\xff\xff\xff",
        HEAD + b"\1\0\0\0" + b"p" * 32 + b"\xff" * 8 + bytes(4),
        HEAD + b"\0\0\0\0" + PACK + bytes(4),
        HEAD + b"\1\0\0\0" + PACK + b"\1\0\0\0" + bytes(52),
    ],
    ids=["format 0", "reserved", "count", "pack cut", "entry count", "pack size", "left over", "entry"],
)
def test_impossible_fields_are_refused_though_the_checksum_fits(body: bytes) -> None:
    with pytest.raises(FormatError):
        decode_index(sealed(body), "x")
