"""Drop: what is stored goes from the working tree and comes back; what is not stored stays."""

import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from dver.errors import DataLossError, DverError, PathError
from dver.operations import drop as dropping
from dver.operations.checkout import CheckoutOptions, checkout
from dver.operations.drop import CACHE, Drop, drop
from dver.operations.status import State
from dver.workspace.deletion import delete_files
from dver.workspace.folders import Folders
from dver.workspace.statcache import TICK_NS
from tests.clones import Clone, noise
from tests.unit.operations.conftest import fill


def run_drop(clone: Clone, *paths: str, force: bool = False, dry_run: bool = False) -> Drop:
    with clone.open() as repo:
        return drop(repo, paths, force=force, dry_run=dry_run)[0]


@pytest.fixture
def stored(clone: Clone) -> Clone:
    """A committed dataset that is in the cache only."""
    fill(clone)
    # The stat of what was written within the last clock tick is not trusted.
    time.sleep(2 * TICK_NS / 1e9)
    clone.save()
    return clone


def without(clone: Clone, *folders: bytes) -> dict[bytes, tuple[str, bytes]]:
    return {path: found for path, found in clone.data().items() if not path.startswith(folders)}


def lose_cache(clone: Clone, what: str = "") -> None:
    shutil.rmtree(clone.root / ".dver/cache" / what)


def test_a_dataset_goes_and_comes_back(stored: Clone) -> None:
    before = stored.data()
    dropped = run_drop(stored, "data")
    assert (dropped.files, dropped.stored_in) == (7, CACHE)
    assert dropped.size == sum(len(content) for kind, content in before.values() if kind in ("file", "executable"))
    assert not (stored.root / "data").exists()
    assert (stored.root / "data.dver").exists()
    assert stored.status().state is State.NOT_CHECKED_OUT
    assert stored.git("status", "--porcelain") == ""
    stored.checkout(None, "data")
    assert stored.data() == before
    found = stored.status()
    assert (found.state, found.partial) == (State.UNCHANGED, False)


def test_a_part_goes_and_counts_as_absent_by_choice(stored: Clone) -> None:
    before = stored.data()
    rest = without(stored, b"sub/", b"empty")
    dropped = run_drop(stored, "data/sub", "data/empty")
    assert (dropped.files, dropped.parts) == (3, (b"sub", b"empty"))
    assert stored.data() == rest
    assert not (stored.root / "data/sub").exists()
    found = stored.status()
    assert (found.state, found.partial, bool(found.changes)) == (State.UNCHANGED, True, False)
    stored.checkout(None, "data/sub")
    assert stored.data() == {path: found for path, found in before.items() if path != b"empty"}
    stored.checkout(None, "data")
    assert stored.data() == before
    assert not stored.status().partial


def test_what_was_dropped_stays_away_and_stays_in_the_version(stored: Clone) -> None:
    everything = stored.data()
    run_drop(stored, "data/sub")
    stored.checkout()
    assert not (stored.root / "data/sub").exists()
    stored.write("data/new", b"new")
    stored.save()
    assert stored.status().state is State.UNCHANGED
    run_drop(stored, "data")
    stored.checkout()
    assert not (stored.root / "data").exists()
    stored.checkout(None, "data")
    assert stored.data() == {**everything, b"new": ("file", b"new")}


def test_a_new_version_of_what_was_dropped_does_not_come(stored: Clone, tmp_path: Path) -> None:
    first = stored.git("rev-parse", "HEAD").strip()
    stored.write("data/sub/b.bin", noise(5000, 9))
    stored.write("data/a.bin", noise(20_000, 9))
    second = stored.save()
    stored.checkout(first)
    run_drop(stored, "data/sub")
    stored.checkout(second)
    assert not (stored.root / "data/sub").exists()
    assert stored.data()[b"a.bin"] == ("file", noise(20_000, 9))
    run_drop(stored, "data")
    stored.checkout(first)
    assert not (stored.root / "data").exists()


def test_a_single_file(clone: Clone) -> None:
    clone.write("one.bin", noise(3000))
    clone.save("one.bin")
    assert run_drop(clone, "one.bin").files == 1
    assert not (clone.root / "one.bin").exists()
    assert clone.status("one.bin").state is State.NOT_CHECKED_OUT
    clone.checkout(None, "one.bin")
    assert (clone.root / "one.bin").read_bytes() == noise(3000)


def test_a_second_drop_finds_nothing(stored: Clone) -> None:
    run_drop(stored, "data/sub")
    assert run_drop(stored, "data/sub").deletes == ()
    run_drop(stored, "data")
    again = run_drop(stored, "data")
    assert (again.deletes, again.is_safe) == ((), True)
    run_drop(stored, "data/sub")


