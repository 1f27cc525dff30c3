"""Where a run may write."""

import os

import pytest

from dver.errors import DverError, UsageError
from tests.clones import Clone
from tests.unit.operations.running import plan, request, run


@pytest.fixture
def ready(clone: Clone) -> Clone:
    """A clone with datasets, code, and what stands in the way of outputs."""
    for path in ("data/a", "deep/data/b", "other"):
        clone.write(path, b"1")
    clone.write("src/code.py", b"1")
    clone.save("data", "deep/data", "other")
    clone.write("hidden/.gitignore", b"*.dver\n")
    clone.write("mine.dver", b"my own file")
    clone.write("nested/.git/HEAD", b"")
    (clone.root / "link").symlink_to("deep")
    os.mkfifo(clone.root / "pipe")
    return clone


def refusal(clone: Clone, *outputs: str, inputs: tuple[str, ...] = ()) -> DverError:
    with pytest.raises(DverError) as caught:
        plan(clone, request("x", inputs=inputs, outputs=outputs))
    return caught.value


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("", "whole repository"),
        ("data/sub", "lies within the dataset data"),
        ("deep", "holds the dataset deep/data"),
        ("src", "holds src/code.py, which is tracked by git"),
        ("src/code.py", "is tracked by git"),
        ("data.dver", "is the name of a pointer"),
        ("new.dver", "is the name of a pointer"),
        (".dver/x", "belongs to git or dver itself"),
        (".git/x", "belongs to git or dver itself"),
        ("hidden/out", "would be ignored by git"),
        ("mine", "mine.dver: is there already"),
        ("nested/out", "git repository of its own"),
        ("link", "is a symbolic link"),
        ("link/out", "behind the symbolic link"),
        ("pipe", "is a socket, device or named pipe"),
        ("src/code.py/x", "cannot be looked at"),
    ],
)
def test_paths_that_cannot_become_a_dataset_are_refused_before_anything_runs(
    ready: Clone, path: str, reason: str
) -> None:
    assert reason in refusal(ready, path).message


@pytest.mark.parametrize(
    ("output", "taken"),
    [("data", "data"), ("data/x", "data"), ("data", "data/a"), ("src", "src/code.py"), ("src/code.py", "src/code.py")],
)
def test_an_output_may_not_be_an_input_or_lie_in_or_around_one(ready: Clone, output: str, taken: str) -> None:
    error = refusal(ready, output, inputs=(taken,))
    assert isinstance(error, UsageError)
    assert "lie within each other" in error.message


def test_outputs_may_not_lie_within_each_other(ready: Clone) -> None:
    assert isinstance(refusal(ready, "new", "new/a"), UsageError)
    assert plan(ready, request("x", outputs=("new", "new", "new-a"))).step.outputs == ("new", "new-a")


def test_an_output_whose_pointer_is_in_a_merge_conflict_is_settled_by_the_run(ready: Clone) -> None:
    pointer = ready.root / "other.dver"
    text = pointer.read_text()
    pointer.write_text(f"<<<<<<< HEAD\n{text}=======\n{text}>>>>>>> theirs\n")
    run(ready, request("echo new > other", outputs=("other",)))
    assert ready.status("other").state.value == "unchanged"
