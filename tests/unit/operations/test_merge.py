"""Merging the versions that two branches name, and finding out which those are."""

import shutil
from pathlib import Path

import pytest

from dver.errors import (
    BackendError,
    BackendProblem,
    IntegrityError,
    VersionNotFoundError,
)
from dver.objects.conflict import PointerSides
from dver.objects.ids import ID_LENGTH, VersionId
from dver.objects.merge import ConflictKind, PathConflict, Ruling, Side
from dver.objects.pointer import DatasetKind, Pointer, encode_pointer
from dver.operations.merge import (
    PointerMerge,
    find_conflicts,
    merge_pointers,
)
from tests.clones import Clone, noise
from tests.unit.operations.merging import both, diverge, write
from tests.unit.operations.watched import Remote

OURS = both(write("data/a", b"ours"), write("data/ours", noise(4000)))
THEIRS = both(write("data/a", b"theirs"), write("data/theirs", noise(3000, 9)))
CONFLICT = (PathConflict(b"a", ConflictKind.BOTH_CHANGED),)


@pytest.fixture
def forked(clone: Clone) -> tuple[Clone, PointerSides]:
    """Two branches of a repository without a remote, which changed one file alike and others not."""
    clone.write("data/a", b"base")
    clone.write("data/keep", b"kept")
    clone.save()
    return clone, diverge(clone, OURS, THEIRS)


@pytest.fixture
def shared(tmp_path: Path) -> tuple[Clone, PointerSides]:
    """The same with a remote that has all versions."""
    made = Clone.make(tmp_path / "first", remote=tmp_path / "remote")
    made.write("data/a", b"base")
    made.save()
    sides = diverge(made, OURS, THEIRS)
    made.push(all_refs=True)
    return made, sides


def run(
    clone: Clone, sides: PointerSides, *rulings: Ruling, rest: Side | None = None, dataset: str = "data"
) -> PointerMerge:
    with clone.open() as repo:
        merged = merge_pointers(repo, dataset, sides, rulings, rest)
        if rest is None:
            assert find_conflicts(repo, dataset, sides, rulings) == merged.conflicts
    return merged


def some(number: int) -> Pointer:
    return Pointer(DatasetKind.DIRECTORY, VersionId(bytes([number]) * ID_LENGTH), number, number)


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "result"),
    [(1, 1, 2, 2), (1, 2, 1, 2), (1, 2, 2, 2), (None, 2, 2, 2), (1, 1, 1, 1)],
)
def test_versions_that_say_it_all_are_not_looked_for(
    clone: Clone, base: int | None, ours: int, theirs: int, result: int
) -> None:
    sides = PointerSides(None if base is None else some(base), some(ours), some(theirs))
    assert run(clone, sides) == PointerMerge(some(result))


def test_the_draft_has_all_but_the_conflicts_and_can_be_made_again(forked: tuple[Clone, PointerSides]) -> None:
    clone, sides = forked
    merged = run(clone, sides)
    assert (merged.conflicts, merged.decided) == (CONFLICT, ())
    assert (merged.pointer.files, merged.pointer.size) == (4, len(b"ours" + b"kept") + 7000)
    assert run(clone, sides) == merged
    decided = run(clone, sides, Ruling(Side.THEIRS, b"a"))
    assert (decided.conflicts, decided.decided) == ((), CONFLICT)
    assert decided.pointer.size == merged.pointer.size + 2
    assert run(clone, sides, rest=Side.THEIRS) == decided
    with clone.open() as repo:
        assert repo.cache.has_version(merged.pointer.version)


def test_a_side_that_has_all_there_is_keeps_its_pointer(clone: Clone) -> None:
    clone.write("data/a", b"base")
    clone.save()
    mine = both(write("data/a", b"2"), write("data/b", b"2"))
    sides = diverge(clone, mine, write("data/b", b"2"))
    assert run(clone, sides) == PointerMerge(sides.ours)
    mirrored = PointerSides(sides.base, sides.theirs, sides.ours)
    assert run(clone, mirrored) == PointerMerge(sides.ours)


def test_the_manifests_come_from_the_remote_and_the_data_with_the_checkout(shared: tuple[Clone, PointerSides]) -> None:
    clone, sides = shared
    other = clone.clone(clone.root.parent / "other")
    merged = run(other, sides, rest=Side.THEIRS)
    with other.open() as repo:
        assert repo.cache.read_params() == repo.remote().read_params()
        # Its chunks are not here, so it is not whole.
        assert not repo.cache.has_version(merged.pointer.version)
    other.write("data.dver", encode_pointer(merged.pointer))
    other.checkout()
    assert {path: what for path, (_, what) in other.data().items()} == {
        b"a": b"theirs",
        b"ours": noise(4000),
        b"theirs": noise(3000, 9),
    }
    assert run(clone, sides, rest=Side.THEIRS).pointer == merged.pointer


@pytest.mark.parametrize("lost", ["base", "ours", "theirs"])
def test_a_version_that_is_nowhere_is_named(forked: tuple[Clone, PointerSides], lost: str) -> None:
    clone, sides = forked
    pointers = {"base": sides.base, "ours": sides.ours, "theirs": sides.theirs, lost: some(9)}
    assert pointers["ours"]
    assert pointers["theirs"]
    with pytest.raises(VersionNotFoundError, match="b3:0909") as caught:
        run(clone, PointerSides(pointers["base"], pointers["ours"], pointers["theirs"]))
    assert "there is no remote to fetch it from" in caught.value.message
    assert "dver remote add" in (caught.value.hint or "")


def test_a_remote_without_a_store_is_said(shared: tuple[Clone, PointerSides], tmp_path: Path) -> None:
    clone, sides = shared
    clone.delete_cache()
    shutil.rmtree(tmp_path / "remote")
    with pytest.raises(VersionNotFoundError, match="there is no store at"):
        run(clone, sides)


def test_a_remote_that_does_not_answer_is_no_lost_version(team: Clone, remote: Remote) -> None:
    sides = diverge(team, OURS, THEIRS)
    team.delete_cache()

    def fail(_verb: str, _key: str) -> None:
        raise BackendError("the remote", BackendProblem.TIMEOUT, "no answer", transient=True)

    remote.before = fail
    with pytest.raises(BackendError, match="no answer"):
        run(team, sides)


def test_a_damaged_manifest_is_not_merged(forked: tuple[Clone, PointerSides]) -> None:
    clone, sides = forked
    for pack in (clone.root / ".dver/cache/packs").rglob("*.pack"):
        pack.chmod(0o600)
        pack.write_bytes(bytes(byte ^ 0x10 for byte in pack.read_bytes()))
    with pytest.raises(IntegrityError):
        run(clone, sides)


def test_a_file_against_a_directory_is_decided_as_a_whole(clone: Clone) -> None:
    def make_directory(one: Clone) -> None:
        (one.root / "data").unlink()
        one.write("data/x", b"12")
        one.write("data/y", b"34")

    clone.write("data", b"base")
    clone.save()
    sides = diverge(clone, write("data", b"ours"), make_directory)
    merged = run(clone, sides)
    assert merged.conflicts == (PathConflict(b"", ConflictKind.FILE_IN_OURS),)
    assert merged.pointer == sides.ours
    assert run(clone, sides, rest=Side.THEIRS).pointer == sides.theirs
    mirrored = PointerSides(None, sides.theirs, sides.ours)
    assert run(clone, mirrored).conflicts == (PathConflict(b"", ConflictKind.FILE_IN_THEIRS),)
    assert run(clone, mirrored, rest=Side.THEIRS).pointer == sides.ours