def test_nothing_of_a_fresh_clone_comes_after_a_drop(team: Clone, tmp_path: Path) -> None:
    other = team.clone(tmp_path / "other")
    assert run_drop(other, "data").deletes == ()
    other.checkout()
    assert not (other.root / "data").exists()


@pytest.mark.parametrize("paths", [("data",), ("data/sub",), ("data/sub/b.bin", "data/sub")])
def test_a_dry_run_deletes_nothing(stored: Clone, paths: tuple[str, ...]) -> None:
    before = stored.data()
    plan = run_drop(stored, *paths, dry_run=True)
    assert plan.is_safe
    assert plan.files
    assert stored.data() == before
    assert not stored.status().partial


def test_new_and_changed_files_are_refused_and_only_where_they_are_asked_for(stored: Clone) -> None:
    stored.write("data/sub/new", b"new")
    stored.write("data/a.bin", b"changed")
    before = stored.data()
    with pytest.raises(DataLossError, match="2 files that are not in its version") as caught:
        run_drop(stored, "data")
    assert caught.value.paths == ("data/a.bin", "data/sub/new")
    assert "dver add data" in str(caught.value.hint)
    with pytest.raises(DataLossError):
        run_drop(stored, "data/link", "data/sub/new")
    assert stored.data() == before
    plan = run_drop(stored, "data", dry_run=True)
    assert (plan.is_safe, plan.changed) == (False, ("data/a.bin", "data/sub/new"))
    run_drop(stored, "data/sub/deep")
    assert stored.status().changes.added == ("sub/new",)
    run_drop(stored, "data", force=True)
    assert not (stored.root / "data").exists()


def test_nothing_is_dropped_if_one_of_several_is_refused(stored: Clone) -> None:
    stored.write("other", b"other")
    stored.save("other")
    stored.write("other", b"changed")
    with pytest.raises(DataLossError):
        run_drop(stored, "data", "other")
    assert (stored.root / "data/a.bin").exists()


def test_deleted_files_are_in_nobodys_way(stored: Clone) -> None:
    (stored.root / "data/sub/b.bin").unlink()
    assert run_drop(stored, "data/sub").files == 2
    found = stored.status()
    assert (found.state, bool(found.changes)) == (State.UNCHANGED, False)
    stored.checkout(None, "data/sub")
    assert stored.data()[b"sub/b.bin"] == ("file", noise(5000, 2))


def test_data_that_is_stored_nowhere_is_refused(stored: Clone) -> None:
    lose_cache(stored)
    before = stored.data()
    with pytest.raises(DataLossError, match="neither all in the cache nor on a remote"):
        run_drop(stored, "data")
    assert stored.data() == before
    assert stored.status().state is State.UNCHANGED


@pytest.mark.parametrize("part", ["", "/sub"])
def test_packs_that_are_missing_count_although_the_index_lists_them(stored: Clone, part: str) -> None:
    lose_cache(stored, "packs")
    with pytest.raises(DataLossError) as caught:
        run_drop(stored, f"data{part}")
    assert "the cache has lost packs" in str(caught.value.hint)
    run_drop(stored, "data", force=True)
    assert not (stored.root / "data").exists()


