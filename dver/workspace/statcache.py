"""What dver knows of the working files, so that unchanged ones need not be read again.

For each dataset the cache remembers its base: the version that the working files were last made equal to, by `add`
or `checkout`. For each path of the base it keeps a row: the file's stat when its content was last compared with the
base entry, and whether it was equal. Rows are complete: a path without a row is not in the base (or, in a partial
dataset, was never written here). The file may be deleted at any time; then data is compared by content once.

For a folder whose files are all equal to the base, and all trusted, it also keeps a fingerprint of their stats: while
that stays the same, no row is needed. It goes when the base or a row in the folder changes.

Invariant: a row is trusted only if size, mtime, ctime and inode match *and* both times lie clearly before the
moment of the comparison. A later write within the same clock tick would otherwise go unseen.
"""

import marshal
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

from dver.database import CacheDatabase, batches, read_foreign
from dver.objects.ids import VersionId, checksum
from dver.workspace.choice import Choice

SCHEMA_VERSION = 3

# The kernel stamps files with its tick (at most 10 ms on Linux), and some file systems with whole seconds.
TICK_NS = 20_000_000
COARSE_TICK_NS = 2_100_000_000
_SECOND_NS = 1_000_000_000

# Values of `Row.checked`: never trust the row; trust it whatever the times, as the size alone told the files apart.
UNCHECKED = 0
WITHOUT_READING = 1 << 62

_told_by = attrgetter("st_mode", "st_size", "st_mtime_ns", "st_ctime_ns", "st_ino")
_DIGEST_BYTES, _COUNT_BYTES = 8, 4
_RANGES_AT_ONCE = 250
_ROWS_AT_ONCE = 10_000

_SCHEMA = """
CREATE TABLE datasets (
    number INTEGER PRIMARY KEY, path BLOB NOT NULL UNIQUE, version BLOB NOT NULL, parts TEXT
);
CREATE TABLE unfinished (path BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE files (
    dataset INTEGER NOT NULL, path BLOB NOT NULL, kind INTEGER NOT NULL, size INTEGER NOT NULL,
    mtime INTEGER NOT NULL, ctime INTEGER NOT NULL, inode INTEGER NOT NULL, checked INTEGER NOT NULL,
    differs INTEGER NOT NULL, PRIMARY KEY (dataset, path)
) WITHOUT ROWID;
CREATE TABLE folders (
    dataset INTEGER NOT NULL, prefix BLOB NOT NULL, fingerprint BLOB NOT NULL, PRIMARY KEY (dataset, prefix)
) WITHOUT ROWID
"""


class Row(NamedTuple):
    """One path of a dataset's base. Times are nanoseconds since 1970; `kind` is a `walk.FileType`."""

    kind: int
    size: int
    mtime: int
    ctime: int
    inode: int
    checked: int
    differs: int


# Rows by path; pairs where they may be too many for memory.
Rows: TypeAlias = Mapping[bytes, Row] | Iterable[tuple[bytes, Row]]


@dataclass(frozen=True, slots=True)
class Base:
    """The version that a dataset's working files were last equal to.

    Attributes:
        choice: what of the dataset is wanted here, or None for the whole of it.
    """

    version: VersionId
    choice: Choice | None

    @property
    def parts(self) -> tuple[bytes, ...] | None:
        """The paths within the dataset of which all is wanted here, or None for the whole of it."""
        return None if self.choice is None else self.choice.paths


def make_row(kind: int, found: os.stat_result, checked: int, *, differs: bool = False) -> Row:
    """Return the row for a file whose content was compared at `checked`, from the stat taken before."""
    return Row(kind, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, checked, int(differs))


def is_trusted(row: Row, kind: int, found: os.stat_result) -> bool:
    """Whether a file is certainly as it was when the row was made."""
    return (
        row.mtime == found.st_mtime_ns
        and row.size == found.st_size
        and row.ctime == found.st_ctime_ns
        and row.inode == found.st_ino
        and row.kind == kind
        and _is_settled(row)
    )


def _is_settled(row: Row) -> bool:
    latest = row.mtime if row.mtime > row.ctime else row.ctime
    if latest + COARSE_TICK_NS < row.checked:
        return True
    return latest + clock_tick(row.mtime, row.ctime) < row.checked


def clock_tick(mtime: int, ctime: int) -> int:
    """Return how long, in nanoseconds, a file system that gave these times may give the same ones again."""
    return TICK_NS if mtime % _SECOND_NS or ctime % _SECOND_NS else COARSE_TICK_NS


class Fingerprint:
    """What stands for the stats of a folder's files by name, and for the names of the folders in it, in order.

    Attributes:
        digests: those of the blocks of files that were taken, in order.
        files: how many files they are.
    """

    def __init__(self, digests: Iterable[int] = (), files: int = 0) -> None:
        """Begin a fingerprint, be it with blocks that were taken elsewhere."""
        self.digests = [*digests]
        self.files = files

    def add(self, names: Sequence[bytes], stats: Sequence[os.stat_result]) -> None:
        """Take the next block of files in the folder."""
        self.digests.append(_digest((names, list(map(_told_by, stats)))))
        self.files += len(names)

    def finish(self, folders: Sequence[bytes]) -> bytes:
        """Return the fingerprint of a folder that has these folders in it; the number of its files is part of it."""
        return _digest((self.digests, folders)).to_bytes(_DIGEST_BYTES) + self.files.to_bytes(_COUNT_BYTES)


