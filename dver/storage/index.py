"""Where each object of a store lies, kept in SQLite on local disk.

The index files in a store are the truth, and the packs behind them: this copy only makes lookups fast. It is
brought up to date by listing `index/`, filled from pack footers where index files are missing or damaged, and may
be deleted at any time. Several processes may use one copy at once (WAL, short transactions); a damaged copy is made
anew.

Invariants: a row is in the copy only if a pack that was whole when it was read lists the object. A node that is
`present` has its whole tree in the store, as far as the store may hold no parts of versions.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from dver.database import CacheDatabase, batches
from dver.errors import BackendError, BackendProblem, FormatError, IntegrityError, UnsupportedFormatError
from dver.objects.codec import Codec
from dver.objects.ids import IndexId, ObjectId, PackId, parse_id
from dver.objects.indexfile import IndexedPack, decode_index, encode_index
from dver.objects.pack import Kind, PackEntry
from dver.storage.backend import Backend
from dver.storage.packs import is_complete, list_packs, read_pack_entries, whole_trees

SCHEMA_VERSION = 2
_LOOKUP_BATCH = 900
_READERS = 8
_RECOVER_BATCH = 64
# Whoever may only read a store uses what its packs hold without telling others.
_NOT_WRITABLE = frozenset({BackendProblem.DENIED, BackendProblem.READ_ONLY, BackendProblem.NO_SPACE})

_K = TypeVar("_K")
_V = TypeVar("_V")

_SCHEMA = """
CREATE TABLE index_files (id BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE packs (
    number INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, size INTEGER NOT NULL, complete INTEGER NOT NULL
);
CREATE TABLE objects (
    id BLOB PRIMARY KEY, pack INTEGER NOT NULL, offset INTEGER NOT NULL, stored INTEGER NOT NULL,
    plain INTEGER NOT NULL, kind INTEGER NOT NULL, codec INTEGER NOT NULL
) WITHOUT ROWID
"""


@dataclass(frozen=True, slots=True)
class Location(PackEntry):
    """Where an object lies: its entry, and the pack that this is an entry of."""

    pack: PackId


def index_key(index: IndexId) -> str:
    """Return the key of an index file in a store."""
    return f"index/{index.hex()}.idx"


class ChunkIndex:
    """The local copy of one store's index. Safe to use from several threads and processes.

    Attributes:
        path: where the copy is, or None.
        damaged_packs: packs that were looked at and do not hold what their names stand for.
    """

    def __init__(self, path: Path | None, backend: Backend) -> None:
        """Open or make the copy at `path`; None keeps it in memory only."""
        self.path = path
        self._backend = backend
        self._database = CacheDatabase(path, _SCHEMA, SCHEMA_VERSION)
        self._fresh = False
        self._recovered = False
        self._loose: dict[ObjectId, Location] = {}
        self._damaged: set[str] = set()
        self.damaged_packs: set[PackId] = set()

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def find(self, ids: Sequence[ObjectId]) -> dict[ObjectId, Location]:
        """Return where objects lie; those that are nowhere are left out.

        Only when something is missing is the copy brought up to date, and are the packs without an index file looked
        at. So a place may be out of date by the time it is read: ask again after `refresh`.
        """
        wanted = set(ids)
        found = self._lookup(wanted)
        for catch_up in (self.refresh, self._recover_once):
            if len(found) == len(wanted):
                break
            catch_up()
            found.update(self._lookup(wanted - found.keys()))
        return found

    def pack_size(self, pack: PackId) -> int | None:
        """Return how long a pack is, as the index says; None for one that it does not know."""
        rows = self._database.query("SELECT size FROM packs WHERE id = ?", (pack,))
        return rows[0][0] if rows else None

    def present(self, ids: Iterable[ObjectId]) -> set[ObjectId]:
        """Return those of `ids` that the store is known to hold; what others wrote meanwhile may be missed."""
        self.ensure_fresh()
        return self._present(ids)

    def known(self, ids: Iterable[ObjectId]) -> set[ObjectId]:
        """Return those of `ids` that the store held when this copy was last brought up to date; it is not asked."""
        return self._present(ids)

    def ensure_fresh(self) -> None:
        """Bring the copy up to date with the store unless this process has done so before."""
        with self._database.lock:
            if not self._fresh:
                self.refresh()

    def refresh(self) -> None:
        """Bring the copy up to date by listing the store's index files, and reading those that are new."""
        with self._database.lock:
            # Before the listing: what another process puts into this copy meanwhile must not look as if it were gone.
            known = self._files_read()
            listed = {
                IndexId(raw): info.key
                for info in self._backend.list("index/")
                if (raw := parse_id(info.key.removeprefix("index/").removesuffix(".idx"))) is not None
            }
            vanished = bool(known - listed.keys())
            if vanished:
                # Packs may be gone with them; starting over is simple and rare.
                self._clear()
            known = self._files_read()
            damaged = len(self._damaged)
            new = {index: key for index, key in listed.items() if index not in known and key not in self._damaged}
            self._load(new)
            self._fresh = True
            is_short = vanished or len(self._damaged) > damaged or not (listed or self._recovered)
            if is_short and self.recover():
                self._delete_damaged()

    def recover(self) -> bool:
        """Index what no index file lists, from the footers of packs or, failing these, their records.

        Another writer may be at work, or died at it: of its nodes only those count whose whole tree is there.
        Return whether the store has it all indexed now; where it cannot be written, only this copy has.
        """
        with self._database.lock:
            self._recovered = published = True
            known = {PackId(row[0]) for row in self._database.query("SELECT id FROM packs WHERE complete")}
            with_nodes: list[IndexedPack] = []
            unlisted = [(pack, size) for pack, size in list_packs(self._backend).items() if pack not in known]
            for batch in batches(unlisted, _RECOVER_BATCH):
                of_chunks: list[IndexedPack] = []
                for found in self._map(self._read_pack, batch):
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
                self.publish(news)
        except BackendError as exc:
            if exc.problem not in _NOT_WRITABLE:
                raise
            self._insert(None, news)
            return False
        return True

    def _is_news(self, pack: IndexedPack) -> bool:
        """Whether publishing a pack tells more than is known; a pack known in full is never looked at again."""
        ids = {entry.id for entry in pack.entries}
        return bool(ids) and (is_complete(pack) or len(self._present(ids)) < len(ids))

    def publish(self, packs: Sequence[IndexedPack]) -> None:
        """Write an index file over `packs`, which must be durable already, and take it into the copy."""
        index, encoded = encode_index(packs)
        key = index_key(index)
        if key in self._damaged:
            # What is made anew may be what was damaged, and backends keep a blob of the same name and size.
            self._backend.delete(key)
            self._damaged.discard(key)
        self._backend.write(key, [encoded])
        self._insert(index, packs)

    def _recover_once(self) -> None:
        if not self._recovered:
            self.recover()

    def _delete_damaged(self) -> None:
        for key in sorted(self._damaged):
            # Another process may have made it anew meanwhile, under the same name.
            if self._read_file(key) is None:
                self._backend.delete(key)
        self._damaged.clear()

    def _files_read(self) -> set[IndexId]:
        return {IndexId(row[0]) for row in self._database.query("SELECT id FROM index_files")}

    def _load(self, files: Mapping[IndexId, str]) -> None:
        """Take index files into the copy, and note those that are damaged."""
        keys = list(files.values())
        for index, key, packs in zip(files, keys, self._map(self._read_file, keys), strict=True):
            if packs is None:
                self._damaged.add(key)
            elif packs:
                self._insert(index, packs)

    def _map(self, function: Callable[[_K], _V], items: Sequence[_K]) -> Iterator[_V]:
        """Yield what `function` makes of each item, several at a time where each is a round trip."""
        if self._backend.is_local or len(items) <= 1:
            yield from map(function, items)
            return
        # Deferred: a store on local disk has no use for it.
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415

        with ThreadPoolExecutor(_READERS, thread_name_prefix="dver-index") as pool:
            for batch in batches(items, 2 * _READERS):
                yield from pool.map(function, batch)

    def _read_pack(self, listed: tuple[PackId, int]) -> IndexedPack:
        return IndexedPack(*listed, tuple(read_pack_entries(self._backend, *listed)))

    def _read_file(self, key: str) -> list[IndexedPack] | None:
        """Return what an index file lists, None if it is damaged; one that vanished lists nothing."""
        try:
            return decode_index(self._backend.read(key), f"{self._backend.location}/{key}")
        except UnsupportedFormatError:
            raise
        except (IntegrityError, FormatError):
            return None
        except BackendError as exc:
            if exc.problem is BackendProblem.NOT_FOUND:
                return []
            raise

    def _insert(self, index: IndexId | None, packs: Sequence[IndexedPack]) -> None:
        """Take packs into the copy, and note that the index file that lists them, if there is one, has been read."""
        with self._database.transaction():
            for pack in packs:
                # Without an index file the pack is looked at again next time.
                self._insert_pack(pack, complete=index is not None and is_complete(pack))
            if index is not None:
                self._database.execute("INSERT OR IGNORE INTO index_files VALUES (?)", (index,))

    def _insert_pack(self, pack: IndexedPack, *, complete: bool) -> None:
        found = self._database.query("SELECT number, complete FROM packs WHERE id = ?", (pack.id,))
        if found and found[0][1]:
            return
        if found:
            number = found[0][0]
            self._database.execute("UPDATE packs SET complete = ? WHERE number = ?", (complete, number))
        else:
            number = self._database.execute(
                "INSERT INTO packs (id, size, complete) VALUES (?, ?, ?)", (pack.id, pack.size, complete)
            ).lastrowid
        self._insert_entries(number, pack.entries)

    def _insert_entries(self, pack_number: int | None, entries: Sequence[PackEntry]) -> None:
        # In id order, so that the B-tree is filled from left to right.
        self._database.execute_many(
            "INSERT OR IGNORE INTO objects VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (e.id, pack_number, e.offset, e.stored_length, e.plain_length, int(e.kind), int(e.codec))
                for e in sorted(entries, key=lambda entry: entry.id)
            ],
        )

    def _present(self, ids: Iterable[ObjectId]) -> set[ObjectId]:
        found: set[ObjectId] = set()
        for batch in batches(list(set(ids)), _LOOKUP_BATCH):
            marks = ",".join("?" * len(batch))
            found.update(row[0] for row in self._database.query(f"SELECT id FROM objects WHERE id IN ({marks})", batch))
        return found

    def _lookup(self, ids: Set[ObjectId]) -> dict[ObjectId, Location]:
        found = {identity: self._loose[identity] for identity in ids & self._loose.keys()}
        for batch in batches(list(ids), _LOOKUP_BATCH):
            marks = ",".join("?" * len(batch))
            rows = self._database.query(
                "SELECT o.id, p.id, offset, stored, plain, kind, codec FROM objects o"
                f" JOIN packs p ON p.number = o.pack WHERE o.id IN ({marks})",
                batch,
            )
            for row in rows:
                found[row[0]] = Location(row[0], row[2], row[3], row[4], Kind(row[5]), Codec(row[6]), PackId(row[1]))
        return found

    def _clear(self) -> None:
        with self._database.transaction():
            for table in ("index_files", "packs", "objects"):
                self._database.execute(f"DELETE FROM {table}")


def _locate(pack: PackId, entry: PackEntry) -> Location:
    return Location(entry.id, entry.offset, entry.stored_length, entry.plain_length, entry.kind, entry.codec, pack)
