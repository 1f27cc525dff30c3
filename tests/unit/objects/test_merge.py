"""The merge of manifests, case by case."""

from collections.abc import Sequence

import pytest

from dver.objects.entry import DirectoryEntry, Entry, FileEntry, LinkEntry, pack_chunk
from dver.objects.ids import ID_LENGTH, ChunkId, NodeId
from dver.objects.manifest import Manifest
from dver.objects.merge import ConflictKind, Merged, Ruling, Side, merge_manifests, merged_entries
from tests.property.strategies import NodeStore, many_files

Tree = dict[str, str]
"""What is at each path: "/" an empty directory, "-> x" a link, else a file, executable where it starts with "*"."""


def entry(path: str, what: str) -> Entry:
    """Return the entry for what stands at a path of a `Tree`."""
    if what == "/":
        return DirectoryEntry(path.encode())
    if what.startswith("-> "):
        return LinkEntry(path.encode(), what[3:].encode())
    content = what.removeprefix("*").encode()
    return FileEntry(path.encode(), len(content), what.startswith("*"), _chunk(content))


def _chunk(content: bytes) -> bytes:
    return pack_chunk(ChunkId(content.ljust(ID_LENGTH)), len(content)) if content else b""


def shown(found: Entry) -> str:
    """Return what an entry is, as a `Tree` has it."""
    match found:
        case FileEntry(executable=executable, chunks=chunks):
            return "*" * executable + chunks[:ID_LENGTH].rstrip().decode()
        case LinkEntry(target=target):
            return f"-> {target.decode()}"
        case _:
            return "/"


def manifest(tree: Tree | None, store: NodeStore) -> Manifest:
    return store.manifest(store.build([entry(path, what) for path, what in (tree or {}).items()]).version)


def merge(
    base: Tree | None, ours: Tree, theirs: Tree, rulings: Sequence[Ruling] = (), rest: Side | None = None
) -> tuple[Tree, Merged]:
    """Return the merge of three trees, and what was said of it."""
    store = NodeStore()
    mine = manifest(ours, store)
    given = None if base is None else manifest(base, store)
    merged = merge_manifests(given, mine, manifest(theirs, store), rulings, rest)
    return {found.path.decode(): shown(found) for found in merged_entries(mine, merged.changes)}, merged


