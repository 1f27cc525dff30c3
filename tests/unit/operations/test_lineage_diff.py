"""What differs between two runs, and between the runs that made two versions."""

import json
from dataclasses import replace
from typing import Any

import pytest

from dver.objects.ids import format_version
from dver.operations.diff import ChangeKind, diff
from dver.operations.lineage_diff import Aspect, Difference, MakersDiff, diff_makers, diff_runs
from dver.operations.run_environment import find_environment
from dver.records.journal import Journal
from dver.records.record import Artifact, Environment, Record, State
from dver.workspace.pointers import read_pointer
from tests.clones import Clone

ADDED, MODIFIED, DELETED, _ = ChangeKind
ONE, TWO = ("b3:" + digit * 64 for digit in "12")
BASE = Record(
    State.COMPLETE,
    "2026-11-23T13:00:00.000Z",
    name="train",
    command=("python", "train.py"),
    inputs=(Artifact("raw", ONE), Artifact("train.py", "git:" + "3" * 40, kind="code")),
    outputs=(Artifact("model", ONE, props={"error": 0.5}),),
    params={"lr": 0.1, "n": 1},
    tags={"a": "1"},
    commit="4" * 40,
    environment=Environment("3.12.1", "linux-x86_64", "", "sha256:" + "5" * 64),
)


def differences(clone: Clone, **changed: Any) -> list[tuple[Aspect, str, ChangeKind, object, object]]:
    with clone.open() as repo:
        found = diff_runs(repo, BASE, replace(BASE, **changed))
    return [(one.aspect, one.name, one.kind, one.old, one.new) for one in found.differences]


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({}, []),
        ({"started": "2026-11-24T13:00:00.000Z", "seconds": 5.0, "dirty": True, "key": ONE, "reuses": ONE}, []),
        ({"name": "again"}, [(Aspect.NAME, "", MODIFIED, "train", "again")]),
        ({"name": ""}, [(Aspect.NAME, "", DELETED, "train", None)]),
        ({"state": State.FAILED}, [(Aspect.STATE, "", MODIFIED, "complete", "failed")]),
        (
            {"command": ("python", "train.py", "-v")},
            [(Aspect.COMMAND, "", MODIFIED, ("python", "train.py"), ("python", "train.py", "-v"))],
        ),
        ({"shell": True}, [(Aspect.SHELL, "", ADDED, None, True)]),
        ({"folder": "sub"}, [(Aspect.FOLDER, "", ADDED, None, "sub")]),
        (
            {"params": {"lr": 0.5, "new": None}},
            [
                (Aspect.PARAMETER, "lr", MODIFIED, 0.1, 0.5),
                (Aspect.PARAMETER, "n", DELETED, 1, None),
                (Aspect.PARAMETER, "new", ADDED, None, None),
            ],
        ),
        ({"params": {"lr": 0.1, "n": True}}, [(Aspect.PARAMETER, "n", MODIFIED, 1, True)]),
        (
            {"inputs": (Artifact("raw", TWO), Artifact("train.py", "git:" + "6" * 40, kind="code"))},
            [
                (Aspect.INPUT, "raw", MODIFIED, ONE, TWO),
                (Aspect.CODE, "train.py", MODIFIED, "git:" + "3" * 40, "git:" + "6" * 40),
            ],
        ),
        (
            {"inputs": (*BASE.inputs, Artifact("lock", "git:" + "7" * 40, kind="env"))},
            [(Aspect.ENVIRONMENT_FILE, "lock", ADDED, None, "git:" + "7" * 40)],
        ),
        ({"inputs": (replace(BASE.inputs[0], observed=True), BASE.inputs[1])}, []),
        (
            {"outputs": (Artifact("model", TWO, props={"error": 0.4}),)},
            [
                (Aspect.OUTPUT, "model", MODIFIED, ONE, TWO),
                (Aspect.PROPERTY, "model:error", MODIFIED, 0.5, 0.4),
            ],
        ),
        ({"tags": {"a": "2"}}, [(Aspect.TAG, "a", MODIFIED, "1", "2")]),
        ({"commit": ""}, [(Aspect.COMMIT, "", DELETED, "4" * 40, None)]),
        (
            {"environment": Environment("3.13.0", "linux-aarch64")},
            [
                (Aspect.PYTHON, "", MODIFIED, "3.12.1", "3.13.0"),
                (Aspect.PLATFORM, "", MODIFIED, "linux-x86_64", "linux-aarch64"),
                (Aspect.IMAGE, "", DELETED, "sha256:" + "5" * 64, None),
            ],
        ),
    ],
)
def test_runs_are_compared_fact_by_fact(clone: Clone, changed: dict[str, Any], found: list[tuple[object, ...]]) -> None:
    assert differences(clone, **changed) == found


