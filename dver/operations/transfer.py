"""Transfer: bring dataset versions from one store to another, sending only what the other side lacks.

Push goes from the cache to a remote, fetch the other way. Records travel as they are stored, without being
compressed anew. On the way out their XXH3 is checked; on arrival in the cache their BLAKE3 too. A version's marker
is written last, so a transfer that is cut off leaves the other side sound, and the next one sends only the rest.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeVar

from dver.objects.entry import FileEntry, unpack_chunks
from dver.objects.ids import ChunkId, NodeId, ObjectId, VersionId
from dver.objects.manifest import Manifest
from dver.objects.pack import Record
from dver.progress import Task
from dver.storage.store import Span, Store
from dver.storage.writer import StoreWriter
from dver.workers import Workers, abandon

LOOKUP_BATCH = 4096

T = TypeVar("T", bound=ObjectId)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A version to bring over, and the part of it, b"" for the whole."""

    version: VersionId
    dataset: str
    part: bytes = b""


@dataclass(frozen=True, slots=True)
class Transferred:
    """What was sent: versions, objects (chunks and nodes), and their bytes as stored."""

    versions: tuple[VersionId, ...] = ()
    objects: int = 0
    bytes: int = 0

    def __add__(self, other: "Transferred") -> "Transferred":
        return Transferred(self.versions + other.versions, self.objects + other.objects, self.bytes + other.bytes)


class Transfer:
    """One session of copying from `source` to `target`."""

    def __init__(self, source: Store, writer: StoreWriter, workers: Workers, *, into_cache: bool, task: Task) -> None:
        """Copy from `source` to the writer's store.

        `into_cache` says that every object is to be checked against its id on arrival, and that a node over there does
        not mean that all below it is there too: a cache may hold parts of versions, a remote holds whole ones.
        """
        self._source = source
        self._target = writer.store
        self._writer = writer
        self._executor = workers.executor
        self._window = workers.jobs
        self._into_cache = into_cache
        self._task = task
        self._objects = 0
        self._bytes = 0

    def copy(self, wanted: Sequence[Wanted]) -> Transferred:
        """Bring over all of `wanted`, then mark the versions that were wanted whole.

        Raises:
            ObjectNotFoundError: the source lacks something.
        """
        for want in wanted:
            self._copy_one(want)
        self._writer.flush()
        marked = []
        for want in wanted:
            if not want.part:
                files, size = self._manifest(want.version).totals()
                self._target.mark_version(want.version, files=files, size=size)
                marked.append(want.version)
        return Transferred(tuple(marked), self._objects, self._bytes)

    def copy_chunks(self, chunks: Iterable[ChunkId]) -> None:
        """Bring over chunks that the target lacks; the caller flushes the writer."""
        for batch in _batches(chunks, LOOKUP_BATCH):
            self._send(batch)

    def flush(self) -> Transferred:
        """Make what was copied so far durable in the target."""
        self._writer.flush()
        return Transferred((), self._objects, self._bytes)

    def _copy_one(self, want: Wanted) -> None:
        manifest = self._manifest(want.version)
        nodes: list[NodeId] = []

        def chunks() -> Iterator[ChunkId]:
            skip = _never if self._into_cache else self._is_on_target
            for identity, node in manifest.nodes(skip):
                nodes.append(identity)
                for entry in node.entries:
                    if isinstance(entry, FileEntry) and _within(entry.path, want.part):
                        yield from self._file_chunks(manifest, entry, nodes)

        self.copy_chunks(chunks())
        for batch in _batches(nodes, LOOKUP_BATCH):
            self._send(batch)

    def _file_chunks(self, manifest: Manifest, entry: FileEntry, nodes: list[NodeId]) -> Iterator[ChunkId]:
        if entry.chunk_tree is None:
            lists: Iterable[bytes] = (entry.chunks,)
        else:
            tree = list(manifest.chunk_tree_nodes(entry.chunk_tree))
            nodes.extend(identity for identity, _ in tree)
            lists = (node.packed for _, node in tree)
        for packed in lists:
            yield from (chunk for chunk, _ in unpack_chunks(packed, manifest.where))

    def _send(self, ids: Sequence[ObjectId]) -> None:
        """Copy those of `ids` that the target lacks, several reads at a time."""
        wanted = self._writer.claim(ids)
        spans = self._source.plan([identity for identity in dict.fromkeys(ids) if identity in wanted])
        self._task.expect(bytes=sum(at.stored_length for span in spans for at in span.locations))
        running: deque[Future[list[Record]]] = deque()
        try:
            for span in spans:
                running.append(self._executor.submit(self._read, span))
                if len(running) >= self._window:
                    self._deliver(running.popleft().result())
            while running:
                self._deliver(running.popleft().result())
        finally:
            abandon(running)

    def _read(self, span: Span) -> list[Record]:
        records = []
        for record in self._source.read_span(span):
            if self._into_cache:
                record.verified(self._source.name)
            # The record must not keep the whole span in memory.
            records.append(Record(record.id, record.kind, record.codec, record.plain_length, bytes(record.payload)))
        return records

    def _deliver(self, records: Sequence[Record]) -> None:
        self._writer.put(records)
        size = sum(len(record.payload) for record in records)
        self._objects += len(records)
        self._bytes += size
        self._task.advance(bytes=size)

    def _is_on_target(self, node: NodeId) -> bool:
        return bool(self._target.present([node]))

    def _manifest(self, version: VersionId) -> Manifest:
        """Return the manifest, read from the target where it has the nodes, else from the source."""

        def load(ids: Sequence[NodeId]) -> Sequence[bytes | bytearray | memoryview]:
            if self._target.backend.is_local and len(self._target.present(ids)) == len(set(ids)):
                return self._target.load_nodes(ids)
            return self._source.load_nodes(ids)

        return Manifest(version, load, where=f"manifest in {self._source.name}")


def missing_chunks(store: Store, chunks: Iterable[ChunkId]) -> Iterator[ChunkId]:
    """Yield those of `chunks` that a store lacks, each once a batch."""
    for batch in _batches(chunks, LOOKUP_BATCH):
        present = store.present(batch)
        yield from (chunk for chunk in dict.fromkeys(batch) if chunk not in present)


def _within(path: bytes, part: bytes) -> bool:
    return not part or path == part or path.startswith(part + b"/")


def _never(_node: NodeId) -> bool:
    return False


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    batch: list[T] = []
    for item in items:
        batch.append(item)
        if len(batch) >= size:
            yield batch
            batch = []
    if batch:
        yield batch