def conflicts(merged: Merged) -> dict[str, ConflictKind]:
    return {conflict.path.decode(): conflict.kind for conflict in merged.conflicts}


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "kind"),
    [
        ({"p": "1"}, {"p": "2"}, {"p": "3"}, ConflictKind.BOTH_CHANGED),
        ({"p": "1"}, {"p": "-> x"}, {"p": "3"}, ConflictKind.BOTH_CHANGED),
        ({"p": "-> x"}, {"p": "-> y"}, {"p": "-> z"}, ConflictKind.BOTH_CHANGED),
        ({"p": "1"}, {"p": "*2"}, {"p": "-> x"}, ConflictKind.BOTH_CHANGED),
        ({}, {"p": "1"}, {"p": "2"}, ConflictKind.BOTH_ADDED),
        ({"p": "/"}, {"p": "1"}, {"p": "2"}, ConflictKind.BOTH_ADDED),
        (None, {"p": "1"}, {"p": "*1"}, ConflictKind.BOTH_ADDED),
        ({"p": "1"}, {"p": "2"}, {}, ConflictKind.DELETED_IN_THEIRS),
        ({"p": "1"}, {"p": "*1"}, {"p": "/"}, ConflictKind.DELETED_IN_THEIRS),
        ({"p": "1"}, {}, {"p": "2"}, ConflictKind.DELETED_IN_OURS),
        ({"p": "-> x"}, {}, {"p": "-> y"}, ConflictKind.DELETED_IN_OURS),
        ({}, {"p": "1"}, {"p/x": "2"}, ConflictKind.FILE_IN_OURS),
        ({"p": "1"}, {"p": "2"}, {"p/x": "1"}, ConflictKind.FILE_IN_OURS),
        ({"p/x": "1"}, {"p": "2"}, {"p/x": "3"}, ConflictKind.FILE_IN_OURS),
        (None, {"p/deep/er/x": "1", "p/y": "2"}, {"p": "-> x"}, ConflictKind.FILE_IN_THEIRS),
        ({"p/x": "1", "p/y": "1"}, {"p/x": "2", "p/y": "1"}, {"p": "2"}, ConflictKind.FILE_IN_THEIRS),
    ],
)
def test_each_way_to_disagree_has_its_kind_and_keeps_ours(
    base: Tree | None, ours: Tree, theirs: Tree, kind: ConflictKind
) -> None:
    result, merged = merge(base, ours, theirs)
    assert conflicts(merged) == {"p": kind}
    assert result == ours
    assert merged.changes == {}
    assert merge(base, ours, theirs, rest=Side.THEIRS)[0] == theirs


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "result"),
    [
        # One side's change of content, the other's of the mode.
        ({"p": "1"}, {"p": "*1"}, {"p": "2"}, {"p": "*2"}),
        ({"p": "*1"}, {"p": "*2"}, {"p": "1"}, {"p": "2"}),
        ({"p": "1"}, {"p": "*2"}, {"p": "2"}, {"p": "*2"}),
        ({"p": "*1"}, {"p": "2"}, {"p": "1"}, {"p": "2"}),
        # A side that deleted a file that the other left alone may put a folder there.
        ({"p": "1", "q": "1"}, {"p": "1", "q": "2"}, {"p/x": "2", "q": "1"}, {"p/x": "2", "q": "2"}),
        ({"p/x": "1"}, {"p": "2"}, {"p/x": "1", "q": "1"}, {"p": "2", "q": "1"}),
        ({"p/x": "1", "p/y": "1"}, {"p/x": "1"}, {"p": "2"}, {"p": "2"}),
        # Both alike.
        ({"p": "1"}, {"p/x": "2"}, {"p/x": "2", "p/y": "3"}, {"p/x": "2", "p/y": "3"}),
        ({"p": "1"}, {}, {}, {}),
        (None, {"p": "1", "a": "1"}, {"p": "1", "z": "1"}, {"a": "1", "p": "1", "z": "1"}),
        # Neighbours of a name in byte order are not below it.
        ({}, {"p": "1"}, {"p-": "2", "p.x": "2", "p0": "2"}, {"p": "1", "p-": "2", "p.x": "2", "p0": "2"}),
        # A dataset that is one file.
        ({"": "1"}, {"": "1"}, {"": "2"}, {"": "2"}),
        ({"": "1"}, {"": "*1"}, {"": "2"}, {"": "*2"}),
        ({"": "1"}, {"": "1"}, {"x": "2"}, {"x": "2"}),
    ],
)
def test_what_does_not_disagree_is_merged(base: Tree | None, ours: Tree, theirs: Tree, result: Tree) -> None:
    found, merged = merge(base, ours, theirs)
    assert (found, merged.conflicts, merged.decided) == (result, (), ())


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "result"),
    [
        ({}, {"p": "/"}, {"p": "1"}, {"p": "1"}),
        ({}, {"p": "/"}, {"p/x/y": "1"}, {"p/x/y": "1"}),
        ({}, {"p": "1"}, {"p/x/y": "/"}, {"p": "1"}),
        (None, {"p": "/"}, {"p/q": "/"}, {"p/q": "/"}),
        ({"p/x": "1"}, {"p": "/"}, {"p/x": "1", "p/y": "1"}, {"p/y": "1"}),
        ({"p/x": "1", "p/y": "1"}, {"p/x": "1"}, {"p/y": "1"}, {}),
        ({"p": "/"}, {"p": "/"}, {}, {}),
        ({"p": "/"}, {"p/x": "1"}, {}, {"p/x": "1"}),
        ({"p": "/"}, {"p": "/", "q": "1"}, {"p": "/", "q": "/"}, {"p": "/", "q": "1"}),
        ({"p": "1"}, {"p": "/"}, {"p": "1", "q": "/"}, {"p": "/", "q": "/"}),
    ],
)
def test_an_empty_directory_is_never_in_conflict(base: Tree | None, ours: Tree, theirs: Tree, result: Tree) -> None:
    for mine, other in [(ours, theirs), (theirs, ours)]:
        found, merged = merge(base, mine, other)
        assert (found, merged.conflicts) == (result, ())


