"""Building manifests: borders, forced splits, chunk trees, and refusal of what readers would refuse."""

import pytest

from dver.errors import FormatError
from dver.objects.builder import SPLIT_MASK, ManifestBuilder, build_manifest, make_file_entry
from dver.objects.entry import (
    CHUNK_REF_LENGTH,
    INLINE_CHUNKS,
    MAX_SIZE,
    DirectoryEntry,
    Entry,
    FileEntry,
    LinkEntry,
    pack_chunk,
)
from dver.objects.ids import ChunkId, NodeId, checksum, node_id
from dver.objects.node import (
    MAX_ENCODED,
    MAX_ITEMS,
    MAX_NODE_BYTES,
    EntriesNode,
    decode_chunks_node,
    decode_entries_node,
)
from tests.property.strategies import NodeStore, many_files, packed_list


def leaves(store: NodeStore) -> list[EntriesNode]:
    nodes = [decode_entries_node(data, "x") for data in store.nodes.values()]
    return [node for node in nodes if node.level == 0]


def ends_a_node(path: bytes, level: int = 0) -> bool:
    return checksum(path, seed=level) & SPLIT_MASK == 0


def paths_that_do_not_end_a_node(count: int) -> list[bytes]:
    found: list[bytes] = []
    number = 0
    while len(found) < count:
        path = b"%08d" % number
        number += 1
        if not ends_a_node(path):
            found.append(path)
    return found


def test_the_empty_dataset_has_a_version() -> None:
    store = NodeStore()
    summary = store.build([])
    assert (summary.files, summary.size) == (0, 0)
    assert store.nodes == {NodeId(summary.version): b"\x94\x01\x00\x00\x90"}


def test_nodes_are_named_by_their_bytes() -> None:
    store = NodeStore()
    store.build(many_files(3000))
    assert len(store.nodes) > 3
    assert all(node_id(encoded) == identity for identity, encoded in store.nodes.items())


def test_totals_count_files_links_and_bytes() -> None:
    entries: list[Entry] = [
        FileEntry(b"a", 7, False, pack_chunk(ChunkId(bytes(32)), 7)),
        LinkEntry(b"b", b"a"),
        DirectoryEntry(b"c"),
    ]
    summary = build_manifest(entries, NodeStore().sink)
    assert (summary.files, summary.size) == (2, 7)


def test_every_leaf_but_the_last_ends_at_a_path_that_hits_the_mask() -> None:
    store = NodeStore()
    entries = many_files(5000)
    store.build(entries)
    last_paths = sorted(node.entries[-1].path for node in leaves(store))
    assert last_paths[:-1] == [entry.path for entry in entries[:-1] if ends_a_node(entry.path)]


def test_a_leaf_is_split_at_the_largest_number_of_entries() -> None:
    store = NodeStore()
    store.build([DirectoryEntry(path) for path in paths_that_do_not_end_a_node(2 * MAX_ITEMS + 1)])
    assert [len(node.entries) for node in leaves(store)] == [MAX_ITEMS, MAX_ITEMS, 1]


@pytest.mark.parametrize("kind", ["path", "target", "chunks"])
def test_a_leaf_is_split_where_its_bytes_are_too_many(kind: str) -> None:
    packed = packed_list(INLINE_CHUNKS)
    entries: list[Entry] = []
    for path in paths_that_do_not_end_a_node(1000):
        match kind:
            case "path":
                entries.append(DirectoryEntry(path + b"x" * 4000))
            case "target":
                entries.append(LinkEntry(path, b"t" * 4095))
            case _:
                entries.append(FileEntry(path, 5 * INLINE_CHUNKS, False, packed))
    store = NodeStore()
    store.build(entries)
    assert len(leaves(store)) > 1
    assert all(len(encoded) < MAX_NODE_BYTES + 10_000 < MAX_ENCODED for encoded in store.nodes.values())


def test_nodes_that_lie_before_a_change_stay_the_same() -> None:
    before, after = NodeStore(), NodeStore()
    entries = many_files(20_000)
    before.build(entries)
    after.build([*entries[:15_000], DirectoryEntry(entries[15_000].path + b"~"), *entries[15_000:]])
    new = after.nodes.keys() - before.nodes.keys()
    assert len(before.nodes) > 30
    assert len(new) <= 4