def test_nothing_goes_where_packs_were_cut_off(stored: Clone) -> None:
    before = stored.data()
    for pack in (stored.root / ".dver/cache/packs").rglob("*.pack"):
        pack.chmod(0o644)
        with pack.open("r+b") as file:
            file.truncate(pack.stat().st_size // 2)
    with pytest.raises(DverError):
        run_drop(stored, "data")
    assert stored.data() == before


def test_chunks_of_the_part_are_enough(team: Clone, tmp_path: Path) -> None:
    other = team.clone(tmp_path / "other")
    other.pull("data/sub")
    shutil.rmtree(tmp_path / "remote")
    assert run_drop(other, "data/sub").stored_in == CACHE


def test_a_remote_will_do(team: Clone) -> None:
    before = team.data()
    lose_cache(team)
    assert run_drop(team, "data").stored_in == "origin"
    team.pull("data")
    assert team.data() == before


def test_a_remote_that_lacks_the_version_will_not(team: Clone) -> None:
    team.write("data/a.bin", noise(20_000, 7))
    team.save()
    lose_cache(team)
    with pytest.raises(DataLossError):
        run_drop(team, "data")
    team.add()
    assert run_drop(team, "data").stored_in == CACHE


def test_another_remote_than_the_default_will_do_even_if_that_cannot_be_asked(
    team: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "remote").rename(tmp_path / "backup")
    with (team.root / ".dver/config.toml").open("a") as file:
        file.write(f'[remotes.backup]\nurl = "{tmp_path}/backup"\n')
    lose_cache(team)
    assert run_drop(team, "data", dry_run=True).stored_in == "backup"


def test_paths_that_cannot_be_dropped(stored: Clone) -> None:
    with pytest.raises(PathError, match="no dataset is there"):
        run_drop(stored, "nothing")
    with pytest.raises(PathError, match="is not in the dataset data"):
        run_drop(stored, "data/nothing")
    stored.write("one", b"1")
    stored.save("one")
    with pytest.raises(PathError, match="is a single file and has no parts"):
        run_drop(stored, "one/part")


def test_a_checkout_that_was_cut_off_comes_first(stored: Clone) -> None:
    with stored.open() as repo:
        repo.stat_cache.begin_checkout("data")
    with pytest.raises(PathError, match="was cut off"):
        run_drop(stored, "data")


def test_files_that_the_rules_leave_out_stay_and_are_not_taken_for_new(clone: Clone) -> None:
    clone.write("data/.dverignore", b"*.tmp\n")
    clone.write("data/a", b"a")
    clone.write("data/sub/b", b"b")
    clone.write("data/sub/notes.tmp", b"mine")
    clone.write("data/other/.dverignore", b"*.log\n")
    clone.save()
    run_drop(clone, "data")
    assert sorted(clone.data()) == [b".dverignore", b"sub/notes.tmp"]
    found = clone.status()
    assert (found.state, bool(found.changes)) == (State.UNCHANGED, False)
    clone.checkout(None, "data")
    assert sorted(clone.data()) == [b".dverignore", b"a", b"other/.dverignore", b"sub/b", b"sub/notes.tmp"]
    assert clone.status().state is State.UNCHANGED


def test_the_rules_of_an_outer_folder_go_after_those_of_inner_ones(clone: Clone) -> None:
    for folder in "", "+inner/", "inner/", "inner/+deep/":
        clone.write(f"data/{folder}.dverignore", b"*.tmp\n")
        clone.write(f"data/{folder}a", b"a")
    clone.save()
    run_drop(clone, "data")
    assert not (clone.root / "data").exists()


@pytest.mark.parametrize("path", ["a.bin", "sub/b.bin"])
def test_a_file_that_is_edited_after_the_plan_was_made_is_kept(
    stored: Clone, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    real = delete_files

    def edited(folders: Folders, paths: Sequence[bytes], **options: Any) -> None:
        stored.write(f"data/{path}", b"edited")
        real(folders, paths, **options)

    with monkeypatch.context() as patch:
        patch.setattr(dropping, "delete_files", edited)
        with pytest.raises(DataLossError, match="was changed while") as caught:
            run_drop(stored, "data")
    assert caught.value.paths == (f"data/{path}",)
    assert (stored.root / "data" / path).read_bytes() == b"edited"
    with pytest.raises(DataLossError, match="nothing was dropped"):
        run_drop(stored, "data")
    with monkeypatch.context() as patch:
        patch.setattr(dropping, "delete_files", edited)
        run_drop(stored, "data", force=True)
    assert not (stored.root / "data").exists()


def test_a_file_that_is_only_touched_after_the_plan_was_made_goes(
    stored: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = delete_files

    def touched(folders: Folders, paths: Sequence[bytes], **options: Any) -> None:
        os.utime(stored.root / "data/a.bin", (1, 1))
        monkeypatch.undo()
        real(folders, paths, **options)

    monkeypatch.setattr(dropping, "delete_files", touched)
    run_drop(stored, "data")
    assert not (stored.root / "data").exists()


def test_a_drop_that_is_killed_leaves_nothing_that_looks_changed_and_can_be_run_again(
    stored: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(_folders: Folders, _paths: object, **_options: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(dropping, "delete_files", killed)
        with pytest.raises(KeyboardInterrupt):
            run_drop(stored, "data/sub")
    found = stored.status()
    assert (found.state, bool(found.changes)) == (State.UNCHANGED, False)
    assert run_drop(stored, "data/sub").files == 3
    assert not (stored.root / "data/sub").exists()


def test_data_at_another_version_than_its_pointer_is_dropped_if_that_version_is_stored(stored: Clone) -> None:
    first = stored.git("rev-parse", "HEAD").strip()
    stored.write("data/a.bin", b"second")
    stored.save()
    stored.git("checkout", "--quiet", first, "--", "data.dver")
    assert stored.status().state is State.POINTER_CHANGED
    run_drop(stored, "data")
    assert stored.status().state is State.NOT_CHECKED_OUT
    with stored.open() as repo:
        checkout(repo, None, ["data/sub"], options=CheckoutOptions())
    assert stored.status().state is State.UNCHANGED
    assert sorted(path.partition(b"/")[0] for path in stored.data()) == [b"sub"] * 3
