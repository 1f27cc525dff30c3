"""A list that may be longer than memory."""

import os
from pathlib import Path

import pytest

from dver.errors import DverError
from dver.spool import Spool

MANY = 30_000


def items(count: int) -> list[tuple[bytes, int, str | None]]:
    return [(b"path/%d" % number, number << 40, None if number % 3 else "text") for number in range(count)]


@pytest.mark.parametrize("count", [0, 1, 1023, 1024, 1025, MANY])
def test_what_was_added_is_read_in_order_as_often_as_wanted(tmp_path: Path, count: int) -> None:
    with Spool(tmp_path) as spool:
        for item in items(count):
            spool.append(item)

        assert len(spool) == count
        assert list(spool) == items(count)
        assert list(spool) == items(count)


def test_two_may_read_at_the_same_time() -> None:
    with Spool() as spool:
        for item in items(5000):
            spool.append(item)

        assert list(zip(spool, spool, strict=True)) == [(item, item) for item in items(5000)]


def test_a_long_list_is_in_a_file_without_a_name(tmp_path: Path) -> None:
    def open_files() -> set[str]:
        links = (f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd"))
        return {os.readlink(link) for link in links if os.path.lexists(link)}

    with Spool(tmp_path) as spool:
        for item in items(MANY):
            spool.append(item)

        assert any(name.startswith(f"{tmp_path}/") for name in open_files())
        assert os.listdir(tmp_path) == []
    assert not any(name.startswith(f"{tmp_path}/") for name in open_files())


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    def fill(spool: Spool) -> None:
        for item in items(MANY):
            spool.append(item)

    with Spool(tmp_path / "gone") as spool, pytest.raises(DverError, match="gone"):
        fill(spool)
