"""`dver pull`."""

import shutil
from pathlib import Path

from tests.cli.runner import Cli
from tests.commands import GitCommand


def test_brings_the_data_of_a_fresh_clone(clone: Cli, shared: Cli) -> None:
    fetched, checked_out = clone.ok("pull").splitlines()
    assert fetched.startswith("fetched 1 version from origin: ")
    assert checked_out == "checked out data: 4 files written, 55 bytes"
    assert (clone.folder / "data/a.csv").read_bytes() == (shared.folder / "data/a.csv").read_bytes()
    assert clone.ok("pull") == "nothing to do: the one dataset is up to date\n"


def test_brings_only_the_part_that_is_asked_for(clone: Cli) -> None:
    clone.ok("pull", "data/deep")
    assert [path.name for path in (clone.folder / "data").rglob("*") if path.is_file()] == ["c.txt"]


def test_keeps_to_the_part_that_is_here(clone: Cli) -> None:
    clone.ok("pull", "data/deep")
    document = clone("pull", "--json").json
    assert document["transferred"]["objects"] == 0
    assert document["checked_out"][0]["written"] == 0
    clone.ok("pull", "data")
    assert (clone.folder / "data/a.csv").exists()


def test_fetches_more_and_checks_out_the_same(clone: Cli) -> None:
    clone.ok("pull", "--all")
    assert (clone.folder / "data/new.txt").exists()
    assert clone.ok("fetch", "--all").startswith("Everything up to date: 2 versions")


def test_fetches_other_revisions_too(clone: Cli) -> None:
    assert clone("pull", "--rev", "first", "--json").json["wanted"] == 2


def test_keeps_changes_unless_forced(clone: Cli, git: GitCommand) -> None:
    clone.ok("pull")
    clone.write("data/a.csv", "mine")
    assert "stored nowhere" in clone.fails(3, "pull")
    clone.ok("pull", "--force")
    assert (clone.folder / "data/a.csv").read_text() != "mine"


def test_brings_the_other_datasets_when_one_is_nowhere(shared: Cli, git: GitCommand, tmp_path: Path) -> None:
    shared.write("lost/x", "1")
    shared.ok("add", "lost")
    git("commit", "--quiet", "-m", "Add what is never pushed")
    git("clone", "--quiet", str(shared.folder), str(tmp_path / "clone"))
    result = Cli(tmp_path / "clone")("pull")
    assert result.code == 3
    assert "checked out data:" in result.out
    assert "of lost is not in remote origin" in result.err


def test_checks_nothing_out_when_all_is_nowhere(clone: Cli, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "store/versions")
    result = clone("pull")
    assert (result.code, result.out) == (3, "")
    assert not (clone.folder / "data").exists()


def test_writes_json(clone: Cli) -> None:
    document = clone("pull", "--json").json
    assert list(document) == ["remote", "wanted", "transferred", "missing", "listed_as_garbage", "checked_out"]
    (checked_out,) = document["checked_out"]
    version = document["transferred"]["versions"][0]
    assert checked_out == {"dataset": "data", "version": version, "written": 4, "written_bytes": 55, "deleted": 0}


def test_needs_a_remote(dataset: Cli) -> None:
    assert "no default remote is set" in dataset.fails(3, "pull")
