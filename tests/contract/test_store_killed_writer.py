"""What a writer that was killed left behind in a store: it is taken up, and never believed where it is not whole."""

import contextlib
import os
from pathlib import Path

import pytest

from dver.fileio import TEMPORARY_PREFIX
from dver.objects.ids import ChunkId, NodeId
from dver.objects.pack import Kind
from dver.storage.packs import list_packs, read_pack_entries
from dver.storage.store import Store
from dver.storage.writer import StoreWriter
from tests.stores import (
    FILES,
    SMALL_PACK,
    StorePlace,
    all_nodes,
    encrypted_place,
    flip,
    keys,
    local_place,
    noise,
    put_chunks,
    put_files,
    read_files,
    read_objects,
    replace,
    store_files,
)


class _KilledError(Exception):
    pass


def _kill(store: Store) -> list[ChunkId]:
    """Write packs, and end as a killed process does: nothing after them."""
    with contextlib.suppress(_KilledError), StoreWriter(store, pack_size=SMALL_PACK) as writer:
        chunks = put_chunks(writer, noise(60_000, 3))
        raise _KilledError
    return chunks


def test_packs_of_a_killed_session_are_taken_up_by_the_next(near_place: StorePlace) -> None:
    store = near_place.open("copy")
    store_files(store, FILES)
    chunks = _kill(store)
    assert store.journal is not None
    assert store.journal.exists()
    packs = len(keys(store.backend, "packs/"))
    assert packs > 3
    fresh = near_place.open("copy")
    with StoreWriter(fresh, pack_size=SMALL_PACK) as writer:
        assert put_chunks(writer, noise(60_000, 3)) == chunks
        # The last pack was not full yet, and a few before it were still waiting to be written.
        assert writer.stored_bytes < 60_000 - (packs - 1) * SMALL_PACK
        writer.flush()
    assert not store.journal.exists()
    assert len(read_objects(near_place.open(), chunks)) == len(chunks)


@pytest.mark.parametrize("is_encrypted", [False, True])
def test_the_next_session_removes_old_files_that_were_never_finished(tmp_path: Path, is_encrypted: bool) -> None:
    place = encrypted_place(local_place(tmp_path)) if is_encrypted else local_place(tmp_path)
    store = place.open("copy")
    _kill(store)
    left, young = (tmp_path / "store" / "packs" / f"{TEMPORARY_PREFIX}{name}" for name in ("old", "young"))
    for path in (left, young):
        path.write_bytes(b"half")
    os.utime(left, (1000, 1000))
    store_files(place.open("copy"), FILES)
    assert [path.exists() for path in (left, young)] == [False, True]
    place.close()


def test_without_a_killed_session_nobody_looks_at_packs(near_place: StorePlace) -> None:
    store = near_place.open("copy")
    store_files(store, FILES)
    assert store.journal is not None
    assert not store.journal.exists()
    fresh, backend = near_place.watched("copy")
    store_files(fresh, {"new": noise(500)})
    assert backend.asked("list", "packs/") == []


def test_a_journal_that_cannot_be_written_costs_only_the_resumption(near_place: StorePlace) -> None:
    (near_place.folder / "file").write_text("in the way")
    backend = near_place.make()
    store = Store(
        backend, near_place.open().index, name="the store", journal=near_place.folder / "file" / "x.unfinished"
    )
    version = store_files(store, FILES)
    assert read_files(near_place.open(), version) == FILES


def _pack_of_nodes(store: Store) -> tuple[str, list[str]]:
    """Return the key of the pack that holds nodes, and those of the others."""
    found = list_packs(store.backend)
    entries = {pack: read_pack_entries(store.backend, pack, size) for pack, size in found.items()}
    nodes = [pack for pack in found if any(entry.kind is Kind.NODE for entry in entries[pack])]
    assert len(nodes) == 1
    names = {pack: f"packs/{pack.hex()[:2]}/{pack.hex()}.pack" for pack in found}
    return names[nodes[0]], [name for pack, name in names.items() if pack != nodes[0]]


