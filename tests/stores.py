"""Stores to test with: on a local folder, in memory or in a bucket, with tiny chunks and packs.

A `StorePlace` is a location that any number of stores can be opened on, each with a local index copy of its own or a
shared one, as several clones, machines or processes would.
"""

import os
import random
import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dver.objects.builder import ManifestBuilder, Summary, make_file_entry
from dver.objects.chunker import Chunker, ChunkerParams
from dver.objects.entry import FileEntry, pack_chunk
from dver.objects.ids import Bytes, ChunkId, NodeId, ObjectId, VersionId, chunk_id
from dver.objects.pack import TARGET_SIZE, Kind, encode_object
from dver.storage.backend import Backend, BlobInfo
from dver.storage.index import ChunkIndex
from dver.storage.local import LocalBackend
from dver.storage.remote import RemoteBackend
from dver.storage.retry import RetryBackend
from dver.storage.store import Store
from dver.storage.writer import StoreWriter
from tests.encryption import encrypted

if TYPE_CHECKING:
    # Slow to load, and of no use to the processes that some tests start.
    from tests.servers.s3 import S3Server

SMALL_PACK = 4 * 1024
PARAMS = ChunkerParams.from_average(1024)
STORE_FILE = re.compile(
    r"dver-store\.json|packs/([0-9a-f]{2})/\1[0-9a-f]{62}\.pack|index/[0-9a-f]{64}\.idx|versions/[0-9a-f]{64}"
    r"|lock|clones/[0-9a-f]{32}-[0-9a-f]{16}\.json|roots/[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{16}\.json"
    r"|gc/[0-9]{8}T[0-9]{6}Z-[0-9a-f]{16}\.(list|sweep|unmarked|swept|rescue|lease)\.json"
)


@dataclass(slots=True)
class WatchedBackend:
    """A backend that remembers what it was asked, and calls `before` first, which may wait or raise."""

    inner: Backend
    calls: list[tuple[str, str]] = field(default_factory=list)
    before: Callable[[str, str], None] = lambda _verb, _key: None

    @property
    def location(self) -> str:
        return self.inner.location

    @property
    def is_local(self) -> bool:
        return self.inner.is_local

    def write(self, key: str, pieces: Sequence[Bytes]) -> None:
        self._note("write", key)
        self.inner.write(key, pieces)
        self.calls.append(("written", key))

    def read(self, key: str) -> bytes:
        self._note("read", key)
        return self.inner.read(key)

    def read_range(self, key: str, offset: int, length: int) -> bytes:
        self._note("range", key)
        return self.inner.read_range(key, offset, length)

    def size(self, key: str) -> int | None:
        self._note("size", key)
        return self.inner.size(key)

    def list(self, prefix: str) -> Iterator[BlobInfo]:
        self._note("list", prefix)
        return self.inner.list(prefix)

    def delete(self, key: str) -> None:
        self._note("delete", key)
        self.inner.delete(key)

    def asked(self, verb: str, prefix: str = "") -> Sequence[str]:
        """Return the keys of the calls of one kind, in order."""
        return [key for called, key in self.calls if called == verb and key.startswith(prefix)]

    def _note(self, verb: str, key: str) -> None:
        self.calls.append((verb, key))
        self.before(verb, key)


@dataclass(slots=True)
class StorePlace:
    """An empty location; `folder` is a local one for index copies."""

    make: Callable[[], Backend]
    folder: Path
    opened: list[Store] = field(default_factory=list)

    def open(self, index: str | None = None, backend: Backend | None = None) -> Store:
        """Open a store here; those with the same `index` share an index copy, and without one each has its own."""
        path = self.folder / "index" / f"{index or uuid.uuid4().hex}.db"
        chosen = backend or self.make()
        store = Store(chosen, ChunkIndex(path, chosen), name="the store", journal=path.with_suffix(".unfinished"))
        self.opened.append(store)
        return store

    def watched(self, index: str | None = None) -> tuple[Store, WatchedBackend]:
        """Open a store whose backend remembers its calls."""
        backend = WatchedBackend(self.make())
        return self.open(index, backend), backend

    def close(self) -> None:
        """Close the index copies of all stores opened here."""
        for store in self.opened:
            store.close()


def local_place(folder: Path) -> StorePlace:
    """Return a place in a local folder."""
    return StorePlace(lambda: LocalBackend(folder / "store"), folder)


def memory_place(folder: Path) -> StorePlace:
    """Return a place in memory."""
    url = f"memory://{uuid.uuid4().hex}/store"
    return StorePlace(lambda: _patient(RemoteBackend(url, {})), folder)


