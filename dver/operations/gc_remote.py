"""Garbage collection of a remote, which many push to and nobody can lock: in two steps, with a time of grace between.

First what no repository names is put into a list, which lies on the remote for all to see, and nothing is deleted.
When the list's time has come, whoever collects garbage next takes it: looks again what is needed by then, and deletes
what is still garbage. `docs/design/invariants.md` says why nothing is lost by a push, fetch or other collection at the
same time.
"""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from dver.errors import BackendError, BackendProblem, ConfigError, DverError, IntegrityError, UsageError
from dver.objects.ids import VersionId
from dver.operations.gc_remote_plan import SweepPlan, find_garbage, plan_sweep
from dver.operations.reading import no_store_hint
from dver.operations.registering import is_registered, own_files, register, registrant
from dver.operations.roots import collect_roots
from dver.progress import NO_PROGRESS, Progress
from dver.repo import Repo
from dver.storage.clones import known_clones
from dver.storage.condemned import (
    RESCUE_SECONDS,
    Condemned,
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
    read_rescue,
    read_sweep,
    write_list,
    write_sweep,
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


@dataclass(slots=True)
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
    waiting: list[CondemnedList] = field(default_factory=list)
    swept: list[SweptList] = field(default_factory=list)
    rescued: list[CondemnedList] = field(default_factory=list)
    only_undeletes: bool = False
    withdrawn: list[CondemnedList] = field(default_factory=list)
    kept: int = 0
    repositories: list[Registration] = field(default_factory=list)
    own: frozenset[str] = frozenset()
    forgotten: list[Registration] = field(default_factory=list)
    space: Swept | None = None

    @property
    def in_the_way(self) -> list[Registration]:
        """The repositories of which it is not known what they name, for whose sake nothing goes."""
        return [one for one in self.repositories if one.problem]

    @property
    def freed(self) -> int:
        """How many bytes the remote gave back."""
        return 0 if self.space is None else max(0, self.space.deleted_bytes - self.space.written_bytes)


_PLAIN = RemoteGcOptions()


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
        self._options = options
        self._progress = progress
        self._result = RemoteGcResult(name, 0.0, only_undeletes=options.undelete)

    def look(self, now: float) -> RemoteGcResult:
        """Find out what `collect` would do, and write nothing."""
        result = self._result
        result.now, result.own = now, own_files(self._repo, self._store)
        folder = read_folder(self._store.backend)
        lists = self._lists(folder)
        if self._options.undelete:
            result.withdrawn = self._withdrawable(folder, lists)
            return result
        named = self._ask(forgetting=self._forgettable(registrations(self._store.backend)))
        due = [one for one in lists if one.due <= now]
        result.waiting = [one for one in lists if one not in due]
        if not result.in_the_way:
            result.swept = [_swept(one, set(one.condemned.versions - named)) for one in due]
            self._condemn(named, lists, lease=None)
        return result

    def collect(self, lease: Lease) -> RemoteGcResult:
        """Do it, with the lease in hand."""
        backend, result = self._store.backend, self._result
        result.now = lease.now
        folder = read_folder(backend)
        lists = self._lists(folder)
        if self._options.undelete:
            result.withdrawn = self._withdrawable(folder, lists)
            for withdrawn in result.withdrawn:
                lease.keep()
                backend.delete(gc_key(withdrawn.name, "list"))
            return result
        if not is_registered(self._repo, self._store, ()):
            register(self._repo, self._store)
        # What it says from here on counts besides: it is another process of it that does.
        result.own = own_files(self._repo, self._store)
        for one in self._forgettable(registrations(backend)):
            lease.keep()
            backend.delete(one.key)
            result.forgotten.append(one)
        named = self._ask()
        if result.in_the_way:
            result.waiting = lists
            return result
        left = self._sweep(lease, folder, lists)
        if not result.in_the_way:
            self._condemn(named, left, lease=lease)
        self._tidy(lease)
        return result

    def _lists(self, folder: GcFolder) -> list[CondemnedList]:
        return [read_list(self._store.backend, name) for name in folder.lists]

    def _withdrawable(self, folder: GcFolder, lists: Sequence[CondemnedList]) -> list[CondemnedList]:
        begun = {one for name in folder.running for one in read_sweep(self._store.backend, name)}
        free = [one for one in lists if one.name not in begun]
        if lists and not free:
            raise UsageError(
                f"{self._store.name}: a sweep has begun with all that was to be deleted, so it cannot be taken back",
                hint=f"dver gc --remote {self._result.remote} ends that sweep;"
                " dver push sends again what a repository here has",
            )
        return free

    def _forgettable(self, known: Sequence[Registration]) -> list[Registration]:
        found: list[Registration] = []
        for wanted in self._options.forget:
            fitting = [one for one in known if one.by.id.startswith(wanted)]
            others = [one for one in fitting if one.key not in self._result.own]
            ids = {one.by.id for one in others}
            if len(ids) != 1:
                why = "several" if ids else "this one" if fitting else "none that pushed here"
                hint = f"dver gc --remote {self._result.remote} --dry-run --json lists them with their ids"
                raise UsageError(f"of repositories, {wanted} is {why}", hint=hint)
            found += [one for one in others if one not in found]
        return found

    def _ask(self, *, forgetting: Collection[Registration] = ()) -> frozenset[VersionId]:
        """Return all versions that this repository and those that pushed here name."""
        known = [one for one in registrations(self._store.backend) if one not in forgetting]
        # What this one said earlier is out of date.
        own = self._result.own
        known = [replace(one, problem="") if one.key in own else one for one in known]
        self._result.repositories = known
        named = frozenset(collect_roots(self._repo).versions)
        return named.union(*(one.versions for one in known if one.key not in own))

    def _condemn(self, named: frozenset[VersionId], lists: Sequence[CondemnedList], *, lease: Lease | None) -> None:
        """Find what nothing names and no list has, and put it into one; without a lease only find it."""
        store, result = self._store, self._result
        store.index.refresh()
        if lease is not None:
            store.index.recover()
        with self._progress.task("finding what is needed", files=len(named)) as task:
            garbage = find_garbage(store, self._repo.cache, named, [one.condemned for one in lists], task)
        result.kept = garbage.kept
        if not garbage.versions and not garbage.packs:
            return
        by = registrant(self._repo)
        result.condemned = CondemnedList(
            new_name(result.now),
            f"{by.host}:{by.name}",
            result.now + self._options.grace_days * DAY,
            garbage.versions,
            garbage.packs,
        )
        if lease is not None:
            lease.keep()
            write_list(store.backend, result.condemned)

    def _sweep(self, lease: Lease, folder: GcFolder, lists: Sequence[CondemnedList]) -> list[CondemnedList]:
        """Sweep the lists whose time has come, and what sweeps that died have left; return the lists that stay."""
        backend, result = self._store.backend, self._result
        unfinished = {name: read_sweep(backend, name) for name in folder.running}
        due = {one.name: one for one in lists if one.due <= result.now}
        condemned = {name: one for lists in unfinished.values() for name, one in lists.items()}
        condemned.update((name, one.condemned) for name, one in due.items())
        result.waiting = [one for one in lists if one.name not in condemned]
        if not condemned:
            return result.waiting
        sweep = _Sweep(lease, self._store, new_name(result.now), condemned)
        sweep.begin()
        # Only now: whoever says anything from here on knows of the sweep.
        named = self._ask()
        if result.in_the_way:
            sweep.end()
            result.waiting = [*lists]
            return result.waiting
        rescued = sweep.heed_rescues()
        self._carry_out(sweep, named)
        for name, begun in unfinished.items():
            lease.keep()
            # What is left out now may be half gone, and the rescue may have come after that: nobody is to count on it.
            is_all = begun.keys() <= sweep.condemned.keys()
            note_phase(backend, name, Phase.SWEPT if is_all else Phase.UNMARKED)
        result.rescued = [one for one in lists if one.name in rescued]
        for one in lists:
            if one.name in sweep.condemned:
                backend.delete(gc_key(one.name, "list"))
                result.swept.append(_swept(one, sweep.unmarked))
        return [*result.waiting, *result.rescued]

    def _carry_out(self, sweep: "_Sweep", named: frozenset[VersionId]) -> None:
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
                    hint=f"dver fsck --repair --remote {self._store.remote}, then the same command again:"
                    " it goes on from there",
                )
            sweeper.delete(plan.dead)
            sweeper.catch_up(plan.packs - sweeper.written)
        self._result.space = sweeper.swept
        sweep.end(plan, sweeper.swept)

    def _tidy(self, lease: Lease) -> None:
        """Delete the records of sweeps that ended long ago."""
        folder = read_folder(self._store.backend)
        for name, phase in folder.sweeps.items():
            written = folder.modified.get(gc_key(name, "swept"))
            if phase is Phase.SWEPT and written is not None and lease.now - written > _RECORD_SECONDS:
                lease.keep()
                delete_sweep(self._store.backend, name)


