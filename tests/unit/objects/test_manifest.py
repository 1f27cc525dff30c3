"""Reading manifests: iteration, lookup, totals, chunk lists, and hostile trees."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from dver.errors import FormatError, UnsupportedFormatError
from dver.objects.builder import Summary, make_file_entry
from dver.objects.entry import DirectoryEntry, Entry, FileEntry, LinkEntry, encode_entry, pack_chunk, unpack_chunks
from dver.objects.ids import ChunkId, NodeId, VersionId
from dver.objects.manifest import Manifest, single_file_entry
from dver.objects.node import MAX_LEVEL, NodeType, encode_node, pack_chunk_child
from tests.property.strategies import NodeStore, many_files, packed_list

FILES = many_files(30_000)
STORE = NodeStore()
SUMMARY = STORE.build(FILES)


@pytest.fixture
def store() -> NodeStore:
    """The nodes of `FILES`, with nothing counted as loaded."""
    fresh = NodeStore()
    fresh.nodes.update(STORE.nodes)
    return fresh


def test_iteration_gives_all_entries_in_path_order(store: NodeStore) -> None:
    assert list(store.manifest(SUMMARY.version).entries()) == FILES


def test_totals_need_the_root_alone(store: NodeStore) -> None:
    assert store.manifest(SUMMARY.version).totals() == (SUMMARY.files, SUMMARY.size)
    assert (SUMMARY.files, SUMMARY.size) == (
        len(FILES),
        sum(file.size for file in FILES if isinstance(file, FileEntry)),
    )
    assert store.loaded == [NodeId(SUMMARY.version)]


def test_totals_of_a_leaf_are_counted() -> None:
    store = NodeStore()
    summary = store.build([*FILES[:3], LinkEntry(b"z", b"a"), DirectoryEntry(b"zz")])
    assert store.manifest(summary.version).totals() == (4, summary.size)


def test_one_path_is_found_along_one_branch(store: NodeStore) -> None:
    manifest = store.manifest(SUMMARY.version)
    for entry in (FILES[0], FILES[12_345], FILES[-1]):
        store.loaded.clear()
        assert manifest.get(entry.path) == entry
        assert len(store.loaded) <= 3


@pytest.mark.parametrize("path", [b"", b"a", b"folder-00", b"folder-00/file-000000.bin0", b"zzz", b"\xff"])
def test_a_path_that_is_not_there_is_none(store: NodeStore, path: bytes) -> None:
    assert store.manifest(SUMMARY.version).get(path) is None


def test_a_folder_is_read_without_the_rest(store: NodeStore) -> None:
    found = list(store.manifest(SUMMARY.version).entries(b"folder-07"))
    assert found == FILES[7000:8000]
    assert len(store.loaded) < len(store.nodes) / 4


def test_a_prefix_is_a_folder_or_an_entry_not_the_begin_of_a_name() -> None:
    store = NodeStore()
    entries = [DirectoryEntry(path) for path in [b"a-", b"a/b", b"a/c/d", b"a0", b"ab", b"b"]]
    manifest = store.manifest(store.build(entries).version)
    assert [entry.path for entry in manifest.entries(b"a")] == [b"a/b", b"a/c/d"]
    assert [entry.path for entry in manifest.entries(b"a/c")] == [b"a/c/d"]
    assert [entry.path for entry in manifest.entries(b"b")] == [b"b"]
    assert list(manifest.entries(b"c")) == []


def test_all_nodes_are_listed_parents_first(store: NodeStore) -> None:
    listed = [identity for identity, _ in store.manifest(SUMMARY.version).nodes(lambda _: False)]
    assert listed[0] == NodeId(SUMMARY.version)
    assert sorted(listed) == sorted(store.nodes)


def test_a_skipped_node_is_not_read_nor_what_lies_below(store: NodeStore) -> None:
    manifest = store.manifest(SUMMARY.version)
    skipped = list(manifest.nodes(lambda _: False))[1][1]
    assert skipped.level == 0 or skipped.children
    assert list(manifest.nodes(lambda identity: identity == NodeId(SUMMARY.version))) == []
    known = set(list(store.nodes)[::2]) - {NodeId(SUMMARY.version)}
    store.loaded.clear()
    listed = [identity for identity, _ in manifest.nodes(lambda identity: identity in known)]
    assert known.isdisjoint(listed)
    assert listed == store.loaded


def test_a_dataset_that_is_one_file_has_one_nameless_entry() -> None:
    store = NodeStore()
    entry = replace(FILES[0], path=b"")
    assert single_file_entry(store.manifest(store.build([entry]).version)) == entry
    assert single_file_entry(store.manifest(store.build(FILES[:2]).version)) is None
    assert single_file_entry(store.manifest(store.build([]).version)) is None


@pytest.mark.parametrize("count", [0, 1, 64, 65, 700, 20_000])
def test_chunk_lists_of_any_length_come_back(count: int) -> None:
    store = NodeStore()
    packed = packed_list(count)
    entry = make_file_entry(b"a", 5 * count, False, packed, store.sink)
    manifest = store.manifest(store.build([entry]).version)
    assert manifest.chunk_list(entry) == packed
    assert list(manifest.chunks(entry)) == list(unpack_chunks(packed, "x"))


def test_a_change_within_a_long_file_shares_most_of_its_chunk_tree() -> None:
    store = NodeStore()
    packed = packed_list(20_000)
    make_file_entry(b"a", 5 * 20_000, False, packed, store.sink)
    before = set(store.nodes)
    changed = packed[: 36 * 9_000] + packed_list(3, seed=2) + packed[36 * 9_001 :]
    make_file_entry(b"a", 5 * 20_002, False, changed, store.sink)
    assert len(before) > 20
    assert len(store.nodes.keys() - before) <= 4


def test_a_chunk_trees_nodes_are_listed_once_each() -> None:
    store = NodeStore()
    packed = pack_chunk(ChunkId(b"z" * 32), 5) * 30_000
    entry = make_file_entry(b"a", 5 * 30_000, False, packed, store.sink)
    assert entry.chunk_tree is not None
    listed = [identity for identity, _ in store.manifest(SUMMARY.version).chunk_tree_nodes(entry.chunk_tree)]
    assert listed[0] == entry.chunk_tree
    assert sorted(listed) == sorted(store.nodes)


# Hostile trees: a loader that does not check ids lets the test build what no hash function allows.


class Forged:
    """Nodes under made-up ids."""

    def __init__(self, **nodes: bytes) -> None:
        self._nodes = {name.encode().ljust(32, b"."): data for name, data in nodes.items()}

    def load(self, wanted: Sequence[NodeId]) -> list[bytes]:
        return [self._nodes[identity] for identity in wanted]

    def manifest(self) -> Manifest:
        return Manifest(VersionId(b"root".ljust(32, b".")), self.load, where="hostile")


def ref(name: str) -> bytes:
    return name.encode().ljust(32, b".")


def leaf(*entries: Entry) -> bytes:
    return encode_node(NodeType.ENTRIES, 0, [encode_entry(entry) for entry in entries])


def inner(level: int, *children: tuple[bytes, str]) -> bytes:
    return encode_node(NodeType.ENTRIES, level, [[last_path, ref(name), 1, 0] for last_path, name in children])


A, B, C, D = (DirectoryEntry(path) for path in (b"a", b"b", b"c", b"d"))

HOSTILE = {
    "level loop": Forged(root=inner(1, (b"a", "root"), (b"b", "root"))),
    "level too low": Forged(root=inner(2, (b"a", "a"), (b"b", "b")), a=leaf(A), b=leaf(B)),
    "level too high": Forged(root=inner(1, (b"a", "a"), (b"b", "b")), a=inner(1, (b"a", "b")), b=leaf(B)),
    "order across leaves": Forged(root=inner(1, (b"b", "b"), (b"c", "ac")), b=leaf(B), ac=leaf(A, C)),
    "last path too small": Forged(root=inner(1, (b"a", "ab"), (b"c", "c")), ab=leaf(A, B), c=leaf(C)),
    "last path too large": Forged(root=inner(1, (b"b", "a"), (b"c", "c")), a=leaf(A), c=leaf(C)),
    "same leaf twice": Forged(root=inner(1, (b"a", "a"), (b"b", "a")), a=leaf(A)),
    "empty leaf": Forged(root=inner(1, (b"a", "none"), (b"b", "b")), none=leaf(), b=leaf(B)),
    "root of one child": Forged(root=inner(1, (b"a", "a")), a=leaf(A)),
    "chunk node below": Forged(
        root=inner(1, (b"a", "a"), (b"b", "b")), a=encode_node(NodeType.CHUNKS, 0, packed_list(1)), b=leaf(B)
    ),
    "single file among others": Forged(
        root=inner(1, (b"a", "none"), (b"b", "b")), none=leaf(DirectoryEntry(b""), A), b=leaf(B)
    ),
    "junk": Forged(root=b"junk"),
    "future": Forged(root=b"\x94\x02\x00\x00\x90"),
}


@pytest.mark.parametrize("forged", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_trees_are_refused(forged: Forged) -> None:
    readings: list[Callable[[Manifest], object]] = [
        lambda manifest: list(manifest.entries()),
        lambda manifest: list(manifest.nodes(lambda _: False)),
    ]
    for read in readings:
        with pytest.raises(FormatError, match="hostile:"):
            read(forged.manifest())


def test_a_deep_chain_ends_at_the_highest_level() -> None:
    levels = {f"n{level}": inner(level, (b"a", f"n{level - 1}")) for level in range(1, MAX_LEVEL)}
    top = inner(MAX_LEVEL, (b"a", f"n{MAX_LEVEL - 1}"), (b"b", "gone"))
    assert Forged(root=top, n0=leaf(A), **levels).manifest().get(b"a") == A
    with pytest.raises(FormatError):
        Forged(root=inner(MAX_LEVEL + 1, (b"a", "a"), (b"b", "b"))).manifest().totals()


def test_a_link_that_is_a_folder_for_a_later_leaf_is_refused() -> None:
    forged = Forged(
        root=inner(1, (b"link-x", "first"), (b"link.y", "second"), (b"link/passwd", "third")),
        first=leaf(A, LinkEntry(b"link", b"/etc"), LinkEntry(b"link-x", b"/etc")),
        second=leaf(DirectoryEntry(b"link.y")),
        third=leaf(FileEntry(b"link/passwd", 0, False, b"")),
    )
    with pytest.raises(FormatError, match="folder of others"):
        list(forged.manifest().entries())


def test_a_newer_node_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedFormatError):
        HOSTILE["future"].manifest().totals()


def chunks(level: int, packed: bytes) -> bytes:
    return encode_node(NodeType.CHUNKS, level, packed)


def child(name: str, size: int) -> bytes:
    return pack_chunk_child(NodeId(ref(name)), size)


@pytest.mark.parametrize(
    ("size", "nodes"),
    [
        (15, {"tree": chunks(0, packed_list(2))}),
        (5, {"tree": chunks(0, packed_list(2))}),
        (10, {"tree": chunks(1, child("tree", 10))}),
        (10, {"tree": chunks(1, child("a", 10)), "a": chunks(0, packed_list(1))}),
        (10, {"tree": chunks(2, child("a", 10)), "a": chunks(0, packed_list(2))}),
        (10, {"tree": chunks(1, child("a", 5) + child("a", 5)), "a": chunks(1, child("a", 5))}),
        (10, {"tree": leaf(A)}),
    ],
    ids=["too few", "too many", "loop", "child lies", "level skipped", "level loop", "entries"],
)
def test_hostile_chunk_trees_are_refused(size: int, nodes: dict[str, bytes]) -> None:
    manifest = Forged(**nodes).manifest()
    entry = FileEntry(b"a", size, False, b"", NodeId(ref("tree")))
    for read in (manifest.chunk_list, lambda entry: list(manifest.chunks(entry))):
        with pytest.raises(FormatError, match="hostile:"):
            read(entry)


def test_listing_a_looping_chunk_tree_ends() -> None:
    manifest = Forged(tree=chunks(1, child("tree", 10)), top=chunks(2, child("low", 5)), low=chunks(0, packed_list(1)))
    assert len(list(manifest.manifest().chunk_tree_nodes(NodeId(ref("tree"))))) == 1
    with pytest.raises(FormatError, match="levels"):
        list(manifest.manifest().chunk_tree_nodes(NodeId(ref("top"))))


def test_an_inline_chunk_list_is_held_to_the_files_size() -> None:
    with pytest.raises(FormatError, match="add up"):
        Forged().manifest().chunk_list(FileEntry(b"a", 6, False, packed_list(1)))


def test_a_summary_is_what_the_manifest_says(store: NodeStore) -> None:
    assert Summary(SUMMARY.version, *store.manifest(SUMMARY.version).totals()) == SUMMARY
