"""Runs: the records that fit a question, one by its id, and those that made a version."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from dver.objects.ids import VERSION_PREFIX
from dver.operations.lineage import ArtifactId, makers
from dver.records.record import Record, State
from dver.repo import Repo

_RUN_ID = re.compile(rf"(?:{VERSION_PREFIX})?[0-9a-f]{{6,64}}")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which runs are meant: those that fit all that is given.

    Attributes:
        since: when they started at the earliest, with its time zone.
        path: what they used or made, or a folder that it is in; relative to the repository.
    """

    name: str | None = None
    state: State | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    since: datetime | None = None
    path: str | None = None


def runs(repo: Repo, wanted: Wanted) -> list[Record]:
    """Return the records that are wanted, by the time at which they started."""
    found = repo.lineage.records(
        name=wanted.name,
        state=wanted.state,
        tags=wanted.tags,
        since=wanted.since,
        # Everything is below the top.
        path=wanted.path or None,
    )
    return _in_time(found)


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


def _in_time(records: list[Record]) -> list[Record]:
    # Branches were merged line by line, so the order of the file says little.
    return sorted(records, key=lambda record: datetime.fromisoformat(record.started))
