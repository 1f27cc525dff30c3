"""Runs: the records that fit a question, one by its id, and those that made a version."""

import re
import shlex
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime

from dver.objects.ids import VERSION_PREFIX
from dver.operations.condition import Condition, opened_condition
from dver.operations.lineage import ArtifactId, makers
from dver.records.record import Record, Scalar, State
from dver.repo import Repo

_RUN_ID = re.compile(rf"(?:{VERSION_PREFIX})?[0-9a-f]{{6,64}}")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which runs are meant: those that fit all that is given.

    Attributes:
        since: when they started at the earliest, with its time zone.
        path: what they used or made, or a folder that it is in; relative to the repository.
        where: what else must be true of them.
        limit: how many at most, the newest of all that fit.
    """

    name: str | None = None
    state: State | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    since: datetime | None = None
    path: str | None = None
    where: Condition[Record] | None = None
    limit: int | None = None


def runs(repo: Repo, wanted: Wanted) -> list[Record]:
    """Return the records that are wanted, by the time at which they started."""
    found = repo.lineage.records(
        name=wanted.name,
        state=wanted.state,
        tags=wanted.tags,
        since=wanted.since,
        # Everything is below the top.
        path=wanted.path or None,
        limit=wanted.limit,
        keep=None if wanted.where is None else wanted.where.holds,
    )
    return _in_time(found)


def command_line(record: Record) -> str:
    """Return what ran as one line, as one types it; "" where nothing did."""
    return record.command[0] if record.shell and record.command else shlex.join(record.command)


RUN_COLUMNS: Mapping[str, Callable[[Record], object]] = {
    "id": lambda record: record.id,
    "name": lambda record: record.name,
    "state": lambda record: record.state.value,
    "started": lambda record: record.started,
    "seconds": lambda record: record.seconds,
    "exit_code": lambda record: record.exit_code,
    "command": command_line,
    "folder": lambda record: record.folder,
    # Not `commit`, which is a word of SQL.
    "commit_id": lambda record: record.commit,
    "dirty": lambda record: record.dirty,
    "python": lambda record: record.environment.python,
    "platform": lambda record: record.environment.platform,
    "source": lambda record: record.source,
    "note": lambda record: record.note,
}


def run_condition(text: str | None) -> AbstractContextManager[Condition[Record] | None]:
    """Open a condition in SQL on runs, if any is given: over `RUN_COLUMNS`, `param('…')` and `tag('…')`.

    Raises:
        UsageError: it is none.
    """
    return opened_condition(text, RUN_COLUMNS, {"param": _param, "tag": lambda record, name: record.tags.get(name)})


def is_run_id(text: str) -> bool:
    """Whether a text has the form of a record's id or of its beginning."""
    return _RUN_ID.fullmatch(text) is not None


def find_run(repo: Repo, text: str) -> Record | None:
    """Return the record with this id, of which six digits or more are enough; None where there is none.

    Raises:
        UsageError: several begin so.
    """
    return repo.lineage.record(text) if is_run_id(text) else None


def runs_that_made(repo: Repo, artifact: ArtifactId) -> list[Record]:
    """Return the records of runs that made a version, at its path or where it was surely moved from."""
    return _in_time(makers(repo, artifact))


def _param(record: Record, name: str) -> Scalar:
    """Return a parameter by its name, or by the last parts of it: `lr` is `params.toml:train.lr` too."""
    if name in record.params:
        return record.params[name]
    ends = (f":{name}", f".{name}")
    return next((record.params[full] for full in sorted(record.params) if full.endswith(ends)), None)


def _in_time(records: list[Record]) -> list[Record]:
    # Branches were merged line by line, so the order of the file says little.
    return sorted(records, key=lambda record: datetime.fromisoformat(record.started))
