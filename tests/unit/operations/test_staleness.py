"""What a record says, next to what is here now."""

import os
import shutil
from dataclasses import replace
from typing import Any

import pytest

from dver.operations.run_cache import Reason
from dver.operations.run_params import ParamSource
from dver.operations.staleness import compare, find_stale, param_sources
from dver.records.record import Artifact, Record, Scalar, State
from tests.clones import Clone
from tests.unit.operations.running import records, request, run

OLD, NEW = "b3:" + "1" * 64, "b3:" + "2" * 64
RECORD = Record(
    State.COMPLETE,
    "2026-01-01T00:00:00Z",
    inputs=(
        Artifact("raw", OLD),
        Artifact("code.py", "git:" + "1" * 40, kind="code"),
        Artifact("lock", "git:" + "1" * 40, kind="env"),
        Artifact("seen", OLD, observed=True),
    ),
    params={"lr": 1, "on": True},
)
BASE = request(
    "cat raw/a > out",
    inputs=("raw/deep", "other"),
    code=("code.py",),
    outputs=("out",),
    params=(ParamSource("lr", "params.yaml"), ParamSource("deep", "params.yaml"), ParamSource("seed", value=1)),
)


@pytest.fixture
def made(clone: Clone) -> Clone:
    """A clone with an output that a run made."""
    clone.write("raw/a", b"one\n")
    clone.write("raw/deep/b", b"two\n")
    clone.write("other", b"other\n")
    clone.write("code.py", b"code\n")
    clone.write("params.yaml", b"lr: 0.1\ndeep: {a: [1, 2], 'b:c': x}\n")
    clone.save("raw", "other")
    run(clone, BASE)
    return clone


def stale(clone: Clone, dataset: str = "out") -> list[tuple[str, str, bool]]:
    """Return why a dataset is stale."""
    pointer = clone.status(dataset).pointer
    assert pointer is not None
    with clone.open() as repo:
        found = find_stale(repo, {dataset: pointer.version}).get(dataset, ())
    return [(reason.kind.value, reason.name, reason.vanished) for reason in found]


@pytest.mark.parametrize(
    ("versions", "params", "expected"),
    [
        ({}, {"lr": 1, "on": True}, []),
        ({"raw": OLD}, {"lr": 1, "on": True, "more": 2}, []),
        ({"seen": NEW}, {"lr": 1, "on": True}, [("input", "seen", OLD, NEW, False)]),
        ({"raw": NEW}, {"lr": 1, "on": True}, [("input", "raw", OLD, NEW, False)]),
        ({"raw": None}, {"lr": 1, "on": True}, [("input", "raw", OLD, None, True)]),
        ({"lock": "git:2"}, {"lr": 1, "on": True}, [("env", "lock", "git:" + "1" * 40, "git:2", False)]),
        ({"code.py": "git:2"}, {"lr": 1, "on": True}, [("code", "code.py", "git:" + "1" * 40, "git:2", False)]),
        ({}, {"lr": 2, "on": True}, [("param", "lr", 1, 2, False)]),
        ({}, {"lr": 1.0, "on": 1}, [("param", "lr", 1, 1.0, False), ("param", "on", True, 1, False)]),
        ({}, {"on": True}, [("param", "lr", 1, None, True)]),
    ],
)
def test_compares_versions_and_values(
    versions: dict[str, str | None], params: dict[str, Scalar], expected: list[tuple[Any, ...]]
) -> None:
    def facts(reason: Reason) -> tuple[Any, ...]:
        return reason.kind.value, reason.name, reason.old, reason.new, reason.vanished

    assert [facts(reason) for reason in compare(RECORD, versions, params)] == expected


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("lr", ParamSource("lr", value=1)),
        ("params.yaml:train.lr", ParamSource("train.lr", "params.yaml")),
        ("p.YML:a:b", ParamSource("a:b", "p.YML")),
        ("a:b.toml:c", ParamSource("c", "a:b.toml")),
        ("conf/a.json:b.json:c", ParamSource("b.json:c", "conf/a.json")),
        ("odd:file:key", ParamSource("key", "odd:file")),
    ],
)
def test_tells_from_a_name_where_a_parameter_comes_from(name: str, source: ParamSource) -> None:
    assert param_sources(replace(RECORD, params={name: 1})) == (source,)


def test_nothing_is_stale_that_is_as_it_was(made: Clone) -> None:
    assert stale(made) == []
    # Nobody made it.
    assert stale(made, "raw") == []


def test_another_part_of_a_dataset_does_not_count(made: Clone) -> None:
    made.write("raw/a", b"changed")
    made.add("raw")
    assert stale(made) == []
    made.write("raw/deep/b", b"changed")
    made.add("raw")
    assert stale(made) == [("input", "raw/deep", False)]


def test_only_pointers_count(made: Clone) -> None:
    made.write("other", b"changed")
    assert stale(made) == []
    made.add("other")
    assert stale(made) == [("input", "other", False)]


def test_inputs_that_are_gone_are_named(made: Clone) -> None:
    (made.root / "other.dver").unlink()
    (made.root / "code.py").unlink()
    shutil.rmtree(made.root / "raw" / "deep")
    made.add("raw")
    assert stale(made) == [("input", "raw/deep", True), ("input", "other", True), ("code", "code.py", True)]


def test_code_and_parameters_are_looked_at_as_they_are(made: Clone) -> None:
    made.write("code.py", b"changed")
    made.write("params.yaml", b"lr: 0.2\ndeep: {a: [1, 3]}\n")
    assert stale(made) == [
        ("code", "code.py", False),
        ("param", "params.yaml:deep.a", False),
        ("param", "params.yaml:deep.b:c", True),
        ("param", "params.yaml:lr", False),
    ]
    (made.root / "params.yaml").unlink()
    assert [name for _, name, gone in stale(made) if gone] == [
        "params.yaml:deep.a",
        "params.yaml:deep.b:c",
        "params.yaml:lr",
    ]


def test_what_cannot_be_found_out_is_not_said_to_have_changed(made: Clone) -> None:
    made.write("raw/deep/b", b"changed")
    made.add("raw")
    made.delete_cache()
    made.write("other.dver", b"# dver pointer\nno pointer")
    assert stale(made) == []


def test_the_run_that_made_the_version_last_counts(made: Clone) -> None:
    made.write("code.py", b"changed")
    run(made, BASE)
    assert len(records(made)) == 2
    assert stale(made) == []
    made.write("code.py", b"code\n")
    assert stale(made) == [("code", "code.py", False)]


def test_a_version_that_no_run_made_is_not_stale(made: Clone) -> None:
    made.write("code.py", b"changed")
    made.write("out", b"by hand")
    made.add("out")
    assert stale(made) == []


def test_a_failed_run_made_nothing(made: Clone) -> None:
    (record,) = records(made)
    (made.root / ".dver" / "lineage.jsonl").unlink()
    with made.open() as repo:
        repo.lineage.journal.append(replace(record, state=State.FAILED, params={"gone": 1}))
    made.write("code.py", b"changed")
    assert stale(made) == []
    assert os.path.exists(made.root / "out")


@pytest.mark.parametrize("content", [b"lr: " + b"[" * 100_000, b"lr: [", b"\xff"])
def test_a_file_of_parameters_that_cannot_be_read_is_named_and_makes_nothing_stale(made: Clone, content: bytes) -> None:
    made.write("params.yaml", content)
    pointer = made.status("out").pointer
    assert pointer is not None
    said: list[str] = []
    with made.open() as repo:
        assert find_stale(repo, {"out": pointer.version}, note=said.append) == {}
    assert len(said) == 1
    assert "params.yaml" in said[0]
