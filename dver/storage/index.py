"""Where each object of a store lies, kept in SQLite on local disk.

The index files in a store are the truth, and the packs behind them: this copy only makes lookups fast. It is
brought up to date by listing `index/`, filled from pack footers where index files are missing or damaged, and may
be deleted at any time. Several processes may use one copy at once (WAL, short transactions); a damaged copy is made
anew.

Invariants: a row is in the copy only if a pack that was whole when it was read lists the object. A node that is
`present` has its whole tree in the store, as far as the store may hold no parts of versions.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from pathlib import Path

from dver.database import batches
from dver.errors import DAMAGE_HINT, BackendError, BackendProblem, LockedError
from dver.objects.ids import IndexId, ObjectId, PackId, VersionId
from dver.objects.indexfile import IndexedPack, encode_index
from dver.objects.pack import Kind, PackEntry
from dver.storage.backend import Backend, BlobInfo, settle
from dver.storage.cachelock import writing_to
from dver.storage.condemned import packs_going, read_folder
from dver.storage.index_copy import IndexCopy, Location
from dver.storage.index_files import (
    MAX_INDEX_FILE,
    index_files_among,
    index_groups,
    index_key,
    list_index_files,
    listed_in,
    read_index_file,
)
from dver.storage.index_filling import fill
from dver.storage.markers import read_if_there, version_key
from dver.storage.packs import is_complete, list_packs, pack_key, read_packs, whole_trees

LOOKUP_BATCH = 4096
"""How many objects to ask a store for at once, where there may be any number."""

_RECOVER_BATCH = 16
_FEW = 16
# Whoever may only read a store uses what its packs hold without telling others.
_NOT_WRITABLE = frozenset({BackendProblem.DENIED, BackendProblem.READ_ONLY, BackendProblem.NO_SPACE})


class ChunkIndex:
    """The local copy of one store's index. Safe to use from several threads and processes.

    Attributes:
        path: where the copy is, or None.
        damaged_packs: packs that were looked at and do not hold what their names stand for.
        relisted: how many packs were found that no index file listed, and that one lists now.
    """

    def __init__(self, path: Path | None, backend: Backend) -> None:
        """Open or make the copy at `path`; None keeps it in memory only."""
        self.path = path
        self._backend = backend
        self._copy = IndexCopy(path)
        self._fresh = False
        self._recovered = False
        self._found_some = False
        self._only_looks = False
        self._loose: dict[ObjectId, Location] = {}
        self._damaged: set[str] = set()
        self.damaged_packs: set[PackId] = set()
        self.relisted = 0
        # What others are about to delete, and the index files that were written here, with the packs in them.
        self._going: set[PackId] = set()
        self._written: dict[IndexId, frozenset[PackId]] = {}

    def close(self) -> None:
        """Close the database."""
        self._copy.close()

    def find(self, ids: Sequence[ObjectId]) -> dict[ObjectId, Location]:
        """Return where objects lie; those that are nowhere are left out.

        Only when something is missing is the copy brought up to date, and are the packs without an index file looked
        at that may have it. So a place may be out of date by the time it is read: ask again after `refresh`.
        """
        wanted = set(ids)
        found = self._lookup(wanted)
        if len(found) < len(wanted):
            self.refresh()
            found.update(self._lookup(wanted - found.keys()))
        self._found_some = self._found_some or bool(found)
        may_recover = not (self._recovered or self._only_looks)
        if len(found) < len(wanted) and may_recover and self._may_be_unlisted(wanted - found.keys()):
            self.recover()
            found.update(self._lookup(wanted - found.keys()))
        return found

    def _may_be_unlisted(self, ids: Set[ObjectId]) -> bool:
        """Whether to look for objects in the packs that no index file lists.

        From afar that takes a request for each thousand packs, and more for each of those. So a version of which
        nothing was found yet, as it is asked for by its root first, must have its marker there.
        """
        if self._backend.is_local or self._found_some or len(ids) > _FEW:
            return True
        return any(read_if_there(self._backend, version_key(VersionId(identity))) is not None for identity in ids)

    def pack_size(self, pack: PackId) -> int | None:
        """Return how long a pack is, as the index says; None for one that it does not know."""
        return self._copy.pack_size(pack)

    def present(self, ids: Iterable[ObjectId]) -> set[ObjectId]:
        """Return those of `ids` that the store is known to hold; what others wrote meanwhile may be missed."""
        self.ensure_fresh()
        return self._present(ids)

    def _present(self, ids: Iterable[ObjectId]) -> set[ObjectId]:
        """Return those of `ids` that the copy has in a pack that stays."""
        return self.known(ids, self._going)

    @property
    def is_losing_packs(self) -> bool:
        """Whether another process is about to delete packs, as far as is known here."""
        return bool(self._going)

    def is_losing(self, pack: PackId) -> bool:
        """Whether another process is about to delete a pack, as far as is known here."""
        return pack in self._going

    def give_up(self, packs: Collection[PackId]) -> None:
        """Count on nothing in these packs from now on, as another process is about to delete them.

        What lies in them can still be read. Index files that were written here no longer list them.
        """
        self._going |= set(packs)
        for index in [index for index, listed in self._written.items() if listed & self._going]:
            left = [pack for pack in self.read_file(index) if pack.id not in self._going]
            self.replace([index], self._written[index] & self._going, left)

    def known(self, ids: Iterable[ObjectId], gone: Set[PackId] = frozenset()) -> set[ObjectId]:
        """Return those of `ids` that the store held when this copy was last brought up to date; it is not asked.

        What this copy has in packs that are `gone` does not count.
        """
        found = self._copy.present(ids)
        if not (gone and found):
            return found
        return {identity for identity, at in self._copy.located(found).items() if at.pack not in gone}

    def located(self, ids: Iterable[ObjectId]) -> dict[ObjectId, Location]:
        """Return where objects lie as far as this copy knows, which is not brought up to date for it."""
        return self._lookup(set(ids))

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Return a context in which nothing is written to the store: what no index file lists is not looked for."""
        before, damaged, self._only_looks = self._only_looks, set(self._damaged), True
        try:
            yield
        finally:
            # Whoever may write finds anew what is amiss.
            self._only_looks, self._damaged, self._fresh = before, damaged, False

    def expire(self) -> None:
        """Let the next question that must not miss anything bring the copy up to date once more."""
        self._fresh = False

    def start_over(self) -> None:
        """Forget all that this copy says, so that the next question makes it anew from what is in the store."""
        with self._copy.lock:
            self._copy.clear()
            self._loose.clear()
            self._damaged.clear()
            self.damaged_packs.clear()
            self._fresh = self._recovered = False

    def ensure_fresh(self) -> None:
        """Bring the copy up to date with the store unless this process has done so before."""
        with self._copy.lock:
            if not self._fresh:
                self.refresh()

    def refresh(self, look: Callable[[], Iterable[BlobInfo]] | None = None) -> None:
        """Bring the copy up to date by listing the store's index files, and reading those that are new.

        `look` lists them, among others, for those who want to know more of the store at the same time.
        """
        with self._copy.lock:
            # Before the listing: what another process puts into this copy meanwhile must not look as if it were gone.
            before = known = self._copy.files()
            found = list_index_files(self._backend) if look is None else index_files_among(look())
            listed = {index: info for index, info in found.items() if info.size <= MAX_INDEX_FILE}
            # One that has another length now is damaged, or was when it was read: as good as gone.
            vanished = any(index not in listed or listed[index].size != size for index, size in known.items())
            if vanished:
                # Packs may be gone with them; starting over is simple and rare.
                self._copy.clear()
            known = self._copy.files()
            damaged = len(self._damaged)
            new = {i: info for i, info in listed.items() if i not in known and info.key not in self._damaged}
            self._damaged |= fill(self._copy, self._backend, new, None if self.path is None else self.path.parent)
            self._fresh = True
            is_short = vanished or len(self._damaged) > damaged or not (listed or self._recovered)
            if self._only_looks:
                self._leave_to_others(before.keys() - listed.keys())
            elif is_short and self.recover():
                self._delete_damaged()

    def _leave_to_others(self, vanished: Collection[IndexId]) -> None:
        """Let the next who may write find as well that index files vanished, if there are packs that none lists now."""
        # Most often somebody merged them.
        if vanished and list_packs(self._backend).keys() - self._copy.packs(complete=True).keys():
            for index in vanished:
                self._copy.put(index, [])

    def recover(self) -> bool:
        """Index what no index file lists, from the footers of packs or, failing these, their records.

        Another writer may be at work, or died at it: of its nodes only those count whose whole tree is there. While
        another process deletes packs from a cache nothing is done, for those that it is about to delete are in no index
        file either; of other stores, packs that a sweep is about to delete are left out.
        Return whether the store has it all indexed now; where it cannot be written, only this copy has.
        """
        try:
            with writing_to(self._backend, patience=0.0, begins=False):
                return self._recover()
        except LockedError:
            return False

    def _recover(self) -> bool:
        with self._copy.lock:
            self._recovered = True
            known = self._copy.packs(complete=True)
            unlisted = {pack: size for pack, size in list_packs(self._backend).items() if pack not in known}
            if not unlisted:
                return True
            before = read_folder(self._backend)
            self._going |= packs_going(self._backend, before)
            written = set(self._written)
            published = self._take_up_all({pack: n for pack, n in unlisted.items() if pack not in self._going})
            mine = self._written.keys() - written
            if mine and read_folder(self._backend).sweeps.keys() - before.sweeps.keys():
                # What was taken up may be deleted by now, or what it needs. Whoever asks next takes up the rest.
                for index in mine:
                    self.replace([index], self._written[index], [])
                self._recovered = published = False
            return published

    def _take_up_all(self, unlisted: Mapping[PackId, int]) -> bool:
        published = True
        with_nodes: list[IndexedPack] = []
        for batch in batches(unlisted.items(), _RECOVER_BATCH):
            of_chunks: list[IndexedPack] = []
            for found in read_packs(self._backend, batch):
                if not is_complete(found):
                    self.damaged_packs.add(found.id)
                has_nodes = any(entry.kind is Kind.NODE for entry in found.entries)
                (with_nodes if has_nodes else of_chunks).append(found)
            published &= self._take_up(of_chunks)
        return self._take_up_nodes(with_nodes) and published

    def _take_up_nodes(self, packs: Sequence[IndexedPack]) -> bool:
        """Index packs with nodes in them, leaving out the nodes whose trees are not wholly there."""
        whole = whole_trees(self._backend, packs, self._present)
        sound = []
        for pack in packs:
            entries = tuple(entry for entry in pack.entries if entry.kind is Kind.DATA or entry.id in whole)
            sound.append(IndexedPack(pack.id, pack.size, entries))
            # Readers may still want them: a cache can hold a part of a version.
            self._loose.update((e.id, _locate(pack.id, e)) for e in pack.entries if e.id not in whole)
        return self._take_up(sound)

    def _take_up(self, packs: Sequence[IndexedPack]) -> bool:
        """Publish what was found in packs, or keep it in this copy where the store cannot be written."""
        news = [pack for pack in packs if self._is_news(pack)]
        try:
            if news:
                self._settle(news)
                self.publish(news)
                self.relisted += len(news)
        except BackendError as exc:
            if exc.problem not in _NOT_WRITABLE:
                raise
            self._copy.put(None, news)
            return False
        return True

    def _settle(self, packs: Iterable[IndexedPack]) -> None:
        """See to it that packs are durable before an index file counts on them."""
        for pack in packs:
            settle(self._backend, pack_key(pack.id))

    def _is_news(self, pack: IndexedPack) -> bool:
        """Whether publishing a pack tells more than is known; a pack known in full is never looked at again."""
        ids = {entry.id for entry in pack.entries}
        return bool(ids) and (is_complete(pack) or len(self._copy.present(ids)) < len(ids))

    def publish(self, packs: Sequence[IndexedPack]) -> None:
        """Write an index file over `packs`, which must be durable already, and take it into the copy."""
        index = self._write(packs)
        with self._copy.transaction():
            if self._going:
                self._copy.leave({entry.id for pack in packs for entry in pack.entries}, self._going)
            self._copy.put(index, packs)

    def replace(
        self, files: Collection[IndexId], gone: Collection[PackId], packs: Sequence[IndexedPack]
    ) -> dict[IndexId, frozenset[PackId]]:
        """Put new index files over `packs` in the place of old ones, and forget what is in the packs that are `gone`.

        For whoever deletes: when no index file is left that names these packs, they may go. Return what the new index
        files list.
        """
        groups = list(index_groups(packs))
        written = [self._write(group) for group in groups]
        for index in sorted(set(files) - set(written)):
            self._backend.delete(index_key(index))
            self._written.pop(index, None)
        with self._copy.transaction():
            self._copy.forget(files, gone)
            for index, group in zip(written, groups, strict=True):
                self._copy.put(index, group)
        self._loose = {identity: at for identity, at in self._loose.items() if at.pack not in gone}
        return {index: frozenset(pack.id for pack in group) for index, group in zip(written, groups, strict=True)}

    def file_sizes(self) -> dict[IndexId, int]:
        """Return the index files of the store and their sizes in bytes."""
        return {index: info.size for index, info in list_index_files(self._backend).items()}

    def read_file(self, index: IndexId, *, hint: str = DAMAGE_HINT) -> list[IndexedPack]:
        """Return what an index file lists; nothing for one that is gone.

        Raises:
            IntegrityError: it is damaged; `hint` says what helps.
        """
        return listed_in(self._backend, index, hint=hint)

    def pack_count(self) -> int:
        """Return how many packs this copy knows."""
        return self._copy.pack_count()

    def packs(self, *, complete: bool = False) -> dict[PackId, int]:
        """Return the packs that this copy knows, and their sizes in bytes; or only those that it knows in full."""
        return self._copy.packs(complete=complete)

    def objects(self) -> Iterator[tuple[ObjectId, PackId, int]]:
        """Yield all objects in the order of their ids, each with the pack to read it from and its bytes in there."""
        return self._copy.objects()

    def loose_objects(self) -> list[Location]:
        """Return the nodes that are in packs, but not in the index, as their trees are not wholly there."""
        return list(self._loose.values())

    def _write(self, packs: Sequence[IndexedPack]) -> IndexId:
        index, encoded = encode_index(packs)
        key = index_key(index)
        if key in self._damaged:
            # What is made anew may be what was damaged, and backends keep a blob of the same name and size.
            self._backend.delete(key)
            self._damaged.discard(key)
        self._backend.write(key, [encoded])
        self._written[index] = frozenset(pack.id for pack in packs)
        return index

    def _delete_damaged(self) -> None:
        for key in sorted(self._damaged):
            # Another process may have made it anew meanwhile, under the same name.
            if read_index_file(self._backend, key) is None:
                self._backend.delete(key)
        self._damaged.clear()

    def _lookup(self, ids: Set[ObjectId]) -> dict[ObjectId, Location]:
        return {identity: self._loose[identity] for identity in ids & self._loose.keys()} | self._copy.located(ids)


def _locate(pack: PackId, entry: PackEntry) -> Location:
    return Location(entry.id, entry.offset, entry.stored_length, entry.plain_length, entry.kind, entry.codec, pack)
