"""Pointer files in the working tree: where they are looked for, and that they are read with care."""

import os
from pathlib import Path

import pytest

from dver.errors import FormatError, PathError
from dver.objects.ids import VersionId
from dver.objects.pointer import MAX_POINTER, DatasetKind, Pointer
from dver.workspace.pointers import find_datasets, read_pointer, write_pointer

POINTER = Pointer(DatasetKind.DIRECTORY, VersionId(b"v" * 32), 7, 2)


def found(root: Path, start: str = "", ignored: frozenset[str] = frozenset()) -> list[str]:
    return find_datasets(root, start, lambda path: path in ignored)


def test_a_pointer_is_read_back(tmp_path: Path) -> None:
    write_pointer(tmp_path, "a/b/data", POINTER)

    assert read_pointer(tmp_path, "a/b/data") == POINTER
    assert os.listdir(tmp_path / "a" / "b") == ["data.dver"]


def test_a_missing_pointer_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder.dver").mkdir()

    assert read_pointer(tmp_path, "data") is None
    assert read_pointer(tmp_path, "file/data") is None
    assert read_pointer(tmp_path, "folder") is None


def test_a_huge_file_is_not_read_whole(tmp_path: Path) -> None:
    with (tmp_path / "data.dver").open("wb") as file:
        file.truncate(MAX_POINTER * 1000)

    with pytest.raises(FormatError, match=r"data\.dver"):
        read_pointer(tmp_path, "data")


def test_a_pointer_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(PathError, match="is in the way"):
        write_pointer(tmp_path, "file/data", POINTER)


def test_datasets_are_found_in_order_wherever_they_are(tmp_path: Path) -> None:
    for dataset in ("b", "a/c", "a-b", "a/b/x", "é"):
        write_pointer(tmp_path, dataset, POINTER)

    assert found(tmp_path) == ["a-b", "a/b/x", "a/c", "b", "é"]
    assert found(tmp_path, "a") == ["a/b/x", "a/c"]
    assert found(tmp_path, "nowhere") == []


@pytest.mark.parametrize("folder", [".git", ".dver", "data", "ignored", "nested", "sub/.git"])
def test_folders_that_hold_no_pointers_of_ours_are_not_looked_into(tmp_path: Path, folder: str) -> None:
    (tmp_path / "nested" / ".git").mkdir(parents=True)
    write_pointer(tmp_path, "data", POINTER)
    write_pointer(tmp_path, f"{folder}/inner", POINTER)

    assert found(tmp_path, ignored=frozenset({"ignored/"})) == ["data"]


def test_links_are_neither_pointers_nor_followed(tmp_path: Path) -> None:
    write_pointer(tmp_path, "real/data", POINTER)
    (tmp_path / "linked").symlink_to("real")
    (tmp_path / "other.dver").symlink_to("real/data.dver")

    assert found(tmp_path) == ["real/data"]


def test_a_file_named_only_by_the_suffix_is_no_pointer(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / ".dver").touch()

    assert found(tmp_path) == []


@pytest.mark.timeout(20)
def test_a_link_in_the_place_of_a_pointer_is_no_pointer(tmp_path: Path) -> None:
    write_pointer(tmp_path, "real", POINTER)
    os.mkfifo(tmp_path / "pipe.dver")
    (tmp_path / "linked.dver").symlink_to("real.dver")
    (tmp_path / "waiting.dver").symlink_to("pipe.dver")
    (tmp_path / "endless.dver").symlink_to("/dev/zero")

    assert read_pointer(tmp_path, "real") == POINTER
    for dataset in ("pipe", "linked", "waiting", "endless"):
        assert read_pointer(tmp_path, dataset) is None
