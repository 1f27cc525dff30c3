"""Few changes in many files: the manifest is the one that looking at all of them gives."""

import os
import random
import shutil
from pathlib import Path

import pytest

from dver.errors import PathError
from dver.objects.ids import VersionId
from dver.operations import add, working_edit
from dver.operations.diff import diff
from dver.operations.status import Changes, State, scan_dataset
from dver.operations.working import working_manifest
from dver.operations.working_edit import changed_manifest
from dver.progress import NO_TASK
from dver.workspace.pointers import read_pointer
from tests.clones import Clone, files_opened, snapshot


@pytest.fixture
def many(clone: Clone) -> Clone:
    """A committed dataset of enough files for some changes to be few."""
    for number in range(300):
        clone.write(f"data/{number % 7}/{number}", b"%d" % number)
    (clone.root / "data" / "empty").mkdir()
    (clone.root / "data" / "link").symlink_to("1/1")
    clone.save()
    return clone


def change(path: Path, kind: int) -> None:
    match kind:
        case 0:
            path.unlink()
        case 1:
            path.write_bytes(b"else")
        case 2:
            path.unlink()
            path.mkdir()
            (path / "inner").write_bytes(b"1")
        case 3:
            path.unlink()
            path.symlink_to("other")
        case 4:
            path.chmod(0o755)
        case 5:
            path.rename(path.with_name("moved"))
        case 6:
            (path.parent / "new" / "folder").mkdir(parents=True, exist_ok=True)
        case _:
            os.utime(path)


def versions(clone: Clone) -> tuple[VersionId, VersionId]:
    """Return the version of the working files, found from what changed and from all."""
    with clone.open() as repo:
        pointer = read_pointer(clone.root, "data")
        assert pointer is not None
        scan = scan_dataset(repo, "data", pointer.version, NO_TASK)
        assert scan is not None
        few = changed_manifest(repo, "data", scan, NO_TASK)
        assert list(few.entries()) == list(working_manifest(repo, "data", scan.base, NO_TASK).entries())
        return few.version, working_manifest(repo, "data", scan.base, NO_TASK).version


@pytest.mark.parametrize("seed", range(6))
def test_it_is_the_manifest_of_all_files(many: Clone, seed: int) -> None:
    chance = random.Random(seed)
    for number in chance.sample(range(300), 8):
        change(many.root / "data" / str(number % 7) / str(number), chance.randrange(8))
    if seed % 2:
        shutil.rmtree(many.root / "data" / "empty")
        (many.root / "data" / "empty").write_bytes(b"now a file")

    few, whole = versions(many)
    assert few == whole


def test_files_in_a_folder_that_was_empty(many: Clone) -> None:
    many.write("data/empty/new", b"1")

    few, whole = versions(many)
    assert few == whole


def test_only_what_changed_is_read(many: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    many.write("data/1/1", b"else")
    monkeypatch.setattr(working_edit, "working_manifest", None)

    with files_opened(many.root / "data") as opened, many.open() as repo:
        (found,) = diff(repo)

    assert [change.path for change in found.files] == ["1/1"]
    assert {os.path.basename(path) for path in opened} == {b"1"}


@pytest.mark.parametrize("seed", range(4))
def test_an_add_of_few_changes_makes_the_version_that_an_add_of_all_makes(
    many: Clone, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chance = random.Random(seed)
    for number in chance.sample(range(300), 8):
        change(many.root / "data" / str(number % 7) / str(number), chance.randrange(8))
    monkeypatch.setattr(add, "working_entries", None)

    (added,) = many.add("data").added

    monkeypatch.undo()
    with many.open() as repo:
        assert working_manifest(repo, "data", None, NO_TASK).version == added.pointer.version
        assert repo.cache.has_version(added.pointer.version)
    after = many.status()
    assert (after.state, after.changes) == (State.UNCHANGED, Changes())
    assert not many.add("data").added[0].changed


def test_an_add_of_few_changes_reads_only_these(many: Clone) -> None:
    many.write("data/1/1", b"else")
    with files_opened(many.root / "data") as opened:
        many.add("data")

    assert {os.path.basename(path) for path in opened} == {b"1"}


def test_what_few_changes_made_can_be_checked_out_elsewhere(many: Clone) -> None:
    many.write("data/1/1", b"else")
    (many.root / "data" / "2" / "2").unlink()
    many.add("data")
    expected = snapshot(many.root / "data")
    shutil.rmtree(many.root / "data")
    (many.root / ".dver" / "state.db").unlink()

    many.checkout()

    assert snapshot(many.root / "data") == expected


def test_an_add_of_many_changes_looks_at_all(many: Clone) -> None:
    for number in range(100):
        (many.root / "data" / str(number % 7) / str(number)).unlink()

    many.add("data")

    after = many.status()
    assert (after.state, after.pointer and after.pointer.files) == (State.UNCHANGED, 201)
    with many.open() as repo:
        assert len(repo.stat_cache.rows("data")) == 202


def test_it_is_found_where_the_cache_has_nothing(many: Clone) -> None:
    many.write("data/1/1", b"else")
    with many.open() as repo:
        pointer = read_pointer(many.root, "data")
        assert pointer is not None
        scan = scan_dataset(repo, "data", pointer.version, NO_TASK)
        assert scan is not None
    shutil.rmtree(many.root / ".dver" / "cache")

    with many.open() as repo:
        manifest = changed_manifest(repo, "data", scan, NO_TASK)
        assert sum(1 for _ in manifest.entries()) == 302


def test_what_cannot_be_stored_is_refused(many: Clone) -> None:
    many.write("data/nested/.git/config", b"")

    with many.open() as repo, pytest.raises(PathError, match="belongs to a git repository"):
        diff(repo)
