"""Manifest nodes: one encoding for each content, and refusal of everything that is malformed or hostile."""

import msgpack
import pytest

from dver.errors import FormatError, UnsupportedFormatError
from dver.objects.entry import MAX_SIZE, DirectoryEntry, Entry, FileEntry, LinkEntry, encode_entry, pack_chunk
from dver.objects.ids import ChunkId, NodeId
from dver.objects.node import (
    MAX_ENCODED,
    MAX_ITEMS,
    MAX_LEVEL,
    Child,
    NodeType,
    decode_chunks_node,
    decode_entries_node,
    encode_node,
    open_prefixes,
    pack_chunk_child,
)

REF = pack_chunk(ChunkId(b"c" * 32), 5)
NODE = NodeId(b"n" * 32)
ENTRIES: list[Entry] = [FileEntry(b"a", 5, False, REF), LinkEntry(b"b", b"a"), DirectoryEntry(b"c")]


def leaf(*entries: Entry) -> bytes:
    return encode_node(NodeType.ENTRIES, 0, [encode_entry(entry) for entry in entries])


def test_a_leaf_round_trips() -> None:
    node = decode_entries_node(leaf(*ENTRIES), "x")
    assert (node.level, node.entries, node.children) == (0, tuple(ENTRIES), ())


def test_an_inner_node_round_trips() -> None:
    items = [[b"a", NODE, 3, 20], [b"b", NODE, 0, 0]]
    node = decode_entries_node(encode_node(NodeType.ENTRIES, 2, items), "x")
    assert node.level == 2
    assert node.children == (Child(b"a", NODE, 3, 20), Child(b"b", NODE, 0, 0))


def test_chunk_nodes_round_trip() -> None:
    node = decode_chunks_node(encode_node(NodeType.CHUNKS, 0, REF * 3), "x")
    assert (node.level, node.packed, node.children, node.size) == (0, REF * 3, (), 15)
    inner = decode_chunks_node(encode_node(NodeType.CHUNKS, 1, pack_chunk_child(NODE, 15) * 2), "x")
    assert (inner.level, inner.packed, inner.children, inner.size) == (1, b"", ((NODE, 15), (NODE, 15)), 30)


def test_nodes_are_read_from_any_buffer() -> None:
    for buffer in (memoryview(leaf(*ENTRIES)), bytearray(leaf(*ENTRIES))):
        assert decode_entries_node(buffer, "x").entries == tuple(ENTRIES)


def test_the_empty_dataset_is_an_empty_leaf() -> None:
    assert leaf() == b"\x94\x01\x00\x00\x90"
    assert decode_entries_node(leaf(), "x").entries == ()


def test_a_node_of_one_kind_is_not_read_as_the_other() -> None:
    with pytest.raises(FormatError, match="not a node of chunks"):
        decode_chunks_node(leaf(), "x")
    with pytest.raises(FormatError, match="not a node of entries"):
        decode_entries_node(encode_node(NodeType.CHUNKS, 0, REF), "x")


@pytest.mark.parametrize("future", [b"\x94\x02\x00\x00\x90", b"\x92\x02\xa3new", b"\x95\x7f\xc0\xc0\xc0\xc0"])
def test_a_newer_format_is_refused_by_name(future: bytes) -> None:
    for decode in (decode_entries_node, decode_chunks_node):
        with pytest.raises(UnsupportedFormatError):
            decode(future, "x")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x94",
        b"\x94\x01\x00\x00",
        b"\x94\x01\x00\x00\xc0",
        b"\x94\x01\x00\x00\xa0",
        b"\x94\x01\x00\x00\x80",
        b"\x94\x01\x00\x00\xc4\x00",
        b"\x94\x00\x00\x00\x90",
        b"\x93\x01\x00\x00\x90",
        b"\x95\x01\x00\x00\x90",
        b"\x84\x01\x00\x00\x90",
        b"\x94\x01\x02\x00\x90",
        b"\x94\x01\x00\x11\x90",
        b"\x94\x01\x00\xff\x90",
        b"\x94\xcc\x01\x00\x00\x90",
        b"\x94\xc3\x00\x00\x90",
        b"\x94\x01\x00\x00\x90\x90",
        b"\x94\x01\x00\x00\xdd\xff\xff\xff\xff",
        b"\x94\x01\x00\x00\xdc\x00\x00",
        b"\x94\x01\x00\x00\xdc\xff\xff" + b"\x90" * 70_000,
        b"\x94\x01\x00\x00" + b"\x91" * 5000,
        b"\x94\x01\x00\x00" + b"\xdd\x00\x00\x0f\xff" * 5000,
        b"\x94\x01\x00\x00\x91\xc1",
        b"\x94\x01\x00\x00\x91\xd6\xff\x00\x00\x00\x00",
        b"\x94\x01\x00\x00\x91\x81\x90\x90",
        b"\x94\x01\x00\x00\xc6\xff\xff\xff\xff",
        b"\x94\x01\x00\x01\x90",
        b"\x94\x01\x01\x00\xc4\x00",
        bytes(MAX_ENCODED + 1),
        b"\x94\x01\x00\x00" + bytes(MAX_ENCODED),
    ],
)
def test_malformed_nodes_are_refused(data: bytes) -> None:
    for decode in (decode_entries_node, decode_chunks_node):
        with pytest.raises(FormatError, match="there:"):
            decode(data, "there")


