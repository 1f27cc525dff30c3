"""Compression: what is chosen, and what becomes of payloads that lie or are damaged."""

import random

import pytest
import zstandard

from dver.errors import FormatError, IntegrityError
from dver.objects.codec import Codec, compress, decompress, parse_codec

TEXT = b"some words that come again and again, " * 100


def test_compressible_data_is_compressed() -> None:
    codec, payload = compress(TEXT)
    assert codec is Codec.ZSTD
    assert len(payload) < len(TEXT) / 10
    assert decompress(codec, payload, len(TEXT), "x") == TEXT


def test_noise_is_kept_as_it_is_without_a_copy() -> None:
    noise = random.Random(1).randbytes(5000)
    codec, payload = compress(noise)
    assert codec is Codec.RAW
    assert payload is noise


def test_a_gain_below_one_thirty_second_is_not_worth_it() -> None:
    plain = random.Random(2).randbytes(10_000) + bytes(200)
    assert compress(plain)[0] is Codec.RAW
    assert compress(plain + bytes(300))[0] is Codec.ZSTD


def test_nothing_is_stored_raw() -> None:
    assert compress(b"") == (Codec.RAW, b"")
    assert decompress(Codec.RAW, b"", 0, "x") == b""


@pytest.mark.parametrize("announced", [0, len(TEXT) - 1, len(TEXT) + 1, 1 << 30])
def test_a_payload_of_another_length_than_announced_is_refused(announced: int) -> None:
    for codec, payload in [compress(TEXT), (Codec.RAW, TEXT)]:
        with pytest.raises(IntegrityError, match="there:"):
            decompress(codec, payload, announced, "there")


def test_a_frame_that_unpacks_to_more_than_it_says_is_refused() -> None:
    huge = zstandard.ZstdCompressor().compress(bytes(50 << 20))
    assert len(huge) < 10_000
    with pytest.raises(IntegrityError):
        decompress(Codec.ZSTD, huge, 4096, "x")


def test_a_frame_that_hides_its_length_is_refused() -> None:
    silent = zstandard.ZstdCompressor(write_content_size=False).compress(TEXT)
    with pytest.raises(IntegrityError):
        decompress(Codec.ZSTD, silent, len(TEXT), "x")


def test_a_frame_with_a_forged_length_is_refused() -> None:
    frame = bytearray(zstandard.ZstdCompressor(level=1).compress(TEXT))
    # Lengths from 256 bytes take two bytes in the frame's head, which count from there.
    at = frame.index((len(TEXT) - 256).to_bytes(2, "little"))
    frame[at : at + 2] = bytes(2)
    assert zstandard.frame_content_size(bytes(frame)) == 256
    with pytest.raises(IntegrityError):
        decompress(Codec.ZSTD, bytes(frame), 256, "x")


def test_bytes_after_the_frame_are_refused() -> None:
    _, payload = compress(TEXT)
    with pytest.raises(IntegrityError):
        decompress(Codec.ZSTD, bytes(payload) + b"more", len(TEXT), "x")


def test_a_frame_cut_short_anywhere_is_refused() -> None:
    _, payload = compress(TEXT)
    for length in range(len(payload)):
        with pytest.raises(IntegrityError):
            decompress(Codec.ZSTD, payload[:length], len(TEXT), "x")


def test_a_codec_of_the_future_is_refused_by_name() -> None:
    assert parse_codec(1, "x") is Codec.ZSTD
    with pytest.raises(FormatError, match="unknown codec 2"):
        parse_codec(2, "x")