def test_a_folder_deep_below_a_file_of_the_other_side_is_one_conflict_of_the_topmost_path() -> None:
    base = {"d/keep": "1", "d/e/f/g": "1"}
    ours = {"d": "2"}
    theirs = {"d/keep": "1", "d/e/f/g": "3", "d/e/h/i/j": "4", "d-": "5"}
    result, merged = merge(base, ours, theirs)
    assert conflicts(merged) == {"d": ConflictKind.FILE_IN_OURS}
    assert result == {"d": "2", "d-": "5"}
    result, merged = merge(base, ours, theirs, [Ruling(Side.THEIRS, b"d")])
    assert (result, conflicts(merged)) == (theirs, {})
    # A ruling for a path below does not decide what the path above is.
    assert conflicts(merge(base, ours, theirs, [Ruling(Side.THEIRS, b"d/e/f/g")])[1]) == {
        "d": ConflictKind.FILE_IN_OURS
    }


def test_a_folder_within_which_the_other_side_made_a_file_of_a_folder_collides_there_alone() -> None:
    base = {"a/b/c": "1", "a/x": "1"}
    result, merged = merge(base, {"a/b": "2", "a/x": "2"}, {"a/b/c/d": "3", "a/x": "3"})
    assert conflicts(merged) == {"a/b": ConflictKind.FILE_IN_OURS, "a/x": ConflictKind.BOTH_CHANGED}
    assert result == {"a/b": "2", "a/x": "2"}


def test_a_file_dataset_against_a_directory_is_one_conflict_of_the_whole() -> None:
    ours, theirs = {"": "1"}, {"a": "1", "b/c": "2", "d": "/"}
    result, merged = merge(None, ours, theirs)
    assert (result, conflicts(merged)) == (ours, {"": ConflictKind.FILE_IN_OURS})
    assert merge(None, ours, theirs, [Ruling(Side.THEIRS, b"")])[0] == theirs
    result, merged = merge(None, theirs, ours)
    assert (result, conflicts(merged)) == (theirs, {"": ConflictKind.FILE_IN_THEIRS})
    result, merged = merge({"": "0"}, ours, {})
    assert conflicts(merged) == {"": ConflictKind.DELETED_IN_THEIRS}
    assert merge({"": "0"}, ours, {}, rest=Side.THEIRS)[0] == {}


BASE = {"a": "1", "d/x": "1", "d/y": "1", "d-": "1"}
OURS = dict.fromkeys(BASE, "2")
THEIRS = dict.fromkeys(BASE, "3")


@pytest.mark.parametrize(
    ("rulings", "rest", "result"),
    [
        ([], None, "a2 d-2 d/x2 d/y2"),
        ([("theirs", "d")], None, "a2 d-2 d/x3 d/y3"),
        ([("theirs", "d"), ("ours", "d/x")], None, "a2 d-2 d/x2 d/y3"),
        ([("ours", "d/x"), ("theirs", "d")], None, "a2 d-2 d/x3 d/y3"),
        ([("theirs", "")], None, "a3 d-3 d/x3 d/y3"),
        ([("theirs", ""), ("ours", "")], None, "a2 d-2 d/x2 d/y2"),
        ([("theirs", "d/"), ("theirs", "d/x/z"), ("theirs", "nowhere")], None, "a2 d-2 d/x2 d/y2"),
        ([("ours", "d")], Side.THEIRS, "a3 d-3 d/x2 d/y2"),
        ([("theirs", "a")], Side.OURS, "a3 d-2 d/x2 d/y2"),
    ],
)
def test_the_last_choice_for_a_path_or_a_folder_above_decides_it(
    rulings: list[tuple[str, str]], rest: Side | None, result: str
) -> None:
    made = [Ruling(Side(side), path.encode()) for side, path in rulings]
    found, merged = merge(BASE, OURS, THEIRS, made, rest)
    assert " ".join(path + what for path, what in found.items()) == result
    covering = {path for path in BASE for one in made if _covers(one.path.decode(), path)}
    decided = {*BASE} if rest else covering
    assert {conflict.path.decode() for conflict in merged.decided} == decided
    assert {*conflicts(merged)} == BASE.keys() - decided


