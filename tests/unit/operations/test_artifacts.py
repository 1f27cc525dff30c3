"""Artifacts: which versions runs used and made."""

from datetime import UTC, datetime
from typing import Any

import pytest

from dver.operations.artifacts import Listed, Wanted, artifacts
from dver.records.journal import Journal
from dver.records.record import Artifact, Record, State
from tests.clones import Clone

ONE, TWO, THREE = ("b3:" + digit * 64 for digit in "123")
CODE = Artifact("train.py", "git:" + "4" * 40, kind="code")
PART = Artifact("split/test", THREE, "split", TWO)


def run(name: str, day: int, state: State = State.COMPLETE, **fields: Any) -> Record:
    return Record(state, f"2026-11-{day:02}T12:00:00.000Z", name, **fields)


RECORDS = [
    run("test", 5, inputs=(PART, Artifact("models/best", ONE))),
    run("train", 3, inputs=(Artifact("split", TWO), CODE), outputs=(Artifact("models/best", ONE),), tags={"a": "1"}),
    run("train", 4, State.CACHED, inputs=(CODE,), outputs=(Artifact("models/best", ONE),), tags={"a": "2"}),
    run("get", 1, State.IMPORTED, outputs=(Artifact("raw", ONE),)),
    run("split", 2, inputs=(Artifact("raw", ONE),), outputs=(Artifact("split", TWO, props={"rows": 7, "to": "x"}),)),
    run("bad", 6, State.FAILED, inputs=(Artifact("other", ONE),), outputs=(Artifact("broken", ONE),)),
]


@pytest.fixture
def recorded(clone: Clone) -> Clone:
    """A repository with the records, which are not in the order of time."""
    journal = Journal(clone.root / ".dver" / "lineage.jsonl")
    for record in RECORDS:
        journal.append(record)
    return clone


def listed(clone: Clone, **wanted: Any) -> list[Listed]:
    with clone.open() as repo:
        return artifacts(repo, Wanted(**wanted))


def test_all_that_was_used_or_made_comes_in_the_order_of_time(recorded: Clone) -> None:
    found = [(one.artifact.path, int(one.started[8:10]), len(one.makers), len(one.users)) for one in listed(recorded)]
    assert found == [
        ("raw", 1, 1, 1),
        ("split", 2, 1, 2),
        ("train.py", 3, 0, 2),
        ("models/best", 3, 2, 1),
        ("split/test", 5, 0, 1),
        ("other", 6, 0, 1),
    ]


@pytest.mark.parametrize(
    ("wanted", "paths"),
    [
        ({"path": "models"}, ["models/best"]),
        ({"path": "split"}, ["split", "split/test"]),
        ({"path": "split/test"}, ["split/test"]),
        ({"path": "spl"}, []),
        ({"path": ""}, ["raw", "split", "train.py", "models/best", "split/test", "other"]),
        ({"kind": "code"}, ["train.py"]),
        ({"props": {"rows": "7"}}, ["split"]),
        ({"props": {"rows": "7", "to": "x"}}, ["split"]),
        ({"props": {"rows": "8"}}, []),
        ({"props": {"columns": "7"}}, []),
        ({"name": "train"}, ["models/best"]),
        ({"name": "bad"}, []),
        ({"state": State.IMPORTED}, ["raw"]),
        ({"tags": {"a": "1"}}, ["models/best"]),
        ({"tags": {"a": "1"}, "state": State.CACHED}, []),
        ({"since": datetime(2026, 11, 4, 12, tzinfo=UTC)}, ["models/best", "split/test", "other"]),
        ({"since": datetime(2026, 11, 3, tzinfo=UTC), "kind": "code"}, ["train.py"]),
        ({"since": datetime(2026, 11, 7, tzinfo=UTC)}, []),
    ],
)
def test_only_those_that_fit_are_listed(recorded: Clone, wanted: dict[str, Any], paths: list[str]) -> None:
    assert [one.artifact.path for one in listed(recorded, **wanted)] == paths


def test_the_runs_that_made_it_are_those_that_are_wanted(recorded: Clone) -> None:
    [best] = listed(recorded, state=State.CACHED)
    assert [record.tags for record in best.makers] == [{"a": "2"}]
    assert best.started == RECORDS[2].started
    assert [record.name for record in best.users] == ["test"]


def test_all_that_is_said_of_an_artifact_is_kept_and_the_last_word_counts(clone: Clone) -> None:
    journal = Journal(clone.root / ".dver" / "lineage.jsonl")
    journal.append(run("train", 1, outputs=(Artifact("m", ONE, kind="model", props={"accuracy": 0.5, "rows": 1}),)))
    journal.append(run("use", 2, inputs=(Artifact("m", ONE),)))
    journal.append(run("note", 3, State.IMPORTED, outputs=(Artifact("m", ONE, props={"rows": 2}),)))
    [one] = listed(clone)
    assert (one.artifact.kind, one.artifact.props) == ("model", {"accuracy": 0.5, "rows": 2})
    journal.append(run("note", 4, State.IMPORTED, outputs=(Artifact("m", ONE, kind="schema"),)))
    [one] = listed(clone)
    assert (one.artifact.kind, one.artifact.props) == ("schema", {"accuracy": 0.5, "rows": 2})


def test_without_a_lineage_file_there_are_none(clone: Clone) -> None:
    assert listed(clone) == []
