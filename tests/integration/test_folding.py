"""dver on a real file system that takes names in another case for the same: exFAT, without links and modes as well."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dver.errors import PathError
from dver.operations.add import add
from dver.operations.checkout import CheckoutOptions, checkout
from dver.operations.mv import mv
from dver.operations.status import State
from dver.operations.tree import cat
from dver.workspace.choice import Patterns
from tests.clones import Clone
from tests.integration.folding import mounted


@pytest.fixture
def top(tmp_path: Path) -> Iterator[Path]:
    """The top of such a file system."""
    with mounted("exfat", tmp_path) as place:
        if place is None:
            pytest.skip("exFAT cannot be mounted here: it takes FUSE, mkfs.exfat and mount.exfat-fuse")
        yield place


@pytest.fixture
def origin(tmp_path: Path) -> Clone:
    """A repository on a file system that tells names apart, with two that others do not."""
    origin = Clone.make(tmp_path / "origin", remote=tmp_path / "remote")
    origin.write("data/Data.csv", b"upper")
    origin.write("data/data.csv", b"lower")
    origin.write("data/run", b"#!/bin/sh\n", executable=True)
    origin.save("data")
    origin.push()
    return origin


def names(clone: Clone, folder: str = "data") -> list[str]:
    return sorted(os.listdir(clone.root / folder))


def test_versions_go_there_and_back_as_files_are_renamed_by_case_alone(top: Path) -> None:
    clone = Clone.make(top / "repo")
    for name in ("a.txt", "b.txt"):
        clone.write(f"data/{name}", name.encode())
    first = clone.save("data")
    assert clone.status().state is State.UNCHANGED
    (clone.root / "data/a.txt").rename(clone.root / "data/A.txt")
    changes = clone.status().changes
    assert (changes.added, changes.deleted, changes.modified) == (("A.txt",), ("a.txt",), ())
    second = clone.save("data")

    for commit, expected in ((first, ["a.txt", "b.txt"]), (second, ["A.txt", "b.txt"])):
        clone.git("checkout", "--quiet", commit)
        clone.checkout()
        assert names(clone) == expected
        assert (clone.root / "data" / expected[0]).read_bytes() == b"a.txt"
        assert clone.status().state is State.UNCHANGED


def test_a_version_with_a_clash_is_refused_with_both_names_and_comes_without_one(top: Path, origin: Clone) -> None:
    clone = origin.clone(top / "clone")
    with pytest.raises(
        PathError, match=r"data/Data\.csv: this file system takes it and data/data\.csv for one"
    ) as caught:
        clone.pull()
    assert not (clone.root / "data").exists()
    assert "dver checkout --exclude /Data.csv data" in str(caught.value.hint)

    with clone.open() as repo:
        checkout(repo, None, ["data"], options=CheckoutOptions(patterns=Patterns(exclude=("/Data.csv",))))
    assert names(clone) == ["data.csv", "run"]
    assert clone.status().state is State.UNCHANGED
    clone.write("data/data.csv", b"changed")
    clone.save("data")
    clone.push()

    origin.git("pull", "--quiet", str(clone.root), "HEAD")
    origin.pull()
    assert origin.data() == {
        b"Data.csv": ("file", b"upper"),
        b"data.csv": ("file", b"changed"),
        b"run": ("executable", b"#!/bin/sh\n"),
    }


def test_another_spelling_never_stands_for_a_file_that_is_not_here(top: Path, origin: Clone) -> None:
    clone = origin.clone(top / "clone")
    clone.fetch()
    with clone.open() as repo:
        checkout(repo, None, ["data"], options=CheckoutOptions(patterns=Patterns(exclude=("/Data.csv",))))
        for path, actual in (("data/Data.csv", "data/data.csv"), ("DATA", "the dataset data")):
            with pytest.raises(PathError, match=f"{path}: is {actual} on this file system"):
                add(repo, [path], within=True, force=True)
        mv(repo, "data/Data.csv", "data/upper.csv")
        assert names(clone) == ["data.csv", "run"]
        assert b"".join(cat(repo, None, "data/upper.csv")) == b"upper"
        for old, new in (("data", "Data"), ("data/data.csv", "data/DATA.csv")):
            with pytest.raises(PathError, match=f"{new}: this file system takes it and {old} for one name") as caught:
                mv(repo, old, new)
            assert f"dver mv {new}- {new}" in str(caught.value.hint)
    assert clone.git("ls-files", "*.dver").split() == ["data.dver"]


def test_links_are_refused_before_anything_is_written(top: Path, origin: Clone) -> None:
    origin.write("links/a", b"a")
    (origin.root / "links/l").symlink_to("a")
    origin.save("links")
    origin.push()
    clone = origin.clone(top / "clone")
    with pytest.raises(PathError, match="links/l: is a symbolic link, and this file system has none"):
        clone.pull("links")
    assert not (clone.root / "links").exists()
