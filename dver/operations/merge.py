"""Merging the versions that two branches gave a dataset: from manifests alone, without a checkout.

A conflict is known by git's index, which holds the pointers of both sides and the base until it is resolved, or, where
git does not know of it any more, by the marks in the pointer. The merged manifest goes into the cache; its chunks are
those of the two sides, and are fetched when the data is checked out.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from dver.errors import FormatError, ObjectNotFoundError, PathError, os_hint
from dver.fileio import IrregularFileError, read_regular
from dver.git import Conflict
from dver.objects.builder import build_manifest
from dver.objects.conflict import PointerSides, split_conflict
from dver.objects.entry import Entry
from dver.objects.merge import Merged, PathConflict, Ruling, Side, merge_manifests, merged_entries
from dver.objects.pointer import (
    MAX_POINTER,
    SUFFIX,
    DatasetKind,
    Pointer,
    checked_dataset_path,
    dataset_path,
    decode_pointer,
    has_conflict_markers,
    looks_like_pointer,
    pointer_path,
)
from dver.operations.chunk_sizes import prepare_cache
from dver.operations.reading import missing_version, open_manifest
from dver.repo import Repo
from dver.storage.writer import StoreWriter


@dataclass(frozen=True, slots=True)
class PointerMerge:
    """The outcome of merging pointers.

    Attributes:
        pointer: names the merged version; while there are conflicts, one that holds ours' entries at their paths.
        decided: the conflicts that rulings decided.
    """

    pointer: Pointer
    conflicts: tuple[PathConflict, ...] = ()
    decided: tuple[PathConflict, ...] = ()


@dataclass(frozen=True, slots=True)
class PointerConflict:
    """A pointer that git could not merge. A side is None where it deleted the dataset, or renamed it.

    Attributes:
        rulings: what was decided so far.
        is_unmarked: whether nothing in the file says so.
    """

    dataset: str
    base: Pointer | None
    ours: Pointer | None
    theirs: Pointer | None
    rulings: tuple[Ruling, ...] = ()
    is_unmarked: bool = field(default=False, compare=False)

    @property
    def sides(self) -> PointerSides:
        """The pointers to merge; PathError where one side has none."""
        if self.ours is None or self.theirs is None:
            raise self.deleted(Side.OURS if self.ours is None else Side.THEIRS)
        return PointerSides(self.base, self.ours, self.theirs)

    def of(self, side: Side) -> Pointer | None:
        """Return the pointer of one side."""
        return self.ours if side is Side.OURS else self.theirs

    def deleted(self, side: Side) -> PathError:
        """Return the error for a side that has no pointer here."""
        return PathError(
            self.dataset,
            f"{side.value} deleted or renamed it, so there is nothing to merge",
            hint=f"dver checkout --{side.other.value} {self.dataset} keeps it; dver rm {self.dataset} ends tracking it",
        )


def torn_datasets(repo: Repo, datasets: Iterable[str]) -> set[str]:
    """Return those of the datasets in which a merge is undecided.

    Either there are marks in the pointer, or git has it unmerged and the file is as ours had it, as git leaves it where
    the merge driver could not run.
    """
    unmerged = repo.git.conflicts(SUFFIX)
    return {dataset for dataset in datasets if _is_torn(repo, dataset, unmerged.get(pointer_path(dataset)))}


def _is_torn(repo: Repo, dataset: str, unmerged: Conflict | None) -> bool:
    text = _working_text(repo, dataset)
    if has_conflict_markers(text):
        return True
    if unmerged is None or unmerged.ours is None or unmerged.theirs is None:
        return False
    here, ours, theirs = map(pointer_or_none, (text, *map(repo.git.read_blob, (unmerged.ours, unmerged.theirs))))
    return here is not None and theirs is not None and here == ours != theirs


def unmerged_datasets(repo: Repo) -> set[str]:
    """Return the datasets whose pointers git's index holds unmerged, with at least one side that is a pointer."""
    return {
        dataset_path(path)
        for path, conflict in repo.git.conflicts(SUFFIX).items()
        if any(looks_like_pointer(repo.git.read_blob(blob)) for blob in (conflict.ours, conflict.theirs) if blob)
    }


def deleted_on_one_side(repo: Repo) -> dict[str, PathError]:
    """Return the datasets that git left in conflict because a side deleted them, each with the error that says so."""
    found = {}
    for dataset in unmerged_datasets(repo):
        # What cannot be read is said where the dataset itself is looked at.
        with suppress(FormatError):
            conflict = read_conflict(repo, dataset)
            absent = [] if conflict is None else [side for side in Side if conflict.of(side) is None]
            if conflict is not None and absent:
                found[dataset] = conflict.deleted(absent[0])
    return found


