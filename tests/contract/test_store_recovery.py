"""A store whose index, or the local copy of it, is gone or damaged: all is found again, nothing wrong is believed."""

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from dver.errors import BackendError, BackendProblem, DverError, ObjectNotFoundError, UnsupportedFormatError
from dver.objects.ids import checksum, index_id
from dver.objects.indexfile import decode_index
from dver.objects.pack import TRAILER_LENGTH
from dver.storage.index_files import index_key
from dver.storage.packs import list_packs, read_pack_entries
from dver.storage.store import Store
from dver.storage.writer import StoreWriter
from tests.stores import (
    FILES,
    SMALL_PACK,
    StorePlace,
    WatchedBackend,
    flip,
    keys,
    noise,
    put_chunks,
    put_files,
    read_files,
    read_objects,
    replace,
    store_files,
)


def index_copies(near_place: StorePlace) -> list[Path]:
    return sorted((near_place.folder / "index").glob("*.db*"))


# The local copy


def test_a_deleted_copy_is_made_again(near_place: StorePlace) -> None:
    store = near_place.open("copy")
    version = store_files(store, FILES)
    store.close()
    for path in index_copies(near_place):
        path.unlink()
    assert read_files(near_place.open("copy"), version) == FILES


@pytest.mark.parametrize("content", [b"", b"no database at all" * 500, b"SQLite format 3\0" + bytes(5000)])
def test_a_copy_that_is_no_database_is_made_again(near_place: StorePlace, content: bytes) -> None:
    version = store_files(near_place.open(), FILES)
    path = near_place.folder / "index" / "copy.db"
    path.write_bytes(content)
    assert read_files(near_place.open("copy"), version) == FILES


def test_a_copy_of_another_schema_is_made_again(near_place: StorePlace) -> None:
    version = store_files(near_place.open(), FILES)
    with sqlite3.connect(near_place.folder / "index" / "copy.db") as other:
        other.executescript("CREATE TABLE objects (x); INSERT INTO objects VALUES (1); PRAGMA user_version = 1")
    other.close()
    assert read_files(near_place.open("copy"), version) == FILES


def test_a_copy_damaged_inside_is_thrown_away_and_the_next_run_works(near_place: StorePlace) -> None:
    store = near_place.open("copy")
    version = store_files(store, {f"{number:03}": noise(1500, number) for number in range(300)})
    expected = read_files(store, version)
    store.close()
    path = near_place.folder / "index" / "copy.db"
    size = path.stat().st_size
    with path.open("r+b") as file:
        # All but the first page, which says that it is a database, and of which schema.
        file.seek(4096)
        file.write(b"\xa5" * (size - 4096))
    store = near_place.open("copy")
    with pytest.raises(DverError) as caught:
        read_files(store, version)
    assert caught.value.hint == "run the same command again"
    assert read_files(near_place.open("copy"), version) == expected


def test_a_place_that_cannot_be_written_gives_a_copy_in_memory(near_place: StorePlace) -> None:
    version = store_files(near_place.open(), FILES)
    (near_place.folder / "file").write_text("in the way of the index folder")
    other = StorePlace(near_place.make, near_place.folder / "file")
    assert read_files(other.open("copy"), version) == FILES
    store_files(other.open("copy"), {"more": noise(100)})
    other.close()
    assert (near_place.folder / "file").is_file()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_gives_a_copy_in_memory(near_place: StorePlace) -> None:
    version = store_files(near_place.open(), FILES)
    folder = near_place.folder / "read-only"
    (folder / "index").mkdir(parents=True)
    (folder / "index").chmod(0o555)
    other = StorePlace(near_place.make, folder)
    assert read_files(other.open("copy"), version) == FILES
    other.close()


def test_a_copy_of_a_store_that_was_emptied_since_is_not_believed(near_place: StorePlace) -> None:
    store = near_place.open("copy")
    version = store_files(store, FILES)
    ((pack, size),) = list_packs(store.backend).items()
    chunk = read_pack_entries(store.backend, pack, size)[0].id
    store.close()
    for key in keys(store.backend):
        store.backend.delete(key)
    if hasattr(store.backend, "close"):
        store.backend.close()
    fresh = near_place.open("copy")
    assert fresh.present([chunk]) == set()
    with pytest.raises(ObjectNotFoundError):
        read_files(near_place.open("copy"), version)
    assert store_files(fresh, FILES) == version
    assert read_files(near_place.open(), version) == FILES


