"""Audits and repairs of stores of every kind: in a folder, in memory, and in a bucket."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dver.objects.ids import VersionId
from dver.objects.pack import Record
from dver.progress import NO_TASK
from dver.storage.audit import AuditOptions, Auditor, AuditTools
from dver.storage.audit_findings import Audit, Depth
from dver.storage.audit_pack import readable_records
from dver.storage.crypt import CryptBackend
from dver.storage.description import DESCRIPTION_KEY
from dver.storage.quarantine import SetAside, packs_aside, versions_aside
from dver.storage.repair import Mended, Mender
from dver.storage.repair_sources import StoreSource
from dver.storage.store import Store
from dver.workers import Workers
from tests.stores import (
    FILES,
    PARAMS,
    SMALL_PACK,
    StorePlace,
    encrypted_place,
    flip,
    keys,
    local_place,
    memory_place,
    noise,
    read_files,
    replace,
    store_files,
)


def look(store: Store, depth: Depth = Depth.CONTENT) -> Audit:
    with (
        Workers(None, 4) as workers,
        Auditor(store, AuditOptions(depth), AuditTools(workers, None)).opened() as auditor,
    ):
        return auditor.run()


def mend(store: Store, source: Store) -> Mended:
    """Repair a store that is to hold whole versions, as a remote does."""
    options = AuditOptions(Depth.CONTENT, is_whole=True)
    with Workers(None, 4) as workers:
        with Auditor(store, options, AuditTools(workers, None)).opened() as auditor:
            audit = auditor.run()
            mender = Mender(store, auditor.found, audit, is_whole=True)
            mender.describe(PARAMS)
            mender.clear(auditor.footer)
            mender.restore([StoreSource(source)], [], NO_TASK)
        with Auditor(store, options, AuditTools(workers, None)).opened() as again:
            mender.settle(again.run(), again.found, lambda _version: "data")
        return mender.done


@pytest.fixture
def nothing(tmp_path: Path) -> Iterator[Store]:
    """A second store, of which there is nothing."""
    place = memory_place(tmp_path / "other")
    yield place.open()
    place.close()


@pytest.fixture
def other(nothing: Store) -> Store:
    """A second store with the same version."""
    store_files(nothing, FILES, pack_size=SMALL_PACK)
    return nothing


@pytest.fixture
def version(store_place: StorePlace) -> VersionId:
    """A version in the store, in several packs."""
    return store_files(store_place.open("copy"), FILES, pack_size=SMALL_PACK)


def test_a_sound_store_is_sound(store_place: StorePlace, version: VersionId) -> None:
    for depth in Depth:
        result = look(store_place.open("copy"), depth)
        assert (result.findings, result.notes, set(result.marked)) == ((), (), {version})


@pytest.mark.parametrize("prefix", ["packs/", "index/", "versions/", DESCRIPTION_KEY])
@pytest.mark.parametrize("way", ["deleted", "cut", "flipped", "emptied"])
def test_damage_of_each_kind_is_repaired_from_another_store(
    some_place: StorePlace, other: Store, prefix: str, way: str
) -> None:
    store = some_place.open("copy")
    version = store_files(store, FILES, pack_size=SMALL_PACK)
    store = some_place.open("copy")
    key = keys(store.backend, prefix)[0] if prefix.endswith("/") else prefix
    data = store.backend.read(key)
    store.backend.delete(key)
    if way != "deleted":
        replace(store.backend, key, {"cut": data[:-9], "flipped": flip(data, 40), "emptied": b""}[way])
    is_unseen = (prefix, way) == ("versions/", "deleted")
    is_unseen |= (prefix, way) == ("versions/", "flipped") and look(store).is_sound
    assert look(store).is_sound == is_unseen
    mend(store, other)
    again = some_place.open()
    assert look(again).findings == ()
    assert read_files(again, version) == FILES


def test_what_was_damaged_is_in_quarantine(store_place: StorePlace, version: VersionId, other: Store) -> None:
    store = store_place.open("copy")
    key = keys(store.backend, "packs/")[0]
    damaged = flip(store.backend.read(key), 100)
    replace(store.backend, key, damaged)
    mend(store, other)
    (aside,) = keys(store.backend, "quarantine/packs/")
    assert aside.endswith(Path(key).name)
    assert store.backend.read(aside) == damaged
    # A second one of that name does not take its place.
    replace(store.backend, key, damaged[:-1])
    look(store)
    mend(store, other)
    assert store.backend.read(aside) == damaged


def test_what_is_nowhere_leaves_no_claim(store_place: StorePlace, version: VersionId, nothing: Store) -> None:
    store = store_place.open("copy")
    for key in keys(store.backend, "packs/"):
        store.backend.delete(key)
    done = mend(store, nothing)
    assert done.unmarked == [version]
    fresh = store_place.open()
    assert (look(fresh).findings, fresh.versions()) == ((), set())
    assert store_files(fresh, FILES, pack_size=SMALL_PACK) == version
    assert look(store_place.open()).findings == ()
    assert read_files(store_place.open(), version) == FILES


def test_a_node_that_lacks_something_is_not_left_for_pushes_to_count_on(
    store_place: StorePlace, version: VersionId, nothing: Store
) -> None:
    store = store_place.open("copy")
    chunks_only = max(keys(store.backend, "packs/"), key=lambda key: store.backend.size(key) or 0)
    store.backend.delete(chunks_only)
    mend(store, nothing)
    assert store_place.open().present([version]) == set()  # type: ignore[list-item]


@pytest.mark.parametrize("kind", ["packs/", "index/", "versions/"])
def test_an_encrypted_blob_that_does_not_open_is_repaired_too(tmp_path: Path, other: Store, kind: str) -> None:
    place = encrypted_place(local_place(tmp_path / "sealed"))
    store = place.open("copy")
    version = store_files(store, FILES, pack_size=SMALL_PACK)
    assert isinstance(store.backend, CryptBackend)
    sealed = store.backend.inner
    for name in keys(store.backend, kind):
        stored = store.backend.keyring.masters.newest.stored_key(name)
        replace(sealed, stored, flip(sealed.read(stored), -5))
    store = place.open("copy")
    assert not look(store).is_sound
    done = mend(store, other)
    assert (done.stuck, done.unmarked) == ([], [])
    assert look(place.open()).findings == ()
    assert read_files(place.open(), version) == FILES
    # What was set aside is kept as it was, sealed.
    assert keys(sealed, "quarantine/")
    place.close()


@pytest.mark.parametrize("data", [None, b'{"format": 1}', b"\0"])
def test_a_store_says_again_that_it_is_encrypted(tmp_path: Path, nothing: Store, data: bytes | None) -> None:
    place = encrypted_place(local_place(tmp_path / "sealed"))
    store = place.open("copy")
    version = store_files(store, FILES, pack_size=SMALL_PACK)
    assert isinstance(store.backend, CryptBackend)
    sealed = store.backend.inner
    said = sealed.read(DESCRIPTION_KEY)
    sealed.delete(DESCRIPTION_KEY)
    if data is not None:
        sealed.write(DESCRIPTION_KEY, [data])
    mend(store, nothing)
    assert sealed.read(DESCRIPTION_KEY) == said
    assert look(place.open()).is_sound
    assert read_files(place.open(), version) == FILES
    place.close()


def test_what_opens_of_an_encrypted_pack_is_copied_from_it(tmp_path: Path, nothing: Store) -> None:
    place = encrypted_place(local_place(tmp_path / "sealed"))
    store = place.open("copy")
    files = {f"f{number:02}": noise(20_000, number) for number in range(40)}
    store_files(store, files)
    assert isinstance(store.backend, CryptBackend)
    sealed = store.backend.inner
    for name in keys(store.backend, "packs/"):
        stored = store.backend.keyring.masters.newest.stored_key(name)
        data = sealed.read(stored)
        if len(data) > 200_000:
            replace(sealed, stored, flip(data, len(data) // 2))
    store = place.open("copy")
    (finding,) = look(store).findings
    lost = finding.lost
    done = mend(store, nothing)
    # No other place had anything.
    assert done.restored.keys() == {"the damaged packs"}
    assert 0 < lost < done.restored["the damaged packs"]
    assert len(done.unmarked) == 1
    after = look(place.open())
    assert after.findings == ()
    # A later repair finds it in quarantine still, and there all that opens.
    kept = {record.id for pack in packs_aside(store.backend) for record in records_aside(pack)}
    assert len(kept) == done.restored["the damaged packs"]
    assert len(versions_aside(store.backend)) == 1
    place.close()


def records_aside(pack: SetAside) -> list[Record]:
    return list(readable_records(pack.backend, pack.key, pack.pack, pack.size, lambda _: None))
