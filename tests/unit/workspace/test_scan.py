"""Scanning a dataset: what differs from the base, and that what is known is not read again."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dver.objects.ids import VersionId
from dver.objects.manifest import Manifest
from dver.progress import NO_TASK
from dver.workspace.choice import Choice
from dver.workspace.scan import Scan, Scanner
from dver.workspace.statcache import Base, StatCache
from tests.clones import files_opened
from tests.unit.workspace.shelf import Shelf


@dataclass(frozen=True, slots=True)
class Scanned:
    """A folder whose content is stored, and a scanner that knows nothing of it yet."""

    folder: Path
    scanner: Scanner
    cache: StatCache
    manifest: Manifest

    def scan(self, *, known: bool = True) -> Scan:
        base = Base(self.manifest.version, None)
        return self.scanner.scan("data", base, lambda: self.manifest, NO_TASK, known=known)

    def names(self, *, known: bool = True) -> tuple[list[bytes], list[bytes], list[bytes]]:
        found = self.scan(known=known)
        return [item.path for item in found.added], [item.path for item in found.modified], found.deleted


@contextmanager
def scanner_of(folder: Path, shelf: Shelf) -> Iterator[Scanned]:
    for name in ("a", "b", "sub/c"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode() * 100)
    (folder / "empty").mkdir()
    (folder / "link").symlink_to("a")
    with closing(StatCache(folder.parent.with_suffix(".db"))) as cache:
        yield Scanned(folder, Scanner(folder.parent, cache, shelf.workers), cache, shelf.store_folder(folder))


@pytest.fixture
def scanned(shelf: Shelf, folder: Path) -> Iterator[Scanned]:
    with scanner_of(folder, shelf) as made:
        yield made


def test_an_unknown_folder_is_compared_by_content_once(scanned: Scanned) -> None:
    with files_opened(scanned.folder) as opened:
        first = scanned.scan(known=False)
        assert first.is_clean
        assert first.unchanged == 5
        assert len(opened) == 3

        second = scanned.scan()

    assert second.is_clean
    assert second.unchanged == 5
    assert len(opened) == 3


def test_differences_found_in_an_unknown_folder_stay_found(scanned: Scanned) -> None:
    (scanned.folder / "a").write_bytes(b"x" * 100)
    (scanned.folder / "new").touch()

    for known in (False, True, True):
        assert scanned.names(known=known) == ([b"new"], [b"a"], [])


def test_a_look_at_an_unknown_folder_does_not_make_what_was_never_there_deleted(scanned: Scanned) -> None:
    (scanned.folder / "b").unlink()

    for _ in range(2):
        assert scanned.names(known=False) == ([], [], [b"b"])
    assert scanned.cache.base("data") is None


def test_added_modified_and_deleted_are_told_apart_in_order(scanned: Scanned) -> None:
    scanned.scan(known=False)
    (scanned.folder / "z").touch()
    (scanned.folder / "0").touch()
    (scanned.folder / "sub" / "c").write_bytes(b"sub/d" * 100)
    (scanned.folder / "link").unlink()
    (scanned.folder / "link").symlink_to("b")
    (scanned.folder / "a").unlink()
    (scanned.folder / "a").symlink_to("b")
    (scanned.folder / "b").unlink()

    assert scanned.names() == ([b"0", b"z"], [b"a", b"link", b"sub/c"], [b"b"])


def test_a_touched_file_is_read_once_more(scanned: Scanned) -> None:
    scanned.scan(known=False)
    (scanned.folder / "a").touch()

    with files_opened(scanned.folder) as opened:
        assert scanned.scan().is_clean
        assert scanned.scan().is_clean

    assert len(opened) == 1


def test_a_modified_file_is_read_once(scanned: Scanned) -> None:
    scanned.scan(known=False)
    (scanned.folder / "a").write_bytes(b"x" * 100)

    with files_opened(scanned.folder) as opened:
        for _ in range(3):
            assert scanned.names() == ([], [b"a"], [])

    assert len(opened) == 1


def test_a_write_of_the_same_size_right_after_a_scan_is_always_seen(scanned: Scanned) -> None:
    path = scanned.folder / "a"
    good = path.read_bytes()
    scanned.scan(known=False)
    for number in range(20):
        path.write_bytes(bytes([number]) * len(good))
        assert scanned.names() == ([], [b"a"], [])
        path.write_bytes(good)
        assert scanned.scan().is_clean


def test_a_write_with_the_time_set_back_is_seen(scanned: Scanned) -> None:
    path = scanned.folder / "a"
    scanned.scan(known=False)
    before = path.stat()
    path.write_bytes(b"x" * before.st_size)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert scanned.names() == ([], [b"a"], [])


def test_a_file_in_a_directory_that_was_empty_is_new(scanned: Scanned) -> None:
    scanned.scan(known=False)
    (scanned.folder / "empty" / "x").touch()

    assert scanned.names() == ([b"empty/x"], [], [b"empty"])


def test_what_cannot_be_stored_is_listed_and_the_file_it_replaces_is_modified(scanned: Scanned) -> None:
    scanned.scan(known=False)
    os.mkfifo(scanned.folder / "pipe")
    (scanned.folder / "a").unlink()
    os.mkfifo(scanned.folder / "a")

    found = scanned.scan()

    assert found.special == [b"a", b"pipe"]
    assert [item.path for item in found.modified] == [b"a"]
    assert not found.is_clean


def test_a_missing_dataset_is_not_present(scanned: Scanned) -> None:
    scanned.scan(known=False)
    scanned.folder.rename(scanned.folder.with_name("away"))

    assert not scanned.scan().present

    scanned.folder.parent.joinpath("data").touch()
    assert scanned.scan().present


def test_a_dataset_below_what_became_a_file_is_not_present(scanned: Scanned, shelf: Shelf, tmp_path: Path) -> None:
    scanner = Scanner(tmp_path, scanned.cache, shelf.workers)
    scanned.folder.rename(tmp_path / "away")
    scanned.folder.parent.rmdir()
    scanned.folder.parent.touch()

    base = Base(scanned.manifest.version, None)
    found = scanner.scan("tree/data", base, lambda: scanned.manifest, NO_TASK, known=True)

    assert not found.present


def test_what_is_learnt_while_another_process_changes_the_base_is_not_kept(scanned: Scanned) -> None:
    scanned.scan(known=False)
    other = Base(VersionId(b"o" * 32), None)
    rows = scanned.cache.rows("data")
    scanned.cache.rebase("data", other, rows)
    (scanned.folder / "a").write_bytes(b"x" * 100)

    scanned.scan()

    assert scanned.cache.rows("data") == rows


def test_without_the_manifest_a_touched_file_counts_as_modified(scanned: Scanned, shelf: Shelf) -> None:
    scanned.scan(known=False)
    (scanned.folder / "a").touch()
    missing = shelf.store.manifest(VersionId(b"m" * 32))

    found = scanned.scanner.scan("data", Base(scanned.manifest.version, None), lambda: missing, NO_TASK, known=True)

    assert [item.path for item in found.modified] == [b"a"]
    assert found.unchanged == 4


def test_many_touched_files_are_looked_up_in_one_go(shelf: Shelf, folder: Path, tmp_path: Path) -> None:
    for number in range(150):
        (folder / f"{number:03}").write_bytes(bytes([number]))
    cache = StatCache(tmp_path / "many.db")
    many = Scanned(folder, Scanner(folder.parent, cache, shelf.workers), cache, shelf.store_folder(folder))
    many.scan(known=False)
    for number in range(0, 150, 1):
        (folder / f"{number:03}").touch()
    (folder / "007").write_bytes(b"!")

    assert many.names() == ([], [b"007"], [])
    cache.close()


def test_in_a_partly_present_dataset_absent_files_are_not_deleted(scanned: Scanned) -> None:
    scanned.scan(known=False)
    partial = Base(scanned.manifest.version, Choice.of_paths((b"sub",)))
    row = scanned.cache.rows("data")[b"sub/c"]
    scanned.cache.rebase("data", partial, {b"sub/c": row})
    for name in ("b", "link"):
        (scanned.folder / name).unlink()
    (scanned.folder / "a").write_bytes(b"mine")
    (scanned.folder / "new").touch()

    found = scanned.scanner.scan("data", partial, lambda: scanned.manifest, NO_TASK, known=True)

    assert [item.path for item in found.added] == [b"new"]
    assert [item.path for item in found.modified] == [b"a"]
    assert found.deleted == []


NAMES = ("a", "b", "sub/c", "sub/deep/d", "other/e", "link", "empty")
STEPS = st.lists(st.tuples(st.sampled_from(("write", "delete", "empty", "touch")), st.sampled_from(NAMES)), max_size=6)


def change(folder: Path, action: str, name: str) -> None:
    """Do something to one of the paths, whatever is there."""
    path = folder / name
    if action == "touch":
        if path.is_file():
            path.touch()
        return
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    if action == "empty":
        path.mkdir(parents=True)
    elif action == "write":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode() * 50 + b"!")


@given(STEPS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_known_of_folders_never_hides_a_difference(
    shelf: Shelf, tmp_path: Path, steps: list[tuple[str, str]]
) -> None:
    base = Path(tempfile.mkdtemp(dir=tmp_path))
    with scanner_of(base / "tree" / "data", shelf) as scanned:
        scanned.scan(known=False)
        for action, name in steps:
            # Longer than a tick, after which what was looked at can be trusted.
            time.sleep(0.025)
            with suppress(OSError):
                change(scanned.folder, action, name)
            found = scanned.scan()
            with closing(StatCache(None)) as nothing:
                scanner = Scanner(scanned.folder.parent, nothing, shelf.workers)
                version = Base(scanned.manifest.version, None)
                expected = scanner.scan("data", version, lambda: scanned.manifest, NO_TASK, known=False)
            assert outline(found) == outline(expected)


def outline(scan: Scan) -> tuple[int, list[bytes], list[bytes], list[bytes]]:
    return scan.unchanged, [item.path for item in scan.added], [item.path for item in scan.modified], scan.deleted


def test_rows_of_a_folder_in_which_nothing_changed_are_not_needed(scanned: Scanned) -> None:
    scanned.scan(known=False)
    time.sleep(0.025)
    for name in ("a", "b", "sub/c"):
        (scanned.folder / name).touch()
    time.sleep(0.025)
    scanned.scan()
    scanned.scan()

    assert scanned.cache.folders("data").keys() == {b"", b"sub/"}

    (scanned.folder / "sub" / "c").write_bytes(b"changed")
    assert scanned.names() == ([], [b"sub/c"], [])
    (scanned.folder / "sub" / "c").unlink()
    (scanned.folder / "sub").rmdir()
    assert scanned.names() == ([], [], [b"sub/c"])
    assert scanned.names() == ([], [], [b"sub/c"])
