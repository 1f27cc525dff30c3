"""Log: the versions of a dataset through git's history."""

import shutil
from pathlib import Path

import pytest

from dver.errors import PathError
from dver.operations.log import ChangeCounts, LogEntry, log
from dver.operations.mv import mv
from dver.operations.rm import rm
from tests.clones import Clone, noise


def entries(clone: Clone, path: str = "data") -> list[LogEntry]:
    with clone.open() as repo:
        return list(log(repo, path))


def test_each_version_with_its_commit_size_and_changes(clone: Clone) -> None:
    clone.write("data/a", noise(1000))
    clone.write("data/b", b"1")
    first = clone.save(message="first")
    clone.commit("nothing of it")
    clone.write("data/b", b"22")
    clone.write("data/c", b"3")
    (clone.root / "data" / "a").rename(clone.root / "data" / "d")
    second = clone.save(message="second")

    newest, oldest = entries(clone)

    assert (newest.commit, newest.subject, newest.author) == (second, "second", "A Tester")
    assert newest.changes == ChangeCounts(added=1, modified=1, deleted=0, renamed=1)
    assert newest.pointer is not None
    assert (newest.pointer.files, newest.pointer.size) == (3, 1003)
    assert (oldest.commit, oldest.subject) == (first, "first")
    assert oldest.changes == ChangeCounts(added=2, modified=0, deleted=0, renamed=0)
    assert newest.when.tzinfo is not None
    assert newest.when >= oldest.when


def test_history_goes_on_through_a_move(clone: Clone) -> None:
    clone.write("data/a", b"1")
    clone.save(message="made")
    with clone.open() as repo:
        mv(repo, "data", "other/place")
    clone.commit("moved")
    clone.write("other/place/b", b"2")
    clone.save("other/place", message="grown")

    found = entries(clone, "other/place")

    assert [(entry.subject, entry.dataset) for entry in found] == [
        ("grown", "other/place"),
        ("moved", "other/place"),
        ("made", "data"),
    ]
    assert found[1].changes == ChangeCounts(0, 0, 0, 0)


def test_a_deleted_dataset_still_has_its_history(clone: Clone) -> None:
    clone.write("data/a", b"1")
    clone.save(message="made")
    with clone.open() as repo:
        rm(repo, ["data"])
    clone.commit("gone")

    newest, oldest = entries(clone)

    assert newest.pointer is None
    assert newest.changes == ChangeCounts(added=0, modified=0, deleted=1, renamed=0)
    assert oldest.subject == "made"


@pytest.mark.parametrize("path", ["data.dver", "data/a"])
def test_the_pointer_and_paths_within_mean_the_dataset(clone: Clone, path: str) -> None:
    clone.write("data/a", b"1")
    clone.save(message="made")

    assert [entry.dataset for entry in entries(clone, path)] == ["data"]


def test_versions_out_of_reach_have_no_counts(clone: Clone) -> None:
    clone.write("data/a", b"1")
    clone.save()
    shutil.rmtree(clone.root / ".dver" / "cache")

    (entry,) = entries(clone)

    assert entry.changes is None
    assert entry.pointer is not None
    assert entry.pointer.files == 1


def test_versions_on_the_remote_are_counted(team: Clone, tmp_path: Path) -> None:
    (entry,) = entries(team.clone(tmp_path / "other"))

    assert entry.changes == ChangeCounts(added=8, modified=0, deleted=0, renamed=0)


def test_a_broken_pointer_in_between_is_no_obstacle(clone: Clone) -> None:
    clone.write("data/a", b"1")
    clone.save(message="made")
    good = clone.pointer_text()
    (clone.root / "data.dver").write_text("<<<<<<< broken\n")
    clone.commit("broken")
    (clone.root / "data.dver").write_text(good)
    clone.commit("repaired")

    assert [(entry.subject, entry.pointer is None) for entry in entries(clone)] == [
        ("repaired", False),
        ("broken", True),
        ("made", False),
    ]


@pytest.mark.parametrize(
    ("path", "reason"), [("data", "is not committed yet"), ("never", "never was one"), ("", "name one dataset")]
)
def test_what_has_no_history_is_refused(clone: Clone, path: str, reason: str) -> None:
    clone.commit()
    clone.write("data/a", b"1")
    clone.add()

    with pytest.raises(PathError, match=reason) as caught:
        entries(clone, path)

    assert caught.value.hint


def test_a_version_that_comes_or_goes_as_a_whole_counts_its_files(clone: Clone) -> None:
    clone.write("data/a", b"1")
    clone.write("data/sub/b", b"2")
    (clone.root / "data" / "link").symlink_to("a")
    (clone.root / "data" / "empty").mkdir()
    clone.save(message="made")
    (clone.root / "data" / "hollow").mkdir()
    clone.save(message="another folder")
    with clone.open() as repo:
        rm(repo, ["data"])
    clone.commit("removed")

    removed, folder, made = entries(clone)

    assert made.changes == ChangeCounts(added=3, modified=0, deleted=0, renamed=0)
    assert folder.changes == ChangeCounts(added=0, modified=0, deleted=0, renamed=0)
    assert removed.changes == ChangeCounts(added=0, modified=0, deleted=3, renamed=0)
