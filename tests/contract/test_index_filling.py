"""A copy of an index that has much to catch up with: many index files at once, sorted before they are put in."""

import os
import signal
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from dver.objects.ids import IndexId, NodeId, ObjectId
from dver.storage import index_copy
from dver.storage.index import ChunkIndex
from dver.storage.index_rows import Row, SortedRows
from dver.storage.store import Store
from tests.stores import StorePlace, flip, keys, local_place, memory_place, noise, read_files, replace, store_files


@pytest.fixture(autouse=True)
def _little_is_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dver.storage.index_filling._MANY_ENTRIES", 1)
    # A few index files a time, each in several runs.
    monkeypatch.setattr("dver.storage.index_filling._MOST_AT_ONCE", 40)
    monkeypatch.setattr("dver.storage.index_filling.SortedRows", partial(SortedRows, run_length=5))


def stored(place: StorePlace, versions: int = 12) -> Store:
    """Store versions that share data, each with an index file of its own."""
    store = place.open("writer")
    for seed in range(versions):
        store_files(store, {"shared": noise(9000), "own": noise(6000, seed + 1)})
    return store


def rows_of(index: ChunkIndex) -> list[tuple[ObjectId, int]]:
    return [(identity, length) for identity, _, length in index.objects()]


def test_finds_all_that_one_by_one_would(near_place: StorePlace, monkeypatch: pytest.MonkeyPatch) -> None:
    store = stored(near_place)
    late = near_place.open("late")
    late.index.ensure_fresh()
    monkeypatch.setattr("dver.storage.index_filling._MANY_ENTRIES", 1 << 40)
    slow = near_place.open("slow")
    slow.index.ensure_fresh()
    assert rows_of(late.index) == rows_of(slow.index) == rows_of(store.index)
    assert late.index.packs(complete=True) == store.index.packs(complete=True)
    for seed, version in enumerate(sorted(store.versions())):
        assert read_files(late, version).keys() == {"shared", "own"}, seed


def test_reads_each_file_once_and_leaves_no_long_log(near_place: StorePlace) -> None:
    stored(near_place)
    late, backend = near_place.watched("late")
    late.index.ensure_fresh()
    assert sorted(backend.asked("read", "index/")) == keys(backend, "index/")
    backend.calls.clear()
    late.index.refresh()
    assert backend.asked("read") == []
    assert late.index.path is not None
    assert late.index.path.with_name("late.db-wal").stat().st_size == 0


def test_a_copy_in_memory_is_filled_too(near_place: StorePlace) -> None:
    store = stored(near_place)
    index = ChunkIndex(None, near_place.make())
    index.ensure_fresh()
    assert rows_of(index) == rows_of(store.index)
    index.close()


def test_a_damaged_file_among_many_is_made_again(near_place: StorePlace) -> None:
    store = stored(near_place)
    damaged = keys(store.backend, "index/")[3]
    replace(store.backend, damaged, flip(store.backend.read(damaged), -20))
    late = near_place.open("late")
    late.index.ensure_fresh()
    assert rows_of(late.index) == rows_of(store.index)


def _stop_in_the_middle(monkeypatch: pytest.MonkeyPatch, stop: "type[BaseException] | int", *, after: int) -> None:
    """Let the filling end in one way or another once so many entries were put in; a number is a signal's."""
    rows = SortedRows.rows
    put = 0

    def stopping(self: SortedRows, numbers: dict[int, int]) -> Iterator[Row]:
        nonlocal put
        for row in rows(self, numbers):
            put += 1
            if put > after:
                if isinstance(stop, int):
                    os.kill(os.getpid(), stop)
                else:
                    raise stop
            yield row

    monkeypatch.setattr(SortedRows, "rows", stopping)


def _assert_whatever_is_noted_is_in(path: Path, store: Store) -> None:
    copy = index_copy.IndexCopy(path)
    noted = copy.files()
    assert noted.keys() < store.index.file_sizes().keys()
    listed = {entry.id for file in noted for pack in store.index.read_file(file) for entry in pack.entries}
    assert {identity for identity, _, _ in copy.objects()} == listed
    copy.close()


