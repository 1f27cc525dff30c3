"""Lineage records for tests of the commands that show them."""

from collections.abc import Sequence
from typing import Any

from dver.objects.ids import format_version
from dver.records.journal import Journal
from dver.records.record import Artifact, Record, State
from dver.workspace.pointers import read_pointer
from tests.cli.runner import Cli

STARTED = "2026-11-23T13:00:00.123Z"


def record(
    cli: Cli, name: str, inputs: Sequence[Artifact] = (), outputs: Sequence[Artifact] = (), **fields: Any
) -> Record:
    """Append a record to the lineage file of the repository and return it."""
    facts = {"state": State.COMPLETE, "started": STARTED, "command": ("python", f"{name}.py"), **fields}
    made = Record(name=name, inputs=tuple(inputs), outputs=tuple(outputs), **facts)
    Journal(cli.folder / ".dver" / "lineage.jsonl").append(made)
    return made


def current(cli: Cli, dataset: str = "data", **fields: Any) -> Artifact:
    """Return the version that a pointer names, as an artifact."""
    pointer = read_pointer(cli.folder, dataset)
    assert pointer is not None
    return Artifact(dataset, format_version(pointer.version), **fields)


def data(path: str, **fields: Any) -> Artifact:
    """Return an artifact with a version of its own."""
    return Artifact(path, "b3:" + path.encode("utf-8", "surrogateescape").hex().ljust(64, "0")[:64], **fields)


def code(path: str) -> Artifact:
    """Return a file that git has."""
    return Artifact(path, "git:" + "c" * 40, kind="code")


def short(made: Record) -> str:
    """Return the id of a record as the commands show it."""
    return made.id.removeprefix("b3:")[:10]
