"""What a store promises, on a local folder, in memory and on S3 over HTTP: writing, reading, order, claims.

What only the store itself can break is not tested on S3 as well.
"""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dver.errors import ConfigError, FormatError, IntegrityError, ObjectNotFoundError, UnsupportedFormatError
from dver.objects.chunker import Chunker, ChunkerParams
from dver.objects.ids import ChunkId, NodeId, VersionId, chunk_id, node_id
from dver.objects.pack import RECORD_HEADER_LENGTH, Kind, encode_object
from dver.storage import store as store_module
from dver.storage import writer as writer_module
from dver.storage.description import DESCRIPTION_KEY
from dver.storage.markers import version_key
from dver.storage.packs import list_packs, pack_key, read_pack_entries
from dver.storage.store import Store
from dver.storage.writer import PUBLISH_EVERY_PACKS, StoreWriter
from tests.stores import (
    PARAMS,
    STORE_FILE,
    StorePlace,
    all_nodes,
    flip,
    keys,
    memory_place,
    noise,
    put_chunks,
    put_files,
    read_files,
    read_objects,
    replace,
    store_files,
)

FILES = {"a": noise(5000, 1), "dir/b": noise(300, 2), "dir/empty": b"", "same": noise(5000, 1), "text": b"word " * 900}
SMALL_PACK = 8 * 1024
MALFORMED = [b"", b"\xff\xfe", b"[]", b"{", b'{"format": 1}', b'{"format": "1", "chunker": {}}', b'{"format": 0}']
MALFORMED += [b'{"format": 1, "chunker": 3}', b'{"format": 1, "chunker": {"algorithm": "fastcdc-2020"}}']


def test_what_was_stored_is_read_back(store_place: StorePlace) -> None:
    version = store_files(store_place.open(), FILES)
    assert read_files(store_place.open(), version) == FILES


def test_versions_with_many_packs_and_nodes_are_read_back(store_place: StorePlace) -> None:
    files = {f"{number:04}": noise(60, number) for number in range(1500)} | {"large": noise(700_000, -1)}
    version = store_files(store_place.open(), files, pack_size=128 * 1024)
    other = store_place.open()
    assert len(all_nodes(other, version)) > 3
    assert len(keys(other.backend, "packs/")) > 3
    assert read_files(other, version) == files


def test_only_what_the_layout_names_is_written(near_place: StorePlace) -> None:
    store = near_place.open()
    store_files(store, FILES, pack_size=SMALL_PACK)
    store_files(store, {"a": noise(9000, 3)})
    assert all(STORE_FILE.fullmatch(key) for key in keys(store.backend))


def test_objects_of_an_earlier_version_are_not_stored_again(near_place: StorePlace) -> None:
    store_files(near_place.open(), FILES)
    store = near_place.open()
    with StoreWriter(store) as writer:
        put_files(writer, {**FILES, "new": noise(400, 9)})
        writer.flush()
        assert 400 < writer.stored_bytes < 2500


def test_a_session_without_news_writes_nothing(near_place: StorePlace) -> None:
    store_files(near_place.open(), FILES)
    store, backend = near_place.watched()
    with StoreWriter(store) as writer:
        put_files(writer, FILES)
        writer.flush()
    assert writer.stored_bytes == 0
    assert backend.asked("write") == []


def test_missing_objects_are_told_by_id_and_store(store_place: StorePlace) -> None:
    store = store_place.open()
    store_files(store, FILES)
    missing = ChunkId(bytes(32))
    with pytest.raises(ObjectNotFoundError) as caught:
        store.plan([missing])
    assert (caught.value.object_id, caught.value.where) == (missing, "the store")
    with pytest.raises(ObjectNotFoundError):
        store.load_nodes([NodeId(missing)])
    with pytest.raises(ObjectNotFoundError):
        store_place.open().manifest(VersionId(missing)).totals()


def test_nothing_is_missing_where_nothing_is_asked(near_place: StorePlace) -> None:
    store = near_place.open()
    assert (store.plan([]), store.load_nodes([]), store.present([])) == ([], [], set())


