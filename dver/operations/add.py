"""Add: store the data at a path as a dataset version, and write the pointer that names it.

Order: packs, index, version marker, pointer, stat cache, `.gitignore` and git's index. Whatever instant the process
ends at, the store is sound, and the same command run again completes.
"""

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from dver.errors import FormatError, PathError, UnsupportedFormatError, UsageError, VersionNotFoundError
from dver.objects.entry import DirectoryEntry
from dver.objects.manifest import ManifestBuilder, Summary
from dver.objects.pointer import SUFFIX, DatasetKind, Pointer, may_be_dataset, pointer_path
from dver.operations.datasets import enclosing_dataset, typed, working_datasets
from dver.operations.ignoring import keep_out_of_git
from dver.operations.merge import merge_pointers, read_conflict, torn_datasets
from dver.operations.status import scan_dataset
from dver.operations.working import working_entries
from dver.progress import NO_PROGRESS, Progress, Task
from dver.repo import Repo
from dver.storage.writer import StoreWriter
from dver.workspace.gitignore import gitignore_path
from dver.workspace.pointers import read_pointer, write_pointer
from dver.workspace.statcache import Base, Row


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
class _Stored:
    """A manifest that was built, and the stat cache rows to change and to remove for it."""

    summary: Summary
    base: Base | None
    fresh: dict[bytes, Row]
    gone: list[bytes]


def add(
    repo: Repo, paths: Sequence[str], *, stage: bool = True, force: bool = False, progress: Progress = NO_PROGRESS
) -> AddResult:
    """Store the data at `paths` (relative to the repository) and write or update their pointers.

    With `stage`, pointers and `.gitignore` are staged in git. `force` allows replacing a pointer that was changed since
    the data was checked out.

    Raises:
        PathError: a path cannot be added; the reason names what helps. Nothing was written.
        UnstableFileError: a file kept changing while it was read.
    """
    with repo.lock():
        datasets = list(dict.fromkeys(path.rstrip("/") for path in paths))
        for dataset in datasets:
            _check_addable(repo, dataset)
        _check_nesting(datasets)
        store = repo.cache
        store.prepare(repo.chunker.params)
        torn = torn_datasets(repo, datasets)
        added = []
        stored_bytes = 0
        for dataset in datasets:
            with StoreWriter(store) as writer, progress.task(f"adding {dataset}", bytes=0, files=0) as task:
                result = _add_one(repo, dataset, writer, task, torn=dataset in torn, force=force)
                stored_bytes += writer.stored_bytes
            _publish(repo, result, stage=stage)
            added.append(result)
        return AddResult(tuple(added), stored_bytes)


def _add_one(repo: Repo, dataset: str, writer: StoreWriter, task: Task, *, torn: bool, force: bool) -> Added:
    # Adding the data settles a merge.
    previous = None if torn else _previous_pointer(repo, dataset, force=force)
    if torn and not force:
        _check_merged(repo, dataset)
    if previous is not None and not force:
        _check_checked_out(repo, dataset, previous, task)
    stored = _store(repo, dataset, writer, task)
    summary = stored.summary
    is_directory = (repo.root / dataset).is_dir()
    kind = DatasetKind.DIRECTORY if is_directory else DatasetKind.FILE
    pointer = Pointer(kind, summary.version, summary.size, summary.files)
    if not force:
        _check_base(dataset, pointer, previous, stored.base)
    writer.flush()
    # Of a partly present dataset the cache need not hold the rest.
    if stored.base is None or stored.base.parts is None or repo.cache.has_version(stored.base.version):
        repo.cache.mark_version(summary.version, files=summary.files, size=summary.size)
    if previous != pointer:
        write_pointer(repo.root, dataset, pointer)
    parts = stored.base.parts if stored.base else None
    repo.stat_cache.rebase(
        dataset,
        Base(summary.version, parts),
        stored.fresh,
        removed=stored.gone,
        keep_rows=stored.base is not None,
    )
    repo.stat_cache.end_checkout(dataset)
    return Added(dataset, pointer, previous, torn)


def _store(repo: Repo, dataset: str, writer: StoreWriter, task: Task) -> _Stored:
    """Store what is new in a dataset and build its manifest; nothing is flushed yet."""
    base = repo.stat_cache.base(dataset)
    rows = repo.stat_cache.rows(dataset) if base else {}
    gone = set(rows)
    fresh: dict[bytes, Row] = {}
    builder = ManifestBuilder(writer.put_node)
    for ingested in working_entries(repo, dataset, base, rows, writer, task):
        entry = ingested.entry
        if entry.path == b"" and isinstance(entry, DirectoryEntry):
            raise PathError(dataset, "became a directory while it was read", hint="run the command again")
        builder.add(entry)
        gone.discard(entry.path)
        if ingested.row is not None:
            fresh[entry.path] = ingested.row
    return _Stored(builder.finish(), base, fresh, sorted(gone))


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
        draft = merge_pointers(repo, dataset, conflict.sides, conflict.choices).pointer
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


