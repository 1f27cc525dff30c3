"""Sweeps that were cut off, and what the next one makes of what they left."""

from contextlib import suppress
from pathlib import Path

import pytest

from dver.objects.ids import NodeId, VersionId
from dver.storage.index_files import list_index_files, listed_nodes
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


def put_version(store: Store, seeds: list[int]) -> VersionId:
    """Store a version with one file for each seed, all in one pack, and mark it."""
    return store_files(store, {f"{seed}": noise(3000, seed) for seed in seeds})


def nodes_listed(store: Store) -> set[NodeId]:
    listed = listed_nodes(store.backend, list_index_files(store.backend))
    return {node for _, nodes in listed for node in nodes}


def test_nodes_that_came_up_after_the_plan_and_need_what_went_are_listed_no_more(tmp_path: Path) -> None:
    place = local_place(tmp_path)
    store, other = place.open(), place.open()
    first = put_version(store, [1])
    (pack,) = store.index.packs()
    planned = list_index_files(store.backend)
    second = put_version(other, [1, 2])
    third = put_version(other, [3])
    sweeper = Sweeper(store, files=planned)
    sweeper.delete([PackUse(pack, 0, 0, 0)])

    sweeper.catch_up({pack})

    assert NodeId(first) not in nodes_listed(store)
    assert NodeId(second) not in nodes_listed(store), "it needs a chunk of the pack that went"
    assert NodeId(third) in nodes_listed(store)
    assert read_files(place.open(), third) == {"3": noise(3000, 3)}
    place.close()


def test_index_files_that_came_up_meanwhile_list_no_pack_that_went(tmp_path: Path) -> None:
    place = local_place(tmp_path)
    store, other = place.open(), place.open()
    put_version(store, [1])
    (pack,) = store.index.packs()
    (entries,) = (one for index in store.index.file_sizes() for one in store.index.read_file(index))
    sweeper = Sweeper(store, files=list_index_files(store.backend))
    sweeper.delete([PackUse(pack, 0, 0, 0)])
    # Whoever wrote the same pack, and something that counts on it.
    other.index.publish([entries])
    second = put_version(other, [1, 2])

    sweeper.catch_up({pack})

    assert nodes_listed(store) == set()
    assert pack not in place.open().index.packs()
    assert NodeId(second) not in store.index.known([NodeId(second)])
    place.close()


def test_the_local_copy_knows_where_else_lies_what_was_in_a_pack_that_went(tmp_path: Path) -> None:
    place = local_place(tmp_path)
    store, other = place.open(), place.open()
    put_version(store, [1])
    (pack,) = store.index.packs()
    sweeper = Sweeper(store, files=list_index_files(store.backend))
    # Whoever takes that pack for absent stores it all again, in another one.
    other.index.ensure_fresh()
    other.index.give_up({pack})
    again = put_version(other, [1, 2])
    store.index.refresh()
    sweeper.delete([PackUse(pack, 0, 0, 0)])

    sweeper.catch_up({pack})

    assert read_files(store, again) == {"1": noise(3000, 1), "2": noise(3000, 2)}
    place.close()


def test_what_an_index_file_says_that_comes_up_at_the_last_moment_does_not_count(tmp_path: Path) -> None:
    place = local_place(tmp_path)
    store, backend = place.watched()
    other = place.open()
    put_version(store, [1])
    (pack,) = store.index.packs()
    (entries,) = (one for index in store.index.file_sizes() for one in store.index.read_file(index))
    planned = list_index_files(store.backend)
    second = put_version(other, [1, 2])
    sweeper = Sweeper(store, files=planned)
    sweeper.delete([PackUse(pack, 0, 0, 0)])
    listings: list[str] = []

    def before(verb: str, key: str) -> None:
        if (verb, key) == ("list", "index/"):
            listings.append(key)
            if len(listings) == 2:
                other.index.publish([entries])

    backend.before = before
    sweeper.catch_up({pack})

    assert len(listings) >= 2
    assert NodeId(second) not in nodes_listed(store)
    place.close()
