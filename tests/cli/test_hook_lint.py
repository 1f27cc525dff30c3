"""`dver hook lint`."""

import shutil
from pathlib import Path

from tests.cli.runner import Cli
from tests.commands import GitCommand


def test_says_nothing_where_nothing_is_wrong(dataset: Cli) -> None:
    assert dataset.ok("hook", "lint") == ""
    assert dataset.ok("hook", "lint", "data.dver", ".dver/config.toml") == ""


def test_lists_all_that_is_wrong_with_what_helps(dataset: Cli, git: GitCommand) -> None:
    dataset.write("x.dver", "# dver pointer\n")
    dataset.write(".dver/lineage.jsonl", "{}\n=======\n")
    git("add", "--all")
    git("add", "--force", "data/a.csv")
    assert dataset.fails(1, "hook", "lint") == (
        "dver: error: .dver/lineage.jsonl: line 1: is not a lineage record\n"
        "  hint: edit the file, then git add .dver/lineage.jsonl\n"
        "dver: error: .dver/lineage.jsonl: line 2: a mark of an unfinished merge\n"
        "  hint: edit the file, then git add .dver/lineage.jsonl\n"
        "dver: error: data: is a dataset, and git tracks its data too: data/a.csv\n"
        "  hint: git rm -r --cached data; the data stays here\n"
        "dver: error: x.dver: not a dver pointer: it needs format, kind, version, size and files\n"
        "  hint: git log -- FILE lists its commits; git checkout COMMIT -- FILE takes a whole one\n"
    )


def test_looks_at_named_files_only(dataset: Cli, git: GitCommand) -> None:
    dataset.write("sub/x.dver", "# dver pointer\n")
    git("add", "--all")
    assert dataset.ok("hook", "lint", "data.dver", "no-such-file") == ""
    assert dataset.at("sub").fails(1, "hook", "lint", "x.dver").startswith("dver: error: x.dver: ")


def test_finds_mistakes_in_settings_that_stop_other_commands(dataset: Cli, git: GitCommand) -> None:
    dataset.write(".dver/config.toml", "cache.password = 'hunter2'\ncore.jobs = 'many'\n")
    git("add", "--all")
    err = dataset.fails(1, "hook", "lint")
    assert "dver: error: .dver/config.toml: cache.password is a secret and this file is committed\n" in err
    assert "dver: error: .dver/config.toml: core.jobs is not a whole number from 1\n" in err
    assert "hunter2" not in err


def test_asks_the_remote_for_versions_that_are_not_here(clone: Cli, tmp_path: Path) -> None:
    assert clone.ok("hook", "lint") == ""
    shutil.rmtree(tmp_path / "store")
    err = clone.fails(1, "hook", "lint")
    assert err.startswith("dver: error: data.dver: names a version that is not in the cache, and there is no store at")
    assert "  hint: dver push --all makes it" in err


def test_does_nothing_where_dver_is_not_set_up(git_repo: Path) -> None:
    assert Cli(git_repo).ok("hook", "lint", "anything") == ""
