"""Origin: adds data together with a record of where it came from, for data that no command here made.

The record is of state `imported` and comes last: what it names is stored, and its pointers are written. What looks like
a secret in what the user says is masked before it is recorded.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from dver.errors import UsageError
from dver.objects.ids import format_version
from dver.operations.add import AddResult, add
from dver.operations.record import now, write_record
from dver.operations.run_secrets import mask
from dver.progress import NO_PROGRESS, Progress
from dver.records.record import Artifact, Record, RecordId, State
from dver.repo import LINEAGE_FILE, Repo


@dataclass(frozen=True, slots=True)
class Origin:
    """Where data came from, as the user says it: the URL or place `source`, and a free `note`; "" for none."""

    source: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Imported:
    """What was added, and the record of it.

    Attributes:
        masked: what looked like a secret, and is not recorded.
    """

    result: AddResult
    record: RecordId
    masked: tuple[str, ...]


def add_from(
    repo: Repo,
    paths: Sequence[str],
    origin: Origin,
    *,
    stage: bool = True,
    force: bool = False,
    progress: Progress = NO_PROGRESS,
) -> Imported:
    """Add the data at `paths` as `add` does, then record where it came from; also for data that was added before.

    With `stage`, the lineage file is staged as well as the pointers.

    Raises:
        UsageError: nothing is said of where the data came from.
        PathError: a path cannot be added; the reason names what helps. Nothing was written.
        UnstableFileError: a file kept changing while it was read.
    """
    # One by one: a word in front of another could pass for an option whose value that is.
    source, note = (mask([text.strip()], {}, {}) for text in (origin.source, origin.note))
    if not source.command[0] and not note.command[0]:
        raise UsageError("nothing is said of where the data came from", hint="--from URL, --note TEXT, or both")
    started = now()
    # Before pointers change, which would always count.
    commit, dirty = repo.git.head_commit() or "", repo.git.is_dirty(besides=(LINEAGE_FILE,))
    result = add(repo, paths, stage=stage, force=force, progress=progress)
    record = Record(
        State.IMPORTED,
        started,
        outputs=tuple(Artifact(one.dataset, format_version(one.pointer.version)) for one in result.added),
        commit=commit,
        dirty=dirty,
        source=source.command[0],
        note=note.command[0],
    )
    return Imported(result, write_record(repo, record, stage=stage), (*source.found, *note.found))
