"""Runs of items in temporary files: read as they were written, several times over, and gone without a trace."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dver.errors import DverError
from dver.storage.sorted_runs import read_run, write_run

MANY = [number.to_bytes(4, "big") for number in range(10_000)]


@pytest.mark.parametrize("items", [[], MANY[:1], MANY])
def test_a_run_is_read_as_it_was_written(tmp_path: Path, items: list[bytes]) -> None:
    with write_run(items, tmp_path) as run:
        assert [*read_run(run, 4)] == items


def test_two_readers_of_one_run_do_not_disturb_each_other(tmp_path: Path) -> None:
    with write_run(MANY, tmp_path) as run:
        assert [*zip(read_run(run, 4), read_run(run, 4), strict=True)] == [*zip(MANY, MANY, strict=True)]


def test_a_run_leaves_no_name_in_the_folder(tmp_path: Path) -> None:
    with write_run(MANY, tmp_path):
        assert [*tmp_path.iterdir()] == []


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DverError, match="none: cannot be written"):
        write_run(MANY, tmp_path / "none")


def test_what_breaks_off_the_items_is_passed_on(tmp_path: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield MANY[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_run(broken(), tmp_path)
