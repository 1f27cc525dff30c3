"""The laws of the three-way merge: identity, symmetry, no lost path, and that it is what a simple model says."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from dver.objects.conflict import PointerSides, encode_conflict, split_conflict
from dver.objects.entry import DirectoryEntry, Entry, FileEntry, LinkEntry, pack_chunk
from dver.objects.ids import ID_LENGTH, ChunkId
from dver.objects.manifest import Manifest
from dver.objects.merge import ConflictKind, Merged, PathConflict, Ruling, Side, merge_manifests, merged_entries
from dver.objects.pointer import decode_pointer
from tests.property.strategies import NodeStore, any_paths, pointers

Files = dict[bytes, Entry]

PATHS = [b"a", b"a/x", b"a/y", b"a/z/x", b"a-", b"a0", b"b", b"b/x", b"c", b"d/e/f", b"d/e", b"d", b"\xff"]


def _parents(path: bytes) -> list[bytes]:
    found = []
    while path:
        path = path.rpartition(b"/")[0]
        found.append(path)
    return found


def _valid(files: Mapping[bytes, Entry]) -> Files:
    """Return what of `files` can be in one dataset: nothing lies below a file, and only empty folders count."""
    kept: Files = {
        path: entry
        for path, entry in files.items()
        if not isinstance(entry, DirectoryEntry) and not any(_is_file(files.get(above)) for above in _parents(path))
    }
    for path in sorted(files, reverse=True):
        below = any(path in _parents(other) for other in kept)
        if isinstance(files[path], DirectoryEntry) and not below and not any(above in kept for above in _parents(path)):
            kept[path] = files[path]
    return dict(sorted(kept.items()))


def _is_file(entry: Entry | None) -> bool:
    return entry is not None and not isinstance(entry, DirectoryEntry)


@st.composite
def entries(draw: st.DrawFn, path: bytes) -> Entry:
    match draw(st.sampled_from(["file", "file", "file", "link", "directory"])):
        case "file":
            size = draw(st.integers(1, 3))
            packed = pack_chunk(ChunkId(bytes([size]) * ID_LENGTH), size)
            return FileEntry(path, size, draw(st.booleans()), packed)
        case "link":
            return LinkEntry(path, draw(st.sampled_from([b"x", b"y"])))
        case _:
            return DirectoryEntry(path)


@st.composite
def trees(draw: st.DrawFn) -> Files:
    if draw(st.integers(0, 9)) == 0:
        return {b"": draw(entries(b"").filter(_is_file))}
    return _valid({path: draw(entries(path)) for path in draw(st.sets(st.sampled_from(PATHS), max_size=8))})


@st.composite
def edits(draw: st.DrawFn, tree: Files) -> Files:
    """A tree made from another by a few edits, or one that has nothing to do with it."""
    if draw(st.integers(0, 9)) == 0:
        return draw(trees())
    edited = dict(tree)
    for path in draw(st.sets(st.sampled_from([*PATHS, *tree]), max_size=4)):
        if not path:
            edited = {b"": draw(entries(b"").filter(_is_file))}
            break
        edited.pop(b"", None)
        if draw(st.booleans()):
            edited.pop(path, None)
            continue
        for other in [*_parents(path), *(one for one in edited if path in _parents(one))]:
            edited.pop(other, None)
        edited[path] = draw(entries(path))
    return _valid(edited)


@st.composite
def three_trees(draw: st.DrawFn) -> tuple[Files | None, Files, Files]:
    base = draw(trees())
    return (None if draw(st.integers(0, 9)) == 0 else base), draw(edits(base)), draw(edits(base))


class Merger:
    """Merges trees as manifests."""

    def __init__(self) -> None:
        self.store = NodeStore()

    def manifest(self, tree: Files) -> Manifest:
        return self.store.manifest(self.store.build(list(tree.values())).version)

    def run(
        self, base: Files | None, ours: Files, theirs: Files, rulings: Sequence[Ruling] = (), rest: Side | None = None
    ) -> tuple[Files, Merged]:
        mine = self.manifest(ours)
        merged = merge_manifests(
            None if base is None else self.manifest(base), mine, self.manifest(theirs), rulings, rest
        )
        # Building checks that the entries are in order, and that nothing lies below a file.
        result = list(merged_entries(mine, merged.changes))
        self.store.build(result)
        return {entry.path: entry for entry in result}, merged


SWAPPED = {
    ConflictKind.DELETED_IN_OURS: ConflictKind.DELETED_IN_THEIRS,
    ConflictKind.DELETED_IN_THEIRS: ConflictKind.DELETED_IN_OURS,
    ConflictKind.FILE_IN_OURS: ConflictKind.FILE_IN_THEIRS,
    ConflictKind.FILE_IN_THEIRS: ConflictKind.FILE_IN_OURS,
}


def _swapped(conflicts: Sequence[PathConflict]) -> tuple[PathConflict, ...]:
    return tuple(PathConflict(one.path, SWAPPED.get(one.kind, one.kind)) for one in conflicts)


@given(trees().flatmap(lambda base: st.tuples(st.just(base), edits(base))))
def test_a_side_that_did_nothing_leaves_the_other_as_it_is(drawn: tuple[Files, Files]) -> None:
    base, changed = drawn
    for ours, theirs in [(changed, base), (base, changed), (changed, changed)]:
        result, merged = Merger().run(base, ours, theirs)
        assert (result, merged.conflicts) == (changed, ())
    assert Merger().run(None, changed, changed)[0] == changed


@given(three_trees())
def test_merging_is_symmetric(drawn: tuple[Files | None, Files, Files]) -> None:
    base, ours, theirs = drawn
    result, merged = Merger().run(base, ours, theirs)
    mirrored_result, mirrored = Merger().run(base, theirs, ours)
    assert _swapped(merged.conflicts) == mirrored.conflicts
    if not merged.conflicts:
        assert result == mirrored_result


@given(three_trees())
def test_what_one_side_changed_is_there_and_what_both_changed_differently_is_a_conflict(
    drawn: tuple[Files | None, Files, Files],
) -> None:
    base, ours, theirs = drawn
    result, merged = Merger().run(base, ours, theirs)
    roots = {
        one.path for one in merged.conflicts if one.kind in (ConflictKind.FILE_IN_OURS, ConflictKind.FILE_IN_THEIRS)
    }
    conflicts = {one.path for one in merged.conflicts}
    for path in {*(base or {}), *ours, *theirs}:
        was, mine, other = (_file_at(tree, path) for tree in (base or {}, ours, theirs))
        if roots.intersection([path, *_parents(path)]):
            assert _file_at(result, path) == mine
        elif other in (mine, was):
            assert _file_at(result, path) == mine
            assert path not in conflicts
        elif mine == was:
            assert _file_at(result, path) == other
            assert path not in conflicts
        elif path in conflicts:
            assert _file_at(result, path) == mine
        else:
            assert _file_at(result, path) == _combined(was, mine, other)


@given(three_trees())
def test_a_path_is_one_conflict_with_all_below_it_where_the_sides_made_a_file_and_a_folder_of_it(
    drawn: tuple[Files | None, Files, Files],
) -> None:
    base, ours, theirs = drawn
    _, merged = Merger().run(base, ours, theirs)
    for conflict in merged.conflicts:
        above = [one.path for one in merged.conflicts if one.path in _parents(conflict.path)]
        assert above == []
        file_side = {ConflictKind.FILE_IN_OURS: (ours, theirs), ConflictKind.FILE_IN_THEIRS: (theirs, ours)}
        if conflict.kind in file_side:
            with_file, with_folder = file_side[conflict.kind]
            assert _file_at(with_file, conflict.path)
            assert any(conflict.path in _parents(path) for path in with_folder)


@given(three_trees())
def test_empty_directories_give_way_and_nothing_else_is_lost(drawn: tuple[Files | None, Files, Files]) -> None:
    base, ours, theirs = drawn
    result, merged = Merger().run(base, ours, theirs)
    if merged.conflicts:
        return
    for path in {*ours, *theirs, *(base or {})}:
        was, mine, other = (isinstance(tree.get(path), DirectoryEntry) for tree in (base or {}, ours, theirs))
        wanted = other if mine == was else mine
        room = not any(_is_file(result.get(above)) for above in [path, *_parents(path)])
        empty = not any(path in _parents(below) for below in result)
        assert isinstance(result.get(path), DirectoryEntry) == (wanted and room and empty)


@given(three_trees(), st.sampled_from(list(Side)))
def test_a_side_for_the_rest_decides_all_conflicts(drawn: tuple[Files | None, Files, Files], side: Side) -> None:
    base, ours, theirs = drawn
    draft, undecided = Merger().run(base, ours, theirs)
    result, merged = Merger().run(base, ours, theirs, rest=side)
    mirrored, _ = Merger().run(base, theirs, ours, rest=side.other)
    assert (merged.conflicts, merged.decided) == ((), undecided.conflicts)
    assert result == mirrored
    if side is Side.OURS:
        assert result == draft
    chosen = ours if side is Side.OURS else theirs
    for conflict in merged.decided:
        assert _file_at(result, conflict.path) == _file_at(chosen, conflict.path)


@given(three_trees(), st.data())
def test_choices_decide_what_lies_below_their_paths_and_the_last_one_counts(
    drawn: tuple[Files | None, Files, Files], data: st.DataObject
) -> None:
    base, ours, theirs = drawn
    _, undecided = Merger().run(base, ours, theirs)
    rulings = data.draw(
        st.lists(st.builds(Ruling, st.sampled_from(list(Side)), st.sampled_from([*PATHS, b"d/e", b"nowhere"])))
    )
    result, merged = Merger().run(base, ours, theirs, rulings)
    assert sorted([*merged.conflicts, *merged.decided], key=lambda one: one.path) == list(undecided.conflicts)
    for conflict in undecided.conflicts:
        sides = [one.side for one in rulings if one.path in [conflict.path, *_parents(conflict.path)]]
        assert (conflict in merged.decided) == bool(sides)
        chosen = theirs if sides and sides[-1] is Side.THEIRS else ours
        assert _file_at(result, conflict.path) == _file_at(chosen, conflict.path)


@given(
    st.builds(PointerSides, st.none() | pointers, pointers, pointers),
    st.lists(st.builds(Ruling, st.sampled_from(list(Side)), any_paths.filter(bool))),
    st.none() | st.lists(st.builds(PathConflict, any_paths, st.sampled_from(list(ConflictKind))), max_size=30),
    st.sampled_from(["\n", "\r\n"]),
)
def test_a_text_in_conflict_gives_back_its_sides_and_choices(
    sides: PointerSides, rulings: list[Ruling], conflicts: list[PathConflict] | None, line_end: str
) -> None:
    text = encode_conflict(sides, conflicts, rulings).replace(b"\n", line_end.encode())
    torn = split_conflict(text)
    assert torn is not None
    assert (None if torn.base is None else decode_pointer(torn.base, "x")) == sides.base
    assert (decode_pointer(torn.ours, "x"), decode_pointer(torn.theirs, "x")) == (sides.ours, sides.theirs)
    assert list(torn.rulings) == rulings


@given(
    st.lists(st.sampled_from([b"<<<<<<< a", b"||||||| b", b"=======", b">>>>>>> c", b"x", b"# ours", b"<<<<<<<<< d"]))
)
def test_any_arrangement_of_marks_is_taken_apart_or_refused(lines: list[bytes]) -> None:
    torn = split_conflict(b"\n".join(lines))
    if torn is not None:
        assert b"<<<<<<< a" in lines
        assert b">>>>>>> c" in lines


def _file_at(tree: Files, path: bytes) -> Entry | None:
    entry = tree.get(path)
    return entry if _is_file(entry) else None


def _combined(was: Entry | None, mine: Entry | None, other: Entry | None) -> Entry:
    """Return what both sides changed of a file without being in each other's way: its content, and its mode."""
    assert isinstance(was, FileEntry)
    assert isinstance(mine, FileEntry)
    assert isinstance(other, FileEntry)
    content = other if mine.same_content(was) else mine
    assert content.same_content(mine) or mine.same_content(was)
    assert other.same_content(content) or other.same_content(was)
    return replace(content, executable=mine.executable if mine.executable != was.executable else other.executable)