def with_packages(clone: Clone, *names: str) -> Record:
    """Return a run of a Python that has these packages, `NAME==VERSION`."""
    answer = json.dumps({"python": "3.12.1", "packages": names})
    path = clone.root / "python3"
    path.write_text(f"#!/bin/sh\ncat <<END\n{answer}\nEND\n")
    path.chmod(0o755)
    with clone.open() as repo:
        found = find_environment(repo, ["./python3"], clone.root, {}, shell=False)
    assert found.packages
    return replace(BASE, environment=replace(BASE.environment, packages=found.packages))


def test_packages_that_came_went_and_changed_are_named(clone: Clone) -> None:
    old = with_packages(clone, "alpha==1.0", "beta==2.0", "delta==1.0", "delta==2.0")
    new = with_packages(clone, "beta==2.1", "delta==1.0", "gamma==3.0")

    with clone.open() as repo:
        found = diff_runs(repo, old, new)
        same = diff_runs(repo, new, new)

    assert found.differences == (
        Difference(Aspect.PACKAGE, "alpha", DELETED, "1.0", None),
        Difference(Aspect.PACKAGE, "beta", MODIFIED, "2.0", "2.1"),
        Difference(Aspect.PACKAGE, "delta", MODIFIED, "1.0, 2.0", "1.0"),
        Difference(Aspect.PACKAGE, "gamma", ADDED, None, "3.0"),
    )
    assert found.packages_problem == same.packages_problem == ""
    assert same.differences == ()


def test_packages_that_cannot_be_had_leave_the_rest_of_the_answer(clone: Clone) -> None:
    old = with_packages(clone, "alpha==1.0")
    new = replace(old, name="other", environment=replace(old.environment, packages=TWO))
    neither = replace(BASE, name="other")

    with clone.open() as repo:
        lost = diff_runs(repo, old, new)
        lacking = diff_runs(repo, old, neither)

    assert [one.aspect for one in lost.differences] == [Aspect.NAME]
    assert "is not in the cache" in lost.packages_problem
    assert [one.aspect for one in lacking.differences] == [Aspect.NAME]
    assert lacking.packages_problem == f"run {neither.id[3:13]} has no list of packages"


def made(clone: Clone, content: bytes, hour: int, **fields: Any) -> Record:
    """Save a version of `data` and record that a run made it."""
    clone.write("data/a", content)
    clone.save()
    pointer = read_pointer(clone.root, "data")
    assert pointer is not None
    started = f"2026-11-23T{hour:02}:00:00.000Z"
    record = replace(BASE, started=started, outputs=(Artifact("data", format_version(pointer.version)),), **fields)
    Journal(clone.root / ".dver" / "lineage.jsonl").append(record)
    return record


def makers(clone: Clone, old: str, new: str | None = None) -> MakersDiff | None:
    with clone.open() as repo:
        [found] = diff(repo, old, new)
        return diff_makers(repo, found)


def test_the_latest_runs_that_made_two_versions_are_compared_by_what_decides(clone: Clone) -> None:
    made(clone, b"1", 1)
    old = made(clone, b"1", 2, params={"lr": 0.2})
    clone.git("tag", "v1")
    new = made(clone, b"2", 3, params={"lr": 0.3}, tags={}, commit="9" * 40)
    clone.commit()

    expected = MakersDiff(old, new, (Difference(Aspect.PARAMETER, "lr", MODIFIED, 0.2, 0.3),))
    assert makers(clone, "v1", "HEAD") == expected
    assert makers(clone, "v1") == expected


def test_a_version_that_no_run_made_has_nothing_to_be_compared(clone: Clone) -> None:
    clone.write("data/a", b"0")
    clone.save()
    clone.git("tag", "v0")
    clone.write("data/a", b"1")
    clone.save()
    clone.git("tag", "v1")
    new = made(clone, b"2", 3)
    clone.commit()

    assert makers(clone, "v0", "v1") is None
    assert makers(clone, "v1", "HEAD") == MakersDiff(None, new, ())
    assert makers(clone, "HEAD", "v1") == MakersDiff(new, None, ())


def test_a_dataset_that_is_on_one_side_only_is_not_compared(clone: Clone) -> None:
    clone.commit()
    clone.git("tag", "empty")
    made(clone, b"1", 1)

    assert makers(clone, "empty", "HEAD") is None
