"""Checkout: make the working files what pointers say.

Everything is planned first, for all datasets, and what is not in the cache is fetched; only then are files touched.
Each dataset's files come first, then its stat cache rows, then its pointer, so the same command run again after a
crash completes.
"""

import time
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from itertools import chain

from dver.config import Link
from dver.errors import DataLossError, FormatError, LockedError, PathError
from dver.objects.entry import LinkEntry
from dver.objects.ids import NodeId
from dver.objects.pointer import SUFFIX, DatasetKind, Pointer, decode_pointer, pointer_path
from dver.operations.addable import check_parents
from dver.operations.checkout_limits import check_limits
from dver.operations.checkout_plan import DatasetPlan, Planner
from dver.operations.datasets import (
    Target,
    decode_path,
    pointers_at,
    read_pointer_or_problem,
    select,
    typed,
    working_datasets,
)
from dver.operations.ignoring import keep_out_of_git
from dver.operations.reading import check_kind
from dver.operations.run_guard import recovery_hint, spare
from dver.operations.selection import check_matches, narrowable, not_in_dataset
from dver.operations.sharing import Sharing, Sources
from dver.operations.wanted import chunks_of, missing_chunks
from dver.progress import NO_PROGRESS, Progress, Task
from dver.repo import Repo
from dver.workspace.assemble import Assembler
from dver.workspace.choice import NO_PATTERNS, Patterns
from dver.workspace.deletion import dataset_folders, delete_files
from dver.workspace.gitignore import gitignore_path
from dver.workspace.pointers import read_pointer, write_pointer
from dver.workspace.rowlist import RowList
from dver.workspace.statcache import TICK_NS, Base, Row


@dataclass(frozen=True, slots=True)
class CheckoutPlan:
    """What a checkout will do, or has done.

    Attributes:
        pointers: pointers to be written, by dataset, where a revision was asked for.
        spared: why other datasets are left alone: runs make them.
    """

    datasets: tuple[DatasetPlan, ...]
    pointers: dict[str, Pointer] = field(default_factory=dict)
    spared: tuple[LockedError, ...] = ()

    @property
    def conflicts(self) -> list[str]:
        """The files that stand in the way, relative to the repository."""
        return [_join(plan.dataset, path) for plan in self.datasets for path in plan.conflicts]


@dataclass(frozen=True, slots=True)
class CheckoutOptions:
    """How to check out.

    Attributes:
        force: overwrite and delete files whose content is stored nowhere.
        dry_run: only plan.
        verify: check each chunk against its id while writing; working files are then no source of content.
        link: whether files of equal content share blocks; None for what the settings say.
        patterns: what is wanted of the datasets or paths that are asked for, from now on.
        whole: make partly present datasets whole; None: those that are named.
    """

    force: bool = False
    dry_run: bool = False
    verify: bool = False
    link: Link | None = None
    patterns: Patterns = NO_PATTERNS
    whole: bool | None = None


def checkout(
    repo: Repo,
    rev: str | None = None,
    paths: Sequence[str] = (),
    *,
    options: CheckoutOptions = CheckoutOptions(),
    progress: Progress = NO_PROGRESS,
) -> CheckoutPlan:
    """Make working files match their pointers, those of `rev` if it is given.

    Args:
        rev: a commit, branch or tag; its pointers are brought too, and staged.
        paths: datasets, folders of them, or paths in them, relative to the repository; none means all.

    Raises:
        LockedError: a run makes a path that is named; without a name it is left alone, as the plan says.
        DataLossError: files would be lost; all are listed, and nothing was touched.
        VersionNotFoundError: data is neither in the cache nor on the default remote; nothing was touched.
    """
    with repo.lock(), repo.storing():
        known = repo.stat_cache.bases().keys()
        try:
            plan = _plan(repo, rev, paths, options, progress)
            carry_out(repo, plan, options=options, progress=progress)
        except BaseException:
            _forget_looks(repo, known)
            raise
        if options.dry_run:
            _forget_looks(repo, known)
        return plan


def _forget_looks(repo: Repo, known: Set[str]) -> None:
    """Forget the bases that planning alone gave to datasets: what was never checked out would count as deleted."""
    for dataset in repo.stat_cache.bases().keys() - known:
        if not repo.stat_cache.is_unfinished(dataset):
            repo.stat_cache.forget(dataset)


@dataclass(frozen=True, slots=True)
class Planning:
    """How to plan for several datasets; `force`, `whole` and `patterns` are as for `Planner`.

    Attributes:
        edited: the datasets in which a user's changes are kept, as far as the version does not change the same files.
    """

    force: bool = False
    whole: bool = False
    edited: frozenset[str] = frozenset()
    patterns: Patterns = NO_PATTERNS


