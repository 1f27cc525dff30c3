"""What a clone of somebody's repository must not be able to do to the one who checks it out."""

import subprocess
from pathlib import Path

import pytest

from dver.objects.pointer import pointer_path
from tests.commands import DverCommand, GitCommand


@pytest.fixture
def stocked(git_repo: Path, run_dver: DverCommand) -> tuple[DverCommand, GitCommand]:
    """A repository whose cache holds a dataset with an executable file `hooks/post-commit`."""
    dver, git = run_dver.at(git_repo), GitCommand(git_repo)
    hook = git_repo / "data" / "hooks" / "post-commit"
    hook.parent.mkdir(parents=True)
    hook.write_text("#!/bin/sh\ntouch owned\n")
    hook.chmod(0o755)
    dver.ok("init")
    dver.ok("add", "data")
    git("commit", "-m", "data")
    return dver, git


@pytest.mark.parametrize("dataset", [".git", ".dver", ".GIT", "sub/.git", "sub/.Git/hooks", ".DVER"])
def test_a_pointer_for_git_or_dver_itself_is_refused_before_anything_is_written(
    git_repo: Path, stocked: tuple[DverCommand, GitCommand], dataset: str
) -> None:
    dver, _ = stocked
    hostile = git_repo / pointer_path(dataset)
    if not hostile.parent.exists():
        # git itself would not add a file below a `.git`, a hostile server's tree may have one.
        hostile.parent.mkdir(parents=True)
    hostile.write_bytes((git_repo / "data.dver").read_bytes())
    before = sorted(path for path in git_repo.rglob("*") if path.name == "post-commit")

    for arguments in (["checkout"], ["checkout", "--force"], ["checkout", dataset]):
        dver.fails(3, *arguments)

    assert sorted(path for path in git_repo.rglob("*") if path.name == "post-commit") == before
    assert "broken" in dver.ok("status").lower()


def test_a_tree_entry_that_leads_out_of_the_repository_is_refused(
    git_repo: Path, stocked: tuple[DverCommand, GitCommand]
) -> None:
    dver, git = stocked
    blob = git("rev-parse", "HEAD:data.dver").strip()
    inner = _make_tree(git_repo, f"100644 blob {blob}\tevil.dver\n")
    outer = _make_tree(git_repo, f"040000 tree {inner}\t..\n")
    commit = git("commit-tree", "-m", "hostile", outer).strip()

    assert "refused" in dver.fails(3, "checkout", commit)
    assert sorted(path.name for path in git_repo.parent.iterdir()) == ["repo"]


def _make_tree(folder: Path, listing: str) -> str:
    done = subprocess.run(["git", "mktree"], cwd=folder, input=listing, capture_output=True, text=True, check=True)
    return done.stdout.strip()
