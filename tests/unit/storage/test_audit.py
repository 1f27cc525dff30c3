"""An audit of a store: what it finds, what it remembers, and what it leaves alone."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from dataclasses import replace as replace_fields
from pathlib import Path

import pytest

from dver.errors import UnsupportedFormatError
from dver.objects.ids import ChunkId, VersionId, pack_id
from dver.objects.indexfile import IndexedPack, decode_index, encode_index
from dver.objects.pack import Kind, PackBuilder, encode_footer, encode_object
from dver.storage import audit_packs
from dver.storage.audit import AuditOptions, Auditor, AuditTools, audit, log_path
from dver.storage.audit_findings import Audit, Depth, Problem, Thing
from dver.storage.audit_map import StoreMap
from dver.storage.index_files import index_key
from dver.storage.local import LocalBackend
from dver.storage.markers import version_key
from dver.storage.packs import list_packs, pack_key, read_pack_entries
from dver.storage.store import Store
from dver.workers import Workers
from tests.stores import FILES, SMALL_PACK, StorePlace, encrypted_place, flip, keys, local_place, replace, store_files


@pytest.fixture
def place(tmp_path: Path) -> Iterator[StorePlace]:
    place = local_place(tmp_path)
    yield place
    place.close()


@pytest.fixture
def store(place: StorePlace) -> Store:
    """A store with one version, in several packs."""
    store = place.open("copy")
    store_files(store, FILES, pack_size=SMALL_PACK)
    return store


def found(result: Audit) -> list[tuple[Thing, Problem]]:
    return [(finding.thing, finding.problem) for finding in result.findings]


def rewrite_index(store: Store, change: "Rewrite") -> None:
    """Replace the only index file by one that is sound in itself and says something else."""
    (key,) = keys(store.backend, "index/")
    packs = [change(pack) for pack in decode_index(store.backend.read(key), key)]
    index, encoded = encode_index(packs)
    store.backend.delete(key)
    store.backend.write(index_key(index), [encoded])


@dataclass(slots=True)
class Rewrite:
    """Changes the first pack that it is given."""

    size: int = 0
    stranger: bool = False
    without_last: bool = False
    done: list[bool] = field(default_factory=list)

    def __call__(self, pack: IndexedPack) -> IndexedPack:
        if self.done:
            return pack
        self.done.append(True)
        entries = pack.entries[:-1] if self.without_last else pack.entries
        if self.stranger:
            entries = (replace_fields(pack.entries[0], id=ChunkId(b"\7" * 32)), *entries)
        return IndexedPack(pack.id, pack.size + self.size, entries)


@pytest.mark.parametrize("depth", Depth)
def test_a_sound_store_is_sound_at_every_depth(store: Store, depth: Depth) -> None:
    result = audit(store, depth=depth)
    assert (result.findings, result.notes, result.is_sound) == ((), (), True)
    assert (result.counts.packs, result.counts.read) == (len(list_packs(store.backend)),) * 2


def test_an_empty_place_is_sound(place: StorePlace) -> None:
    assert audit(place.open()).findings == ()


def test_each_depth_finds_what_it_promises(store: Store) -> None:
    pack = max(list_packs(store.backend), key=lambda pack: list_packs(store.backend)[pack])
    data = store.backend.read(pack_key(pack))
    replace(store.backend, pack_key(pack), flip(data, 200))
    assert audit(store, depth=Depth.STRUCTURE).findings == ()
    assert found(audit(store, depth=Depth.RECORDS)) == [(Thing.PACK, Problem.DAMAGED)]


def test_bytes_that_fit_their_checksum_and_not_their_id_are_found_by_a_full_audit(place: StorePlace) -> None:
    store = place.open()
    builder = PackBuilder()
    builder.add(encode_object(Kind.DATA, ChunkId(b"\1" * 32), b"bytes of another"))
    pack = builder.finish()
    store.backend.write(pack_key(pack.id), pack.pieces)
    store.index.publish([IndexedPack(pack.id, pack.size, pack.entries)])
    assert audit(store, depth=Depth.RECORDS).findings[0].thing is Thing.DESCRIPTION
    assert found(audit(store, depth=Depth.CONTENT))[1:] == [(Thing.PACK, Problem.DAMAGED)]


def test_an_index_that_lists_what_a_pack_has_not_is_found(store: Store) -> None:
    rewrite_index(store, Rewrite(stranger=True))
    (finding,) = audit(store).findings
    assert (finding.thing, finding.problem) == (Thing.INDEX, Problem.DAMAGED)
    assert "does not hold" in finding.detail


def test_an_index_that_gives_a_wrong_size_is_found(store: Store) -> None:
    rewrite_index(store, Rewrite(size=1))
    (finding,) = audit(store).findings
    assert (finding.thing, finding.problem) == (Thing.INDEX, Problem.DAMAGED)


def test_an_object_that_no_index_lists_any_more_is_missed(store: Store) -> None:
    rewrite_index(store, Rewrite(without_last=True))
    result = audit(store)
    assert found(result) == [(Thing.VERSION, Problem.INCOMPLETE)]
    assert result.findings[0].lost == 1


def test_a_marker_of_a_version_that_is_not_there_is_found(store: Store) -> None:
    version = VersionId(b"\2" * 32)
    store.backend.write(version_key(version), [b'{"files": 1, "format": 1, "size": 1}\n'])
    result = audit(store)
    assert found(result) == [(Thing.VERSION, Problem.INCOMPLETE)]
    assert result.incomplete == (version,)


def test_packs_of_a_newer_dver_are_no_damage_and_not_judged(store: Store) -> None:
    key = "packs/ab/" + "ab" * 32 + ".pack"
    store.backend.write(key, [b"DVPK\x09\0\0\0" + b"whatever a later format has" * 10])
    with pytest.raises(UnsupportedFormatError):
        audit(store)


def test_packs_are_remembered_as_it_goes_when_an_audit_is_cut_off(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    packs = list(list_packs(store.backend))
    read: list[str] = []
    real = LocalBackend.read_range

    def interrupt(self: LocalBackend, key: str, offset: int, length: int) -> bytes:
        if key.startswith("packs/") and key not in read:
            read.append(key)
            if len(read) == 3:
                raise KeyboardInterrupt
        return real(self, key, offset, length)

    monkeypatch.setattr(audit_packs, "REMEMBER_EVERY", 1)
    # One thread and one task at a time, so that what was read when it ends is known.
    with monkeypatch.context() as patch, ThreadPoolExecutor(1) as pool:
        patch.setattr(LocalBackend, "read_range", interrupt)
        tools = AuditTools(Workers(pool, -2), None)
        with pytest.raises(KeyboardInterrupt), Auditor(store, AuditOptions(), tools).opened() as auditor:
            auditor.run()
    result = audit(store)
    assert 0 < result.counts.remembered < len(packs)
    assert result.counts.read + result.counts.remembered == len(packs)
    assert "cut off" in result.notes[0]
    # It came to its end, so the next one begins anew.
    assert audit(store).counts.read == len(packs)


@pytest.mark.parametrize("make", [local_place, lambda folder: encrypted_place(local_place(folder))])
def test_a_pack_that_changed_since_it_was_read_is_read_again(
    make: Callable[[Path], StorePlace], tmp_path: Path
) -> None:
    store = make(tmp_path).open("copy")
    store_files(store, FILES, pack_size=SMALL_PACK)
    audit(store)
    pack = next(iter(list_packs(store.backend)))
    data = store.backend.read(pack_key(pack))
    replace(store.backend, pack_key(pack), flip(data, 100))
    result = audit(store, max_age=3600)
    assert (result.counts.read, found(result)) == (1, [(Thing.PACK, Problem.DAMAGED)])
    store.close()


def test_damage_is_found_again_by_an_audit_that_leaves_out_what_was_read_lately(store: Store) -> None:
    pack = next(iter(list_packs(store.backend)))
    replace(store.backend, pack_key(pack), flip(store.backend.read(pack_key(pack)), 100))
    for _ in range(3):
        assert found(audit(store, max_age=3600)) == [(Thing.PACK, Problem.DAMAGED)]


def test_samples_come_to_all_packs_in_the_end(store: Store) -> None:
    total = len(list_packs(store.backend))
    for _ in range(total):
        assert audit(store, sample=1 / total).counts.read == 1
    assert audit(store, max_age=3600).counts.read == 0


def test_a_damaged_log_is_made_anew(store: Store) -> None:
    audit(store)
    path = log_path(store)
    assert path is not None
    path.write_bytes(b"no database")
    assert audit(store, max_age=3600).counts.read > 0


def test_nothing_stays_in_the_scratch_folder(store: Store, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with (
        Workers(None, 2) as workers,
        Auditor(store, AuditOptions(), AuditTools(workers, scratch)).opened() as auditor,
    ):
        assert auditor.run().is_sound
    assert list(scratch.iterdir()) == []


def test_the_map_knows_every_copy_of_an_object(store: Store) -> None:
    first, second = list(list_packs(store.backend))[:2]
    entries = read_pack_entries(store.backend, first, list_packs(store.backend)[first])
    found = StoreMap(None)
    found.add(first, entries)
    found.add(second, entries[:1])
    found.seal()
    found.spoil(first)
    found.settle()
    assert found.present([entry.id for entry in entries]) == {entries[0].id}
    assert found.lost_in(first) == len(entries) - 1
    assert set(found.lost()) == {entry.id for entry in entries[1:]}
    assert pack_id(encode_footer(entries)) == first
    found.close()
