"""The lineage file: records are appended whole, and whatever else is in it is reported by number and passed over."""

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest

from dver.errors import FormatError, PathError, UnsupportedFormatError
from dver.records.journal import Journal, Line, LineReader
from dver.records.record import MAX_LINE, Record, encode_record
from tests.unit.records.samples import FULL, SMALL, write


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lineage.jsonl"


@pytest.fixture
def journal(path: Path) -> Journal:
    return Journal(path)


def records(journal: Journal) -> list[Record | None]:
    return [line.record for line in journal.read()]


def problems(journal: Journal) -> list[str]:
    return [str(line.problem) for line in journal.read() if line.problem]


def test_no_file_has_no_lines(journal: Journal) -> None:
    assert list(journal.read()) == []


def test_appended_records_are_read_in_their_order(journal: Journal, path: Path) -> None:
    assert [journal.append(FULL), journal.append(SMALL)] == [FULL.id, SMALL.id]
    first, second = (len(encode_record(record)) for record in (FULL, SMALL))
    assert list(journal.read()) == [Line(1, 0, first, FULL, None), Line(2, first, second, SMALL, None)]
    assert path.read_bytes() == encode_record(FULL) + encode_record(SMALL)


def test_a_torn_end_costs_one_line_and_is_not_changed(journal: Journal, path: Path) -> None:
    torn = encode_record(FULL)[:-20]
    path.write_bytes(encode_record(SMALL) + torn)
    journal.append(FULL)
    assert path.read_bytes() == encode_record(SMALL) + torn + b"\n" + encode_record(FULL)
    assert records(journal) == [SMALL, None, FULL]
    assert problems(journal) == ["line 2: is not JSON"]


def test_a_last_line_that_only_lacks_its_end_is_a_record(journal: Journal, path: Path) -> None:
    path.write_bytes(encode_record(SMALL).rstrip())
    assert records(journal) == [SMALL]
    journal.append(FULL)
    assert records(journal) == [SMALL, FULL]


def test_damaged_lines_are_reported_by_number_and_spoil_no_other(path: Path) -> None:
    journal = write(path, SMALL, b"\n", b"<<<<<<< ours\n", FULL, b'{"format":2}\n', b" \t\r\n", b"\0\n", SMALL)
    assert [(line.number, type(line.problem)) for line in journal.read() if line.problem] == [
        *[(3, FormatError), (5, UnsupportedFormatError), (7, FormatError)]
    ]
    assert problems(journal)[0] == "line 3: is not JSON"
    assert [line.number for line in journal.read() if line.record] == [1, 4, 8]


def test_offsets_lead_to_their_lines(path: Path) -> None:
    journal = write(path, b"\r\n", SMALL, b"x" * (MAX_LINE + 5) + b"\n", b"damaged\n", FULL)
    for line in journal.read():
        assert next(journal.read(line.offset, number=line.number))._replace(problem=None) == line._replace(problem=None)
    assert sum(line.length for line in journal.read()) == path.stat().st_size - 2


def test_windows_line_ends_are_read(path: Path) -> None:
    journal = write(path, encode_record(SMALL)[:-1] + b"\r\n", encode_record(FULL)[:-1] + b"\r\n")
    assert records(journal) == [SMALL, FULL]


def test_duplicates_are_lines_like_any_other(path: Path) -> None:
    assert records(write(path, SMALL, SMALL)) == [SMALL, SMALL]


@pytest.mark.parametrize("end", [b"\n", b""])
def test_a_line_that_is_too_long_is_passed_over(path: Path, end: bytes) -> None:
    journal = write(path, SMALL, b"x" * (2 * MAX_LINE + 1) + b"\n", FULL, b"y" * (MAX_LINE + 1) + end)
    assert problems(journal) == [f"line {number}: is too long for a lineage record" for number in (2, 4)]
    assert [line.number for line in journal.read()] == [1, 2, 3, 4]


def test_the_longest_line_is_written_and_read(journal: Journal) -> None:
    room = MAX_LINE - len(encode_record(replace(SMALL, note="x"))) + 1
    longest = replace(SMALL, note="x" * room)
    journal.append(longest)
    assert records(journal) == [longest]
    with pytest.raises(FormatError):
        journal.append(replace(SMALL, note="x" * (room + 1)))
    assert records(journal) == [longest]


def test_a_reader_stops_at_the_size_that_the_file_had(path: Path) -> None:
    journal = write(path, SMALL)
    with journal.opened() as file:
        assert file is not None
        reader = LineReader(file)
        journal.append(FULL)
        assert [line.text for line in reader] == [encode_record(SMALL).rstrip()]
        assert (reader.offset, reader.number) == (len(encode_record(SMALL)), 2)


def test_a_reader_goes_back_to_where_a_line_without_an_end_begins(path: Path) -> None:
    with write(path, SMALL, b"torn").opened() as file:
        assert file is not None
        reader = LineReader(file)
        assert [line.number for line in reader] == [1, 2]
        assert (reader.offset, reader.number) == (len(encode_record(SMALL)), 2)


@pytest.mark.parametrize("kind", ["link", "dangling", "folder", "pipe"])
def test_only_a_regular_file_is_opened(journal: Journal, path: Path, tmp_path: Path, kind: str) -> None:
    target = tmp_path / "elsewhere"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(target)
    if kind == "link":
        target.write_bytes(b"mine")
    with pytest.raises(PathError, match=r"lineage.jsonl: is not a regular file"):
        journal.append(SMALL)
    with pytest.raises(PathError, match=r"lineage.jsonl: is not a regular file"):
        list(journal.read())
    assert not target.exists() or target.read_bytes() == b"mine"


def test_a_folder_that_is_missing_is_an_error_of_the_path(tmp_path: Path) -> None:
    with pytest.raises(PathError, match="cannot be written: No such file"):
        Journal(tmp_path / "no" / "lineage.jsonl").append(SMALL)


def test_a_failed_write_leaves_nothing_behind(journal: Journal, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal.append(SMALL)

    def full(fd: int, pieces: list[bytes]) -> None:
        os.write(fd, pieces[0][:10])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("dver.records.journal.write_all", full)
    with pytest.raises(PathError, match="cannot be written: No space left"):
        journal.append(FULL)
    assert path.read_bytes() == encode_record(SMALL)


def test_a_file_that_fails_to_read_is_an_error_of_the_path(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    journal.append(SMALL)

    def fail(*_: object) -> int:
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("dver.records.journal.os.open", fail)
    with pytest.raises(PathError, match="cannot be read: Permission denied"):
        list(journal.read())
