"""Reading a file that may change meanwhile: what is returned is one state of it, or nothing is."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dver.errors import PathError, UnstableFileError
from dver.workspace.reading import ATTEMPTS, read_at, read_link, read_stably, read_whole
from dver.workspace.statcache import TICK_NS

OLD, NEW = b"old " * 1000, b"new " * 1000


class Disturbed:
    """Reads a file's first half, then lets somebody change the file, then reads the rest."""

    def __init__(self, change: Callable[[], object], times: int) -> None:
        self._change = change
        self._times = times
        self.calls = 0

    def __call__(self, fd: int, found: os.stat_result) -> bytes:
        self.calls += 1
        half = found.st_size // 2
        first = read_at(fd, 0, half)
        if self.calls <= self._times:
            self._change()
        return first + read_at(fd, half, found.st_size - half)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "file"
    file.write_bytes(OLD)
    return file


def read(path: Path, how: Callable[[int, os.stat_result], bytes] = read_whole) -> bytes:
    return read_stably(os.fsencode(path), str(path), how)[0]


def overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(NEW)


def overwrite_and_set_back_the_time(path: Path) -> None:
    found = path.stat()
    overwrite(path)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(NEW)
    other.replace(path)


def truncate_and_write(path: Path) -> None:
    path.write_bytes(b"short")


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


@pytest.mark.parametrize(
    ("change", "result"),
    [
        (overwrite, NEW),
        (overwrite_and_set_back_the_time, NEW),
        (replace, NEW),
        (truncate_and_write, b"short"),
        (append, OLD + b"more"),
    ],
)
def test_a_file_that_changes_once_is_read_again(path: Path, change: Callable[[Path], None], result: bytes) -> None:
    reader = Disturbed(lambda: change(path), 1)

    assert read(path, reader) == result
    assert reader.calls == 2


@pytest.mark.parametrize("change", [overwrite, overwrite_and_set_back_the_time, replace, append])
def test_a_file_that_keeps_changing_is_refused(path: Path, change: Callable[[Path], None]) -> None:
    reader = Disturbed(lambda: change(path), ATTEMPTS)

    with pytest.raises(UnstableFileError, match="changed while it was being read") as caught:
        read(path, reader)

    assert caught.value.path == str(path)
    assert caught.value.hint


def test_a_file_that_shrinks_each_time_is_refused(path: Path) -> None:
    def shrink() -> None:
        os.truncate(path, path.stat().st_size // 3)

    with pytest.raises(UnstableFileError):
        read(path, Disturbed(shrink, ATTEMPTS))


def test_a_file_that_vanishes_while_it_is_read_is_refused(path: Path) -> None:
    with pytest.raises(UnstableFileError):
        read(path, Disturbed(path.unlink, 1))


def test_a_file_that_is_not_there_is_refused(path: Path) -> None:
    path.unlink()

    with pytest.raises(UnstableFileError):
        read(path)


def test_the_reading_begins_a_clear_tick_after_the_last_write(path: Path) -> None:
    path.write_bytes(NEW)

    _, found, began = read_stably(os.fsencode(path), str(path), read_whole)

    assert began > max(found.st_mtime_ns, found.st_ctime_ns) + TICK_NS


def test_a_file_that_is_written_while_it_settles_is_not_read_yet(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A second write in the tick of the first would leave the same stat, before the reading and after.
    waits: list[float] = []
    calls: list[int] = []
    real_sleep = time.sleep

    def busy_sleep(seconds: float) -> None:
        waits.append(seconds)
        real_sleep(seconds)
        if len(waits) == 1:
            overwrite(path)

    monkeypatch.setattr(time, "sleep", busy_sleep)

    def counting(fd: int, found: os.stat_result) -> bytes:
        calls.append(len(waits))
        return read_whole(fd, found)

    path.write_bytes(OLD)

    assert read(path, counting) == NEW
    assert calls == [2]


def test_where_times_are_whole_seconds_the_wait_is_longer(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    now = time.time_ns()
    second = now // 10**9 * 10**9
    real_fstat = os.fstat

    def coarse(fd: int) -> os.stat_result:
        found = real_fstat(fd)
        return os.stat_result(list(found), {"st_mtime_ns": second, "st_ctime_ns": second, "st_atime_ns": 0})

    monkeypatch.setattr(time, "sleep", waits.append)
    monkeypatch.setattr(os, "fstat", coarse)

    assert read(path) == OLD
    assert 1 < waits[0] < 3


def test_a_link_is_not_followed(path: Path) -> None:
    link = path.with_name("link")
    link.symlink_to(path)

    with pytest.raises(PathError):
        read(link)


def test_a_named_pipe_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(UnstableFileError):
        read(tmp_path / "pipe")


def test_a_failing_disk_is_named(path: Path) -> None:
    def fail(_fd: int, _found: os.stat_result) -> bytes:
        raise OSError(5, "Input/output error")

    with pytest.raises(PathError, match="cannot be read: Input/output error"):
        read(path, fail)


def test_short_reads_are_completed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real_pread = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, length, offset: real_pread(fd, min(length, 7), offset))

    assert read(path) == OLD


def test_a_link_that_became_a_file_is_refused(path: Path) -> None:
    with pytest.raises(UnstableFileError):
        read_link(os.fsencode(path))
