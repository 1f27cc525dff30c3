"""`dver hook status`."""

import subprocess
from pathlib import Path

import pytest

from tests.cli.runner import Cli
from tests.commands import GitCommand


def test_says_nothing_where_nothing_changed(dataset: Cli) -> None:
    assert dataset.ok("hook", "status") == ""


def test_does_nothing_where_dver_is_not_set_up(git_repo: Path, tmp_path: Path) -> None:
    assert Cli(git_repo).ok("hook", "status") == ""
    assert Cli(tmp_path).ok("hook", "status") == ""


def test_data_that_is_not_checked_out_is_no_failure(clone: Cli) -> None:
    assert clone.ok("hook", "status") == ""


def test_names_what_is_modified_and_the_command_that_adds_it(dataset: Cli) -> None:
    dataset.write("data/a.csv", "changed")
    dataset.write("data/new", "1")
    dataset.write("other one", "1")
    dataset.ok("add", "other one")
    dataset.write("other one", "22")
    assert dataset.fails(1, "hook", "status") == (
        "dver: error: data: the data differs from its pointer (1 added, 1 modified)\n"
        "  hint: dver add data\n"
        "dver: error: other one: the data differs from its pointer (1 modified)\n"
        "  hint: dver add 'other one'\n"
    )
    (dataset.folder / "sub").mkdir()
    assert "hint: dver add ../data\n" in dataset.at("sub").fails(1, "hook", "status")


def test_data_that_git_does_not_ignore_is_named_and_mended(dataset: Cli, git: GitCommand) -> None:
    dataset.write(".gitignore", "")
    assert dataset.fails(1, "hook", "status") == (
        "dver: error: data: git does not ignore its data, so git add may take it in\n  hint: dver add data\n"
    )
    assert dataset("hook", "status", "--fix").err == "dver: staged .gitignore\n"
    assert dataset.ok("hook", "status") == ""
    assert git("show", ":.gitignore") == "/data\n"
    dataset.write(".gitignore", "")
    dataset.ok("add", "data")
    assert dataset.ok("hook", "status") == ""


def test_fix_adds_and_stages(dataset: Cli, git: GitCommand) -> None:
    dataset.write("data/new", "1")
    dataset.write("other", "1")
    dataset.ok("add", "--no-stage", "other")
    result = dataset("hook", "status", "--fix")
    assert (result.code, result.out) == (0, "")
    assert result.err == ("dver: added data and staged its pointer\ndver: staged other.dver\ndver: staged .gitignore\n")
    assert git("diff", "--cached", "--name-only").split() == [".gitignore", "data.dver", "other.dver"]
    assert dataset.ok("hook", "status") == ""
    assert dataset.ok("hook", "status", "--fix") == ""


def test_fix_fails_for_what_it_cannot_mend_and_mends_the_rest(two_versions: Cli, git: GitCommand) -> None:
    two_versions.write("other", "1")
    two_versions.ok("add", "other")
    two_versions.write("other", "22")
    git("checkout", "--quiet", "first", "--", "data.dver")
    err = two_versions.fails(1, "hook", "status", "--fix")
    assert "dver: added other and staged its pointer\n" in err
    assert "dver: error: data: its pointer names another version than the data\n" in err
    assert "hint: dver checkout data brings the pointer's data; dver add --force data keeps the data as it is\n" in err
    assert "other:" not in two_versions.fails(1, "hook", "status")


def test_names_pointers_that_are_not_staged_as_they_are(dataset: Cli) -> None:
    dataset.write("data/new", "1")
    dataset.ok("add", "--no-stage", "data")
    dataset.write("other", "1")
    dataset.ok("add", "--no-stage", "other")
    err = dataset.fails(1, "hook", "status")
    assert "data: its pointer is staged as another version, so" in err
    assert "  hint: git add data.dver\n" in err
    assert "other: its pointer is not staged, so" in err


def test_under_pre_commit_a_pointer_that_it_put_back_is_explained(
    dataset: Cli, git: GitCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset.write("data/new", "1")
    dataset.ok("add", "--no-stage", "data")
    git("checkout", "--quiet", "--", "data.dver")
    monkeypatch.setenv("PRE_COMMIT", "1")
    assert "if data.dver was changed and not staged, git add data.dver" in dataset.fails(1, "hook", "status")


@pytest.mark.parametrize(
    ("content", "message"),
    [("# dver pointer\n", "not a dver pointer"), ("<<<<<<< ours\n", "merge")],
)
def test_names_pointers_that_cannot_be_used(dataset: Cli, content: str, message: str) -> None:
    dataset.write("data.dver", content)
    err = dataset.fails(1, "hook", "status")
    assert err.startswith("dver: error: data: ")
    assert message in err
    assert "hint: " in err


def test_does_not_stage_in_a_commit_of_named_paths(
    dataset: Cli, git: GitCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    git("read-tree", "--index-output=.git/next-index-7.lock", "HEAD")
    monkeypatch.setenv("GIT_INDEX_FILE", str(dataset.folder / ".git/next-index-7.lock"))
    assert dataset.ok("hook", "status", "--fix") == ""
    dataset.write("data/new", "1")
    pointer = (dataset.folder / "data.dver").read_text()
    err = dataset.fails(1, "hook", "status", "--fix")
    assert "--fix cannot stage anything in a commit of named paths" in err
    assert "hint: dver add data\n" in err
    assert (dataset.folder / "data.dver").read_text() == pointer


def test_works_before_the_first_commit(cli: Cli, git: GitCommand) -> None:
    cli.write("data/a", "1")
    cli.ok("add", "data")
    assert cli.ok("hook", "status") == ""
    cli.write("data/a", "22")
    assert "dver add data" in cli.fails(1, "hook", "status")
    assert cli("hook", "status", "--fix").code == 0
    git("commit", "--quiet", "-m", "the first")
    assert subprocess.run(["git", "diff", "--quiet"], cwd=cli.folder, check=False).returncode == 0