class _Sweep:
    """One sweep, as others see it: what it may take, and how far it is."""

    def __init__(self, lease: Lease, store: Store, name: str, condemned: dict[str, Condemned]) -> None:
        self.lease = lease
        self.condemned = condemned
        self.unmarked: set[VersionId] = set()
        self._store = store
        self._name = name

    def begin(self) -> None:
        self.lease.keep()
        write_sweep(self._store.backend, self._name, self.condemned)

    def heed_rescues(self) -> set[str]:
        """Leave out the lists that pushes at work count on, and return their names."""
        backend = self._store.backend
        folder = read_folder(backend)
        now = folder.modified.get(gc_key(self._name, "sweep"))
        rescued: set[str] = set()
        for name in folder.rescues:
            written = folder.modified.get(gc_key(name, "rescue"))
            if now is not None and written is not None and now - written > RESCUE_SECONDS:
                backend.delete(gc_key(name, "rescue"))
                continue
            try:
                rescued |= read_rescue(backend, name)
            except BackendError as exc:
                # Its push has ended since. What merely cannot be read may count.
                if exc.problem is not BackendProblem.NOT_FOUND:
                    raise
        rescued &= self.condemned.keys()
        self.condemned = {name: one for name, one in self.condemned.items() if name not in rescued}
        return rescued

    def note(self, phase: Phase) -> None:
        self.lease.keep()
        note_phase(self._store.backend, self._name, phase)

    def end(self, plan: SweepPlan | None = None, swept: Swept | None = None) -> None:
        """Say that it is over, and what it did."""
        did: dict[str, object] = {}
        if plan is not None and swept is not None:
            did = {
                "deleted_bytes": swept.deleted_bytes,
                "packs": sorted(pack.hex() for pack in plan.packs),
                "versions": [version.hex() for version in plan.unmarked],
                "written_bytes": swept.written_bytes,
            }
        self.lease.keep()
        note_phase(self._store.backend, self._name, Phase.SWEPT, **did)


def _swept(one: CondemnedList, unmarked: Collection[VersionId]) -> SweptList:
    gone = tuple(version for version in one.versions if version.version in unmarked)
    return SweptList(one.name, gone, len(one.versions) - len(gone))
