"""Who only asks what a remote has writes nothing there, and does not count on what is about to go."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dver.objects.ids import VersionId
from dver.operations.gc import gc
from dver.operations.gc_plan import GcOptions
from dver.operations.gc_remote import RemoteGcOptions, gc_remote
from dver.operations.pushed import check_pushed, head_update
from dver.operations.status import status
from dver.repo import Repo
from dver.storage.condemned import Condemned, Phase, new_name, note_phase, read_folder, read_list, write_sweep
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
    write_sweep(backend, name, {"a list": Condemned(frozenset({version.version}))})
    assert not look(ann)
    note_phase(backend, name, Phase.UNMARKED)
    assert not look(ann)
    note_phase(backend, name, Phase.SWEPT)
    assert look(ann)


def hook_of(clone: Clone) -> list[str]:
    with clone.open() as repo:
        return hook(repo)


@pytest.fixture
def bob(ann: Clone, tmp_path: Path) -> tuple[Clone, VersionId]:
    """Somebody who never pushed and refers to a version that nobody else does, which is listed as garbage."""
    made = ann.clone(tmp_path / "bob")
    pointer = ann.status().pointer
    assert pointer is not None
    ann.go_back()
    with ann.open() as repo:
        condemned = gc_remote(repo, None, RemoteGcOptions(grace_days=7)).condemned
    assert condemned is not None
    assert condemned.condemned.versions == {pointer.version}
    return made, pointer.version


def due_of(folder: Path) -> float:
    """Return the time of the first list."""
    backend = LocalBackend(folder / "remote")
    return read_list(backend, read_folder(backend).lists[0]).due


def test_status_and_fetch_tell_of_what_is_listed_as_garbage_until_a_push(
    ann: Clone, bob: tuple[Clone, VersionId], tmp_path: Path
) -> None:
    clone, version = bob
    before, due = snapshot(tmp_path / "remote"), due_of(tmp_path)

    fetched = clone.fetch()
    found = clone.status(remote=True)

    assert [(want.dataset, want.version, when) for want, when in fetched.garbage] == [("data", version, due)]
    assert (found.on_remote, found.garbage_due) == (True, due)
    assert snapshot(tmp_path / "remote") == before
    # Whoever does not refer to it is not told, nor is who does not ask.
    assert ann.status(remote=True).garbage_due is None
    assert clone.status().garbage_due is None

    clone.push()

    assert clone.status(remote=True).garbage_due is None
    with ann.open() as repo:
        gc_remote(repo, None, RemoteGcOptions(grace_days=0))
    assert is_there(clone)


def test_a_fetch_takes_one_listing_to_know_that_nothing_is_garbage(ann: Clone, tmp_path: Path, remote: Remote) -> None:
    asked: list[tuple[str, str]] = []
    remote.before = lambda verb, key: asked.append((verb, key)) if key.startswith(("gc/", "roots/")) else None
    clone = ann.clone(tmp_path / "bob")
    assert clone.fetch().garbage == ()
    assert clone.fetch().garbage == ()
    assert asked == [("list", "gc/")]


def test_of_a_distant_remote_the_list_is_read_whose_time_comes_first(
    ann: Clone, bob: tuple[Clone, VersionId], tmp_path: Path, remote: Remote
) -> None:
    clone, _ = bob
    (tmp_path / "remote/gc/99990101T000000Z-0123456789abcdef.list.json").write_text("{")
    read: list[str] = []
    remote.before = lambda verb, key: read.append(key) if verb == "read" and key.startswith("gc/") else None
    assert clone.status(remote=True).garbage_due == due_of(tmp_path)
    # Twice, for it has no checksum.
    assert len(set(read)) == 1


def test_lists_that_cannot_be_read_are_no_matter_to_who_only_asks(ann: Clone, tmp_path: Path) -> None:
    path = tmp_path / "remote/gc/20260101T000000Z-0123456789abcdef.list.json"
    path.parent.mkdir()
    path.write_text("{")
    assert is_there(ann)
    clone = ann.clone(tmp_path / "bob")
    assert clone.fetch().sent.versions
