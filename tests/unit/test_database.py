"""SQLite files that may be thrown away: damage, other schemas, several processes, places that cannot be written."""

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dver import database
from dver.database import CacheDatabase, batches
from dver.errors import DverError, LockedError

SCHEMA = "CREATE TABLE words (id INTEGER PRIMARY KEY, word TEXT); CREATE INDEX by_word ON words (word)"


@contextmanager
def opened(path: Path | None, schema: str = SCHEMA, version: int = 1) -> Iterator[CacheDatabase]:
    found = CacheDatabase(path, schema, version)
    try:
        yield found
    finally:
        found.close()


def words(found: CacheDatabase) -> list[str]:
    return [row[0] for row in found.query("SELECT word FROM words ORDER BY word")]


def add(found: CacheDatabase, *new: str) -> None:
    found.execute_many("INSERT INTO words (word) VALUES (?)", [(word,) for word in new])


def test_what_is_written_is_there_when_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "down" / "state.db"
    with opened(path) as first:
        add(first, "a", "b")
    with opened(path) as second:
        assert words(second) == ["a", "b"]


def test_another_schema_version_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with opened(path) as first:
        add(first, "a")
    with opened(path, "CREATE TABLE words (word TEXT, length INTEGER)", 2) as second:
        assert words(second) == []
        second.execute("INSERT INTO words VALUES ('a', 1)")
    with opened(path, version=1) as back:
        assert words(back) == []


def test_no_path_means_memory() -> None:
    with opened(None) as found:
        add(found, "a")
        assert words(found) == ["a"]


def add_and_fail(found: CacheDatabase, error: BaseException) -> None:
    with found.transaction():
        add(found, "c")
        with found.transaction():
            add(found, "d")
        raise error


@pytest.mark.parametrize("damage", [b"not a database at all" * 100, b"SQLite format 3\0" + b"\xff" * 5000, b"\0"])
def test_a_file_that_is_no_database_is_begun_anew(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "state.db"
    path.write_bytes(damage)
    with opened(path) as found:
        add(found, "a")
    with opened(path) as again:
        assert words(again) == ["a"]


def test_damage_found_while_working_is_told_and_gone_the_next_time(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with opened(path) as found:
        add(found, *(f"word {number}" for number in range(5000)))
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)
    with opened(path) as damaged:
        with pytest.raises(DverError, match="damaged") as caught:
            words(damaged)
        assert str(path) in str(caught.value)
        with pytest.raises(DverError, match="not usable"):
            words(damaged)
    with opened(path) as again:
        assert words(again) == []


def test_damage_within_a_transaction_is_told_as_damage(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with opened(path) as found:
        add(found, *(f"word {number}" for number in range(5000)))
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)

    def work(damaged: CacheDatabase) -> None:
        with damaged.transaction():
            add(damaged, "a")
            words(damaged)

    with opened(path) as damaged, pytest.raises(DverError, match="damaged"):
        work(damaged)


def test_use_after_closing_is_an_error_that_keeps_the_file(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with opened(path) as found:
        add(found, "a")
    with pytest.raises(DverError, match="not usable"):
        words(found)
    with pytest.raises(DverError, match="not usable"), found.transaction():
        pass
    with opened(path) as again:
        assert words(again) == ["a"]


def test_a_transaction_happens_whole_or_not_at_all() -> None:
    with opened(None) as found:
        with found.transaction():
            add(found, "a")
            with found.transaction():
                add(found, "b")
        with pytest.raises(ZeroDivisionError):
            add_and_fail(found, ZeroDivisionError())
        assert words(found) == ["a", "b"]
        with found.transaction():
            add(found, "e")
        assert words(found) == ["a", "b", "e"]


def test_an_interrupted_transaction_is_rolled_back() -> None:
    with opened(None) as found:
        with pytest.raises(KeyboardInterrupt):
            add_and_fail(found, KeyboardInterrupt())
        assert words(found) == []


def test_a_full_disk_is_told_and_the_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with opened(path) as found:
        add(found, "a")
        found.execute("PRAGMA max_page_count = 5")
        with pytest.raises(DverError, match="disk is full") as caught, found.transaction():
            add(found, *("x" * 1000 for _ in range(100)))
        assert caught.value.hint == "free some space"
        assert words(found) == ["a"]


@pytest.mark.parametrize("blocked", ["file", "directory"])
def test_memory_stands_in_where_nothing_can_be_written(tmp_path: Path, blocked: str) -> None:
    if blocked == "file":
        (tmp_path / "state").write_bytes(b"a file where a folder should be")
        path = tmp_path / "state" / "state.db"
    else:
        path = tmp_path / "state.db"
        path.mkdir()
    with opened(path) as found:
        add(found, "a")
        assert words(found) == ["a"]


def test_memory_stands_in_for_a_file_that_may_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state.db"
    with opened(path) as found:
        add(found, "a")
    content = path.read_bytes()
    monkeypatch.setattr("os.access", lambda *_: False)
    with opened(path) as found:
        add(found, "b")
        assert words(found) == ["b"]
    assert path.read_bytes() == content


def test_a_file_held_by_another_process_is_told_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_SECONDS", 0.05)
    path = tmp_path / "state.db"
    with opened(path) as found:
        add(found, "a")
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(LockedError, match="another process") as caught:
            add(found, "b")
        assert caught.value.hint is not None
        with pytest.raises(LockedError), found.transaction():
            pass
        holder.close()
        add(found, "c")
        assert words(found) == ["a", "c"]


def test_a_new_file_held_by_another_process_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_SECONDS", 0.05)
    holder = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(LockedError):
        CacheDatabase(tmp_path / "state.db", SCHEMA, 1)
    holder.close()


def test_threads_may_share_one_database(tmp_path: Path) -> None:
    with opened(tmp_path / "state.db") as found:

        def work(number: int) -> None:
            for turn in range(20):
                with found.transaction():
                    add(found, f"{number}-{turn}-a", f"{number}-{turn}-b")

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(words(found)) == 4 * 20 * 2


_PROCESS = """
import sys
from pathlib import Path
from dver.database import CacheDatabase
for name in sys.argv[3:]:
    database = CacheDatabase(Path(sys.argv[1], name), "CREATE TABLE words (word TEXT)", 1)
    database.execute("INSERT INTO words VALUES (?)", (sys.argv[2],))
    database.close()
"""


def test_several_processes_may_make_the_same_file_at_the_same_time(tmp_path: Path) -> None:
    names = [f"state-{number}.db" for number in range(30)]
    running = [
        subprocess.Popen([sys.executable, "-c", _PROCESS, str(tmp_path), str(number), *names], stderr=subprocess.PIPE)
        for number in range(4)
    ]
    errors = [process.communicate()[1] for process in running]
    assert errors == [b""] * 4
    for name in names:
        with opened(tmp_path / name, "CREATE TABLE words (word TEXT)") as found:
            assert words(found) == ["0", "1", "2", "3"]


def test_batches_are_runs_of_at_most_the_size() -> None:
    assert list(batches([1, 2, 3, 4, 5], 2)) == [[1, 2], [3, 4], [5]]
    assert list(batches([], 2)) == []