def test_nodes_are_taken_up_only_if_all_below_them_is_there(near_place: StorePlace) -> None:
    store = near_place.open()
    version = store_files(store, FILES, pack_size=SMALL_PACK)
    nodes = all_nodes(store, version)
    _, others = _pack_of_nodes(store)
    chunk_pack = store.backend.read(others[0])
    for key in [*keys(store.backend, "index/"), others[0]]:
        store.backend.delete(key)
    if hasattr(store.backend, "close"):
        store.backend.close()
    fresh = near_place.open("copy")
    assert fresh.present(list(nodes)) == set()
    # A session now writes what is missing, nodes too, and the version is whole again.
    with StoreWriter(fresh, pack_size=SMALL_PACK) as writer:
        summary = put_files(writer, FILES)
        assert 0 < writer.stored_bytes < 4 * SMALL_PACK
        writer.flush()
    assert summary.version == version
    assert read_files(near_place.open(), version) == FILES
    assert near_place.open("copy").present(list(nodes)) == nodes
    # And so it is once the missing pack turns up.
    replace(store.backend, others[0], chunk_pack)
    again = near_place.open("copy")
    again.index.recover()
    assert read_files(again, version) == FILES


def test_nodes_whose_trees_are_not_whole_can_still_be_read(near_place: StorePlace) -> None:
    # As in a cache that holds a part of a version and has lost its index files.
    store = near_place.open()
    version = store_files(store, FILES, pack_size=SMALL_PACK)
    _, others = _pack_of_nodes(store)
    for key in [*keys(store.backend, "index/"), others[0]]:
        store.backend.delete(key)
    if hasattr(store.backend, "close"):
        store.backend.close()
    for _ in range(2):
        fresh = near_place.open("copy")
        assert fresh.manifest(version).totals() == (3, sum(map(len, FILES.values())))
        assert fresh.present([NodeId(version)]) == set()
        fresh.close()


def test_nodes_written_before_their_chunks_are_taken_up_when_these_come(near_place: StorePlace) -> None:
    store = near_place.open()
    version = store_files(store, FILES, pack_size=SMALL_PACK)
    node_pack, others = _pack_of_nodes(store)
    packs = {key: store.backend.read(key) for key in others}
    for key in [*keys(store.backend, "index/"), *others]:
        store.backend.delete(key)
    if hasattr(store.backend, "close"):
        store.backend.close()
    watcher = near_place.open("copy")
    assert watcher.present([NodeId(version)]) == set()
    for key, data in packs.items():
        store.backend.write(key, [data])
    watcher.index.recover()
    assert watcher.present([NodeId(version)]) == {NodeId(version)}
    assert node_pack in keys(store.backend)
    assert read_files(watcher, version) == FILES


def test_damaged_nodes_are_not_taken_up(near_place: StorePlace) -> None:
    store = near_place.open()
    version = store_files(store, FILES)
    (at,) = store.index.find([NodeId(version)]).values()
    for key in keys(store.backend, "index/"):
        store.backend.delete(key)
    (pack,) = keys(store.backend, "packs/")
    replace(store.backend, pack, flip(store.backend.read(pack), at.end - 5))
    fresh = near_place.open()
    assert fresh.present([NodeId(version)]) == set()
    assert store_files(fresh, FILES) == version
    assert read_files(near_place.open(), version) == FILES


def test_a_pack_of_zeros_is_replaced_when_its_objects_are_stored_again(near_place: StorePlace) -> None:
    store = near_place.open()
    version = store_files(store, FILES)
    (pack,) = keys(store.backend, "packs/")
    replace(store.backend, pack, bytes(len(store.backend.read(pack))))
    for key in keys(store.backend, "index/"):
        store.backend.delete(key)
    assert store_files(near_place.open(), FILES) == version
    assert keys(store.backend, "packs/") == [pack]
    assert read_files(near_place.open(), version) == FILES


def test_recovering_during_a_session_of_another_loses_nothing(near_place: StorePlace) -> None:
    store, watcher = near_place.open(), near_place.open()
    with StoreWriter(store, pack_size=SMALL_PACK) as writer:
        chunks = put_chunks(writer, noise(40_000, 6))
        watcher.index.recover()
        summary = put_files(writer, FILES)
        watcher.index.recover()
        writer.flush()
    watcher.index.refresh()
    assert watcher.present(chunks) == set(chunks)
    assert read_files(watcher, summary.version) == FILES
    assert read_files(near_place.open(), summary.version) == FILES