def _check_nesting(datasets: Sequence[str]) -> None:
    # As lists of parts, what lies below a path comes right after it; as text, a-b would come between a and a/c.
    for outer, inner in pairwise(sorted(datasets, key=lambda dataset: dataset.split("/"))):
        if inner.startswith(outer + "/"):
            raise UsageError(f"{inner} lies within {outer}", hint=f"dver add {typed(outer)} adds it too")


def _check_addable(repo: Repo, dataset: str) -> None:
    """Raise PathError with the command that helps if `dataset` cannot become or be a dataset."""
    if not dataset:
        raise PathError(".", "the whole repository cannot be a dataset", hint="dver add FOLDER for each folder of data")
    # First, for the pointer of anything within a dataset would be ignored, which says less.
    outer = enclosing_dataset(repo, dataset)
    if outer is not None:
        raise PathError(dataset, f"lies within the dataset {outer}", hint=f"dver add {typed(outer)}")
    check_own_repository(repo.root, dataset)
    check_new_dataset(repo, dataset)
    path = repo.root / dataset
    check_parents(repo.root, dataset)
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        raise _missing(repo, dataset) from None
    except OSError as exc:
        raise PathError(dataset, f"cannot be read: {exc.strerror}") from exc
    _check_type(dataset, path, mode)
    # Before git is asked: the pointers of inner datasets are tracked, which would be the lesser answer.
    inner = working_datasets(repo, dataset) if stat.S_ISDIR(mode) else []
    if inner:
        raise PathError(
            dataset,
            f"holds the dataset {inner[0]}" + (f" and {len(inner) - 1} more" if len(inner) > 1 else ""),
            hint=f"dver rm --keep {inner[0]}, then add the whole; or add its other parts one by one",
        )
    _check_git(repo, dataset)


def check_new_dataset(repo: Repo, dataset: str) -> None:
    """Raise PathError if no dataset may have this path, be it there already or not."""
    if not may_be_dataset(dataset):
        raise PathError(dataset, "belongs to git or dver itself and cannot be a dataset", hint="dver add FOLDER")
    if dataset.endswith(SUFFIX) and (repo.root / dataset).is_file():
        data = dataset.removesuffix(SUFFIX)
        raise PathError(dataset, "is a pointer file, which git holds", hint=f"dver add {data}")
    if repo.git.is_ignored(pointer_path(dataset)):
        raise PathError(
            dataset,
            f"its pointer {pointer_path(dataset)} would be ignored by git",
            hint=f"git check-ignore -v {pointer_path(dataset)} shows the rule to change",
        )
    if "\n" in dataset or "\r" in dataset:
        raise PathError(repr(dataset), "a dataset's own name cannot hold a line break", hint="rename it first")


def check_own_repository(root: Path, dataset: str) -> None:
    """Raise PathError if `dataset` is, or lies in, a git repository of its own, such as a submodule."""
    parts = dataset.split("/")
    for length in range(1, len(parts) + 1):
        inner = "/".join(parts[:length])
        if os.path.lexists(root / inner / ".git"):
            rest = "/".join(parts[length:])
            what, hint = ("is", "add what is in it, one by one") if not rest else ("lies in", f"add {rest}")
            name = "" if not rest else f" {inner}"
            raise PathError(dataset, f"{what} a git repository of its own{name}", hint=f"dver -C {inner} {hint}")


def check_parents(root: Path, dataset: str) -> None:
    """Raise PathError if a symbolic link leads to `dataset`, which may then lie anywhere."""
    parent = root
    for part in dataset.split("/")[:-1]:
        parent /= part
        if parent.is_symlink():
            real = os.path.relpath(os.path.realpath(root / dataset), os.path.realpath(root))
            is_inside = real.partition(os.sep)[0] != os.pardir
            hint = f"name the real path: {typed(real)}" if is_inside else "it leads out of the repository"
            raise PathError(dataset, f"lies behind the symbolic link {parent.relative_to(root)}", hint=hint)


def _missing(repo: Repo, dataset: str) -> PathError:
    if (repo.root / pointer_path(dataset)).is_file():
        return PathError(
            dataset,
            "is a dataset whose data is not here",
            hint=f"dver checkout {typed(dataset)} brings it; dver rm {typed(dataset)} ends tracking it",
        )
    return PathError(dataset, "there is no such file or directory", hint="dver status lists the datasets")


def _check_type(dataset: str, path: Path, mode: int) -> None:
    if stat.S_ISLNK(mode):
        raise PathError(
            dataset, "is a symbolic link", hint=f"add what it points to ({os.readlink(path)}), or the folder it lies in"
        )
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise PathError(dataset, "is a socket, device or named pipe", hint="dver add stores files and folders")
    if not os.access(path, os.R_OK):
        raise PathError(dataset, "cannot be read: Permission denied", hint=f"chmod u+r {dataset}")


def _check_git(repo: Repo, dataset: str) -> None:
    tracked = repo.git.tracked_under(dataset)
    if tracked:
        more = f" and {len(tracked) - 1} more files" if len(tracked) > 1 else ""
        what = "is" if tracked == [dataset] else f"holds {tracked[0]}{more},"
        raise PathError(
            dataset,
            f"{what} already tracked by git",
            hint=f"git rm -r --cached {typed(dataset)} takes it out of git and keeps the data; then run dver add again",
        )
