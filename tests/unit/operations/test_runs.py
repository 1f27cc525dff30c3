"""Runs: which records fit a question."""

from datetime import UTC, datetime
from typing import Any

import pytest

from dver.operations.lineage import ArtifactId
from dver.operations.runs import Wanted, find_run, is_run_id, runs, runs_that_made
from dver.records.journal import Journal
from dver.records.record import Artifact, Record, State
from tests.clones import Clone

ONE, TWO = ("b3:" + digit * 64 for digit in "12")


def run(name: str, day: int, state: State = State.COMPLETE, **fields: Any) -> Record:
    return Record(state, f"2026-11-{day:02}T12:00:00.000Z", name, **fields)


RECORDS = [
    run("train", 3, tags={"experiment": "b", "who": "me"}, outputs=(Artifact("models/best", TWO),)),
    run("train", 1, tags={"experiment": "a", "who": "me"}, outputs=(Artifact("models/best", ONE),)),
    run("test", 2, State.FAILED, inputs=(Artifact("models/best", ONE),)),
    run("get", 4, State.IMPORTED, outputs=(Artifact("raw", ONE),)),
]


@pytest.fixture
def recorded(clone: Clone) -> Clone:
    """A repository with the records, which are not in the order of time."""
    journal = Journal(clone.root / ".dver" / "lineage.jsonl")
    for record in RECORDS:
        journal.append(record)
    return clone


@pytest.mark.parametrize(
    ("wanted", "days"),
    [
        (Wanted(), [1, 2, 3, 4]),
        (Wanted(name="train"), [1, 3]),
        (Wanted(state=State.FAILED), [2]),
        (Wanted(tags={"who": "me"}), [1, 3]),
        (Wanted(tags={"who": "me", "experiment": "b"}), [3]),
        (Wanted(since=datetime(2026, 11, 3, 12, tzinfo=UTC)), [3, 4]),
        (Wanted(path="models"), [1, 2, 3]),
        (Wanted(path="raw"), [4]),
        (Wanted(path=""), [1, 2, 3, 4]),
        (Wanted(name="train", path="models/best", since=datetime(2026, 11, 2, tzinfo=UTC)), [3]),
        (Wanted(name="nothing"), []),
    ],
)
def test_runs_that_fit_come_in_the_order_of_time(recorded: Clone, wanted: Wanted, days: list[int]) -> None:
    with recorded.open() as repo:
        found = runs(repo, wanted)

    assert [int(record.started[8:10]) for record in found] == days


def test_a_run_is_found_by_the_beginning_of_its_id(recorded: Clone) -> None:
    record = RECORDS[0]
    digits = record.id.removeprefix("b3:")

    with recorded.open() as repo:
        assert find_run(repo, record.id) == record
        assert find_run(repo, digits) == record
        assert find_run(repo, digits[:6]) == record
        assert find_run(repo, f"b3:{digits[:6]}") == record
        assert find_run(repo, digits[:5]) is None
        assert find_run(repo, "0" * 64) is None


@pytest.mark.parametrize("text", ["models", "b3:", "12345", "ABCDEF", "b3:12345g", "1" * 65, "HEAD:abcdef"])
def test_what_is_no_beginning_of_an_id(text: str) -> None:
    assert not is_run_id(text)


def test_the_runs_that_made_a_version(recorded: Clone) -> None:
    with recorded.open() as repo:
        assert [record.name for record in runs_that_made(repo, ArtifactId("models/best", ONE))] == ["train"]
        assert [record.name for record in runs_that_made(repo, ArtifactId("moved", ONE))] == ["train", "get"]
        assert runs_that_made(repo, ArtifactId("moved", "b3:" + "3" * 64)) == []


def test_equal_content_that_was_there_before_was_made_by_no_run(clone: Clone) -> None:
    journal = Journal(clone.root / ".dver" / "lineage.jsonl")
    journal.append(run("copy", 1, inputs=(Artifact("raw", ONE),), outputs=(Artifact("copy", ONE),)))

    with clone.open() as repo:
        assert runs_that_made(repo, ArtifactId("raw", ONE)) == []