def test_another_encoding_of_the_same_entries_is_refused() -> None:
    fields = [encode_entry(entry) for entry in ENTRIES]
    assert decode_entries_node(b"\x94\x01\x00\x00" + msgpack.packb(fields), "x").entries
    longer = b"\x94\x01\x00\x00\xdc\x00\x03" + b"".join(msgpack.packb(item) for item in fields)
    with pytest.raises(FormatError, match="canonical"):
        decode_entries_node(longer, "x")


@pytest.mark.parametrize(
    "entries",
    [
        [DirectoryEntry(b"b"), DirectoryEntry(b"a")],
        [DirectoryEntry(b"a"), DirectoryEntry(b"a")],
        [DirectoryEntry(b"\x80"), DirectoryEntry(b"a")],
    ],
)
def test_entries_out_of_order_are_refused(entries: list[Entry]) -> None:
    with pytest.raises(FormatError, match="out of order"):
        decode_entries_node(leaf(*entries), "x")


@pytest.mark.parametrize("path", [b"../a", b"/a", b".git/hooks/post-checkout", b"a/../../b", b"a\0", b"a//b"])
def test_a_node_with_a_path_that_leads_elsewhere_is_refused(path: bytes) -> None:
    with pytest.raises(FormatError, match="refused the path"):
        decode_entries_node(leaf(DirectoryEntry(path)), "x")


@pytest.mark.parametrize(
    ("above", "below"), [(b"a", b"a/b"), (b"a", b"a/b/c/d"), (b"a/b", b"a/b/c"), (b"link", b"link/passwd")]
)
def test_a_path_below_an_entry_is_refused(above: bytes, below: bytes) -> None:
    between = [DirectoryEntry(above + b"-"), DirectoryEntry(above + b".x")]
    for entry in (LinkEntry(above, b"/etc"), DirectoryEntry(above), FileEntry(above, 5, False, REF)):
        with pytest.raises(FormatError, match="folder of others"):
            decode_entries_node(leaf(entry, *between, DirectoryEntry(below)), "x")


@pytest.mark.parametrize(
    "items",
    [
        [],
        [[b"", NODE, 1, 1]],
        [[b"b", NODE, 1, 1], [b"a", NODE, 1, 1]],
        [[b"a", NODE, 1, 1], [b"a", NODE, 1, 1]],
        [[b"a", NODE[1:], 1, 1]],
        [[b"a", NODE, -1, 1]],
        [[b"a", NODE, 1, -1]],
        [[b"a", NODE, True, 1]],
        [[b"a", NODE, 1, True]],
        [[b"a", NODE, 1, MAX_SIZE + 1]],
        [[b"a", NODE, 1, 1.0]],
        [[b"a" * 5000, NODE, 1, 1]],
        [[b"a", NODE, 1]],
        [b"a"],
        encode_entry(ENTRIES[0]),
    ],
)
def test_malformed_inner_nodes_are_refused(items: list[object]) -> None:
    with pytest.raises(FormatError):
        decode_entries_node(encode_node(NodeType.ENTRIES, 1, items), "x")


@pytest.mark.parametrize(
    ("level", "packed"),
    [
        (0, REF[:-1]),
        (0, REF + b"x"),
        (0, pack_chunk(ChunkId(b"c" * 32), 0)),
        (0, REF * (MAX_ITEMS + 1)),
        (1, REF),
        (1, pack_chunk_child(NODE, 0)),
        (1, pack_chunk_child(NODE, MAX_SIZE + 1)),
        (1, pack_chunk_child(NODE, MAX_SIZE) * 2),
        (1, pack_chunk_child(NODE, 1) * (MAX_ITEMS + 1)),
        (MAX_LEVEL, b""),
        (0, []),
        (0, 7),
        (0, "text"),
    ],
)
def test_malformed_chunk_nodes_are_refused(level: int, packed: object) -> None:
    with pytest.raises(FormatError):
        decode_chunks_node(encode_node(NodeType.CHUNKS, level, packed), "x")


def test_open_prefixes_are_those_the_path_begins_with() -> None:
    assert open_prefixes([b"a", b"a-", b"ab"], b"ab/c") == [b"a", b"ab"]
    assert open_prefixes([b"a"], b"b") == []
