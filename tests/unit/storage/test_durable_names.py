"""Names that a killed writer left before they were durable become so before anybody counts on them."""

import os
from pathlib import Path

import pytest

from dver.storage.index import index_key
from dver.storage.local import LocalBackend
from tests.clones import Clone, noise
from tests.faults.unsynced import place_of_fd
from tests.stores import FILES, keys, local_place, store_files


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


def test_packs_that_no_index_file_lists_are_flushed_before_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = local_place(tmp_path)
    store = place.open()
    store_files(store, FILES)
    for index in store.index.file_sizes():
        store.backend.delete(index_key(index))
    (pack,) = keys(store.backend, "packs/")
    found = flushed(monkeypatch)
    assert place.open().index.recover()
    folder = str((tmp_path / "store" / pack).parent)
    assert found.index(folder) < next(at for at, path in enumerate(found) if "/index/" in path)
    place.close()


def test_a_marker_that_is_there_already_is_flushed_by_the_next_push_and_fetch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone = Clone.make(tmp_path / "repo", remote=tmp_path / "remote")
    clone.write("data/a", noise(3000))
    clone.save()
    clone.push()
    for transfer, store in ((clone.push, tmp_path / "remote"), (clone.fetch, clone.root / ".dver" / "cache")):
        found = flushed(monkeypatch)
        transfer()
        assert str(store / "versions") in found