def read_conflict(repo: Repo, dataset: str) -> PointerConflict | None:
    """Return the conflict of a dataset's pointer; None where it has no marks and git knows of none.

    Raises:
        FormatError: the sides cannot be told apart, one is no pointer, or no data must be written to that path.
    """
    where = pointer_path(dataset)
    checked_dataset_path(where, where)
    text = _working_text(repo, dataset)
    torn = split_conflict(text)
    unmerged = repo.git.conflicts(SUFFIX).get(where)
    if unmerged is not None:
        blobs = (unmerged.base, unmerged.ours, unmerged.theirs)
        base, ours, theirs = (None if blob is None else repo.git.read_blob(blob) for blob in blobs)
    elif torn is not None:
        base, ours, theirs = torn.base, torn.ours, torn.theirs
    elif has_conflict_markers(text):
        raise FormatError(
            where,
            "has marks of a merge that do not belong together",
            hint=f"git checkout REV -- {where} takes the pointer of a commit",
        )
    else:
        return None
    return PointerConflict(
        dataset,
        pointer_or_none(base),
        None if ours is None else decode_pointer(ours, f"{where} of ours"),
        None if theirs is None else decode_pointer(theirs, f"{where} of theirs"),
        torn.rulings if torn is not None else (),
        is_unmarked=torn is None,
    )


def find_conflicts(
    repo: Repo, dataset: str, sides: PointerSides, rulings: Sequence[Ruling] = ()
) -> tuple[PathConflict, ...]:
    """Return the paths that no side and no ruling decides; nothing is stored.

    Raises:
        VersionNotFoundError: a version that must be looked into is neither in the cache nor on the default remote.
    """
    if _decided_by_versions(sides) is not None:
        return ()
    with _reading(repo, dataset, sides):
        return _merge(repo, dataset, sides, rulings, None).conflicts


def merge_pointers(
    repo: Repo, dataset: str, sides: PointerSides, rulings: Sequence[Ruling] = (), rest: Side | None = None
) -> PointerMerge:
    """Merge two versions of a dataset and store the manifest of the outcome; `rest` decides what no ruling does.

    Raises:
        VersionNotFoundError: a version that must be looked into is neither in the cache nor on the default remote.
    """
    decided = _decided_by_versions(sides)
    if decided is not None:
        return PointerMerge(decided)
    with _reading(repo, dataset, sides):
        merged = _merge(repo, dataset, sides, rulings, rest)
        pointer = _store(repo, dataset, sides, merged.changes) if merged.changes else sides.ours
    return PointerMerge(pointer, merged.conflicts, merged.decided)


def _decided_by_versions(sides: PointerSides) -> Pointer | None:
    """Return the outcome where the versions alone say it: where they are equal, or one side did nothing."""
    base = None if sides.base is None else sides.base.version
    if base == sides.ours.version:
        return sides.theirs
    return sides.ours if sides.theirs.version in (base, sides.ours.version) else None


@contextmanager
def _reading(repo: Repo, dataset: str, sides: PointerSides) -> Iterator[None]:
    """Say of a node that is nowhere which version it is missing for."""
    try:
        yield
    except ObjectNotFoundError as exc:
        # Ours was checked out or committed here, so it is theirs that did not come along.
        raise missing_version(repo, sides.theirs.version, dataset) from exc


def _merge(repo: Repo, dataset: str, sides: PointerSides, rulings: Sequence[Ruling], rest: Side | None) -> Merged:
    base = None if sides.base is None else open_manifest(repo, sides.base.version, dataset)
    ours, theirs = (open_manifest(repo, side.version, dataset) for side in (sides.ours, sides.theirs))
    return merge_manifests(base, ours, theirs, rulings, rest)


def _store(repo: Repo, dataset: str, sides: PointerSides, changes: Mapping[bytes, Entry | None]) -> Pointer:
    store = repo.cache
    prepare_cache(repo)
    with StoreWriter(store) as writer:
        ours = open_manifest(repo, sides.ours.version, dataset)
        summary = build_manifest(merged_entries(ours, changes), writer.put_node)
        writer.flush()
    if store.has_version(sides.ours.version) and store.has_version(sides.theirs.version):
        store.mark_version(summary.version, files=summary.files, size=summary.size, dataset=dataset)
    kind = sides.ours.kind
    if b"" in changes:
        kind = DatasetKind.DIRECTORY if changes[b""] is None else DatasetKind.FILE
    return Pointer(kind, summary.version, summary.size, summary.files)


def _working_text(repo: Repo, dataset: str) -> bytes:
    try:
        return read_regular(repo.root / pointer_path(dataset), MAX_POINTER + 1)
    except (FileNotFoundError, NotADirectoryError, IrregularFileError):
        return b""
    except OSError as exc:
        raise PathError(pointer_path(dataset), f"cannot be read: {exc.strerror}", hint=os_hint(exc)) from exc


def pointer_or_none(text: bytes | None) -> Pointer | None:
    """Return what a pointer says, such as that which both sides come from; None for one that cannot be read."""
    if text is None:
        return None
    try:
        return decode_pointer(text, "the base")
    except FormatError:
        return None
