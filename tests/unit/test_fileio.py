"""Files that appear whole or not at all."""

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path

import pytest

from dver.fileio import (
    TEMPORARY_PREFIX,
    IrregularFileError,
    read_regular,
    sync_directory,
    temporary_name,
    write_all,
    write_atomically,
)


def write_and_read(path: Path, pieces: Sequence[bytes | bytearray | memoryview]) -> bytes:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        write_all(fd, pieces)
    finally:
        os.close(fd)
    return path.read_bytes()


def test_a_file_holds_what_was_written(tmp_path: Path) -> None:
    write_atomically(tmp_path / "file", b"content")
    assert (tmp_path / "file").read_bytes() == b"content"
    assert os.listdir(tmp_path) == ["file"]


def test_an_existing_file_is_replaced_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with path.open("rb") as held:
        write_atomically(path, b"new")
        assert held.read() == b"old"
    assert path.read_bytes() == b"new"


def test_the_mode_is_subject_to_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "default", b"")
        write_atomically(tmp_path / "secret", b"", mode=0o600)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "default").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


def test_a_link_is_replaced_and_what_it_points_to_stays(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"old")
    (tmp_path / "link").symlink_to("target")
    write_atomically(tmp_path / "link", b"new")
    assert (tmp_path / "target").read_bytes() == b"old"
    assert not (tmp_path / "link").is_symlink()


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "file"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "missing" / "file", b"")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError):
        write_atomically(tmp_path / "file" / "below", b"")


def test_pieces_are_written_one_after_the_other(tmp_path: Path) -> None:
    pieces: list[bytes | bytearray | memoryview] = [b"", b"one", bytearray(b"two"), memoryview(b"three")[1:], b""]
    assert write_and_read(tmp_path / "file", pieces) == b"onetwohree"
    assert write_and_read(tmp_path / "empty", []) == b""


def test_buffers_of_wide_items_are_written_whole(tmp_path: Path) -> None:
    assert (
        write_and_read(tmp_path / "file", [memoryview(bytes(range(16))).cast("Q"), b"end"]) == bytes(range(16)) + b"end"
    )


def test_more_pieces_than_the_kernel_takes_at_once_are_written(tmp_path: Path) -> None:
    pieces = [str(number).encode() for number in range(5000)]
    assert write_and_read(tmp_path / "file", pieces) == b"".join(pieces)


@pytest.mark.parametrize("most", [1, 2, 3, 7])
def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    def short_writev(fd: int, buffers: Sequence[memoryview]) -> int:
        return os.write(fd, b"".join(buffers)[:most])

    monkeypatch.setattr(os, "writev", short_writev)
    pieces = [b"a", b"bcd", b"", b"efghijk", b"lm", b"n"]
    assert write_and_read(tmp_path / "file", pieces) == b"abcdefghijklmn"


def test_temporary_names_differ_and_are_known_by_their_prefix() -> None:
    names = {temporary_name() for _ in range(100)}
    assert len(names) == 100
    assert all(name.startswith(TEMPORARY_PREFIX) and "/" not in name for name in names)


def test_a_directory_is_flushed(tmp_path: Path) -> None:
    sync_directory(tmp_path)
    with pytest.raises(FileNotFoundError):
        sync_directory(tmp_path / "missing")


@pytest.mark.parametrize(("code", "raised"), [(errno.EINVAL, False), (errno.ENOTSUP, False), (errno.EIO, True)])
def test_only_file_systems_that_cannot_flush_directories_are_excused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, raised: bool
) -> None:
    def fail(fd: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail)
    if raised:
        with pytest.raises(OSError, match=os.strerror(code)):
            sync_directory(tmp_path)
    else:
        sync_directory(tmp_path)


def test_a_file_is_read_up_to_what_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    assert read_regular(tmp_path / "file", 3) == b"con"
    assert read_regular(tmp_path / "file", 100) == b"content"


@pytest.mark.timeout(20)
def test_what_is_no_file_is_not_read_nor_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "to-pipe").symlink_to("pipe")
    (tmp_path / "to-device").symlink_to("/dev/zero")
    for name in ("pipe", "folder", "link", "to-pipe", "to-device"):
        with pytest.raises(IrregularFileError):
            read_regular(tmp_path / name, 10)
    assert read_regular(tmp_path / "link", 10, follow=True) == b"content"
    for name in ("to-pipe", "to-device"):
        with pytest.raises(IrregularFileError):
            read_regular(tmp_path / name, 10, follow=True)
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "none", 10)
