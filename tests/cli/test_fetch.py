"""`dver fetch`."""

import shutil
from pathlib import Path

from dver.storage.condemned import CondemnedList, CondemnedVersion, new_name, write_list
from dver.storage.local import LocalBackend
from dver.workspace.pointers import read_pointer
from tests.cli.runner import Cli


def test_fills_the_cache_and_touches_no_files(clone: Cli) -> None:
    assert clone.ok("fetch").startswith("fetched 1 version from origin: ")
    assert not (clone.folder / "data").exists()
    assert clone.ok("fetch") == "Everything up to date: 1 version is in the cache\n"
    assert clone.ok("fetch", "--all").startswith("fetched 1 version from origin: ")


def test_brings_part_of_a_dataset(clone: Cli) -> None:
    assert clone.ok("fetch", "data/deep").startswith("fetched part of a version from origin: ")
    document = clone("fetch", "data/deep", "--json").json
    assert document["transferred"] == {"versions": [], "objects": 0, "bytes": 0}


def test_has_nothing_to_bring_without_datasets(cli: Cli, tmp_path: Path) -> None:
    cli.ok("remote", "add", "origin", str(tmp_path / "store"))
    assert cli.ok("fetch") == "nothing to fetch: there are no datasets\n"


def test_writes_json(clone: Cli) -> None:
    document = clone("fetch", "--json").json
    assert list(document) == ["remote", "wanted", "transferred", "missing", "listed_as_garbage"]
    assert len(document["transferred"]["versions"]) == 1


def test_tells_of_what_the_remote_lists_as_garbage_and_so_does_status(clone: Cli, tmp_path: Path) -> None:
    pointer = read_pointer(clone.folder, "data")
    assert pointer is not None
    listed = CondemnedList(new_name(0), "a test", 1_800_000_000, (CondemnedVersion(pointer.version),), ())
    write_list(LocalBackend(tmp_path / "store"), listed)

    fetched = clone("fetch")
    found = clone.ok("status", "--remote")

    told = "origin lists a version of these as garbage, and may delete it after 2027-01-15 08:00 UTC"
    assert fetched.code == 0
    assert f"{told}; dver push -r origin keeps it\n" in fetched.err
    section = (
        "Listed as garbage on origin:\n  (dver push keeps them)\n        data  may be deleted after 2027-01-15 08:00"
    )
    assert section in found
    assert clone("status", "--remote", "--json").json["datasets"][0]["listed_as_garbage"] == "2027-01-15T08:00:00Z"
    clone.ok("push")
    assert "garbage" not in clone.ok("status", "--remote")
    shutil.rmtree(clone.folder / ".dver/cache")
    assert clone("fetch", "--json").json["listed_as_garbage"] == []


def test_names_a_version_that_the_remote_lacks(clone: Cli, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "store/versions")
    result = clone("fetch")
    assert result.code == 3
    assert result.out == ""
    assert "of data is not in remote origin" in result.err
    assert "dver push" in result.err


def test_names_an_unknown_revision_and_path(clone: Cli) -> None:
    assert "no commit, branch or tag named 'nothing'" in clone.fails(3, "fetch", "--rev", "nothing")
    assert "nothing: no dataset is there" in clone.fails(3, "fetch", "nothing")
