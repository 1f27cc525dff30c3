"""Push and fetch: which versions are meant, and bringing them to or from a remote.

What a push sends beside the versions are the lists of packages of the runs that made them. They come last and are worth
little without the data, so one that is missing or damaged is passed over.
"""

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import islice

from dver.errors import ConfigError, DverError, IntegrityError, ObjectNotFoundError, VersionNotFoundError, and_more
from dver.objects.ids import VersionId
from dver.objects.pointer import Pointer
from dver.operations.as_remote import counting_on, may_hold_parts
from dver.operations.chunk_sizes import params_of
from dver.operations.datasets import (
    head_pointers,
    pointers_at,
    read_pointer_or_problem,
    readable_pointers_at,
    select,
    working_pointers,
)
from dver.operations.looking import listed_as_garbage
from dver.operations.push_guard import PushGuard
from dver.operations.push_state import PushState, find_state
from dver.operations.read_back import ReadBack, read_back
from dver.operations.reading import check_kind, no_store_hint
from dver.operations.status import present_versions
from dver.operations.transfer import Transfer, Transferred
from dver.operations.wanted import Wanted, holds_wanted
from dver.progress import NO_PROGRESS, Progress
from dver.repo import LINEAGE_FILE, Repo
from dver.storage.backend import settle
from dver.storage.condemned import read_folder
from dver.storage.markers import version_key
from dver.storage.store import Store
from dver.storage.writer import StoreWriter


@dataclass(frozen=True, slots=True)
class TransferResult:
    """What a push or fetch did.

    Attributes:
        remote: the remote's name.
        versions: how many versions were asked for.
        missing: versions that could not be brought because the side they should come from lacks them.
        parts: of how many of these only a part was asked for.
        package_lists: how many lists of packages were sent; their objects and bytes are among those in `sent`.
        restored: keys of what the remote had lost of the store itself, and has again.
        checked: what was read back, where that was asked for.
        garbage: of the versions that a fetch was about, those that the remote lists as garbage, with the time, in
            seconds since 1970, from which on it may delete them.
    """

    remote: str
    versions: int
    sent: Transferred
    missing: tuple[Wanted, ...] = ()
    package_lists: int = 0
    parts: int = 0
    restored: tuple[str, ...] = ()
    checked: ReadBack | None = None
    garbage: tuple[tuple[Wanted, float], ...] = ()


@dataclass(frozen=True, slots=True)
class _Route:
    """From where to where; `has_whole_trees` says that where a remote has a node, it has all below it.

    `guard` is asked whether what was counted on is there still.
    """

    source: Store
    target: Store
    label: str
    has_whole_trees: bool = True
    guard: PushGuard | None = None


def wanted_versions(
    repo: Repo, paths: Sequence[str] = (), *, revs: Sequence[str] = (), all_refs: bool = False
) -> list[Wanted]:
    """Return the versions that a transfer is about.

    By default those that HEAD's and the working tree's pointers name; with `revs` those of these commits; with
    `all_refs` those of every commit that a branch, a tag or HEAD leads to, and of the working tree. `paths` narrows
    them to datasets or parts of them.
    """
    found: dict[tuple[str, VersionId], None] = {}
    for pointers in _named_pointers(repo, revs, all_refs=all_refs):
        found.update(dict.fromkeys((dataset, pointer.version) for dataset, pointer in pointers.items()))
    parts: dict[str, list[bytes]] = {}
    for target in select({dataset for dataset, _ in found}, paths):
        parts.setdefault(target.dataset, []).append(target.part)
    wanted = {
        (version, part): Wanted(version, dataset, part)
        for dataset, version in reversed(found)
        for part in parts.get(dataset, [])
    }
    return list(wanted.values())


def committed_versions(repo: Repo) -> set[VersionId]:
    """Return the versions that commits name to which a branch, a tag or HEAD leads: those that a push can be about."""
    return {pointer.version for pointers in _committed_pointers(repo) for pointer in pointers.values()}


def _named_pointers(repo: Repo, revs: Sequence[str], *, all_refs: bool) -> Iterator[dict[str, Pointer]]:
    if revs:
        yield from (pointers_at(repo, repo.git.resolve(rev)) for rev in revs)
        if not all_refs:
            return
    yield working_pointers(repo)
    if all_refs:
        yield from _committed_pointers(repo)
    else:
        yield head_pointers(repo)


def _committed_pointers(repo: Repo) -> Iterator[dict[str, Pointer]]:
    head = repo.git.head_commit()
    starts = [*repo.git.refs().values(), *([head] if head else [])]
    return (readable_pointers_at(repo, commit) for commit in repo.git.ancestry(starts))


