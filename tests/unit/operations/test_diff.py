"""Diff: which files differ, by manifests alone where two revisions are compared."""

import os
from pathlib import Path

import pytest

from dver.errors import GitError, PathError, VersionNotFoundError
from dver.operations.diff import ChangeKind, DatasetDiff, FileChange, diff
from dver.operations.kinds import NodeKind
from tests.clones import Clone, files_opened, noise
from tests.unit.operations.conftest import fill

ADDED, MODIFIED, DELETED, RENAMED = ChangeKind
_, FILE, EXECUTABLE, LINK, _ = NodeKind


def differences(clone: Clone, old: str | None = None, new: str | None = None, *paths: str) -> list[DatasetDiff]:
    with clone.open() as repo:
        return diff(repo, old, new, paths)


def files(clone: Clone, old: str | None = None, new: str | None = None, *paths: str) -> tuple[FileChange, ...]:
    found = differences(clone, old, new, *paths)
    assert len(found) < 2
    return found[0].files if found else ()


@pytest.fixture
def history(clone: Clone) -> Clone:
    """Two commits of a dataset, the second of which changes it in every way."""
    fill(clone)
    clone.save(message="first")
    clone.git("tag", "v1")
    clone.write("data/new", b"12345")
    clone.write("data/a.bin", noise(21_000))
    (clone.root / "data" / "zero").unlink()
    (clone.root / "data" / "sub" / "b.bin").rename(clone.root / "data" / "moved.bin")
    (clone.root / "data" / "sub" / "run.sh").chmod(0o644)
    (clone.root / "data" / "link").unlink()
    (clone.root / "data" / "link").symlink_to("moved.bin")
    clone.save(message="second")
    return clone


CHANGES = (
    FileChange(MODIFIED, "a.bin", None, 20_000, 21_000, FILE, FILE),
    FileChange(MODIFIED, "link", None, 0, 0, LINK, LINK),
    FileChange(RENAMED, "moved.bin", "sub/b.bin", 5000, 5000, FILE, FILE, same_content=True),
    FileChange(ADDED, "new", None, None, 5, None, FILE),
    FileChange(MODIFIED, "sub/run.sh", None, 10, 10, EXECUTABLE, FILE, same_content=True),
    FileChange(DELETED, "zero", None, 0, None, FILE, None),
)


def test_two_revisions(history: Clone) -> None:
    assert files(history, "v1", "HEAD") == CHANGES
    assert files(history, "v1", "main") == CHANGES
    assert differences(history, "HEAD", "HEAD") == []


def test_a_revision_and_the_working_files(history: Clone) -> None:
    assert files(history, "v1") == CHANGES
    assert files(history, "HEAD") == ()


def test_head_and_the_working_files_before_they_are_added(clone: Clone) -> None:
    fill(clone)
    clone.save()
    assert files(clone) == ()

    (clone.root / "data" / "a.bin").rename(clone.root / "data" / "b.bin")
    clone.write("data/zero", b"0")

    assert files(clone) == (
        FileChange(RENAMED, "b.bin", "a.bin", 20_000, 20_000, FILE, FILE, same_content=True),
        FileChange(MODIFIED, "zero", None, 0, 1, FILE, FILE),
    )
    clone.add()
    assert len(files(clone)) == 2


def test_looking_stores_nothing(clone: Clone) -> None:
    fill(clone)
    clone.save()
    clone.write("data/a.bin", noise(30_000, 5))
    before = sorted((clone.root / ".dver" / "cache").rglob("*"))

    files(clone)

    assert sorted((clone.root / ".dver" / "cache").rglob("*")) == before


def test_revisions_are_compared_without_a_checkout(history: Clone, tmp_path: Path) -> None:
    history.git("tag", "v2")
    bare = history.clone(tmp_path / "other")
    (bare.root / ".dver" / "config.local.toml").write_text(f'[cache]\ndir = "{history.root}/.dver/cache"\n')

    with files_opened(bare.root / "data") as opened:
        assert files(bare, "v1", "v2") == CHANGES
        assert files(bare, "v1") == CHANGES

    assert opened == []
    assert not (bare.root / "data").exists()


