"""Garbage collection of a remote, which many push to and nobody can lock: in two steps, with a time of grace between.

First what no repository names is put into a list, which lies on the remote for all to see, and nothing is deleted.
When the list's time has come, whoever collects garbage next takes it: looks again what is needed by then, and deletes
what is still garbage. `docs/design/invariants.md` says why nothing is lost by a push, fetch or other collection at the
same time.
"""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from dver.errors import ConfigError, DverError, IntegrityError, UsageError
from dver.objects.ids import VersionId
from dver.operations.gc_remote_plan import find_garbage, plan_sweep
from dver.operations.gc_remote_sweep import AnnouncedSweep
from dver.operations.reading import no_store_hint
from dver.operations.registering import is_registered, own_files, register, registrant
from dver.operations.roots import collect_roots
from dver.progress import NO_PROGRESS, Progress
from dver.repo import Repo
from dver.storage.clones import known_clones
from dver.storage.condemned import (
    CondemnedList,
    CondemnedVersion,
    GcFolder,
    Phase,
    delete_sweep,
    gc_key,
    new_name,
    note_phase,
    read_folder,
    read_list,
    read_sweep,
    write_list,
)
from dver.storage.lease import Lease
from dver.storage.local import LocalBackend
from dver.storage.registrations import Registration, registrations
from dver.storage.store import Store
from dver.storage.sweep import Sweeper, Swept

DAY = 86_400.0
GRACE_DAYS = 14.0
# So long it can be read what a sweep took.
_RECORD_SECONDS = 90 * DAY


@dataclass(frozen=True, slots=True)
class RemoteGcOptions:
    """What a user asks of a garbage collection of a remote.

    Attributes:
        grace_days: how long what is found now stays at least.
        forget: the ids, or beginnings of ids, of repositories that do not count any more.
        undelete: take back all lists that no sweep has begun with, and find nothing new.
    """

    grace_days: float = GRACE_DAYS
    forget: tuple[str, ...] = ()
    undelete: bool = False


@dataclass(frozen=True, slots=True)
class SweptList:
    """A list that was swept, or is to be: the versions of it that went, and how many are named again and stayed."""

    name: str
    versions: tuple[CondemnedVersion, ...]
    spared: int


@dataclass(frozen=True, slots=True)
class RemoteGcResult:
    """What a garbage collection of a remote found and did.

    Attributes:
        now: when, by the clock of the remote where that tells.
        condemned: what was found just now; None for nothing.
        waiting: lists whose time has not come.
        swept: lists that were swept; of a dry run, those whose time has come.
        rescued: lists that stay for now, for a push at work may count on what is in them.
        only_undeletes: whether nothing was asked for but to take lists back.
        withdrawn: lists that were taken back.
        kept: how many versions are named.
        repositories: what repositories said, of those that are not forgotten.
        own: keys of what this one said, which is asked itself instead.
        forgotten: what those had said that are.
        space: what the sweep did with packs.
    """

    remote: str
    now: float
    condemned: CondemnedList | None = None
    waiting: tuple[CondemnedList, ...] = ()
    swept: tuple[SweptList, ...] = ()
    rescued: tuple[CondemnedList, ...] = ()
    only_undeletes: bool = False
    withdrawn: tuple[CondemnedList, ...] = ()
    kept: int = 0
    repositories: tuple[Registration, ...] = ()
    own: frozenset[str] = frozenset()
    forgotten: tuple[Registration, ...] = ()
    space: Swept | None = None

    @property
    def in_the_way(self) -> tuple[Registration, ...]:
        """The repositories of which it is not known what they name, for whose sake nothing goes."""
        return tuple(one for one in self.repositories if one.problem)

    @property
    def freed(self) -> int:
        """How many bytes the remote gave back."""
        return 0 if self.space is None else max(0, self.space.deleted_bytes - self.space.written_bytes)


@dataclass(frozen=True, slots=True)
class _Done:
    """What became of the lists that were there, as the result has it."""

    waiting: tuple[CondemnedList, ...]
    swept: tuple[SweptList, ...] = ()
    rescued: tuple[CondemnedList, ...] = ()
    space: Swept | None = None


_PLAIN = RemoteGcOptions()
_NOTHING_DONE = _Done(())


def gc_remote(
    repo: Repo,
    remote: str | None = None,
    options: RemoteGcOptions = _PLAIN,
    *,
    dry_run: bool = False,
    progress: Progress = NO_PROGRESS,
) -> RemoteGcResult:
    """List what nothing names on a remote, and delete what was listed before and had its time of grace.

    Raises:
        ConfigError: there is no store, or it is a cache of clones on this machine.
        LockedError: somebody else is at it.
        UsageError: a repository to forget is not known, or is this one.
        DverError: what is needed cannot be known. Nothing was deleted.
    """
    store = repo.remote(remote)
    _check(store)
    by = registrant(repo)
    collector = _Collector(repo, store, repo.remote_settings(remote).name, options, progress)
    if dry_run:
        return collector.look(time.time())
    with Lease(store.backend, f"{by.host}:{by.name}") as lease:
        return collector.collect(lease)


