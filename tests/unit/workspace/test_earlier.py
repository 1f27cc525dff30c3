"""Large files take what they can from the file that they replace, whatever has become of that meanwhile."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dver.errors import IntegrityError
from dver.objects.entry import FileEntry
from dver.objects.manifest import Manifest
from dver.workspace import assemble, earlier
from tests.clones import noise, snapshot
from tests.unit.workspace.shelf import Shelf
from tests.unit.workspace.test_assemble import damage_packs

OLD = noise(20_000, 1) + b"what stays " * 3 + noise(20_000, 2)
NEW = OLD[:1000] + b"new" + OLD[1003:]


@pytest.fixture(autouse=True)
def all_files_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assemble, "LARGE_FILE", 0)
    monkeypatch.setattr(assemble, "PART_CHUNKS", 5)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    made = tmp_path / "target" / "data"
    made.mkdir(parents=True)
    return made


def store_two(shelf: Shelf, folder: Path) -> tuple[Manifest, Manifest]:
    """Store two versions of a file, and return their manifests."""
    (folder / "file").write_bytes(OLD)
    old = shelf.store_folder(folder)
    (folder / "file").write_bytes(NEW)
    return old, shelf.store_folder(folder)


def write(shelf: Shelf, target: Path, manifest: Manifest, old: Manifest | None) -> None:
    entry = manifest.get(b"file")
    assert isinstance(entry, FileEntry)
    list(shelf.assembler(target).write([entry], manifest, earlier=old))


def damaged(shelf: Shelf, folder: Path) -> tuple[Manifest, Manifest]:
    """Store two versions, and damage a chunk that both have."""
    old, new = store_two(shelf, folder)
    damage_packs(shelf, b"what stays what stays")
    return old, new


def test_what_stays_is_not_read_from_the_store(shelf: Shelf, folder: Path, target: Path) -> None:
    old, new = damaged(shelf, folder)
    (target / "file").write_bytes(OLD)

    write(shelf, target, new, old)

    assert snapshot(target) == {b"file": ("file", NEW)}
    assert list(shelf.scratch.iterdir()) == []


def test_a_file_that_has_changed_since_does_no_harm(shelf: Shelf, folder: Path, target: Path) -> None:
    old, new = store_two(shelf, folder)
    (target / "file").write_bytes(OLD[:30_000] + b"!" + OLD[30_001:])

    write(shelf, target, new, old)

    assert (target / "file").read_bytes() == NEW


def test_what_is_not_in_the_file_indeed_comes_from_the_store(shelf: Shelf, folder: Path, target: Path) -> None:
    old, new = damaged(shelf, folder)
    changed = OLD.replace(b"stays", b"STAYS")
    (target / "file").write_bytes(changed)

    with pytest.raises(IntegrityError):
        write(shelf, target, new, old)

    assert (target / "file").read_bytes() == changed


def make_nothing(_place: Path) -> None:
    """Leave the place free."""


def make_link(place: Path) -> None:
    place.symlink_to("elsewhere")
    (place.parent / "elsewhere").write_bytes(OLD)


@pytest.mark.parametrize(
    "make",
    [
        make_nothing,
        make_link,
        os.mkfifo,
        Path.mkdir,
        lambda place: place.write_bytes(OLD + b"longer"),
        lambda place: place.write_bytes(b""),
    ],
    ids=["nothing", "link", "fifo", "folder", "longer", "empty"],
)
def test_something_else_in_its_place_gives_way_unread(
    shelf: Shelf, folder: Path, target: Path, make: Callable[[Path], object]
) -> None:
    old, new = store_two(shelf, folder)
    make(target / "file")

    write(shelf, target, new, old)

    assert (target / "file").read_bytes() == NEW
    assert not (target / "file").is_symlink()
    assert list(shelf.scratch.iterdir()) == []


def test_a_file_that_the_earlier_version_did_not_have_is_written(shelf: Shelf, folder: Path, target: Path) -> None:
    _, new = store_two(shelf, folder)
    (folder / "file").rename(folder / "other")
    (target / "file").write_bytes(OLD)

    write(shelf, target, new, shelf.store_folder(folder))

    assert (target / "file").read_bytes() == NEW


def test_a_manifest_that_is_out_of_reach_fails_nothing(
    shelf: Shelf, folder: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise IntegrityError("node", "is damaged")

    old, new = store_two(shelf, folder)
    (target / "file").write_bytes(OLD)
    monkeypatch.setattr(old, "get", fail)

    write(shelf, target, new, old)

    assert (target / "file").read_bytes() == NEW


def test_only_the_beginning_of_an_endless_chunk_list_is_looked_at(
    shelf: Shelf, folder: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(earlier, "MAX_CHUNKS", 3)
    old, new = damaged(shelf, folder)
    (target / "file").write_bytes(OLD)

    with pytest.raises(IntegrityError):
        write(shelf, target, new, old)

    assert (target / "file").read_bytes() == OLD


def test_a_disk_that_cannot_be_read_is_not_needed(
    shelf: Shelf, folder: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_fd: int, _size: int, _offset: int) -> bytes:
        raise OSError(5, "Input/output error")

    old, new = store_two(shelf, folder)
    (target / "file").write_bytes(OLD)
    with monkeypatch.context() as patch:
        patch.setattr(earlier, "os", _FailingReads(fail))
        write(shelf, target, new, old)

    assert (target / "file").read_bytes() == NEW


class _FailingReads:
    """The module `os`, but for `pread`."""

    def __init__(self, pread: Callable[[int, int, int], bytes]) -> None:
        self.pread = pread

    def __getattr__(self, name: str) -> object:
        return getattr(os, name)