def test_entries_out_of_order_are_refused() -> None:
    for second in (b"a", b"B"):
        builder = ManifestBuilder(NodeStore().sink)
        builder.add(DirectoryEntry(b"a"))
        with pytest.raises(FormatError, match="out of order"):
            builder.add(DirectoryEntry(second))


@pytest.mark.parametrize("between", [[], [b"a!"], [b"a-", b"a-b/c", b"a.b"]])
def test_a_path_below_an_entry_is_refused(between: list[bytes]) -> None:
    builder = ManifestBuilder(NodeStore().sink)
    for path in [b"a", *between]:
        builder.add(LinkEntry(path, b"/etc"))
    with pytest.raises(FormatError, match="below an entry"):
        builder.add(DirectoryEntry(b"a/b"))


def test_siblings_whose_names_begin_alike_are_accepted() -> None:
    store = NodeStore()
    entries = [DirectoryEntry(path) for path in [b"a", b"a-", b"a-b", b"a.b", b"ab/c", b"ab/c-d", b"ab/cd/e"]]
    assert store.build(entries).files == 0


def test_the_entry_of_a_single_file_must_be_alone() -> None:
    builder = ManifestBuilder(NodeStore().sink)
    builder.add(FileEntry(b"", 0, False, b""))
    with pytest.raises(FormatError, match="must be alone"):
        builder.add(DirectoryEntry(b"a"))


@pytest.mark.parametrize(
    "entry",
    [DirectoryEntry(b".git/x"), DirectoryEntry(b"../x"), LinkEntry(b"a", b""), FileEntry(b"a", 1, False, b"")],
)
def test_entries_that_readers_would_refuse_are_refused(entry: Entry) -> None:
    store = NodeStore()
    with pytest.raises(FormatError):
        build_manifest([entry], store.sink)
    assert not store.nodes


def test_sizes_that_do_not_fit_the_format_are_refused() -> None:
    huge = [FileEntry(path, MAX_SIZE, False, b"", NodeId(bytes(32))) for path in (b"a", b"b")]
    with pytest.raises(FormatError, match="too large"):
        build_manifest(huge, NodeStore().sink)


def test_a_short_chunk_list_stays_in_its_entry() -> None:
    store = NodeStore()
    packed = packed_list(INLINE_CHUNKS)
    entry = make_file_entry(b"a", 5 * INLINE_CHUNKS, True, packed, store.sink)
    assert entry == FileEntry(b"a", 5 * INLINE_CHUNKS, True, packed)
    assert not store.nodes


def test_a_long_chunk_list_becomes_a_tree() -> None:
    store = NodeStore()
    entry = make_file_entry(b"a", 5 * (INLINE_CHUNKS + 1), False, packed_list(INLINE_CHUNKS + 1), store.sink)
    assert entry.chunks == b""
    assert entry.chunk_tree in store.nodes


def test_chunk_tree_nodes_end_at_chunks_that_hit_the_mask() -> None:
    store = NodeStore()
    packed = packed_list(5000)
    make_file_entry(b"a", 5 * 5000, False, packed, store.sink)
    found = [decode_chunks_node(data, "x") for data in store.nodes.values()]
    last = sorted(node.packed[-CHUNK_REF_LENGTH:][:32] for node in found if node.level == 0)
    ids = [packed[at : at + 32] for at in range(0, len(packed), CHUNK_REF_LENGTH)]
    assert last == sorted({*(chunk for chunk in ids if ends_a_node(chunk)), ids[-1]})


def test_a_chunk_tree_of_one_repeated_chunk_is_split_at_the_largest_number() -> None:
    store = NodeStore()
    chunk = next(bytes([n]) * 32 for n in range(256) if not ends_a_node(bytes([n]) * 32))
    count = 2 * MAX_ITEMS + 1
    make_file_entry(b"a", 9 * count, False, pack_chunk(ChunkId(chunk), 9) * count, store.sink)
    nodes = sorted((decode_chunks_node(data, "x") for data in store.nodes.values()), key=lambda node: node.size)
    assert [(node.level, node.size) for node in nodes] == [(0, 9), (0, 9 * MAX_ITEMS), (1, 9 * count)]
