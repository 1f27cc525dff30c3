"""Tests of what scripts use."""

import subprocess
from pathlib import Path

import pytest

import dver
from dver.errors import GitError, NotARepositoryError, PathError
from dver.operations.add import add
from dver.operations.init import init


@pytest.fixture
def repository(git_repo: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a dataset at two versions, and the current folder in it."""
    monkeypatch.chdir(git_repo)
    init(git_repo, chunk_size=1024)
    data = git_repo / "data"
    data.mkdir()
    (data / "table.csv").write_bytes(b"a,b\n" * 5000)
    (data / "note.txt").write_text("first")
    for subject in ("one", "two"):
        with dver.find_repo() as repo:
            add(repo, ["data"])
        subprocess.run(["git", "commit", "--quiet", "--all", "--message", subject], check=True, cwd=git_repo)
        (data / "note.txt").write_text("second")
    return git_repo


def test_read_returns_the_bytes_that_the_pointer_names(repository: Path) -> None:
    assert dver.read("data/note.txt") == b"second"


def test_read_at_a_revision_returns_the_bytes_of_that_commit(repository: Path) -> None:
    assert dver.read("data/note.txt", rev="HEAD~1") == b"first"


def test_read_needs_no_working_files(repository: Path) -> None:
    (repository / "data" / "table.csv").unlink()

    assert dver.read("data/table.csv") == b"a,b\n" * 5000


def test_open_gives_a_stream_that_can_be_read_line_by_line(repository: Path) -> None:
    with dver.open("data/table.csv") as file:
        assert file.readline() == b"a,b\n"
        assert file.read(6) == b"a,b\na,"
        assert len(file.readlines()) == 4998


def test_paths_are_relative_to_the_folder_given(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert dver.read("note.txt", repo=repository / "data") == b"second"


def test_ls_lists_datasets_and_what_is_in_them(repository: Path) -> None:
    assert [(item.path, item.files) for item in dver.ls()] == [("data", 2)]
    assert [(item.path, item.size) for item in dver.ls("data")] == [("data/note.txt", 6), ("data/table.csv", 20000)]


def test_errors_are_those_of_dver(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(PathError, match="not in the dataset data"):
        dver.read("data/missing.txt")
    with pytest.raises(GitError, match="no-such-branch"):
        dver.read("data/note.txt", rev="no-such-branch")
    with pytest.raises(NotARepositoryError):
        dver.read("data/note.txt", repo=tmp_path)


def test_only_the_public_names_are_exported() -> None:
    assert dver.__all__ == sorted(dver.__all__)
    with pytest.raises(AttributeError):
        dver.no_such_name  # noqa: B018  # the access is what is tested
