"""Packs that are copied as they are: only sound ones, and byte by byte."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dver.objects.ids import PackId
from dver.storage.backend import Backend
from dver.storage.local import LocalBackend
from dver.storage.packs import list_packs, pack_key
from dver.storage.store import Store
from dver.storage.whole_packs import open_whole
from dver.storage.writer import StoreWriter
from tests.stores import PARAMS, SMALL_PACK, StorePlace, flip, local_place, memory_place, noise, put_chunks, store_files


@pytest.fixture
def store(tmp_path: Path) -> Store:
    place = local_place(tmp_path)
    store = place.open()
    store.prepare(PARAMS)
    with StoreWriter(store, pack_size=SMALL_PACK) as writer:
        put_chunks(writer, noise(3000))
        writer.flush()
    return store


def only_pack(store: Store) -> tuple[LocalBackend, PackId, int, Path]:
    backend = store.backend
    assert isinstance(backend, LocalBackend)
    ((pack, size),) = list_packs(backend).items()
    return backend, pack, size, Path(backend.location) / pack_key(pack)


@pytest.mark.parametrize("place", [local_place, memory_place], ids=["folder", "elsewhere"])
def test_a_pack_arrives_as_it_is_whatever_becomes_of_its_name(
    store: Store, place: Callable[[Path], StorePlace], tmp_path: Path
) -> None:
    backend, pack, size, path = only_pack(store)
    data = path.read_bytes()
    whole = open_whole(backend, pack, size, verify=True)
    assert whole is not None
    path.unlink()
    target: Backend = place(tmp_path / "target").make()
    whole.write_to(target)
    assert target.read(pack_key(pack)) == data
    assert (whole.listed.id, whole.listed.size) == (pack, size)


@pytest.mark.parametrize("number", [errno.EXDEV, errno.ENOSYS])
def test_where_the_kernel_cannot_copy_it_is_read_and_written(
    store: Store, tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(number, "cannot")

    monkeypatch.setattr(os, "copy_file_range", refuse)
    backend, pack, size, path = only_pack(store)
    whole = open_whole(backend, pack, size, verify=False)
    assert whole is not None
    target = LocalBackend(tmp_path / "target")
    whole.write_to(target)
    assert target.read(pack_key(pack)) == path.read_bytes()


HARMS: dict[str, Callable[[bytes], bytes]] = {
    "head": lambda data: flip(data, 5),
    "record": lambda data: flip(data, 100),
    "footer": lambda data: flip(data, -30),
    "trailer": lambda data: flip(data, -3),
    "cut": lambda data: data[:-1],
    "longer": lambda data: data + b"x",
    "empty": lambda _data: b"",
}


@pytest.mark.parametrize("harm", HARMS)
def test_only_a_sound_pack_of_chunks_is_opened(store: Store, harm: str) -> None:
    backend, pack, size, path = only_pack(store)
    data = path.read_bytes()
    path.unlink()
    assert open_whole(backend, pack, size, verify=False) is None
    path.write_bytes(HARMS[harm](data))
    assert open_whole(backend, pack, size, verify=False) is None
    assert open_whole(backend, pack, path.stat().st_size, verify=False) is None


def test_a_pack_with_nodes_is_not_opened(tmp_path: Path) -> None:
    store = local_place(tmp_path).open()
    store_files(store, {"a": noise(3000)})
    backend, pack, size, _ = only_pack(store)
    assert open_whole(backend, pack, size, verify=False) is None
