"""How a record's payload is compressed: zstd where that helps, raw where it does not.

zstd at level 1 gives up on incompressible data at memory speed, so it is its own probe: a payload is kept compressed
only when it is at least `WORTHWHILE` smaller. Decompression never allocates more than the announced length and one
window, which is bounded as well.
"""

import threading
from enum import IntEnum

import zstandard

from dver.errors import FormatError, IntegrityError
from dver.objects.ids import Bytes

LEVEL = 1
WORTHWHILE = 1 / 32
MAX_WINDOW = 16 * 1024 * 1024


class Codec(IntEnum):
    """How a payload is stored."""

    RAW = 0
    ZSTD = 1


_CODECS = {int(codec): codec for codec in Codec}


class _PerThread(threading.local):
    """zstd contexts are costly to make and not safe to share between threads."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=LEVEL, write_checksum=False, write_content_size=True)
        self.decompressor = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW)


_zstd = _PerThread()


def compress(plain: Bytes) -> tuple[Codec, Bytes]:
    """Return the codec chosen for `plain` and the payload to store; for RAW that is `plain` itself, not a copy."""
    packed = _zstd.compressor.compress(plain)
    if len(packed) <= len(plain) * (1 - WORTHWHILE):
        return Codec.ZSTD, packed
    return Codec.RAW, plain


def decompress(codec: Codec, payload: Bytes, plain_length: int, where: str) -> Bytes:
    """Return the plain bytes of `payload`.

    Raises:
        IntegrityError: the payload is damaged or does not have `plain_length` bytes once unpacked.
    """
    if codec is Codec.RAW:
        plain: Bytes = payload
    else:
        plain = _decompress_zstd(payload, plain_length, where)
    if len(plain) != plain_length:
        raise IntegrityError(where, f"a payload has {len(plain)} bytes, not the {plain_length} it announces")
    return plain


def _decompress_zstd(payload: Bytes, plain_length: int, where: str) -> bytes:
    try:
        announced = zstandard.frame_content_size(payload)
        if announced != plain_length:
            raise IntegrityError(where, f"a payload announces {announced} bytes instead of {plain_length}")
        return _zstd.decompressor.decompress(payload, max_output_size=plain_length, allow_extra_data=False)
    except zstandard.ZstdError as exc:
        raise IntegrityError(where, "a compressed payload is damaged") from exc


def parse_codec(number: int, where: str) -> Codec:
    """Return the codec with that number; FormatError for one this dver does not know."""
    codec = _CODECS.get(number)
    if codec is None:
        raise FormatError(where, f"unknown codec {number}; a newer dver may have written it")
    return codec
