"""Taking garbage out of a store, wherever it is: what is needed stays readable, and what goes is given back."""

import pytest

from dver.errors import IntegrityError, ObjectNotFoundError
from dver.objects.ids import NodeId, ObjectId, VersionId
from dver.objects.indexfile import decode_index
from dver.operations.liveness import live_objects
from dver.storage.packs import list_packs, pack_key
from dver.storage.store import Store
from dver.storage.sweep import Census, Sweeper, take_census
from tests.stores import FILES, SMALL_PACK, StorePlace, all_nodes, flip, keys, noise, read_files, replace, store_files

OTHER = {"a": FILES["a"], "new": noise(12_000, 9)}


def sweep(store: Store, versions: set[VersionId]) -> Census:
    """Do what a garbage collection does that is to keep these versions."""
    with live_objects(store, versions) as live:
        census = take_census(store, live)
        sweeper = Sweeper(store, pack_size=SMALL_PACK)
        sweeper.unmark(store.versions() - versions)
        sweeper.delete(census.dead)
        sweeper.repack(census.due, live, round_bytes=SMALL_PACK)
    return census


def listed(store: Store) -> set[bytes]:
    """Return the packs that index files list."""
    return {pack.id for key in keys(store.backend, "index/") for pack in decode_index(store.backend.read(key), key)}


def test_what_is_kept_is_whole_and_the_rest_is_gone(near_place: StorePlace) -> None:
    store = near_place.open()
    kept = store_files(store, FILES, pack_size=SMALL_PACK)
    gone = store_files(store, OTHER, pack_size=SMALL_PACK)
    census = sweep(store, {kept})
    assert census.freed > 12_000
    for reader in (store, near_place.open()):
        assert read_files(reader, kept) == FILES
        assert reader.versions() == {kept}
        with pytest.raises(ObjectNotFoundError):
            read_files(reader, gone)
    assert listed(store) == set(list_packs(store.backend))


def test_objects_that_were_copied_are_found_where_they_are_now(near_place: StorePlace) -> None:
    store = near_place.open()
    kept = store_files(store, {"a": FILES["a"]})
    both = store_files(store, {**FILES, "a": noise(9000, 5)})
    census = sweep(store, {both})
    assert [pack.objects for pack in census.kept]
    assert read_files(store, both) == {**FILES, "a": noise(9000, 5)}
    assert not store.present([NodeId(kept)])


def test_a_reader_with_an_index_copy_of_its_own_finds_what_moved(near_place: StorePlace) -> None:
    store, reader = near_place.open(), near_place.open()
    mixed = store_files(store, {**OTHER, "b": FILES["b"]})
    kept = store_files(store, {"b": FILES["b"], "c": FILES["c"]})
    assert read_files(reader, kept) == {"b": FILES["b"], "c": FILES["c"]}
    sweep(store, {kept})
    assert read_files(reader, kept) == {"b": FILES["b"], "c": FILES["c"]}
    assert mixed not in reader.versions()


def test_what_went_is_stored_again_by_whoever_knew_it_before(near_place: StorePlace) -> None:
    store, other = near_place.open(), near_place.open()
    kept, gone = store_files(store, FILES), store_files(store, OTHER)
    assert other.present([NodeId(gone)])
    sweep(store, {kept})
    other.index.expire()
    assert store_files(other, OTHER) == gone
    assert read_files(near_place.open(), gone) == OTHER


def test_nothing_is_copied_for_the_sake_of_a_little(near_place: StorePlace) -> None:
    store = near_place.open()
    kept = store_files(store, FILES)
    before = keys(store.backend)
    sweep(store, {kept})
    assert keys(store.backend) == before


def test_a_damaged_pack_is_left_alone(near_place: StorePlace) -> None:
    store = near_place.open()
    store_files(store, {**OTHER, "b": FILES["b"]})
    kept = store_files(store, {"b": FILES["b"], "c": FILES["c"]})
    with live_objects(store, {kept}) as live:
        census = take_census(store, live)
        (due,) = census.due
        at = next(one for one in store.index.located(_chunks(store, kept)).values() if one.pack == due.id)
        key = pack_key(due.id)
        replace(store.backend, key, flip(store.backend.read(key), at.offset + 60))
        sweeper = Sweeper(store)
        sweeper.repack(census.due, live)
    assert sweeper.swept.damaged == [due.id]
    assert due.id in list_packs(store.backend)
    assert due.id in listed(store)


def _chunks(store: Store, version: VersionId) -> set[ObjectId]:
    nodes = all_nodes(store, version)
    with live_objects(store, {version}) as live:
        return {one for one in live if one not in nodes}


def test_what_is_live_is_every_node_and_chunk(near_place: StorePlace) -> None:
    store = near_place.open()
    version = store_files(store, FILES)
    with live_objects(store, {version}) as live:
        assert set(live) == {identity for identity, _, _ in store.index.objects()}
    with live_objects(store, set()) as live:
        assert set(live) == set()


def test_a_marked_version_of_which_a_node_is_missing_is_an_error(near_place: StorePlace) -> None:
    store = near_place.open()
    store_files(store, FILES)
    missing = VersionId(b"\7" * 32)
    with live_objects(store, {missing}) as live:
        assert set(live) == set(), "a version that is not here needs nothing"
    store.mark_version(missing, files=1, size=1)
    with pytest.raises(ObjectNotFoundError):
        live_objects(store, {missing})


def test_a_damaged_node_is_an_error(near_place: StorePlace) -> None:
    store = near_place.open()
    version = store_files(store, FILES)
    at = store.index.located([NodeId(version)])[NodeId(version)]
    replace(store.backend, pack_key(at.pack), flip(store.backend.read(pack_key(at.pack)), at.offset + 60))
    with pytest.raises(IntegrityError):
        live_objects(near_place.open(), {version})


def test_many_index_files_become_one(near_place: StorePlace) -> None:
    store = near_place.open()
    versions = {store_files(store, {"x": noise(2000, seed)}): seed for seed in range(6)}
    assert len(keys(store.backend, "index/")) == 6
    Sweeper(store).merge_index_files(list(store.index.file_sizes()))
    assert len(keys(store.backend, "index/")) == 1
    for reader in (store, near_place.open()):
        for version, seed in versions.items():
            assert read_files(reader, version) == {"x": noise(2000, seed)}
