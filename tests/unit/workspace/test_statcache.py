"""The stat cache: when a row may be trusted, and what is kept for a dataset."""

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dver.objects.ids import VersionId
from dver.workspace import statcache
from dver.workspace.choice import Choice, Rule
from dver.workspace.statcache import (
    COARSE_TICK_NS,
    TICK_NS,
    UNCHECKED,
    WITHOUT_READING,
    Base,
    Fingerprint,
    Row,
    StatCache,
    clock_tick,
    count_files,
    is_trusted,
    make_row,
)
from dver.workspace.walk import FileType

FIRST, SECOND = (Base(VersionId(byte * 32), None) for byte in (b"1", b"2"))
ROW = Row(0, 1, 2, 3, 4, 5, 0)


@pytest.fixture
def cache(tmp_path: Path) -> StatCache:
    return StatCache(tmp_path / "state.db")


def settled_file(folder: Path, *, age_ns: int = 10 * COARSE_TICK_NS) -> os.stat_result:
    path = folder / "file"
    path.write_bytes(b"12345")
    now = time.time_ns()
    os.utime(path, ns=(now - age_ns, now - age_ns))
    return path.stat()


def with_fields(found: os.stat_result, **changed: int) -> os.stat_result:
    """Return a stat with other values; only the fields that dver looks at are kept exact."""
    fields = {name: getattr(found, name) for name in ("st_mtime_ns", "st_ctime_ns", "st_size", "st_ino")} | changed
    template = list(found)
    template[6], template[1] = fields["st_size"], fields["st_ino"]
    times = {name: fields[name] for name in ("st_mtime_ns", "st_ctime_ns")}
    return os.stat_result(template, {**times, "st_atime_ns": 0})


def test_a_row_is_trusted_while_nothing_changes(folder: Path) -> None:
    found = settled_file(folder)

    assert is_trusted(make_row(FileType.FILE, found, time.time_ns() + TICK_NS * 2), FileType.FILE, found)


@pytest.mark.parametrize("field", ["st_mtime_ns", "st_ctime_ns", "st_size", "st_ino"])
def test_any_sign_of_change_ends_trust(folder: Path, field: str) -> None:
    found = settled_file(folder)
    row = make_row(FileType.FILE, found, WITHOUT_READING)

    assert not is_trusted(row, FileType.FILE, with_fields(found, **{field: getattr(found, field) + 1}))
    assert not is_trusted(row, FileType.FILE, with_fields(found, **{field: getattr(found, field) - 1}))
    assert not is_trusted(row, FileType.LINK, found)
    assert is_trusted(row, FileType.FILE, with_fields(found))


@given(
    latest=st.integers(10**18, 2 * 10**18),
    earlier=st.integers(0, 10**10),
    after=st.integers(-COARSE_TICK_NS, 2 * COARSE_TICK_NS),
    mtime_is_latest=st.booleans(),
)
def test_a_row_made_within_a_tick_of_the_last_write_is_never_trusted(
    latest: int, earlier: int, after: int, mtime_is_latest: bool
) -> None:
    times = (latest, latest - earlier) if mtime_is_latest else (latest - earlier, latest)
    found = os.stat_result([0] * 10, {"st_mtime_ns": times[0], "st_ctime_ns": times[1], "st_atime_ns": 0})
    row = make_row(FileType.FILE, found, latest + after)

    assert is_trusted(row, FileType.FILE, found) == (after > clock_tick(*times))


def test_file_systems_that_count_seconds_are_given_seconds() -> None:
    whole = 1_700_000_000_000_000_000

    assert clock_tick(whole, whole) == COARSE_TICK_NS
    assert clock_tick(whole, whole + 1) == TICK_NS
    # An archive sets a modification time of whole seconds on a fine file system.
    assert clock_tick(whole - 10**9, whole + 123) == TICK_NS


def test_unchecked_rows_are_never_trusted_and_sizes_always(folder: Path) -> None:
    found = settled_file(folder, age_ns=0)

    assert not is_trusted(make_row(FileType.FILE, found, UNCHECKED), FileType.FILE, found)
    assert is_trusted(make_row(FileType.FILE, found, WITHOUT_READING, differs=True), FileType.FILE, found)


def test_nothing_is_known_of_a_new_dataset(cache: StatCache) -> None:
    assert cache.base("data") is None
    assert cache.rows("data") == {}


