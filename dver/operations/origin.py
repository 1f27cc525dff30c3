"""Origin: adds data together with a record of where it came from, for data that no command here made.

The record is of state `imported` and comes last: what it names is stored, and its pointers are written. What looks like
a secret in what the user says is masked before it is recorded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dver.errors import PathError, UsageError
from dver.objects.ids import format_version
from dver.operations.add import AddResult, add
from dver.operations.datasets import enclosing_dataset
from dver.operations.descriptions import Description, describe, mask_descriptions
from dver.operations.record import now, write_record
from dver.operations.run_secrets import mask
from dver.progress import NO_PROGRESS, Progress
from dver.records.record import Artifact, Record, RecordId, State
from dver.repo import LINEAGE_FILE, Repo


@dataclass(frozen=True, slots=True)
class Origin:
    """Where data came from, and what it is, as the user says it.

    Attributes:
        source: the URL or place; "" for none.
        note: whatever else there is to say; "" for nothing.
        descriptions: what the datasets are to people, by path.
    """

    source: str = ""
    note: str = ""
    descriptions: Mapping[str, Description] = field(default_factory=dict)


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
        PathError: a path cannot be added, or is described and within a dataset; the reason names what helps. Nothing
            was written.
        UnstableFileError: a file kept changing while it was read.
    """
    # One by one: a word in front of another could pass for an option whose value that is.
    source, note = (mask([text.strip()], {}, {}) for text in (origin.source, origin.note))
    if not source.command[0] and not note.command[0]:
        raise UsageError("nothing is said of where the data came from", hint="--from URL, --note TEXT, or both")
    for path in origin.descriptions:
        outer = enclosing_dataset(repo, path)
        if outer is not None:
            raise PathError(path, f"lies within the dataset {outer}", hint=f"say of {outer} what it is")
    descriptions, masked_props = mask_descriptions(origin.descriptions)
    started = now()
    # Before pointers change, which would always count.
    commit, dirty = repo.git.head_commit() or "", repo.git.is_dirty(besides=(LINEAGE_FILE,))
    result = add(repo, paths, stage=stage, force=force, progress=progress)
    made = [Artifact(one.dataset, format_version(one.pointer.version)) for one in result.added]
    record = Record(
        State.IMPORTED,
        started,
        outputs=describe(made, descriptions),
        commit=commit,
        dirty=dirty,
        source=source.command[0],
        note=note.command[0],
    )
    return Imported(result, write_record(repo, record, stage=stage), (*source.found, *note.found, *masked_props))
