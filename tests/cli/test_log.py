"""`dver log`."""

import re

from tests.cli.runner import Cli
from tests.commands import GitCommand


def test_shows_versions_newest_first(two_versions: Cli, git: GitCommand) -> None:
    newest, version, empty, oldest, _ = two_versions.ok("log", "data").splitlines()
    commit = git("rev-parse", "HEAD")[:10]
    assert re.fullmatch(commit + r"  \d{4}-\d\d-\d\d \d\d:\d\d  A Tester  Change data", newest)
    assert re.fullmatch(r"    b3:[0-9a-f]{12}…  4 files, 55 bytes  \(1 added, 1 modified, 1 renamed\)", version)
    assert empty == ""
    assert oldest.endswith("Add data")


def test_shows_as_many_as_asked(two_versions: Cli) -> None:
    assert two_versions.ok("log", "-n", "1", "data").count("Change data") == 1
    assert "Add data" not in two_versions.ok("log", "-n", "1", "data")
    two_versions.fails(2, "log", "-n", "0", "data")
    assert two_versions.ok("log", "-n", "9" * 25, "data") == two_versions.ok("log", "data")


def test_takes_the_only_dataset_if_none_is_named(two_versions: Cli) -> None:
    assert two_versions.ok("log") == two_versions.ok("log", "data")
    assert two_versions.at("data", "deep").ok("log", "-n", "1").count("Change data") == 1


def test_asks_which_dataset_if_there_are_several_or_none(cli: Cli) -> None:
    assert "there is no dataset here" in cli.fails(2, "log")
    for number in range(12):
        cli.write(f"sub/{number:02}", "1")
    cli.ok("add", "sub/00", "sub/01")
    assert "which dataset? There are 2: 00, 01\n  hint: dver log 00\n" in cli.at("sub").fails(2, "log")
    cli.ok("add", *(f"sub/{number:02}" for number in range(12)))
    assert cli.at("sub").fails(2, "log").splitlines()[0].endswith("08, 09 and 2 more")


def test_follows_a_rename(two_versions: Cli, git: GitCommand) -> None:
    two_versions.ok("mv", "data", "moved")
    git("commit", "--quiet", "-m", "Move data")
    out = two_versions.ok("log", "moved")
    assert "(same content)" in out
    assert " as data " in out


def test_shows_where_a_dataset_was_removed(two_versions: Cli, git: GitCommand) -> None:
    two_versions.ok("rm", "data")
    git("commit", "--quiet", "-m", "Remove data")
    assert "Remove data\n    no data\n" in two_versions.ok("log", "data")


def test_writes_json(two_versions: Cli, git: GitCommand) -> None:
    newest, oldest = two_versions("log", "--json", "data").json["versions"]
    assert newest == {
        "commit": git("rev-parse", "HEAD").strip(),
        "date": git("log", "-1", "--format=%aI").strip().replace("Z", "+00:00"),
        "author": "A Tester",
        "subject": "Change data",
        "dataset": "data",
        "version": newest["version"],
        "kind": "directory",
        "size": 55,
        "files": 4,
        "changes": {"added": 1, "modified": 1, "deleted": 0, "renamed": 1},
    }
    assert newest["version"].startswith("b3:")
    assert oldest["changes"] == {"added": 3, "modified": 0, "deleted": 0, "renamed": 0}


def test_names_what_has_no_history(dataset: Cli) -> None:
    dataset.write("x", "1")
    dataset.ok("add", "x")
    err = dataset.fails(3, "log", "x")
    assert "x: is not committed yet" in err
    assert "git commit" in err
    assert "nothing: is no dataset and never was one" in dataset.fails(3, "log", "nothing")