def _check(store: Store) -> None:
    if store.read_params() is None:
        raise ConfigError(f"there is no store at {store.name}", hint=no_store_hint(store.remote))
    if isinstance(store.backend, LocalBackend) and known_clones(store.backend):
        raise ConfigError(
            f"{store.name} is the cache of clones as well, and these cannot be asked here what they need",
            hint="dver gc in one of these clones cleans it",
        )


class _Collector:
    """One garbage collection of one remote."""

    def __init__(self, repo: Repo, store: Store, name: str, options: RemoteGcOptions, progress: Progress) -> None:
        self._repo = repo
        self._store = store
        self._name = name
        self._options = options
        self._progress = progress
        self._now = 0.0
        self._own: frozenset[str] = frozenset()
        self._repositories: tuple[Registration, ...] = ()
        self._kept = 0

    def look(self, now: float) -> RemoteGcResult:
        """Find out what `collect` would do, and write nothing."""
        self._now, self._own = now, own_files(self._repo, self._store)
        folder = read_folder(self._store.backend)
        lists = self._lists(folder)
        if self._options.undelete:
            return replace(self._result(), withdrawn=self._withdrawable(folder, lists))
        named = self._ask(forgetting=self._forgettable(registrations(self._store.backend)))
        due = [one for one in lists if one.due <= now]
        waiting = tuple(one for one in lists if one not in due)
        if self._is_blocked:
            return self._result(_Done(waiting))
        swept = tuple(_swept(one, set(one.condemned.versions - named)) for one in due)
        condemned = self._condemn(named, lists, lease=None)
        return replace(self._result(_Done(waiting, swept)), condemned=condemned)

    def collect(self, lease: Lease) -> RemoteGcResult:
        """Do it, with the lease in hand."""
        backend = self._store.backend
        self._now = lease.now
        folder = read_folder(backend)
        lists = self._lists(folder)
        if self._options.undelete:
            withdrawn = self._withdrawable(folder, lists)
            for one in withdrawn:
                lease.keep()
                backend.delete(gc_key(one.name, "list"))
            return replace(self._result(), withdrawn=withdrawn)
        if not is_registered(self._repo, self._store, ()):
            register(self._repo, self._store)
        # What it says from here on counts besides: it is another process of it that does.
        self._own = own_files(self._repo, self._store)
        forgotten = tuple(self._forgettable(registrations(backend)))
        for gone in forgotten:
            lease.keep()
            backend.delete(gone.key)
        named = self._ask()
        if self._is_blocked:
            return replace(self._result(_Done(lists)), forgotten=forgotten)
        done = self._sweep(lease, folder, lists)
        left = (*done.waiting, *done.rescued)
        condemned = None if self._is_blocked else self._condemn(named, left, lease=lease)
        self._tidy(lease)
        return replace(self._result(done), forgotten=forgotten, condemned=condemned)

    @property
    def _is_blocked(self) -> bool:
        """Whether it is not known what some repository names."""
        return any(one.problem for one in self._repositories)

    def _result(self, done: _Done = _NOTHING_DONE) -> RemoteGcResult:
        return RemoteGcResult(
            self._name,
            self._now,
            waiting=done.waiting,
            swept=done.swept,
            rescued=done.rescued,
            only_undeletes=self._options.undelete,
            kept=self._kept,
            repositories=self._repositories,
            own=self._own,
            space=done.space,
        )

    def _lists(self, folder: GcFolder) -> tuple[CondemnedList, ...]:
        return tuple(read_list(self._store.backend, name) for name in folder.lists)

    def _withdrawable(self, folder: GcFolder, lists: Sequence[CondemnedList]) -> tuple[CondemnedList, ...]:
        begun = {one for name in folder.running for one in read_sweep(self._store.backend, name)}
        free = tuple(one for one in lists if one.name not in begun)
        if lists and not free:
            raise UsageError(
                f"{self._store.name}: a sweep has begun with all that was to be deleted, so it cannot be taken back",
                hint=f"dver gc --remote {self._name} ends that sweep; dver push sends again what a repository here has",
            )
        return free

    def _forgettable(self, known: Sequence[Registration]) -> list[Registration]:
        found: list[Registration] = []
        for wanted in self._options.forget:
            fitting = [one for one in known if one.by.id.startswith(wanted)]
            others = [one for one in fitting if one.key not in self._own]
            ids = {one.by.id for one in others}
            if len(ids) != 1:
                why = "several" if ids else "this one" if fitting else "none that pushed here"
                hint = f"dver gc --remote {self._name} --dry-run --json lists them with their ids"
                raise UsageError(f"of repositories, {wanted} is {why}", hint=hint)
            found += [one for one in others if one not in found]
        return found

    def _ask(self, *, forgetting: Collection[Registration] = ()) -> frozenset[VersionId]:
        """Return all versions that this repository and those that pushed here name."""
        known = [one for one in registrations(self._store.backend) if one not in forgetting]
        # What this one said earlier is out of date.
        own = self._own
        known = [replace(one, problem="") if one.key in own else one for one in known]
        self._repositories = tuple(known)
        named = frozenset(collect_roots(self._repo).versions)
        return named.union(*(one.versions for one in known if one.key not in own))

    def _condemn(
        self, named: frozenset[VersionId], lists: Sequence[CondemnedList], *, lease: Lease | None
    ) -> CondemnedList | None:
        """Find what nothing names and no list has, and put it into one; without a lease only find it."""
        store = self._store
        store.index.refresh()
        if lease is not None:
            store.index.recover()
        with self._progress.task("finding what is needed", files=len(named)) as task:
            garbage = find_garbage(store, self._repo.cache, named, [one.condemned for one in lists], task)
        self._kept = garbage.kept
        if not garbage.versions and not garbage.packs:
            return None
        by = registrant(self._repo)
        due = self._now + self._options.grace_days * DAY
        found = CondemnedList(new_name(self._now), f"{by.host}:{by.name}", due, garbage.versions, garbage.packs)
        if lease is not None:
            lease.keep()
            write_list(store.backend, found)
        return found

    def _sweep(self, lease: Lease, folder: GcFolder, lists: tuple[CondemnedList, ...]) -> _Done:
        """Sweep the lists whose time has come, and what sweeps that died have left."""
        backend = self._store.backend
        unfinished = {name: read_sweep(backend, name) for name in folder.running}
        due = {one.name: one for one in lists if one.due <= self._now}
        condemned = {name: one for begun in unfinished.values() for name, one in begun.items()}
        condemned.update((name, one.condemned) for name, one in due.items())
        waiting = tuple(one for one in lists if one.name not in condemned)
        if not condemned:
            return _Done(waiting)
        sweep = AnnouncedSweep(lease, self._store, new_name(self._now), condemned)
        sweep.begin()
        # Only now: whoever says anything from here on knows of the sweep.
        named = self._ask()
        if self._is_blocked:
            sweep.end()
            return _Done(lists)
        rescued = sweep.heed_rescues()
        space = self._carry_out(sweep, named)
        for name, begun in unfinished.items():
            lease.keep()
            # What is left out now may be half gone, and the rescue may have come after that: nobody is to count on it.
            is_all = begun.keys() <= sweep.condemned.keys()
            note_phase(backend, name, Phase.SWEPT if is_all else Phase.UNMARKED)
        swept = [one for one in lists if one.name in sweep.condemned]
        for one in swept:
            backend.delete(gc_key(one.name, "list"))
        return _Done(
            waiting,
            tuple(_swept(one, sweep.unmarked) for one in swept),
            tuple(one for one in lists if one.name in rescued),
            space,
        )

    def _carry_out(self, sweep: AnnouncedSweep, named: frozenset[VersionId]) -> Swept:
        with self._progress.task("finding what is needed", files=len(named)) as task:
            try:
                self._store.index.refresh()
                self._store.index.recover()
                plan, live = plan_sweep(self._store, self._repo.cache, named, sweep.condemned, task)
            except DverError:
                # Nothing was deleted, so pushes may count on all of it again.
                sweep.end()
                raise
        total = sum(pack.size for pack in (*plan.dead, *plan.due))
        with live, self._progress.task("cleaning the remote", bytes=total) as task:
            sweeper = Sweeper(self._store, task=task, keep=sweep.lease.keep, files=plan.index_files)
            sweeper.unmark(plan.unmarked)
            sweep.unmarked = set(plan.unmarked)
            sweep.note(Phase.UNMARKED)
            sweeper.repack(plan.due, live)
            if sweeper.swept.damaged:
                # Nodes in it that nothing needs are listed still, so what they name must stay.
                raise IntegrityError(
                    self._store.name,
                    f"{len(sweeper.swept.damaged):,} packs are damaged, so the sweep has stopped",
                    hint=f"{self._store.repair}, then the same command again: it goes on from there",
                )
            sweeper.delete(plan.dead)
            sweeper.catch_up(plan.packs - sweeper.written)
            sweeper.tidy()
        sweep.end(plan, sweeper.swept)
        return sweeper.swept

    def _tidy(self, lease: Lease) -> None:
        """Delete the records of sweeps that ended long ago."""
        folder = read_folder(self._store.backend)
        for name, phase in folder.sweeps.items():
            written = folder.modified.get(gc_key(name, "swept"))
            if phase is Phase.SWEPT and written is not None and lease.now - written > _RECORD_SECONDS:
                lease.keep()
                delete_sweep(self._store.backend, name)


def _swept(one: CondemnedList, unmarked: Collection[VersionId]) -> SweptList:
    gone = tuple(version for version in one.versions if version.version in unmarked)
    return SweptList(one.name, gone, len(one.versions) - len(gone))
