"""Comparing a working file with an entry: the answer, and how little is read for it."""

import os
from pathlib import Path

import pytest

from dver.errors import UnstableFileError
from dver.objects.entry import DirectoryEntry, Entry, FileEntry, LinkEntry
from dver.objects.manifest import Manifest
from dver.workspace.compare import compare_item
from dver.workspace.ignore import IgnoreRules
from dver.workspace.statcache import Row, is_trusted
from dver.workspace.walk import FileType, walk_dataset
from tests.clones import files_opened, noise
from tests.unit.workspace.shelf import Shelf


def compare(path: Path, entry: Entry, manifest: Manifest, *, heed_modes: bool = True) -> tuple[bool, Row]:
    (item,) = walk_dataset(os.fsencode(path), IgnoreRules())
    return compare_item(os.fsencode(path), item, entry, manifest, heed_modes=heed_modes)


@pytest.fixture
def stored(shelf: Shelf, folder: Path) -> tuple[Path, FileEntry, Manifest]:
    path = folder / "file"
    path.write_bytes(noise(9_000_000))
    manifest = shelf.store_folder(path)
    (entry,) = manifest.entries()
    assert isinstance(entry, FileEntry)
    return path, entry, manifest


def test_an_equal_file_is_equal_and_remembered(stored: tuple[Path, FileEntry, Manifest]) -> None:
    path, entry, manifest = stored
    path.write_bytes(path.read_bytes())

    same, row = compare(path, entry, manifest)

    assert same
    assert not row.differs
    assert is_trusted(row, FileType.FILE, path.stat())


@pytest.mark.parametrize("offset", [0, 4_000_000, 8_999_999])
def test_one_changed_byte_is_seen(stored: tuple[Path, FileEntry, Manifest], offset: int) -> None:
    path, entry, manifest = stored
    with path.open("r+b") as file:
        file.seek(offset)
        (old,) = file.read(1)
        file.seek(offset)
        file.write(bytes([old ^ 1]))

    same, row = compare(path, entry, manifest)

    assert not same
    assert row.differs
    assert is_trusted(row, FileType.FILE, path.stat())


def test_reading_ends_at_the_first_difference(
    stored: tuple[Path, FileEntry, Manifest], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, entry, manifest = stored
    with path.open("r+b") as file:
        file.write(b"changed")
    list(manifest.chunks(entry))
    read: list[int] = []
    real_pread = os.pread

    def pread(fd: int, length: int, offset: int) -> bytes:
        read.append(length)
        return real_pread(fd, length, offset)

    monkeypatch.setattr(os, "pread", pread)
    same, _ = compare(path, entry, manifest)

    assert not same
    assert sum(read) < 5_000_000


def test_another_size_or_mode_is_told_without_reading(stored: tuple[Path, FileEntry, Manifest]) -> None:
    path, entry, manifest = stored
    with files_opened(path) as opened:
        path.chmod(0o755)
        assert not compare(path, entry, manifest)[0]
        path.chmod(0o644)
        os.truncate(path, 8_999_999)
        same, row = compare(path, entry, manifest)

    assert opened == []
    assert not same
    assert is_trusted(row, FileType.FILE, path.stat())


def test_links_and_directories_are_compared_by_what_they_are(shelf: Shelf, folder: Path) -> None:
    manifest = shelf.store_entries([])
    (folder / "link").symlink_to("there")
    (folder / "dir").mkdir()
    (folder / "file").touch()
    file = FileEntry(b"x", 0, False, b"")

    def same(name: str, entry: Entry) -> bool:
        return compare(folder / name, entry, manifest)[0]

    assert same("link", LinkEntry(b"x", b"there"))
    assert not same("link", LinkEntry(b"x", b"elsewhere"))
    assert not same("link", DirectoryEntry(b"x"))
    assert not same("link", file)
    assert not same("file", LinkEntry(b"x", b"there"))
    assert same("file", file)


def test_an_empty_file_equals_an_empty_entry_only(shelf: Shelf, folder: Path) -> None:
    (folder / "empty").touch()
    manifest = shelf.store_folder(folder / "empty")
    (entry,) = manifest.entries()

    assert compare(folder / "empty", entry, manifest)[0]
    (folder / "empty").write_bytes(b"x")
    assert not compare(folder / "empty", entry, manifest)[0]


def test_a_file_that_shrinks_while_it_is_compared_is_not_equal(
    stored: tuple[Path, FileEntry, Manifest], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, entry, manifest = stored
    list(manifest.chunks(entry))
    real_pread = os.pread
    calls: list[int] = []

    def pread(fd: int, length: int, offset: int) -> bytes:
        if not calls:
            os.truncate(path, 1_000_000)
        calls.append(offset)
        return real_pread(fd, length, offset)

    monkeypatch.setattr(os, "pread", pread)

    same, row = compare(path, entry, manifest)

    assert not same
    assert row.size == 1_000_000


def test_a_file_that_always_changes_is_refused(
    stored: tuple[Path, FileEntry, Manifest], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, entry, manifest = stored
    list(manifest.chunks(entry))
    real_pread = os.pread

    def pread(fd: int, length: int, offset: int) -> bytes:
        path.touch()
        return real_pread(fd, length, offset)

    monkeypatch.setattr(os, "pread", pread)

    with pytest.raises(UnstableFileError):
        compare(path, entry, manifest)
