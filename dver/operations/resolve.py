"""Ending a merge conflict of a dataset: by taking a side, or by itself where nothing conflicts.

A resolved pointer is written and staged like one that a revision brings: after the data, so that the same command run
again after a crash completes. Rulings that leave something open are recorded in the pointer's text and change nothing
else. Everything is worked out for all datasets before any is touched.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from dver.errors import (
    BackendError,
    DverError,
    FormatError,
    LockedError,
    PathError,
    VersionNotFoundError,
    unwritable_path,
)
from dver.fileio import write_atomically
from dver.objects.conflict import encode_conflict
from dver.objects.merge import PathConflict, Ruling, Side
from dver.objects.paths import is_within
from dver.objects.pointer import Pointer, pointer_path
from dver.operations.checkout import CheckoutOptions, CheckoutPlan, Planning, bring_pointer, carry_out, plan_targets
from dver.operations.datasets import Target, decode_path, select, typed, working_datasets
from dver.operations.merge import (
    PointerConflict,
    deleted_on_one_side,
    merge_pointers,
    read_conflict,
    torn_datasets,
    unmerged_datasets,
)
from dver.operations.reading import open_manifest
from dver.operations.rewrite import pointer_of
from dver.operations.run_guard import spare
from dver.operations.selection import narrowable
from dver.progress import NO_PROGRESS, Progress
from dver.repo import Repo

_AS_USUAL = CheckoutOptions()
_HINT = "dver status names the datasets that are"


@dataclass(frozen=True, slots=True)
class Resolved:
    """A dataset whose conflict is over.

    Attributes:
        decided: how many conflicting paths were decided by ruling.
        taken: the side whose version was taken as it is, without what the other side changed, because a manifest was
            out of reach.
        has_data: whether the data was brought along; it is not where its version is out of reach.
    """

    dataset: str
    decided: int = 0
    taken: Side | None = None
    has_data: bool = True


@dataclass(frozen=True, slots=True)
class Unresolved:
    """A dataset that is still in conflict. `problem` is why its versions could not be compared, if they could not."""

    dataset: str
    conflicts: tuple[PathConflict, ...]
    problem: DverError | None = None


@dataclass(frozen=True, slots=True)
class Resolution:
    """What was done: the data that was checked out, and what became of each conflict."""

    plan: CheckoutPlan
    resolved: tuple[Resolved, ...] = ()
    unresolved: tuple[Unresolved, ...] = ()


@dataclass(slots=True)
class _Work:
    """What is to be done, gathered before anything is."""

    targets: list[Target] = field(default_factory=list)
    pointers: dict[str, Pointer] = field(default_factory=dict)
    brought: dict[str, Pointer] = field(default_factory=dict)
    without_data: dict[str, Pointer] = field(default_factory=dict)
    texts: dict[str, bytes] = field(default_factory=dict)
    drafts: set[str] = field(default_factory=set)
    resolved: list[Resolved] = field(default_factory=list)
    unresolved: list[Unresolved] = field(default_factory=list)
    spared: tuple[LockedError, ...] = ()

    def check_out(self, target: Target, pointer: Pointer) -> None:
        self.targets.append(target)
        self.pointers[target.dataset] = pointer

    def bring(self, pointer: Pointer, outcome: Resolved) -> None:
        self.resolved.append(outcome)
        if outcome.has_data:
            self.check_out(Target(outcome.dataset), pointer)
            self.brought[outcome.dataset] = pointer
        else:
            self.without_data[outcome.dataset] = pointer


def resolve(
    repo: Repo,
    side: Side,
    paths: Sequence[str] = (),
    *,
    options: CheckoutOptions = _AS_USUAL,
    progress: Progress = NO_PROGRESS,
) -> Resolution:
    """Decide conflicts for a side: at `paths`, or all. What does not conflict is taken from both sides.

    Args:
        paths: datasets, folders of them, or paths in them, relative to the repository.

    Raises:
        PathError: a path is not in conflict, or the side has no such dataset.
        DataLossError: files would be lost; nothing was touched.
    """
    with repo.lock(), repo.storing():
        work = _Work()
        conflicted = _conflicted(repo, paths)
        free, work.spared = spare(repo.dver_dir, [Target(dataset) for dataset in conflicted], paths)
        for dataset, parts in ((target.dataset, conflicted[target.dataset]) for target in free):
            conflict = read_conflict(repo, dataset)
            # Each of them has marks, or git holds its sides.
            assert conflict is not None
            if parts:
                _rule_on_parts(repo, conflict, [Ruling(side, part) for part in parts], work)
            else:
                _rule_on_whole(repo, conflict, side, work)
        return _finish(repo, work, options, progress, whole=False)


def checkout_merging(
    repo: Repo,
    paths: Sequence[str] = (),
    *,
    options: CheckoutOptions = _AS_USUAL,
    progress: Progress = NO_PROGRESS,
) -> Resolution:
    """Make working files match their pointers, and merge those that are in conflict.

    Where nothing conflicts, the merge is done. Else the data becomes ours with all that theirs changed elsewhere, so
    that it can be edited and added; the conflict stays.

    Raises:
        as `checkout`, and PathError for a path within a dataset in conflict.
    """
    with repo.lock(), repo.storing():
        work = _Work()
        datasets = working_datasets(repo)
        deleted, torn = deleted_on_one_side(repo), torn_datasets(repo, datasets)
        targets, work.spared = spare(repo.dver_dir, select(datasets, paths), paths)
        for target in targets:
            if target.dataset not in torn:
                work.check_out(target, pointer_of(repo, target.dataset))
                if target.dataset in deleted:
                    work.unresolved.append(Unresolved(target.dataset, (), deleted[target.dataset]))
            elif target.part:
                raise PathError(
                    f"{target.dataset}/{decode_path(target.part)}",
                    "lies in a dataset with a merge conflict",
                    hint=f"dver checkout --ours PATH or --theirs PATH decides; dver checkout {target.dataset} brings"
                    " what does not conflict",
                )
            else:
                _merge(repo, target.dataset, work)
        return _finish(repo, work, options, progress, whole=bool(paths))


def _conflicted(repo: Repo, paths: Sequence[str]) -> dict[str, list[bytes]]:
    """Return the datasets in conflict that are meant, each with the paths in it, none for the whole."""
    unmerged = unmerged_datasets(repo)
    working = working_datasets(repo)
    conflicted = torn_datasets(repo, working) | unmerged
    known = conflicted.union(working)
    for path in paths:
        if not any(target.dataset in conflicted for target in select(known, [path])):
            raise PathError(path or ".", "is not in a merge conflict", hint=_HINT)
    found: dict[str, list[bytes]] = {}
    for target in select(known, paths):
        if target.dataset in conflicted:
            found.setdefault(target.dataset, []).extend([target.part] if target.part else [])
    return found


def _rule_on_whole(repo: Repo, conflict: PointerConflict, side: Side, work: _Work) -> None:
    dataset, wanted = conflict.dataset, conflict.of(side)
    if wanted is None:
        raise conflict.deleted(side)
    if conflict.of(side.other) is None:
        work.bring(wanted, Resolved(dataset, 1, has_data=_is_within_reach(repo, dataset, wanted)))
        return
    try:
        merged = merge_pointers(repo, dataset, conflict.sides, conflict.rulings, side)
    except VersionNotFoundError:
        work.bring(wanted, Resolved(dataset, taken=side, has_data=_is_within_reach(repo, dataset, wanted)))
    else:
        work.bring(merged.pointer, Resolved(dataset, len(merged.decided)))


def _rule_on_parts(repo: Repo, conflict: PointerConflict, added: Sequence[Ruling], work: _Work) -> None:
    dataset, sides = conflict.dataset, conflict.sides
    rulings = [*(ruling for ruling in conflict.rulings if not _is_replaced(ruling, added)), *added]
    merged = merge_pointers(repo, dataset, sides, rulings)
    for ruling in added:
        if not any(is_within(found.path, ruling.path) for found in (*merged.conflicts, *merged.decided)):
            path = f"{dataset}/{decode_path(ruling.path)}"
            raise PathError(path, "is not in conflict", hint=f"dver checkout {typed(dataset)} lists the paths that are")
    if merged.conflicts:
        work.texts[dataset] = encode_conflict(sides, merged.conflicts, rulings)
        work.unresolved.append(Unresolved(dataset, merged.conflicts))
    else:
        work.bring(merged.pointer, Resolved(dataset, len(merged.decided)))


def _is_replaced(ruling: Ruling, added: Sequence[Ruling]) -> bool:
    return any(is_within(ruling.path, later.path) for later in added)


def _merge(repo: Repo, dataset: str, work: _Work) -> None:
    """Merge a torn pointer, or bring what of it can be merged."""
    conflict = read_conflict(repo, dataset)
    if conflict is None:
        raise FormatError(pointer_path(dataset), "changed while it was read", hint="run the command again")
    try:
        merged = merge_pointers(repo, dataset, conflict.sides, conflict.rulings)
    except (VersionNotFoundError, BackendError) as exc:
        work.unresolved.append(Unresolved(dataset, (), exc))
        return
    if merged.conflicts:
        work.check_out(Target(dataset), merged.pointer)
        work.drafts.add(dataset)
        if conflict.is_unmarked:
            work.texts[dataset] = encode_conflict(conflict.sides, merged.conflicts, conflict.rulings)
        work.unresolved.append(Unresolved(dataset, merged.conflicts))
    else:
        work.bring(merged.pointer, Resolved(dataset, len(merged.decided)))


def _is_within_reach(repo: Repo, dataset: str, pointer: Pointer) -> bool:
    try:
        open_manifest(repo, pointer.version, dataset)
    except VersionNotFoundError:
        return False
    return True


def _finish(repo: Repo, work: _Work, options: CheckoutOptions, progress: Progress, *, whole: bool) -> Resolution:
    """Check out, write the pointers and record the rulings that were gathered."""
    whole = whole if options.whole is None else options.whole
    targets = narrowable(work.targets, work.pointers, options.patterns, is_named=whole)
    how = Planning(options.force, whole=whole, edited=frozenset(work.drafts), patterns=options.patterns)
    plans = plan_targets(repo, targets, work.pointers, how, progress)
    plan = CheckoutPlan(plans, work.brought, work.spared)
    carry_out(repo, plan, options=options, progress=progress)
    if not options.dry_run:
        for dataset, pointer in work.without_data.items():
            bring_pointer(repo, dataset, pointer)
        for dataset, text in work.texts.items():
            _record(repo, dataset, text)
    return Resolution(plan, tuple(work.resolved), tuple(work.unresolved))


def _record(repo: Repo, dataset: str, text: bytes) -> None:
    try:
        write_atomically(repo.root / pointer_path(dataset), text)
    except OSError as exc:
        raise unwritable_path(pointer_path(dataset), exc) from exc
