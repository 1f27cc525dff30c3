"""Who only asks what a remote has writes nothing there, and does not count on what is about to go."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dver.operations.gc import gc
from dver.operations.gc_plan import GcOptions
from dver.operations.pushed import check_pushed, head_update
from dver.operations.status import status
from dver.repo import Repo
from dver.storage.condemned import Part, Phase, new_name, note_phase, write_sweep
from dver.storage.local import LocalBackend
from tests.clones import Clone, noise, snapshot
from tests.unit.operations.watched import Remote


def damage(path: Path) -> None:
    path.unlink()
    path.write_bytes(b"nothing")


HARMS: dict[str, Callable[[Path], None]] = {"gone": Path.unlink, "damaged": damage}


@pytest.fixture
def ann(tmp_path: Path) -> Clone:
    """Somebody who pushed two versions, each with an index file of its own."""
    made = Clone.make(tmp_path / "ann", remote=tmp_path / "remote")
    for seed in (1, 2):
        made.write("data/a", noise(9000, seed))
        made.save()
        made.push()
    return made


def hook(repo: Repo) -> list[str]:
    return [one.dataset for one in check_pushed(repo, head_update(repo)).missing]


def index_files(folder: Path) -> list[Path]:
    return sorted((folder / "remote/index").iterdir())


def is_there(clone: Clone) -> bool:
    return clone.status(remote=True).on_remote is True


@pytest.mark.parametrize("elsewhere", [False, True])
@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize(
    "look",
    [
        lambda repo: status(repo, remote=True),
        hook,
        lambda repo: gc(repo, GcOptions(pushed=True), dry_run=True),
    ],
    ids=["status", "hook", "gc --pushed --dry-run"],
)
def test_nothing_is_written_to_a_remote_that_lost_index_files(
    ann: Clone,
    tmp_path: Path,
    look: Callable[[Repo], object],
    harm: str,
    elsewhere: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if elsewhere:
        monkeypatch.setenv("DVER_INDEX_DIR", str(tmp_path / "another copy"))
    for path in index_files(tmp_path):
        HARMS[harm](path)
    before = snapshot(tmp_path / "remote")
    for _ in range(2):
        with ann.open() as repo:
            look(repo)
    assert snapshot(tmp_path / "remote") == before


@pytest.mark.parametrize("harm", HARMS)
def test_what_no_index_file_lists_is_not_there_until_a_push_has_put_that_right(
    ann: Clone, tmp_path: Path, harm: str
) -> None:
    assert is_there(ann)
    whole = index_files(tmp_path)
    for path in whole:
        HARMS[harm](path)
    assert [is_there(ann), is_there(ann)] == [False, False]
    assert ann.push().restored == ("index/",)
    assert is_there(ann)


def test_a_push_restores_what_a_status_saw_vanish_of_other_versions(ann: Clone, tmp_path: Path) -> None:
    (first, _) = sorted(index_files(tmp_path), key=lambda path: path.stat().st_mtime_ns)
    first.unlink()
    assert [is_there(ann), is_there(ann)] == [True, True]
    assert ann.push().restored == ("index/",)
    assert not ann.push().restored


def test_index_files_that_somebody_merged_are_read_once(
    ann: Clone, tmp_path: Path, remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    bob = ann.clone(tmp_path / "bob")
    with monkeypatch.context() as patch:
        patch.setenv("DVER_INDEX_DIR", str(tmp_path / "another copy"))
        with bob.open() as repo:
            store = repo.remote()
            store.index.refresh()
            files = store.index.file_sizes()
            packs = [pack for index in files for pack in store.index.read_file(index)]
            store.index.replace(list(files), [], packs)
    read: list[str] = []
    remote.before = lambda verb, key: read.append(key) if verb == "read" and key.startswith("index/") else None
    assert [is_there(ann), is_there(ann)] == [True, True]
    assert len(read) == 1


@pytest.mark.parametrize("look", [is_there, lambda clone: not hook_of(clone)], ids=["status", "hook"])
def test_what_a_sweep_under_way_may_take_does_not_count(
    ann: Clone, tmp_path: Path, look: Callable[[Clone], bool]
) -> None:
    version = ann.status().pointer
    assert version is not None
    backend, name = LocalBackend(tmp_path / "remote"), new_name(0)
    assert look(ann)
    write_sweep(backend, name, {"a list": Part(frozenset({version.version}))})
    assert not look(ann)
    note_phase(backend, name, Phase.UNMARKED)
    assert not look(ann)
    note_phase(backend, name, Phase.SWEPT)
    assert look(ann)


def hook_of(clone: Clone) -> list[str]:
    with clone.open() as repo:
        return hook(repo)
