"""Taking garbage out of a store: what each pack holds of what is needed, and deleting the rest in a safe order.

For whoever holds the store's lock alone or, of a remote, the lease. The order is: version markers, then new packs with
what is needed of those that are to go, then index files that list them and not the old ones, then the old packs. Each
step is durable before the next. Whatever instant the process ends at, every version that is marked is whole, and the
next sweep takes what this one left. Work goes in rounds, so that a disk that is nearly full needs room for one round
only.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from dver.errors import BackendError, IntegrityError
from dver.objects.ids import IndexId, ObjectId, PackId, VersionId
from dver.objects.indexfile import IndexedPack
from dver.objects.pack import ENTRY_LENGTH, HEAD_LENGTH, TARGET_SIZE, TRAILER_LENGTH, Kind, PackEntry
from dver.progress import NO_TASK, Task
from dver.storage.backend import settle
from dver.storage.index_files import index_key
from dver.storage.local import LocalBackend
from dver.storage.markers import version_key
from dver.storage.objectset import ObjectSet
from dver.storage.open import inner_of
from dver.storage.packs import NOT_WHOLE, is_complete, list_packs, pack_key, read_pack_entries, whole_trees
from dver.storage.repack import Repacker
from dver.storage.store import Store

SMALL_PACK = 4 * 1024 * 1024
GARBAGE_SHARE = 0.25
ROUND_BYTES = 512 * 1024 * 1024
_BATCH_ENTRIES = 500_000
# Those of one kind are in one folder, which is flushed as a whole. That is done even if there was nothing to delete: a
# sweep that was killed may have deleted what would come back.
_ANY_MARKER = version_key(VersionId(bytes(32)))
_ANY_INDEX = index_key(IndexId(bytes(32)))


@dataclass(frozen=True, slots=True)
class PackUse:
    """A pack and how much of it is needed: `needed` of its `size` bytes, in so many objects."""

    id: PackId
    size: int
    needed: int
    objects: int

    @property
    def garbage(self) -> int:
        """How many bytes would be saved if only what is needed was there."""
        if not self.objects:
            return self.size
        kept = HEAD_LENGTH + self.needed + self.objects * ENTRY_LENGTH + TRAILER_LENGTH
        return max(0, self.size - kept)

    @property
    def is_due(self) -> bool:
        """Whether enough of it is garbage to copy the rest out of it."""
        return self.garbage > 0 and (self.size < SMALL_PACK or self.garbage >= GARBAGE_SHARE * self.size)


@dataclass(frozen=True, slots=True)
class Census:
    """What is in the packs of a store.

    Attributes:
        dead: packs of which nothing is needed.
        due: packs of which enough is garbage.
        kept: the other packs.
        unreadable: packs that are not what their names stand for, which nobody but a repair may touch.
        lost: packs that are listed and not there.
    """

    dead: tuple[PackUse, ...]
    due: tuple[PackUse, ...]
    kept: tuple[PackUse, ...]
    unreadable: tuple[PackId, ...] = ()
    lost: tuple[PackId, ...] = ()

    @property
    def freed(self) -> int:
        """How many bytes a sweep gives back."""
        return sum(pack.garbage for pack in (*self.dead, *self.due))

    @property
    def size(self) -> int:
        """How many bytes all packs have together."""
        return sum(pack.size for pack in (*self.dead, *self.due, *self.kept))


@dataclass(slots=True)
class Swept:
    """What a sweep did: how many packs went, how many came, and those that are damaged and were left alone."""

    deleted_bytes: int = 0
    written_bytes: int = 0
    deleted_packs: int = 0
    written_packs: int = 0
    damaged: list[PackId] = field(default_factory=list)


def take_census(store: Store, live: ObjectSet) -> Census:
    """Return how much of each pack is needed; the index must be up to date and all packs recovered."""
    index = store.index
    listed = list_packs(store.backend)
    known = index.packs()
    needed: dict[PackId, int] = {}
    objects: dict[PackId, int] = {}
    loose = ((at.id, at.pack, at.end - at.offset) for at in index.loose_objects() if at.id in live)
    for _, pack, size in (*loose, *_both(index.objects(), live)):
        needed[pack] = needed.get(pack, 0) + size
        objects[pack] = objects.get(pack, 0) + 1
    unreadable = {pack for pack, size in listed.items() if pack not in known and not _is_sound(store, pack, size)}
    unreadable |= index.damaged_packs & listed.keys()
    groups: dict[str, list[PackUse]] = {"dead": [], "due": [], "kept": []}
    for pack, size in listed.items():
        use = PackUse(pack, size, needed.get(pack, 0), objects.get(pack, 0))
        if pack not in unreadable:
            groups["dead" if not use.objects else "due" if use.is_due else "kept"].append(use)
    lost = sorted(pack for pack in known.keys() - listed.keys())
    return Census(
        tuple(groups["dead"]), tuple(groups["due"]), tuple(groups["kept"]), tuple(sorted(unreadable)), tuple(lost)
    )


def _both(rows: Iterator[tuple[ObjectId, PackId, int]], live: ObjectSet) -> Iterator[tuple[ObjectId, PackId, int]]:
    """Yield the rows whose objects are live; both come in the order of ids."""
    wanted = iter(live)
    one = next(wanted, None)
    for row in rows:
        while one is not None and one < row[0]:
            one = next(wanted, None)
        if one is None:
            return
        if one == row[0]:
            yield row


def _sound(entries: Sequence[PackEntry], whole: Collection[ObjectId]) -> Iterator[PackEntry]:
    return (entry for entry in entries if entry.kind is Kind.DATA or entry.id in whole)


def _is_sound(store: Store, pack: PackId, size: int) -> bool:
    return is_complete(IndexedPack(pack, size, tuple(read_pack_entries(store.backend, pack, size))))


class Sweeper:
    """Deletes from one store, whose lock or lease the caller holds."""

    def __init__(
        self,
        store: Store,
        *,
        task: Task = NO_TASK,
        pack_size: int = TARGET_SIZE,
        keep: Callable[[], None] = lambda: None,
        files: Collection[IndexId] | None = None,
    ) -> None:
        """Begin.

        Args:
            task: told of the bytes of packs that are done.
            pack_size: the size in bytes at which new packs are closed.
            keep: called before anything is deleted; raises where the right to do so is lost.
            files: the index files that are known; those that come up later are for `catch_up`. By default all.
        """
        self.swept = Swept()
        self._keep = keep
        self._known_files = files
        self._store = store
        self._task = task
        self._pack_size = pack_size
        self._files: dict[IndexId, frozenset[PackId]] | None = None
        self._new: set[PackId] = set()

    @property
    def written(self) -> frozenset[PackId]:
        """The packs that were written, which may have the names of packs that were there before."""
        return frozenset(self._new)

    def unmark(self, versions: Collection[VersionId]) -> None:
        """Delete the markers of versions."""
        for version in sorted(versions):
            self._keep()
            self._store.backend.delete(version_key(version))
        settle(self._store.backend, _ANY_MARKER)

    def delete(self, packs: Sequence[PackUse]) -> None:
        """Delete packs of which nothing is needed."""
        self._replace({pack.id: pack.size for pack in packs}, [])

    def repack(self, packs: Sequence[PackUse], live: ObjectSet | None, *, round_bytes: int = ROUND_BYTES) -> None:
        """Copy what is needed of packs into new ones, and delete them; without `live`, all that they hold is needed.

        A pack of which a record is damaged is left as it is.
        """
        repacker = Repacker(self._store, pack_size=self._pack_size)
        copied: dict[PackId, int] = {}
        for pack in packs:
            if not self._copy(repacker, pack, live):
                self.swept.damaged.append(pack.id)
                continue
            copied[pack.id] = pack.size
            if repacker.copied_bytes >= round_bytes:
                self._replace(copied, repacker.finish())
                repacker.copied_bytes = 0
                copied = {}
        self._replace(copied, repacker.finish())

    def _copy(self, repacker: Repacker, pack: PackUse, live: ObjectSet | None) -> bool:
        """Copy what is needed of a pack, and return whether that could be read."""
        # From afar it may have been damaged on its way, so it is read once more.
        for _ in range(1 if self._store.backend.is_local else 2):
            try:
                repacker.copy(pack.id, self._wanted(pack, live))
            except IntegrityError:
                continue
            except BackendError as exc:
                if exc.problem not in NOT_WHOLE:
                    raise
                return False
            return True
        return False

    def merge_index_files(self, files: Collection[IndexId]) -> None:
        """Put as few index files as possible in the place of some."""
        self._replace_files(sorted(files), {}, [])

    def _wanted(self, pack: PackUse, live: ObjectSet | None) -> list[PackEntry]:
        """Return the records to copy: what is needed, unless it is read from another pack.

        Raises:
            IntegrityError: not all that the pack holds can be told, and what is left out would be lost with it.
        """
        entries = read_pack_entries(self._store.backend, pack.id, pack.size)
        if not is_complete(IndexedPack(pack.id, pack.size, tuple(entries))):
            raise IntegrityError(
                f"{self._store.backend.location}/{pack_key(pack.id)}", "its list of records is damaged"
            )
        located = self._store.index.located([entry.id for entry in entries])
        return [
            entry
            for entry in entries
            if entry.id in located and located[entry.id].pack == pack.id and (live is None or entry.id in live)
        ]

    def _replace(self, gone: Mapping[PackId, int], new: Sequence[IndexedPack]) -> None:
        # What is copied may make up a pack that was there before.
        self._new.update(pack.id for pack in new)
        left = {pack: size for pack, size in gone.items() if pack not in self._new}
        self._replace_files([index for index, packs in self._listing().items() if packs & gone.keys()], left, new)
        for pack, size in left.items():
            self._keep()
            self._store.backend.delete(pack_key(pack))
            self.swept.deleted_packs += 1
            self.swept.deleted_bytes += size
            self._task.advance(bytes=size)
        self.swept.written_packs += len(new)
        self.swept.written_bytes += sum(pack.size for pack in new)

    def _replace_files(self, files: Sequence[IndexId], gone: Mapping[PackId, int], new: Sequence[IndexedPack]) -> None:
        """List new packs, and what index files list but for the packs that go, in new index files."""
        packs = {pack.id: pack for pack in new}
        # New ones too: a sweep that was killed may have left one, known and with all that it holds read from the old.
        forgotten: Collection[PackId] = {*gone, *packs}
        batch: list[IndexId] = []
        entries = 0
        for index in files:
            for pack in self._read_file(index):
                known = packs.get(pack.id)
                if pack.id not in gone and (known is None or len(known.entries) < len(pack.entries)):
                    packs[pack.id] = pack
                    entries += len(pack.entries)
            batch.append(index)
            if entries >= _BATCH_ENTRIES:
                self._put_in_place(batch, forgotten, list(packs.values()))
                # Only the first time: what was copied is known to be in the new packs from then on.
                forgotten, packs, batch, entries = (), {}, [], 0
        if batch or packs or forgotten:
            self._put_in_place(batch, forgotten, list(packs.values()))
        if files or new or gone:
            settle(self._store.backend, _ANY_INDEX)

    def catch_up(self, gone: Collection[PackId]) -> None:
        """See to it that index files which others wrote meanwhile list no pack that is gone, and only whole trees."""
        new = sorted(self._store.index.file_sizes().keys() - self._listing().keys())
        if not new:
            return
        left = [one for index in new for one in self._without(index, gone)]
        # Of an object in two packs the local copy has one place, and forgot it if that pack has gone.
        self._store.index.start_over()
        self._store.index.refresh()
        for index in left:
            packs = self._read_file(index)
            whole = whole_trees(self._store.backend, packs, lambda ids: self._store.index.known(ids, frozenset(gone)))
            sound = [replace(pack, entries=tuple(_sound(pack.entries, whole))) for pack in packs]
            if sound != packs:
                # All that the local copy has of it is taken out and put in anew.
                self._put_in_place([index], {pack.id for pack in packs}, sound)

    def tidy(self) -> None:
        """Remove the folders of packs that are empty, where there are folders."""
        place = inner_of(self._store.backend)
        if isinstance(place, LocalBackend):
            place.remove_empty_folders("packs", inside=True)

    def _without(self, index: IndexId, gone: Collection[PackId]) -> Collection[IndexId]:
        """Take packs out of an index file, and return what stands in its place."""
        packs = self._read_file(index)
        here = [pack for pack in packs if pack.id not in gone]
        return [index] if len(here) == len(packs) else self._put_in_place([index], (), here)

    def _put_in_place(
        self, files: Sequence[IndexId], gone: Collection[PackId], packs: Sequence[IndexedPack]
    ) -> Collection[IndexId]:
        self._keep()
        written = self._store.index.replace(files, gone, packs)
        listing = self._listing()
        for index in files:
            listing.pop(index, None)
        listing.update(written)
        return written.keys()

    def _listing(self) -> dict[IndexId, frozenset[PackId]]:
        """Return which packs each index file lists, of those that are known and those that were written here."""
        if self._files is None:
            known = self._store.index.file_sizes() if self._known_files is None else self._known_files
            self._files = {index: frozenset(pack.id for pack in self._read_file(index)) for index in known}
        return self._files

    def _read_file(self, index: IndexId) -> list[IndexedPack]:
        """Return what an index file lists. Where that cannot be known nothing more is deleted."""
        return self._store.index.read_file(index, hint=self._hint)

    @property
    def _hint(self) -> str:
        return f"{self._store.repair} makes it anew; then run the same command again"
