"""Where each object of a store lies, kept in SQLite on local disk.

The index files in a store are the truth, and the packs behind them: this copy only makes lookups fast. It is
brought up to date by listing `index/`, filled from pack footers where index files are missing or damaged, and may
be deleted at any time. Several processes may use one copy at once (WAL, short transactions); a damaged copy is made
anew.

Invariant: a row is in the copy only if a pack that was whole when it was read lists the object.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dver.database import CacheDatabase, batches
from dver.errors import BackendError, BackendProblem, FormatError, IntegrityError, UnsupportedFormatError
from dver.objects.codec import Codec
from dver.objects.ids import IndexId, ObjectId, PackId, parse_id
from dver.objects.indexfile import IndexedPack, decode_index, encode_index
from dver.objects.pack import (
    RECORD_HEADER_LENGTH,
    TRAILER_LENGTH,
    Kind,
    PackEntry,
    decode_footer,
    decode_trailer,
    scan_records,
)
from dver.storage.backend import Backend

SCHEMA_VERSION = 1
_LOOKUP_BATCH = 900

_SCHEMA = """
CREATE TABLE index_files (id BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE packs (number INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, size INTEGER NOT NULL);
CREATE TABLE objects (
    id BLOB PRIMARY KEY, pack INTEGER NOT NULL, offset INTEGER NOT NULL, stored INTEGER NOT NULL,
    plain INTEGER NOT NULL, kind INTEGER NOT NULL, codec INTEGER NOT NULL
) WITHOUT ROWID
"""


@dataclass(frozen=True, slots=True)
class Location:
    """Where an object lies: `offset` of its record in the pack, lengths in bytes."""

    id: ObjectId
    pack: PackId
    offset: int
    stored_length: int
    plain_length: int
    kind: Kind
    codec: Codec

    @property
    def end(self) -> int:
        """The offset just past the record."""
        return self.offset + RECORD_HEADER_LENGTH + self.stored_length


def pack_key(pack: PackId) -> str:
    """Return the key of a pack in a store."""
    name = pack.hex()
    return f"packs/{name[:2]}/{name}.pack"


def index_key(index: IndexId) -> str:
    """Return the key of an index file in a store."""
    return f"index/{index.hex()}.idx"


class ChunkIndex:
    """The local copy of one store's index. Safe to use from several threads and processes."""

    def __init__(self, path: Path | None, backend: Backend) -> None:
        """Open or make the copy at `path`; None keeps it in memory only."""
        self._backend = backend
        self._database = CacheDatabase(path, _SCHEMA, SCHEMA_VERSION)
        self._fresh = False
        self._recovered = False

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def find(self, ids: Sequence[ObjectId]) -> dict[ObjectId, Location]:
        """Return where objects lie; those that are nowhere are left out.

        When something is missing, the copy is brought up to date and the packs without an index file are looked at.
        """
        self.ensure_fresh()
        wanted = set(ids)
        found = self._lookup(list(wanted))
        for catch_up in (self.refresh, self._recover_once):
            if len(found) == len(wanted):
                break
            catch_up()
            found.update(self._lookup([identity for identity in wanted if identity not in found]))
        return found

    def present(self, ids: Iterable[ObjectId]) -> set[ObjectId]:
        """Return those of `ids` that the store is known to hold; what others wrote meanwhile may be missed."""
        self.ensure_fresh()
        found: set[ObjectId] = set()
        for batch in batches(list(set(ids)), _LOOKUP_BATCH):
            marks = ",".join("?" * len(batch))
            found.update(row[0] for row in self._database.query(f"SELECT id FROM objects WHERE id IN ({marks})", batch))
        return found

    def ensure_fresh(self) -> None:
        """Bring the copy up to date with the store unless this process has done so before."""
        with self._database.lock:
            if not self._fresh:
                self.refresh()

    def refresh(self) -> None:
        """Bring the copy up to date by listing the store's index files, and reading those that are new."""
        with self._database.lock:
            listed = {
                IndexId(raw): info.key
                for info in self._backend.list("index/")
                if (raw := parse_id(info.key.removeprefix("index/").removesuffix(".idx"))) is not None
            }
            known = {IndexId(row[0]) for row in self._database.query("SELECT id FROM index_files")}
            if known - listed.keys():
                # Packs may be gone with them; starting over is simple and rare.
                self._clear()
                known = set()
            damaged = [key for index, key in listed.items() if index not in known and not self._load(index, key)]
            self._fresh = True
            if damaged or not listed:
                self.recover()
            for key in damaged:
                self._backend.delete(key)

    def recover(self) -> None:
        """Index the packs that no index file covers, from their footers or, failing these, their records."""
        with self._database.lock:
            self._recovered = True
            known = {PackId(row[0]) for row in self._database.query("SELECT id FROM packs")}
            first = {pack: size for pack, size in self._list_packs().items() if pack not in known}
            if not first:
                return
            # Another writer may be at work: whatever its nodes need was written before them, so a pack of nodes counts
            # only if it was there before the packs of chunks are listed.
            found = []
            for pack, size in self._list_packs().items():
                entries = [] if pack in known else read_pack_entries(self._backend, pack, size)
                if entries and (pack in first or all(entry.kind is Kind.DATA for entry in entries)):
                    found.append(IndexedPack(pack, size, tuple(entries)))
            if found:
                self.publish(found)

    def _list_packs(self) -> dict[PackId, int]:
        """Return all packs of the store and their sizes in bytes."""
        listed = {}
        for info in self._backend.list("packs/"):
            raw = parse_id(info.key.rpartition("/")[2].removesuffix(".pack"))
            if raw is not None:
                listed[PackId(raw)] = info.size
        return listed

    def publish(self, packs: Sequence[IndexedPack]) -> None:
        """Write an index file over `packs`, which must be durable already, and take it into the copy."""
        index, encoded = encode_index(packs)
        self._backend.write(index_key(index), [encoded])
        self._insert(index, packs)

    def _recover_once(self) -> None:
        if not self._recovered:
            self.recover()

    def _load(self, index: IndexId, key: str) -> bool:
        """Take an index file into the copy; return False if it is damaged. One that vanished is passed over."""
        try:
            packs = decode_index(self._backend.read(key), f"{self._backend.location}/{key}")
        except UnsupportedFormatError:
            raise
        except (IntegrityError, FormatError):
            return False
        except BackendError as exc:
            if exc.problem is BackendProblem.NOT_FOUND:
                return True
            raise
        self._insert(index, packs)
        return True

    def _insert(self, index: IndexId, packs: Sequence[IndexedPack]) -> None:
        with self._database.transaction():
            for pack in packs:
                cursor = self._database.execute(
                    "INSERT OR IGNORE INTO packs (id, size) VALUES (?, ?)", (pack.id, pack.size)
                )
                if cursor.rowcount:
                    self._insert_entries(cursor.lastrowid, pack.entries)
            self._database.execute("INSERT OR IGNORE INTO index_files VALUES (?)", (index,))

    def _insert_entries(self, pack_number: int | None, entries: Sequence[PackEntry]) -> None:
        # In id order, so that the B-tree is filled from left to right.
        self._database.execute_many(
            "INSERT OR IGNORE INTO objects VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (e.id, pack_number, e.offset, e.stored_length, e.plain_length, int(e.kind), int(e.codec))
                for e in sorted(entries, key=lambda entry: entry.id)
            ],
        )

    def _lookup(self, ids: Sequence[ObjectId]) -> dict[ObjectId, Location]:
        found: dict[ObjectId, Location] = {}
        for batch in batches(ids, _LOOKUP_BATCH):
            marks = ",".join("?" * len(batch))
            rows = self._database.query(
                "SELECT o.id, p.id, offset, stored, plain, kind, codec FROM objects o"
                f" JOIN packs p ON p.number = o.pack WHERE o.id IN ({marks})",
                batch,
            )
            for row in rows:
                found[row[0]] = Location(row[0], PackId(row[1]), row[2], row[3], row[4], Kind(row[5]), Codec(row[6]))
        return found

    def _clear(self) -> None:
        with self._database.transaction():
            for table in ("index_files", "packs", "objects"):
                self._database.execute(f"DELETE FROM {table}")


def read_pack_entries(backend: Backend, pack: PackId, size: int) -> list[PackEntry]:
    """Return what a pack of `size` bytes holds, from its footer or, where that is damaged, from its whole records.

    A file that is no pack at all gives nothing.
    """
    key = pack_key(pack)
    where = f"{backend.location}/{key}"
    try:
        trailer = backend.read_range(key, size - TRAILER_LENGTH, TRAILER_LENGTH) if size >= TRAILER_LENGTH else b""
        length, expected = decode_trailer(trailer, size, where)
        return decode_footer(backend.read_range(key, size - TRAILER_LENGTH - length, length), expected, pack, where)
    except UnsupportedFormatError:
        raise
    except (FormatError, IntegrityError):
        pass
    try:
        return list(scan_records(backend.read(key), where))
    except UnsupportedFormatError:
        raise
    except FormatError:
        return []
