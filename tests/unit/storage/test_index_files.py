import random
from pathlib import Path

import pytest

from dver.objects.codec import Codec
from dver.objects.ids import ChunkId, PackId, pack_id
from dver.objects.indexfile import IndexedPack, encode_index
from dver.objects.pack import Kind, PackEntry, encode_footer
from dver.storage import index_files
from dver.storage.index_files import index_key, list_index_files, read_index_file, read_index_files
from tests.stores import WatchedBackend, flip, memory_place, replace

ENTRIES = 20


def fill(backend: WatchedBackend, count: int) -> dict[str, list[IndexedPack]]:
    """Write index files of one whole and one partly listed pack each, and return what lies under each key."""
    dice = random.Random(3)
    written = {}
    for _ in range(count):
        entries = tuple(
            PackEntry(ChunkId(dice.randbytes(32)), 16 + place * 200, 100, 100, Kind.DATA, Codec.RAW)
            for place in range(ENTRIES)
        )
        packs = [
            IndexedPack(pack_id(encode_footer(entries)), 5000, entries),
            IndexedPack(PackId(dice.randbytes(32)), 5000, entries[:1]),
        ]
        index, encoded = encode_index(packs)
        backend.write(index_key(index), [encoded])
        written[index_key(index)] = packs
    return written


@pytest.fixture
def far(tmp_path: Path) -> WatchedBackend:
    return WatchedBackend(memory_place(tmp_path).make())


def test_all_are_read_in_the_order_of_the_listing(far: WatchedBackend) -> None:
    written = fill(far, 150)
    listed = list_index_files(far)
    read = list(read_index_files(far, listed))
    assert [file.id for file in read] == list(listed)
    assert {file.key: file.decode() for file in read} == written


def test_what_a_file_lists_can_be_had_without_making_it_of_every_entry(far: WatchedBackend) -> None:
    written = fill(far, 1)
    (file,) = read_index_files(far, list_index_files(far))
    packs = file.split()
    assert packs is not None
    (expected,) = written.values()
    assert [(pack.id, pack.size, bytes(pack.entries)) for pack in packs] == [
        (pack.id, pack.size, encode_footer(pack.entries)) for pack in expected
    ]
    assert [pack.complete for pack in packs] == [True, False]


@pytest.mark.parametrize(("most", "most_bytes", "ahead"), [(3, 1 << 30, 3), (64, 1, 1), (64, 4000, 3)])
def test_only_so_many_are_held_at_once(
    far: WatchedBackend, monkeypatch: pytest.MonkeyPatch, most: int, most_bytes: int, ahead: int
) -> None:
    monkeypatch.setattr(index_files, "_MOST_WAITING", most)
    monkeypatch.setattr(index_files, "_MOST_WAITING_BYTES", most_bytes)
    fill(far, 12)
    listed = list_index_files(far)
    assert {info.size for info in listed.values()} == {1200}
    taken = 0
    for _ in read_index_files(far, listed):
        taken += 1
        # The one that was taken, and those that wait or are under way.
        assert len(far.asked("read")) <= taken + ahead
    assert taken == 12


def test_one_that_vanished_is_left_out_and_a_damaged_one_lists_nothing(far: WatchedBackend) -> None:
    written = fill(far, 5)
    gone, damaged, *sound = written
    listed = list_index_files(far)
    far.delete(gone)
    replace(far, damaged, flip(far.read(damaged), 100))
    read = {file.key: file for file in read_index_files(far, listed)}
    assert read.keys() == {damaged, *sound}
    assert (read[damaged].decode(), read[damaged].split()) == (None, None)
    assert all(read[key].decode() == written[key] for key in sound)
    assert (read_index_file(far, gone), read_index_file(far, damaged)) == ([], None)


def test_no_read_is_left_under_way_when_the_reader_stops(far: WatchedBackend) -> None:
    fill(far, 100)
    reading = read_index_files(far, list_index_files(far))
    next(reading)
    reading.close()
    begun = len(far.asked("read"))
    fill(far, 1)
    assert len(far.asked("read")) == begun


def test_other_files_are_no_index_files(far: WatchedBackend) -> None:
    written = fill(far, 2)
    for key in ("index/readme.idx", f"index/{'0' * 63}.idx", f"index/{'A' * 64}.idx"):
        far.write(key, [b"x"])
    assert {info.key for info in list_index_files(far).values()} == written.keys()