def s3_place(server: "S3Server", bucket: str, folder: Path) -> StorePlace:
    """Return a place in a bucket."""
    options = {"endpoint_url": server.endpoint_url, "region": server.region}
    options |= {"key": server.key, "secret": server.secret}
    backend = _patient(RemoteBackend(f"s3://{bucket}/store", options))
    return StorePlace(lambda: backend, folder)


def _patient(backend: Backend) -> Backend:
    return RetryBackend(backend, lambda _note: None, wait=lambda _seconds: None)


def encrypted_place(place: StorePlace) -> StorePlace:
    """Return a place that keeps its store encrypted in another."""
    return StorePlace(lambda: encrypted(place.make()), place.folder)


def noise(size: int, seed: int = 0) -> bytes:
    """Return bytes that do not compress, the same each time."""
    return random.Random(seed).randbytes(size)


FILES = {"a": noise(9000, 1), "b": noise(3000, 2), "c": b"text " * 700}


def put_chunks(writer: StoreWriter, data: bytes) -> list[ChunkId]:
    """Put the chunks of some data that the store lacks, and return all their ids."""
    found = {}
    start = 0
    for end in Chunker(PARAMS).cut(data):
        found[chunk_id(data[start:end])] = data[start:end]
        start = end
    wanted = writer.claim(list(found))
    writer.put([encode_object(Kind.DATA, identity, found[identity]) for identity in found if identity in wanted])
    return list(found)


def put_files(writer: StoreWriter, files: Mapping[str, bytes]) -> Summary:
    """Put files and their manifest; nothing is flushed."""
    builder = ManifestBuilder(writer.put_node)
    for name in sorted(files):
        put_chunks(writer, files[name])
        start = 0
        refs = []
        for end in Chunker(PARAMS).cut(files[name]):
            refs.append(pack_chunk(chunk_id(files[name][start:end]), end - start))
            start = end
        builder.add(make_file_entry(name.encode(), len(files[name]), False, b"".join(refs), writer.put_node))
    return builder.finish()


def store_files(store: Store, files: Mapping[str, bytes], *, pack_size: int = TARGET_SIZE) -> VersionId:
    """Store files as a version, wholly, as `add` does."""
    store.prepare(PARAMS)
    with StoreWriter(store, pack_size=pack_size) as writer:
        summary = put_files(writer, files)
        writer.flush()
    store.mark_version(summary.version, files=summary.files, size=summary.size)
    return summary.version


def read_files(store: Store, version: VersionId) -> dict[str, bytes]:
    """Read a version back, every chunk checked against its id."""
    manifest = store.manifest(version)
    files: dict[str, list[ChunkId]] = {}
    for entry in manifest.entries():
        assert isinstance(entry, FileEntry)
        files[entry.path.decode()] = [chunk for chunk, _ in manifest.chunks(entry)]
    plain = read_objects(store, list({chunk for chunks in files.values() for chunk in chunks}))
    return {path: b"".join(plain[chunk] for chunk in chunks) for path, chunks in files.items()}


def read_objects(store: Store, ids: Sequence[ObjectId]) -> dict[ObjectId, bytes]:
    """Read objects, checked against their ids."""
    records = (record for span in store.plan(ids) for record in store.read_span(span)) if ids else iter(())
    return {record.id: bytes(record.verified("the test")) for record in records}


def all_nodes(store: Store, version: VersionId) -> set[NodeId]:
    """Return all nodes of a version's manifest, those of chunk lists too."""
    manifest = store.manifest(version)
    found = set()
    for identity, node in manifest.nodes(lambda _node: False):
        found.add(identity)
        for entry in node.entries:
            if isinstance(entry, FileEntry) and entry.chunk_tree is not None:
                found.update(below for below, _ in manifest.chunk_tree_nodes(entry.chunk_tree))
    return found


def keys(backend: Backend, prefix: str = "") -> list[str]:
    """Return the keys of all blobs below a prefix."""
    return sorted(info.key for info in backend.list(prefix))


def replace(backend: Backend, key: str, data: bytes) -> None:
    backend.delete(key)
    backend.write(key, [data])


def flip(data: bytes, at: int) -> bytes:
    damaged = bytearray(data)
    damaged[at] ^= 0x10
    return bytes(damaged)


def damage_packs(store: Path) -> None:
    """Damage the largest pack of a store in a folder; all of them look old, so that none counts as being written."""
    packs = sorted(store.glob("packs/*/*.pack"), key=lambda path: path.stat().st_size)
    data = flip(packs[-1].read_bytes(), 5000)
    packs[-1].unlink()
    packs[-1].write_bytes(data)
    for path in packs:
        os.utime(path, (1_500_000_000, 1_500_000_000))
