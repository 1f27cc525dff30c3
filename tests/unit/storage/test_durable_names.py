"""Names that a killed writer left before they were durable become so before anybody counts on them."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dver.operations.registering import register
from dver.operations.remote_keys import set_up_keys
from dver.storage.crypt_rotate import open_with
from dver.storage.index_files import index_key
from dver.storage.keyring import add_slot, create_keyring, remove_slot, rotate_keyring
from dver.storage.local import LocalBackend
from dver.storage.objectset import ObjectSet
from dver.storage.sweep import Sweeper, take_census
from tests.clones import Clone, noise
from tests.encryption import KEY, OTHER_KEY, add_encrypted_remote, encryption
from tests.faults.unsynced import place_of_fd
from tests.stores import FILES, StorePlace, encrypted_place, keys, local_place, store_files


@pytest.fixture(params=["plain", "encrypted"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StorePlace]:
    """A folder for a store, `tmp_path / "store"`."""
    found = local_place(tmp_path)
    if request.param == "encrypted":
        found = encrypted_place(found)
    yield found
    found.close()


def flushed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows with the path of each file or folder that is flushed."""
    found: list[str] = []
    real = os.fsync

    def fsync(fd: int) -> None:
        found.append(place_of_fd(fd))
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    return found


def test_folders_that_another_made_are_flushed_with_the_first_blob(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "store"
    (root / "packs" / "ab").mkdir(parents=True)
    found = flushed(monkeypatch)
    LocalBackend(root).write("packs/ab/one", [b"x"])
    assert {str(root / "packs" / "ab"), str(root / "packs"), str(root), str(tmp_path)} <= set(found)


def files(folder: Path) -> set[Path]:
    """Return all files below a folder."""
    return {path for path in folder.rglob("*") if path.is_file()}


def test_packs_that_no_index_file_lists_are_flushed_before_one_does(
    place: StorePlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = place.open()
    store_files(store, FILES)
    for index in store.index.file_sizes():
        store.backend.delete(index_key(index))
    assert len(keys(store.backend, "packs/")) == 1
    (pack,) = files(tmp_path / "store" / "packs")
    found = flushed(monkeypatch)
    assert place.open().index.recover()
    assert found.index(str(pack.parent)) < next(at for at, path in enumerate(found) if "/index/" in path)


def test_what_a_killed_writer_indexed_is_flushed_by_the_next(
    place: StorePlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = place.open("copy")
    store_files(store, FILES)
    assert store.journal is not None
    store.journal.touch()
    found = flushed(monkeypatch)
    store_files(place.open("copy"), FILES)
    assert str(tmp_path / "store" / "index") in found


def test_what_is_deleted_is_gone_for_good_before_what_it_counted_on_goes(
    place: StorePlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = place.open()
    version = store_files(store, FILES)
    store.index.refresh()
    with ObjectSet() as nothing:
        dead = take_census(store, nothing).dead
    found = flushed(monkeypatch)
    gone: list[tuple[str, int]] = []
    real = Path.unlink

    def unlink(path: Path, missing_ok: bool = False) -> None:
        gone.append((path.relative_to(tmp_path / "store").parts[0], len(found)))
        real(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink)
    sweeper = Sweeper(store)
    sweeper.unmark([version])
    sweeper.delete(dead)
    when = dict(gone)
    assert [kind for kind, _ in gone] == ["versions", "index", "packs"]
    assert str(tmp_path / "store" / "versions") in found[when["versions"] : when["index"]]
    assert str(tmp_path / "store" / "index") in found[when["index"] : when["packs"]]


def test_what_a_killed_sweep_deleted_is_gone_for_good_before_the_next_deletes_more(
    place: StorePlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = place.open()
    store_files(store, FILES)
    for key in (*keys(store.backend, "versions/"), *keys(store.backend, "index/")):
        store.backend.delete(key)
    fresh = place.open()
    with ObjectSet() as nothing:
        dead = take_census(fresh, nothing).dead
    found = flushed(monkeypatch)
    gone: list[int] = []
    monkeypatch.setattr(Path, "unlink", lambda path, missing_ok=False: gone.append(len(found)))
    sweeper = Sweeper(fresh)
    sweeper.unmark([])
    sweeper.delete(dead)
    assert {str(tmp_path / "store" / "versions"), str(tmp_path / "store" / "index")} <= set(found[: gone[0]])


@pytest.mark.parametrize("is_encrypted", [False, True])
def test_a_marker_that_is_there_already_is_flushed_by_the_next_push_and_fetch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_encrypted: bool
) -> None:
    clone = Clone.make(tmp_path / "repo", remote=None if is_encrypted else tmp_path / "remote")
    if is_encrypted:
        add_encrypted_remote(clone, str(tmp_path / "remote"), tmp_path / "key")
    clone.write("data/a", noise(3000))
    clone.save()
    clone.push()
    for transfer, store in ((clone.push, tmp_path / "remote"), (clone.fetch, clone.root / ".dver" / "cache")):
        found = flushed(monkeypatch)
        transfer()
        assert str(store / "versions") in found


def test_what_a_killed_push_left_word_of_is_flushed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone = Clone.make(tmp_path / "repo", remote=tmp_path / "remote")
    clone.write("data/a", noise(3000))
    clone.save()
    with clone.open() as repo:
        assert register(repo, repo.remote())
        found = flushed(monkeypatch)
        # Until somebody has looked for sweeps, it counts as not said.
        assert register(repo, repo.remote())
    assert str(tmp_path / "remote" / "roots") in found


def test_the_keys_of_an_encrypted_remote_are_flushed_before_anybody_counts_on_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone = Clone.make(tmp_path / "repo")
    add_encrypted_remote(clone, str(tmp_path / "remote"), tmp_path / "key")
    clone.write("data/a", noise(3000))
    clone.save()
    found = flushed(monkeypatch)
    with clone.open() as repo:
        set_up_keys(repo, "origin")
    assert str(tmp_path / "remote" / "keys") in found
    found.clear()
    clone.push()
    first = next(at for at, path in enumerate(found) if str(tmp_path / "remote") in path)
    assert found[first] == str(tmp_path / "remote" / "keys")


def test_a_key_that_was_removed_is_gone_for_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = LocalBackend(tmp_path / "store")
    ring = create_keyring(backend, encryption(), KEY, label="")
    slot = add_slot(backend, ring, OTHER_KEY, label="")
    found = flushed(monkeypatch)
    remove_slot(backend, ring, slot.id)
    assert found == [str(tmp_path / "store" / "keys")]


def test_what_somebody_encrypted_anew_is_flushed_before_the_old_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = LocalBackend(tmp_path / "store")
    old = create_keyring(inner, encryption(), KEY, label="")
    open_with(inner, old).write("packs/4f/one.pack", [b"x"])
    (before,) = files(tmp_path / "store" / "packs")
    backend = open_with(inner, rotate_keyring(inner, encryption(), old, KEY))
    backend.write("packs/4f/one.pack", [b"x"])
    (after,) = files(tmp_path / "store" / "packs") - {before}
    found = flushed(monkeypatch)
    gone: list[int] = []
    monkeypatch.setattr(Path, "unlink", lambda path, missing_ok=False: gone.append(len(found)))
    backend.move_to_newest(old.masters.newest, "packs/4f/one.pack")
    assert str(after.parent) in found[: gone[0]]
    assert str(before.parent) in found[gone[0] :]