def push(
    repo: Repo,
    wanted: Sequence[Wanted],
    *,
    remote: str | None = None,
    verify: bool = False,
    progress: Progress = NO_PROGRESS,
) -> TransferResult:
    """Send to a remote what it lacks of `wanted`. A part stands for the whole of its version.

    What the remote should have, by its own index, is held against a list of what is there. Packs that are gone or cut
    off are made again where the cache has all that was in them. Versions that are not in the cache are reported as
    missing unless the remote has them.

    Args:
        verify: read all of these versions back, and check it.

    Raises:
        IntegrityError: the remote has lost what this cannot restore, or what was read back is damaged.
    """
    target = repo.remote(remote)
    name = repo.remote_settings(remote).name
    whole = list({want.version: Wanted(want.version, want.dataset) for want in wanted}.values())
    lists = _lists(repo, whole)
    versions = [want.version for want in (*whole, *lists)]
    with counting_on(target, progress.note), PushGuard(repo, target, versions, note=progress.note) as guard:
        state, present = _look(repo, name, guard)
        asked = [want for want in whole if want.version not in present]
        asked_lists = [want for want in lists if want.version not in present]
        cached = present_versions(repo.cache, [want.version for want in asked])
        sendable = [want for want in asked if want.version in cached or _manifest_is_here(repo.cache, want)]
        missing = tuple(want for want in asked if want not in sendable)
        whole_trees = not (state.evidence.broken or may_hold_parts(target))
        route = _Route(repo.cache, target, f"pushing to {name}", has_whole_trees=whole_trees, guard=guard)
        if (sendable or asked_lists) and target.backend.is_local:
            target.prepare(params_of(repo, repo.cache))
        if sendable or asked_lists:
            guard.enter(params_of(repo, repo.cache))
        sent = _run(repo, route, sendable, progress) if sendable else Transferred()
        more = _send_lists(repo, route, asked_lists, progress)
    sent = Transferred(sent.versions, sent.objects + more.objects, sent.bytes + more.bytes)
    checked = None
    if verify:
        there = [want.version for want in whole if want not in missing]
        checked = read_back(repo, target, there, label=f"reading back from {name}", progress=progress)
    return TransferResult(name, len(whole), sent, missing, len(more.versions), restored=state.restored, checked=checked)


def _look(repo: Repo, name: str, guard: PushGuard) -> tuple[PushState, set[VersionId]]:
    """Return what is found on a remote, and the versions there that can be counted on."""
    state = find_state(repo, name, guard.versions)
    before: tuple[str, ...] = ()
    if not state.evidence.held.isdisjoint(guard.versions) and guard.register(params_of(repo, repo.cache)):
        # Only now can markers be counted on.
        before, state = state.restored, find_state(repo, name, guard.versions)
    leaving = guard.leaving()
    present = {version for version in guard.versions if state.has(version) and version not in leaving}
    _settle(repo.remote(name), present)
    return replace(state, restored=(*before, *state.restored)), present


def fetch(
    repo: Repo,
    wanted: Sequence[Wanted],
    *,
    remote: str | None = None,
    progress: Progress = NO_PROGRESS,
) -> TransferResult:
    """Bring into the cache what it lacks of `wanted`; versions that the remote lacks are reported as missing.

    Raises:
        FormatError: a pointer says that one of them is a file and it is a folder, or the reverse; all has come.
    """
    name = repo.remote_settings(remote).name
    parts = sum(not want.is_whole for want in wanted)
    unmarked = _absent(repo.cache, wanted)
    _settle(repo.cache, {want.version for want in wanted} - {want.version for want in unmarked})
    absent = [want for want in unmarked if want.is_whole or not holds_wanted(repo.cache, want)]
    if not absent:
        return TransferResult(name, len(wanted), Transferred(), parts=parts)
    source = repo.remote(remote)
    held = present_versions(source, [want.version for want in absent])
    if not held and source.read_params() is None:
        raise ConfigError(f"there is no store at {source.name}", hint=no_store_hint(name))
    missing = tuple(want for want in absent if want.version not in held)
    fetchable = [want for want in absent if want.version in held]
    if not fetchable:
        return TransferResult(name, len(wanted), Transferred(), missing, parts=parts)
    with _catching_up(repo, source):
        repo.cache.prepare(params_of(repo, source))
    with _asking_for_garbage(repo, source, wanted) as garbage:
        sent = _run(repo, _Route(source, repo.cache, f"fetching from {name}"), fetchable, progress)
    _check_kinds(repo, fetchable)
    return TransferResult(name, len(wanted), sent, missing, parts=parts, garbage=tuple(garbage))


