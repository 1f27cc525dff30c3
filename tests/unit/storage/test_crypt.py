"""The encrypted view of a store against an owner who damages, swaps, brings back and looks."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dver.errors import BackendError, BackendProblem, ConfigError, IntegrityError
from dver.objects.pack import TARGET_SIZE
from dver.storage.backend import BlobInfo
from dver.storage.condemned import read_folder
from dver.storage.crypt import CryptBackend
from dver.storage.description import DESCRIPTION_KEY
from dver.storage.index import ChunkIndex
from dver.storage.keyring import KEYS, rotate_keyring
from dver.storage.lease import Lease
from dver.storage.local import LocalBackend
from dver.storage.registrations import Registrant, encode_registration, registrant_id, registrations
from dver.storage.store import Store
from tests.encryption import KEY, encrypted, encryption, open_or_create
from tests.stores import PARAMS, WatchedBackend, noise, read_files, store_files

ONE, OTHER = "packs/4f/one.pack", "packs/a0/other.pack"
FILES = {"a": noise(50_000, 1), "dir/b": noise(300, 2), "text": b"word " * 900}


@dataclass(frozen=True, slots=True)
class Owner:
    """The place as its owner sees it."""

    inner: LocalBackend
    folder: Path

    def files(self) -> dict[str, bytes]:
        return {info.key: self.inner.read(info.key) for info in self.inner.list("")}

    def blobs(self) -> list[str]:
        return sorted(key for key in self.files() if not key.startswith(KEYS) and key != DESCRIPTION_KEY)

    def put(self, key: str, data: bytes) -> None:
        self.inner.delete(key)
        self.inner.write(key, [data])


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[Owner]:
    inner = LocalBackend(tmp_path / "store")
    yield Owner(inner, tmp_path / "store")
    inner.close()


@pytest.fixture
def backend(owner: Owner) -> CryptBackend:
    return encrypted(owner.inner)


def stored(backend: CryptBackend, key: str) -> str:
    return backend.keyring.masters.newest.stored_key(key)


def open_store(backend: CryptBackend, folder: Path) -> Store:
    return Store(backend, ChunkIndex(folder / "index.db", backend), name="the store")


def test_the_owner_sees_neither_ids_nor_contents(owner: Owner, backend: CryptBackend, tmp_path: Path) -> None:
    store = open_store(backend, tmp_path)
    version = store_files(store, FILES)
    plain = {info.key for info in backend.list("")}
    ids = {part for key in plain for part in key.replace(".", "/").split("/") if len(part) == 64}
    assert {version.hex()} < ids
    seen = b"".join(key.encode() + data for key, data in owner.files().items())
    assert not [identity for identity in ids if identity.encode() in seen or bytes.fromhex(identity) in seen]
    assert b"word word" not in seen
    assert b"average_size" not in seen
    assert not [key for key in plain - {DESCRIPTION_KEY} if key in owner.files()]
    store.close()


def test_another_machine_reads_what_was_stored(owner: Owner, backend: CryptBackend, tmp_path: Path) -> None:
    store = open_store(backend, tmp_path)
    version = store_files(store, FILES)
    store.close()
    other = open_store(encrypted(owner.inner), tmp_path / "other")
    assert read_files(other, version) == FILES
    assert other.read_params() == PARAMS
    other.close()


def test_a_store_that_is_taken_for_a_plain_one_says_that_it_is_not(
    owner: Owner, backend: CryptBackend, tmp_path: Path
) -> None:
    backend.write(ONE, [b"x"])
    plain = Store(owner.inner, ChunkIndex(None, owner.inner), name="remote origin")
    with pytest.raises(ConfigError, match="remote origin is encrypted"):
        plain.read_params()
    with pytest.raises(ConfigError, match="is encrypted"):
        plain.prepare(PARAMS)
    plain.close()


def test_nothing_is_written_where_the_owner_says_that_the_store_is_plain(owner: Owner) -> None:
    backend = encrypted(owner.inner)
    owner.put(DESCRIPTION_KEY, b'{"format": 1, "chunker": {}}')
    with pytest.raises(ConfigError, match="not encrypted"):
        backend.write(ONE, [b"secret"])
    assert owner.blobs() == []


def test_plain_blobs_of_the_owner_are_not_there(owner: Owner, backend: CryptBackend) -> None:
    owner.put(ONE, b"not encrypted")
    owner.put("versions/" + "0" * 64, b"{}")
    assert backend.size(ONE) is None
    assert [*backend.list("")] == []
    with pytest.raises(BackendError) as caught:
        backend.read("versions/" + "0" * 64)
    assert caught.value.problem is BackendProblem.NOT_FOUND


@pytest.mark.parametrize("size", [0, 10, 65536, 200_000])
def test_a_blob_of_another_key_does_not_pass(owner: Owner, backend: CryptBackend, size: int) -> None:
    backend.write(ONE, [bytes(size)])
    backend.write(OTHER, [bytes(size)])
    owner.put(stored(backend, ONE), owner.inner.read(stored(backend, OTHER)))
    with pytest.raises(IntegrityError, match=f"{ONE}: it is not what was encrypted there"):
        backend.read(ONE)
    if size:
        with pytest.raises(IntegrityError, match=ONE):
            backend.read_range(ONE, 0, 1)


@pytest.mark.parametrize("kept", [0, 5, 32, 40, 65536 + 32, 65536 + 40, 2 * (65536 + 32), 200_000])
def test_a_blob_that_was_cut_off_does_not_pass(owner: Owner, backend: CryptBackend, kept: int) -> None:
    backend.write(ONE, [bytes(200_000)])
    owner.put(stored(backend, ONE), owner.inner.read(stored(backend, ONE))[:kept])
    with pytest.raises(IntegrityError):
        backend.read(ONE)
    with pytest.raises((IntegrityError, BackendError)):
        backend.read_range(ONE, 199_000, 1000)
    assert backend.size(ONE) != 200_000
    assert [info.size for info in backend.list("packs/")] != [200_000]


def test_a_damaged_segment_costs_only_what_lies_in_it(owner: Owner, backend: CryptBackend) -> None:
    plain = noise(200_000)
    backend.write(ONE, [plain])
    data = bytearray(owner.inner.read(stored(backend, ONE)))
    data[70_000] ^= 1
    owner.put(stored(backend, ONE), bytes(data))
    assert backend.read_range(ONE, 0, 65536) == plain[:65536]
    assert backend.read_range(ONE, 131_072, 50_000) == plain[131_072:181_072]
    with pytest.raises(IntegrityError):
        backend.read_range(ONE, 65_000, 1000)
    with pytest.raises(IntegrityError):
        backend.read(ONE)


def test_parts_of_two_writes_do_not_pass_for_one(owner: Owner, backend: CryptBackend) -> None:
    backend.write(ONE, [bytes(131_072)])
    first = owner.inner.read(stored(backend, ONE))
    owner.inner.delete(stored(backend, ONE))
    backend.write(ONE, [bytes(131_072)])
    second = owner.inner.read(stored(backend, ONE))
    half = len(first) // 2
    owner.put(stored(backend, ONE), first[:half] + second[half:])
    with pytest.raises(IntegrityError):
        backend.read(ONE)
    with pytest.raises(IntegrityError):
        backend.read_range(ONE, 65_000, 1000)


def test_a_blob_that_grew_since_it_was_read_from_is_read_as_it_is(owner: Owner, backend: CryptBackend) -> None:
    other = encrypted(owner.inner)
    backend.write(ONE, [b"short"])
    assert backend.read_range(ONE, 0, 5) == b"short"
    other.delete(ONE)
    other.write(ONE, [bytes(70_000), b"end"])
    assert backend.read_range(ONE, 70_000, 3) == b"end"
    assert backend.read_range(ONE, 65_536, 3) == bytes(3)


def test_a_part_costs_one_request_once_the_size_is_known(owner: Owner) -> None:
    encrypted(owner.inner).write(ONE, [noise(500_000)])
    watched = WatchedBackend(owner.inner)
    ring = open_or_create(owner.inner)
    backend = CryptBackend(watched, lambda: ring)
    for offset in range(0, 400_000, 50_000):
        assert backend.read_range(ONE, offset, 1000) == noise(500_000)[offset : offset + 1000]
    assert len(watched.asked("size")) == 1
    assert len(watched.asked("range")) == 8


def test_a_marker_is_not_written_once_the_keys_were_changed(owner: Owner, backend: CryptBackend) -> None:
    backend.write(ONE, [b"x"])
    ring = rotate_keyring(owner.inner, encryption(), open_or_create(owner.inner), KEY)
    backend.write(OTHER, [b"y"])
    with pytest.raises(ConfigError, match="were changed meanwhile"):
        backend.write("versions/" + "0" * 64, [b"{}"])
    newer = CryptBackend(owner.inner, lambda: ring)
    newer.write("versions/" + "0" * 64, [b"{}"])
    assert newer.read(OTHER) == b"y"


def test_nobody_takes_for_all_what_was_said_with_the_keys_of_before(owner: Owner, backend: CryptBackend) -> None:
    with Lease(backend, "a test") as lease:
        assert registrations(backend) == []
        ring = rotate_keyring(owner.inner, encryption(), open_or_create(owner.inner), KEY)
        key, data = encode_registration(Registrant(registrant_id("a" * 32, "place")), [])
        CryptBackend(owner.inner, lambda: ring).write(key, [data])
        for look in (lambda: registrations(backend), lambda: read_folder(backend), lease.keep):
            with pytest.raises(ConfigError, match="were changed meanwhile"):
                look()
    with pytest.raises(ConfigError, match="were changed meanwhile"):
        Lease(backend, "a test").__enter__()
    newer = CryptBackend(owner.inner, lambda: ring)
    assert [one.key for one in registrations(newer)] == [key]
    assert read_folder(newer).leases == ()


def test_blobs_of_older_master_keys_are_read_listed_replaced_and_deleted(owner: Owner, backend: CryptBackend) -> None:
    backend.write(ONE, [b"old"])
    backend.write(OTHER, [b"older"])
    ring = rotate_keyring(owner.inner, encryption(), open_or_create(owner.inner), KEY)
    newer = CryptBackend(owner.inner, lambda: ring)
    newer.write("packs/b1/new.pack", [b"newest"])
    newer.write(OTHER, [b"replaced"])
    assert {info.key: info.size for info in newer.list("packs/")} == {ONE: 3, OTHER: 8, "packs/b1/new.pack": 6}
    assert (newer.read(ONE), newer.read(OTHER), newer.read_range(ONE, 1, 2)) == (b"old", b"replaced", b"ld")
    assert (newer.size(ONE), newer.size(OTHER)) == (3, 8)
    for key in (ONE, OTHER):
        newer.delete(key)
        assert newer.size(key) is None
    assert [*newer.list("packs/")] == [BlobInfo("packs/b1/new.pack", 6)]
    assert len(owner.blobs()) == 1


def test_the_keys_are_asked_for_once_and_only_when_needed(owner: Owner) -> None:
    asked = []
    ring = open_or_create(owner.inner)
    backend = CryptBackend(owner.inner, lambda: asked.append(1) or ring)  # type: ignore[func-returns-value]
    assert (backend.location, backend.is_local, asked) == (str(owner.folder), True, [])
    assert backend.size(ONE) is None
    backend.write(ONE, [b"x"])
    assert asked == [1]


def test_a_whole_pack_comes_back(backend: CryptBackend) -> None:
    pack = noise(TARGET_SIZE + 12_345)
    backend.write(ONE, [pack[:1000], memoryview(pack)[1000:], b""])
    assert backend.read(ONE) == pack
    assert backend.read_range(ONE, len(pack) - 64 * 1024, 64 * 1024) == pack[-64 * 1024 :]
