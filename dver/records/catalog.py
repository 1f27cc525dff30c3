"""The SQLite copy of what the lineage file says, and how it keeps up with the file.

Records themselves stay in the file: the copy holds where each lies, and what questions are asked by. It notes how far
it has read, and a checksum of every block up to there. A file that only grew is read from there on; one in which
anything else happened is read anew. Duplicate lines count once, as the first of them.

Paths, names and tags are numbers of rows in `texts`; versions and cache keys are hashes of 64 bits or fewer, so whoever
looks for one must compare with the record. A use has its record in the upper bits of its own number, so that the uses
of a record lie side by side. A last line without an end is taken in, and read again when the file has grown.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from dver.database import CacheDatabase, batches
from dver.errors import FormatError
from dver.garbage import without_collecting_garbage
from dver.objects.ids import VERSION_PREFIX, checksum
from dver.records.journal import LineReader, LineText
from dver.records.record import RecordId, State, read_fields

SCHEMA_VERSION = 3
BLOCK = 4 * 1024 * 1024
STATES = tuple(State)
INPUT, OUTPUT = 0, 1
# More than a line of the longest has room for, and so many that numbers of lines stay far from 64 bits.
USE_BITS = 20

_BATCH_BYTES = 4 * 1024 * 1024
_LOOKUP_BATCH = 500
_TEXTS_HELD = 500_000
# From so many bytes on, making the database's own indexes at the end is faster than keeping them up on the way.
_LARGE = 16 * 1024 * 1024
_CACHE_KIB = 64 * 1024
# So many hexadecimal digits are less than 64 bits.
_MARK_DIGITS = 15
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_TABLES = """
CREATE TABLE progress (
    inode INTEGER NOT NULL, size INTEGER NOT NULL, mtime INTEGER NOT NULL, ctime INTEGER NOT NULL,
    offset INTEGER NOT NULL, number INTEGER NOT NULL
);
CREATE TABLE blocks (number INTEGER PRIMARY KEY, checksum INTEGER NOT NULL);
CREATE TABLE problems (number INTEGER PRIMARY KEY, offset INTEGER NOT NULL);
CREATE TABLE texts (number INTEGER PRIMARY KEY, text BLOB NOT NULL UNIQUE);
CREATE TABLE records (
    number INTEGER PRIMARY KEY, id BLOB NOT NULL, offset INTEGER NOT NULL, length INTEGER NOT NULL,
    name INTEGER NOT NULL, state INTEGER NOT NULL, started INTEGER NOT NULL, key INTEGER
);
CREATE TABLE dropped (number INTEGER PRIMARY KEY);
CREATE TABLE tags (record INTEGER NOT NULL, tag INTEGER NOT NULL);
CREATE TABLE uses (
    number INTEGER PRIMARY KEY, role INTEGER NOT NULL, place INTEGER NOT NULL, version INTEGER NOT NULL
);
CREATE TABLE makers (record INTEGER NOT NULL, place INTEGER NOT NULL, started INTEGER NOT NULL)
"""
_INDEXES = {
    "records_by_id": "records (id)",
    "records_by_name": "records (name, started)",
    "records_by_state": "records (state, started)",
    "records_by_start": "records (started)",
    "records_by_key": f"records (key, started) WHERE state = {STATES.index(State.COMPLETE)}",
    "tags_by_tag": "tags (tag, record)",
    "uses_by_place": "uses (place, version, role)",
    "uses_by_version": "uses (version, role)",
    "makers_by_place": "makers (place, started, record)",
}
_SCHEMA = ";".join([_TABLES, *(f"CREATE INDEX {name} ON {columns}" for name, columns in _INDEXES.items())])
_CLEARED = ("progress", "blocks", "problems", "texts", "records", "dropped", "tags", "uses", "makers")


class _Signature(NamedTuple):
    """What is different about a file once anything has been done to it, most likely."""

    inode: int
    size: int
    mtime: int
    ctime: int


class _Progress(NamedTuple):
    """How far the file was read, and what it was like then."""

    signature: _Signature
    offset: int
    number: int


_NOTHING = _Progress(_Signature(0, 0, 0, 0), 0, 1)


class Catalog:
    """The copy in a SQLite file."""

    def __init__(self, path: Path | None) -> None:
        """Open or make the copy at `path`; None keeps it in memory."""
        self._database = CacheDatabase(path, _SCHEMA, SCHEMA_VERSION)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def query(self, sql: str, values: Sequence[object] = ()) -> list[Any]:
        """Return the rows that a question is answered with."""
        return self._database.query(sql, values)

    def follow(self, file: BinaryIO | None) -> None:
        """Bring the copy up to date with the lineage file, which is open, or None where there is none."""
        if file is None:
            if self._progress() != _NOTHING:
                self.forget()
            return
        if self._progress().signature == _sign(file):
            return
        with self._database.transaction():
            # Another process may have done it while this one waited for its turn.
            before, signature = self._progress(), _sign(file)
            if before.signature == signature:
                return
            if not self._has_only_grown(before, signature, file):
                self.forget()
            else:
                self._drop_torn_line(before.number)
            self._load(file, signature)

    def forget(self) -> None:
        """Empty the copy, so that it is made anew."""
        with self._database.transaction():
            for table in _CLEARED:
                self._database.execute(f"DELETE FROM {table}")

    def _progress(self) -> _Progress:
        rows = self._database.query("SELECT inode, size, mtime, ctime, offset, number FROM progress")
        return _Progress(_Signature(*rows[0][:4]), *rows[0][4:]) if rows else _NOTHING

    def _has_only_grown(self, before: _Progress, now: _Signature, file: BinaryIO) -> bool:
        if now.size < before.offset:
            return False
        # A longer file that is still the same one was appended to; git and editors put another in its place.
        was_appended_to = now.inode == before.signature.inode and now.size > before.signature.size
        first = max(0, before.offset - 1) // BLOCK if was_appended_to else 0
        known = self._database.query("SELECT number, checksum FROM blocks WHERE number >= ? ORDER BY number", (first,))
        return known == list(_checksums(file, first, before.offset))

    def _drop_torn_line(self, number: int) -> None:
        for table in ("records", "problems"):
            if self._database.query(f"SELECT 1 FROM {table} WHERE number >= ?", (number,)):
                self._database.execute(f"DELETE FROM {table} WHERE number >= ?", (number,))
                self._database.execute("DELETE FROM uses WHERE number >= ?", (number << USE_BITS,))
                for part in ("tags", "makers"):
                    self._database.execute(f"DELETE FROM {part} WHERE record >= ?", (number,))

    def _load(self, file: BinaryIO, signature: _Signature) -> None:
        """Take in the lines that the copy does not have."""
        before = self._progress()
        reader = LineReader(file, before.offset, before.number)
        is_large = signature.size - before.offset > max(before.offset, _LARGE)
        if is_large:
            self._database.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            for name in _INDEXES:
                self._database.execute(f"DROP INDEX {name}")
        texts = _Texts(self._database)
        # Lines make very many objects, and looking for garbage among them takes a tenth of the time.
        with without_collecting_garbage():
            for lines in _in_batches(reader):
                # Without an index a look for each id would take too long; what is there twice is dropped afterwards.
                self._insert(lines, texts, may_repeat=is_large)
        if is_large:
            for name, columns in _INDEXES.items():
                self._database.execute(f"CREATE INDEX {name} ON {columns}")
            self._drop_duplicates()
        self._note(_Progress(signature, reader.offset, reader.number), file, before.offset)

    def _note(self, now: _Progress, file: BinaryIO, old_offset: int) -> None:
        first = old_offset // BLOCK
        self._database.execute_many("INSERT OR REPLACE INTO blocks VALUES (?, ?)", _checksums(file, first, now.offset))
        self._database.execute("DELETE FROM progress")
        self._database.execute(
            "INSERT INTO progress VALUES (?, ?, ?, ?, ?, ?)", (*now.signature, now.offset, now.number)
        )

    def _drop_duplicates(self) -> None:
        """Of records that were taken in more than once, keep the first."""
        rows = self._database.query(
            "SELECT number FROM records JOIN (SELECT id AS twice, min(number) AS first FROM records GROUP BY id"
            " HAVING count(*) > 1) ON id = twice WHERE number > first"
        )
        self._database.execute_many("INSERT INTO dropped VALUES (?)", rows)
        if rows:
            dropped = "(SELECT number FROM dropped)"
            self._database.execute(f"DELETE FROM records WHERE number IN {dropped}")
            self._database.execute(f"DELETE FROM uses WHERE number >> {USE_BITS} IN {dropped}")
            for part in ("tags", "makers"):
                self._database.execute(f"DELETE FROM {part} WHERE record IN {dropped}")
            self._database.execute("DELETE FROM dropped")

    def _insert(self, lines: Sequence[LineText], texts: "_Texts", *, may_repeat: bool) -> None:
        sound: dict[bytes, tuple[LineText, dict[str, Any]]] = {}
        damaged: list[tuple[int, int]] = []
        for line in lines:
            try:
                fields = read_fields(line.whole(), line.where)
            except FormatError:
                damaged.append((line.number, line.offset))
            else:
                # Of duplicates the first counts.
                sound.setdefault(raw_id(fields["id"]), (line, fields))
        self._database.execute_many("INSERT INTO problems VALUES (?, ?)", damaged)
        rows = _Rows(texts)
        old = set() if may_repeat else self._known(list(sound))
        for identity, (line, fields) in sound.items():
            if identity not in old:
                rows.add(identity, line, fields)
        texts.flush()
        self._database.execute_many("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows.records)
        self._database.execute_many("INSERT INTO tags VALUES (?, ?)", rows.tags)
        self._database.execute_many("INSERT INTO uses VALUES (?, ?, ?, ?)", rows.uses)
        self._database.execute_many("INSERT INTO makers VALUES (?, ?, ?)", rows.makers)

    def _known(self, ids: Sequence[bytes]) -> set[bytes]:
        found: set[bytes] = set()
        for batch in batches(ids, _LOOKUP_BATCH):
            marks = ",".join("?" * len(batch))
            found.update(row[0] for row in self._database.query(f"SELECT id FROM records WHERE id IN ({marks})", batch))
        return found


class _Texts(dict[str, int]):
    """Numbers texts as they come up."""

    def __init__(self, database: CacheDatabase) -> None:
        self.fresh: list[tuple[int, bytes]] = []
        self._database = database
        [(self._last,)] = database.query("SELECT coalesce(max(number), 0) FROM texts")

    def __missing__(self, text: str) -> int:
        """Return the number of a text that was not asked about yet, a new one if it has none."""
        raw = raw_text(text)
        rows = self._database.query("SELECT number FROM texts WHERE text = ?", (raw,))
        if rows:
            number: int = rows[0][0]
        else:
            number = self._last = self._last + 1
            self.fresh.append((number, raw))
        self[text] = number
        return number

    def flush(self) -> None:
        """Write the new numbers to the database, and forget what takes too much memory."""
        self._database.execute_many("INSERT INTO texts (number, text) VALUES (?, ?)", self.fresh)
        self.fresh = []
        if len(self) > _TEXTS_HELD:
            self.clear()


class _Rows:
    """Collects the rows that records become."""

    def __init__(self, texts: _Texts) -> None:
        self.records: list[tuple[object, ...]] = []
        self.tags: list[tuple[int, int]] = []
        self.uses: list[tuple[int, int, int, int]] = []
        self.makers: list[tuple[int, int, int]] = []
        self._number = texts.__getitem__

    def add(self, identity: bytes, line: LineText, fields: Mapping[str, Any]) -> None:
        """Add the rows of one record, which is known to be sound."""
        number, state = line.number, fields["state"]
        started = microseconds(datetime.fromisoformat(fields["started"]))
        key = mark(fields["key"]) if fields.get("key") else None
        name = self._number(fields.get("name", ""))
        self.records.append((number, identity, line.offset, line.length, name, STATES.index(state), started, key))
        for tag in fields.get("tags", {}).items():
            self.tags.append((number, self._number(tag_text(*tag))))
        used = self._artifacts(fields.get("inputs", ()))
        outputs = fields.get("outputs", ())
        made = self._artifacts(outputs)
        first = number << USE_BITS
        self.uses += [(first + index, INPUT, *artifact) for index, artifact in enumerate(used)]
        self.uses += [(first + index, OUTPUT, *artifact) for index, artifact in enumerate(made, len(used))]
        if state != State.FAILED:
            # What a run was only seen to write is not its own.
            own = [artifact for artifact in outputs if not artifact.get("observed")]
            placed = made if len(own) == len(outputs) else self._artifacts(own)
            self.makers += [(number, place, started) for place in {place for place, _ in placed}]

    def _artifacts(self, artifacts: Iterable[Mapping[str, str]]) -> set[tuple[int, int]]:
        """Return the places and versions of artifacts, and of the datasets that they are parts of."""
        number = self._number
        found = {(number(artifact["path"]), mark(artifact["version"])) for artifact in artifacts}
        for artifact in artifacts:
            if artifact.get("dataset"):
                found.add((number(artifact["dataset"]), mark(artifact["dataset_version"])))
        return found


def raw_id(record: RecordId) -> bytes:
    """Return the bytes that stand for a record's id in the copy."""
    return bytes.fromhex(record.removeprefix(VERSION_PREFIX))


