"""Log: the versions of a dataset through git's history, newest first."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from dver.errors import FormatError, NotFoundError, PathError
from dver.git import CommitId
from dver.git.history import HistoryItem
from dver.objects.manifest import Manifest
from dver.objects.pointer import Pointer, dataset_path, decode_pointer, pointer_path
from dver.operations.datasets import head_pointers, select, working_datasets
from dver.operations.diff import ChangeKind, changes_between
from dver.operations.kinds import NodeKind
from dver.operations.reading import open_manifest
from dver.repo import Repo


@dataclass(frozen=True, slots=True)
class ChangeCounts:
    """How many files changed from the version before."""

    added: int
    modified: int
    deleted: int
    renamed: int


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One commit in which a dataset's version or path changed.

    Attributes:
        dataset: the dataset's path in that commit.
        pointer: None where the commit deleted the dataset, or its pointer there cannot be read.
        changes: None where the data of a version is out of reach.
    """

    commit: CommitId
    author: str
    when: datetime
    subject: str
    dataset: str
    pointer: Pointer | None
    changes: ChangeCounts | None


def log(repo: Repo, path: str) -> Iterator[LogEntry]:
    """Yield the history of the dataset at `path`, relative to the repository, following renames.

    Raises:
        PathError: no dataset is there, nor was one in any commit.
    """
    head = repo.git.head_commit()
    known = {*working_datasets(repo), *head_pointers(repo)}
    try:
        dataset = select(known, [path])[0].dataset if path else ""
    except PathError:
        # It may have been deleted since.
        dataset = dataset_path(path)
    if not dataset:
        raise PathError(".", "name one dataset", hint="dver ls lists the datasets")
    items = list(repo.git.history(pointer_path(dataset), start=head)) if head is not None else []
    if not items:
        committed = "is not committed yet" if dataset in known else "is no dataset and never was one"
        raise PathError(
            dataset, committed, hint="git commit records the first version" if dataset in known else "dver ls"
        )
    return _entries(repo, items)


def _entries(repo: Repo, items: list[HistoryItem]) -> Iterator[LogEntry]:
    for item in items:
        pointer, before = (_pointer(item, blob) for blob in (item.blob, item.before))
        dataset = dataset_path(item.path)
        changes = _count(repo, dataset, before, pointer)
        yield LogEntry(item.commit, item.author, item.when, item.subject, dataset, pointer, changes)


def _pointer(item: HistoryItem, blob: bytes | None) -> Pointer | None:
    if blob is None:
        return None
    try:
        return decode_pointer(blob, f"{item.path} in commit {item.commit[:8]}")
    except FormatError:
        return None


def _count_files(manifest: Manifest | None) -> int:
    """Return the number of files in a version that came, or went, as a whole: nothing need be read to know it."""
    return 0 if manifest is None else manifest.totals()[0]


def _count(repo: Repo, dataset: str, old: Pointer | None, new: Pointer | None) -> ChangeCounts | None:
    try:
        before = open_manifest(repo, old.version, dataset) if old else None
        after = open_manifest(repo, new.version, dataset) if new else None
        if before is None or after is None:
            return ChangeCounts(_count_files(after), 0, _count_files(before), 0)
        changes = changes_between(before, after)
    except NotFoundError:
        return None
    counts = dict.fromkeys(ChangeKind, 0)
    for change in changes:
        # A directory that is there for itself is empty, and no file.
        if {change.old_kind, change.new_kind} - {None, NodeKind.DIRECTORY}:
            counts[change.kind] += 1
    return ChangeCounts(
        counts[ChangeKind.ADDED], counts[ChangeKind.MODIFIED], counts[ChangeKind.DELETED], counts[ChangeKind.RENAMED]
    )
