"""A file system that says of every file that it is executable, as NTFS, exFAT and network shares may: git finds out."""

from pathlib import Path

import pytest

from dver.operations.checkout import CheckoutOptions, checkout
from dver.operations.drop import drop
from dver.operations.kinds import NodeKind
from dver.operations.status import State
from dver.operations.tree import ls
from dver.workspace.choice import Patterns
from tests.clones import Clone

FILES = 24


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    """A clone on such a file system, of a dataset with one executable file among others."""
    origin = Clone.make(tmp_path / "origin", remote=tmp_path / "remote")
    for number in range(FILES):
        origin.write(f"data/{number:02}", b"%d" % number)
    origin.write("data/run", b"#!/bin/sh\n", executable=True)
    origin.save("data")
    origin.push()
    clone = origin.clone(tmp_path / "clone")
    clone.git("config", "core.filemode", "false")
    clone.pull()
    make_all_executable(clone)
    return clone


def make_all_executable(clone: Clone) -> None:
    for path in (clone.root / "data").iterdir():
        path.chmod(0o777)


def executables(clone: Clone) -> list[str]:
    """Return the executable files of the version that the pointer names."""
    with clone.open() as repo:
        listed = ls(repo, None, "data", recursive=True)
        return [one.path for one in listed if one.kind is NodeKind.EXECUTABLE]


def test_no_file_is_reported_for_its_executable_bit(clone: Clone) -> None:
    assert clone.status().state is State.UNCHANGED
    clone.forget_stat_cache()
    assert clone.status().state is State.UNCHANGED
    clone.git("config", "core.filemode", "true")
    clone.forget_stat_cache()
    assert len(clone.status().changes.modified) == FILES


@pytest.mark.parametrize("changed", [1, FILES])
@pytest.mark.parametrize("forget", [False, True])
def test_files_keep_the_bit_that_they_had_and_new_ones_have_none(clone: Clone, changed: int, forget: bool) -> None:
    for name in ["run", "new", *(f"{number:02}" for number in range(changed))]:
        clone.write(f"data/{name}", b"other " + name.encode(), executable=True)
    if forget:
        clone.forget_stat_cache()

    added = clone.add().added[0]

    assert added.changed
    assert executables(clone) == ["data/run"]
    assert clone.status().state is State.UNCHANGED
    assert not clone.add().added[0].changed


def test_so_it_is_in_a_dataset_that_is_partly_here(clone: Clone) -> None:
    with clone.open() as repo:
        checkout(repo, None, ["data"], options=CheckoutOptions(patterns=Patterns(exclude=("00",))))
    for name in ("run", "new", "01"):
        clone.write(f"data/{name}", b"other", executable=True)
    clone.add()
    assert executables(clone) == ["data/run"]
    assert clone.status().state is State.UNCHANGED


def test_what_is_as_it_was_can_be_dropped_and_brought_back(clone: Clone) -> None:
    clone.forget_stat_cache()
    with clone.open() as repo:
        drop(repo, ["data"])
    assert not (clone.root / "data").exists()
    clone.checkout(None, "data")
    make_all_executable(clone)
    clone.checkout()
    assert executables(clone) == ["data/run"]
    assert clone.status().state is State.UNCHANGED
