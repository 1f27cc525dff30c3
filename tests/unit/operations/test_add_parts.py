"""Paths within datasets: added and removed by themselves, without a look at what is not here."""

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dver.errors import DataLossError, DverError, PathError
from dver.operations.add import AddResult, add
from dver.operations.mv import mv
from dver.operations.rm import rm
from dver.operations.status import State
from tests.clones import Clone, Snapshot, noise
from tests.unit.operations.conftest import fill
from tests.unit.operations.inspection import check_all_objects, objects_in_cache
from tests.unit.operations.watched import Remote


def add_within(clone: Clone, *paths: str, force: bool = False) -> AddResult:
    with clone.open() as repo:
        return add(repo, paths, within=True, force=force)


def remove(clone: Clone, *paths: str, keep: bool = False) -> None:
    with clone.open() as repo:
        rm(repo, paths, keep=keep)


def pulled(team: Clone, other: Clone) -> Snapshot:
    """Return what others get after a push from a clone."""
    other.git("commit", "--quiet", "--all", "--message", "a change")
    other.push()
    team.git("pull", "--quiet", str(other.root), "main")
    team.pull()
    return team.data()


@pytest.fixture
def other(team: Clone, tmp_path: Path) -> Clone:
    """A clone of the team's repository without any data."""
    return team.clone(tmp_path / "other")


@pytest.fixture
def reads(remote: Remote) -> Callable[[], int]:
    """What a call of it returns: how often packs of the remote were read since the last."""
    last = 0

    def count() -> int:
        nonlocal last
        found = remote.calls["read_range"]
        last, since = found, found - last
        return since

    return count


def test_a_new_file_goes_into_a_dataset_of_which_nothing_is_here(
    team: Clone, other: Clone, reads: Callable[[], int]
) -> None:
    before = team.data()
    other.write("data/sub/new", b"new")

    added = add_within(other, "data/sub/new").added[0]

    assert (added.changed, added.pointer.files) == (True, 9)
    # The one node of the manifest, and no chunk.
    assert reads() == 1
    assert objects_in_cache(other) == 2
    found = other.status()
    assert (found.state, found.files_here, found.in_cache) == (State.UNCHANGED, 1, False)
    assert other.data() == {b"sub/new": ("file", b"new")}
    assert pulled(team, other) == {**before, b"sub/new": ("file", b"new")}


def test_of_a_large_manifest_few_nodes_are_read(team: Clone, tmp_path: Path, reads: Callable[[], int]) -> None:
    names = random.Random(1).sample(range(10**6), 6000)
    for name in names:
        team.write(f"many/{name:06}", b"%d" % name)
    team.save("many")
    team.push("many")
    other = team.clone(tmp_path / "other")
    other.write("many/500000x", b"new")
    reads()

    add_within(other, "many/500000x")
    remove(other, f"many/{names[0]:06}")

    assert reads() < 8
    assert objects_in_cache(other) < 12
    other.git("commit", "--quiet", "--all", "--message", "x")
    other.push()
    assert other.status("many", remote=True).on_remote
    team.git("pull", "--quiet", str(other.root), "main")
    team.pull("many")
    assert len(team.data("many")) == 6000
    assert (team.root / "many" / "500000x").read_bytes() == b"new"


def test_a_changed_file_of_a_part_is_added_and_others_stay_changed(team: Clone, other: Clone) -> None:
    other.pull("data/sub")
    other.write("data/sub/b.bin", noise(4000, 7))
    other.write("data/sub/deep/c", b"changed too")
    objects = objects_in_cache(other)

    add_within(other, "data/sub/b.bin")

    found = other.status()
    assert (found.state, found.changes.modified) == (State.MODIFIED, ("sub/deep/c",))
    assert objects_in_cache(other) - objects < 8
    assert pulled(team, other)[b"sub/b.bin"] == ("file", noise(4000, 7))
    assert team.data()[b"sub/deep/c"] == ("file", b"c")


def test_of_a_whole_dataset_only_what_is_named_is_added(clone: Clone) -> None:
    fill(clone)
    clone.save()
    clone.write("data/zero", b"no longer")
    clone.write("data/sub/new", b"new")
    (clone.root / "data" / "sub" / "run.sh").unlink()
    (clone.root / "data" / "link").unlink()

    add_within(clone, "data/sub")

    found = clone.status()
    assert (found.changes.modified, found.changes.deleted) == (("zero",), ("link",))
    assert (found.partial, found.in_cache) == (False, True)
    check_all_objects(clone)
    clone.checkout(force=True)
    assert b"sub/run.sh" not in clone.data()
    assert clone.data()[b"sub/new"] == ("file", b"new")


def test_a_deleted_path_is_added_as_deleted(clone: Clone) -> None:
    fill(clone)
    clone.save()
    (clone.root / "data" / "zero").unlink()

    assert add_within(clone, "data/zero").added[0].pointer.files == 7

    assert clone.status().state is State.UNCHANGED


def test_one_command_adds_parts_and_whole_datasets(clone: Clone) -> None:
    fill(clone)
    clone.save()
    clone.write("data/x", b"1")
    clone.write("data/y", b"2")
    clone.write("b/z", b"3")

    result = add_within(clone, "data/x", "b", "data/y", "data/x")

    assert [one.dataset for one in result.added] == ["data", "b"]
    assert clone.status().state is State.UNCHANGED


