"""The index: what it answers, and that it always answers from the file as it is."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dver.errors import LockedError, PathError, UsageError
from dver.records import catalog
from dver.records.index import LineageIndex
from dver.records.journal import Journal
from dver.records.record import Record, State, encode_record
from tests.unit.records.samples import FULL, SMALL, artifact, step, tagged, version, write

RAW = replace(step("data/raw@1"), state=State.IMPORTED)
CLEAN = step("data/clean@1", "data/raw@1", at=10, name="clean", key="k1")
TRAIN = tagged(step("models/m@1", "data/clean@1", at=20, name="train", key="k2"), experiment="a", owner="me")
AGAIN = tagged(step("models/m@2", "data/clean:x.csv@1", at=30, name="train", key="k3"), experiment="b")
FAILED = step("models/m@3", "data/clean@1", at=40, name="train", state=State.FAILED, key="k3")
STEPS = [RAW, CLEAN, TRAIN, AGAIN, FAILED]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lineage.jsonl"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "lineage.db"


@pytest.fixture
def index(path: Path, database: Path) -> Iterator[LineageIndex]:
    with closing(LineageIndex(database, write(path, *STEPS))) as index:
        yield index


@pytest.fixture
def empty(path: Path, database: Path) -> Iterator[LineageIndex]:
    with closing(LineageIndex(database, Journal(path))) as index:
        yield index


def replace_file(path: Path, *lines: Record | bytes) -> None:
    """Give the lineage file another content as git does, by a file in its place."""
    new = path.with_name("new")
    write(new, *lines)
    new.replace(path)


def test_no_file_answers_with_nothing(empty: LineageIndex, path: Path) -> None:
    assert (empty.count(), empty.problems(), empty.records()) == (0, [], [])
    assert empty.record(FULL.id) is None
    assert empty.latest_producer("data") is None
    assert not path.exists()


def test_all_records_are_given_in_the_order_of_the_file(index: LineageIndex) -> None:
    assert index.records() == STEPS
    assert index.count() == len(STEPS)


def test_a_record_of_every_field_is_given_as_it_was(path: Path) -> None:
    with closing(LineageIndex(None, write(path, FULL, SMALL))) as index:
        assert index.records() == [FULL, SMALL]


def test_a_record_is_found_by_its_id_and_by_how_that_begins(index: LineageIndex) -> None:
    digits = TRAIN.id.removeprefix("b3:")
    for text in (TRAIN.id, digits, digits[:12], "b3:" + digits[:11], digits[:12].upper()):
        assert index.record(text) == TRAIN


@pytest.mark.parametrize("text", ["", "b3:", "train", "b3:" + "0" * 64, "0" * 65, "%", "0 1"])
def test_what_no_id_begins_with_finds_nothing(index: LineageIndex, text: str) -> None:
    assert index.record(text) is None


def test_a_beginning_that_several_ids_have_is_refused_with_some_of_them(path: Path) -> None:
    many = [step(f"out@{number}") for number in range(200)]
    with closing(LineageIndex(None, write(path, *many))) as index:
        with pytest.raises(UsageError, match=r"^a: several records begin so: b3:a[^…]*, …$") as caught:
            index.record("a")
        shown = str(caught.value).partition("so: ")[2].removesuffix(", …").split(", ")
        assert all(index.record(text) in many for text in shown)
    assert caught.value.hint == "give more digits"


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"name": "train"}, [TRAIN, AGAIN, FAILED]),
        ({"name": ""}, [RAW]),
        ({"name": "none"}, []),
        ({"state": State.FAILED}, [FAILED]),
        ({"state": State.IMPORTED}, [RAW]),
        ({"tags": {"experiment": "a"}}, [TRAIN]),
        ({"tags": {"experiment": "a", "owner": "me"}}, [TRAIN]),
        ({"tags": {"experiment": "b", "owner": "me"}}, []),
        ({"tags": {"experimen": "ta"}}, []),
        ({"since": datetime(2026, 11, 23, 13, 0, 30, tzinfo=UTC)}, [AGAIN, FAILED]),
        ({"since": datetime(2026, 11, 23, 13, 0, 30, 1000, tzinfo=UTC)}, [FAILED]),
        ({"path": "data/raw"}, [RAW, CLEAN]),
        ({"path": "data/clean"}, [CLEAN, TRAIN, AGAIN, FAILED]),
        ({"path": "data/clean/x.csv"}, [AGAIN]),
        ({"path": "data"}, STEPS),
        ({"path": "dat"}, []),
        ({"path": ""}, STEPS),
        ({"limit": 2}, [AGAIN, FAILED]),
        ({"limit": 0}, []),
        ({"limit": 99}, STEPS),
        ({"name": "train", "state": State.COMPLETE, "path": "models", "limit": 1}, [AGAIN]),
        ({"since": datetime(2026, 11, 23, 13, 0, 20, tzinfo=UTC), "limit": 2}, [AGAIN, FAILED]),
    ],
)
def test_records_are_chosen_by_all_that_is_asked_for(
    index: LineageIndex, wanted: dict[str, object], found: list[Record]
) -> None:
    assert index.records(**wanted) == found  # type: ignore[arg-type]


@pytest.mark.parametrize("common", [1, 2, 100])
@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"path": "data", "limit": 2}, [AGAIN, FAILED]),
        ({"path": "data", "limit": 99}, STEPS),
        ({"path": "data/clean", "limit": 3}, [TRAIN, AGAIN, FAILED]),
        ({"path": "data/clean/x.csv", "limit": 3}, [AGAIN]),
        ({"path": "dat", "limit": 3}, []),
        ({"path": "data/raw", "name": "clean", "limit": 1}, [CLEAN]),
        ({"tags": {"experiment": "a"}, "path": "models", "limit": 2}, [TRAIN]),
        ({"tags": {"experiment": "a", "owner": "you"}, "limit": 2}, []),
    ],
)
def test_how_many_have_what_is_asked_for_makes_no_difference(
    index: LineageIndex,
    monkeypatch: pytest.MonkeyPatch,
    common: int,
    wanted: dict[str, object],
    found: list[Record],
) -> None:
    monkeypatch.setattr("dver.records.index._COMMON", common)
    assert index.records(**wanted) == found  # type: ignore[arg-type]


def test_a_limit_keeps_the_latest_whatever_the_order_of_the_file(path: Path) -> None:
    early, late = step("out@1", at=1), step("out@2", at=2)
    with closing(LineageIndex(None, write(path, late, early))) as index:
        assert index.records() == [late, early]
        assert index.records(limit=1) == [late]
        assert index.records(limit=2) == [early, late]


@pytest.mark.parametrize("page", [1, 2, 1000])
def test_records_are_kept_by_what_the_caller_says(
    index: LineageIndex, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    monkeypatch.setattr("dver.records.index._FIRST_PAGE", page)
    monkeypatch.setattr("dver.records.index._LARGEST_PAGE", 2)
    asked: list[Record] = []

    def is_named(record: Record) -> bool:
        asked.append(record)
        return bool(record.name)

    assert index.records(keep=is_named) == [CLEAN, TRAIN, AGAIN, FAILED]
    assert asked == STEPS[::-1]
    asked.clear()
    assert index.records(keep=is_named, limit=2) == [AGAIN, FAILED]
    assert asked == [FAILED, AGAIN]
    assert index.records(keep=is_named, state=State.COMPLETE, limit=9) == [CLEAN, TRAIN, AGAIN]
    assert index.records(keep=lambda _: False) == []
    assert index.records(keep=lambda _: True, limit=0) == []


def test_what_was_changed_behind_the_back_of_the_copy_is_not_chosen_from(path: Path) -> None:
    first, other = step("out@1"), step("out@2")
    with closing(LineageIndex(None, write(path, first, SMALL))) as index:
        assert index.count() == 2
        before = path.stat()
        with path.open("r+b") as file:
            file.write(encode_record(other))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert {record.id for record in index.records(keep=lambda _: True)} == {other.id, SMALL.id}


def test_times_count_as_moments_whatever_their_digits(path: Path) -> None:
    early, late = (replace(SMALL, started=f"2026-11-23T13:00:00{part}Z") for part in ("", ".5"))
    with closing(LineageIndex(None, write(path, early, late))) as index:
        assert index.records(since=datetime(2026, 11, 23, 13, 0, 0, 200_000, tzinfo=UTC)) == [late]


def test_producers_and_consumers_of_a_version(index: LineageIndex) -> None:
    assert index.producers("data/clean", version("1")) == [CLEAN]
    assert index.producers("data/clean", version("2")) == []
    assert index.producers("elsewhere", version("1")) == []
    assert index.producers_of_version(version("1")) == [RAW, CLEAN, TRAIN]
    assert index.consumers("data/raw", version("1")) == [CLEAN]
    assert index.consumers("models/m", version("1")) == []


def test_a_use_of_a_part_is_one_of_the_part_and_of_its_dataset(index: LineageIndex) -> None:
    assert index.consumers("data/clean", version("1")) == [TRAIN, AGAIN, FAILED]
    assert index.consumers("data/clean/x.csv", artifact("data/clean:x.csv@1").version) == [AGAIN]


def test_a_part_that_was_made_counts_for_its_dataset(path: Path) -> None:
    made = step("data:a@1")
    with closing(LineageIndex(None, write(path, made))) as index:
        assert index.producers("data", version("1")) == [made]
        assert index.producers_of_version(version("1")) == [made]
        assert index.latest_producer("data") == made


def test_the_latest_producer_is_the_last_that_started_and_did_not_fail(index: LineageIndex) -> None:
    assert index.latest_producer("models/m") == AGAIN
    assert index.latest_producer("data/raw") == RAW
    assert index.latest_producer("models") is None


def test_the_order_of_the_file_does_not_say_which_record_is_the_latest(path: Path) -> None:
    early, late = step("out@1", at=1, key="k"), step("out@2", at=2, key="k")
    with closing(LineageIndex(None, write(path, late, early))) as index:
        assert index.latest_producer("out") == late
        assert index.by_key("k") == [late, early]


def test_a_cache_key_finds_complete_records_only(index: LineageIndex) -> None:
    assert index.by_key("k3") == [AGAIN]
    assert index.by_key("k9") == []
    assert index.by_key("") == []


def test_duplicates_count_once_at_their_first_place(path: Path) -> None:
    with closing(LineageIndex(None, write(path, CLEAN, TRAIN, CLEAN))) as index:
        assert index.records() == [CLEAN, TRAIN]
        assert index.producers("data/clean", version("1")) == [CLEAN]
        Journal(path).append(TRAIN)
        assert index.records() == [CLEAN, TRAIN]
        assert index.count() == 2


def test_damaged_lines_are_told_by_number_and_hide_nothing_else(path: Path) -> None:
    with closing(LineageIndex(None, write(path, CLEAN, b"<<<<<<< ours\n", b"\n", TRAIN, b'{"format":2}\n'))) as index:
        assert index.records() == [CLEAN, TRAIN]
        assert [(line.number, str(line.problem).partition(":")[0]) for line in index.problems()] == [
            *[(2, "line 2"), (5, "line 5")]
        ]


def test_texts_that_are_not_utf8_can_be_asked_for(path: Path) -> None:
    odd = replace(tagged(step("run \udcff@1", name="n\udcff"), **{"\udcff": "\udcfe"}), note="\ud800")
    with closing(LineageIndex(None, write(path, odd))) as index:
        assert index.records(name="n\udcff", path="run \udcff", tags={"\udcff": "\udcfe"}) == [odd]


def test_what_is_appended_is_seen_at_once(index: LineageIndex, path: Path) -> None:
    assert index.latest_producer("data/new") is None
    made = step("data/new@1", at=50)
    Journal(path).append(made)
    assert index.latest_producer("data/new") == made
    assert index.records() == [*STEPS, made]


def test_a_second_opening_answers_as_the_first(index: LineageIndex, path: Path, database: Path) -> None:
    assert index.count() == len(STEPS)
    Journal(path).append(FULL)
    with closing(LineageIndex(database, Journal(path))) as other:
        assert other.records() == [*STEPS, FULL]
    assert index.records() == [*STEPS, FULL]


def test_a_torn_line_that_is_written_to_its_end_becomes_a_record(path: Path) -> None:
    line = encode_record(TRAIN)
    with closing(LineageIndex(None, write(path, CLEAN, line[:-30]))) as index:
        assert (index.count(), [bad.number for bad in index.problems()]) == (1, [2])
        with path.open("ab") as file:
            file.write(line[-30:])
        assert (index.records(), index.problems()) == ([CLEAN, TRAIN], [])


def test_a_record_without_a_line_end_is_not_counted_twice_once_it_has_one(path: Path) -> None:
    journal = write(path, CLEAN, encode_record(TRAIN).rstrip())
    with closing(LineageIndex(None, journal)) as index:
        assert index.records() == [CLEAN, TRAIN]
        journal.append(AGAIN)
        assert index.records() == [CLEAN, TRAIN, AGAIN]
        assert index.consumers("data/clean", version("1")) == [TRAIN, AGAIN]
        assert index.latest_producer("models/m") == AGAIN


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([RAW, CLEAN], id="shorter"),
        pytest.param([FAILED, AGAIN, TRAIN, CLEAN, RAW], id="another order"),
        pytest.param([*STEPS, FULL], id="longer"),
        pytest.param([RAW, FULL, *STEPS[1:]], id="inserted"),
        pytest.param([], id="emptied"),
        pytest.param(STEPS, id="same"),
    ],
)
def test_a_file_that_git_replaced_is_read_anew(index: LineageIndex, path: Path, lines: list[Record]) -> None:
    assert index.records() == STEPS
    replace_file(path, *lines)
    assert index.records() == lines
    assert index.count() == len(lines)


def test_a_file_that_is_gone_leaves_no_answers_behind(index: LineageIndex, path: Path) -> None:
    assert index.count() == len(STEPS)
    path.unlink()
    assert (index.count(), index.records(), index.problems()) == (0, [], [])
    write(path, FULL)
    assert index.records() == [FULL]


def test_a_change_far_from_the_end_of_a_large_file_is_seen(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "BLOCK", 100)
    first, other = step("out@1"), step("out@2")
    with closing(LineageIndex(None, write(path, first, *STEPS))) as index:
        assert index.producers("out", version("1")) == [first]
        Journal(path).append(FULL)
        assert index.count() == len(STEPS) + 2
        replace_file(path, other, *STEPS, FULL, SMALL)
        assert index.producers("out", version("1")) == []
        assert index.records() == [other, *STEPS, FULL, SMALL]


def test_a_change_that_size_and_times_hide_is_seen_when_the_line_is_read(path: Path) -> None:
    first, other = step("out@1"), step("out@2")
    with closing(LineageIndex(None, write(path, first, SMALL))) as index:
        assert index.records() == [first, SMALL]
        before = path.stat()
        with path.open("r+b") as file:
            file.write(encode_record(other))
        # The clock of the file system may tick between the two: then the times tell.
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert index.records() == [other, SMALL]


def test_a_file_that_never_holds_still_is_an_error(index: LineageIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dver.records.index.os.pread", lambda *_: b"{}")
    with pytest.raises(LockedError, match="changes while it is being read"):
        index.records()


def test_many_lines_are_taken_in_by_batches(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "_BATCH_BYTES", 1000)
    monkeypatch.setattr(catalog, "_TEXTS_HELD", 3)
    monkeypatch.setattr(catalog, "_LARGE", 1000)
    many = [step(f"out{number % 7}@{number}", f"in{number % 5}@1", at=number) for number in range(60)]
    with closing(LineageIndex(None, write(path, *many, *many[:10]))) as index:
        assert index.records() == many
        assert index.latest_producer("out3") == many[59]
        assert index.consumers("in2", version("1")) == many[2::5]
        assert index.consumers("in2", version("1"))[:2] == [many[2], many[7]]
        assert len(index.records(tags={}, path="in2", limit=50)) == 12
        for record in many:
            Journal(path).append(replace(record, name="again"))
        assert len(index.consumers("in2", version("1"))) == 24


def test_the_copy_may_be_deleted_or_damaged_at_any_time(path: Path, database: Path) -> None:
    journal = write(path, *STEPS)
    for damage in (database.unlink, lambda: database.write_bytes(b"no database" * 1000)):
        with closing(LineageIndex(database, journal)) as index:
            assert index.records() == STEPS
        damage()
    with closing(LineageIndex(database, journal)) as index:
        assert index.records() == STEPS


def test_a_copy_of_another_schema_is_made_anew(path: Path, database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE records (other)")
        connection.execute("PRAGMA user_version = 99")
    with closing(LineageIndex(database, write(path, *STEPS))) as index:
        assert index.records() == STEPS


def test_a_lineage_file_that_is_a_link_is_refused(empty: LineageIndex, path: Path, tmp_path: Path) -> None:
    path.symlink_to(write(tmp_path / "other", CLEAN).path)
    with pytest.raises(PathError, match="is not a regular file"):
        empty.records()