def plan_targets(
    repo: Repo,
    targets: Sequence[Target],
    pointers: Mapping[str, Pointer],
    how: Planning,
    progress: Progress = NO_PROGRESS,
) -> tuple[DatasetPlan, ...]:
    """Return the plans that make the data at `targets` what `pointers` say; the caller holds the repository's lock."""
    plans = []
    grouped = _group(targets)
    # What draws progress has a thread, and there must be none for looking ahead.
    with repo.scanner.looking_ahead(grouped), progress.task("comparing", bytes=0, files=0) as task:
        planner = Planner(repo, task, force=how.force, patterns=how.patterns)
        for dataset, parts in grouped.items():
            check_parents(repo.root, dataset)
            _check_parts(repo, dataset, parts, pointers[dataset])
            version, keep_changes = pointers[dataset].version, dataset in how.edited
            plans.append(planner.plan(dataset, version, parts, whole=how.whole, keep_changes=keep_changes))
            check_kind(dataset, pointers[dataset], plans[-1].manifest)
            _check_parts_exist(plans[-1], parts)
    manifests = {plan.dataset: plan.manifest for plan in plans}
    check_matches(how.patterns, [(target, manifests[target.dataset]) for target in targets])
    return tuple(plans)


def carry_out(
    repo: Repo, plan: CheckoutPlan, *, options: CheckoutOptions = CheckoutOptions(), progress: Progress = NO_PROGRESS
) -> None:
    """Do what a plan says, unless it is a dry run; the caller holds the repository's lock since before planning.

    Raises:
        DataLossError: files would be lost; all are listed, and nothing was touched.
        VersionNotFoundError: data is neither in the cache nor on the default remote; nothing was touched.
        PathError: files are to share blocks, and cannot, or two names are one here; nothing was touched.
        BackendError: the disk is smaller than what is to be written; nothing was touched.
    """
    if options.dry_run:
        return
    if plan.conflicts:
        raise DataLossError(
            f"checkout would overwrite or delete {_files(len(plan.conflicts))} whose content is stored nowhere;"
            " nothing was changed",
            plan.conflicts,
            hint=recovery_hint(repo.dver_dir, plan.conflicts)
            or "dver add keeps their content; dver checkout --force gives it up",
        )
    with repo.scratch() as scratch:
        check_limits(repo, plan.datasets, scratch)
        sharing = Sharing(repo, options.link, scratch, plan.datasets)
        _fetch_missing(repo, plan, progress)
        total = sum(dataset.write_bytes for dataset in plan.datasets)
        files = sum(len(dataset.writes) for dataset in plan.datasets)
        with progress.task("checking out", bytes=total, files=files) as task:
            for dataset in plan.datasets:
                assembler = Assembler(
                    dataset_folders(repo.root, dataset.dataset),
                    repo.cache,
                    scratch,
                    repo.workers_for(repo.cache.backend),
                    verify=options.verify or not repo.cache.backend.is_local,
                    task=task,
                )
                _execute(repo, dataset, assembler, sharing.sources(dataset, work_tree=not options.verify), task)
                bring_pointer(repo, dataset.dataset, plan.pointers.get(dataset.dataset))


def _plan(
    repo: Repo, rev: str | None, paths: Sequence[str], options: CheckoutOptions, progress: Progress
) -> CheckoutPlan:
    if rev is None:
        # A broken pointer stands in the way only of its own dataset, so not all are read.
        targets = select(working_datasets(repo), paths)
        targets, spared = spare(repo.dver_dir, targets, paths)
        pointers = {target.dataset: _read(repo, target.dataset) for target in targets}
    else:
        pointers = pointers_at(repo, repo.git.resolve(rev))
        targets = select(pointers, paths, hint=f"dver ls {typed(rev)}: lists the datasets of that revision")
        targets, spared = spare(repo.dver_dir, targets, paths)
    whole = bool(paths) if options.whole is None else options.whole
    targets = narrowable(targets, pointers, options.patterns, is_named=whole)
    how = Planning(options.force, whole=whole, patterns=options.patterns)
    plans = plan_targets(repo, targets, pointers, how, progress)
    wanted = {target.dataset: pointers[target.dataset] for target in targets} if rev is not None else {}
    return CheckoutPlan(plans, _not_brought_yet(repo, wanted), spared)


def _not_brought_yet(repo: Repo, wanted: dict[str, Pointer]) -> dict[str, Pointer]:
    """Return those pointers that are not what is written and staged; a checkout may have been killed in between."""
    staged = repo.git.index_files(SUFFIX) if wanted else {}

    def is_staged(dataset: str, pointer: Pointer) -> bool:
        blob = staged.get(pointer_path(dataset))
        try:
            return blob is not None and decode_pointer(repo.git.read_blob(blob), dataset) == pointer
        except FormatError:
            return False

    return {
        dataset: pointer
        for dataset, pointer in wanted.items()
        if read_pointer_or_problem(repo, dataset) != pointer or not is_staged(dataset, pointer)
    }