@pytest.mark.parametrize("after", [0, 20, 60])
def test_who_interrupts_it_loses_only_what_was_under_way(
    near_place: StorePlace, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    store = stored(near_place)
    late = near_place.open("late")
    with monkeypatch.context() as patch:
        _stop_in_the_middle(patch, KeyboardInterrupt, after=after)
        with pytest.raises(KeyboardInterrupt):
            late.index.ensure_fresh()
    assert late.index.path is not None
    _assert_whatever_is_noted_is_in(late.index.path, store)
    # The same process can go on, as with any other.
    late.index.ensure_fresh()
    assert rows_of(late.index) == rows_of(store.index)


@pytest.mark.parametrize("after", [0, 20, 60])
def test_a_kill_leaves_no_file_noted_whose_entries_are_not_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    place = local_place(tmp_path)
    store = stored(place)
    path = tmp_path / "index" / "late.db"
    child = os.fork()
    if child == 0:
        _stop_in_the_middle(monkeypatch, signal.SIGKILL, after=after)
        ChunkIndex(path, place.make()).ensure_fresh()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
    _assert_whatever_is_noted_is_in(path, store)
    assert {one.name.partition(".")[0] for one in path.parent.iterdir()} == {"writer", "late"}
    late = place.open("late")
    late.index.ensure_fresh()
    assert rows_of(late.index) == rows_of(store.index)
    place.close()


def test_several_fill_one_copy_at_once(near_place: StorePlace) -> None:
    store = stored(near_place)
    path = near_place.folder / "index" / "shared.db"
    indexes = [ChunkIndex(path, near_place.make()) for _ in range(4)]
    threads = [threading.Thread(target=index.ensure_fresh) for index in indexes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index in indexes:
        assert rows_of(index) == rows_of(store.index)
        index.close()


def test_nothing_is_taken_from_a_file_that_was_replaced_since_it_was_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = local_place(tmp_path)
    store = stored(place, versions=3)
    replaced = keys(store.backend, "index/")[1]
    gone = {pack.id for pack in store.index.read_file(_id(store, replaced))}
    put_sorted = index_copy.IndexCopy.put_sorted

    def delete_first(self: index_copy.IndexCopy, *arguments: object) -> None:
        store.backend.delete(replaced)
        put_sorted(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(index_copy.IndexCopy, "put_sorted", delete_first)
    late = place.open("late")
    late.index.ensure_fresh()
    assert not gone & late.index.packs().keys()
    assert not gone & {pack for _, pack, _ in late.index.objects()}
    place.close()


def _id(store: Store, key: str) -> IndexId:
    (found,) = (index for index in store.index.file_sizes() if key == f"index/{index.hex()}.idx")
    return found


# What is nowhere


def test_what_was_never_promised_is_not_looked_for_in_every_pack(tmp_path: Path) -> None:
    place = memory_place(tmp_path)
    stored(place, versions=3)
    reader, backend = place.watched("reader")
    for _ in range(2):
        assert reader.index.find([NodeId(bytes(32))]) == {}
    assert backend.asked("list", "packs/") == []
    assert backend.asked("range") == []
    place.close()


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_what_a_marker_promises_is_found_in_a_pack_that_no_index_file_lists(tmp_path: Path, lost: int) -> None:
    place = memory_place(tmp_path)
    store = place.open()
    versions = [store_files(store, {"own": noise(6000, seed)}) for seed in range(3)]
    listed = set(keys(store.backend, "index/"))
    store.backend.delete(sorted(listed)[lost])
    reader, backend = place.watched("reader")
    for seed, version in enumerate(versions):
        assert read_files(reader, version) == {"own": noise(6000, seed)}
    assert backend.asked("list", "packs/") == ["packs/"]
    assert set(keys(store.backend, "index/")) == listed
    place.close()
