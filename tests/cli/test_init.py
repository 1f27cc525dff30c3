"""`dver init`."""

from pathlib import Path

import pytest

from tests.cli.runner import Cli, on_terminals
from tests.commands import GitCommand


def test_sets_dver_up_and_stages_its_files(git_repo: Path, git: GitCommand) -> None:
    assert Cli(git_repo).ok("init") == f"dver is set up in {git_repo}\n"
    assert ".dver/config.toml" in git("diff", "--cached", "--name-only").splitlines()


def test_works_from_a_subfolder(git_repo: Path) -> None:
    (git_repo / "sub").mkdir()
    Cli(git_repo / "sub").ok("init")
    assert (git_repo / ".dver/config.toml").is_file()


def test_says_what_comes_next_on_a_terminal(git_repo: Path) -> None:
    _, out, err = on_terminals(git_repo, "init")
    assert "is set up" in out
    assert "next: dver add PATH" in err


def test_may_be_run_again(cli: Cli) -> None:
    assert "already set up" in cli.ok("init")


def test_adds_a_remote_whose_path_is_from_the_current_folder(git_repo: Path) -> None:
    (git_repo / "sub").mkdir()
    Cli(git_repo / "sub").ok("init", "--remote", "../../store")
    assert Cli(git_repo).ok("remote", "list").split()[:2] == ["origin", "../store"]


def test_takes_the_size_of_chunks(git_repo: Path) -> None:
    cli = Cli(git_repo)
    cli.ok("init", "--chunk-size", "16KiB")
    assert cli.ok("config", "get", "chunks.size") == "16384\n"


@pytest.mark.parametrize("size", ["100", "x", "8MiB", "65537"])
def test_refuses_a_size_that_chunks_cannot_have(git_repo: Path, size: str) -> None:
    assert "--chunk-size" in Cli(git_repo).fails(2, "init", "--chunk-size", size)
    assert not (git_repo / ".dver").exists()


def test_needs_a_git_repository(tmp_path: Path) -> None:
    err = Cli(tmp_path).fails(3, "init")
    assert "is not in a git repository" in err
    assert "hint: git init" in err
