"""Status: every state a dataset can be in, and that clean means clean."""

import os
from pathlib import Path

import pytest

from dver.errors import FormatError, PathError, VersionNotFoundError
from dver.operations.status import State, status
from tests.clones import Clone, files_opened, noise
from tests.unit.operations.conftest import fill


def test_an_added_dataset_is_unchanged_and_tracked(clone: Clone) -> None:
    fill(clone)
    clone.add()

    found = clone.status()

    assert found.state is State.UNCHANGED
    assert not found.changes
    assert found.in_cache
    assert found.tracked
    assert found.on_remote is None
    assert found.pointer is not None
    assert found.pointer.files == 8


def test_changes_are_listed_by_kind_in_order(clone: Clone) -> None:
    fill(clone)
    clone.add()
    clone.write("data/new/é", b"1")
    clone.write("data/0", b"1")
    clone.write("data/a.bin", b"other")
    clone.write("data/sub/b.bin", noise(5000, 3))
    (clone.root / "data" / "sub" / "run.sh").chmod(0o644)
    (clone.root / "data" / "link").unlink()
    (clone.root / "data" / "zero").unlink()
    os.unlink(os.fsencode(clone.root) + b"/data/bad\xff\n")

    found = clone.status()

    assert found.state is State.MODIFIED
    assert found.changes.added == ("0", "new/é")
    assert found.changes.modified == ("a.bin", "sub/b.bin", "sub/run.sh")
    assert found.changes.deleted == ("bad\udcff\n", "link", "zero")


@pytest.mark.parametrize("lose_stat_cache", [False, True])
def test_a_second_status_reads_no_data(clone: Clone, lose_stat_cache: bool) -> None:
    fill(clone)
    clone.add()
    if lose_stat_cache:
        clone.forget_stat_cache()
        clone.status()

    with files_opened(clone.root / "data") as opened:
        for _ in range(2):
            assert clone.status().state is State.UNCHANGED

    assert opened == []


def test_touched_files_are_unchanged_and_read_once(clone: Clone) -> None:
    fill(clone)
    clone.add()
    (clone.root / "data" / "a.bin").touch()
    (clone.root / "data" / "sub" / "b.bin").touch()

    with files_opened(clone.root / "data") as opened:
        for _ in range(3):
            assert clone.status().state is State.UNCHANGED

    assert len(opened) == 2


def test_a_copy_with_the_same_content_is_unchanged(clone: Clone) -> None:
    fill(clone)
    clone.add()
    (clone.root / "data" / "a.bin").write_bytes(noise(20_000))

    assert clone.status().state is State.UNCHANGED


def test_changes_right_after_an_add_are_always_seen(clone: Clone) -> None:
    path = clone.write("data/x", b"0")
    for number in range(15):
        clone.add()
        path.write_bytes(b"%d" % ((number + 1) % 10))
        assert clone.status().changes.modified == ("x",)


def test_changes_right_after_a_checkout_are_always_seen(clone: Clone) -> None:
    path = clone.write("data/x", b"0")
    clone.add()
    for number in range(1, 10):
        path.unlink()
        clone.checkout()
        path.write_bytes(b"%d" % number)
        assert clone.status().changes.modified == ("x",)


def test_data_that_was_never_checked_out_or_deleted_whole_is_not_checked_out(clone: Clone, tmp_path: Path) -> None:
    fill(clone)
    clone.write("file", b"1")
    clone.save("data", "file")

    assert clone.clone(tmp_path / "other").status().state is State.NOT_CHECKED_OUT

    (clone.root / "data").rename(tmp_path / "away")
    (clone.root / "file").unlink()
    assert clone.status().state is State.NOT_CHECKED_OUT
    assert clone.status("file").state is State.NOT_CHECKED_OUT


def test_an_emptied_folder_is_modified(clone: Clone) -> None:
    clone.write("data/x", b"1")
    clone.add()
    (clone.root / "data" / "x").unlink()

    assert clone.status().changes.deleted == ("x",)


