"""Sweeps that were cut off, and what the next one makes of what they left."""

from contextlib import suppress
from pathlib import Path

import pytest

from dver.storage.local import LocalBackend
from dver.storage.store import Store
from dver.storage.sweep import PackUse, Sweeper
from tests.stores import local_place, noise, read_files, store_files


def merge(store: Store) -> None:
    """Merge all packs into one."""
    packs = store.index.packs()
    Sweeper(store).repack([PackUse(pack, size, size, 1) for pack, size in packs.items()], None)


def test_a_merge_that_wrote_the_new_pack_and_was_killed_is_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = local_place(tmp_path)
    store = place.open("copy")
    contents = [{"a": noise(3000, seed)} for seed in range(3)]
    versions = [store_files(store, files) for files in contents]

    def killed(_backend: LocalBackend, _key: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
        patch.setattr(LocalBackend, "delete", killed)
        merge(store)
    again = place.open("copy")
    again.index.refresh()
    assert len(again.index.packs()) == len(versions) + 1
    merge(again)
    found = place.open("copy")
    assert len(found.index.packs()) == 1
    assert [read_files(found, version) for version in versions] == contents
    place.close()