def test_base_and_rows_are_kept_across_openings(tmp_path: Path, cache: StatCache) -> None:
    rows = {b"a": ROW, b"\xff/\n": ROW._replace(differs=1), b"": ROW}
    cache.rebase("data", Base(FIRST.version, Choice.of_paths((b"sub", b"\xff"))), rows)
    cache.close()

    again = StatCache(tmp_path / "state.db")

    assert again.base("data") == Base(FIRST.version, Choice.of_paths((b"sub", b"\xff")))
    assert again.rows("data") == rows
    assert again.rows("other") == {}


@pytest.mark.parametrize("parts", [None, (), (b"a",), (b"a", b"b\n")])
def test_parts_come_back_as_they_were(cache: StatCache, parts: tuple[bytes, ...] | None) -> None:
    cache.rebase("data", Base(FIRST.version, None if parts is None else Choice.of_paths(parts)), {})

    base = cache.base("data")

    assert base is not None
    assert base.parts == parts


def test_a_choice_comes_back_as_it_was(cache: StatCache) -> None:
    rules = (Rule(True, b"", "*.csv"), Rule(False, b"sub"), Rule(True, b"", "\udcff\n"), Rule(True, b"\xff"))
    cache.rebase("data", Base(FIRST.version, Choice(rules)), {})

    assert cache.base("data") == Base(FIRST.version, Choice(rules))


def test_counts_rows_without_those_of_a_kind(cache: StatCache) -> None:
    cache.rebase("data", FIRST, {b"a": ROW, b"b": ROW, b"c": ROW._replace(kind=FileType.DIRECTORY)})
    cache.rebase("other", FIRST, {b"a": ROW})

    assert cache.row_count("data", without_kind=FileType.DIRECTORY) == 2
    assert cache.row_count("unknown", without_kind=FileType.DIRECTORY) == 0


def test_a_new_base_drops_the_rows_of_the_old_unless_they_still_hold(cache: StatCache) -> None:
    cache.rebase("data", FIRST, {b"a": ROW, b"b": ROW})
    cache.rebase("data", SECOND, {b"c": ROW}, removed=[b"b"], keep_rows=True)
    assert cache.rows("data") == {b"a": ROW, b"c": ROW}

    cache.rebase("data", FIRST, {b"d": ROW})
    assert cache.rows("data") == {b"d": ROW}
    assert cache.base("data") == FIRST


def test_what_was_learnt_about_another_base_is_not_kept(cache: StatCache) -> None:
    cache.rebase("data", FIRST, {b"a": ROW})
    cache.rebase("data", SECOND, {b"a": ROW})

    cache.update("data", FIRST, {b"a": ROW._replace(differs=1)})
    assert cache.rows("data") == {b"a": ROW}

    cache.update("data", SECOND, {b"a": ROW._replace(differs=1)})
    assert cache.rows("data") == {b"a": ROW._replace(differs=1)}

    cache.update("unknown", SECOND, {b"a": ROW})
    assert cache.base("unknown") is None


def test_a_dataset_is_forgotten_with_its_rows(cache: StatCache) -> None:
    cache.rebase("data", FIRST, {b"a": ROW})
    cache.rebase("other", FIRST, {b"b": ROW})

    cache.forget("data")
    cache.forget("never known")

    assert cache.base("data") is None
    assert cache.rows("data") == {}
    assert cache.rows("other") == {b"b": ROW}


def test_a_renamed_dataset_keeps_what_is_known_and_replaces_what_was_there(cache: StatCache) -> None:
    cache.rebase("old", FIRST, {b"a": ROW})
    cache.rebase("new", SECOND, {b"b": ROW})

    cache.rename("old", "new")

    assert (cache.base("old"), cache.base("new")) == (None, FIRST)
    assert cache.rows("new") == {b"a": ROW}


def test_datasets_may_have_names_that_are_not_utf8(cache: StatCache) -> None:
    cache.rebase("bad\udcff", FIRST, {b"a": ROW})

    assert cache.base("bad\udcff") == FIRST
    assert cache.rows("bad\udcff") == {b"a": ROW}


def test_lists_the_bases_of_all_datasets(cache: StatCache) -> None:
    part = Base(VersionId(b"3" * 32), Choice.of_paths((b"a", b"b")))
    odd = os.fsdecode(b"bad\xff")
    assert cache.bases() == {}
    cache.rebase("b", FIRST, {})
    cache.rebase("a/deep", part, {b"x": ROW})
    cache.rebase(odd, SECOND, {})
    assert cache.bases() == {"a/deep": part, "b": FIRST, odd: SECOND}
    cache.forget("b")
    assert list(cache.bases()) == ["a/deep", odd]


