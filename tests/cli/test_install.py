"""`dver install` and `dver uninstall`."""

import sys
from pathlib import Path

import pytest

from tests.cli.runner import Cli
from tests.commands import GitCommand

HOOKS = ("pre-commit", "pre-push", "post-checkout", "post-merge", "post-rewrite", "post-commit")


def test_says_what_it_did_and_undid(cli: Cli) -> None:
    assert cli.ok("install").splitlines() == [
        *(f".git/hooks/{name}: runs dver" for name in HOOKS),
        "merge.dver: git merges datasets file by file",
        "diff.dver: git diff shows which files changed",
        ".gitattributes: names both for pointers; commit it, so that it holds in every clone",
    ]
    assert cli.ok("uninstall").splitlines() == [
        *(f".git/hooks/{name}: removed" for name in sorted(HOOKS)),
        "merge.dver: removed from git's settings",
        "diff.dver: removed from git's settings",
        ".gitattributes: dver's lines removed; commit it",
    ]


def test_has_nothing_to_do_the_second_time(cli: Cli) -> None:
    cli.ok("install")
    assert cli.ok("install") == f"nothing to do: git runs dver in {cli.folder}\n"
    cli.ok("uninstall")
    assert cli.ok("uninstall") == f"nothing to do: git does not run dver in {cli.folder}\n"


def test_hooks_run_the_python_that_installed_them(cli: Cli, git: GitCommand) -> None:
    cli.ok("install")
    assert sys.executable in (cli.folder / ".git/hooks/pre-commit").read_text()
    assert sys.executable in git("config", "merge.dver.driver")


def test_leaves_hooks_to_others_if_told(cli: Cli) -> None:
    before = sorted((cli.folder / ".git/hooks").iterdir())
    assert cli.ok("install", "--no-hooks").splitlines() == [
        "merge.dver: git merges datasets file by file",
        "diff.dver: git diff shows which files changed",
        ".gitattributes: names both for pointers; commit it, so that it holds in every clone",
    ]
    assert sorted((cli.folder / ".git/hooks").iterdir()) == before
    assert cli.ok("install", "--no-hooks") == f"nothing to do: git runs dver in {cli.folder}\n"
    cli.ok("install")
    cli.ok("install", "--no-hooks")
    assert (cli.folder / ".git/hooks/pre-commit").exists()


def test_does_not_stage_anything(cli: Cli, git: GitCommand) -> None:
    before = git("ls-files", "--stage")
    cli.ok("install")
    assert git("ls-files", "--stage") == before


def test_names_the_hook_that_goes_on_to_run(cli: Cli) -> None:
    cli.write(".git/hooks/pre-push", "#!/bin/sh\n")
    told = "runs dver, after the hook that was there, now .git/hooks/pre-push.before-dver"
    assert f".git/hooks/pre-push: {told}\n" in cli.ok("install")
    assert ".git/hooks/pre-push: is again the hook that was there before\n" in cli.ok("uninstall")


def test_names_the_folder_whose_hooks_go_on_to_run(cli: Cli, git: GitCommand) -> None:
    git("config", "core.hooksPath", ".husky/_")
    told = "git takes hooks from here now; they run those in .husky/_, then dver"
    assert f".git/dver/hooks: {told}\n" in cli.ok("install")
    assert ".git/dver/hooks: removed; git takes hooks from where it did before\n" in cli.ok("uninstall")


def test_names_what_it_leaves(cli: Cli) -> None:
    cli.write(".git/hooks/pre-push", "#!/bin/sh\n")
    cli.ok("install")
    cli.write(".git/hooks/pre-push", "#!/bin/sh\necho third\n")
    assert "pre-push.before-dver" in cli.fails(3, "install")
    assert ".git/hooks/pre-push: is not from dver and stays" in cli.ok("uninstall")


def test_paths_are_from_the_current_folder(cli: Cli) -> None:
    (cli.folder / "sub").mkdir()
    out = cli.at("sub").ok("install")
    assert "../.git/hooks/pre-commit: runs dver\n" in out
    assert "../.gitattributes: " in out
    assert (cli.folder / ".gitattributes").is_file()


def test_says_when_it_holds_for_several_work_trees(cli: Cli, git: GitCommand, tmp_path: Path) -> None:
    git("commit", "--quiet", "-m", "Set up")
    git("worktree", "add", "--quiet", str(tmp_path / "linked"))
    linked = Cli(tmp_path / "linked")
    out = linked.ok("install")
    assert f"{cli.folder}/.git/hooks/pre-commit: runs dver\n" in out
    assert out.endswith("this holds for all work trees of the repository\n")
    assert "merge.dver" in cli.ok("uninstall")


def test_needs_dver_set_up_to_install_and_not_to_uninstall(git_repo: Path) -> None:
    assert "hint: dver init" in Cli(git_repo).fails(3, "install")
    assert not (git_repo / ".gitattributes").exists()
    assert Cli(git_repo).ok("uninstall").startswith("nothing to do")


@pytest.mark.parametrize("command", ["install", "uninstall"])
def test_refuses_a_bare_repository_with_the_reason(tmp_path: Path, run_git: GitCommand, command: str) -> None:
    run_git("init", "--quiet", "--bare", tmp_path / "bare.git")
    assert "bare repository, which has no working files" in Cli(tmp_path / "bare.git").fails(3, command)
