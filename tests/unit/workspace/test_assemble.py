"""Writing working files: whole or not at all, with their modes, and never outside of the dataset."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from dver.errors import BackendError, BackendProblem, IntegrityError, ObjectNotFoundError, PathError
from dver.objects.entry import DirectoryEntry, FileEntry
from dver.objects.ids import Bytes
from dver.objects.manifest import Manifest
from dver.workspace import assemble
from tests.clones import noise, snapshot
from tests.unit.workspace.shelf import Shelf


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "target" / "data"


def write_files(shelf: Shelf, manifest: Manifest, target: Path, *, verify: bool = False) -> None:
    shelf.write_out(manifest, target, verify=verify)


def damage_packs(shelf: Shelf, text: bytes) -> None:
    """Change some stored bytes, which must be there uncompressed."""
    for info in shelf.store.backend.list("packs/"):
        path = Path(shelf.store.backend.location) / info.key
        data = path.read_bytes()
        if text in data:
            path.chmod(0o644)
            path.write_bytes(data.replace(text, text.swapcase(), 1))
            return
    raise AssertionError("not found in any pack")


def test_everything_comes_back(shelf: Shelf, folder: Path, target: Path) -> None:
    (folder / "sub" / "deep").mkdir(parents=True)
    (folder / "sub" / "deep" / "x").write_bytes(noise(10_000))
    (folder / "run.sh").write_bytes(b"#!")
    (folder / "run.sh").chmod(0o755)
    (folder / "empty file").touch()
    (folder / "empty").mkdir()
    (folder / "link").symlink_to("sub")
    (folder / "new\nline é").write_bytes(b"x")
    with open(os.fsencode(folder) + b"/\xff", "wb") as file:
        file.write(b"y")

    write_files(shelf, shelf.store_folder(folder), target)

    assert snapshot(target) == snapshot(folder)


@pytest.mark.parametrize("verify", [False, True])
def test_large_files_come_back_in_parts(
    shelf: Shelf, folder: Path, target: Path, monkeypatch: pytest.MonkeyPatch, verify: bool
) -> None:
    monkeypatch.setattr(assemble, "LARGE_FILE", 5000)
    monkeypatch.setattr(assemble, "PART_CHUNKS", 3)
    monkeypatch.setattr(assemble, "RUN_BYTES", 5000)
    (folder / "a").write_bytes(noise(100_000))
    (folder / "b").write_bytes(bytes(50_000) + noise(9, 2) + bytes(50_000))
    (folder / "small").write_bytes(b"1")
    (folder / "z").write_bytes(noise(5000))

    write_files(shelf, shelf.store_folder(folder), target, verify=verify)

    assert snapshot(target) == snapshot(folder)


def test_a_large_file_is_whole_where_the_system_writes_less_than_it_was_given(
    shelf: Shelf, folder: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_some(fd: int, pieces: Sequence[Bytes], offset: int) -> int:
        return os.pwrite(fd, b"".join(pieces)[:1000], offset)

    monkeypatch.setattr(assemble, "LARGE_FILE", 5000)
    monkeypatch.setattr(os, "pwritev", write_some)
    (folder / "a").write_bytes(noise(100_000))

    write_files(shelf, shelf.store_folder(folder), target)

    assert snapshot(target) == snapshot(folder)


def test_a_single_file_dataset_is_written_to_its_own_path(shelf: Shelf, folder: Path, target: Path) -> None:
    (folder / "file").write_bytes(b"alone")

    write_files(shelf, shelf.store_folder(folder / "file"), target)

    assert target.read_bytes() == b"alone"


@pytest.mark.parametrize(("mask", "file_mode", "program_mode"), [(0o022, 0o644, 0o755), (0o077, 0o600, 0o700)])
def test_modes_follow_the_umask(
    shelf: Shelf, folder: Path, target: Path, mask: int, file_mode: int, program_mode: int
) -> None:
    (folder / "file").touch()
    (folder / "program").touch()
    (folder / "program").chmod(0o700)
    manifest = shelf.store_folder(folder)

    with umask(mask):
        write_files(shelf, manifest, target)

    assert (target / "file").stat().st_mode & 0o777 == file_mode
    assert (target / "program").stat().st_mode & 0o777 == program_mode


def test_a_file_is_never_seen_half_written(
    shelf: Shelf, folder: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "file").write_bytes(noise(50_000))
    manifest = shelf.store_folder(folder)
    target.mkdir(parents=True)
    (target / "file").write_bytes(b"old")
    seen: set[bytes] = set()
    real_write = os.write

    def watching(fd: int, data: bytes) -> int:
        seen.add((target / "file").read_bytes())
        return real_write(fd, data)

    monkeypatch.setattr(os, "write", watching)
    write_files(shelf, manifest, target)

    assert seen == {b"old"}
    assert (target / "file").read_bytes() == noise(50_000)


@pytest.mark.parametrize("large", [False, True])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(
    shelf: Shelf, folder: Path, target: Path, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    (folder / "file").write_bytes(noise(50_000))
    manifest = shelf.store_folder(folder)
    target.mkdir(parents=True)
    (target / "file").write_bytes(b"old")

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(assemble, "LARGE_FILE", 0 if large else 10**9)
    monkeypatch.setattr(os, "write", full)
    monkeypatch.setattr(os, "pwritev", full)

    with pytest.raises(BackendError) as caught:
        write_files(shelf, manifest, target)

    assert caught.value.problem is BackendProblem.NO_SPACE
    assert snapshot(target) == {b"file": ("file", b"old")}
    assert list(shelf.scratch.iterdir()) == []


@pytest.mark.parametrize("large", [False, True])
def test_a_damaged_chunk_leaves_the_old_file(
    shelf: Shelf, folder: Path, target: Path, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    monkeypatch.setattr(assemble, "LARGE_FILE", 0 if large else 10**9)
    (folder / "file").write_bytes(b"a stored sentence")
    manifest = shelf.store_folder(folder)
    damage_packs(shelf, b"stored sentence")
    target.mkdir(parents=True)
    (target / "file").write_bytes(b"old")

    with pytest.raises(IntegrityError, match="damaged"):
        write_files(shelf, manifest, target)

    assert snapshot(target) == {b"file": ("file", b"old")}
    assert list(shelf.scratch.iterdir()) == []


def test_a_missing_chunk_leaves_the_old_file(shelf: Shelf, folder: Path, target: Path) -> None:
    absent = FileEntry(b"file", 5, False, b"x" * 32 + (5).to_bytes(4, "little"))
    manifest = shelf.store_entries([absent])
    target.mkdir(parents=True)
    (target / "file").write_bytes(b"old")

    with pytest.raises(ObjectNotFoundError):
        write_files(shelf, manifest, target)

    assert snapshot(target) == {b"file": ("file", b"old")}


@pytest.mark.parametrize("link", ["sub", "sub/deep"])
def test_nothing_is_written_through_a_symbolic_link(shelf: Shelf, folder: Path, target: Path, link: str) -> None:
    (folder / "sub" / "deep").mkdir(parents=True)
    (folder / "sub" / "deep" / "x").write_bytes(b"x")
    manifest = shelf.store_folder(folder)
    outside = target.parent / "outside"
    outside.mkdir(parents=True)
    (target / link).parent.mkdir(parents=True)
    (target / link).symlink_to(outside)

    with pytest.raises(PathError, match="in the way") as caught:
        write_files(shelf, manifest, target)

    assert caught.value.hint
    assert list(outside.iterdir()) == []


def test_a_dataset_that_became_a_link_is_not_written_through(shelf: Shelf, folder: Path, target: Path) -> None:
    (folder / "x").write_bytes(b"x")
    manifest = shelf.store_folder(folder)
    outside = target.parent / "outside"
    outside.mkdir(parents=True)
    target.symlink_to(outside)

    with pytest.raises(PathError):
        write_files(shelf, manifest, target)

    assert list(outside.iterdir()) == []


def test_a_link_in_the_place_of_a_file_is_replaced_not_followed(shelf: Shelf, folder: Path, target: Path) -> None:
    (folder / "x").write_bytes(b"new")
    manifest = shelf.store_folder(folder)
    target.mkdir(parents=True)
    victim = target.parent / "victim"
    victim.write_bytes(b"old")
    (target / "x").symlink_to(victim)

    write_files(shelf, manifest, target)

    assert victim.read_bytes() == b"old"
    assert snapshot(target) == {b"x": ("file", b"new")}


@pytest.mark.parametrize("large", [False, True])
def test_an_empty_directory_gives_way_and_one_that_holds_something_does_not(
    shelf: Shelf, folder: Path, target: Path, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    monkeypatch.setattr(assemble, "LARGE_FILE", 0 if large else 10**9)
    (folder / "x").write_bytes(b"new")
    (folder / "y").symlink_to("x")
    manifest = shelf.store_folder(folder)
    for name in ("x", "y"):
        (target / name).mkdir(parents=True)

    write_files(shelf, manifest, target)
    assert snapshot(target) == snapshot(folder)

    (target / "x").unlink()
    (target / "x" / "mine").mkdir(parents=True)
    with pytest.raises(PathError, match="cannot be written"):
        write_files(shelf, manifest, target)
    assert (target / "x" / "mine").is_dir()
    assert list(shelf.scratch.iterdir()) == []


@pytest.mark.parametrize("kind", ["file", "link"])
def test_an_empty_directory_takes_the_place_of_a_file_or_link(
    shelf: Shelf, folder: Path, target: Path, kind: str
) -> None:
    (folder / "x").mkdir()
    manifest = shelf.store_folder(folder)
    target.mkdir(parents=True)
    (target.parent / "elsewhere").mkdir()
    if kind == "file":
        (target / "x").touch()
    else:
        (target / "x").symlink_to(target.parent / "elsewhere")

    assert list(manifest.entries()) == [DirectoryEntry(b"x")]
    write_files(shelf, manifest, target)

    assert (target / "x").is_dir()
    assert not (target / "x").is_symlink()
    assert (target.parent / "elsewhere").is_dir()


def test_rows_of_what_is_written_fit_the_files_and_are_not_trusted_yet(
    shelf: Shelf, folder: Path, target: Path
) -> None:
    (folder / "x").write_bytes(b"new")
    manifest = shelf.store_folder(folder)

    rows = dict(shelf.assembler(target).write((e for e in manifest.entries() if isinstance(e, FileEntry)), manifest))

    found = (target / "x").stat()
    row = rows[b"x"]
    assert (row.size, row.mtime, row.ctime, row.inode) == (3, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)
    assert row.checked == 0
