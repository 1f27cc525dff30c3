"""Ids of everything in a store, and the hashes behind them.

Identity is BLAKE3-256 (https://github.com/BLAKE3-team/BLAKE3-specs). Chunks are hashed plainly; manifest nodes under a
derive-key context, so that no data file can be taken for a node. XXH3-64 (https://xxhash.com) only detects accidents
and decides where manifest nodes split; it never names anything.

Ids are 32 raw bytes in memory and hexadecimal only at the edges. Each kind is a type of its own.
"""

from typing import NewType, TypeAlias

import xxhash
from blake3 import blake3

from dver.errors import FormatError

ChunkId = NewType("ChunkId", bytes)
NodeId = NewType("NodeId", bytes)
PackId = NewType("PackId", bytes)
IndexId = NewType("IndexId", bytes)
VersionId = NewType("VersionId", bytes)

ObjectId: TypeAlias = ChunkId | NodeId
Bytes: TypeAlias = bytes | bytearray | memoryview

ID_LENGTH = 32
NODE_CONTEXT = "dver 2026-11 manifest node v1"
VERSION_PREFIX = "b3:"


def chunk_id(plain: Bytes) -> ChunkId:
    """Return the id of a chunk: BLAKE3-256 of its plain bytes."""
    return ChunkId(blake3(plain).digest())


def node_id(encoded: Bytes) -> NodeId:
    """Return the id of a manifest node: BLAKE3-256 of its encoding, keyed by `NODE_CONTEXT`."""
    return NodeId(blake3(encoded, derive_key_context=NODE_CONTEXT).digest())


def pack_id(footer: Bytes) -> PackId:
    """Return the id of a pack: BLAKE3-256 of its footer."""
    return PackId(blake3(footer).digest())


def index_id(encoded: Bytes) -> IndexId:
    """Return the id of an index file: BLAKE3-256 of all of its bytes."""
    return IndexId(blake3(encoded).digest())


def checksum(data: Bytes, *, seed: int = 0) -> int:
    """Return XXH3-64 of `data` as an unsigned 64-bit number."""
    return xxhash.xxh3_64_intdigest(data, seed)


def checksum_joined(first: Bytes, second: Bytes) -> int:
    """Return XXH3-64 of `first` and `second` one after the other, without copying them together."""
    hasher = xxhash.xxh3_64(first)
    hasher.update(second)
    return hasher.intdigest()


def format_version(version: VersionId) -> str:
    """Return the text form of a version, `b3:` and 64 hexadecimal digits."""
    return VERSION_PREFIX + version.hex()


def parse_version(text: str, where: str) -> VersionId:
    """Return the version that `text` names; `where` is the file it came from, for the error.

    Raises:
        FormatError: `text` is not `b3:` followed by 64 lower-case hexadecimal digits.
    """
    digits = text.removeprefix(VERSION_PREFIX)
    if text.startswith(VERSION_PREFIX) and len(digits) == 2 * ID_LENGTH and not set(digits) - set("0123456789abcdef"):
        return VersionId(bytes.fromhex(digits))
    raise FormatError(where, f"{text[:80]!r} is not a version: expected b3: and 64 hexadecimal digits")


def parse_id(text: str) -> bytes | None:
    """Return the 32 bytes that 64 lower-case hexadecimal digits stand for, or None for any other text."""
    if len(text) == 2 * ID_LENGTH and not set(text) - set("0123456789abcdef"):
        return bytes.fromhex(text)
    return None
