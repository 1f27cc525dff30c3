"""Writing to a store: objects in, packs and index files out, in the order that keeps a crash harmless.

Order: packs of chunks, then packs of manifest nodes, then an index file, then (by the caller) version markers.
Nodes are written only when every chunk put before them is durable, and all appear in one index file at `flush`, so a
node that an index lists has its whole subtree in the store. Where what they count on may be deleted meanwhile, the
caller looks between `settle` and `flush` whether it was. Long sessions publish the packs of chunks that are already
durable from time to time, so that a killed session need not write them again.

Any thread may call; packs are written on threads of the writer's own. Those who put wait while all of these are busy,
so the memory in use is that of a few packs. A pack that cannot be written ends the session: every later call raises
its error.
"""

import contextlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from types import TracebackType
from typing import TypeVar

from dver.errors import DverError
from dver.objects.ids import NodeId, ObjectId, PackId, chunk_id
from dver.objects.indexfile import IndexedPack
from dver.objects.pack import TARGET_SIZE, EncodedPack, Kind, PackBuilder, Record, encode_object
from dver.storage.backend import settle
from dver.storage.index_files import index_key
from dver.storage.local import LocalBackend
from dver.storage.open import inner_of
from dver.storage.packs import pack_key
from dver.storage.store import Store
from dver.storage.whole_packs import WholePack

LOCAL_WRITERS = 2
REMOTE_WRITERS = 2
# Between folders a pack is not in our memory, and what takes time is waiting for the disk.
LOCAL_COPIERS = 8
# No writer holds a temporary file for this long, even over a slow network.
STALE_SECONDS = 600.0
PUBLISH_EVERY_PACKS = 16
# A pack of small files lists hundreds of thousands, and what is made of the list takes more memory than the pack.
PUBLISH_EVERY_ENTRIES = 100_000
_SALT_LENGTH = 16

T = TypeVar("T")


