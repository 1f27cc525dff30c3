"""Add: store the data at a path as a dataset version, and write the pointer that names it.

Order: packs, index, version marker, pointer, stat cache, `.gitignore` and git's index. Whatever instant the process
ends at, the store is sound, and the same command run again completes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from dver.errors import FormatError, PathError, UnsupportedFormatError, VersionNotFoundError
from dver.objects.builder import ManifestBuilder, Summary
from dver.objects.entry import DirectoryEntry
from dver.objects.pointer import DatasetKind, Pointer, pointer_path
from dver.operations.add_parts import check_parts, part_base
from dver.operations.addable import check_addable, check_nesting, check_parents, check_spelling
from dver.operations.changes import ChangeFinder, rows_within
from dver.operations.datasets import decode_path, enclosing_dataset, encode_path, typed
from dver.operations.ignoring import keep_out_of_git
from dver.operations.merge import merge_pointers, read_conflict, torn_datasets
from dver.operations.run_guard import check_free
from dver.operations.status import scan_dataset
from dver.operations.working import Known, has_base, working_entries
from dver.operations.working_edit import store_changes
from dver.progress import NO_PROGRESS, Progress, Task
from dver.repo import Repo
from dver.storage.writer import StoreWriter
from dver.workspace.gitignore import gitignore_path
from dver.workspace.pointers import read_pointer, write_pointer
from dver.workspace.rowlist import RowList
from dver.workspace.statcache import Base, Rows


@dataclass(frozen=True, slots=True)
class Added:
    """A dataset that was added.

    Attributes:
        pointer: its pointer now.
        previous: the one before, None for a new dataset.
        settled_conflict: whether there was a pointer with the marks of a merge conflict before.
    """

    dataset: str
    pointer: Pointer
    previous: Pointer | None
    settled_conflict: bool

    @property
    def is_new(self) -> bool:
        """Whether there was no dataset at this path before."""
        return self.previous is None and not self.settled_conflict

    @property
    def changed(self) -> bool:
        """Whether the version is another than before."""
        return self.previous is None or self.previous.version != self.pointer.version


@dataclass(frozen=True, slots=True)
class AddResult:
    """What an add did: its datasets, and the bytes that the store grew by."""

    added: tuple[Added, ...]
    stored_bytes: int


@dataclass(frozen=True, slots=True)
class _Job:
    """A dataset to add.

    Attributes:
        parts: the paths within it that are to be added; none for all of it.
        torn: whether its pointer is in a merge conflict, which adding settles.
    """

    dataset: str
    parts: tuple[bytes, ...]
    torn: bool
    force: bool


@dataclass(frozen=True, slots=True)
class _Stored:
    """A manifest that was built, and the stat cache rows to change and to remove for it.

    Attributes:
        base: what the rows are relative to so far; None where they are for the new version.
        whole: whether the store surely has all chunks of the version.
    """

    summary: Summary
    base: Base | None
    fresh: Rows
    gone: list[bytes]
    whole: bool


def add(
    repo: Repo,
    paths: Sequence[str],
    *,
    stage: bool = True,
    force: bool = False,
    within: bool = False,
    progress: Progress = NO_PROGRESS,
) -> AddResult:
    """Store the data at `paths` (relative to the repository) and write or update their pointers.

    With `stage`, pointers and `.gitignore` are staged in git. `force` allows replacing a pointer that was changed since
    the data was checked out. `within` allows paths within datasets: only what changed there goes into the new version.

    Raises:
        LockedError: a run makes one of these paths, or was killed while it did.
        PathError: a path cannot be added; the reason names what helps. Nothing was written.
        UnstableFileError: a file kept changing while it was read.
    """
    with repo.lock():
        wanted = _wanted(repo, [path.rstrip("/") for path in paths], within=within)
        check_free(repo.dver_dir, list(wanted))
        torn = torn_datasets(repo, list(wanted))
        jobs = [_Job(dataset, parts, dataset in torn, force) for dataset, parts in wanted.items()]
        for job in jobs:
            _check_job(repo, job)
        check_nesting(list(wanted))
        added = []
        stored_bytes = 0
        scanned = [job.dataset for job in jobs if not job.parts]
        # From the first object on until the last pointer is written, nobody may take these for garbage.
        with repo.storing(), repo.scanner.looking_ahead(scanned):
            store = repo.cache
            store.prepare(repo.chunker.params)
            for job in jobs:
                with (
                    StoreWriter(store) as writer,
                    repo.spool() as rows,
                    progress.task(f"adding {job.dataset}", bytes=0, files=0) as task,
                ):
                    result = _add_one(repo, job, writer, RowList(rows), task)
                    stored_bytes += writer.stored_bytes
                _publish(repo, result, stage=stage)
                added.append(result)
        return AddResult(tuple(added), stored_bytes)


def _wanted(repo: Repo, paths: Sequence[str], *, within: bool) -> dict[str, tuple[bytes, ...]]:
    """Return the datasets to add, each with the paths in it, none for the whole."""
    found: dict[str, list[bytes]] = {}
    for path in paths:
        outer = enclosing_dataset(repo, path) if within and path else None
        found.setdefault(outer or path, []).append(b"" if outer is None else encode_path(path[len(outer) + 1 :]))
    return {dataset: () if b"" in parts else tuple(dict.fromkeys(parts)) for dataset, parts in found.items()}


def _check_job(repo: Repo, job: _Job) -> None:
    if not job.parts:
        check_addable(repo, job.dataset)
        check_spelling(repo, job.dataset, of_pointer=True)
        check_spelling(repo, job.dataset)
        return
    check_parts(repo, job.dataset, job.parts, torn=job.torn)
    for part in job.parts:
        path = f"{job.dataset}/{decode_path(part)}"
        check_parents(repo.root, path)
        check_spelling(repo, path)


def _add_one(repo: Repo, job: _Job, writer: StoreWriter, rows: RowList, task: Task) -> Added:
    dataset, force = job.dataset, job.force
    # Before anything takes what the pointer names for it.
    known = repo.stat_cache.base(dataset)
    # Adding the data settles a merge.
    previous = None if job.torn else _previous_pointer(repo, dataset, force=force)
    if job.torn and not force:
        _check_merged(repo, dataset)
    if previous is not None and not force and not job.parts:
        _check_checked_out(repo, dataset, previous, task)
    stored = _store(repo, job, writer, rows, task)
    summary = stored.summary
    is_directory = (repo.root / dataset).is_dir()
    kind = DatasetKind.DIRECTORY if is_directory else DatasetKind.FILE
    pointer = Pointer(kind, summary.version, summary.size, summary.files)
    if not force:
        _check_base(dataset, pointer, previous, stored.base)
    writer.flush()
    if stored.whole:
        repo.cache.mark_version(summary.version, files=summary.files, size=summary.size, dataset=dataset)
    if previous != pointer or known is None or known.version != pointer.version:
        # One that was right before the base was may have been left by an add that was killed before it was durable.
        write_pointer(repo.root, dataset, pointer)
    repo.stat_cache.rebase(
        dataset,
        Base(summary.version, stored.base.choice if stored.base else None),
        stored.fresh,
        removed=stored.gone,
        keep_rows=stored.base is not None,
    )
    repo.stat_cache.end_checkout(dataset)
    return Added(dataset, pointer, previous, job.torn)


def _store(repo: Repo, job: _Job, writer: StoreWriter, fresh: RowList, task: Task) -> _Stored:
    """Store what is new in a dataset and build its manifest; nothing is flushed yet. New rows may go into `fresh`."""
    base = part_base(repo, job.dataset, job.parts) if job.parts else repo.stat_cache.base(job.dataset)
    if base is not None and (job.parts or base.choice is not None):
        finder = ChangeFinder(repo, job.dataset, base, rows_within(repo.stat_cache, job.dataset, job.parts))
        changes = finder.find(job.parts or [b""], writer, task)
        summary = finder.edit(changes, writer)
        # Of a partly present dataset the cache need not hold the rest.
        return _Stored(summary, base, changes.fresh, changes.gone, whole=repo.cache.has_version(base.version))
    is_stored = has_base(repo, base)
    edited = store_changes(repo, job.dataset, base, writer, task) if base is not None and is_stored else None
    if edited is not None:
        return _Stored(edited.summary, base, edited.fresh, edited.gone, whole=True)
    known = Known(repo, job.dataset, base, is_stored=is_stored)
    builder = ManifestBuilder(writer.put_node)
    for ingested in working_entries(repo, job.dataset, known, writer, task):
        entry = ingested.entry
        if entry.path == b"" and isinstance(entry, DirectoryEntry):
            raise PathError(job.dataset, "became a directory while it was read", hint="run the command again")
        builder.add(entry)
        if ingested.row is not None:
            fresh.add(entry.path, ingested.row)
    return _Stored(builder.finish(), base, fresh, known.gone, whole=True)


def _check_base(dataset: str, pointer: Pointer, previous: Pointer | None, base: Base | None) -> None:
    """Refuse to put old data over a pointer that git has moved on, as after a pull without a checkout."""
    if previous is None or base is None or previous.version in (base.version, pointer.version):
        return
    raise PathError(
        dataset,
        "its pointer was changed since the data was checked out, so adding would undo that change",
        hint=f"dver checkout {typed(dataset)} brings the data up to date;"
        f" dver add --force {typed(dataset)} keeps the data as it is",
    )


def _check_checked_out(repo: Repo, dataset: str, previous: Pointer, task: Task) -> None:
    """Refuse to take files as deleted that may never have been here."""
    shown = typed(dataset)
    how = f"dver checkout {shown} brings them and keeps new files; dver add --force {shown} takes what is here as all"
    if repo.stat_cache.is_unfinished(dataset):
        raise PathError(
            dataset, "its last checkout was interrupted, so files of its version are missing here", hint=how
        )
    if repo.stat_cache.base(dataset) is not None:
        return
    try:
        scan = scan_dataset(repo, dataset, previous.version, task)
    except VersionNotFoundError as exc:
        raise PathError(
            dataset,
            "it was not checked out here, and its version is out of reach, so nobody can tell what is missing",
            hint=f"dver fetch {typed(dataset)};"
            f" or dver add --force {typed(dataset)}, which takes what is here as the whole",
        ) from exc
    if scan is not None and scan.deleted:
        raise PathError(
            dataset, f"it was not checked out here, and {len(scan.deleted)} of its files are missing", hint=how
        )


def _check_merged(repo: Repo, dataset: str) -> None:
    """Refuse to settle a merge with data that lacks what the other side changed without any conflict."""
    conflict = read_conflict(repo, dataset)
    assert conflict is not None
    try:
        draft = merge_pointers(repo, dataset, conflict.sides, conflict.rulings).pointer
    except VersionNotFoundError as exc:
        raise PathError(
            dataset,
            "its pointer is in a merge conflict, and what the other side changed is out of reach",
            hint=f"dver fetch --all {typed(dataset)};"
            f" or dver add --force {typed(dataset)}, which gives those changes up",
        ) from exc
    base = repo.stat_cache.base(dataset)
    if base is None or base.version != draft.version or repo.stat_cache.is_unfinished(dataset):
        raise PathError(
            dataset,
            "its pointer is in a merge conflict, and the data here lacks what the other side changed",
            hint=f"dver checkout {typed(dataset)} brings that, and keeps changes of yours;"
            f" dver add --force {typed(dataset)} gives it up",
        )


def _previous_pointer(repo: Repo, dataset: str, *, force: bool) -> Pointer | None:
    """Return the pointer there is, or None.

    Raises:
        PathError: a file of that name is no pointer; with `force` it is replaced.
        UnsupportedFormatError: a newer dver wrote the pointer.
    """
    try:
        return read_pointer(repo.root, dataset)
    except UnsupportedFormatError:
        raise
    except FormatError as exc:
        if force:
            return None
        raise PathError(
            pointer_path(dataset),
            f"is there already, and is {exc.reason}",
            hint=f"move it away, or dver add --force {typed(dataset)} replaces it",
        ) from exc


def _publish(repo: Repo, added: Added, *, stage: bool) -> None:
    """Keep the data out of git, and stage what git is to know."""
    dataset = added.dataset
    touched = [pointer_path(dataset)]
    if keep_out_of_git(repo, dataset, added.pointer.kind):
        touched.append(gitignore_path(dataset))
    if stage:
        repo.git.stage(touched)