def _read(repo: Repo, dataset: str) -> Pointer:
    pointer = read_pointer(repo.root, dataset)
    if pointer is None:
        raise PathError(pointer_path(dataset), "the pointer is missing")
    return pointer


def _group(targets: Sequence[Target]) -> dict[str, tuple[bytes, ...]]:
    """Return the parts asked for by dataset; none means the whole."""
    grouped: dict[str, tuple[bytes, ...]] = {}
    for target in targets:
        grouped[target.dataset] = (*grouped.get(target.dataset, ()), *([target.part] if target.part else []))
    return grouped


def _check_parts(repo: Repo, dataset: str, parts: tuple[bytes, ...], pointer: Pointer) -> None:
    """Refuse part of another version than the rest of the dataset is at: no pointer could name the mixture."""
    if not parts:
        return
    if pointer.kind is DatasetKind.FILE:
        raise PathError(dataset, "is a single file and has no parts")
    base = repo.stat_cache.base(dataset)
    if base is not None and base.version != pointer.version:
        raise PathError(
            f"{dataset}/{decode_path(parts[0])}",
            "is part of a dataset whose data is at another version",
            hint=f"dver checkout {typed(dataset)} for the whole, or dver cat REV:PATH for one file",
        )


def _check_parts_exist(plan: DatasetPlan, parts: Sequence[bytes]) -> None:
    for part in parts:
        if next(plan.manifest.entries(part), None) is None:
            raise not_in_dataset(plan.dataset, part)


def _fetch_missing(repo: Repo, plan: CheckoutPlan, progress: Progress) -> None:
    """Bring what the cache lacks for a plan from the default remote."""
    for dataset in plan.datasets:
        missing = list(missing_chunks(repo.cache, chunks_of(dataset.manifest, dataset.writes)))
        # Nodes that came from the remote while planning are kept too, so that the next command finds them here.
        if missing or (repo.has_remote and not repo.cache.present([NodeId(dataset.version)])):
            # Deferred: most checkouts find everything in the cache.
            from dver.operations.checkout_fetch import fetch_missing  # noqa: PLC0415

            fetch_missing(repo, dataset, missing, progress)


def _execute(repo: Repo, plan: DatasetPlan, assembler: Assembler, sources: Sources, task: Task) -> None:
    if plan.writes or plan.deletes:
        repo.stat_cache.begin_checkout(plan.dataset)
    with dataset_folders(repo.root, plan.dataset) as folders:
        delete_files(folders, plan.deletes)
    if not plan.writes and plan.choice is None and plan.manifest.get(b"") is None:
        assembler.make_root()
    with repo.spool() as spool:
        written = RowList(spool)
        for path, row in _write(plan, assembler, sources, task):
            written.add(path, row)
        if written:
            # Only what is older than a clock tick can be told from a later change by its stat.
            time.sleep(TICK_NS / 1e9 + 0.001)
        now = time.time_ns()
        repo.stat_cache.rebase(
            plan.dataset,
            Base(plan.version, plan.choice),
            chain(plan.settled.items(), ((path, row._replace(checked=now)) for path, row in written)),
            removed=plan.gone,
            keep_rows=plan.keeps_rows,
        )
    repo.stat_cache.end_checkout(plan.dataset)


def _write(plan: DatasetPlan, assembler: Assembler, sources: Sources, task: Task) -> Iterator[tuple[bytes, Row]]:
    """Write what a plan says, and yield the rows of it, not yet dated."""
    files, cloner = plan.writes.file_entries(), sources.cloner
    yield from assembler.write(files, plan.manifest, cloner=cloner, earlier=sources.earlier)
    if cloner is not None:
        plan.shared, plan.shared_bytes = cloner.files, cloner.bytes
    for entry in plan.writes.others():
        if isinstance(entry, LinkEntry):
            yield assembler.write_link(entry.path, entry.target)
        else:
            yield assembler.make_directory(entry.path)
        task.advance(files=1)


def bring_pointer(repo: Repo, dataset: str, pointer: Pointer | None) -> None:
    """Write and stage a pointer that a revision brought."""
    if pointer is None:
        return
    # Also one that is there: whoever wrote it may have been killed before that was durable.
    write_pointer(repo.root, dataset, pointer)
    touched = [pointer_path(dataset)]
    if keep_out_of_git(repo, dataset, pointer.kind):
        touched.append(gitignore_path(dataset))
    repo.git.stage(touched)


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count:,} files"


def _join(dataset: str, path: str) -> str:
    return f"{dataset}/{path}" if path else dataset