# Index files


def test_deleted_index_files_are_made_again_from_packs(near_place: StorePlace) -> None:
    store = near_place.open()
    versions = [store_files(store, {"a": noise(6000, seed)}, pack_size=SMALL_PACK) for seed in range(3)]
    listed = _listed(store)
    for key in keys(store.backend, "index/"):
        store.backend.delete(key)
    fresh = near_place.open()
    assert [read_files(fresh, version)["a"] for version in versions] == [noise(6000, seed) for seed in range(3)]
    assert _listed(store) == listed
    # Whoever comes next finds them in the index files again.
    third, backend = near_place.watched()
    assert read_files(third, versions[0])
    assert backend.asked("list", "packs/") == []


def _listed(store: Store) -> set[bytes]:
    files = [decode_index(store.backend.read(key), key) for key in keys(store.backend, "index/")]
    return {entry.id for packs in files for pack in packs for entry in pack.entries}


@pytest.mark.parametrize("copy", [None, "copy"])
def test_one_deleted_index_file_of_many_is_made_again(near_place: StorePlace, copy: str | None) -> None:
    store = near_place.open("copy")
    versions = {store_files(store, {"a": noise(6000, seed)}): seed for seed in range(4)}
    store.backend.delete(keys(store.backend, "index/")[1])
    fresh = near_place.open(copy)
    fresh.index.refresh()
    assert all(read_files(fresh, version)["a"] == noise(6000, seed) for version, seed in versions.items())
    assert len(keys(store.backend, "index/")) == 4


def test_a_copy_notices_a_deleted_index_file_before_anything_is_stored_again(near_place: StorePlace) -> None:
    store = near_place.open("copy")
    for seed in range(3):
        store_files(store, {"a": noise(6000, seed)})
    store.backend.delete(keys(store.backend, "index/")[0])
    with StoreWriter(near_place.open("copy")) as writer:
        for seed in range(3):
            put_files(writer, {"a": noise(6000, seed)})
        assert writer.stored_bytes == 0


