"""SQLite files on local disk that only speed things up.

What they hold can be made again, so a file that is damaged, or of another schema, is thrown away and begun anew. They
are in WAL mode with a busy time-out, so several processes may use one at the same time. Where the file cannot be
written at all, an in-memory database stands in. No sqlite3 error leaves this module.
"""

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from dver.errors import DverError, LockedError

BUSY_TIMEOUT_SECONDS = 60.0
MEMORY = ":memory:"
_RETRY_SECONDS = 0.01
_PATIENCE = 10.0

T = TypeVar("T")


class CacheDatabase:
    """One SQLite file with a fixed schema. Calls are serialised by `lock`, so any thread may make them."""

    def __init__(self, path: Path | None, schema: str, version: int) -> None:
        """Open or make the file at `path` (None: in memory). `version` is that of the schema."""
        self.lock = threading.RLock()
        self._path = path
        self._schema = schema
        self._version = version
        self._depth = 0
        self._connection = self._open()

    def close(self) -> None:
        """Close the file; the database must not be used afterwards."""
        with self.lock:
            self._connection.close()

    def query(self, sql: str, values: Sequence[object] = ()) -> list[Any]:
        """Return all rows of a query."""
        with self.lock, self._translated():
            return self._connection.execute(sql, values).fetchall()

    def execute(self, sql: str, values: Sequence[object] = ()) -> sqlite3.Cursor:
        """Run one statement."""
        with self.lock, self._translated():
            return self._connection.execute(sql, values)

    def execute_many(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        """Run one statement for each row."""
        with self.lock, self._translated():
            self._connection.executemany(sql, rows)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Make the statements inside happen as one; within another transaction they become part of that."""
        with self.lock:
            if self._depth == 0:
                self.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield
                if self._depth == 1:
                    self.execute("COMMIT")
            except BaseException:
                if self._depth == 1:
                    self._roll_back()
                raise
            finally:
                self._depth -= 1

    def _roll_back(self) -> None:
        # The failure may have closed the connection, or SQLite rolled back by itself; neither may hide the failure.
        with contextlib.suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as exc:
            if _is_busy(exc):
                raise self._locked() from exc
            raise self._failed(exc) from exc

    def _locked(self) -> LockedError:
        return LockedError(
            f"{self._path}: another process has held it for over {BUSY_TIMEOUT_SECONDS:.0f} s",
            hint="wait for other dver commands to end, then run this one again",
        )

    def _failed(self, exc: sqlite3.Error) -> DverError:
        """Throw the file away, since it can be made again, and return the error to raise."""
        if _error_code(exc) is None:
            # Not SQLite's word on the file: most of all, the connection is closed already.
            return DverError(f"{self._path or MEMORY}: not usable: {exc}")
        full = _error_code(exc) == sqlite3.SQLITE_FULL
        if self._path is not None and not full:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            _remove(self._path)
        state = "the disk is full" if full else "it was damaged and has been removed; nothing is lost"
        return DverError(f"{self._path}: {state}", hint="run the same command again" if not full else "free some space")

    def _open(self) -> sqlite3.Connection:
        if self._path is None:
            return self._connect(MEMORY)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if self._path.exists() and not os.access(self._path, os.W_OK):
                return self._connect(MEMORY)
            return self._open_file(self._path)
        except OSError:
            return self._connect(MEMORY)

    def _open_file(self, path: Path) -> sqlite3.Connection:
        """Open the file, or in its place what works: a new file for one that is damaged, else memory."""
        for _ in range(2):
            try:
                return self._connect(str(path))
            except sqlite3.OperationalError as exc:
                if _is_busy(exc):
                    raise self._locked() from exc
                break
            except sqlite3.DatabaseError:
                _remove(path)
        return self._connect(MEMORY)

    def _connect(self, target: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            target, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA synchronous = NORMAL")
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        if found == self._version:
            return
        _use_wal(connection)
        connection.execute("BEGIN IMMEDIATE")
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        if found != self._version:
            for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                connection.execute(f'DROP TABLE "{name}"')
            for statement in self._schema.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {self._version}")
        connection.execute("COMMIT")


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch the file to WAL mode, which SQLite refuses at once, whatever the busy time-out, while others open it."""
    deadline = time.monotonic() + BUSY_TIMEOUT_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as exc:
            if not _is_busy(exc) or time.monotonic() > deadline:
                raise
            time.sleep(_RETRY_SECONDS)
        else:
            return


def _error_code(exc: sqlite3.Error) -> int | None:
    """Return SQLite's primary result code, or None where the error is the Python module's own."""
    code: int | None = getattr(exc, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _is_busy(exc: sqlite3.Error) -> bool:
    return _error_code(exc) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def read_foreign(path: Path, sql: str) -> list[Any] | None:
    """Return the rows of a query on a file that another process looks after, which is not changed, whatever its schema.

    None stands for a file that cannot be read so.
    """
    try:
        with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=_PATIENCE)) as connection:
            connection.execute("PRAGMA query_only = ON")
            return connection.execute(sql).fetchall()
    except sqlite3.Error:
        return None


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield `items` in runs of at most `size`."""
    waiting = iter(items)
    while batch := list(islice(waiting, size)):
        yield batch


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(OSError):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
