"""`dver status`."""

import os
import shutil
from pathlib import Path

import pytest

from dver.objects.ids import format_version
from dver.repo import Repo
from dver.workspace.pointers import read_pointer
from tests.cli.runner import Cli, on_terminals
from tests.commands import GitCommand


def test_says_so_when_there_is_nothing_to_do(dataset: Cli) -> None:
    assert dataset.ok("status") == "nothing to do: the one dataset is unchanged\n"
    dataset.write("x", "1")
    dataset.ok("add", "x")
    assert dataset.ok("status") == "nothing to do: all 2 datasets are unchanged\n"


def test_says_so_when_there_is_no_dataset(cli: Cli) -> None:
    assert cli.ok("status") == "no datasets yet\n"
    assert "dver add PATH" in on_terminals(cli.folder, "status")[2]


def test_counts_what_changed_and_names_the_commands(dataset: Cli) -> None:
    dataset.write("data/a.csv", "changed")
    dataset.write("data/new", "1")
    (dataset.folder / "data/b.txt").unlink()
    dataset.write("other", "1")
    dataset.ok("add", "other")
    assert dataset.ok("status") == (
        "Modified data:\n"
        "  (dver add PATH stores it as a new version; dver checkout --force PATH discards the changes)\n"
        "        data  1 added, 1 modified, 1 deleted\n"
        "\n"
        "1 dataset unchanged\n"
    )


def test_shows_a_single_file_as_modified(cli: Cli) -> None:
    cli.write("t.csv", "1")
    cli.ok("add", "t.csv")
    cli.write("t.csv", "22")
    assert "        t.csv  modified\n" in cli.ok("status")


def test_tells_not_checked_out_from_not_here(clone: Cli) -> None:
    assert "Not checked out:\n  (dver pull PATH" in clone.ok("status")
    clone.ok("fetch")
    assert "Not checked out:\n  (dver checkout PATH" in clone.ok("status")


def test_shows_a_pointer_that_git_moved_on(two_versions: Cli, git: GitCommand) -> None:
    git("checkout", "--quiet", "first")
    out = two_versions.ok("status")
    assert "Pointer changed, data not yet:\n  (dver checkout PATH" in out
    two_versions.write("data/a.csv", "mine")
    assert "data  and changed here: 1 modified" in two_versions.ok("status")


def test_shows_a_pointer_that_git_does_not_track(cli: Cli) -> None:
    cli.write("x", "1")
    cli.ok("add", "--no-stage", "x")
    out = cli.ok("status")
    assert "Pointers that git does not track:\n  (git add PATH.dver" in out
    assert "        x.dver\n" in out


def test_shows_a_broken_pointer_among_others(dataset: Cli) -> None:
    dataset.write("x", "1")
    dataset.ok("add", "x")
    dataset.write("x.dver", "<<<<<<< ours\n")
    out = dataset.ok("status")
    assert out == (
        "Broken pointers:\n"
        "        x.dver  has marks of a merge that do not belong together\n"
        "          (git checkout REV -- x.dver takes the pointer of a commit)\n"
        "\n"
        "1 dataset unchanged\n"
    )
    broken = dataset("status", "--json").json["datasets"][1]
    assert (broken["version"], broken["in_cache"], broken["problem"]) == (
        None,
        None,
        "x.dver: has marks of a merge that do not belong together",
    )


def test_gives_each_broken_pointer_the_advice_that_helps(dataset: Cli) -> None:
    for name in ("old", "new"):
        dataset.write(name, "1")
    dataset.ok("add", "old")
    dataset.ok("add", "--no-stage", "new")
    for name in ("old", "new"):
        dataset.write(f"{name}.dver", "# dver pointer\nformat = 1\n")
    out = dataset.ok("status")
    assert "        new.dver  not a dver pointer" in out
    assert "          (git does not track it, so it cannot restore it; dver add --force new replaces it)\n" in out
    assert "          (git log -- FILE lists its commits; git checkout COMMIT -- FILE takes a whole one)\n" in out
    assert "Pointers that git does not track" not in out
    dataset.ok("add", "--force", "new")
    assert "new.dver  not" not in dataset.ok("status")