def test_a_pointer_that_git_changed_is_told_apart_from_changed_data(clone: Clone) -> None:
    clone.write("data/x", b"1")
    first = clone.save()
    clone.write("data/x", b"2")
    clone.save()
    clone.git("checkout", "--quiet", first)

    found = clone.status()
    assert found.state is State.POINTER_CHANGED
    assert not found.changes
    assert found.base is not None
    assert found.pointer is not None
    assert found.base != found.pointer.version

    clone.write("data/new", b"3")
    found = clone.status()
    assert found.state is State.POINTER_CHANGED
    assert found.changes.added == ("new",)


def test_a_version_that_is_not_in_the_cache_is_said_to_be_missing_there(clone: Clone) -> None:
    fill(clone)
    clone.add()
    clone.delete_cache()

    found = clone.status()

    assert found.state is State.UNCHANGED
    assert not found.in_cache


def test_without_any_manifest_working_files_cannot_be_compared(clone: Clone) -> None:
    fill(clone)
    clone.add()
    clone.delete_cache()
    clone.forget_stat_cache()

    found = clone.status()

    assert found.state is State.UNKNOWN
    assert isinstance(found.problem, VersionNotFoundError)
    assert found.problem.hint


def test_the_remote_is_asked_only_when_wanted(team: Clone) -> None:
    assert team.status(remote=True).on_remote is True

    team.write("data/new", b"1")
    team.add()

    assert team.status(remote=True).on_remote is False
    assert team.status().on_remote is None


def test_pointers_that_git_does_not_know_are_untracked(clone: Clone) -> None:
    fill(clone)
    clone.add()
    clone.git("rm", "--quiet", "--cached", "data.dver")

    assert not clone.status().tracked


def test_a_broken_pointer_hides_no_other_dataset(clone: Clone) -> None:
    fill(clone)
    clone.write("good/x", b"1")
    clone.add("data", "good")
    (clone.root / "data.dver").write_text("not a pointer")

    with clone.open() as repo:
        broken, good = status(repo)

    assert (broken.dataset, broken.state) == ("data", State.BROKEN)
    assert isinstance(broken.problem, FormatError)
    assert good.state is State.UNCHANGED


def test_a_dataset_that_became_a_link_is_modified(clone: Clone, tmp_path: Path) -> None:
    fill(clone)
    clone.add()
    (clone.root / "data").rename(tmp_path / "elsewhere")
    (clone.root / "data").symlink_to(tmp_path / "nowhere")

    assert clone.status().state is State.MODIFIED

    clone.forget_stat_cache()
    assert clone.status().state is State.MODIFIED


def test_what_cannot_be_stored_counts_as_a_change(clone: Clone) -> None:
    fill(clone)
    clone.add()
    os.mkfifo(clone.root / "data" / "pipe")

    found = clone.status()

    assert found.state is State.MODIFIED
    assert found.changes.added == ("pipe",)


def test_paths_narrow_what_is_looked_at(clone: Clone) -> None:
    for dataset in ("a/one", "a/two", "b"):
        clone.write(f"{dataset}/x", b"1")
    clone.add("a/one", "a/two", "b")

    with clone.open() as repo:
        assert [found.dataset for found in status(repo)] == ["a/one", "a/two", "b"]
        assert [found.dataset for found in status(repo, ["a"])] == ["a/one", "a/two"]
        assert [found.dataset for found in status(repo, ["b.dver", "a/one"])] == ["b", "a/one"]
        assert [found.dataset for found in status(repo, ["b/x"])] == ["b"]
        with pytest.raises(PathError) as caught:
            status(repo, ["c"])
    assert caught.value.hint


def test_without_datasets_there_is_nothing_to_say(clone: Clone) -> None:
    with clone.open() as repo:
        assert status(repo) == []
