"""Walking a dataset: order, kinds, and what disappears meanwhile."""

import os
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dver.errors import PathError
from dver.objects.builder import build_manifest
from dver.objects.entry import DirectoryEntry, FileEntry
from dver.workspace.ignore import IgnoreRules
from dver.workspace.walk import FileType, WalkItem, walk_dataset
from tests.property.strategies import paths, without_nesting


def walk(folder: Path) -> list[WalkItem]:
    return list(walk_dataset(os.fsencode(folder), IgnoreRules()))


def make_file(folder: Path, path: bytes) -> None:
    target = os.path.join(os.fsencode(folder), path)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target, "wb"):
        pass


def test_paths_come_in_the_byte_order_of_manifests(folder: Path) -> None:
    names = [b"a/c", b"a-b", b"a.b", b"a0", b"a b", b"A", b"a/b/c", b"a/b-c", b"\xff", b"\xc3\xa9", b"z\nz", b"ab/x"]
    for name in names:
        make_file(folder, name)

    found = [item.path for item in walk(folder)]

    assert found == sorted(names)
    build_manifest([FileEntry(path, 0, False, b"") for path in found], lambda *_: None)


@given(chosen=st.lists(paths, max_size=10), kinds=st.lists(st.booleans(), min_size=10, max_size=10))
def test_any_names_of_files_and_empty_directories_come_in_byte_order(
    chosen: list[bytes], kinds: list[bool], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("walk")
    names = without_nesting(chosen)
    for name, is_directory in zip(names, kinds, strict=False):
        if is_directory:
            os.makedirs(os.path.join(os.fsencode(folder), name))
        else:
            make_file(folder, name)

    assert [item.path for item in walk(folder)] == names


def test_an_empty_directory_comes_where_its_plain_name_belongs(folder: Path) -> None:
    # "a" comes before "a-b" and "a.txt", though what is in a directory "a" comes after them.
    for name in ("a", "b", "c/c"):
        (folder / name).mkdir(parents=True)
    for name in ("a-b", "a.txt", "b/x", "b-", "c-"):
        (folder / name).touch()

    found = [item.path for item in walk(folder)]

    assert found == [b"a", b"a-b", b"a.txt", b"b-", b"b/x", b"c-", b"c/c"]


def test_each_kind_of_file_is_told_apart(folder: Path) -> None:
    (folder / "file").write_bytes(b"x")
    (folder / "empty").mkdir()
    (folder / "full").mkdir()
    (folder / "full" / "x").touch()
    (folder / "link").symlink_to("full")
    (folder / "dangling").symlink_to("nowhere")
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "socket"))

        found = {item.path: item.type for item in walk(folder)}

    assert found == {
        b"dangling": FileType.LINK,
        b"empty": FileType.DIRECTORY,
        b"file": FileType.FILE,
        b"full/x": FileType.FILE,
        b"link": FileType.LINK,
        b"pipe": FileType.OTHER,
        b"socket": FileType.OTHER,
    }


def test_links_to_folders_are_not_followed(folder: Path) -> None:
    (folder / "loop").symlink_to(".")

    assert [item.path for item in walk(folder)] == [b"loop"]


def test_a_single_file_has_the_empty_path(folder: Path) -> None:
    (folder / "file").write_bytes(b"123")

    (item,) = walk(folder / "file")

    assert (item.path, item.type, item.stat.st_size) == (b"", FileType.FILE, 3)


def test_a_missing_top_is_an_error(folder: Path) -> None:
    (folder / "file").touch()

    with pytest.raises(FileNotFoundError):
        walk(folder / "nothing")
    with pytest.raises(NotADirectoryError):
        walk(folder / "file" / "below")


def test_a_folder_whose_files_are_all_ignored_is_not_empty(folder: Path) -> None:
    (folder / ".dverignore").write_text("*.tmp\n")
    (folder / "sub").mkdir()
    (folder / "sub" / "x.tmp").touch()

    assert [item.path for item in walk(folder)] == [b".dverignore"]


def test_a_folder_that_vanishes_during_the_walk_is_passed_over(folder: Path) -> None:
    for name in ("a", "b", "c"):
        (folder / name).mkdir()
        (folder / name / "x").touch()
    (folder / "d").mkdir()

    found = []
    for item in walk_dataset(os.fsencode(folder), IgnoreRules()):
        found.append(item.path)
        if item.path == b"a/x":
            (folder / "b" / "x").unlink()
            (folder / "b").rmdir()
            (folder / "d").rmdir()

    assert found == [b"a/x", b"c/x"]


def test_a_file_that_vanishes_during_the_walk_is_passed_over(folder: Path) -> None:
    for name in ("a", "b"):
        (folder / name).touch()

    found = []
    for item in walk_dataset(os.fsencode(folder), IgnoreRules()):
        found.append(item.path)
        (folder / "b").unlink(missing_ok=True)

    assert found == [b"a"]


def test_a_folder_that_cannot_be_read_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "secret").mkdir()
    real_scandir = os.scandir

    def refuse(path: bytes | int) -> object:
        if isinstance(path, bytes) and path.endswith(b"secret"):
            raise PermissionError(13, "Permission denied", path)
        return real_scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)

    with pytest.raises(PathError, match="secret: cannot be read: Permission denied"):
        walk(folder)


def test_directories_follow_from_what_they_hold(folder: Path) -> None:
    (folder / "a" / "b").mkdir(parents=True)

    (item,) = walk(folder)

    assert (item.path, item.type) == (b"a/b", FileType.DIRECTORY)
    build_manifest([DirectoryEntry(item.path)], lambda *_: None)
