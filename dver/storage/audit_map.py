"""What a store holds, as an audit finds it: in which packs each object lies, and what each node names.

It is kept in SQLite in a scratch file, for there may be more objects than fit into memory. Unlike the local copy of the
index it knows every copy of an object, so that one that is damaged in one pack and sound in another is not lost; and it
is made anew by each audit, from what is in the store.

Objects are added pack by pack, then `seal` sorts them. Afterwards packs may be spoiled, and `settle` works out what is
lost with them. Ids are asked for in batches. For one thread.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeVar

from dver.database import CacheDatabase, batches
from dver.objects.ids import NodeId, ObjectId, PackId, VersionId
from dver.objects.pack import RECORD_HEADER_LENGTH, Kind, PackEntry
from dver.objects.references import References
from dver.storage.packs import runs

_LOOKUP = 900
_PAGE = 4000
_RUN = 2 * 1024 * 1024
_SCHEMA = """
CREATE TABLE packs (
    number INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE,
    bad INTEGER NOT NULL DEFAULT 0, loose INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE added (id BLOB NOT NULL, pack INTEGER NOT NULL);
CREATE TABLE objects (id BLOB NOT NULL, pack INTEGER NOT NULL, PRIMARY KEY (id, pack)) WITHOUT ROWID;
CREATE TABLE nodes (
    pack INTEGER NOT NULL, offset INTEGER NOT NULL, id BLOB NOT NULL, end INTEGER NOT NULL, PRIMARY KEY (pack, offset)
) WITHOUT ROWID;
CREATE TABLE readable (id BLOB NOT NULL, pack INTEGER NOT NULL, PRIMARY KEY (id, pack)) WITHOUT ROWID;
CREATE TABLE lost (id BLOB NOT NULL, pack INTEGER NOT NULL, PRIMARY KEY (id, pack)) WITHOUT ROWID;
CREATE TABLE edges (child BLOB NOT NULL, parent BLOB NOT NULL, PRIMARY KEY (child, parent)) WITHOUT ROWID;
CREATE TABLE missing (id BLOB NOT NULL, node BLOB NOT NULL, PRIMARY KEY (id, node)) WITHOUT ROWID;
CREATE TABLE loose (id BLOB NOT NULL, node BLOB NOT NULL, PRIMARY KEY (id, node)) WITHOUT ROWID;
CREATE TABLE incomplete (node BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE roots (node BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE wanted (
    id BLOB PRIMARY KEY, wave INTEGER NOT NULL, chase INTEGER NOT NULL, found INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID
"""

T = TypeVar("T", bound=ObjectId)


@dataclass(frozen=True, slots=True)
class NodePlace:
    """Where a node lies in a pack; `end` is the offset just past its record."""

    id: NodeId
    pack: PackId
    offset: int
    end: int


class StoreMap:
    """The objects of one store."""

    def __init__(self, scratch: Path | None) -> None:
        """Begin an empty map in a new file in the folder `scratch`; None keeps it in memory."""
        self._path = None if scratch is None else scratch / "audit.db"
        self._database = CacheDatabase(self._path, _SCHEMA, 1)
        # The file is of no use to anybody after a crash.
        self._database.query("PRAGMA journal_mode = OFF")
        self._database.query("PRAGMA synchronous = OFF")
        self._numbers: dict[PackId, int] = {}
        self._any_loose = False

    def close(self) -> None:
        """Give up the map."""
        self._database.close()
        if self._path is not None:
            for suffix in ("", "-wal", "-shm"):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)

    # Adding

    def add(self, pack: PackId, entries: Iterable[PackEntry], *, loose: bool = False) -> int:
        """Add what a pack holds, or a part of that, and return how many objects that is.

        A `loose` pack is one that no index file lists.
        """
        number = self._number(pack)
        if loose:
            self._any_loose = True
            self._database.execute("UPDATE packs SET loose = 1 WHERE number = ?", (number,))
        count = 0
        with self._database.transaction():
            for batch in batches(entries, _PAGE):
                count += len(batch)
                self._database.execute_many("INSERT INTO added VALUES (?, ?)", [(e.id, number) for e in batch])
                nodes = [(number, e.offset, e.id, e.end) for e in batch if e.kind is Kind.NODE]
                self._database.execute_many("INSERT OR IGNORE INTO nodes VALUES (?, ?, ?, ?)", nodes)
        return count

    def seal(self) -> None:
        """Sort what was added since the last time, so that it can be asked for."""
        with self._database.transaction():
            self._database.execute("INSERT OR IGNORE INTO objects SELECT id, pack FROM added ORDER BY id, pack")
            self._database.execute("DELETE FROM added")
        self._database.execute("CREATE INDEX IF NOT EXISTS node_ids ON nodes (id)")

    def spoil(self, pack: PackId, readable: Iterable[bytes] = ()) -> None:
        """Note that a pack is damaged or gone, but for the objects that can still be read."""
        number = self._number(pack)
        rows = ((identity, number) for identity in readable)
        with self._database.transaction():
            self._database.execute("UPDATE packs SET bad = 1 WHERE number = ?", (number,))
            self._database.execute_many("INSERT OR IGNORE INTO readable VALUES (?, ?)", rows)
            self._database.execute(
                "INSERT OR IGNORE INTO objects SELECT id, pack FROM readable WHERE pack = ?", (number,)
            )

    def settle(self) -> None:
        """Work out which objects cannot be read in packs that were spoiled, and take these away."""
        with self._database.transaction():
            self._database.execute(
                "INSERT OR IGNORE INTO lost SELECT o.id, o.pack FROM objects o JOIN packs p ON p.number = o.pack"
                " LEFT JOIN readable r ON r.id = o.id AND r.pack = o.pack WHERE p.bad AND r.id IS NULL"
            )
            self._database.execute("DELETE FROM objects WHERE (id, pack) IN (SELECT id, pack FROM lost)")
            self._database.execute(
                "DELETE FROM nodes WHERE pack IN (SELECT number FROM packs WHERE bad) AND NOT EXISTS"
                " (SELECT 1 FROM objects o WHERE o.id = nodes.id AND o.pack = nodes.pack)"
            )

    def spoil_node(self, place: NodePlace) -> None:
        """Note that one copy of a node cannot be read."""
        values = (place.id, self._number(place.pack))
        with self._database.transaction():
            self._database.execute("INSERT OR IGNORE INTO lost VALUES (?, ?)", values)
            self._database.execute("DELETE FROM objects WHERE id = ? AND pack = ?", values)

    # Asking

    def count(self) -> int:
        """Return how many objects there are, copies included."""
        return int(self._database.query("SELECT COUNT(*) FROM objects")[0][0])

    def present(self, ids: Iterable[T]) -> set[T]:
        """Return those of `ids` of which there is a copy that can be read."""
        return self._among("SELECT DISTINCT id FROM objects WHERE id IN ({})", ids)

    def lost_in(self, pack: PackId) -> int:
        """Return how many objects are nowhere because of what happened to a pack."""
        rows = self._database.query(
            "SELECT COUNT(*) FROM lost l WHERE pack = ? AND NOT EXISTS (SELECT 1 FROM objects o WHERE o.id = l.id)",
            (self._number(pack),),
        )
        return int(rows[0][0])

    def lost(self) -> Iterator[ObjectId]:
        """Yield the objects that are nowhere any more, in order."""
        yield from self._pages(
            "SELECT DISTINCT id FROM lost l WHERE id > ?"
            " AND NOT EXISTS (SELECT 1 FROM objects o WHERE o.id = l.id) ORDER BY id LIMIT ?"
        )

    def lost_among(self, ids: Iterable[T]) -> set[T]:
        """Return those of `ids` that were in a pack and cannot be read there."""
        return self._among("SELECT DISTINCT id FROM lost WHERE id IN ({})", ids)

    def any_lost(self) -> bool:
        """Whether an object is nowhere any more, or named by a node and nowhere."""
        return next(self.lost(), None) is not None or bool(self._database.query("SELECT 1 FROM missing LIMIT 1"))

    def packs_with_lost(self, ids: Iterable[ObjectId]) -> set[PackId]:
        """Return the packs in which some lost objects were."""
        return self._packs_in("lost", ids)

    def packs_of(self, ids: Iterable[ObjectId]) -> set[PackId]:
        """Return the packs in which some objects are."""
        return self._packs_in("objects", ids)

    def nodes(self) -> Iterator[Sequence[NodePlace]]:
        """Yield all nodes, in runs of those that lie side by side in a pack."""
        pack, offset = -1, -1
        while rows := self._database.query(
            "SELECT n.pack, n.offset, n.id, n.end, p.id FROM nodes n JOIN packs p ON p.number = n.pack"
            " WHERE (n.pack, n.offset) > (?, ?) ORDER BY n.pack, n.offset LIMIT ?",
            (pack, offset, _PAGE),
        ):
            pack, offset = rows[-1][:2]
            for _, group in groupby(rows, key=itemgetter(0)):
                yield from runs(
                    [NodePlace(NodeId(row[2]), PackId(row[4]), row[1], row[3]) for row in group],
                    _RUN,
                    gap=RECORD_HEADER_LENGTH,
                )

    def places(self, ids: Iterable[NodeId]) -> dict[NodeId, NodePlace]:
        """Return where nodes lie, as far as they can be read."""
        found: dict[NodeId, NodePlace] = {}
        for batch in batches(set(ids), _LOOKUP):
            marks = ",".join("?" * len(batch))
            rows = self._database.query(
                "SELECT n.id, p.id, n.offset, n.end FROM nodes n JOIN packs p ON p.number = n.pack"
                f" JOIN objects o ON o.id = n.id AND o.pack = n.pack WHERE n.id IN ({marks})",
                batch,
            )
            found.update((NodeId(row[0]), NodePlace(NodeId(row[0]), PackId(row[1]), row[2], row[3])) for row in rows)
        return found

    # What nodes name

    def connect(self, named: Mapping[NodeId, References]) -> None:
        """Note what nodes name."""
        pairs: list[tuple[ObjectId, NodeId]] = []
        for node, references in named.items():
            pairs += [(child, node) for child in references.nodes]
            pairs += [(chunk, node) for chunk in references.chunks]
        ids = {one for one, _ in pairs}
        here = self.present(ids)
        listed = self._among(_LISTED, here) if self._any_loose else here
        with self._database.transaction():
            edges = ((child, node) for node, references in named.items() for child in references.nodes)
            self._database.execute_many("INSERT OR IGNORE INTO edges VALUES (?, ?)", edges)
            for table, known in (("missing", here), ("loose", listed)):
                rows = [pair for pair in pairs if pair[0] not in known] if len(known) < len(ids) else []
                self._database.execute_many(f"INSERT OR IGNORE INTO {table} VALUES (?, ?)", rows)

    def conclude(self) -> None:
        """Work out which nodes do not have all below them."""
        self._database.execute("CREATE INDEX IF NOT EXISTS edges_down ON edges (parent, child)")
        with self._database.transaction():
            # A node may have been found damaged after another that names it was looked at.
            self._database.execute(
                "INSERT OR IGNORE INTO missing SELECT child, parent FROM edges"
                " WHERE child IN (SELECT id FROM lost) AND child NOT IN (SELECT id FROM objects)"
            )
            self._database.execute(
                "WITH RECURSIVE bad (node) AS (SELECT node FROM missing UNION"
                " SELECT parent FROM bad JOIN edges ON child = bad.node)"
                " INSERT OR IGNORE INTO incomplete SELECT node FROM bad"
            )

    def incomplete(self, nodes: Iterable[NodeId]) -> set[NodeId]:
        """Return those of some nodes that are nowhere, or do not have all below them."""
        asked = set(nodes)
        return self._among("SELECT node FROM incomplete WHERE node IN ({})", asked) | asked - self.present(asked)

    def all_incomplete(self) -> Iterator[NodeId]:
        """Yield the nodes that are here and do not have all below them."""
        for identity in self._pages("SELECT node FROM incomplete WHERE node > ? ORDER BY node LIMIT ?"):
            yield NodeId(identity)

    def needed_loose(self, versions: Iterable[VersionId]) -> set[PackId]:
        """Return the packs that no index file lists and that hold what these versions have nowhere else."""
        if not self._any_loose:
            return set()
        with self._database.transaction():
            self._database.execute("DELETE FROM roots")
            self._database.execute_many("INSERT OR IGNORE INTO roots VALUES (?)", ((one,) for one in versions))
        rows = self._database.query(_NEEDED_LOOSE)
        return {PackId(row[0]) for row in rows}

    def missing_only(self, node: NodeId) -> int:
        """Return how many objects at and below a node are nowhere, and were in no pack that is known."""
        return int(self._database.query(_BELOW + _UNEXPLAINED, (node, node))[0][0])

    # What is to be brought back

    def want_lost(self) -> None:
        """Want all objects that are nowhere any more, but nothing that these name."""
        self._database.execute(
            "INSERT OR IGNORE INTO wanted (id, wave, chase) SELECT DISTINCT id, 0, 0 FROM lost"
            " WHERE id NOT IN (SELECT id FROM objects)"
        )

    def want_below(self, versions: Iterable[VersionId]) -> None:
        """Want what versions lack, and all that it names."""
        with self._database.transaction():
            for version in versions:
                if not self.present([NodeId(version)]):
                    self._want(version, 0)
                self._database.execute(_BELOW + _WANT_MISSING, (version,))

    def want_all(self) -> None:
        """Want all that any node lacks, and all that this names."""
        self._database.execute("INSERT OR REPLACE INTO wanted (id, wave, chase) SELECT DISTINCT id, 0, 1 FROM missing")
        self._database.execute("UPDATE wanted SET chase = 1")

    def want_next(self, ids: Iterable[ObjectId], wave: int) -> None:
        """Want what a node names that was brought back, in a later wave, unless it is here or was asked for before."""
        asked = set(ids)
        absent = asked - self.present(asked)
        with self._database.transaction():
            for identity in absent:
                self._database.execute(
                    "INSERT OR IGNORE INTO wanted (id, wave, chase) VALUES (?, ?, 1)", (identity, wave)
                )

    def wanted(self, wave: int) -> Iterator[Sequence[ObjectId]]:
        """Yield what is wanted in a wave and not found yet, in batches."""
        last = b""
        while rows := self._database.query(
            "SELECT id FROM wanted WHERE id > ? AND wave = ? AND NOT found ORDER BY id LIMIT ?", (last, wave, _PAGE)
        ):
            last = rows[-1][0]
            yield [row[0] for row in rows]

    def still_wanted(self, ids: Iterable[T]) -> set[T]:
        """Return those of `ids` that are wanted and not found."""
        return self._among("SELECT id FROM wanted WHERE NOT found AND id IN ({})", ids)

    def chased(self, nodes: Iterable[NodeId]) -> set[NodeId]:
        """Return those of some nodes of which all that they name is wanted too."""
        return self._among("SELECT id FROM wanted WHERE chase AND id IN ({})", nodes)

    def has_wave(self, wave: int) -> bool:
        """Whether anything is wanted in a wave and not found."""
        return bool(self._database.query("SELECT 1 FROM wanted WHERE wave = ? AND NOT found LIMIT 1", (wave,)))

    def wants(self) -> int:
        """Return how many objects are wanted and not found."""
        return int(self._database.query("SELECT COUNT(*) FROM wanted WHERE NOT found")[0][0])

    def found(self, ids: Iterable[ObjectId]) -> None:
        """Note that wanted objects were brought back."""
        with self._database.transaction():
            self._database.execute_many("UPDATE wanted SET found = 1 WHERE id = ?", ((one,) for one in ids))

    def _want(self, identity: bytes, wave: int) -> None:
        self._database.execute("INSERT OR REPLACE INTO wanted (id, wave, chase) VALUES (?, ?, 1)", (identity, wave))

    def _number(self, pack: PackId) -> int:
        if pack not in self._numbers:
            self._numbers[pack] = len(self._numbers)
            self._database.execute("INSERT INTO packs (number, id) VALUES (?, ?)", (self._numbers[pack], pack))
        return self._numbers[pack]

    def _packs_in(self, table: str, ids: Iterable[ObjectId]) -> set[PackId]:
        join = f"FROM {table} x JOIN packs p ON p.number = x.pack"
        return set(self._answers(f"SELECT DISTINCT p.id {join} WHERE x.id IN ({{}})", ids))

    def _among(self, question: str, ids: Iterable[T]) -> set[T]:
        return set(self._answers(question, ids))

    def _answers(self, question: str, ids: Iterable[ObjectId]) -> Iterator[Any]:
        for batch in batches(set(ids), _LOOKUP):
            for row in self._database.query(question.format(",".join("?" * len(batch))), batch):
                yield row[0]

    def _pages(self, question: str) -> Iterator[ObjectId]:
        last = b""
        while rows := self._database.query(question, (last, _PAGE)):
            last = rows[-1][0]
            yield from (row[0] for row in rows)


_BELOW = "WITH RECURSIVE below (node) AS (SELECT ? UNION SELECT child FROM below JOIN edges ON parent = below.node) "
_LISTED = "SELECT DISTINCT o.id FROM objects o JOIN packs p ON p.number = o.pack WHERE NOT p.loose AND o.id IN ({})"
_NEEDED_LOOSE = (
    "WITH RECURSIVE below (node) AS (SELECT node FROM roots UNION SELECT child FROM below JOIN edges ON parent = node),"
    " needed (id) AS (SELECT l.id FROM loose l JOIN below b ON l.node = b.node UNION SELECT node FROM roots)"
    " SELECT DISTINCT p.id FROM needed n JOIN objects o ON o.id = n.id JOIN packs p ON p.number = o.pack WHERE p.loose"
    " AND NOT EXISTS (SELECT 1 FROM objects x JOIN packs y ON y.number = x.pack WHERE x.id = n.id AND NOT y.loose)"
)
_UNEXPLAINED = (
    "SELECT COUNT(*) FROM (SELECT m.id FROM missing m JOIN below ON m.node = below.node UNION SELECT ?) AS absent"
    " WHERE id NOT IN (SELECT id FROM lost) AND id NOT IN (SELECT id FROM objects)"
)
_WANT_MISSING = (
    "INSERT OR REPLACE INTO wanted (id, wave, chase) SELECT m.id, 0, 1 FROM missing m JOIN below ON m.node = below.node"
)
