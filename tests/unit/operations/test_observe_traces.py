"""What single events amount to."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dver.operations.observe_traces import Event, Traces, gather


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with files in it."""
    for path in ("a", "b", "sub/c", ".git/x", ".dver/y", "venv/pyvenv.cfg", "venv/lib/z.py", "m.py", "data.dver"):
        (tmp_path / path).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / path).write_text(path)
    return tmp_path


def traces(root: Path, *steps: tuple[str, str], began: int = 0) -> Traces:
    """Return what steps amount to that were noted one after the other."""
    return gather(list(events(root, steps))[::-1], root, began)


def events(root: Path, steps: tuple[tuple[str, str], ...]) -> Iterator[Event]:
    """Yield steps as events."""
    for number, (mark, path) in enumerate(steps):
        yield Event(mark, number, os.path.normpath(os.path.join(root, path)))


def test_what_was_read_written_and_removed_is_told_apart(root: Path) -> None:
    found = traces(root, ("R", "a"), ("L", "sub"), ("W", "b"), ("D", "gone"))
    assert found == Traces(read=("a",), listed=("sub",), written=("b",), removed=("gone",))


def test_what_the_command_made_itself_is_not_read(root: Path) -> None:
    assert traces(root, ("W", "a"), ("R", "a"), ("W", "sub"), ("R", "sub/c"), ("L", "sub")).read == ()


def test_what_is_written_after_it_was_read_is_not_known_as_it_was(root: Path) -> None:
    found = traces(root, ("R", "a"), ("W", "a"), ("R", "gone"), ("D", "gone"))
    assert (found.read, found.written, found.changed, found.removed) == ((), ("a",), ("a", "gone"), ("gone",))


def test_what_was_made_and_removed_leaves_no_trace(root: Path) -> None:
    assert traces(root, ("W", "tmp"), ("R", "tmp"), ("D", "tmp")) == Traces()


def test_what_was_opened_for_both_counts_as_written_if_it_was_changed_since(root: Path) -> None:
    assert traces(root, ("U", "a")).changed == ("a",)
    later = time.time_ns() + 10**9
    assert traces(root, ("U", "a"), began=later) == Traces(read=("a",))


@pytest.mark.parametrize(
    "path", [".git/x", ".dver/y", ".dver", "venv/lib/z.py", "data.dver", ".gitignore", "../outside", "", "__pycache__"]
)
def test_what_is_nobodys_data_does_not_count(root: Path, path: str) -> None:
    assert traces(root, ("R", path), ("W", path), ("L", path)) == Traces()


def test_a_compiled_file_stands_for_its_source_when_it_is_read_and_for_nothing_when_it_is_written(root: Path) -> None:
    compiled = "__pycache__/m.cpython-311.pyc"
    assert traces(root, ("R", compiled), ("W", compiled)) == Traces(read=("m.py",))