def test_shows_a_checkout_that_was_cut_off(dataset: Cli) -> None:
    with Repo.find(dataset.folder) as repo:
        repo.stat_cache.begin_checkout("data")
    assert dataset.ok("status") == ("Checkout interrupted:\n  (dver checkout PATH goes on with it)\n        data\n")
    assert dataset("status", "--json").json["datasets"][0]["state"] == "interrupted"


def test_shows_data_that_is_in_no_cache(dataset: Cli) -> None:
    shutil.rmtree(dataset.folder / ".dver/cache")
    assert "Not in the cache:\n  (dver fetch PATH" in dataset.ok("status")


def test_shows_a_dataset_that_is_checked_out_in_part(clone: Cli) -> None:
    clone.ok("pull", "data/deep")
    assert "Partly here, by choice:\n  (dver checkout keeps to the choice" in clone.ok("status")


def test_asks_the_remote_if_told(shared: Cli) -> None:
    assert shared.ok("status", "--remote") == "nothing to do: the one dataset is unchanged, and on origin\n"
    shared.write("data/a.csv", "newer")
    shared.ok("add", "data")
    assert "Not on origin:\n  (dver push PATH" in shared.ok("status", "--remote")
    assert shared("status", "--remote", "--exit-code").code == 1


def test_needs_a_remote_to_ask(dataset: Cli) -> None:
    assert "dver remote add" in dataset.fails(3, "status", "--remote")


def test_answers_with_its_exit_code_if_told(dataset: Cli) -> None:
    assert dataset("status", "--exit-code").code == 0
    dataset.write("data/new", "1")
    assert dataset("status").code == 0
    assert dataset("status", "--exit-code").code == 1
    assert dataset("status", "--exit-code", "-q") == dataset("-q", "status", "--exit-code")
    assert dataset("status", "--exit-code", "-q").out == ""


def test_takes_datasets_pointers_and_folders(dataset: Cli) -> None:
    dataset.write("sub/x", "1")
    dataset.ok("add", "sub/x")
    assert "the one dataset" in dataset.ok("status", "data.dver")
    assert "the one dataset" in dataset.ok("status", "sub")
    assert "all 2 datasets" in dataset.at("sub").ok("status")
    err = dataset.fails(3, "status", "nothing")
    assert "nothing: no dataset is there" in err


def test_shows_paths_from_the_current_folder(dataset: Cli) -> None:
    dataset.write("data/new", "1")
    (dataset.folder / "sub").mkdir()
    assert "        ../data  1 added\n" in dataset.at("sub").ok("status")


def test_writes_json(dataset: Cli) -> None:
    pointer = read_pointer(dataset.folder, "data")
    assert pointer is not None
    dataset.write("data/new", "1")
    dataset.write(os.fsencode("data/") + b"\xff", "1")
    assert dataset("status", "--json").json == {
        "datasets": [
            {
                "dataset": "data",
                "state": "modified",
                "kind": "directory",
                "version": format_version(pointer.version),
                "size": pointer.size,
                "files": 3,
                "base_version": None,
                "changes": {"added": ["new", "\\xff"], "modified": [], "deleted": []},
                "partial": False,
                "files_here": None,
                "choice": None,
                "in_cache": True,
                "on_remote": None,
                "listed_as_garbage": None,
                "tracked": True,
                "problem": None,
                "conflicts": [],
                "stale": None,
            }
        ],
        "at_work": [],
        "unfinished": [],
    }


def test_writes_json_for_no_datasets(cli: Cli) -> None:
    assert cli.ok("status", "--json") == '{\n  "datasets": [],\n  "at_work": [],\n  "unfinished": []\n}\n'


def test_uses_colours_on_a_terminal_only(dataset: Cli) -> None:
    dataset.write("data/new", "1")
    assert "\x1b[" not in dataset.ok("status")
    assert "\x1b[31m" in on_terminals(dataset.folder, "status")[1]


def test_honours_no_color(dataset: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset.write("data/new", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in on_terminals(dataset.folder, "status")[1]


def test_names_a_folder_that_is_no_repository(tmp_path: Path) -> None:
    assert "is not in a git repository" in Cli(tmp_path).fails(3, "status")