def test_manifests_come_from_the_remote_where_the_cache_has_none(team: Clone, tmp_path: Path) -> None:
    team.git("tag", "v1")
    team.write("data/new", b"1")
    team.save()
    team.push()

    other = team.clone(tmp_path / "other")

    assert files(other, "v1", "HEAD") == (FileChange(ADDED, "new", None, None, 1, None, FILE),)


def test_datasets_that_come_and_go(clone: Clone) -> None:
    clone.write("one/x", b"1")
    clone.save("one")
    clone.git("tag", "v1")
    clone.write("two/y", b"22")
    clone.git("rm", "--quiet", "one.dver")
    clone.save("two")

    one, two = differences(clone, "v1", "HEAD")

    assert (one.dataset, one.kind, one.new_version) == ("one", DELETED, None)
    assert one.files == (FileChange(DELETED, "x", None, 1, None, FILE, None),)
    assert (two.dataset, two.kind, two.old_version) == ("two", ADDED, None)
    assert two.files == (FileChange(ADDED, "y", None, None, 2, None, FILE),)


def test_before_the_first_commit_everything_is_new(clone: Clone) -> None:
    clone.write("data/x", b"1")
    clone.add()

    assert files(clone) == (FileChange(ADDED, "x", None, None, 1, None, FILE),)


def test_paths_narrow_it_to_datasets_and_parts(history: Clone) -> None:
    history.write("other/x", b"1")
    history.save("other")

    assert [found.dataset for found in differences(history, "v1", "HEAD")] == ["data", "other"]
    assert [change.path for change in files(history, "v1", "HEAD", "data/sub")] == ["sub/b.bin", "sub/run.sh"]
    assert [change.path for change in files(history, "v1", "HEAD", "data/new")] == ["new"]
    assert files(history, "v1", "HEAD", "data/untouched") == ()
    with pytest.raises(PathError):
        differences(history, "v1", "HEAD", "nothing")


def test_several_files_of_the_same_content_are_matched_one_to_one(clone: Clone) -> None:
    for name in ("a", "b"):
        clone.write(f"data/{name}", b"same")
    clone.save()
    for name in ("a", "b"):
        (clone.root / "data" / name).unlink()
    for name in ("x", "y", "z"):
        clone.write(f"data/{name}", b"same")

    assert [(change.kind, change.path, change.old_path) for change in files(clone)] == [
        (RENAMED, "x", "a"),
        (RENAMED, "y", "b"),
        (ADDED, "z", None),
    ]


def test_empty_files_are_never_renamed(clone: Clone) -> None:
    clone.write("data/a", b"")
    clone.save()
    (clone.root / "data" / "a").rename(clone.root / "data" / "b")

    assert [change.kind for change in files(clone)] == [DELETED, ADDED]


def test_a_file_that_becomes_a_folder(clone: Clone) -> None:
    clone.write("data/a", b"file")
    clone.save()
    (clone.root / "data" / "a").unlink()
    clone.write("data/a/b", b"in folder")

    assert [(change.kind, change.path) for change in files(clone)] == [(DELETED, "a"), (ADDED, "a/b")]


def test_a_partly_present_dataset_differs_only_where_it_is_present(team: Clone, tmp_path: Path) -> None:
    other = team.clone(tmp_path / "other")
    other.pull("data/sub")
    assert files(other) == ()

    (other.root / "data" / "sub" / "b.bin").unlink()

    assert [(change.kind, change.path) for change in files(other)] == [(DELETED, "sub/b.bin")]


def test_an_unknown_revision_is_named(clone: Clone) -> None:
    clone.commit()

    with pytest.raises(GitError, match="nonsense") as caught:
        differences(clone, "nonsense")

    assert caught.value.hint


def test_a_version_that_is_nowhere_is_named_with_the_command_that_helps(history: Clone) -> None:
    history.delete_cache()

    with pytest.raises(VersionNotFoundError) as caught:
        differences(history, "v1", "HEAD")

    assert caught.value.dataset == "data"
    assert caught.value.hint is not None
    assert "dver remote add" in caught.value.hint


def test_what_cannot_be_stored_is_named(clone: Clone) -> None:
    fill(clone)
    clone.save()
    os.mkfifo(clone.root / "data" / "pipe")

    with pytest.raises(PathError, match="data/pipe"):
        files(clone)