class StoreWriter:
    """One session of writing to a store. Use as a context manager, and call `flush` before leaving it."""

    def __init__(self, store: Store, *, pack_size: int = TARGET_SIZE) -> None:
        """Begin a session; `pack_size` is the size in bytes at which a pack is closed."""
        self.store = store
        self.stored_bytes = 0
        self._pack_size = pack_size
        # Uploads that begin together end together, and the link stands still until both are answered.
        self._full_size = pack_size if store.backend.is_local else pack_size // 2
        self._claims = threading.Lock()
        self._claimed: set[ObjectId] = set()
        self._publications = 0
        # Held by whoever puts, also while it waits for a writing thread; those threads never take it.
        self._feeding = threading.Lock()
        self._failure: BaseException | None = None
        self._chunks = PackBuilder()
        self._nodes = PackBuilder()
        self._writing: list[Future[EncodedPack]] = []
        self._chunk_packs: list[EncodedPack] = []
        self._node_packs: list[EncodedPack] = []
        writers = LOCAL_WRITERS if store.backend.is_local else REMOTE_WRITERS
        copiers = LOCAL_COPIERS if store.backend.is_local else 0
        self._pool = ThreadPoolExecutor(writers + copiers, thread_name_prefix="dver-pack")
        self._slots = threading.BoundedSemaphore(writers)
        self._copy_slots = threading.BoundedSemaphore(copiers) if copiers else self._slots
        self._kept = contextlib.ExitStack()

    def __enter__(self) -> "StoreWriter":
        self._kept.enter_context(self.store.kept())
        try:
            self._resume()
        except BaseException:
            self._kept.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Tasks of a session that is given up may still be putting: they get an error, and must not wait for ever.
        self._failure = self._failure or exc or _ended()
        try:
            self._pool.shutdown(wait=True, cancel_futures=True)
        finally:
            self._kept.close()

    def claim(self, ids: Sequence[ObjectId]) -> set[ObjectId]:
        """Return those of `ids` that the store lacks and no other caller of this session has claimed.

        The caller must `put` each of them; should it fail to, the whole session must be given up.
        """
        while True:
            with self._claims:
                publications = self._publications
                candidates = set(ids) - self._claimed
            wanted = candidates - self.store.present(candidates) if candidates else candidates
            with self._claims:
                # What was published in between is no longer among the claims, and was not in the store before.
                if publications == self._publications:
                    wanted -= self._claimed
                    self._claimed |= wanted
                    return wanted

    def put(self, records: Iterable[Record]) -> None:
        """Add claimed records. Blocks while too many packs wait to be written."""
        with self._feeding, self._guarded():
            for record in records:
                self.stored_bytes += record.length
                self._add(record)
            packs = self._take_many()
        self._publish(packs)

    def put_pack(self, pack: WholePack) -> None:
        """Add a whole pack, of which at least something is claimed. Blocks while too many packs wait to be copied."""
        with self._feeding, self._guarded():
            self.stored_bytes += pack.listed.size
            self._start(self._copy_slots, self._copy, [pack])
            packs = self._take_many()
        self._publish(packs)

    def put_node(self, identity: NodeId, encoded: bytes) -> None:
        """Add a manifest node unless the store has it; fits `NodeSink`."""
        if self.claim([identity]):
            self.put([encode_object(Kind.NODE, identity, encoded)])

    def settle(self) -> None:
        """Make everything that was put durable, and let nobody see the nodes yet."""
        with self._feeding, self._guarded():
            self._write_all()

    def give_up_lost(self) -> None:
        """Take what is in packs that another process is about to delete, and in no index file yet, for not put."""
        with self._feeding, self._guarded():
            lost = [pack for pack in (*self._chunk_packs, *self._node_packs) if self.store.index.is_losing(pack.id)]
            self._chunk_packs = [pack for pack in self._chunk_packs if pack not in lost]
            self._node_packs = [pack for pack in self._node_packs if pack not in lost]
        with self._claims:
            self._claimed.difference_update(entry.id for pack in lost for entry in pack.entries)

    def flush(self) -> None:
        """Make everything that was put durable and indexed."""
        with self._feeding, self._guarded():
            self._write_all()
            packs = [*self._chunk_packs, *self._node_packs]
            self._chunk_packs, self._node_packs = [], []
        self._publish(packs)
        if self.store.journal is not None:
            with contextlib.suppress(OSError):
                self.store.journal.unlink(missing_ok=True)

    def _resume(self) -> None:
        """Take up the packs that a session killed on this machine had written but not indexed."""
        if self.store.journal is not None and os.path.exists(self.store.journal):
            self.store.index.ensure_fresh()
            self.store.index.recover()
            backend = inner_of(self.store.backend)
            if isinstance(backend, LocalBackend):
                backend.remove_stale_temporaries(STALE_SECONDS)
            # The name of its last index file may not be durable, and what is in there is not written again.
            for index in self.store.index.file_sizes():
                settle(self.store.backend, index_key(index))

    def _note_unfinished(self) -> None:
        """Leave a mark on this machine until the packs written from now on are indexed."""
        journal = self.store.journal
        # Without the mark, a killed session only costs writing its last packs again.
        with contextlib.suppress(OSError):
            if journal is not None:
                journal.parent.mkdir(parents=True, exist_ok=True)
                journal.touch()

    def _publish(self, packs: Sequence[EncodedPack]) -> None:
        if not packs:
            return
        listed = [IndexedPack(pack.id, pack.size, pack.entries) for pack in packs]
        with self._guarded():
            self.store.index.publish(listed)
        with self._claims:
            self._claimed.difference_update(entry.id for pack in listed for entry in pack.entries)
            self._publications += 1

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        """End the session when what is done inside fails: packs may be missing then, so nothing more may be indexed."""
        self._check_running()
        try:
            yield
        except BaseException as exc:
            self._failure = self._failure or exc
            raise

    def _check_running(self) -> None:
        if isinstance(self._failure, DverError):
            raise self._failure
        if self._failure is not None:
            raise _ended() from self._failure

    # From here on, the caller holds `_feeding`.

    def _add(self, record: Record) -> None:
        if record.kind is Kind.NODE:
            self._nodes.add(record)
            if self._nodes.size >= self._pack_size:
                self._write_all()
        else:
            self._chunks.add(record)
            if self._chunks.size >= self._full_size:
                full, self._chunks = self._chunks, PackBuilder()
                self._full_size = self._pack_size
                self._start_writing(full)

    def _write_all(self) -> None:
        """Make all chunks put so far durable, and after them the nodes; small amounts of both share a pack."""
        chunks, self._chunks = self._chunks, PackBuilder()
        nodes, self._nodes = self._nodes, PackBuilder()
        if len(chunks) and len(nodes) and chunks.size + nodes.size < self._pack_size:
            chunks.absorb(nodes)
            nodes = chunks
        elif len(chunks):
            self._start_writing(chunks)
        self._wait()
        if len(nodes):
            self._start_writing(nodes)
            self._node_packs.append(self._writing.pop().result())

    def _take_many(self) -> list[EncodedPack]:
        """Return the durable packs of chunks that no index file lists if they are many, for the caller to publish."""
        self._collect()
        if not _are_many(self._chunk_packs):
            return []
        packs, self._chunk_packs = self._chunk_packs, []
        return packs

    def _start_writing(self, builder: PackBuilder) -> None:
        # The writing thread alone is to hold it.
        self._start(self._slots, self._write, [builder])

    def _start(
        self, slots: threading.BoundedSemaphore, work: Callable[[list[T]], EncodedPack], handed_over: list[T]
    ) -> None:
        self._note_unfinished()
        slots.acquire()
        try:
            self._check_running()
            self._collect()
            future = self._pool.submit(work, handed_over)
        except BaseException:
            slots.release()
            raise
        future.add_done_callback(lambda _: slots.release())
        self._writing.append(future)

    def _collect(self) -> None:
        """Take the packs that are durable by now; one that could not be written, as on a full disk, raises."""
        done = {future: future.done() for future in self._writing}
        packs = [future.result() for future, is_done in done.items() if is_done]
        self._writing = [future for future, is_done in done.items() if not is_done]
        self._chunk_packs += packs

    def _wait(self) -> None:
        packs = [future.result() for future in self._writing]
        self._writing = []
        self._chunk_packs += packs

    def _write(self, handed_over: list[PackBuilder]) -> EncodedPack:
        """Write a pack, and return it without its bytes."""
        builder = handed_over.pop()
        if self.store.index.is_losing_packs:
            # The same records make a pack of the same name, and that one may be about to be deleted.
            salt = os.urandom(_SALT_LENGTH)
            builder.add(encode_object(Kind.DATA, chunk_id(salt), salt))
        pack = builder.finish()
        listed = replace(pack, pieces=())
        key = pack_key(pack.id)
        pieces = pack.pieces
        if not self.store.backend.is_local:
            # What is sent is sent in one piece, and there is no room for a second copy of each pack under way.
            pieces = (b"".join(pieces),)
        del pack
        self._make_way(listed.id)
        self.store.backend.write(key, pieces)
        return listed

    def _copy(self, handed_over: list[WholePack]) -> EncodedPack:
        pack = handed_over.pop()
        self._make_way(pack.listed.id)
        pack.write_to(self.store.backend)
        return pack.listed

    def _make_way(self, pack: PackId) -> None:
        if pack in self.store.index.damaged_packs:
            # Backends keep a blob of the same name and size as it is.
            self.store.backend.delete(pack_key(pack))


def _are_many(packs: Sequence[EncodedPack]) -> bool:
    return len(packs) >= PUBLISH_EVERY_PACKS or sum(map(len, packs)) >= PUBLISH_EVERY_ENTRIES


def _ended() -> DverError:
    return DverError("the session of writing has ended")
