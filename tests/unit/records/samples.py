"""Records to test with."""

from dataclasses import replace
from pathlib import Path

from blake3 import blake3

from dver.records.journal import Journal
from dver.records.record import Artifact, Environment, Record, State, encode_record

FULL = Record(
    state=State.CACHED,
    started="2026-11-23T13:00:00.123Z",
    name="train",
    command=("python", "train.py", "--name", 'ä "quoted"'),
    shell=True,
    folder="models",
    inputs=(
        Artifact("data/raw", "b3:" + "1" * 64),
        Artifact("train.py", "git:" + "2" * 40, kind="code", observed=True),
        Artifact("data/split/a.csv", "b3:" + "3" * 64, dataset="data/split", dataset_version="b3:" + "4" * 64),
    ),
    outputs=(Artifact("models/out", "b3:" + "5" * 64, kind="model", props={"rows": 7, "ok": True, "none": None}),),
    params={"params.yaml:lr": 0.1, "epochs": 10},
    commit="6" * 40,
    dirty=True,
    seconds=2.5,
    exit_code=0,
    environment=Environment("3.12.1", "linux-x86_64", "b3:" + "7" * 64, "sha256:" + "8" * 64),
    tags={"experiment": "a"},
    key="b3:" + "9" * 64,
    reuses="b3:" + "a" * 64,
    source="https://example.org/data.csv",
    note="as agreed",
)
SMALL = Record(State.FAILED, "2026-11-23T13:00:00Z")


def version(text: str) -> str:
    """Return some version, always the same for one text."""
    return "b3:" + blake3(text.encode()).hexdigest()


def step(
    made: str,
    *used: str,
    at: int = 0,
    state: State = State.COMPLETE,
    name: str = "",
    key: str = "",
) -> Record:
    """Return a record of a run that made `PATH@VERSION` out of others, and started `at` seconds past the hour."""
    return Record(
        state,
        f"2026-11-23T13:{at // 60:02}:{at % 60:02}.000Z",
        name=name,
        inputs=tuple(artifact(text) for text in used),
        outputs=(artifact(made),),
        key=key,
    )


def artifact(text: str) -> Artifact:
    """Return the artifact that `PATH@VERSION` or `DATASET:PATH@VERSION` stands for."""
    path, _, content = text.partition("@")
    dataset, _, within = path.rpartition(":")
    if not dataset:
        return Artifact(path, version(content))
    return Artifact(f"{dataset}/{within}", version("part of " + content), dataset, version(content))


def tagged(record: Record, **tags: str) -> Record:
    """Return a record with tags."""
    return replace(record, tags=tags)


def write(path: Path, *lines: Record | bytes) -> Journal:
    """Write a lineage file of these lines."""
    path.write_bytes(b"".join(encode_record(line) if isinstance(line, Record) else line for line in lines))
    return Journal(path)
