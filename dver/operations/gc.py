"""Garbage collection of the cache: keep what something names, and give the rest of the disk space back.

All is done under the lock of the cache, so that nothing that another process stores is taken for garbage; where the
cache is a remote of others, with the lease of that as well. The plan is made first; a dry run ends there.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dver.errors import ConfigError, LockedError
from dver.operations.as_remote import cleaning
from dver.operations.gc_plan import GcOptions, GcPlan, make_plan
from dver.progress import NO_PROGRESS, Progress
from dver.repo import Repo
from dver.storage.cachelock import collecting
from dver.storage.clones import forget, known_clones, register
from dver.storage.local import LocalBackend
from dver.storage.objectset import ObjectSet
from dver.storage.store import Store
from dver.storage.sweep import Sweeper, Swept
from dver.storage.writer import STALE_SECONDS

_GIT_PATIENCE = 10.0
_POLL_SECONDS = 0.1
_KEEP_ALL = GcOptions()


@dataclass(frozen=True, slots=True)
class GcResult:
    """What a garbage collection planned and, unless it was a dry run, did."""

    plan: GcPlan
    swept: Swept | None = None


def gc(
    repo: Repo, options: GcOptions = _KEEP_ALL, *, dry_run: bool = False, progress: Progress = NO_PROGRESS
) -> GcResult:
    """Delete from the cache what nothing names.

    Raises:
        ConfigError: the cache is not on a local disk.
        DataLossError: a version of history would go that no remote surely has. Nothing was deleted.
        LockedError: git is at work in a repository that uses the cache, or somebody cleans it as a remote.
        DverError: what is needed cannot be known. Nothing was deleted.
    """
    store = repo.cache
    _check_local(store)
    if dry_run:
        with store.kept():
            plan, live = make_plan(repo, options, progress, dry_run=True)
        live.close()
        return GcResult(plan)
    with collecting(store, progress.note), cleaning(repo, store) as keep:
        if store.used_by is not None:
            register(store.backend, store.used_by)
        _wait_for_git(repo)
        plan, live = make_plan(repo, options, progress)
        with live:
            return GcResult(plan, _carry_out(store, plan, live, progress, keep))


def _check_local(store: Store) -> None:
    if not isinstance(store.backend, LocalBackend):
        raise ConfigError(
            f"the cache is at {store.backend.location}, where nobody can tell who is storing data at the moment",
            hint="to start over with a smaller one: dver config set cache.dir NEW-PLACE, then dver fetch --all; delete"
            " the old one when nobody uses it",
        )


def _carry_out(store: Store, plan: GcPlan, live: ObjectSet, progress: Progress, keep: Callable[[], None]) -> Swept:
    census = plan.census
    for gone in plan.unregistered:
        keep()
        store.backend.delete(gone.key)
    for clone in plan.forgotten:
        forget(store.backend, clone)
    if plan.forgotten and store.used_by is not None:
        # What was forgotten may have stood in the way of this one's own word.
        register(store.backend, store.used_by)
    total = sum(pack.size for pack in (*census.dead, *census.due))
    with progress.task("cleaning the cache", bytes=total) as task:
        sweeper = Sweeper(store, task=task, keep=keep)
        sweeper.unmark([one.version for one in plan.leaving])
        sweeper.delete(census.dead)
        sweeper.repack(census.due, live)
        sweeper.tidy()
    if isinstance(store.backend, LocalBackend):
        # Nobody is writing now, but a remote in the same folder may have another idea of who is.
        store.backend.remove_stale_temporaries(STALE_SECONDS)
    return sweeper.swept


def _wait_for_git(repo: Repo) -> None:
    """Wait for a merge or commit of git's to end: what it is about to name is named by nothing yet.

    Raises:
        LockedError: it does not end.
    """
    deadline = time.monotonic() + _GIT_PATIENCE
    while True:
        locked = next(_index_locks(repo), None)
        if locked is None:
            return
        if time.monotonic() >= deadline:
            raise LockedError(
                f"git is at work ({locked} exists)",
                hint="run dver gc again when it has ended; if no git command is running, delete that file",
            )
        time.sleep(_POLL_SECONDS)


def _index_locks(repo: Repo) -> Iterator[Path]:
    others = [clone.place.git_dir for clone in known_clones(repo.cache.backend) if clone.place is not None]
    for common in dict.fromkeys([repo.git.common_dir, *others]):
        for folder in (common, *(common / "worktrees").glob("*")):
            lock = folder / "index.lock"
            if lock.exists():
                yield lock