def raw_text(text: str) -> bytes:
    """Return the bytes that stand for a text in the copy; any string has its own, also one with lone surrogates."""
    return text.encode("utf-8", "surrogatepass")


def tag_text(name: str, value: str) -> str:
    """Return the text that stands for a tag in the copy, and for no other tag."""
    return f"{len(name)}:{name}{value}"


def mark(text: str) -> int:
    """Return the number that stands for a version or cache key in the copy, and may stand for others too."""
    try:
        # Both are hashes as a rule, of which any digits will do.
        return int(text[-_MARK_DIGITS:], 16)
    except ValueError:
        return _signed(checksum(text.encode("utf-8", "surrogatepass")))


def microseconds(moment: datetime) -> int:
    """Return the number that stands for a moment in the copy."""
    return (moment - _EPOCH) // _MICROSECOND


def _in_batches(lines: Iterable[LineText]) -> Iterator[list[LineText]]:
    batch: list[LineText] = []
    room = _BATCH_BYTES
    for line in lines:
        batch.append(line)
        room -= line.length
        if room <= 0:
            yield batch
            batch, room = [], _BATCH_BYTES
    yield batch


def _sign(file: BinaryIO) -> _Signature:
    found = os.fstat(file.fileno())
    return _Signature(_signed(found.st_ino), found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _checksums(file: BinaryIO, first: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield number and checksum of the blocks from number `first` on; the last of them stops at byte `end`."""
    for number in range(first, -(-end // BLOCK)):
        start = number * BLOCK
        yield number, _signed(checksum(os.pread(file.fileno(), min(BLOCK, end - start), start)))


def _signed(value: int) -> int:
    # SQLite's integers have a sign.
    return value - (1 << 64) if value >> 63 else value
