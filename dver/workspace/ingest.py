"""From working files to chunks in a store: reading, cutting, hashing, compressing and storing, on all cores.

Small files go through in batches, one task a batch. A large file is cut by segments in parallel (see
`objects.chunker`), so one file uses all cores too. Results come out in the order in which files went in, with a
bounded amount of work and memory in flight.
"""

import os
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from dver.errors import PathError
from dver.objects.builder import make_file_entry
from dver.objects.chunker import Chunker, SegmentJoiner
from dver.objects.entry import DirectoryEntry, Entry, FileEntry, LinkEntry, pack_chunk
from dver.objects.ids import ChunkId, NodeId, ObjectId, chunk_id
from dver.objects.pack import Kind, Record, encode_object
from dver.progress import Task
from dver.workers import Workers, abandon
from dver.workspace.reading import read_at, read_link, read_stably, read_whole
from dver.workspace.statcache import Row, make_row
from dver.workspace.walk import FileType, WalkItem, is_executable

BATCH_BYTES = 8 * 1024 * 1024
BATCH_FILES = 128
BATCH_ITEMS = 4096
LARGE_FILE = 16 * 1024 * 1024
SEGMENT = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Ingested:
    """A path's entry, and the row for the stat cache where the path was looked at anew."""

    entry: Entry
    row: Row | None


class ObjectSink(Protocol):
    """Where chunks and nodes go; `StoreWriter` is one."""

    def claim(self, ids: Sequence[ObjectId]) -> set[ObjectId]:
        """Return those objects that are wanted; they must be put."""

    def put(self, records: Sequence[Record]) -> None:
        """Take claimed records."""

    def put_node(self, identity: NodeId, encoded: bytes) -> None:
        """Take a manifest node."""


Source: TypeAlias = Entry | WalkItem
_Batch: TypeAlias = list[Source]


