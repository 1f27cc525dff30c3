"""Writing to a store: objects in, packs and index files out, in the order that keeps a crash harmless.

Order: packs of chunks, then packs of manifest nodes, then an index file, then (by the caller) version markers.
Nodes are held back until every chunk put before `flush` is durable, and appear in one index file, so a node that an
index lists has its whole subtree in the store. Long sessions publish the packs of chunks that are already durable
from time to time, so that a killed session need not write them again.

Any thread may call; packs are written on threads of the writer's own, a bounded number at a time.
"""

import contextlib
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from dver.objects.ids import NodeId, ObjectId
from dver.objects.indexfile import IndexedPack
from dver.objects.pack import TARGET_SIZE, Kind, PackBuilder, Record, encode_object
from dver.storage.index import pack_key
from dver.storage.store import Store

LOCAL_WRITERS = 2
REMOTE_WRITERS = 3
PUBLISH_EVERY_PACKS = 16


class StoreWriter:
    """One session of writing to a store. Use as a context manager, and call `flush` before leaving it."""

    def __init__(self, store: Store, *, pack_size: int = TARGET_SIZE) -> None:
        """Begin a session; `pack_size` is the size in bytes at which a pack is closed."""
        self.store = store
        self._pack_size = pack_size
        self._lock = threading.Lock()
        self._claimed: set[ObjectId] = set()
        self._chunks = PackBuilder()
        self._nodes = PackBuilder()
        self._node_packs: list[PackBuilder] = []
        writers = LOCAL_WRITERS if store.backend.is_local else REMOTE_WRITERS
        self._pool = ThreadPoolExecutor(writers, thread_name_prefix="dver-pack")
        self._slots = threading.BoundedSemaphore(writers)
        self._writing: list[Future[IndexedPack]] = []
        self.stored_bytes = 0
        self._resume()

    def __enter__(self) -> "StoreWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def claim(self, ids: Sequence[ObjectId]) -> set[ObjectId]:
        """Return those of `ids` that the store lacks and no other caller of this session has claimed.

        The caller must `put` each of them; should it fail to, the whole session must be given up.
        """
        with self._lock:
            candidates = set(ids) - self._claimed
        wanted = candidates - self.store.present(candidates) if candidates else candidates
        with self._lock:
            wanted -= self._claimed
            self._claimed |= wanted
        return wanted

    def put(self, records: Iterable[Record]) -> None:
        """Add claimed records. Blocks while too many packs wait to be written."""
        for record in records:
            with self._lock:
                self.stored_bytes += record.length
                if record.kind is Kind.NODE:
                    self._put_node(record)
                    continue
                self._chunks.add(record)
                if self._chunks.size < self._pack_size:
                    continue
                full, self._chunks = self._chunks, PackBuilder()
            self._start_writing(full)

    def put_node(self, identity: NodeId, encoded: bytes) -> None:
        """Add a manifest node unless the store has it; fits `NodeSink`."""
        if self.claim([identity]):
            self.put([encode_object(Kind.NODE, identity, encoded)])

    def flush(self) -> None:
        """Make everything that was put durable and indexed."""
        with self._lock:
            chunks, self._chunks = self._chunks, PackBuilder()
            node_packs = [*self._node_packs, self._nodes]
            self._nodes, self._node_packs = PackBuilder(), []
        last = node_packs[-1]
        if len(chunks) and len(last) and chunks.size + last.size < self._pack_size:
            chunks.absorb(last)
            node_packs.pop()
        if len(chunks):
            self._start_writing(chunks)
        packs = self._drain()
        for builder in node_packs:
            if len(builder):
                self._start_writing(builder)
        packs += self._drain()
        if packs:
            self.store.index.publish(packs)
        if self.store.journal is not None:
            self.store.journal.unlink(missing_ok=True)
        with self._lock:
            self._claimed.clear()

    def _resume(self) -> None:
        """Take up the packs that a session killed on this machine had written but not indexed."""
        if self.store.journal is not None and self.store.journal.exists():
            self.store.index.ensure_fresh()
            self.store.index.recover()

    def _note_unfinished(self) -> None:
        """Leave a mark on this machine until the packs written from now on are indexed."""
        journal = self.store.journal
        # Without the mark, a killed session only costs writing its last packs again.
        with contextlib.suppress(OSError):
            if journal is not None:
                journal.parent.mkdir(parents=True, exist_ok=True)
                journal.touch()

    def _put_node(self, record: Record) -> None:
        self._nodes.add(record)
        if self._nodes.size >= self._pack_size:
            self._node_packs.append(self._nodes)
            self._nodes = PackBuilder()

    def _start_writing(self, builder: PackBuilder) -> None:
        self._note_unfinished()
        self._slots.acquire()
        future = self._pool.submit(self._write, builder)
        future.add_done_callback(lambda _: self._slots.release())
        with self._lock:
            self._writing.append(future)
            done = [future for future in self._writing if future.done()]
            # Asking for the results here makes a full disk end the session at once.
            packs = [future.result() for future in done]
            if len(packs) < PUBLISH_EVERY_PACKS:
                return
            self._writing = [future for future in self._writing if future not in done]
        self.store.index.publish(packs)
        with self._lock:
            self._claimed.difference_update(entry.id for pack in packs for entry in pack.entries)

    def _write(self, builder: PackBuilder) -> IndexedPack:
        pack = builder.finish()
        self.store.backend.write(pack_key(pack.id), pack.pieces)
        return IndexedPack(pack.id, pack.size, pack.entries)

    def _drain(self) -> list[IndexedPack]:
        with self._lock:
            writing, self._writing = self._writing, []
        return [future.result() for future in writing]