def test_the_version_is_the_same_as_that_of_the_whole(team: Clone, other: Clone) -> None:
    other.write("data/empty/x", b"1")
    team.write("data/empty/x", b"1")

    assert add_within(other, "data/empty/x").added[0].pointer == team.add().added[0].pointer


def test_files_that_dverignore_names_are_left_out(clone: Clone) -> None:
    fill(clone)
    clone.save()
    clone.write("data/.dverignore", b"*.tmp\n")
    clone.write("data/sub/x.tmp", b"1")
    clone.write("data/sub/x", b"1")

    with pytest.raises(PathError, match="left out by"):
        add_within(clone, "data/sub/x.tmp")
    add_within(clone, "data/sub")

    assert clone.status().changes.added == (".dverignore",)


@pytest.mark.parametrize(
    ("path", "reason"),
    [("data/nothing", "no such file"), ("data/sub/b.bin/x", "no such file"), ("data/pipe", "named pipe")],
)
def test_what_cannot_be_added_is_refused(clone: Clone, path: str, reason: str) -> None:
    fill(clone)
    clone.save()
    if path == "data/pipe":
        os.mkfifo(clone.root / path)
    before = clone.pointer_text()

    with pytest.raises(PathError, match=reason):
        add_within(clone, path)

    assert clone.pointer_text() == before


@pytest.mark.parametrize(("path", "clash"), [("data/a.bin/x", "data/a.bin"), ("data/sub", "data/sub")])
def test_a_file_cannot_take_the_place_of_absent_ones(other: Clone, path: str, clash: str) -> None:
    other.write(path, b"mine")

    with pytest.raises(PathError) as caught:
        add_within(other, path)

    assert caught.value.path == clash
    assert caught.value.hint == f"dver rm --keep {clash} takes what is not here out of the dataset"
    remove(other, clash, keep=True)
    add_within(other, path)
    assert other.data() == {path.removeprefix("data/").encode(): ("file", b"mine")}
    assert other.status().state is State.UNCHANGED


def test_a_path_behind_the_pointer_is_refused(history: Clone) -> None:
    history.git("checkout", "--quiet", "v1")
    history.write("data/x", b"1")

    for force in (False, True):
        with pytest.raises(PathError, match="pointer was changed"):
            add_within(history, "data/x", force=force)


def test_a_path_in_a_single_file_is_refused(clone: Clone) -> None:
    clone.write("one", b"1")
    clone.save("one")
    (clone.root / "one").unlink()
    clone.write("one/x", b"1")

    with pytest.raises(PathError, match="single file"):
        add_within(clone, "one/x")


def test_without_being_asked_for_paths_within_datasets_are_refused(clone: Clone) -> None:
    fill(clone)
    clone.save()

    with pytest.raises(PathError, match="lies within the dataset data"), clone.open() as repo:
        add(repo, ["data/zero"])


def test_an_absent_file_is_removed_without_fetching_anything(
    team: Clone, other: Clone, reads: Callable[[], int]
) -> None:
    remove(other, "data/a.bin")

    assert reads() == 1
    assert objects_in_cache(other) == 1
    assert not (other.root / "data").exists()
    after = pulled(team, other)
    assert b"a.bin" not in after
    assert len(after) == 8


def test_an_absent_file_is_moved_without_fetching_anything(team: Clone, other: Clone) -> None:
    other.pull("data/sub")
    objects = objects_in_cache(other)
    with other.open() as repo:
        mv(repo, "data/a.bin", "data/empty/moved.bin")

    assert objects_in_cache(other) == objects + 1
    after = pulled(team, other)
    assert after[b"empty/moved.bin"] == ("file", noise(20_000))
    assert b"a.bin" not in after


def test_a_file_added_here_and_not_pushed_can_be_removed_again(other: Clone) -> None:
    other.pull("data/sub")
    before = other.pointer_text()
    other.write("data/sub/new", b"new")
    add_within(other, "data/sub/new")

    remove(other, "data/sub/new")

    assert other.pointer_text() == before
    assert not (other.root / "data" / "sub" / "new").exists()


def test_a_changed_file_is_not_removed(other: Clone) -> None:
    other.pull("data/sub")
    other.write("data/sub/b.bin", b"mine")

    with pytest.raises(DataLossError) as caught:
        remove(other, "data/sub/b.bin")

    assert caught.value.paths == ("data/sub/b.bin",)


def test_a_version_made_of_a_part_is_not_said_to_be_in_the_cache(other: Clone) -> None:
    other.pull("data/sub")
    other.write("data/sub/new", b"new")
    add_within(other, "data/sub/new")
    remove(other, "data/zero")

    assert not other.status().in_cache


def test_it_cannot_be_pushed_to_a_remote_that_lacks_the_rest(other: Clone, tmp_path: Path) -> None:
    other.pull("data/sub")
    other.write("data/sub/new", b"new")
    add_within(other, "data/sub/new")
    shutil.rmtree(tmp_path / "remote")

    with pytest.raises(DverError, match="not all of it"):
        other.push()

    assert not (tmp_path / "remote" / "versions").exists()
