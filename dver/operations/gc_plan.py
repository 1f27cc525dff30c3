"""What a garbage collection of the cache would do, worked out before anything is touched.

A version goes if nothing names it. One that history names goes only if the user said so, by leaving old history out or
by asking for what a remote has, and then only if a remote surely has it, unless told otherwise. What the work at hand
needs stays in any case: the versions of HEAD, of the index, of working trees, and those that working data goes back to.

A cache may serve several repositories. All that are known count; if one of them cannot be asked, nothing goes. So do
those that push to it as to a remote: what their registrations there name stays, whatever the user said.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from pathlib import Path

from dver.errors import DataLossError, DverError, UsageError, first_of
from dver.objects.ids import NodeId, VersionId
from dver.operations.as_remote import own_words, to_forget, waiting_rescues
from dver.operations.gc_lender import Lender
from dver.operations.liveness import live_objects, totals_of_garbage
from dver.operations.neighbours import Absent, ask_neighbours, shown_path
from dver.operations.roots import CURRENT, RootKind, RootName, Roots, collect_roots
from dver.progress import Progress, Task
from dver.repo import Repo
from dver.storage.clones import KnownClone, known_clones
from dver.storage.objectset import ObjectSet
from dver.storage.registrations import Registration, registrations
from dver.storage.store import Store
from dver.storage.sweep import Census, take_census

_FEW = 5
_SAMPLE = 2
_MAY_PUSH = "a push may be at work that counts on what is listed as garbage here; that holds for a day"
# What such a thing names stays, whatever a remote has.
_FIRM = CURRENT | {RootKind.REGISTRATION}


@dataclass(frozen=True, slots=True)
class GcOptions:
    """What a user asks of a garbage collection.

    Attributes:
        keep_days: keep of history only the commits of so many days.
        keep_last: keep of history only so many of the latest versions of each dataset.
        pushed: let go of what a remote has.
        remote: which remote that is; None for the default one.
        force: let go of what no remote has, where old history is left out.
        forget: the paths of repositories that do not count any more; of those that push here, the keys or ids.
    """

    keep_days: float | None = None
    keep_last: int | None = None
    pushed: bool = False
    remote: str | None = None
    force: bool = False
    forget: tuple[str, ...] = ()

    @property
    def cuts(self) -> bool:
        """Whether only a part of history is to be kept."""
        return self.keep_days is not None or self.keep_last is not None


class Why(StrEnum):
    """Why a version goes."""

    UNNAMED = "unnamed"
    OLD = "old"
    PUSHED = "pushed"


@dataclass(frozen=True, slots=True)
class Leaving:
    """A version that goes.

    Attributes:
        datasets: the datasets that it is known as a version of; none where nothing says so.
        names: what names it, of history that is left out or on a remote; none for one that nothing names.
        files: how many files it has; None where that is not known, as for `size`.
        size: how many bytes it has when it is checked out.
        sample: the first paths in it, by which it may be known where its datasets are not.
    """

    version: VersionId
    why: Why
    datasets: tuple[str, ...] = ()
    names: tuple[RootName, ...] = ()
    files: int | None = None
    size: int | None = None
    sample: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pusher:
    """A repository that pushes to the cache; `only` is how many versions stay for its sake alone."""

    said: Registration
    only: int


@dataclass(frozen=True, slots=True)
class GcPlan:
    """What a garbage collection would do.

    Attributes:
        leaving: the versions that go.
        kept: how many versions stay.
        unproven: how many of those that were to go stay, for no remote surely has them.
        absent: repositories that cannot be asked, for whose sake nothing goes.
        forgotten: repositories that are to be forgotten.
        pushers: repositories that push to the cache as to a remote.
        unregistered: what those of them said that are to be forgotten.
    """

    leaving: tuple[Leaving, ...]
    kept: int
    census: Census
    unproven: int = 0
    absent: tuple[Absent, ...] = ()
    forgotten: tuple[KnownClone, ...] = ()
    pushers: tuple[Pusher, ...] = ()
    unregistered: tuple[Registration, ...] = ()

    @property
    def waiting(self) -> int:
        """How many bytes of garbage stay, in packs that hold too little of it to be packed anew."""
        return sum(pack.garbage for pack in self.census.kept)

    @property
    def frees(self) -> int:
        """How many bytes the cache gives back."""
        return self.census.freed


@dataclass(slots=True)
class _Named:
    """What all repositories name together, where those are that are not this one, and which push here."""

    kept: dict[VersionId, tuple[RootName, ...]] = field(default_factory=dict)
    old: dict[VersionId, tuple[RootName, ...]] = field(default_factory=dict)
    absent: list[Absent] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    own: set[str] = field(default_factory=set)
    pushers: list[Registration] = field(default_factory=list)

    def take(self, roots: Roots) -> None:
        for known, more in ((self.kept, roots.versions), (self.old, roots.old)):
            for version, names in more.items():
                known[version] = tuple(dict.fromkeys((*known.get(version, ()), *names)))

    def take_words(self, said: Sequence[Registration]) -> None:
        """Take what those said that push here, but for those that were asked."""
        self.pushers = [one for one in said if one.key not in self.own]
        for one in self.pushers:
            name = RootName("", RootKind.REGISTRATION, f"of {one.by.name or one.by.id} on {one.by.host or 'no host'}")
            self.take(Roots(dict.fromkeys(one.versions, (name,))))
            if one.problem:
                self.absent.append(Absent(one.key, one.by.host, one.problem, one.by.name, is_remote=True))

    def counted(self, marked: set[VersionId]) -> tuple[Pusher, ...]:
        """Return those that push here, each with the number of `marked` versions that nobody names but such."""
        firm = {
            version
            for version, names in (*self.kept.items(), *self.old.items())
            if any(name.kind is not RootKind.REGISTRATION for name in names)
        }
        return tuple(Pusher(one, len((one.versions & marked) - firm)) for one in self.pushers)

    def split(self) -> tuple[dict[VersionId, tuple[RootName, ...]], dict[VersionId, tuple[RootName, ...]]]:
        return self.kept, {version: names for version, names in self.old.items() if version not in self.kept}


def make_plan(repo: Repo, options: GcOptions, progress: Progress, *, dry_run: bool = False) -> tuple[GcPlan, ObjectSet]:
    """Return what is to be done, and the objects that are needed, a set that the caller closes.

    The caller sees to it that the cache does not lose anything meanwhile; for a plan to be carried out, that nothing
    comes to it either. A remote that data is let go of for is told what is needed of it, but not in a dry run.

    Raises:
        DataLossError: a version of history would go that no remote surely has.
        DverError: what is needed cannot be known.
    """
    if options.pushed and options.remote is None and not repo.has_remote:
        raise UsageError(
            "there is no remote, so nothing is on one",
            hint="dver remote add NAME URL and dver push --all, then dver gc --pushed; or dver gc without --pushed",
        )
    store = repo.cache
    store.index.refresh()
    store.index.recover()
    clones, said = known_clones(store.backend), registrations(store.backend)
    unregistered, paths = to_forget(said, options.forget)
    forgotten = _to_forget(clones, paths)
    with progress.task("finding what is needed", files=0) as task:
        named = _ask_all(repo, [clone for clone in clones if clone not in forgotten], options)
        named.take_words([one for one in said if one not in unregistered])
        named.absent += [Absent(key, "", _MAY_PUSH, is_remote=True) for key in waiting_rescues(store)]
        if named.absent:
            live = _everything(store, task)
            return GcPlan((), len(store.versions()), take_census(store, live), absent=tuple(named.absent)), live
        lender = Lender(repo, named.others, options.remote, progress, dry_run=dry_run)
        leaving, unproven = _leaving(repo, named, options, lender, task)
        kept, old = named.split()
        gone = {one.version for one in leaving}
        needed = (kept.keys() | old.keys()) - gone
        live = live_objects(store, needed, task=task)
    try:
        census = take_census(store, live)
    except BaseException:
        live.close()
        raise
    marked = store.versions()
    return GcPlan(
        tuple(leaving),
        len(marked - gone),
        census,
        unproven,
        forgotten=tuple(forgotten),
        pushers=named.counted(marked),
        unregistered=tuple(unregistered),
    ), live


def _to_forget(clones: Sequence[KnownClone], paths: Sequence[str]) -> list[KnownClone]:
    """Return the repositories that are no more at these paths; UsageError for a path that none was at."""
    found = []
    for path in paths:
        here = [one for one in clones if _is_at(one, path)]
        gone = [one for one in here if not one.is_there]
        if here and not gone:
            raise UsageError(
                f"{path} is there, and uses this cache, so what it names is kept",
                hint="delete the folder first, if its data may go",
            )
        if not here:
            gone_ones = dict.fromkeys(shown_path(one) for one in clones if not one.is_there)
            known = ", ".join(gone_ones) or "none is gone"
            raise UsageError(f"no repository that uses this cache was at {path}", hint=f"those that are gone: {known}")
        found += gone
    return found


def _is_at(clone: KnownClone, path: str) -> bool:
    """Whether a path, made absolute, is what a repository is called; of a key, only the end was given."""
    if clone.place is None:
        return f"/{path}".rstrip("/").endswith(f"/{clone.key}")
    return str(clone.place.root) == path.rstrip("/")


def _ask_all(repo: Repo, clones: Sequence[KnownClone], options: GcOptions) -> _Named:
    named = _Named()

    def ask(one: Repo) -> None:
        named.take(collect_roots(one, keep_days=options.keep_days, keep_last=options.keep_last))
        named.own |= own_words(one, repo.cache)

    def ask_other(other: Repo) -> None:
        named.others.append(other.root)
        ask(other)

    ask(repo)
    named.absent = ask_neighbours(repo, clones, ask_other)
    return named


def _everything(store: Store, task: Task) -> ObjectSet:
    """Return all that is in a store: where nobody knows what is needed, only what is there twice may go."""
    found = ObjectSet()
    found.update(at.id for at in store.index.loose_objects())
    for identity, _, _ in store.index.objects():
        found.update([identity])
    task.advance(files=1)
    return found


def _leaving(repo: Repo, named: _Named, options: GcOptions, lender: Lender, task: Task) -> tuple[list[Leaving], int]:
    """Return the versions that go, and how many stay because no remote surely has them."""
    store = repo.cache
    marked = store.versions()
    kept, old = named.split()
    leaving = [_unnamed(store, version) for version in sorted(marked - kept.keys() - old.keys())]
    candidates = dict(old)
    if options.pushed and not options.cuts:
        candidates |= {
            version: names for version, names in kept.items() if not any(name.kind in _FIRM for name in names)
        }
    here = {version: names for version, names in candidates.items() if _is_here(store, version)}
    is_forced = options.force and not options.pushed
    proven = set(here) if is_forced or not here else lender.proven(here, task)
    unproven = {version: names for version, names in here.items() if version not in proven}
    if unproven and not options.pushed:
        raise _would_be_lost(repo, unproven)
    why = Why.PUSHED if options.pushed else Why.OLD
    leaving += [_named(store, version, names, why) for version, names in here.items() if version in proven]
    return leaving, len(unproven)


def _is_here(store: Store, version: VersionId) -> bool:
    return bool(store.index.located([NodeId(version)]))


def _would_be_lost(repo: Repo, unproven: Mapping[VersionId, tuple[RootName, ...]]) -> DataLossError:
    paths = list(dict.fromkeys(name.dataset for names in unproven.values() for name in names if name.dataset))
    where = "the remote" if repo.has_remote else "a remote, for there is none"
    count = "1 version" if len(unproven) == 1 else f"{len(unproven):,} versions"
    return DataLossError(
        f"{count} of old history ({first_of(paths, _FEW)}) would be lost: not on {where}",
        paths,
        hint="dver push --all, then again; or dver gc --force with the same options, which gives them up",
    )


def _unnamed(store: Store, version: VersionId) -> Leaving:
    files, size = totals_of_garbage(store, version)
    dataset = store.marked_dataset(version)
    datasets = (dataset,) if dataset else ()
    return Leaving(version, Why.UNNAMED, datasets, (), files, size, _sample(store, version) if not datasets else ())


def _named(store: Store, version: VersionId, names: tuple[RootName, ...], why: Why) -> Leaving:
    files, size = totals_of_garbage(store, version)
    datasets = tuple(dict.fromkeys(name.dataset for name in names if name.dataset))
    return Leaving(version, why, datasets, names, files, size)


def _sample(store: Store, version: VersionId) -> tuple[str, ...]:
    """Return the first paths in a version, by which people may know it."""
    try:
        first = islice(store.manifest(version).entries(), _SAMPLE)
        return tuple(entry.path.decode("utf-8", "surrogateescape") for entry in first if entry.path)
    except DverError:
        return ()
