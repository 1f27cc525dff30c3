"""The tables of the local copy of a store's index: index files that were read, packs, and objects.

Only local disk is touched here; what to put into the copy, and when, is for `storage.index` to know. What is put is
there all at once or not at all, with the note that the index file has been read, so that a process may be killed at any
time: a row whose index file is not noted would be believed even after its pack is gone.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from dver.database import CacheDatabase, batches
from dver.objects.codec import Codec
from dver.objects.ids import IndexId, ObjectId, PackId
from dver.objects.indexfile import IndexedPack, index_length
from dver.objects.pack import RECORD_HEADER_LENGTH, Kind, PackEntry
from dver.storage.index_rows import SortedRows
from dver.storage.packs import is_complete

SCHEMA_VERSION = 3
_LOOKUP_BATCH = 900
_PAGE = 10_000

_SCHEMA = """
CREATE TABLE index_files (id BLOB PRIMARY KEY, size INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE packs (
    number INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, size INTEGER NOT NULL, complete INTEGER NOT NULL
);
CREATE TABLE objects (
    id BLOB PRIMARY KEY, pack INTEGER NOT NULL, offset INTEGER NOT NULL, stored INTEGER NOT NULL,
    plain INTEGER NOT NULL, kind INTEGER NOT NULL, codec INTEGER NOT NULL
) WITHOUT ROWID
"""
_ADD_OBJECT = "INSERT OR IGNORE INTO objects VALUES (?, ?, ?, ?, ?, ?, ?)"


@dataclass(frozen=True, slots=True)
class Location(PackEntry):
    """Where an object lies: its entry, and the pack that this is an entry of."""

    pack: PackId


def _always(_index: IndexId) -> bool:
    return True


class IndexCopy:
    """The copy. Safe to use from several threads and processes."""

    def __init__(self, path: Path | None) -> None:
        """Open or make the copy at `path`; None keeps it in memory only."""
        self._database = CacheDatabase(path, _SCHEMA, SCHEMA_VERSION)
        self.lock = self._database.lock
        self.transaction = self._database.transaction

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def files(self) -> dict[IndexId, int]:
        """Return the index files that have been read, and their sizes in bytes."""
        return {IndexId(row[0]): row[1] for row in self._database.query("SELECT id, size FROM index_files")}

    def pack_count(self) -> int:
        """Return how many packs are known."""
        count: int = self._database.query("SELECT COUNT(*) FROM packs")[0][0]
        return count

    def packs(self, *, complete: bool = False) -> dict[PackId, int]:
        """Return the packs that are known, and their sizes in bytes; or only those that are known in full."""
        rows = self._database.query("SELECT id, size FROM packs WHERE complete OR NOT ?", (complete,))
        return {PackId(row[0]): row[1] for row in rows}

    def pack_size(self, pack: PackId) -> int | None:
        """Return how long a pack is; None for one that is not known."""
        rows = self._database.query("SELECT size FROM packs WHERE id = ?", (pack,))
        return rows[0][0] if rows else None

    def objects(self) -> Iterator[tuple[ObjectId, PackId, int]]:
        """Yield all objects in the order of their ids, each with the pack to read it from and its bytes in there."""
        packs = {row[0]: PackId(row[1]) for row in self._database.query("SELECT number, id FROM packs")}
        question = "SELECT id, pack, stored FROM objects WHERE id > ? ORDER BY id LIMIT ?"
        last = b""
        while rows := self._database.query(question, (last, _PAGE)):
            for identity, number, stored in rows:
                yield identity, packs[number], RECORD_HEADER_LENGTH + stored
            last = rows[-1][0]

    def present(self, ids: Iterable[ObjectId]) -> set[ObjectId]:
        """Return those of `ids` that are in the copy."""
        found: set[ObjectId] = set()
        for batch in batches(set(ids), _LOOKUP_BATCH):
            marks = ",".join("?" * len(batch))
            found.update(row[0] for row in self._database.query(f"SELECT id FROM objects WHERE id IN ({marks})", batch))
        return found

    def located(self, ids: Set[ObjectId]) -> dict[ObjectId, Location]:
        """Return where those of `ids` lie that are in the copy."""
        found = {}
        for batch in batches(ids, _LOOKUP_BATCH):
            marks = ",".join("?" * len(batch))
            rows = self._database.query(
                "SELECT o.id, p.id, offset, stored, plain, kind, codec FROM objects o"
                f" JOIN packs p ON p.number = o.pack WHERE o.id IN ({marks})",
                batch,
            )
            for row in rows:
                found[row[0]] = Location(row[0], row[2], row[3], row[4], Kind(row[5]), Codec(row[6]), PackId(row[1]))
        return found

    def put(
        self,
        index: IndexId | None,
        packs: Sequence[IndexedPack],
        is_there: Callable[[IndexId], bool] = _always,
    ) -> None:
        """Take packs in, and note that the index file that lists them, if there is one, has been read.

        Nothing is taken from an index file that is not there any more.
        """
        with self._database.transaction():
            if index is not None and not is_there(index):
                return
            new: list[tuple[PackEntry, int]] = []
            for pack in packs:
                # Without an index file the pack is looked at again next time.
                number, is_known = self._put_pack(pack.id, pack.size, index is not None and is_complete(pack))
                if not is_known:
                    new += ((entry, number) for entry in pack.entries)
            # In id order, so that the B-tree is filled from left to right.
            new.sort(key=lambda one: one[0].id)
            self._database.execute_many(
                _ADD_OBJECT,
                (
                    (e.id, number, e.offset, e.stored_length, e.plain_length, int(e.kind), int(e.codec))
                    for e, number in new
                ),
            )
            if index is not None:
                self._note_file(index, index_length(len(pack.entries) for pack in packs))

    def put_sorted(self, rows: SortedRows, is_there: Callable[[IndexId], bool]) -> None:
        """Take in what many index files list, but nothing of those that are not there any more."""
        numbers: dict[int, int] = {}
        with self._database.transaction():
            for index in filter(is_there, rows.files):
                for numbered, pack in rows.files[index].items():
                    number, is_known = self._put_pack(pack.id, pack.size, pack.complete)
                    if not is_known:
                        numbers[numbered] = number
                self._note_file(index, rows.lengths[index])
            self._database.execute_many(_ADD_OBJECT, rows.rows(numbers))
        # Or the log, in which each changed page is, would stay that long.
        self._database.query("PRAGMA wal_checkpoint(TRUNCATE)")

    def _note_file(self, index: IndexId, size: int) -> None:
        self._database.execute("INSERT OR IGNORE INTO index_files VALUES (?, ?)", (index, size))

    def _put_pack(self, pack: PackId, size: int, complete: bool) -> tuple[int, bool]:
        """Return a pack's number, and whether it is known in full already."""
        found = self._database.query("SELECT number, complete FROM packs WHERE id = ?", (pack,))
        if not found:
            values = (pack, size, complete)
            added = self._database.execute("INSERT INTO packs (id, size, complete) VALUES (?, ?, ?)", values)
            assert added.lastrowid is not None
            return added.lastrowid, False
        ((number, is_known),) = found
        if not is_known:
            self._database.execute("UPDATE packs SET complete = ? WHERE number = ?", (complete, number))
        return number, bool(is_known)

    def forget(self, files: Collection[IndexId], packs: Collection[PackId]) -> None:
        """Take index files, packs and what lies in these out of the copy."""
        self._database.execute_many("DELETE FROM index_files WHERE id = ?", ((index,) for index in files))
        numbers = []
        for batch in batches(sorted(packs), _LOOKUP_BATCH):
            marks = ",".join("?" * len(batch))
            found = self._database.query(f"SELECT number FROM packs WHERE id IN ({marks})", batch)
            numbers += [row[0] for row in found]
        if not numbers:
            return
        self._database.execute("CREATE TEMP TABLE IF NOT EXISTS gone (number INTEGER PRIMARY KEY)")
        self._database.execute("DELETE FROM gone")
        self._database.execute_many("INSERT INTO gone VALUES (?)", ((number,) for number in numbers))
        # One pass over all objects, for however many packs: a way from packs to objects would cost every writer.
        self._database.execute("DELETE FROM objects WHERE pack IN (SELECT number FROM gone)")
        self._database.execute("DELETE FROM packs WHERE number IN (SELECT number FROM gone)")

    def leave(self, ids: Collection[ObjectId], packs: Collection[PackId]) -> None:
        """Forget that objects lie in certain packs, so that the next who has one of them is where it is read from."""
        with self._database.transaction():
            lost = [(identity,) for identity, at in self.located(set(ids)).items() if at.pack in packs]
            self._database.execute_many("DELETE FROM objects WHERE id = ?", lost)

    def clear(self) -> None:
        """Forget everything."""
        with self._database.transaction():
            for table in ("index_files", "packs", "objects"):
                self._database.execute(f"DELETE FROM {table}")