def _digest(values: tuple[Any, ...]) -> int:
    # Later versions of the format tell objects from equal ones, so the same values may give other bytes.
    return checksum(marshal.dumps(values, 2))


def count_files(fingerprint: bytes) -> int:
    """Return the number of files in a folder from its fingerprint."""
    return int.from_bytes(fingerprint[_DIGEST_BYTES:])


class StatCache:
    """The stat cache of one working tree, in SQLite."""

    def __init__(self, path: Path | None) -> None:
        """Open or make the cache at `path`; None keeps it in memory."""
        self._database = CacheDatabase(path, _SCHEMA, SCHEMA_VERSION)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def base(self, dataset: str) -> Base | None:
        """Return the base of a dataset, or None if nothing is known of its working files."""
        rows = self._database.query("SELECT version, parts FROM datasets WHERE path = ?", (os.fsencode(dataset),))
        return _make_base(*rows[0]) if rows else None

    def bases(self) -> dict[str, Base]:
        """Return the bases of all datasets whose working files something is known of, by path."""
        found = self._database.query("SELECT path, version, parts FROM datasets ORDER BY path")
        return {os.fsdecode(path): _make_base(version, parts) for path, version, parts in found}

    def rows(self, dataset: str, prefix: bytes = b"") -> dict[bytes, Row]:
        """Return all rows of a dataset by path, or those whose paths begin with `prefix`, which ends with a `/`."""
        question = (
            "SELECT f.path, f.kind, f.size, f.mtime, f.ctime, f.inode, f.checked, f.differs"
            " FROM files f JOIN datasets d ON d.number = f.dataset WHERE d.path = ?"
        )
        values = [os.fsencode(dataset)]
        if prefix:
            question += " AND f.path > ? AND f.path < ?"
            values += [prefix, prefix[:-1] + b"0"]
        return {row[0]: Row._make(row[1:]) for row in self._database.query(question, values)}

    def rows_in_order(self, dataset: str) -> Iterator[tuple[bytes, Row]]:
        """Yield all rows of a dataset with their paths, in the order of these, with few in memory."""
        number = self._number(dataset)
        start = b""
        while found := self._database.query(
            "SELECT path, kind, size, mtime, ctime, inode, checked, differs FROM files"
            " WHERE dataset = ? AND path >= ? ORDER BY path LIMIT ?",
            (number, start, _ROWS_AT_ONCE),
        ):
            yield from ((row[0], Row._make(row[1:])) for row in found)
            start = found[-1][0] + b"\0"

    def paths(self, dataset: str) -> list[bytes]:
        """Return the paths of all rows of a dataset."""
        found = self._database.query(
            "SELECT f.path FROM files f JOIN datasets d ON d.number = f.dataset WHERE d.path = ?",
            (os.fsencode(dataset),),
        )
        return [path for (path,) in found]

    def rows_between(self, dataset: str, ranges: Sequence[tuple[bytes, bytes]]) -> Iterator[dict[bytes, Row]]:
        """Yield the rows, by path, from the first of a pair of paths up to, but without, the second; in pieces."""
        number = self._number(dataset)
        for some in batches(ranges, _RANGES_AT_ONCE):
            places = ",".join(["(?,?)"] * len(some))
            # The order of the tables is given: each range is one search in the table of files.
            found = self._database.query(
                f"WITH wanted(low, high) AS (VALUES {places})"
                " SELECT f.path, f.kind, f.size, f.mtime, f.ctime, f.inode, f.checked, f.differs"
                " FROM wanted CROSS JOIN files f WHERE f.dataset = ? AND f.path >= low AND f.path < high",
                [*chain.from_iterable(some), number],
            )
            yield {row[0]: Row._make(row[1:]) for row in found}

    def row(self, dataset: str, path: bytes) -> Row | None:
        """Return the row of one path of a dataset."""
        found = self._database.query(
            "SELECT f.kind, f.size, f.mtime, f.ctime, f.inode, f.checked, f.differs"
            " FROM files f JOIN datasets d ON d.number = f.dataset WHERE d.path = ? AND f.path = ?",
            (os.fsencode(dataset), path),
        )
        return Row._make(found[0]) if found else None

    def row_count(self, dataset: str, *, without_kind: int) -> int:
        """Return how many rows a dataset has, leaving out those of one kind."""
        found = self._database.query(
            "SELECT COUNT(*) FROM files f JOIN datasets d ON d.number = f.dataset WHERE d.path = ? AND f.kind != ?",
            (os.fsencode(dataset), without_kind),
        )
        return int(found[0][0])

    def folders(self, dataset: str) -> dict[bytes, bytes]:
        """Return the fingerprints of folders in which all was as in the base, by what the paths in them begin with."""
        found = self._database.query(
            "SELECT f.prefix, f.fingerprint FROM folders f JOIN datasets d ON d.number = f.dataset WHERE d.path = ?",
            (os.fsencode(dataset),),
        )
        return dict(found)

    def update(
        self, dataset: str, base: Base, rows: Mapping[bytes, Row], folders: Mapping[bytes, bytes] = MappingProxyType({})
    ) -> None:
        """Change some rows and fingerprints, unless another process has given the dataset another base meanwhile."""
        if not (rows or folders):
            return
        with self._database.transaction():
            number = self._number(dataset)
            if number is not None and self.base(dataset) == base:
                self._write(number, rows, ())
                self._database.execute_many(
                    "INSERT OR REPLACE INTO folders VALUES (?, ?, ?)", ((number, *item) for item in folders.items())
                )

    def rebase(
        self,
        dataset: str,
        base: Base,
        rows: Rows,
        *,
        removed: Iterable[bytes] = (),
        keep_rows: bool = False,
    ) -> None:
        """Give a dataset a new base; the rows of the old one go unless `keep_rows` says that they still hold."""
        parts = None if base.choice is None else base.choice.encode()
        with self._database.transaction():
            self._database.execute(
                "INSERT INTO datasets (path, version, parts) VALUES (?, ?, ?)"
                " ON CONFLICT (path) DO UPDATE SET version = excluded.version, parts = excluded.parts",
                (os.fsencode(dataset), base.version, parts),
            )
            number = self._number(dataset)
            assert number is not None
            if not keep_rows:
                self._delete_rows(number)
            self._write(number, rows, removed)

    def begin_checkout(self, dataset: str) -> None:
        """Note that a dataset's files are about to change, and may be left half way."""
        self._database.execute("INSERT OR IGNORE INTO unfinished VALUES (?)", (os.fsencode(dataset),))

    def end_checkout(self, dataset: str) -> None:
        """Note that a dataset's files are all as they should be."""
        self._database.execute("DELETE FROM unfinished WHERE path = ?", (os.fsencode(dataset),))

    def is_unfinished(self, dataset: str) -> bool:
        """Whether a checkout of a dataset began and did not end."""
        return bool(self._database.query("SELECT 1 FROM unfinished WHERE path = ?", (os.fsencode(dataset),)))

    def forget(self, dataset: str) -> None:
        """Forget a dataset."""
        with self._database.transaction():
            self.end_checkout(dataset)
            number = self._number(dataset)
            if number is not None:
                self._delete_rows(number)
                self._database.execute("DELETE FROM datasets WHERE number = ?", (number,))

    def rename(self, old: str, new: str) -> None:
        """Follow a dataset to its new path; what was known at the new path is forgotten."""
        with self._database.transaction():
            self.forget(new)
            self._database.execute("UPDATE datasets SET path = ? WHERE path = ?", (os.fsencode(new), os.fsencode(old)))

    def _number(self, dataset: str) -> int | None:
        rows = self._database.query("SELECT number FROM datasets WHERE path = ?", (os.fsencode(dataset),))
        return rows[0][0] if rows else None

    def _delete_rows(self, number: int) -> None:
        self._database.execute("DELETE FROM files WHERE dataset = ?", (number,))
        self._database.execute("DELETE FROM folders WHERE dataset = ?", (number,))

    def _write(self, number: int, rows: Rows, removed: Iterable[bytes]) -> None:
        for gone in batches(removed, _ROWS_AT_ONCE):
            self._database.execute_many(
                "DELETE FROM files WHERE dataset = ? AND path = ?", ((number, one) for one in gone)
            )
            self._forget_folders(number, gone)
        for some in batches(rows.items() if isinstance(rows, Mapping) else rows, _ROWS_AT_ONCE):
            self._database.execute_many(
                "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                ((number, path, *row) for path, row in some),
            )
            self._forget_folders(number, (path for path, _ in some))

    def _forget_folders(self, number: int, paths: Iterable[bytes]) -> None:
        """Forget the fingerprints of the folders of paths."""
        self._database.execute_many(
            "DELETE FROM folders WHERE dataset = ? AND prefix = ?",
            ((number, prefix) for prefix in {folder_of(path) for path in paths}),
        )


def foreign_bases(path: Path) -> dict[str, VersionId] | None:
    """Return the bases in the stat cache of another working tree, by dataset; None where they cannot be read.

    The file is not changed, be it damaged or of another dver.
    """
    if not path.exists():
        return {}
    rows = read_foreign(path, "SELECT path, version FROM datasets")
    return None if rows is None else {os.fsdecode(path): VersionId(version) for path, version in rows}


def folder_of(path: bytes) -> bytes:
    """Return what the paths in the folder of a path begin with."""
    return path[: path.rfind(b"/") + 1]


def _make_base(version: bytes, parts: str | None) -> Base:
    return Base(VersionId(version), None if parts is None else Choice.decode(parts))