def _truncated(data: bytes) -> bytes:
    return data[: len(data) // 2]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "magic": lambda data: flip(data, 0),
    "version": lambda data: flip(data, 4),
    "count": lambda data: flip(data, 8),
    "entry": lambda data: flip(data, len(data) // 2),
    "checksum": lambda data: flip(data, -1),
    "half": _truncated,
    "empty": lambda _data: b"",
    "longer": lambda data: data + b"x",
    "junk": lambda _data: b"junk" * 100,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_index_file_is_replaced(near_place: StorePlace, damage: str) -> None:
    store = near_place.open()
    version = store_files(store, FILES)
    other = store_files(store, {"other": noise(2000, 9)})
    damaged = keys(store.backend, "index/")[0]
    listed = _listed(store)
    whole = store.backend.read(damaged)
    replace(store.backend, damaged, DAMAGES[damage](whole))
    fresh = near_place.open()
    assert read_files(fresh, version) == FILES
    assert read_files(fresh, other)
    assert _listed(store) == listed


def test_an_index_file_of_a_newer_format_is_refused_and_kept(near_place: StorePlace) -> None:
    store = near_place.open()
    store_files(store, FILES)
    body = b"DVIX\x02" + bytes(20)
    newer = body + checksum(body).to_bytes(8, "little")
    key = index_key(index_id(newer))
    store.backend.write(key, [newer])
    with pytest.raises(UnsupportedFormatError) as caught:
        near_place.open().index.refresh()
    assert key in caught.value.where
    assert store.backend.read(key) == newer


def test_an_index_file_that_vanishes_between_listing_and_reading_is_passed_over(near_place: StorePlace) -> None:
    store = near_place.open()
    version = store_files(store, FILES)
    other = store_files(store, {"b": noise(500, 5)})
    gone = keys(store.backend, "index/")
    late, backend = near_place.watched("late")

    def vanish(verb: str, key: str) -> None:
        if verb == "read" and key in gone[:1]:
            store.backend.delete(key)

    backend.before = vanish
    assert read_files(late, version) == FILES
    assert read_files(late, other)
    # It is not remembered as read: that would make the next refresh begin anew.
    backend.calls.clear()
    late.index.refresh()
    assert backend.asked("read", gone[1]) == []


def test_what_another_process_publishes_during_a_listing_is_not_taken_for_vanished(near_place: StorePlace) -> None:
    store = near_place.open("shared")
    store_files(store, FILES)
    late, backend = near_place.watched("shared")
    listings = iter(range(100))

    def publish_meanwhile(verb: str, key: str) -> None:
        if (verb, key) == ("list", "index/") and next(listings) == 0:
            store_files(store, {"new": noise(3000, 8)})

    backend.before = publish_meanwhile
    late.index.refresh()
    late.index.refresh()
    assert backend.asked("read") == []


# Packs


def _break_end(data: bytes) -> bytes:
    return flip(data, -TRAILER_LENGTH)


def _break_footer(data: bytes) -> bytes:
    return flip(data, len(data) - TRAILER_LENGTH - 10)


def _cut_end(data: bytes) -> bytes:
    return data[: -TRAILER_LENGTH - 20]


@pytest.mark.parametrize("damage", [_break_end, _break_footer, _cut_end])
def test_packs_without_a_footer_are_read_record_by_record(
    near_place: StorePlace, damage: Callable[[bytes], bytes]
) -> None:
    store = near_place.open()
    version = store_files(store, FILES, pack_size=SMALL_PACK)
    for key in keys(store.backend, "index/"):
        store.backend.delete(key)
    for key in keys(store.backend, "packs/"):
        replace(store.backend, key, damage(store.backend.read(key)))
    assert read_files(near_place.open(), version) == FILES


def test_records_after_a_damaged_one_are_lost_only_where_the_footer_is_lost_too(near_place: StorePlace) -> None:
    store = near_place.open()
    with StoreWriter(store) as writer:
        chunks = put_chunks(writer, noise(20_000))
        writer.flush()
    for key in keys(store.backend, "index/"):
        store.backend.delete(key)
    (pack,) = keys(store.backend, "packs/")
    replace(store.backend, pack, flip(store.backend.read(pack), 8000))
    assert near_place.open().present(chunks) == set(chunks)
    for key in keys(store.backend, "index/"):
        store.backend.delete(key)
    replace(store.backend, pack, _break_footer(store.backend.read(pack)))
    found = near_place.open().present(chunks)
    assert 0 < len(found) < len(chunks)
    assert len(read_objects(near_place.open(), sorted(found))) == len(found)


def test_a_long_footer_is_read_whole(near_place: StorePlace) -> None:
    store = near_place.open()
    with StoreWriter(store) as writer:
        chunks = put_chunks(writer, noise(1_600_000))
        writer.flush()
    for key in keys(store.backend, "index/"):
        store.backend.delete(key)
    assert len(chunks) * 52 > 64 * 1024
    fresh, backend = near_place.watched()
    assert fresh.present(chunks) == set(chunks)
    assert len(backend.asked("range")) == 2


# Stores that may only be read


def _read_only(backend: WatchedBackend) -> None:
    def refuse(verb: str, key: str) -> None:
        if verb in ("write", "delete"):
            raise BackendError(backend.location, BackendProblem.DENIED, f"cannot {verb} {key}")

    backend.before = refuse


@pytest.mark.parametrize("damage", ["deleted", "junk"])
def test_a_store_that_may_only_be_read_is_read_without_its_index(near_place: StorePlace, damage: str) -> None:
    store = near_place.open()
    version = store_files(store, FILES, pack_size=SMALL_PACK)
    for key in keys(store.backend, "index/"):
        store.backend.delete(key)
        if damage == "junk":
            store.backend.write(key, [b"junk"])
    before = keys(store.backend)
    for _ in range(2):
        reader, backend = near_place.watched("reader")
        _read_only(backend)
        assert read_files(reader, version) == FILES
        reader.close()
    assert keys(store.backend) == before
    # Somebody who may write makes the index again, with the same copy too.
    writer = near_place.open("reader")
    writer.index.refresh()
    assert read_files(writer, version) == FILES
    fresh, backend = near_place.watched()
    assert read_files(fresh, version) == FILES
    assert backend.asked("list", "packs/") == []
