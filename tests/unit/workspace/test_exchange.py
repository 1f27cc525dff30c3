"""Exchanging the names of two files: both stay, or nothing happens."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dver.workspace.exchange import exchange


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    opened = os.open(tmp_path, os.O_RDONLY)
    yield opened
    os.close(opened)


def test_two_files_exchange_their_names(tmp_path: Path, fd: int) -> None:
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "b").write_bytes(b"b")

    if not exchange("a", fd, b"b", fd):
        pytest.skip("this system cannot exchange names")

    assert ((tmp_path / "a").read_bytes(), (tmp_path / "b").read_bytes()) == (b"b", b"a")


def test_nothing_happens_where_one_is_missing(tmp_path: Path, fd: int) -> None:
    (tmp_path / "a").write_bytes(b"a")

    assert not exchange("a", fd, b"b", fd)

    assert [path.name for path in tmp_path.iterdir()] == ["a"]