def _covers(folder: str, path: str) -> bool:
    return not folder or f"{path}/".startswith(f"{folder}/")


def test_a_choice_takes_nothing_back_that_does_not_conflict() -> None:
    theirs = {"a": "3", "d/x": "3", "d/y": "1", "new": "1"}
    result, merged = merge(BASE, {**BASE, "a": "2"}, theirs, [Ruling(Side.OURS, b"d"), Ruling(Side.OURS, b"new")])
    assert result == {"a": "2", "d/x": "3", "d/y": "1", "new": "1"}
    assert (conflicts(merged), merged.decided) == ({"a": ConflictKind.BOTH_CHANGED}, ())


def test_conflicts_and_changes_are_in_the_byte_order_of_paths() -> None:
    names = ["\u00e9", "a/b", "a-", "a0", "Z", "a.b"]
    ours, theirs = (dict.fromkeys(names, what) for what in "23")
    _, merged = merge({}, {**ours, "gone": "1"}, {**theirs, "m": "1", "k": "1"})
    in_order = sorted(name.encode() for name in names)
    assert [conflict.path for conflict in merged.conflicts] == in_order
    _, merged = merge({}, ours, {**theirs, "m": "1", "k": "1"}, rest=Side.THEIRS)
    assert [conflict.path for conflict in merged.decided] == in_order
    assert list(merged.changes) == sorted([*in_order, b"m", b"k"])


def test_merged_entries_are_in_order_whatever_the_order_of_the_changes() -> None:
    store = NodeStore()
    mine = manifest({"b": "1", "d": "1", "f": "1"}, store)
    changes = {b"z": entry("z", "2"), b"a": entry("a", "2"), b"d": None, b"c": entry("c", "2"), b"f": entry("f", "2")}
    found = merged_entries(mine, {**changes, b"x": None})
    assert [one.path + shown(one).encode() for one in found] == [b"a2", b"b1", b"c2", b"f2", b"z2"]
    assert [one.path for one in merged_entries(mine, {})] == [b"b", b"d", b"f"]
    assert list(merged_entries(mine, dict.fromkeys([b"b", b"d", b"f"]))) == []


def test_files_of_many_chunks_are_told_apart_by_their_trees() -> None:
    store = NodeStore()

    def version(root: int, executable: bool = False) -> Manifest:
        tree = NodeId(bytes([root]) * ID_LENGTH)
        return store.manifest(store.build([FileEntry(b"big", 1 << 30, executable, b"", tree)]).version)

    merged = merge_manifests(version(1), version(1, executable=True), version(2))
    assert merged.changes == {b"big": FileEntry(b"big", 1 << 30, True, b"", NodeId(bytes([2]) * ID_LENGTH))}
    (conflict,) = merge_manifests(version(1), version(2), version(3)).conflicts
    assert conflict.kind is ConflictKind.BOTH_CHANGED


def test_only_what_changed_is_read() -> None:
    files = many_files(20_000)
    store = NodeStore()
    mine, other = entry("folder-00/new-of-ours", "1"), entry("folder-19/new-of-theirs", "1")
    versions = [store.build([*files, *new]).version for new in ([], [mine], [other])]
    base, ours, theirs = map(store.manifest, versions)
    merged = merge_manifests(base, ours, theirs)
    assert [*merged.changes.values()] == [other]
    assert len({*store.loaded}) < len(store.nodes) // 3
    result = store.build(list(merged_entries(ours, merged.changes))).version
    assert result == store.build([*files, mine, other]).version
