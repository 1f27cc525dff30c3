"""The disk that forgets does forget: tests of what the other tests stand on."""

import os
from pathlib import Path

import pytest

from tests.faults.unsynced import Disk, lose_power, read_disk


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    """The disk below `tmp_path / "top"`, in which there is a file with some text, all of it durable."""
    (tmp_path / "kept").mkdir()
    (tmp_path / "top" / "folder").mkdir(parents=True)
    (tmp_path / "top" / "file").write_text("old")
    return Disk(str(tmp_path / "top"), str(tmp_path / "kept"))


def put(disk: Disk, name: str, text: str, *, flush: bool) -> None:
    """Write a file under another name and rename it into place."""
    path = os.path.join(disk.top, name)
    temporary = f"{path}.new"
    disk.changes([temporary])
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT)
    disk.writes(fd, 0)
    os.write(fd, text.encode())
    if flush:
        disk.syncs(fd)
    os.close(fd)
    disk.changes([temporary, path])
    os.replace(temporary, path)


def flush_folder(disk: Disk, name: str) -> None:
    fd = os.open(os.path.join(disk.top, name), os.O_RDONLY)
    disk.syncs(fd)
    os.close(fd)


def after_the_cut(disk: Disk, seed: int = 0) -> dict[str, str]:
    """Lose what is not durable, and return the files that are left."""
    file = Path(disk.kept) / "disk"
    disk.save(file)
    top = Path(disk.top)
    lose_power(*read_disk(file), top, seed)
    return {str(path.relative_to(top)): path.read_text() for path in top.rglob("*") if path.is_file()}


def test_what_was_flushed_stays(disk: Disk) -> None:
    put(disk, "file", "new", flush=True)
    flush_folder(disk, "")
    assert after_the_cut(disk) == {"file": "new"}


def test_content_that_was_not_flushed_goes(disk: Disk) -> None:
    put(disk, "file", "new", flush=False)
    flush_folder(disk, "")
    assert after_the_cut(disk) == {"file": ""}


def test_a_name_whose_folder_was_not_flushed_goes_as_a_whole(disk: Disk) -> None:
    put(disk, "file", "new", flush=True)
    flush_folder(disk, "folder")
    assert after_the_cut(disk) == {"file": "old"}


def test_a_deleted_file_whose_folder_was_not_flushed_is_there_again(disk: Disk) -> None:
    disk.changes([os.path.join(disk.top, "file")])
    os.unlink(os.path.join(disk.top, "file"))
    assert after_the_cut(disk) == {"file": "old"}


def test_a_folder_that_goes_takes_with_it_what_is_in_it(disk: Disk) -> None:
    made = os.path.join(disk.top, "folder", "made")
    disk.changes([made])
    os.mkdir(made)
    put(disk, "folder/made/file", "new", flush=True)
    flush_folder(disk, "folder/made")
    assert after_the_cut(disk) == {"file": "old"}


def test_a_part_may_stay_of_what_nobody_flushed(disk: Disk) -> None:
    for name in "abcdefgh":
        put(disk, name, "new", flush=True)
    left = after_the_cut(disk, seed=3)
    assert 0 < len([name for name in left if name in "abcdefgh"]) < 8
