"""What nothing names any more on a remote, and what a sweep may take of it.

To find garbage is one thing: versions that no repository names, and packs in which there is something that no other
version needs. To sweep it is another, and may be weeks later. What lists condemn is then looked at anew, and all that
is needed by then stays. Beside the versions, every node that stays in the index keeps what is below it, for whoever
pushes takes a node that is there for a whole tree. So each pack with a node that nothing needs is condemned, however
little that frees.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from dver.errors import IntegrityError
from dver.objects.ids import IndexId, PackId, VersionId
from dver.objects.indexfile import IndexedPack
from dver.operations.liveness import LiveWalk, live_objects, totals_of_garbage
from dver.progress import Task
from dver.storage.condemned import Condemned, CondemnedPack, CondemnedVersion
from dver.storage.index_files import list_index_files, listed_nodes
from dver.storage.objectset import ObjectSet
from dver.storage.packs import is_complete, read_pack_entries
from dver.storage.store import Store
from dver.storage.sweep import Census, PackUse, take_census


@dataclass(frozen=True, slots=True)
class Garbage:
    """What nothing names on a remote and no list condemns yet; `kept` is how many versions are named."""

    versions: tuple[CondemnedVersion, ...]
    packs: tuple[CondemnedPack, ...]
    kept: int


@dataclass(frozen=True, slots=True)
class SweepPlan:
    """What a sweep takes.

    Attributes:
        unmarked: the versions whose markers go.
        dead: packs that are deleted.
        due: packs of which what is needed is copied first.
        index_files: those that were there, of which each node keeps what is below it.
    """

    unmarked: tuple[VersionId, ...]
    dead: tuple[PackUse, ...]
    due: tuple[PackUse, ...]
    index_files: frozenset[IndexId]

    @property
    def packs(self) -> set[PackId]:
        """All packs that go."""
        return {pack.id for pack in (*self.dead, *self.due)}


def find_garbage(
    store: Store, cache: Store, named: Collection[VersionId], condemned: Collection[Condemned], task: Task
) -> Garbage:
    """Return what is on a remote, is not among what `condemned` says, and nothing in `named` needs.

    The index must be up to date. Manifests are read from the cache where it has them.

    Raises:
        DverError: what is needed cannot be known.
    """
    marked = store.versions()
    known = Condemned(
        frozenset(version for one in condemned for version in one.versions),
        frozenset(pack for one in condemned for pack in one.packs),
    )
    with live_objects(store, named, nearer=cache, task=task) as live:
        census = take_census(store, live)
        _check_all_there(store, census, frozenset())
        listed = listed_nodes(store.backend, list_index_files(store.backend), hint=_hint(store))
        useless = {pack for pack, nodes in listed if any(node not in live for node in nodes)}
    packs = [
        CondemnedPack(pack.id, pack.size, pack.garbage)
        for pack in (*census.dead, *census.due, *(pack for pack in census.kept if pack.id in useless))
        if pack.id not in known.packs
    ]
    versions = sorted(marked - set(named) - known.versions)
    return Garbage(
        tuple(CondemnedVersion(version, *totals_of_garbage(store, version)) for version in versions),
        tuple(sorted(packs, key=lambda one: one.pack)),
        len(marked & set(named)),
    )


def plan_sweep(
    store: Store, cache: Store, named: Collection[VersionId], condemned: Mapping[str, Condemned], task: Task
) -> tuple[SweepPlan, ObjectSet]:
    """Return what a sweep of some lists takes, and what is needed, a set that the caller closes.

    Raises:
        DverError: what is needed cannot be known.
    """
    marked = store.versions()
    leaving = {version for one in condemned.values() for version in one.versions} & marked
    unmarked = leaving - set(named)
    packs = {pack for one in condemned.values() for pack in one.packs}
    live = ObjectSet()
    try:
        files = list_index_files(store.backend)
        # So that this copy of the index knows of all packs that an object is in.
        store.index.refresh(files.values)
        listed = list(listed_nodes(store.backend, files, hint=_hint(store)))
        _find_needed(LiveWalk(store, live, nearer=cache), named, marked - unmarked, task)
        walk = LiveWalk(store, live, nearer=cache)
        for pack, nodes in listed:
            if pack not in packs:
                walk.add_trees(nodes)
        census = take_census(store, live)
        _check_all_there(store, census, packs)
        useless = {pack for pack, nodes in listed if pack in packs and any(node not in live for node in nodes)}
        dead = [pack for pack in census.dead if pack.id in packs and not _is_last(store, pack, live)]
        # Listed still and gone: a sweep was killed, or two packs had the same name at two times.
        dead += [PackUse(pack, 0, 0, 0) for pack in census.lost if pack in packs]
        due = [pack for pack in census.due if pack.id in packs]
        due += [pack for pack in census.kept if pack.id in packs and pack.id in useless]
    except BaseException:
        live.close()
        raise
    return SweepPlan(tuple(sorted(unmarked)), tuple(dead), tuple(due), frozenset(files)), live


def _find_needed(walk: LiveWalk, named: Collection[VersionId], marked: Collection[VersionId], task: Task) -> None:
    # Marked versions first, as in `live_objects`. Of what waits for its time, some will do.
    for version in sorted({*named, *marked}, key=lambda one: (one not in marked, one)):
        walk.add(version, whole=version in marked and version in named)
        task.advance(files=1)


def _check_all_there(store: Store, census: Census, packs: Collection[PackId]) -> None:
    """Raise an error where packs are missing: of what they had, the last copy may be what seems to be one too many."""
    lost = [pack for pack in census.lost if pack not in packs]
    if lost or census.unreadable:
        what = f"{len(lost):,} packs are missing" if lost else f"{len(census.unreadable):,} packs are damaged"
        raise IntegrityError(
            store.name,
            f"{what}, so nobody can tell what is needed of the others",
            hint=_hint(store),
        )


def _hint(store: Store) -> str:
    return f"{store.repair}, then the same command again"


def _is_last(store: Store, pack: PackUse, live: ObjectSet) -> bool:
    """Whether a pack that no index file lists has something that is needed and nowhere else."""
    if store.index.pack_size(pack.id) is not None:
        return False
    entries = tuple(read_pack_entries(store.backend, pack.id, pack.size))
    if not is_complete(IndexedPack(pack.id, pack.size, entries)):
        # Nobody knows what else it has.
        return True
    ids = [entry.id for entry in entries]
    needed = live.intersection(ids)
    return len(store.index.located(needed)) < len(needed)