def test_a_node_that_does_not_match_its_id_is_refused(near_place: StorePlace) -> None:
    store = near_place.open()
    wrong = node_id(b"what it should be")
    with StoreWriter(store) as writer:
        writer.put([encode_object(Kind.NODE, wrong, b"what it is")])
        writer.flush()
    with pytest.raises(IntegrityError, match="does not match its id"):
        store.load_nodes([wrong])


def test_nodes_come_in_the_order_asked_for_also_twice(near_place: StorePlace) -> None:
    nodes = {node_id(text): text for text in (b"one", b"two", b"three")}
    store = near_place.open()
    with StoreWriter(store) as writer:
        for identity, text in nodes.items():
            writer.put_node(identity, text)
        writer.flush()
    asked = [*reversed(nodes), *nodes]
    for reader in (store, near_place.open()):
        for _ in range(2):
            assert [bytes(node) for node in reader.load_nodes(asked)] == [nodes[identity] for identity in asked]


def test_version_markers_say_what_is_there(store_place: StorePlace) -> None:
    store = store_place.open()
    version, other = VersionId(bytes(range(32))), VersionId(bytes(32))
    assert not store.has_version(version)
    assert store.versions() == set()
    store.mark_version(version, files=3, size=10)
    store.mark_version(version, files=3, size=10)
    fresh = store_place.open()
    assert (fresh.has_version(version), fresh.has_version(other)) == (True, False)
    assert fresh.versions() == {version}
    assert json.loads(fresh.backend.read(version_key(version))) == {"files": 3, "format": 1, "size": 10}


def test_other_chunk_sizes_are_refused_with_the_setting_that_helps(store_place: StorePlace) -> None:
    assert store_place.open().read_params() is None
    store_place.open().prepare(PARAMS)
    store = store_place.open()
    store.prepare(PARAMS)
    assert store.read_params() == PARAMS
    with pytest.raises(ConfigError) as caught:
        store.prepare(ChunkerParams.from_average(4096))
    assert "dver config set chunks.size 1024" in str(caught.value.hint)
    assert store.read_params() == PARAMS


def test_a_store_of_a_newer_format_is_refused_by_name(near_place: StorePlace) -> None:
    store = near_place.open()
    description = {"format": 2, "chunker": PARAMS.to_mapping(), "news": True}
    store.backend.write(DESCRIPTION_KEY, [json.dumps(description).encode()])
    with pytest.raises(UnsupportedFormatError) as caught:
        store.prepare(PARAMS)
    assert (caught.value.found, caught.value.supported) == (2, 1)
    assert DESCRIPTION_KEY in caught.value.where


def test_a_malformed_description_is_refused(near_place: StorePlace) -> None:
    store = near_place.open()
    for text in MALFORMED:
        store.backend.delete(DESCRIPTION_KEY)
        store.backend.write(DESCRIPTION_KEY, [text])
        with pytest.raises(FormatError):
            store.prepare(PARAMS)


def test_foreign_files_in_a_store_are_ignored(store_place: StorePlace) -> None:
    store = store_place.open()
    version = store_files(store, FILES)
    name = "0" * 64
    strangers = ["README.txt", "index/notes.txt", f"index/{name}.bak", "index/sub/x.idx", "versions/latest"]
    strangers += ["packs/00/x.pack", f"packs/ff/{name}.pack", f"packs/{name}.pack", f"packs/00/{'A' * 64}.pack"]
    for key in strangers:
        store.backend.write(key, [b"something else"])
    fresh = store_place.open()
    fresh.index.refresh()
    fresh.index.recover()
    assert fresh.versions() == {version}
    assert read_files(fresh, version) == FILES
    assert set(strangers) <= set(keys(store.backend))


