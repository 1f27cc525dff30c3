"""A work tree of its own that reads the objects of another repository."""

import subprocess
from pathlib import Path

import pytest

from dver.errors import GitError
from dver.git import CommitId, GitRepo
from dver.git.borrowing import borrow
from tests.clones import snapshot
from tests.commands import GitCommand


@pytest.fixture
def source(git_repo: Path, run_git: GitCommand) -> GitRepo:
    (git_repo / "folder").mkdir()
    (git_repo / "folder" / "run.sh").write_text("#!/bin/sh\n")
    (git_repo / "folder" / "run.sh").chmod(0o755)
    (git_repo / "link").symlink_to("folder")
    git = run_git.at(git_repo)
    git("add", "--all")
    git("commit", "--quiet", "-m", "first")
    (git_repo / "folder" / "run.sh").write_text("changed\n")
    (git_repo / "untracked").write_text("untracked\n")
    return GitRepo.find(git_repo)


def test_has_the_files_of_the_commit_and_its_history(source: GitRepo, tmp_path: Path) -> None:
    commit = source.head_commit()
    before = snapshot(source.root)
    (tmp_path / "tree").mkdir()

    borrow(source, tmp_path / "tree", commit)

    files = {path: what for path, what in snapshot(tmp_path / "tree").items() if not path.startswith(b".git/")}
    assert files == {b"folder/run.sh": ("executable", b"#!/bin/sh\n"), b"link": ("link", b"folder")}
    git = GitCommand(tmp_path / "tree")
    assert git("status", "--porcelain") == ""
    assert git("rev-parse", "HEAD").strip() == commit
    assert git("remote") == git("branch", "--list", "main") == ""
    assert snapshot(source.root) == before


def test_without_a_commit_there_are_no_files(source: GitRepo, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()

    borrow(source, tmp_path / "tree", None)

    assert GitCommand(tmp_path / "tree")("status", "--porcelain") == ""
    assert [path.name for path in (tmp_path / "tree").iterdir()] == [".git"]


def test_what_a_shallow_clone_lacks_is_no_trouble(source: GitRepo, tmp_path: Path) -> None:
    GitCommand(source.root)("commit", "--quiet", "--all", "-m", "second")
    subprocess.run(
        ["git", "clone", "--quiet", "--depth", "1", f"file://{source.root}", str(tmp_path / "shallow")], check=True
    )
    shallow = GitRepo.find(tmp_path / "shallow")
    (tmp_path / "tree").mkdir()

    borrow(shallow, tmp_path / "tree", shallow.head_commit())

    assert len(GitCommand(tmp_path / "tree")("log", "--oneline").splitlines()) == 1


def test_an_unknown_commit_is_refused(source: GitRepo, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()

    with pytest.raises(GitError, match="cannot make a work tree"):
        borrow(source, tmp_path / "tree", CommitId("1" * 40))
