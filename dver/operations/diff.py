"""Diff: which files differ between two revisions, or between a revision and the working files.

Revisions are compared by their manifests alone, without a checkout. Working files that changed are hashed, not
stored, so a renamed file is recognised by its content there too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from dver.errors import PathError
from dver.objects.diff import EntryChange, diff_manifests
from dver.objects.entry import Entry, FileEntry, entry_size
from dver.objects.ids import VersionId
from dver.objects.manifest import Manifest
from dver.objects.paths import is_within
from dver.objects.pointer import Pointer
from dver.operations.datasets import Target, decode_path, head_pointers, pointers_at, select, working_pointers
from dver.operations.kinds import NodeKind, entry_kind
from dver.operations.reading import open_manifest
from dver.operations.status import scan_dataset
from dver.operations.working_edit import changed_manifest
from dver.progress import NO_PROGRESS, Progress, Task
from dver.repo import Repo


class ChangeKind(StrEnum):
    """How a path differs."""

    ADDED = "added"
    MODIFIED = "modified"
    DELETED = "deleted"
    RENAMED = "renamed"


@dataclass(frozen=True, slots=True)
class FileChange:
    """One path within a dataset that differs. Sizes, in bytes, and kinds are None where the path is not on that side.

    Attributes:
        same_content: whether both sides are files with equal bytes, so that only the name or the mode changed.
    """

    kind: ChangeKind
    path: str
    old_path: str | None
    old_size: int | None
    new_size: int | None
    old_kind: NodeKind | None
    new_kind: NodeKind | None
    same_content: bool = False


@dataclass(frozen=True, slots=True)
class DatasetDiff:
    """How a dataset differs; a dataset that is on one side only has no version on the other."""

    dataset: str
    kind: ChangeKind
    old_version: VersionId | None
    new_version: VersionId | None
    files: tuple[FileChange, ...]


@dataclass(frozen=True, slots=True)
class _Side:
    manifest: Manifest | None
    version: VersionId | None


def diff(
    repo: Repo,
    old: str | None = None,
    new: str | None = None,
    paths: Sequence[str] = (),
    *,
    progress: Progress = NO_PROGRESS,
) -> list[DatasetDiff]:
    """Return what differs, by dataset.

    Args:
        old: the revision to start from; None stands for HEAD.
        new: the revision to compare with; None stands for the working files.
        paths: datasets, folders of them, or paths in them, relative to the repository; none means all.

    Raises:
        GitError: no such revision.
        VersionNotFoundError: the manifest of a version is neither in the cache nor on the default remote.
    """
    before = head_pointers(repo) if old is None else pointers_at(repo, repo.git.resolve(old))
    after = working_pointers(repo) if new is None else pointers_at(repo, repo.git.resolve(new))
    targets = select(before.keys() | after.keys(), paths)
    looked = [target.dataset for target in targets] if new is None else []
    results = []
    # What draws progress has a thread, and there must be none for looking ahead.
    with repo.scanner.looking_ahead(looked), progress.task("comparing", bytes=0, files=0) as task:
        for target in targets:
            left = _recorded(repo, target.dataset, before.get(target.dataset))
            if new is None:
                right = _working(repo, target.dataset, after.get(target.dataset), task)
            else:
                right = _recorded(repo, target.dataset, after.get(target.dataset))
            found = _diff_dataset(target, left, right)
            if found is not None:
                results.append(found)
    return results


def changes_between(old: Manifest | None, new: Manifest | None, part: bytes = b"") -> tuple[FileChange, ...]:
    """Return the file changes between two manifests, with renames recognised, below `part` if it is given."""
    return _with_renames([change for change in diff_manifests(old, new) if is_within(change.path, part)])


def _recorded(repo: Repo, dataset: str, pointer: Pointer | None) -> _Side:
    if pointer is None:
        return _Side(None, None)
    return _Side(open_manifest(repo, pointer.version, dataset), pointer.version)


def _working(repo: Repo, dataset: str, pointer: Pointer | None, task: Task) -> _Side:
    """Return the side of the working files; data that is not checked out counts as what its pointer says."""
    if pointer is None:
        return _Side(None, None)
    scan = scan_dataset(repo, dataset, pointer.version, task)
    if scan is None:
        return _recorded(repo, dataset, pointer)
    if scan.special:
        raise PathError(f"{dataset}/{decode_path(scan.special[0])}", "is a socket, device or named pipe")
    if scan.is_clean:
        return _Side(open_manifest(repo, scan.base.version, dataset), scan.base.version)
    manifest = changed_manifest(repo, dataset, scan, task)
    return _Side(manifest, manifest.version)


def _diff_dataset(target: Target, left: _Side, right: _Side) -> DatasetDiff | None:
    if left.version == right.version:
        return None
    kind = ChangeKind.MODIFIED
    if left.version is None:
        kind = ChangeKind.ADDED
    elif right.version is None:
        kind = ChangeKind.DELETED
    files = changes_between(left.manifest, right.manifest, target.part)
    if target.part and not files:
        return None
    return DatasetDiff(target.dataset, kind, left.version, right.version, files)


def _with_renames(changes: Sequence[EntryChange]) -> tuple[FileChange, ...]:
    deleted = _by_content({change.path: change.old for change in changes if change.new is None})
    results = []
    sources = set()
    for change in changes:
        if change.old is None and isinstance(change.new, FileEntry):
            candidates = deleted.get(_content_key(change.new), [])
            if candidates:
                source = candidates.pop(0)
                sources.add(source.path)
                results.append(_file_change(ChangeKind.RENAMED, change.new, source, old_path=source.path))
    renamed = {change.path for change in results}
    for change in changes:
        if change.path in sources or decode_path(change.path) in renamed:
            continue
        kind = ChangeKind.MODIFIED
        if change.old is None:
            kind = ChangeKind.ADDED
        elif change.new is None:
            kind = ChangeKind.DELETED
        results.append(_file_change(kind, change.new, change.old))
    return tuple(sorted(results, key=lambda change: change.path))


def _by_content(entries: Mapping[bytes, Entry | None]) -> dict[tuple[object, ...], list[FileEntry]]:
    found: dict[tuple[object, ...], list[FileEntry]] = {}
    for entry in entries.values():
        # Empty files are all alike, which says nothing about where they came from.
        if isinstance(entry, FileEntry) and entry.size:
            found.setdefault(_content_key(entry), []).append(entry)
    return found


def _content_key(entry: FileEntry) -> tuple[object, ...]:
    return entry.size, entry.chunks, entry.chunk_tree


def _file_change(kind: ChangeKind, new: Entry | None, old: Entry | None, old_path: bytes | None = None) -> FileChange:
    entry = new or old
    assert entry is not None
    return FileChange(
        kind,
        decode_path(entry.path),
        None if old_path is None else decode_path(old_path),
        None if old is None else entry_size(old),
        None if new is None else entry_size(new),
        None if old is None else entry_kind(old),
        None if new is None else entry_kind(new),
        isinstance(old, FileEntry) and new is not None and old.same_content(new),
    )
