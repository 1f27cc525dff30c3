"""When each pack of a store was last found sound on this machine, and how closely it was looked at.

It lies beside the local copy of the store's index, and like that may be deleted at any time: then everything is looked
at again. Several audits may use it at once. What is noted of a pack counts only as long as the pack has the same size
and, on a local disk, the same stat.

An audit that is cut off leaves the note that it was at work, by which the next one knows what it need not do again.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dver.database import CacheDatabase, batches
from dver.objects.ids import PackId
from dver.storage.audit_findings import Depth

SCHEMA_VERSION = 1
RESUME_SECONDS = 24 * 3600.0
"""For how long after its last sign of life an audit that was cut off is gone on with."""

_BATCH = 500

_SCHEMA = """
CREATE TABLE packs (
    id BLOB PRIMARY KEY, size INTEGER NOT NULL, stamp TEXT NOT NULL, depth INTEGER NOT NULL, time REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE begun (depth INTEGER PRIMARY KEY, began REAL NOT NULL, seen REAL NOT NULL);
CREATE TABLE suspects (key TEXT PRIMARY KEY, seen REAL NOT NULL) WITHOUT ROWID
"""


@dataclass(frozen=True, slots=True)
class Verified:
    """What is known of one pack.

    Attributes:
        size: in bytes, when it was read.
        stamp: what tells the same file from another of the same size, "" where the place has no such thing.
        time: when it was read, in seconds since 1970.
    """

    size: int
    stamp: str
    depth: Depth
    time: float


class AuditLog:
    """The log of one store."""

    def __init__(self, path: Path | None) -> None:
        """Open or make the log at `path`; None keeps it in memory."""
        self._database = CacheDatabase(path, _SCHEMA, SCHEMA_VERSION)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def begin(self, depth: Depth) -> float:
        """Note that an audit begins, and return from when on what was verified as deep counts for it.

        That is the beginning of an audit of that depth that was cut off, or is at work beside this one; else now.
        """
        now = time.time()
        with self._database.transaction():
            rows = self._database.query("SELECT began, seen FROM begun WHERE depth = ?", (int(depth),))
            began = rows[0][0] if rows and now - RESUME_SECONDS < rows[0][1] <= now else now
            self._database.execute("INSERT OR REPLACE INTO begun VALUES (?, ?, ?)", (int(depth), began, now))
        return float(began)

    def end(self, depth: Depth) -> None:
        """Note that an audit came to its end."""
        self._database.execute("DELETE FROM begun WHERE depth = ?", (int(depth),))

    def known(self) -> dict[PackId, Verified]:
        """Return what is known of all packs."""
        rows = self._database.query("SELECT id, size, stamp, depth, time FROM packs")
        return {PackId(row[0]): Verified(row[1], row[2], Depth(row[3]), row[4]) for row in rows}

    def remember(self, packs: Mapping[PackId, Verified], depth: Depth) -> None:
        """Note packs that were found sound; a deeper look that is as recent as asked for is not forgotten for it."""
        if not packs:
            return
        with self._database.transaction():
            self._database.execute_many(
                "INSERT OR REPLACE INTO packs VALUES (?, ?, ?, ?, ?)",
                ((pack, one.size, one.stamp, int(one.depth), one.time) for pack, one in packs.items()),
            )
            self._database.execute("UPDATE begun SET seen = ? WHERE depth = ?", (time.time(), int(depth)))

    def forget(self, packs: Iterable[PackId]) -> None:
        """Forget packs that are damaged or gone."""
        with self._database.transaction():
            for batch in batches(packs, _BATCH):
                marks = ",".join("?" * len(batch))
                self._database.execute(f"DELETE FROM packs WHERE id IN ({marks})", batch)

    def first_seen(self, keys: Iterable[str]) -> dict[str, float]:
        """Return when each of these blobs was first seen to be strange; those that are not named are forgotten."""
        now = time.time()
        with self._database.transaction():
            known = dict(self._database.query("SELECT key, seen FROM suspects"))
            found = {key: min(known.get(key, now), now) for key in keys}
            self._database.execute("DELETE FROM suspects")
            self._database.execute_many("INSERT INTO suspects VALUES (?, ?)", found.items())
        return found
