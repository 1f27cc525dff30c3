"""Names and paths at the limits of the file system, and beyond what a version can hold."""

import inspect
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import chdir
from itertools import count
from pathlib import Path

import pytest

from dver.errors import DverError, PathError
from dver.objects.paths import MAX_DEPTH
from tests.clones import Clone

LONGEST_NAME = 255
LONGEST_PATH = 4096


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Clone]:
    """A repository; what is too deep in it for others to delete is deleted."""
    made = Clone.make(tmp_path / "repo")
    yield made
    for name in ("data", "beside"):
        _flatten(made.root / name)


def nest(top: Path, name: str, depth: int) -> None:
    """Make folders within folders, with a file in the innermost."""
    top.mkdir(exist_ok=True)
    with chdir(top):
        for _ in range(depth):
            os.mkdir(name)
            os.chdir(name)
        Path("leaf").write_text("x")


def _flatten(top: Path) -> None:
    """Delete folders however deep they are."""
    waiting = [top] if top.is_dir() else []
    numbers = count()
    while waiting:
        folder = waiting.pop()
        for path in [path for path in folder.iterdir() if path.is_dir()]:
            waiting.append(path.rename(top.with_name(f"spare-{next(numbers)}")))
        shutil.rmtree(folder)


@pytest.mark.parametrize(("name", "depth"), [("d", 260), ("n" * 200, 30)])
def test_folders_beside_datasets_may_be_of_any_depth(clone: Clone, name: str, depth: int) -> None:
    clone.write("data/a", b"a")
    clone.add()
    nest(clone.root / "beside", name, depth)
    before = sys.getrecursionlimit()
    # git's own rules take long for thousands of folders within each other.
    sys.setrecursionlimit(len(inspect.stack(0)) + 200)
    try:
        assert clone.status().dataset == "data"
    finally:
        sys.setrecursionlimit(before)


def test_the_deepest_path_that_a_version_can_hold_comes_back(clone: Clone) -> None:
    nest(clone.root / "data", "d", MAX_DEPTH - 1)
    clone.save()
    before = clone.data()
    _flatten(clone.root / "data")
    clone.checkout(force=True)
    assert clone.data() == before
    assert len(before) == 1


@pytest.mark.parametrize("depth", [MAX_DEPTH, 990, 1500])
def test_a_deeper_path_is_refused_with_what_helps(clone: Clone, depth: int) -> None:
    clone.write("data/a", b"a")
    clone.save()
    pointer = clone.pointer_text()
    nest(clone.root / "data", "d", depth)
    for _ in range(2):
        with pytest.raises(DverError, match="deeper than the 512 folders") as caught:
            clone.add()
        assert caught.value.hint == "move it up, or name a folder above it in .dverignore"
        assert clone.pointer_text() == pointer
    clone.write("data/.dverignore", b"/d\n")
    assert len(clone.add().added) == 1


def test_a_path_longer_than_the_system_takes_is_refused_in_a_short_sentence(clone: Clone) -> None:
    clone.write("data/a", b"a")
    nest(clone.root / "data", "n" * 200, LONGEST_PATH // 200 + 5)
    with pytest.raises(PathError, match="longer than paths can be") as caught:
        clone.add()
    assert len(caught.value.message) < 300
    assert not (clone.root / "data.dver").exists()


def test_the_longest_names_come_back(clone: Clone) -> None:
    names = ["x" * LONGEST_NAME, "ü" * (LONGEST_NAME // 2) + "x", "y" * (LONGEST_NAME - 8)]
    for number, name in enumerate(names):
        clone.write(f"data/{name}", b"%d" % number)
        clone.write(f"data/{name[:100]}.d/{name}", b"%d" % number)
    clone.save()
    before = clone.data()
    shutil.rmtree(clone.root / "data")
    clone.checkout(force=True)
    assert clone.data() == before
    assert len(before) == 2 * len(names)


def test_a_dataset_whose_pointer_would_have_too_long_a_name_is_refused(clone: Clone) -> None:
    name = "x" * (LONGEST_NAME - len(".dver"))
    clone.write(name, b"x")
    assert len(clone.add(name).added) == 1
    clone.write(f"{name}y", b"x")
    with pytest.raises(DverError, match="too long"):
        clone.add(f"{name}y")
