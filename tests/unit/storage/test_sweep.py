"""Sweeps that were cut off, and what the next one makes of what they left."""

from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from dver.errors import IntegrityError
from dver.objects.ids import NodeId, VersionId
from dver.storage.index_files import list_index_files, listed_nodes
from dver.storage.local import LocalBackend
from dver.storage.packs import list_packs
from dver.storage.store import Store
from dver.storage.sweep import PackUse, Sweeper
from tests.stores import WatchedBackend, flip, local_place, noise, read_files, store_files


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


@dataclass(slots=True)
class Faraway(WatchedBackend):
    """A backend in another place; of whole blobs below `prefix`, the reads from `first` to `last` come damaged."""

    prefix: str = "index/"
    first: int = 0
    last: int = 0
    reads: int = 0

    @property
    def is_local(self) -> bool:
        return False

    def read(self, key: str) -> bytes:
        return self._altered(key, self.inner.read(key))

    def read_range(self, key: str, offset: int, length: int) -> bytes:
        return self._altered(key, self.inner.read_range(key, offset, length))

    def _altered(self, key: str, data: bytes) -> bytes:
        if not key.startswith(self.prefix):
            return data
        self.reads += 1
        # In the middle, and where a pack has its list of records.
        return flip(flip(data, len(data) // 2), -30) if self.first <= self.reads <= self.last else data


def sweep_all_but(store: Store, gone: VersionId) -> None:
    """Delete a version: its packs where nothing else is in them, and copy the others into one."""
    index = store.index
    (pack,) = [at.pack for at in index.located([NodeId(gone)]).values()]
    sizes = index.packs()
    sweeper = Sweeper(store, files=list_index_files(store.backend))
    sweeper.delete([PackUse(pack, sizes.pop(pack), 0, 0)])
    sweeper.repack([PackUse(one, size, size, 1) for one, size in sizes.items()], None)
    sweeper.catch_up({pack})


@pytest.mark.parametrize("prefix", ["index/", "packs/"])
def test_a_sweep_reads_again_what_was_damaged_on_its_way(tmp_path: Path, prefix: str) -> None:
    for turn in count(1):
        place = local_place(tmp_path / f"{turn}")
        backend = Faraway(place.make(), prefix=prefix)
        store = place.open(backend=backend)
        put_version(store, [1])
        kept = [put_version(store, [seed]) for seed in (2, 3, 4)]
        gone = VersionId(next(iter(store.versions() - {*kept})))
        backend.reads, backend.first, backend.last = 0, turn, turn
        sweep_all_but(store, gone)
        was_there = backend.reads >= turn
        backend.first = backend.last = 0
        assert NodeId(gone) not in nodes_listed(place.open())
        listed = {pack for pack, _ in listed_nodes(store.backend, list_index_files(store.backend))}
        assert listed == set(list_packs(store.backend))
        assert [read_files(place.open(), one) for one in kept] == [{f"{n}": noise(3000, n)} for n in (2, 3, 4)]
        place.close()
        if not was_there:
            break
    assert turn > 4


def test_a_sweep_that_cannot_tell_what_an_index_file_lists_deletes_no_pack_of_it(tmp_path: Path) -> None:
    for turn in count(1):
        place = local_place(tmp_path / f"{turn}")
        backend = Faraway(place.make())
        store = place.open(backend=backend)
        put_version(store, [1])
        kept = [put_version(store, [seed]) for seed in (2, 3, 4)]
        gone = VersionId(next(iter(store.versions() - {*kept})))
        backend.reads, backend.first, backend.last = 0, turn, 1 << 30
        try:
            sweep_all_but(store, gone)
        except IntegrityError as exc:
            told = exc
        else:
            break
        assert "/index/" in told.where
        assert "dver fsck --remote NAME --repair" in (told.hint or "")
        backend.first = backend.last = 0
        listed = {pack for pack, _ in listed_nodes(store.backend, list_index_files(store.backend))}
        # One that was copied may be there still, and its copy.
        assert listed <= set(list_packs(store.backend))
        assert [read_files(place.open(), one) for one in kept] == [{f"{n}": noise(3000, n)} for n in (2, 3, 4)]
        place.close()
    assert turn > 4


@pytest.mark.parametrize(("last", "damaged"), [(2, 0), (1 << 30, 1)], ids=["on its way", "each time"])
def test_a_pack_whose_list_of_records_is_damaged_is_not_taken_for_copied(
    tmp_path: Path, last: int, damaged: int
) -> None:
    place = local_place(tmp_path)
    backend = Faraway(place.make(), prefix="packs/")
    store = place.open(backend=backend)
    version = put_version(store, [1, 2])
    backend.reads, backend.first, backend.last = 0, 1, last
    (pack,) = store.index.packs()
    sweeper = Sweeper(store)
    sweeper.repack([PackUse(pack, store.index.packs()[pack], 1, 1)], None)
    backend.first = backend.last = 0
    assert len(sweeper.swept.damaged) == damaged
    assert read_files(place.open(), version) == {"1": noise(3000, 1), "2": noise(3000, 2)}
    place.close()