def test_packs_come_before_the_index_and_chunks_before_nodes(store_place: StorePlace) -> None:
    store, backend = store_place.watched()
    files = {f"{number:04}": noise(2000, number) for number in range(60)}
    version = store_files(store, files, pack_size=SMALL_PACK)
    kinds = [key.partition("/")[0] for verb, key in backend.calls if verb == "written"]
    assert kinds[0] == DESCRIPTION_KEY
    assert kinds[-2:] == ["index", "versions"]
    assert kinds[-3] == "packs"
    nodes_at = [store.index.find([node])[node].pack.hex() for node in all_nodes(store, version)]
    ended = [key for verb, key in backend.calls if verb in ("write", "written") and key.startswith("packs/")]
    # The last pack begins when all others are durable, and the nodes are nowhere else.
    assert ended[-2] == ended[-1]
    assert all(name in ended[-1] for name in nodes_at)


def test_nothing_is_seen_before_flush_and_all_of_it_after(store_place: StorePlace) -> None:
    store, watcher = store_place.open(), store_place.open()
    store_files(store, {"earlier": b"text"})
    with StoreWriter(store, pack_size=SMALL_PACK) as writer:
        chunks = put_chunks(writer, noise(50_000))
        summary = put_files(writer, FILES)
        watcher.index.refresh()
        assert watcher.present([*chunks, NodeId(summary.version)]) == set()
        writer.flush()
        assert len(keys(store.backend, "index/")) == 2
    watcher.index.refresh()
    assert watcher.present(chunks) == set(chunks)
    assert watcher.manifest(summary.version).totals() == (summary.files, summary.size)


def test_long_sessions_publish_chunks_early_but_no_nodes(store_place: StorePlace) -> None:
    store = store_place.open()
    data = noise(SMALL_PACK * (PUBLISH_EVERY_PACKS + 12))
    with StoreWriter(store, pack_size=SMALL_PACK) as writer:
        node = node_id(b"some node")
        writer.put_node(node, b"some node")
        chunks = put_chunks(writer, data)
        put_chunks(writer, noise(2 * SMALL_PACK, 1))
        assert len(keys(store.backend, "index/")) >= 1
        seen = store_place.open().present([*chunks, node])
        assert seen
        assert node not in seen
        # What is published is still known to the session, and put once only.
        stored = writer.stored_bytes
        put_chunks(writer, data)
        assert writer.stored_bytes == stored
        writer.flush()
    assert store_place.open().present([*chunks, node]) == {*chunks, node}


def test_packs_of_very_many_objects_are_published_early(
    near_place: StorePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "PUBLISH_EVERY_ENTRIES", 3)
    store = near_place.open()
    with StoreWriter(store, pack_size=SMALL_PACK) as writer:
        chunks = put_chunks(writer, noise(SMALL_PACK * 8))
        put_chunks(writer, noise(SMALL_PACK, 1))
        assert near_place.open().present(chunks)
        writer.flush()
    assert near_place.open().present(chunks) == set(chunks)


