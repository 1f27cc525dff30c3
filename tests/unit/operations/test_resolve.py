"""Ending merge conflicts: what is kept, what is refused, and what happens to the others meanwhile."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

import dver.operations.checkout
from dver.errors import DataLossError, FormatError, PathError, VersionNotFoundError
from dver.objects.conflict import split_conflict
from dver.objects.merge import Ruling, Side
from dver.objects.pointer import encode_pointer
from dver.operations.checkout import CheckoutOptions
from dver.operations.resolve import Resolution, Resolved, checkout_merging, resolve
from dver.operations.rm import rm
from dver.operations.status import State
from tests.clones import Clone
from tests.unit.operations.merging import both, diverge, is_merged, merge, pointer_at, write

OURS = both(write("data/a", b"ours"), write("data/sub/b", b"ours"), write("data/mine", b"1"))
THEIRS = both(write("data/a", b"theirs"), write("data/sub/b", b"theirs"), write("data/other", b"2"))


def decide(clone: Clone, side: Side, *paths: str, force: bool = False) -> Resolution:
    with clone.open() as repo:
        return resolve(repo, side, paths, options=CheckoutOptions(force=force))


def checkout(clone: Clone, *paths: str) -> Resolution:
    with clone.open() as repo:
        return checkout_merging(repo, paths)


def contents(clone: Clone, dataset: str = "data") -> Mapping[str, bytes]:
    return {path.decode("utf-8", "surrogateescape"): content for path, (_, content) in clone.data(dataset).items()}


def recorded(clone: Clone, dataset: str = "data") -> tuple[Ruling, ...]:
    torn = split_conflict(clone.pointer_text(dataset).encode())
    assert torn is not None
    return torn.rulings


@pytest.fixture
def conflicted(clone: Clone) -> Clone:
    """A repository in the midst of a merge that conflicts in two paths of `data`."""
    clone.write("data/a", b"base")
    clone.write("data/sub/b", b"base")
    clone.save()
    diverge(clone, OURS, THEIRS)
    merge(clone)
    return clone


@pytest.fixture
def several(clone: Clone) -> Clone:
    """The same for the datasets `sets/one` and `sets/two`; `sets/calm` and `other` are not in conflict."""
    names = ("sets/one", "sets/two", "sets/calm", "other")
    for name in names:
        clone.write(f"{name}/a", b"base")
    clone.save(*names)
    changed = names[:2]
    diverge(
        clone,
        both(*(write(f"{name}/a", b"ours") for name in changed)),
        both(*(write(f"{name}/a", b"theirs") for name in changed)),
        *changed,
    )
    merge(clone)
    return clone


def test_recorded_choices_hold_when_the_rest_is_decided_for_the_other_side(conflicted: Clone) -> None:
    left = decide(conflicted, Side.THEIRS, "data/sub")
    assert [conflict.path for conflict in left.unresolved[0].conflicts] == [b"a"]
    assert recorded(conflicted) == (Ruling(Side.THEIRS, b"sub"),)
    assert contents(conflicted) == {"a": b"ours", "sub/b": b"ours", "mine": b"1"}
    assert decide(conflicted, Side.OURS).resolved == (Resolved("data", 2),)
    assert is_merged(conflicted)
    assert contents(conflicted) == {"a": b"ours", "sub/b": b"theirs", "mine": b"1", "other": b"2"}
    assert conflicted.status().state is State.UNCHANGED


def test_a_choice_holds_in_a_checkout_that_merges_too(conflicted: Clone) -> None:
    decide(conflicted, Side.THEIRS, "data/a")
    checkout(conflicted)
    assert contents(conflicted) == {"a": b"theirs", "sub/b": b"ours", "mine": b"1", "other": b"2"}
    assert recorded(conflicted) == (Ruling(Side.THEIRS, b"a"),)
    conflicted.write("data/sub/b", b"of both")
    conflicted.add()
    assert is_merged(conflicted)
    assert contents(conflicted)["sub/b"] == b"of both"


def test_a_folder_means_the_datasets_in_it_that_are_in_conflict(several: Clone) -> None:
    assert [one.dataset for one in decide(several, Side.THEIRS, "sets").resolved] == ["sets/one", "sets/two"]
    assert (several.root / "sets/two/a").read_bytes() == b"theirs"
    assert is_merged(several, "sets/one")
    with pytest.raises(PathError, match="sets: is not in a merge conflict"):
        decide(several, Side.OURS, "sets")


def test_a_dataset_and_a_path_in_another_are_decided_at_once(several: Clone) -> None:
    resolution = decide(several, Side.THEIRS, "sets/one.dver", "sets/two/a")
    assert [one.dataset for one in resolution.resolved] == ["sets/one", "sets/two"]
    assert is_merged(several, "sets/two")


@pytest.mark.parametrize("wrong", ["sets/calm", "other", "other/a", "nowhere", "sets/two/b", "sets/two/a/below"])
def test_a_wrong_path_among_others_stops_all(several: Clone, wrong: str) -> None:
    before = several.pointer_text("sets/one")
    with pytest.raises(PathError, match=f"^{wrong}: "):
        decide(several, Side.THEIRS, "sets/one", wrong)
    assert several.pointer_text("sets/one") == before
    assert (several.root / "sets/one/a").read_bytes() == b"ours"


def test_changed_data_of_one_dataset_stops_all(several: Clone) -> None:
    several.write("sets/two/a", b"stored nowhere")
    with pytest.raises(DataLossError) as caught:
        decide(several, Side.THEIRS)
    assert caught.value.paths == ("sets/two/a",)
    assert (several.root / "sets/one/a").read_bytes() == b"ours"
    assert not is_merged(several, "sets/one")
    decide(several, Side.THEIRS, force=True)
    assert is_merged(several, "sets/two")
    assert (several.root / "sets/two/a").read_bytes() == b"theirs"


def test_a_pointer_that_was_mended_by_hand_is_in_conflict_until_it_is_staged(conflicted: Clone) -> None:
    conflicted.write("data.dver", encode_pointer(pointer_at(conflicted, "other")))
    assert checkout(conflicted).resolved == ()
    assert contents(conflicted)["a"] == b"theirs"
    assert decide(conflicted, Side.OURS, "data").resolved == (Resolved("data", 2),)
    assert contents(conflicted) == {"a": b"ours", "sub/b": b"ours", "mine": b"1", "other": b"2"}
    assert is_merged(conflicted)


def test_what_stopped_half_way_is_completed_by_the_same_command(
    conflicted: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(dver.operations.checkout, "bring_pointer", fail)
        with pytest.raises(KeyboardInterrupt):
            decide(conflicted, Side.THEIRS)
    assert contents(conflicted)["a"] == b"theirs"
    assert conflicted.status().state is State.CONFLICT
    assert decide(conflicted, Side.THEIRS).resolved == (Resolved("data", 2),)
    assert is_merged(conflicted)
    assert conflicted.status().state is State.UNCHANGED


def test_part_of_a_dataset_stays_part(tmp_path: Path) -> None:
    made = Clone.make(tmp_path / "first", remote=tmp_path / "remote")
    made.write("data/a", b"base")
    made.write("data/sub/b", b"base")
    made.save()
    diverge(made, OURS, THEIRS)
    made.push(all_refs=True)
    clone = made.clone(tmp_path / "second")
    clone.checkout(None, "data/sub")
    merge(clone, "origin/other")
    assert contents(clone) == {"sub/b": b"ours"}
    assert decide(clone, Side.THEIRS).resolved == (Resolved("data", 2),)
    assert contents(clone) == {"sub/b": b"theirs"}
    assert clone.status().partial
    clone.checkout(None, "data")
    assert contents(clone) == {"a": b"theirs", "sub/b": b"theirs", "mine": b"1", "other": b"2"}


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("is_file_here", [True, False])
def test_a_directory_and_a_file_give_way_to_each_other(clone: Clone, side: Side, is_file_here: bool) -> None:
    def make_file(one: Clone) -> None:
        shutil.rmtree(one.root / "data")
        one.write("data", b"a file")

    clone.write("data/a", b"base")
    clone.save()
    edit = write("data/a", b"changed")
    sides = diverge(clone, make_file, edit) if is_file_here else diverge(clone, edit, make_file)
    merge(clone)
    assert decide(clone, side).resolved == (Resolved("data", 1),)
    is_file = (side is Side.OURS) == is_file_here
    assert contents(clone) == ({"": b"a file"} if is_file else {"a": b"changed"})
    assert clone.status().state is State.UNCHANGED
    assert pointer_at(clone, "") == (sides.ours if side is Side.OURS else sides.theirs)


def test_a_side_within_reach_is_taken_as_it_is_with_its_data(conflicted: Clone) -> None:
    ours = pointer_at(conflicted, "main")
    conflicted.delete_cache()
    theirs = Clone.make(conflicted.root.parent / "theirs")
    for path, content in {"a": b"theirs", "sub/b": b"theirs", "other": b"2"}.items():
        theirs.write(f"data/{path}", content)
    theirs.add()
    shutil.copytree(theirs.root / ".dver/cache", conflicted.root / ".dver/cache")
    with pytest.raises(DataLossError):
        decide(conflicted, Side.THEIRS)
    with conflicted.open() as repo, pytest.raises(VersionNotFoundError):
        resolve(repo, Side.THEIRS, ["data/a"])
    (resolved,) = decide(conflicted, Side.THEIRS, force=True).resolved
    assert resolved == Resolved("data", taken=Side.THEIRS)
    assert (contents(conflicted)["a"], contents(conflicted)["other"]) == (b"theirs", b"2")
    assert pointer_at(conflicted, "") == pointer_at(conflicted, "other") != ours


def test_a_dataset_out_of_reach_keeps_no_other_back(several: Clone) -> None:
    several.delete_cache()
    several.write("other/a", b"new")
    several.add("other")
    (several.root / "other/a").unlink()
    resolution = checkout(several, "sets/one", "sets/two", "other")
    assert [(one.dataset, one.conflicts) for one in resolution.unresolved] == [("sets/one", ()), ("sets/two", ())]
    assert all(isinstance(one.problem, VersionNotFoundError) for one in resolution.unresolved)
    assert (several.root / "other/a").read_bytes() == b"new"


@pytest.mark.parametrize("side", [Side.OURS, Side.THEIRS])
def test_a_dataset_that_a_side_deleted_is_kept_or_no_dataset_any_more(clone: Clone, side: Side) -> None:
    clone.write("data/a", b"base")
    clone.save()
    clone.git("switch", "--quiet", "--create", "other")
    clone.write("data/a", b"changed")
    clone.save()
    clone.git("switch", "--quiet", "--create", "without", "main")
    clone.git("rm", "--quiet", "data.dver")
    clone.git("commit", "--quiet", "--message", "no data")
    here, there = ("without", "other") if side is Side.OURS else ("other", "without")
    clone.git("switch", "--quiet", here)
    merge(clone, there)
    with pytest.raises(PathError, match=f"data: {side} deleted or renamed it"):
        decide(clone, side)
    with pytest.raises(PathError, match=f"data: {side} deleted or renamed it"):
        decide(clone, side.other, "data/a")
    with clone.open() as repo:
        rm(repo, ["data"])
    assert clone.git("ls-files", "--", "data.dver") == ""
    clone.git("merge", "--abort")
    merge(clone, there)
    assert decide(clone, side.other).resolved == (Resolved("data", 1),)
    assert is_merged(clone)
    assert contents(clone) == {"a": b"changed"}


def test_more_choices_than_a_pointer_has_room_for_are_refused(clone: Clone) -> None:
    names = [os.fsdecode(b"\xff" * 250 + b"/") * 8 + f"{number}" for number in range(7)]
    for name in [*names, "last"]:
        clone.write(f"data/{name}", b"base")
    clone.save()
    ours, theirs = (both(*(write(f"data/{name}", text) for name in [*names, "last"])) for text in (b"1", b"2"))
    diverge(clone, ours, theirs)
    merge(clone)
    decide(clone, Side.THEIRS, *(f"data/{name}" for name in names[:3]))
    before = clone.pointer_text()
    with pytest.raises(FormatError, match="no room for 7 rulings"):
        decide(clone, Side.THEIRS, *(f"data/{name}" for name in names[3:]))
    assert clone.pointer_text() == before
    # One for the folder takes the place of them.
    decide(clone, Side.THEIRS, f"data/{names[0].partition('/')[0]}")
    assert len(recorded(clone)) == 1
    decide(clone, Side.OURS)
    assert sorted(contents(clone).values()) == [b"1", *7 * [b"2"]]


def test_marks_that_cannot_be_understood_stop_a_checkout_of_all_but_not_of_others(several: Clone) -> None:
    several.git("add", "--all")
    several.write("sets/one.dver", b"<<<<<<< ours\n")
    with pytest.raises(FormatError, match="marks of a merge that do not belong together"):
        checkout(several)
    with pytest.raises(FormatError, match="marks of a merge that do not belong together"):
        decide(several, Side.OURS)
    assert decide(several, Side.OURS, "sets/two").resolved == (Resolved("sets/two", 1),)
    assert checkout(several, "other").unresolved == ()