class Ingester:
    """Stores working files. `root` is the dataset's absolute path."""

    def __init__(self, root: bytes, writer: ObjectSink, chunker: Chunker, workers: Workers, task: Task) -> None:
        self._root = root
        self._writer = writer
        self._chunker = chunker
        self._workers = workers
        self._task = task

    def run(self, sources: Iterable[Source]) -> Iterator[Ingested]:
        """Yield an entry for each source, in order: entries as they are, walked files after storing them."""
        for results in self._workers.in_order(self._start(batch) for batch in _batches(sources)):
            yield from results

    def _start(self, batch: _Batch) -> Future[list[Ingested]]:
        if len(batch) == 1 and isinstance(batch[0], WalkItem) and _is_large(batch[0]):
            done: Future[list[Ingested]] = Future()
            done.set_result([self._ingest_large(batch[0])])
            return done
        return self._workers.executor.submit(self._ingest_batch, batch)

    def _ingest_batch(self, batch: _Batch) -> list[Ingested]:
        results: list[Ingested] = []
        chunks: dict[ChunkId, memoryview] = {}
        read_bytes = read_files = 0
        for source in batch:
            if not isinstance(source, WalkItem):
                results.append(Ingested(source, None))
                continue
            result = self._ingest_small(source, chunks)
            results.append(result)
            read_files += 1
            read_bytes += result.entry.size if isinstance(result.entry, FileEntry) else 0
        self._store(chunks)
        self._task.advance(bytes=read_bytes, files=read_files)
        return results

    def _ingest_small(self, item: WalkItem, chunks: dict[ChunkId, memoryview]) -> Ingested:
        path = self._path(item)
        shown = os.fsdecode(path)
        began = time.time_ns()
        if item.type is FileType.DIRECTORY:
            return Ingested(DirectoryEntry(item.path), make_row(item.type, item.stat, began))
        if item.type is FileType.LINK:
            return Ingested(LinkEntry(item.path, read_link(path)), make_row(item.type, item.stat, began))
        if item.type is FileType.OTHER:
            raise PathError(shown, "is a socket, device or named pipe", hint="remove it, or name it in .dverignore")
        data, found, began = read_stably(path, shown, read_whole)
        packed = self._cut(memoryview(data), chunks)
        entry = make_file_entry(item.path, len(data), is_executable(found), packed, self._writer.put_node)
        return Ingested(entry, make_row(item.type, found, began))

    def _cut(self, data: memoryview, chunks: dict[ChunkId, memoryview]) -> bytes:
        """Add the chunks of a whole file to `chunks` and return its packed chunk list."""
        ends = self._chunker.cut(data)
        packed = []
        start = 0
        for end in ends:
            piece = data[start:end]
            identity = chunk_id(piece)
            chunks[identity] = piece
            packed.append(pack_chunk(identity, end - start))
            start = end
        return b"".join(packed)

    def _store(self, chunks: dict[ChunkId, memoryview]) -> None:
        wanted = self._writer.claim(list(chunks))
        self._writer.put(
            [encode_object(Kind.DATA, identity, plain) for identity, plain in chunks.items() if identity in wanted]
        )

    def _ingest_large(self, item: WalkItem) -> Ingested:
        path = self._path(item)
        packed, found, began = read_stably(path, os.fsdecode(path), self._ingest_segments)
        entry = make_file_entry(item.path, found.st_size, is_executable(found), packed, self._writer.put_node)
        self._task.advance(files=1)
        return Ingested(entry, make_row(item.type, found, began))

    def _ingest_segments(self, fd: int, found: os.stat_result) -> bytes:
        joiner = SegmentJoiner(self._chunker)
        cutting: deque[Future[tuple[memoryview, list[int]]]] = deque()
        storing: deque[Future[bytes]] = deque()
        packed: list[bytes] = []
        offsets = iter(range(0, found.st_size, SEGMENT))
        try:
            while True:
                for offset in _up_to(offsets, self._workers.window - len(cutting)):
                    length = min(SEGMENT, found.st_size - offset)
                    cutting.append(self._workers.executor.submit(self._cut_segment, fd, offset, length))
                if not cutting:
                    break
                segment, ends = cutting.popleft().result()
                storing.append(self._workers.executor.submit(self._store_segment, joiner.feed(segment, ends)))
                while len(storing) > self._workers.window:
                    packed.append(storing.popleft().result())
            storing.append(self._workers.executor.submit(self._store_segment, joiner.finish()))
            packed.extend(future.result() for future in storing)
        finally:
            abandon(cutting)
            abandon(storing)
        return b"".join(packed)

    def _cut_segment(self, fd: int, offset: int, length: int) -> tuple[memoryview, list[int]]:
        segment = memoryview(read_at(fd, offset, length))
        return segment, self._chunker.cut_segment(segment)

    def _store_segment(self, pieces: Sequence[memoryview]) -> bytes:
        identified = [(chunk_id(piece), piece) for piece in pieces]
        self._store(dict(identified))
        self._task.advance(bytes=sum(map(len, pieces)))
        return b"".join(pack_chunk(identity, len(piece)) for identity, piece in identified)

    def _path(self, item: WalkItem) -> bytes:
        return self._root + b"/" + item.path if item.path else self._root


def _batches(sources: Iterable[Source]) -> Iterator[_Batch]:
    """Yield runs of sources that make one task each; a large file is a run of its own."""
    batch: _Batch = []
    files = size = 0
    for source in sources:
        if isinstance(source, WalkItem):
            if _is_large(source):
                if batch:
                    yield batch
                yield [source]
                batch, files, size = [], 0, 0
                continue
            files += 1
            size += source.stat.st_size
        batch.append(source)
        if size >= BATCH_BYTES or files >= BATCH_FILES or len(batch) >= BATCH_ITEMS:
            yield batch
            batch, files, size = [], 0, 0
    if batch:
        yield batch


def _is_large(item: WalkItem) -> bool:
    return item.type is FileType.FILE and item.stat.st_size >= LARGE_FILE


def _up_to(offsets: Iterator[int], count: int) -> Iterator[int]:
    for _ in range(count):
        offset = next(offsets, None)
        if offset is None:
            return
        yield offset