def test_no_read_brings_more_records_than_memory_is_meant_for(
    near_place: StorePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_MOST_RECORDS", 3)
    store = near_place.open()
    with StoreWriter(store) as writer:
        chunks = put_chunks(writer, noise(SMALL_PACK * 4))
        writer.flush()
    spans = store.plan(chunks)
    assert max(len(span.locations) for span in spans) == 3
    assert {record.id for span in spans for record in store.read_span(span)} == set(chunks)


def test_what_is_settled_is_durable_and_seen_after_flush(near_place: StorePlace) -> None:
    store = near_place.open()
    with StoreWriter(store) as writer:
        version = put_files(writer, FILES).version
        writer.settle()
        assert keys(store.backend, "packs/")
        assert not keys(store.backend, "index/")
        writer.flush()
    assert read_files(near_place.open(), version) == FILES


def test_what_is_in_packs_that_others_delete_is_put_once_more(near_place: StorePlace) -> None:
    store = near_place.open()
    with StoreWriter(store) as writer:
        version = put_files(writer, FILES).version
        writer.settle()
        lost = set(list_packs(store.backend))
        store.index.give_up(lost)
        writer.give_up_lost()
        assert put_files(writer, FILES).version == version
        writer.flush()
    for pack in lost:
        store.backend.delete(pack_key(pack))
    assert read_files(near_place.open(), version) == FILES


def test_a_session_can_go_on_after_a_flush(near_place: StorePlace) -> None:
    store = near_place.open()
    with StoreWriter(store) as writer:
        first = put_files(writer, FILES)
        writer.flush()
        second = put_files(writer, {**FILES, "more": noise(100, 77)})
        writer.flush()
        writer.flush()
    fresh = near_place.open()
    assert read_files(fresh, first.version) == FILES
    assert "more" in read_files(fresh, second.version)
    assert len(keys(store.backend, "index/")) == 2


def test_an_object_is_claimed_by_one_of_many_threads(store_place: StorePlace) -> None:
    data = [noise(30_000, seed) for seed in range(4)]
    store = store_place.open()
    barrier = threading.Barrier(8)

    def work(number: int) -> list[ChunkId]:
        barrier.wait()
        return [chunk for turn in range(4) for chunk in put_chunks(writer, data[(turn + number) % 4])]

    with StoreWriter(store, pack_size=SMALL_PACK) as writer, ThreadPoolExecutor(8) as pool:
        chunks = {chunk for found in pool.map(work, range(8)) for chunk in found}
        writer.flush()
    assert stored_objects(store) == sorted(chunks)
    assert b"".join(read_objects(store_place.open(), sorted(chunks)).values())


def stored_objects(store: Store) -> list[bytes]:
    """Return the ids of all records in all packs, those that are stored twice twice."""
    packs = list_packs(store.backend).items()
    return sorted(entry.id for pack, size in packs for entry in read_pack_entries(store.backend, pack, size))


def test_two_stores_on_one_place_see_each_others_objects(store_place: StorePlace) -> None:
    one, other = store_place.open(), store_place.open()
    version = store_files(one, FILES)
    assert read_files(other, version) == FILES
    second = store_files(other, {"b": noise(3000, 40)})
    assert one.has_version(second)
    assert read_files(one, second) == {"b": noise(3000, 40)}


def test_two_stores_with_one_index_copy_see_each_others_objects_without_reading(near_place: StorePlace) -> None:
    one, (other, backend) = near_place.open("shared"), near_place.watched("shared")
    other.present([ChunkId(bytes(32))])
    backend.calls.clear()
    chunks = _store_chunks(one, noise(5000, 4))
    assert other.present(chunks) == set(chunks)
    assert other.plan(chunks)
    assert backend.calls == []


def _store_chunks(store: Store, data: bytes) -> list[ChunkId]:
    with StoreWriter(store) as writer:
        chunks = put_chunks(writer, data)
        writer.flush()
    return chunks


def test_records_that_lie_together_are_read_at_once(near_place: StorePlace) -> None:
    store, backend = near_place.watched()
    data = noise(100_000)
    chunks = _store_chunks(store, data)
    backend.calls.clear()
    plain = read_objects(store, chunks)
    assert b"".join(plain[chunk] for chunk in chunks) == data
    assert len(backend.asked("range")) == 1


def test_far_records_are_read_apart_and_small_gaps_read_over(near_place: StorePlace) -> None:
    store, backend = near_place.watched()
    chunks = _store_chunks(store, noise(2_000_000))
    backend.calls.clear()
    spans = store.plan([chunks[0], chunks[2], chunks[-1]])
    assert [len(span.locations) for span in spans] == [2, 1]
    assert sum(span.end - span.start for span in spans) < 20_000
    assert len(read_objects(store, [chunks[0], chunks[-1]])) == 2


def _store_nodes(place: StorePlace, *encoded: bytes) -> tuple[list[NodeId], Store]:
    """Store nodes in one pack, in order; return their ids and the store."""
    store = place.open()
    nodes = [node_id(plain) for plain in encoded]
    with StoreWriter(store) as writer:
        for node, plain in zip(nodes, encoded, strict=True):
            writer.put_node(node, plain)
        writer.flush()
    return nodes, store


def test_nodes_that_lie_behind_the_first_are_read_along_with_it_from_afar(tmp_path: Path) -> None:
    place = memory_place(tmp_path)
    nodes, _ = _store_nodes(place, *(noise(2000, number) for number in range(50)))
    store, backend = place.watched()
    store.index.refresh()
    backend.calls.clear()
    for number, node in enumerate(nodes):
        assert store.load_nodes([node]) == [noise(2000, number)]
    assert len(backend.asked("range")) == 1


def test_nodes_of_many_packs_are_read_in_the_order_asked_for(store_place: StorePlace) -> None:
    nodes = [_store_nodes(store_place, noise(2000, number))[0][0] for number in range(12)]
    wanted = [*nodes[::2], *nodes[1::2]]
    assert store_place.open().load_nodes(wanted) == [noise(2000, nodes.index(node)) for node in wanted]


def test_damage_behind_a_node_is_told_when_that_is_wanted_and_not_before(tmp_path: Path) -> None:
    place = memory_place(tmp_path)
    (first, second, third), store = _store_nodes(place, b"first", b"second", b"third")
    (pack,) = keys(store.backend, "packs/")
    at = store.index.find([second])[second]
    replace(store.backend, pack, flip(store.backend.read(pack), at.offset + RECORD_HEADER_LENGTH))
    store = place.open()
    assert store.load_nodes([first]) == [b"first"]
    assert store.load_nodes([third]) == [b"third"]
    with pytest.raises(IntegrityError):
        store.load_nodes([second])


def test_the_same_pack_written_by_two_sessions_is_one(near_place: StorePlace) -> None:
    one, other = near_place.open(), near_place.open()
    other.present([ChunkId(bytes(32))])
    with StoreWriter(one) as first, StoreWriter(other) as second:
        chunks = put_chunks(first, noise(5000))
        assert put_chunks(second, noise(5000)) == chunks
        first.flush()
        second.flush()
    assert len(keys(one.backend, "packs/")) == 1
    assert near_place.open().present(chunks) == set(chunks)


def test_chunks_that_moved_to_another_pack_are_still_read(near_place: StorePlace) -> None:
    data = noise(5000)
    store = near_place.open()
    chunks = _store_chunks(store, data)
    old_pack, old_index = keys(store.backend, "packs/")[0], keys(store.backend, "index/")[0]
    spans = store.plan(chunks)
    other = near_place.open()
    pieces = dict.fromkeys(chunk_id(data[start:end]) for start, end in _cuts(data))
    assert list(pieces) == chunks
    with StoreWriter(other) as writer:
        # As a collector does: the same objects in another order, so in another pack, and the old one deleted.
        records = [record for span in other.plan(chunks) for record in other.read_span(span)]
        writer.put(reversed(records))
        writer.flush()
    for key in (old_index, old_pack):
        store.backend.delete(key)
    if hasattr(store.backend, "close"):
        store.backend.close()
    records = [record for span in spans for record in store.read_span(span)]
    assert {record.id for record in records} == set(chunks)


def _cuts(data: bytes) -> list[tuple[int, int]]:
    ends = Chunker(PARAMS).cut(data)
    return list(zip([0, *ends[:-1]], ends, strict=True))


def test_a_pack_that_is_gone_is_told_as_a_missing_object(store_place: StorePlace) -> None:
    store = store_place.open()
    chunks = _store_chunks(store, noise(5000))
    (pack,) = keys(store.backend, "packs/")
    store.backend.delete(pack)
    with pytest.raises(ObjectNotFoundError) as caught:
        read_objects(store, chunks)
    assert caught.value.object_id in chunks
    assert caught.value.hint is not None
    assert pack in caught.value.hint


def test_a_flipped_bit_in_a_record_is_found_and_the_file_named(store_place: StorePlace) -> None:
    store = store_place.open()
    chunks = _store_chunks(store, noise(5000))
    (pack,) = keys(store.backend, "packs/")
    damaged = bytearray(store.backend.read(pack))
    damaged[len(damaged) // 2] ^= 4
    store.backend.delete(pack)
    store.backend.write(pack, [damaged])
    with pytest.raises(IntegrityError) as caught:
        read_objects(store_place.open(), chunks)
    assert caught.value.where == f"{store.backend.location}/{pack}"
    assert caught.value.hint is not None
