"""How sizes, counts, paths and tables are put."""

import os

import pytest

from dver.cli.counter import Counter
from dver.cli.wording import count_text, escape_text, path_json, path_text, size_text, table_lines


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (1023, "1,023 bytes"),
        (1024, "1.0 KiB"),
        (10_188, "9.9 KiB"),
        (10_235, "10 KiB"),
        (1_048_063, "1023 KiB"),
        (1_048_575, "1.0 MiB"),
        (1_288_490_189, "1.2 GiB"),
        (1 << 62, "4.0 EiB"),
    ],
)
def test_sizes(size: int, text: str) -> None:
    assert size_text(size) == text


def test_counts() -> None:
    assert [count_text(count, "file") for count in (0, 1, 1204)] == ["0 files", "1 file", "1,204 files"]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("plain/name", "plain/name"),
        ("with space", "with space"),
        ("grün/中", "grün/中"),
        ("back\\slash", "back\\slash"),
        ("new\nline", '"new\\nline"'),
        ("tab\there", '"tab\\there"'),
        ("\x1b[31m", '"\\x1b[31m"'),
        ("both\\\n", '"both\\\\\\n"'),
        ('quo"te', '"quo\\"te"'),
        (" edge", '" edge"'),
        ("folder/ edge", '"folder/ edge"'),
        ("folder /edge", '"folder /edge"'),
        ("", '""'),
        (os.fsdecode(b"bad\xff"), '"bad\\xff"'),
        ("cod\u202eexe", '"cod\\u202eexe"'),
        ("क्\u200dष", "क्\u200dष"),
    ],
)
def test_paths(name: str, shown: str) -> None:
    assert path_text(name) == shown


def test_paths_for_programs_are_text() -> None:
    assert path_json(os.fsdecode(b"a\xffb\nc")) == "a\\xffb\nc"


def test_text_is_kept_on_one_line() -> None:
    assert escape_text("a\rb\x00") == "a\\rb\\x00"


def test_tables_align_and_leave_out_empty_columns() -> None:
    assert list(table_lines([["a", "", "1"], ["中中", "", "22"], ["ccc", "", "x"]], "<<>")) == [
        "a      1",
        "中中  22",
        "ccc    x",
    ]


def test_a_very_wide_cell_moves_nothing_on_other_lines() -> None:
    wide = "w" * 200
    assert list(table_lines([["a", "1"], [wide, "2"], ["ccc", "3"]], "<<")) == ["a    1", f"{wide}  2", "ccc  3"]
    assert list(table_lines([[wide, "2"]], "<<")) == [f"{wide}  2"]


def test_a_counter_tells_amount_pace_and_time_left() -> None:
    counter = Counter("storing", expected_bytes=0, expected_files=0)
    assert counter.measure(0.0).total is None
    counter.expect(bytes=10 * 1024, files=4)
    counter.advance(bytes=2048, files=1)
    found = counter.measure(1.0)
    assert (found.done, found.total) == (2048, 10240)
    assert found.amount == "2.0 KiB of 10 KiB, 1 of 4 files"
    assert found.rate == "2.0 KiB/s"
    assert found.left == "0:04 left"
    counter.advance(bytes=8192, files=3)
    found = counter.measure(2.0)
    assert (found.amount, found.left) == ("10 KiB, 4 files", "")


def test_a_counter_goes_by_files_where_no_size_is_known() -> None:
    counter = Counter("comparing", expected_bytes=0, expected_files=7200)
    counter.measure(0.0)
    counter.advance(files=1)
    found = counter.measure(1.0)
    assert (found.done, found.total, found.amount) == (1, 7200, "1 of 7,200 files")
    assert found.left == "1:59:59 left"
