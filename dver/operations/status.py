"""Status: how each dataset's working files, pointer, cache and remote stand to each other."""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from dver.errors import DverError, ObjectNotFoundError, VersionNotFoundError
from dver.objects.ids import VersionId
from dver.objects.pointer import SUFFIX, Pointer, pointer_path
from dver.operations.datasets import Target, decode_path, read_pointer_or_problem, select, working_datasets
from dver.operations.reading import lazy_manifest, missing_version, open_manifest
from dver.progress import NO_PROGRESS, Progress, Task
from dver.repo import Repo
from dver.workspace.choice import Choice
from dver.workspace.scan import Scan
from dver.workspace.statcache import Base
from dver.workspace.walk import FileType

if TYPE_CHECKING:
    from dver.objects.merge import PathConflict
    from dver.operations.torn import Torn
    from dver.storage.markers import VersionMarkers


class State(StrEnum):
    """What is the matter with a dataset, the most pressing first."""

    BROKEN = "broken pointer"
    CONFLICT = "merge conflict"
    POINTER_CHANGED = "pointer changed"
    INTERRUPTED = "checkout interrupted"
    MODIFIED = "modified"
    NOT_CHECKED_OUT = "not checked out"
    UNKNOWN = "not comparable"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Changes:
    """Paths within a dataset that differ from its version, in order."""

    added: tuple[str, ...] = ()
    modified: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.modified or self.deleted)


@dataclass(frozen=True, slots=True)
class DatasetStatus:
    """How one dataset stands.

    Attributes:
        changes: how the working files differ from the version that they were last equal to.
        base: that version, where it is not the pointer's.
        choice: what of the dataset is wanted here; None for all of it.
        files_here: of a partly present dataset, how many files of its base are here; None for a whole one.
        in_cache: whether all of the pointer's version is in the cache.
        on_remote: the same for the default remote; None if that was not asked.
        garbage_due: when it may be deleted there, as it is listed as garbage; in seconds since 1970, None if it is not.
        tracked: whether git tracks the pointer.
        problem: what is wrong, for BROKEN and UNKNOWN, and for CONFLICT where there are no two versions to
            compare, or they are out of reach.
        conflicts: the paths that the sides of a merge changed differently; None where that is not known.
    """

    dataset: str
    state: State
    pointer: Pointer | None
    changes: Changes = Changes()
    base: VersionId | None = None
    choice: Choice | None = None
    files_here: int | None = None
    in_cache: bool = True
    on_remote: bool | None = None
    garbage_due: float | None = None
    tracked: bool = True
    problem: DverError | None = None
    conflicts: "tuple[PathConflict, ...] | None" = ()

    @property
    def partial(self) -> bool:
        """Whether only part of the dataset is wanted here."""
        return self.choice is not None


def status(
    repo: Repo, paths: Sequence[str] = (), *, remote: bool = False, progress: Progress = NO_PROGRESS
) -> list[DatasetStatus]:
    """Return how the datasets at `paths` stand (relative to the repository; none: all datasets).

    With `remote`, the default remote is asked whether it has each version.
    """
    datasets = [target.dataset for target in _select(repo, paths)]
    pointers = {dataset: read_pointer_or_problem(repo, dataset) for dataset in datasets}
    versions = [pointer.version for pointer in pointers.values() if isinstance(pointer, Pointer)]
    cached = present_versions(repo.cached_versions, versions)
    on_remote, garbage = _ask_remote(repo, versions) if remote else (None, {})
    torn = _find_torn(repo, pointers)
    results = []
    # What draws progress has a thread, and there must be none for looking ahead.
    with repo.scanner.looking_ahead(datasets), progress.task("comparing", bytes=0, files=0) as task:
        for dataset, pointer in pointers.items():
            tracked = repo.git.is_tracked(pointer_path(dataset))
            if isinstance(pointer, DverError) or dataset in torn:
                results.append(_without_pointer(dataset, pointer, torn.get(dataset), tracked=tracked))
                continue
            found = _compare(repo, dataset, pointer, task)
            results.append(
                DatasetStatus(
                    dataset,
                    found.state,
                    pointer,
                    changes=found.changes,
                    base=found.base,
                    choice=found.choice,
                    files_here=found.files_here,
                    in_cache=pointer.version in cached,
                    on_remote=None if on_remote is None else pointer.version in on_remote,
                    garbage_due=garbage.get(pointer.version),
                    tracked=tracked,
                    problem=found.problem,
                )
            )
    return results