def test_a_fingerprint_of_a_folder_goes_with_any_row_in_it_and_with_the_base(cache: StatCache) -> None:
    rows = {b"a": ROW, b"sub/b": ROW, b"sub/deep/c": ROW}
    marks = {b"": b"1", b"sub/": b"2", b"sub/deep/": b"3"}
    cache.rebase("data", FIRST, rows)
    cache.update("data", SECOND, {}, marks)
    assert cache.folders("data") == {}
    cache.update("data", FIRST, {}, marks)
    assert cache.folders("data") == marks
    assert cache.folders("other") == {}

    cache.update("data", FIRST, {b"sub/b": ROW})
    assert cache.folders("data") == {b"": b"1", b"sub/deep/": b"3"}
    cache.rebase("data", SECOND, {}, removed=[b"a"], keep_rows=True)
    assert cache.folders("data") == {b"sub/deep/": b"3"}
    cache.rename("data", "moved")
    assert cache.folders("moved") == {b"sub/deep/": b"3"}
    cache.rebase("moved", FIRST, rows)
    assert cache.folders("moved") == {}


@pytest.mark.parametrize(
    ("prefix", "found"), [(b"", {b"a", b"sub/b", b"sub/deep/c", b"sub0"}), (b"sub/", {b"sub/b", b"sub/deep/c"})]
)
def test_rows_are_found_by_what_their_paths_begin_with(cache: StatCache, prefix: bytes, found: set[bytes]) -> None:
    cache.rebase("data", FIRST, {path: ROW for path in (b"a", b"sub/b", b"sub/deep/c", b"sub0")})

    assert cache.rows("data", prefix).keys() == found


def test_rows_are_found_between_paths(cache: StatCache) -> None:
    paths = [b"", b"a", b"sub/b", b"sub/deep/c", b"sub0", b"\xff"]
    cache.rebase("data", FIRST, dict.fromkeys(paths, ROW))
    cache.rebase("other", FIRST, {b"sub/x": ROW})

    def between(*ranges: tuple[bytes, bytes]) -> list[bytes]:
        return sorted(path for some in cache.rows_between("data", ranges) for path in some)

    assert between((b"", b"\xff\xff")) == paths
    assert between((b"sub/", b"sub0")) == [b"sub/b", b"sub/deep/c"]
    assert between((b"", b"sub/"), (b"sub/deep/", b"sub/deep0"), (b"sub0", b"t")) == [b"", b"a", b"sub/deep/c", b"sub0"]
    assert between(*((b"%05d" % low, b"%05d" % (low + 1)) for low in range(600)), (b"a", b"b")) == [b"a"]
    assert between() == []
    assert not any(cache.rows_between("unknown", [(b"", b"z")]))
    assert sorted(cache.paths("data")) == paths


def fingerprint(names: str, stats: list[os.stat_result], folders: str) -> bytes:
    made = Fingerprint()
    made.add([name.encode() for name in names], stats)
    return made.finish([name.encode() for name in folders])


def test_the_fingerprint_of_a_folder_is_that_of_names_and_stats_and_has_their_number(folder: Path) -> None:
    found = settled_file(folder)
    mark = fingerprint("ab", [found, found], "xy")

    assert fingerprint("ab", [found, found], "xy") == mark
    others = [
        fingerprint("a", [found], "xy"),
        fingerprint("ac", [found, found], "xy"),
        fingerprint("ab", [found, found], "x"),
        *(
            fingerprint("ab", [found, with_fields(found, **{field: 1})], "xy")
            for field in ("st_mtime_ns", "st_ctime_ns", "st_size", "st_ino")
        ),
    ]
    assert len({mark, *others}) == 8
    assert [count_files(each) for each in (mark, others[0], others[2])] == [2, 1, 2]


def test_a_fingerprint_of_an_older_dver_has_no_number() -> None:
    assert count_files(b"8 bytes.") == 0


def test_rows_come_in_the_order_of_their_paths(cache: StatCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statcache, "_ROWS_AT_ONCE", 2)
    paths = [b"", b"a", b"a.b", b"a/b", b"a/b\0", b"a0", b"\xff"]
    cache.rebase("data", FIRST, [(path, ROW._replace(size=len(path))) for path in reversed(paths)])
    cache.rebase("other", FIRST, {b"a/c": ROW})

    assert [path for path, _ in cache.rows_in_order("data")] == paths
    assert dict(cache.rows_in_order("data")) == cache.rows("data")
    assert list(cache.rows_in_order("none")) == []
