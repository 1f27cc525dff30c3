"""`dver push`."""

import shutil
from pathlib import Path

from dver.records.record import Environment
from tests.cli.recording import current, record
from tests.cli.runner import Cli
from tests.commands import GitCommand


def test_says_what_was_sent_and_then_that_all_is_there(two_versions: Cli, tmp_path: Path) -> None:
    two_versions.ok("remote", "add", "origin", str(tmp_path / "store"))
    assert two_versions.ok("push").startswith("pushed 1 version to origin: ")
    assert two_versions.ok("push") == "Everything up to date: 1 version is on origin\n"
    assert two_versions.ok("push", "--all").startswith("pushed 1 version to origin: ")
    assert two_versions.ok("push", "--all") == "Everything up to date: 2 versions are on origin\n"


def test_sends_the_versions_of_a_revision(two_versions: Cli, tmp_path: Path) -> None:
    two_versions.ok("remote", "add", "origin", str(tmp_path / "store"))
    two_versions.ok("push", "--rev", "first")
    assert two_versions("push", "--rev", "first", "--rev", "HEAD", "--json").json["wanted"] == 2


def test_sends_to_a_named_remote(two_versions: Cli, tmp_path: Path) -> None:
    two_versions.ok("remote", "add", "origin", str(tmp_path / "store"))
    two_versions.ok("remote", "add", "backup", str(tmp_path / "backup"))
    assert "to backup: " in two_versions.ok("push", "-r", "backup", "data")
    assert not (tmp_path / "store").exists()


def test_says_that_lists_of_packages_were_sent(shared: Cli, git: GitCommand) -> None:
    shared.write("list", "a==1\n")
    shared.ok("add", "list")
    environment = Environment(packages=current(shared, "list").version)
    (shared.folder / "list.dver").unlink()
    git("commit", "--quiet", "-a", "-m", "no list")
    record(shared, "make", outputs=[current(shared)], environment=environment)
    assert shared.ok("push", "data").startswith("pushed 1 list of packages to origin: ")
    assert shared.ok("push", "data").startswith("Everything up to date: ")
    shared.write("data/more", "1")
    shared.ok("add", "data")
    shared.write("other", "a==2\n")
    shared.ok("add", "other")
    environment = Environment(packages=current(shared, "other").version)
    record(shared, "make", outputs=[current(shared)], environment=environment)
    assert shared.ok("push", "data").startswith("pushed 1 version and 1 list of packages to origin: ")


def test_writes_json(two_versions: Cli, tmp_path: Path) -> None:
    two_versions.ok("remote", "add", "origin", str(tmp_path / "store"))
    document = two_versions("push", "--json").json
    assert list(document) == ["remote", "wanted", "transferred", "missing", "restored", "verified"]
    assert document["remote"] == "origin"
    assert document["wanted"] == 1
    assert document["missing"] == []
    transferred = document["transferred"]
    assert [version[:3] for version in transferred["versions"]] == ["b3:"]
    assert transferred["objects"] > 0
    assert transferred["bytes"] > 0


def test_has_nothing_to_send_without_datasets(cli: Cli, tmp_path: Path) -> None:
    cli.ok("remote", "add", "origin", str(tmp_path / "store"))
    assert cli.ok("push") == "nothing to push: there are no datasets\n"


def test_needs_a_remote(dataset: Cli) -> None:
    err = dataset.fails(3, "push")
    assert "no default remote is set" in err
    assert "dver remote add NAME URL" in err


def test_names_an_unknown_remote(shared: Cli) -> None:
    err = shared.fails(3, "push", "-r", "orign")
    assert "there is no remote named 'orign'" in err
    assert "did you mean origin?" in err


def test_names_a_version_that_is_not_in_the_cache(dataset: Cli, tmp_path: Path, git: GitCommand) -> None:
    dataset.ok("remote", "add", "origin", str(tmp_path / "store"))
    shutil.rmtree(dataset.folder / ".dver/cache")
    result = dataset("push", "--json")
    assert result.code == 3
    assert [missing["dataset"] for missing in result.json["missing"]] == ["data"]
    assert "of data is not in the cache nor on origin" in result.err


def test_refuses_rev_with_all(shared: Cli) -> None:
    assert "--rev and --all cannot go together" in shared.fails(2, "push", "--all", "--rev", "HEAD")
