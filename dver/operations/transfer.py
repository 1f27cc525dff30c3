"""Transfer: bring dataset versions from one store to another, sending only what the other side lacks.

Push goes from the cache to a remote, fetch the other way. Records travel as they are stored, without being
compressed anew; packs in a folder of which nearly everything is wanted travel as a whole. On the way out the XXH3 of
records is checked; on arrival in the cache their BLAKE3 too. A version's marker is written last, so a transfer that is
cut off leaves the other side sound, and the next one sends only the rest.

A link is used in full only if something is under way at all times. So all of a transfer is one stream of reads, from
the first chunk of the first version to the last node of the last: manifests are walked, and what comes next is looked
up, while what was looked up before is read and what was read is written.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import TypeAlias

from dver.database import batches
from dver.errors import DAMAGE_HINT, IntegrityError, ObjectNotFoundError, VersionNotFoundError
from dver.objects.entry import FileEntry
from dver.objects.ids import ChunkId, NodeId, ObjectId, VersionId
from dver.objects.manifest import Manifest
from dver.objects.pack import (
    ENTRY_LENGTH,
    HEAD_LENGTH,
    RECORD_HEADER_LENGTH,
    TRAILER_LENGTH,
    Kind,
    Record,
    encode_object,
)
from dver.operations.datasets import typed
from dver.operations.pack_choice import PackChoice, PackWish
from dver.operations.push_guard import PushGuard
from dver.operations.wanted import Wanted, chunks_to_bring
from dver.progress import Task
from dver.storage.index import LOOKUP_BATCH
from dver.storage.local import LocalBackend
from dver.storage.packs import pack_key
from dver.storage.store import Span, Store
from dver.storage.whole_packs import WholePack, open_whole
from dver.storage.writer import StoreWriter
from dver.workers import ASKED_AT_ONCE, Workers

# Reads are joined among what is planned together: little at first, so that the first of them begin soon.
_FIRST_PLAN, _LONGEST_PLAN = LOOKUP_BATCH, 8 * LOOKUP_BATCH
# A record keeps the bytes that it was read with in memory unless more than this part of them is of no use.
_MOST_UNUSED = 1 / 8

# What a read brings: records, or a whole pack.
Read: TypeAlias = "list[Record] | WholePack"


@dataclass(frozen=True, slots=True)
class Transferred:
    """What was sent: versions, objects (chunks and nodes), and their bytes as stored."""

    versions: tuple[VersionId, ...] = ()
    objects: int = 0
    bytes: int = 0


class Transfer:
    """One session of copying from `source` to `target`."""

    def __init__(
        self,
        source: Store,
        writer: StoreWriter,
        workers: Workers,
        *,
        into_cache: bool,
        task: Task,
        has_whole_trees: bool = True,
    ) -> None:
        """Copy from `source` to the writer's store.

        `into_cache` says that every object is to be checked against its id on arrival, and that a node over there does
        not mean that all below it is there too: a cache may hold parts of versions, a remote holds whole ones, unless
        `has_whole_trees` says that this one has lost something.
        """
        self._source = source
        self._target = writer.store
        self._writer = writer
        self._workers = workers
        self._into_cache = into_cache
        self._counts_on_nodes = has_whole_trees and not into_cache
        self._task = task
        self._seen: set[NodeId] = set()
        self._objects = 0
        self._bytes = 0

    def copy(self, wanted: Sequence[Wanted], guard: PushGuard | None = None) -> Transferred:
        """Bring over all of `wanted`, then mark the versions that were wanted whole.

        A `guard` is asked before anybody can see the nodes, and again before the markers. While it says no, what the
        target lacks by then is brought over.

        Raises:
            VersionNotFoundError: the source lacks something of one of them.
        """
        whole = [want.version for want in wanted if want.is_whole]
        while not self._copy_once(wanted, whole, guard):
            # What was sent just now may lack what it counted on.
            self._writer.give_up_lost()
            self._seen.clear()
            self._counts_on_nodes = False
        return Transferred(self._mark(wanted), self._objects, self._bytes)

    def _copy_once(self, wanted: Sequence[Wanted], whole: Sequence[VersionId], guard: PushGuard | None) -> bool:
        """Bring over what is lacking, and return whether all that was counted on is there still."""
        if guard is None:
            self._bring(self._start_all(wanted))
            self._writer.flush()
            return True
        self._bring(self._start_all(wanted), guard.keep)
        self._writer.settle()
        # A node that can be seen is taken for a whole tree, by this push if it is killed and runs again.
        if not guard.may_go_on(whole):
            return False
        self._writer.flush()
        return guard.may_go_on(whole)

    def copy_chunks(self, chunks: Iterable[ChunkId]) -> None:
        """Bring over chunks that the target lacks; the caller flushes the writer."""
        self._bring(self._start(chunks, None))

    def copy_nodes(self, manifest: Manifest) -> None:
        """Bring over a version's manifest without the files; the caller flushes the writer."""
        nodes: list[NodeId] = []
        for identity, node in manifest.nodes():
            nodes.append(identity)
            for entry in node.entries:
                if isinstance(entry, FileEntry) and entry.chunk_tree is not None:
                    nodes.extend(below for below, _ in manifest.chunk_tree_nodes(entry.chunk_tree))
        self._bring(self._start_nodes(nodes, None))

    def flush(self) -> Transferred:
        """Make what was copied so far durable in the target."""
        self._writer.flush()
        return Transferred((), self._objects, self._bytes)

    def _incomplete(self, want: Wanted) -> VersionNotFoundError:
        hint = (
            "dver fetch -r REMOTE, if another one has all of it"
            if self._into_cache
            else f"dver fetch {typed(want.dataset)} brings the rest, if the default remote has it"
        )
        return VersionNotFoundError(want.version, want.dataset, f"{self._source.name} (not all of it)", hint=hint)

    def _bring(self, reads: Iterator["Future[Read]"], keep: Callable[[], None] = lambda: None) -> None:
        """Put what is read, in the order in which it was asked for, so that what a node names comes before it.

        `keep` is called now and then.
        """
        for read in self._workers.in_order(reads):
            keep()
            if isinstance(read, WholePack):
                self._bring_pack(read)
                continue
            records = read
            self._writer.put(records)
            size = sum(len(record.payload) for record in records)
            self._objects += len(records)
            self._bytes += size
            self._task.advance(bytes=size)

    def _bring_pack(self, pack: WholePack) -> None:
        objects, size = len(pack.listed), pack.listed.size
        self._writer.put_pack(pack)
        self._objects += objects
        self._bytes += size - HEAD_LENGTH - TRAILER_LENGTH - objects * (RECORD_HEADER_LENGTH + ENTRY_LENGTH)
        self._task.advance(bytes=size)

    def _start_all(self, wanted: Iterable[Wanted]) -> Iterator["Future[Read]"]:
        """Start to read versions, each time that the next read is asked for."""
        for want in wanted:
            nodes: list[NodeId] = []
            try:
                manifest = self._manifest(want.version)
                yield from self._start(chunks_to_bring(manifest, want, self._is_done, nodes), want)
                yield from self._start_nodes(nodes, want)
            except ObjectNotFoundError as exc:
                raise self._incomplete(want) from exc
            if want.is_whole:
                self._seen.update(nodes)

    def _start(self, chunks: Iterable[ChunkId], want: Wanted | None) -> Iterator["Future[Read]"]:
        """Start to read those of `chunks` that the target lacks."""
        lacking: list[ChunkId] = []
        enough = _FIRST_PLAN
        # From afar, a pack would have to be read before it can be checked. Where packs are about to be deleted, none is
        # to be written that has the name of one of them.
        may_copy = isinstance(self._source.backend, LocalBackend) and not self._target.index.is_losing_packs
        choice = PackChoice(self._source.index.pack_size) if may_copy else None
        for batch in batches(chunks, LOOKUP_BATCH):
            claimed = self._writer.claim(batch)
            lacking += [chunk for chunk in dict.fromkeys(batch) if chunk in claimed]
            if len(lacking) >= enough:
                yield from self._start_chunks(lacking, choice, want)
                lacking, enough = [], min(2 * enough, _LONGEST_PLAN)
        yield from self._start_chunks(lacking, choice, want)
        if choice is not None:
            yield from self._start_chosen(*choice.rest(), want)

    def _start_chunks(
        self, chunks: Sequence[ChunkId], choice: PackChoice | None, want: Wanted | None
    ) -> Iterator["Future[Read]"]:
        """Start to read chunks, or to take the packs that they are in as a whole."""
        if choice is None:
            yield from self._start_claimed(chunks, want)
        else:
            found = self._source.locate(chunks)
            yield from self._start_chosen(*choice.add(found[chunk] for chunk in chunks), want)

    def _start_chosen(
        self, packs: Iterable[PackWish], ids: Sequence[ObjectId], want: Wanted | None
    ) -> Iterator["Future[Read]"]:
        for pack in packs:
            self._task.expect(bytes=pack.size)
            yield self._workers.executor.submit(self._open, pack, want)
        yield from self._start_claimed(ids, want)

    def _start_nodes(self, nodes: Sequence[NodeId], want: Wanted | None) -> Iterator["Future[Read]"]:
        """Start to read those of `nodes` that the target lacks; most were read just now, to find what they name."""
        for batch in batches(nodes, LOOKUP_BATCH):
            claimed = self._writer.claim(batch)
            lacking = [node for node in dict.fromkeys(batch) if node in claimed]
            at_hand = self._source.nodes_at_hand(lacking)
            records = [encode_object(Kind.NODE, node, plain) for node, plain in at_hand.items()]
            self._task.expect(bytes=sum(len(record.payload) for record in records))
            read: Future[Read] = Future()
            read.set_result(records)
            yield read
            yield from self._start_claimed([node for node in lacking if node not in at_hand], want, Kind.NODE)

    def _start_claimed(
        self, ids: Sequence[ObjectId], want: Wanted | None, kind: Kind = Kind.DATA
    ) -> Iterator["Future[Read]"]:
        """Start to read objects of a kind, in about the order that they are given in, in which they are needed."""
        place = {identity: number for number, identity in enumerate(ids)}
        spans = self._source.plan(ids)
        spans.sort(key=lambda span: min(place[location.id] for location in span.locations))
        self._task.expect(bytes=sum(at.stored_length for span in spans for at in span.locations))
        for span in spans:
            yield self._workers.executor.submit(self._read, span, want, kind)

    def _open(self, wish: PackWish, want: Wanted | None) -> Read:
        """Return a whole pack or, if it cannot be taken so, the records that are wanted of it."""
        backend = self._source.backend
        if isinstance(backend, LocalBackend):
            pack = open_whole(backend, wish.pack, wish.size, verify=self._into_cache)
            if pack is not None:
                return pack
        try:
            spans = self._source.plan([identity for _, identity in wish.ids])
        except ObjectNotFoundError as exc:
            if want is None:
                raise
            raise self._incomplete(want) from exc
        return [record for span in spans for record in self._read(span, want)]

    def _read(self, span: Span, want: Wanted | None, kind: Kind = Kind.DATA) -> list[Record]:
        try:
            records = list(self._source.read_span(span))
        except ObjectNotFoundError as exc:
            if want is None:
                raise
            raise self._incomplete(want) from exc
        if self._into_cache:
            for record in records:
                self._verify(record, span, kind)
        if sum(record.length for record in records) >= (span.end - span.start) * (1 - _MOST_UNUSED):
            return records
        return [replace(record, payload=bytes(record.payload)) for record in records]

    def _verify(self, record: Record, span: Span, kind: Kind) -> None:
        """Raise IntegrityError unless a record is what its id says, and what it is wanted as."""
        where = f"{self._source.backend.location}/{pack_key(span.pack)}"
        try:
            if kind is Kind.NODE:
                record.node(where)
            else:
                record.chunk(where, verify=True)
        except IntegrityError as exc:
            raise IntegrityError(exc.where, exc.reason, hint=DAMAGE_HINT) from exc

    def _mark(self, wanted: Sequence[Wanted]) -> tuple[VersionId, ...]:
        """Mark the versions that were wanted whole, all of which is durable and indexed by now."""
        whole = [want for want in wanted if want.is_whole]
        versions = tuple(want.version for want in whole)
        if len(whole) <= 1 or self._target.backend.is_local:
            for want in whole:
                self._mark_one(want)
            return versions
        with Workers(None, ASKED_AT_ONCE, name="dver-mark") as workers:
            for _ in workers.in_order(workers.executor.submit(self._mark_one, want) for want in whole):
                pass
        return versions

    def _mark_one(self, want: Wanted) -> None:
        files, size = self._manifest(want.version).totals()
        # In the cache a name helps whoever frees space; what a remote's owner need not know is not sent there.
        dataset = want.dataset if self._into_cache else ""
        self._target.mark_version(want.version, files=files, size=size, dataset=dataset)

    def _is_done(self, node: NodeId) -> bool:
        """Whether a node and all below it are on the target, or were copied for an earlier version."""
        return node in self._seen or (self._counts_on_nodes and bool(self._target.present([node])))

    def _manifest(self, version: VersionId) -> Manifest:
        """Return the manifest, read from the target where it has the nodes, else from the source."""

        def load(ids: Sequence[NodeId]) -> Sequence[bytes | bytearray | memoryview]:
            if self._target.backend.is_local and len(self._target.present(ids)) == len(set(ids)):
                return self._target.load_nodes(ids)
            return self._source.load_nodes(ids)

        return Manifest(version, load, where=f"manifest in {self._source.name}")