@contextmanager
def _asking_for_garbage(repo: Repo, store: Store, wanted: Sequence[Wanted]) -> Iterator[list[tuple[Wanted, float]]]:
    """Yield a list that has in the end what of `wanted` a remote lists as garbage, which it is asked for meanwhile."""
    found: list[tuple[Wanted, float]] = []
    folder = repo.workers_for(store.backend).executor.submit(read_folder, store.backend)
    yield found
    # That has to be told, but nothing depends on it.
    with suppress(DverError):
        due = listed_as_garbage(repo, store, [want.version for want in wanted], folder.result())
        found += [(want, due[want.version]) for want in wanted if want.version in due]


def _check_kinds(repo: Repo, fetched: Sequence[Wanted]) -> None:
    """Raise FormatError for a pointer here that says other of the version that it names than that is."""
    for want in fetched:
        pointer = read_pointer_or_problem(repo, want.dataset)
        if isinstance(pointer, Pointer) and pointer.version == want.version:
            check_kind(want.dataset, pointer, repo.cache.manifest(want.version))


def missing_error(result: TransferResult, repo: Repo, *, pushing: bool) -> DverError | None:
    """Return the error for the versions that a transfer could not find, or None if there are none."""
    if not result.missing:
        return None
    want = result.missing[0]
    more = and_more(len(result.missing))
    if pushing:
        return VersionNotFoundError(
            want.version,
            want.dataset,
            f"the cache nor on {result.remote}{more}",
            hint="dver fetch -r REMOTE from where it is",
        )
    return VersionNotFoundError(
        want.version,
        want.dataset,
        f"remote {result.remote}{more}",
        hint="dver push --all, run where the version was added",
    )


def damage_error(result: TransferResult) -> IntegrityError | None:
    """Return the error for what was read back after a push and is wrong, or None if nothing is."""
    problems = result.checked.problems if result.checked else ()
    if not problems:
        return None
    hint = f"dver fsck --remote {result.remote} --repair"
    return IntegrityError(f"remote {result.remote}", f"{problems[0]}{and_more(len(problems))}", hint=hint)


@contextmanager
def _catching_up(repo: Repo, store: Store) -> Iterator[None]:
    """Bring what is known of a distant store up to date meanwhile: what is asked of it here takes as long."""
    if store.backend.is_local:
        yield
        return
    done = repo.transfer_workers.executor.submit(store.index.ensure_fresh)
    yield
    done.result()


def _settle(store: Store, present: Collection[VersionId]) -> None:
    """See to it that versions stay which are here: who marked them may have been killed before that was durable."""
    for version in islice(present, 1):
        # All markers are in one folder; what a marker counts on was durable before it.
        settle(store.backend, version_key(version))


def _absent(store: Store, wanted: Sequence[Wanted]) -> list[Wanted]:
    present = present_versions(store, [want.version for want in wanted])
    return [want for want in wanted if want.version not in present]


def _manifest_is_here(store: Store, want: Wanted) -> bool:
    try:
        store.manifest(want.version).totals()
    except ObjectNotFoundError:
        return False
    return True


def _lists(repo: Repo, wanted: Sequence[Wanted]) -> list[Wanted]:
    """Return the lists of packages of the runs that made versions, as far as they are here."""
    if not wanted or not os.path.lexists(repo.root / LINEAGE_FILE):
        return []
    # Deferred: records take their time to load, and many repositories have none.
    from dver.operations.packages import LIST, lists_of  # noqa: PLC0415

    known = {want.version for want in wanted}
    try:
        found = lists_of(repo, [(want.dataset, want.version) for want in wanted])
    except DverError:
        # A lineage file that cannot be read keeps no data back.
        return []
    return [Wanted(version, LIST) for version in found if version not in known]


def _send_lists(repo: Repo, route: _Route, wanted: Sequence[Wanted], progress: Progress) -> Transferred:
    if not wanted:
        return Transferred()
    from dver.operations.packages import is_list  # noqa: PLC0415

    sound = [want for want in wanted if is_list(repo, want.version)]
    try:
        return _run(repo, route, sound, progress) if sound else Transferred()
    except (VersionNotFoundError, IntegrityError):
        return Transferred()


def _run(repo: Repo, route: _Route, wanted: Sequence[Wanted], progress: Progress) -> Transferred:
    target = route.target
    with StoreWriter(target) as writer, progress.task(route.label, bytes=0) as task:
        with _catching_up(repo, target):
            if not target.backend.is_local:
                target.prepare(params_of(repo, repo.cache))
        is_cache, workers = target is repo.cache, repo.workers_for(route.source.backend)
        transfer = Transfer(
            route.source, writer, workers, into_cache=is_cache, has_whole_trees=route.has_whole_trees, task=task
        )
        return transfer.copy(wanted, route.guard)
