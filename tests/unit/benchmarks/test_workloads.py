"""The benchmarks' data: the same bytes every time, and a second version that differs as it says."""

import os
from pathlib import Path

import pytest

from tests.bench.workloads import WORKLOADS, Data, prepare

_SCALE = 0.0001


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _made(name: str, folder: Path) -> Data:
    if name == "parquet":
        # Only the benchmarks need it, and it is large.
        pytest.importorskip("pyarrow")
    return prepare(WORKLOADS[name], folder, _SCALE)


@pytest.mark.parametrize("name", sorted(WORKLOADS))
def test_workload_is_the_same_each_time_it_is_made(name: str, tmp_path: Path) -> None:
    one, other = _made(name, tmp_path / "one"), _made(name, tmp_path / "other")
    assert _contents(one.v1) == _contents(other.v1)
    assert _contents(one.v2) == _contents(other.v2)
    assert (one.edited, one.extents) == (other.edited, other.extents)


@pytest.mark.parametrize("name", ["small", "images"])
def test_changed_bytes_are_those_of_files_that_are_not_shared(name: str, tmp_path: Path) -> None:
    data = _made(name, tmp_path)
    own = [
        path
        for path in data.v2.rglob("*")
        if path.is_file()
        and not ((twin := data.v1 / path.relative_to(data.v2)).exists() and os.path.samefile(path, twin))
    ]
    assert own
    assert data.edited.changed == sum(path.stat().st_size for path in own)


def test_second_csv_keeps_most_rows_and_has_more(tmp_path: Path) -> None:
    data = _made("csv", tmp_path)
    old = (data.v1 / "orders.csv").read_bytes().splitlines(keepends=True)
    new = (data.v2 / "orders.csv").read_bytes().splitlines(keepends=True)
    fresh = [row for row in new if row not in set(old)]
    assert sum(map(len, fresh)) == data.edited.changed
    assert len(new) - len(old) == 1000 + (len(old) - 1) // 20


def test_second_blob_has_an_insert_and_an_overwrite(tmp_path: Path) -> None:
    data = _made("blob", tmp_path)
    old, new = (data.v1 / "model.bin").read_bytes(), (data.v2 / "model.bin").read_bytes()
    overwritten = 64 * 1024
    assert len(new) - len(old) == data.edited.changed - overwritten
    assert new[:1000] == old[:1000]
    assert new[-1000:] == old[-1000:]


def test_made_data_is_used_again(tmp_path: Path) -> None:
    first = _made("small", tmp_path)
    marker = next(path for path in first.v1.rglob("*") if path.is_file())
    inode = marker.stat().st_ino
    assert _made("small", tmp_path) == first
    assert marker.stat().st_ino == inode
