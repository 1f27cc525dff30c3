"""Ids and hashes: known values of the published hash functions, and the text form of versions."""

import pytest

from dver.errors import FormatError
from dver.objects.ids import (
    VersionId,
    checksum,
    checksum_joined,
    chunk_id,
    format_version,
    index_id,
    node_id,
    pack_id,
    parse_id,
    parse_version,
)

VERSION = VersionId(bytes(range(32)))


def test_chunk_id_is_plain_blake3() -> None:
    assert chunk_id(b"").hex() == "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"


def test_checksum_is_xxh3_64() -> None:
    assert checksum(b"") == 0x2D06800538D394C2


def test_checksum_depends_on_the_seed() -> None:
    assert checksum(b"path", seed=1) != checksum(b"path")


def test_joined_checksum_is_that_of_the_concatenation() -> None:
    assert checksum_joined(b"head", memoryview(b"payload" * 1000)) == checksum(b"head" + b"payload" * 1000)


def test_a_node_and_a_chunk_of_the_same_bytes_have_different_ids() -> None:
    assert node_id(b"bytes").hex() != chunk_id(b"bytes").hex()


def test_packs_and_index_files_are_named_by_plain_blake3() -> None:
    assert pack_id(b"bytes").hex() == index_id(b"bytes").hex() == chunk_id(b"bytes").hex()


def test_version_text_round_trips() -> None:
    text = format_version(VERSION)
    assert text == "b3:" + bytes(range(32)).hex()
    assert parse_version(text, "x") == VERSION


@pytest.mark.parametrize(
    "text",
    ["", "b3:", "b3:" + "0" * 63, "b3:" + "0" * 65, "0" * 64, "b3:" + "G" * 64, "b3:" + "A" * 64, "b2:" + "0" * 64],
)
def test_other_text_is_no_version(text: str) -> None:
    with pytest.raises(FormatError, match=r"file\.dver.*not a version"):
        parse_version(text, "file.dver")


def test_parse_id_reads_hexadecimal_digits_only() -> None:
    assert parse_id("0f" * 32) == b"\x0f" * 32
    assert parse_id("0F" * 32) is None
    assert parse_id("0f" * 31) is None
    assert parse_id("\u0660" * 64) is None
