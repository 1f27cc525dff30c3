"""`dver hook pre-commit`, by itself and as git runs it."""

import shlex
from pathlib import Path

import pytest

from tests.cli.runner import Cli
from tests.commands import DverCommand, GitCommand


@pytest.fixture
def hooked(dataset: Cli, run_dver: DverCommand, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """dver where a dataset and code are committed, and git runs the checks."""
    hook = dataset.write(".git/hooks/pre-commit", f"#!/bin/sh\nexec {shlex.join(run_dver.command)} hook pre-commit\n")
    hook.chmod(0o755)
    for name, value in run_dver.environment.items():
        monkeypatch.setenv(name, value)
    return dataset


def test_says_nothing_where_nothing_is_wrong(dataset: Cli, git: GitCommand) -> None:
    dataset.write("code.py", "pass\n")
    git("add", "--all")
    assert dataset.ok("hook", "pre-commit") == ""


def test_runs_all_checks_and_fails_if_one_does(dataset: Cli, git: GitCommand) -> None:
    dataset.write("x.dver", "# dver pointer\n")
    dataset.write("big", "x" * (2 << 20))
    git("add", "--all")
    dataset.write("data/new", "1")
    err = dataset.fails(1, "hook", "pre-commit")
    assert "x.dver: not a dver pointer" in err
    assert "    big  2.0 MiB  is over 1.0 MiB\n" in err
    assert "hint: dver add data\n" in err


def test_says_once_what_is_wrong_with_the_settings(dataset: Cli, git: GitCommand) -> None:
    dataset.write(".dver/config.toml", "[remotes.origin]\nurl = 's3://x/y'\nsecret = 'abc'\n")
    git("add", ".dver/config.toml")
    err = dataset.fails(1, "hook", "pre-commit")
    assert err.count("dver: error: ") == 1
    assert ".dver/config.toml: " in err


def test_looks_only_at_what_the_commit_changes(dataset: Cli, git: GitCommand) -> None:
    dataset.write("big", "x" * (2 << 20))
    git("add", "--force", "big", "data/a.csv")
    assert dataset("hook", "pre-commit").code == 1
    git("commit", "--quiet", "-m", "all the same")
    assert dataset.ok("hook", "pre-commit") == ""


def test_does_nothing_where_dver_is_not_set_up(git_repo: Path) -> None:
    assert Cli(git_repo).ok("hook", "pre-commit") == ""


def test_git_commits_only_when_data_and_pointer_agree(hooked: Cli, git: GitCommand) -> None:
    hooked.write("data/new", "1")
    hooked.write("code.py", "pass\n")
    git("add", "code.py")
    assert "dver add data" in git.fails("commit", "-m", "one")
    hooked.ok("add", "data")
    git("commit", "--quiet", "-m", "one")
    assert git("status", "--porcelain") == ""


def test_git_commit_from_a_subfolder_and_amended(hooked: Cli, git: GitCommand) -> None:
    hooked.write("sub/code.py", "pass\n")
    hooked.write("data/new", "1")
    git("add", "sub/code.py")
    assert "dver add ../data\n" in git.at(hooked.folder / "sub").fails("commit", "-m", "one")
    hooked.ok("add", "data")
    git.at(hooked.folder / "sub")("commit", "--quiet", "--amend", "--no-edit")
    assert git("show", "--name-only", "--format=", "HEAD").split()[-2:] == ["data.dver", "sub/code.py"]


def test_git_commit_all_looks_at_what_it_will_commit(hooked: Cli, git: GitCommand) -> None:
    hooked.write("code.txt", "1")
    git("add", "code.txt")
    git("commit", "--quiet", "-m", "one")
    hooked.write("code.txt", "x" * (2 << 20))
    hooked.write("data/new", "1")
    hooked.ok("add", "--no-stage", "data")
    said = git.fails("commit", "-a", "-m", "two")
    assert "code.txt  2.0 MiB" in said
    assert "data.dver" not in said
    hooked.write("code.txt", "2")
    git("commit", "--quiet", "-a", "-m", "two")
    assert git("status", "--porcelain") == ""


def test_git_commit_of_named_paths_may_leave_a_staged_pointer_out(hooked: Cli, git: GitCommand) -> None:
    hooked.write("code.txt", "1")
    git("add", "code.txt")
    git("commit", "--quiet", "-m", "one")
    hooked.write("code.txt", "2")
    hooked.write("data/new", "1")
    assert "dver add data" in git.fails("commit", "code.txt", "-m", "two")
    hooked.ok("add", "data")
    git("commit", "--quiet", "code.txt", "-m", "two")
    assert git("status", "--porcelain") == "M  data.dver\n"
    git("commit", "--quiet", "data.dver", "-m", "three")
    assert git("status", "--porcelain") == ""


def test_git_makes_the_first_commit(cli: Cli, git: GitCommand, run_dver: DverCommand) -> None:
    cli.write("data/a", "1")
    cli.ok("add", "data")
    command = shlex.join(run_dver.command)
    cli.write(".git/hooks/pre-commit", f"#!/bin/sh\nexec {command} hook pre-commit\n").chmod(0o755)
    git("commit", "--quiet", "-m", "the first", env=run_dver.environment)


def test_works_in_a_linked_work_tree(hooked: Cli, git: GitCommand, tmp_path: Path) -> None:
    other = Cli(tmp_path / "other")
    git("worktree", "add", "--quiet", "-b", "side", str(other.folder))
    other.ok("checkout")
    other.write("data/new", "1")
    there = git.at(other.folder)
    assert "dver add data" in there.fails("commit", "--allow-empty", "-m", "one")
    other.ok("add", "data")
    there("commit", "--quiet", "-m", "one")
    assert git("status", "--porcelain") == ""
