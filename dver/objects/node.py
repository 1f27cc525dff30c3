"""The bytes of a manifest's nodes: `[format, type, level, items]` in canonical msgpack.

There are two kinds of trees, of entries and of chunk lists, each with leaves at level 0 and inner nodes above. What
is decoded here is sound in itself: canonical, in order, with plain paths and possible sizes, no path below a file.
Whether nodes fit together is for `dver.objects.manifest`. `docs/design/formats.md` has the byte tables.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from operator import ge

import msgpack

from dver.errors import FormatError, UnsupportedFormatError
from dver.objects.entry import CHUNK_REF_LENGTH, MAX_PATH, MAX_SIZE, Entry, chunks_size, decode_entries
from dver.objects.ids import ID_LENGTH, Bytes, NodeId

FORMAT = 1
MAX_ITEMS = 4096
MAX_NODE_BYTES = 1024 * 1024
MAX_LEVEL = 16
MAX_ENCODED = 2 * MAX_NODE_BYTES

_HEAD_LENGTH = 4
_ARRAY_OF_FOUR = 0x94
_CHUNK_CHILD = struct.Struct("<32sQ")
CHUNK_CHILD_LENGTH = _CHUNK_CHILD.size


class NodeType(IntEnum):
    """What a node's tree is about."""

    ENTRIES = 0
    CHUNKS = 1


@dataclass(frozen=True, slots=True)
class Child:
    """A reference from an inner node: the last path below it, and how much lies below it."""

    last_path: bytes
    id: NodeId
    files: int
    size: int


@dataclass(frozen=True, slots=True)
class EntriesNode:
    """A decoded node of the entry tree: `entries` at level 0, `children` above."""

    level: int
    entries: tuple[Entry, ...]
    children: tuple[Child, ...]


@dataclass(frozen=True, slots=True)
class ChunksNode:
    """A decoded node of a chunk list: the packed list at level 0, ids and sizes in bytes of children above.

    Attributes:
        size: how many bytes the chunks below have together.
    """

    level: int
    packed: bytes
    children: tuple[tuple[NodeId, int], ...]
    size: int


def pack_chunk_child(child: NodeId, size: int) -> bytes:
    """Return the 40 bytes that stand for a child with `size` bytes below it, in an inner node of a chunk list."""
    return _CHUNK_CHILD.pack(child, size)


def encode_node(node_type: NodeType, level: int, items: object) -> bytes:
    """Return the canonical bytes of a node."""
    encoded: bytes = msgpack.packb([FORMAT, int(node_type), level, items], use_bin_type=True)
    return encoded


def decode_entries_node(data: Bytes, where: str) -> EntriesNode:
    """Return a node of the entry tree; FormatError when it is malformed, out of order or holds a refused path."""
    level, items = _decode_node(data, NodeType.ENTRIES, where)
    if not isinstance(items, tuple):
        raise FormatError(where, "a manifest node is malformed")
    if level:
        children = tuple(_decode_child(item, where) for item in items)
        _check_order([child.last_path for child in children], where)
        if not children or not children[0].last_path:
            raise FormatError(where, "a manifest node is malformed")
        return EntriesNode(level, (), children)
    entries = tuple(decode_entries(items, where))
    paths = [entry.path for entry in entries]
    _check_order(paths, where)
    _check_folders(paths, where)
    return EntriesNode(0, entries, ())


def decode_chunks_node(data: Bytes, where: str) -> ChunksNode:
    """Return a node of a chunk list; FormatError when it is malformed."""
    level, packed = _decode_node(data, NodeType.CHUNKS, where)
    length = CHUNK_CHILD_LENGTH if level else CHUNK_REF_LENGTH
    if not isinstance(packed, bytes) or not packed or len(packed) > MAX_ITEMS * length:
        raise FormatError(where, "a chunk list is malformed")
    if not level:
        return ChunksNode(0, packed, (), chunks_size(packed, where))
    if len(packed) % length:
        raise FormatError(where, "a chunk list is cut short")
    children = tuple((NodeId(raw), size) for raw, size in _CHUNK_CHILD.iter_unpack(packed))
    total = sum(size for _, size in children)
    if total > MAX_SIZE or any(not size for _, size in children):
        raise FormatError(where, "a chunk list has an impossible size")
    return ChunksNode(level, b"", children, total)


def _decode_node(data: Bytes, expected: NodeType, where: str) -> tuple[int, object]:
    """Return the level and the items of a node of the expected type."""
    if not _HEAD_LENGTH < len(data) <= MAX_ENCODED or data[0] & 0xF0 != _ARRAY_OF_FOUR & 0xF0:
        raise FormatError(where, "a manifest node is malformed")
    # All numbers of the head are small, and msgpack has one byte for each.
    array, version, node_type, level = data[:_HEAD_LENGTH]
    if FORMAT < version < 1 << 7:
        raise UnsupportedFormatError(where, version, FORMAT)
    if array != _ARRAY_OF_FOUR or version != FORMAT or level > MAX_LEVEL:
        raise FormatError(where, "a manifest node is malformed")
    if node_type != expected:
        raise FormatError(where, f"not a node of {expected.name.lower()}")
    items = _unpack(memoryview(data)[_HEAD_LENGTH:], where)
    # The same entries must have the same id whoever writes them, so there is one encoding.
    if encode_node(expected, level, items) != data:
        raise FormatError(where, "a manifest node is not in canonical form")
    return level, items


def _unpack(data: memoryview, where: str) -> object:
    # No node has text, maps or extensions; the limits keep a lying length from allocating anything.
    try:
        return msgpack.unpackb(
            data, use_list=False, max_array_len=MAX_ITEMS, max_str_len=0, max_map_len=0, max_ext_len=0
        )
    except (ValueError, msgpack.UnpackException) as exc:
        raise FormatError(where, "a manifest node is malformed") from exc


def _decode_child(item: object, where: str) -> Child:
    match item:
        case [bytes(last_path), bytes(raw), files, size] if (
            len(raw) == ID_LENGTH
            and len(last_path) <= MAX_PATH
            # `type(…) is int`: True is an int as well, and would stand for 1.
            and type(files) is int
            and type(size) is int
            and 0 <= files <= MAX_SIZE
            and 0 <= size <= MAX_SIZE
        ):
            return Child(last_path, NodeId(raw), files, size)
    raise FormatError(where, "a manifest node is malformed")


def _check_order(paths: Sequence[bytes], where: str) -> None:
    if any(map(ge, paths, paths[1:])):
        raise FormatError(where, "paths are out of order")


def _check_folders(paths: Sequence[bytes], where: str) -> None:
    """Refuse a path below another: written out, it would go through a file or where a symbolic link leads."""
    folders = {path.rpartition(b"/")[0] for path in paths}
    for folder in tuple(folders):
        above = folder.rpartition(b"/")[0]
        while above not in folders:
            folders.add(above)
            above = above.rpartition(b"/")[0]
    folders.discard(b"")
    if not folders.isdisjoint(paths):
        raise FormatError(where, "a path is both an entry and a folder of others")


def open_prefixes(prefixes: Sequence[bytes], path: bytes) -> list[bytes]:
    """Return those of `prefixes` that `path` begins with: in byte order, no later path begins with the others."""
    return [prefix for prefix in prefixes if path.startswith(prefix)]
