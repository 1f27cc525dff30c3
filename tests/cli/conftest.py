"""A repository with dver set up, and some with datasets."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import dver
from tests.cli.branching import Branches
from tests.cli.runner import Cli
from tests.commands import GitCommand


@pytest.fixture
def git(git_repo: Path, run_git: GitCommand) -> GitCommand:
    """git in the test's repository."""
    return run_git.at(git_repo)


@pytest.fixture
def cli(git_repo: Path) -> Cli:
    """dver in the test's repository, where it is set up."""
    cli = Cli(git_repo)
    cli.ok("init")
    return cli


@pytest.fixture
def dataset(cli: Cli, git: GitCommand) -> Cli:
    """dver where the folder `data` with three files is a dataset and committed."""
    cli.write("data/a.csv", "id,value\n1,one\n2,two\n")
    cli.write("data/b.txt", "some text\n")
    cli.write("data/deep/c.txt", "deeper text\n")
    cli.ok("add", "data")
    git("commit", "--quiet", "-m", "Add data")
    return cli


@pytest.fixture
def two_versions(dataset: Cli, git: GitCommand) -> Cli:
    """The same with a second version: a file is changed, one renamed, and one new. The first is tagged."""
    git("tag", "first")
    dataset.write("data/a.csv", "id,value\n1,one\n2,TWO\n3,three\n")
    (dataset.folder / "data/b.txt").rename(dataset.folder / "data/renamed.txt")
    dataset.write("data/new.txt", "new\n")
    dataset.ok("add", "data")
    git("commit", "--quiet", "-m", "Change data")
    return dataset


@pytest.fixture
def shared(two_versions: Cli, git: GitCommand, tmp_path: Path) -> Cli:
    """The same with both versions pushed to a remote in a folder."""
    two_versions.ok("remote", "add", "origin", str(tmp_path / "store"))
    git("commit", "--quiet", "-a", "-m", "Name the remote")
    two_versions.ok("push", "--all")
    return two_versions


@pytest.fixture
def clone(shared: Cli, git: GitCommand, tmp_path: Path) -> Cli:
    """dver in a clone that has no data yet."""
    git("clone", "--quiet", str(shared.folder), str(tmp_path / "clone"))
    return Cli(tmp_path / "clone")


@pytest.fixture
def plain(dataset: Cli, git: GitCommand) -> Branches:
    """Branches without the driver, as for users who have not run `dver install`."""
    dataset.write("data/keep", "kept\n")
    dataset.ok("add", "data")
    git("commit", "--quiet", "--all", "-m", "Keep")
    return Branches(dataset, git)


@pytest.fixture
def branches(plain: Branches, monkeypatch: pytest.MonkeyPatch) -> Branches:
    """Branches whose pointers are merged by the driver."""
    monkeypatch.setenv("PYTHONPATH", str(Path(dver.__file__).parents[1]))
    plain.cli.ok("install", "--no-hooks")
    plain.git("add", ".gitattributes")
    plain.git("commit", "--quiet", "-m", "Merge pointers with dver")
    return plain


@pytest.fixture
def in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Times are shown in UTC, whatever the machine has."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()