def _ask_remote(repo: Repo, versions: Sequence[VersionId]) -> tuple[Collection[VersionId], Mapping[VersionId, float]]:
    """Return the versions that the default remote has, and when it may delete those that it lists as garbage."""
    if not versions:
        return (), {}
    # Deferred: only who asks for the remote needs a store.
    from dver.operations.looking import held_versions, listed_as_garbage  # noqa: PLC0415

    store = repo.remote()
    held = held_versions(repo, store, versions)
    return held.versions, listed_as_garbage(repo, store, held.versions, held.going)


def _find_torn(repo: Repo, pointers: Mapping[str, Pointer | DverError]) -> "Mapping[str, Torn]":
    if all(isinstance(pointer, Pointer) for pointer in pointers.values()) and not repo.git.conflicts(SUFFIX):
        return {}
    # Merging takes long to load, and most often there is none.
    from dver.operations.torn import find_torn  # noqa: PLC0415

    return find_torn(repo, pointers)


def _without_pointer(
    dataset: str, pointer: Pointer | DverError, torn: "Torn | None", *, tracked: bool
) -> DatasetStatus:
    """Return the status of a dataset whose pointer names no version, be it for a merge that is not decided."""
    if torn is not None and not torn.is_broken:
        state = State.CONFLICT
        return DatasetStatus(dataset, state, None, tracked=tracked, problem=torn.problem, conflicts=torn.conflicts)
    problem = pointer if torn is None else torn.problem
    assert isinstance(problem, DverError)
    return DatasetStatus(dataset, State.BROKEN, None, tracked=tracked, problem=problem)


def present_versions(store: "VersionMarkers", versions: Sequence[VersionId]) -> set[VersionId]:
    """Return those of `versions` that a store says it has whole."""
    return set(store.marker_sizes(versions))


@dataclass(frozen=True, slots=True)
class _Comparison:
    state: State
    changes: Changes = Changes()
    base: VersionId | None = None
    choice: Choice | None = None
    files_here: int | None = None
    problem: DverError | None = None


def _select(repo: Repo, paths: Sequence[str]) -> list[Target]:
    return select(working_datasets(repo), paths)


def _compare(repo: Repo, dataset: str, pointer: Pointer, task: Task) -> _Comparison:
    try:
        scan = scan_dataset(repo, dataset, pointer.version, task)
    except VersionNotFoundError as exc:
        if os.path.lexists(repo.root / dataset):
            return _Comparison(State.UNKNOWN, problem=exc)
        return _Comparison(State.NOT_CHECKED_OUT)
    if scan is None:
        return _Comparison(State.NOT_CHECKED_OUT)
    changes = Changes(
        tuple(decode_path(path) for path in sorted([*(item.path for item in scan.added), *scan.special])),
        tuple(decode_path(item.path) for item in scan.modified),
        tuple(decode_path(path) for path in scan.deleted),
    )
    choice = scan.base.choice
    files_here = None if choice is None else _count_files(repo, dataset, scan)
    base = scan.base.version if scan.base.version != pointer.version else None
    if repo.stat_cache.is_unfinished(dataset):
        return _Comparison(State.INTERRUPTED, changes, base, choice, files_here)
    if base is not None:
        return _Comparison(State.POINTER_CHANGED, changes, base, choice, files_here)
    return _Comparison(State.MODIFIED if changes else State.UNCHANGED, changes, None, choice, files_here)


def _count_files(repo: Repo, dataset: str, scan: Scan) -> int:
    """Return how many files of a dataset's base are here, be they changed or not."""
    if not scan.deleted:
        return repo.stat_cache.row_count(dataset, without_kind=FileType.DIRECTORY)
    here = repo.stat_cache.rows(dataset)
    for path in scan.deleted:
        here.pop(path, None)
    return sum(row.kind != FileType.DIRECTORY for row in here.values())


def scan_dataset(repo: Repo, dataset: str, wanted: VersionId, task: Task, *, adopt: bool = False) -> Scan | None:
    """Compare a dataset's working files with their base, or, where none is known, with the version `wanted`.

    Return None if nothing of the dataset is in the working tree and nothing was ever checked out. Where no base is
    known, `wanted` becomes it if no file is missing, or with `adopt`: for those who are about to bring what is missing.

    Raises:
        VersionNotFoundError: no base is known, and the manifest of `wanted` is nowhere.
    """
    base = repo.stat_cache.base(dataset)
    if base is None and not os.path.lexists(repo.root / dataset):
        return None
    if base is not None:
        scan = repo.scanner.scan(dataset, base, lambda: lazy_manifest(repo, base.version, dataset), task, known=True)
        # Without any file left it is as if it had never been checked out, not a deletion of everything.
        return scan if scan.present else None
    manifest = open_manifest(repo, wanted, dataset)
    try:
        return repo.scanner.scan(dataset, Base(wanted, None), lambda: manifest, task, known=False, adopt=adopt)
    except ObjectNotFoundError as exc:
        raise missing_version(repo, wanted, dataset) from exc
