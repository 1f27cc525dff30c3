"""The store: packs, index and version markers in one place. One class serves the cache and every remote.

A store is only immutable files behind a `Backend`. Reading checks each record's XXH3; manifest nodes are checked
against their ids as well, chunks where the caller asks for it (`Record.verified`). Writing goes through
`StoreWriter`.

Invariant: a version marker is written after everything that the version needs is durable and indexed.
"""

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from dver.errors import (
    DAMAGE_HINT,
    BackendError,
    BackendProblem,
    ConfigError,
    FormatError,
    IntegrityError,
    ObjectNotFoundError,
)
from dver.objects.chunker import ChunkerParams
from dver.objects.ids import Bytes, NodeId, ObjectId, PackId, VersionId
from dver.objects.manifest import Manifest
from dver.objects.pack import TRAILER_LENGTH, Record, decode_record
from dver.progress import NO_PROGRESS
from dver.storage.backend import Backend
from dver.storage.cachelock import writing
from dver.storage.clones import Place, register
from dver.storage.description import DESCRIPTION_KEY, encode_description, read_description, remote_of, repair_of
from dver.storage.index import ChunkIndex
from dver.storage.index_copy import Location
from dver.storage.markers import VersionMarkers, read_if_there, version_key
from dver.storage.packs import pack_key

FORMAT = 1
NODE_CACHE_BYTES = 32 * 1024 * 1024

_LOCAL_GAP, _LOCAL_SPAN = 4 * 1024, 4 * 1024 * 1024
_REMOTE_GAP, _REMOTE_SPAN = 256 * 1024, 4 * 1024 * 1024
# As objects, records take some hundred bytes more each than the run of bytes that they lie in.
_MOST_RECORDS = 4096
# A pack has the nodes of a tree in the order that they are read in. To read on costs less than to ask once more.
_READ_ON = 512 * 1024
_NODE_READERS = 16


class _GoneError(Exception):
    """A pack that the index names is not there."""


@dataclass(frozen=True, slots=True)
class Span:
    """A run of bytes of one pack, read in one go for the records at `locations`."""

    pack: PackId
    start: int
    end: int
    locations: tuple[Location, ...]


def encode_marker(files: int, size: int, dataset: str = "") -> bytes:
    """Return what is in the marker of a version."""
    fields: dict[str, object] = {"files": files, "format": FORMAT, "size": size}
    if dataset:
        fields["dataset"] = dataset
    return json.dumps(fields, sort_keys=True).encode() + b"\n"


def marker_problem(data: bytes, totals: tuple[int, int] | None) -> str | None:
    """Return what is wrong with a version's marker, or None; `totals` are the version's files and bytes, if known."""
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError):
        return "it is not what dver writes" if data else "it is empty"
    match fields:
        case {"format": 1, "files": int(files), "size": int(size)} if totals in (None, (files, size)):
            return None
        case {"format": int(number)} if number > FORMAT:
            return None
    return "it says other than the version has"


class Store(VersionMarkers):
    """One place of packs, index and versions.

    Attributes:
        name: what messages call it, such as "the cache" or "remote origin (s3://bucket/data)".
        journal: a local file that exists while a writer of this machine has packs that no index file lists.
        note: told one line when a writer must wait.
        used_by: the repository that counts on what is stored here, where the store is to know it.
    """

    def __init__(
        self,
        backend: Backend,
        index: ChunkIndex,
        *,
        name: str,
        journal: Path | None = None,
        note: Callable[[str], None] = NO_PROGRESS.note,
        used_by: Place | None = None,
    ) -> None:
        super().__init__(backend)
        self.index = index
        self.name = name
        self.journal = journal
        self.note = note
        self.used_by = used_by
        self._prepared: ChunkerParams | None = None
        self._nodes: OrderedDict[NodeId, bytes] = OrderedDict()
        self._node_bytes = 0
        self._lock = threading.Lock()

    @property
    def remote(self) -> str:
        """What commands know the remote by; NAME for a store that is called otherwise."""
        return remote_of(self.name)

    @property
    def repair(self) -> str:
        """The command that mends it."""
        return repair_of(self.name)

    def close(self) -> None:
        """Close the local index copy."""
        self.index.close()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Return a context in which nothing is deleted from here, neither what it holds nor what is being written.

        Whoever stores objects, or counts on those that are here, stays in it until something names them. What was known
        of the store before may be out of date, so the index is asked anew.
        """
        with writing(self, self.note):
            if self.used_by is not None:
                register(self.backend, self.used_by)
            if self.backend.is_local:
                self.index.expire()
            yield

    def prepare(self, params: ChunkerParams, *, again: bool = False) -> None:
        """Describe a new store, or check that an existing one has these chunk sizes; once, unless `again`.

        Raises:
            ConfigError: the store was made with other chunk sizes; mixing them would store everything twice. Or it is
                encrypted, and this is not its plain view.
            UnsupportedFormatError: a newer dver made the store.
        """
        if self._prepared == params and not again:
            return
        found = self.read_params()
        if found is None:
            self.backend.write(DESCRIPTION_KEY, [encode_description(params)])
        elif found != params:
            raise ConfigError(
                f"{self.name} holds chunks of {found.average_size} bytes on average,"
                f" and those to store are {params.average_size}",
                hint="chunks of two sizes share nothing: use a store of its own for this repository, or, as long as it"
                f" has no version, dver config set chunks.size {found.average_size}",
            )
        self._prepared = params

    def read_params(self) -> ChunkerParams | None:
        """Return the chunk sizes that the store was made with, or None if there is no store yet."""
        return read_description(self.backend, self.name)

    def mark_version(self, version: VersionId, *, files: int, size: int, dataset: str = "") -> None:
        """Say that everything a version needs is here; the caller has seen to it that it is durable and indexed.

        `dataset` is what it was stored as, for people to know it by when nothing names it any more.
        """
        self.backend.write(version_key(version), [encode_marker(files, size, dataset)])

    def marked_dataset(self, version: VersionId) -> str:
        """Return what a version was stored as, as its marker says; "" where that is not known."""
        try:
            fields = json.loads(read_if_there(self.backend, version_key(version)) or b"")
        except (ValueError, RecursionError):
            return ""
        dataset = fields.get("dataset") if isinstance(fields, dict) else None
        return dataset if isinstance(dataset, str) else ""

    def manifest(self, version: VersionId) -> Manifest:
        """Return the manifest of a version; its nodes are read as they are needed."""
        return Manifest(version, self.load_nodes, where=f"manifest in {self.name}")

    def present(self, ids: Iterable[ObjectId]) -> set[ObjectId]:
        """Return those of `ids` that are here."""
        return self.index.present(ids)

    def load_nodes(self, ids: Sequence[NodeId]) -> list[Bytes]:
        """Return manifest nodes, checked against their ids; ObjectNotFoundError names the first that is missing."""
        found = self.nodes_at_hand(ids)
        absent = [identity for identity in ids if identity not in found]
        if absent:
            found.update(self._read_nodes(self.plan(absent)))
        return [found[identity] for identity in ids]

    def _read_nodes(self, spans: Sequence[Span]) -> Iterator[tuple[NodeId, Bytes]]:
        """Yield the nodes at some places and remember them; from afar, what is read beside them too."""
        if self.backend.is_local:
            for span in spans:
                yield from self._checked_nodes(self.read_span(span))
            return
        if len(spans) == 1:
            yield from self._read_nodes_afar(spans[0], _READ_ON)
            return
        # Deferred: a store on local disk has no use for it.
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415

        with ThreadPoolExecutor(min(len(spans), _NODE_READERS), thread_name_prefix="dver-node") as pool:
            for nodes in pool.map(lambda span: self._read_nodes_afar(span, _READ_ON // len(spans)), spans):
                yield from nodes

    def _read_nodes_afar(self, span: Span, read_on: int) -> list[tuple[NodeId, Bytes]]:
        size = self.index.pack_size(span.pack) or 0
        end = max(span.end, min(span.end + read_on, size - TRAILER_LENGTH))
        try:
            data = self._read_range(replace(span, end=end))
            nodes = [*self._checked_nodes(self._decode(span, data))]
        except (_GoneError, IntegrityError):
            return [*self._checked_nodes(self.read_span(span))]
        self._remember_following(data, span.end - span.start)
        return nodes

    def _checked_nodes(self, records: Iterable[Record]) -> Iterator[tuple[NodeId, Bytes]]:
        for record in records:
            plain = bytes(record.node(self.name))
            self._remember(NodeId(record.id), plain)
            yield NodeId(record.id), plain

    def _remember_following(self, data: bytes, at: int) -> None:
        """Remember the nodes that lie behind those that were wanted, as far as they were read and are sound."""
        # They say themselves what they are, and that is checked; what is no node, or not all there, ends it.
        with suppress(FormatError, IntegrityError):
            while True:
                record = decode_record(data, at, self.name)
                self._remember(NodeId(record.id), bytes(record.node(self.name)))
                at += record.length

    def nodes_at_hand(self, ids: Sequence[NodeId]) -> dict[NodeId, Bytes]:
        """Return those of `ids` that were read lately and are still in memory."""
        found: dict[NodeId, Bytes] = {}
        with self._lock:
            for identity in ids:
                cached = self._nodes.get(identity)
                if cached is not None:
                    self._nodes.move_to_end(identity)
                    found[identity] = cached
        return found

    def plan(self, ids: Sequence[ObjectId]) -> list[Span]:
        """Return the reads that bring these objects, records that lie close together in one read.

        Raises:
            ObjectNotFoundError: one of them is not here.
        """
        found = self.locate(ids)
        gap, longest = (_LOCAL_GAP, _LOCAL_SPAN) if self.backend.is_local else (_REMOTE_GAP, _REMOTE_SPAN)
        return _join(sorted(found.values(), key=lambda at: (at.pack, at.offset)), gap, longest)

    def locate(self, ids: Sequence[ObjectId]) -> dict[ObjectId, Location]:
        """Return where these objects lie.

        Raises:
            ObjectNotFoundError: one of them is not here.
        """
        found = self.index.find(ids)
        for identity in ids:
            if identity not in found:
                raise ObjectNotFoundError(identity, self.name)
        return found

    def read_span(self, span: Span) -> Iterator[Record]:
        """Read a span and yield the records wanted of it, each checked against its XXH3.

        Raises:
            ObjectNotFoundError: the pack is gone, and no other has the records.
            IntegrityError: a record is damaged.
        """
        try:
            records = self._records(span)
        except _GoneError:
            # Its objects may have been moved to another pack since the span was planned.
            self.index.refresh()
            yield from self._read_moved(self.plan([location.id for location in span.locations]))
        else:
            yield from records

    def _read_moved(self, spans: Sequence[Span]) -> Iterator[Record]:
        for span in spans:
            try:
                records = self._records(span)
            except _GoneError as exc:
                raise ObjectNotFoundError(
                    span.locations[0].id,
                    self.name,
                    hint=f"{pack_key(span.pack)} is gone from there; restore it from a backup, or use another remote",
                ) from exc
            yield from records

    def _records(self, span: Span) -> list[Record]:
        """Read and decode a span, once more if it comes damaged from afar: that may have happened on its way."""
        try:
            return [*self._decode(span, self._read_range(span))]
        except IntegrityError as exc:
            if self.backend.is_local:
                raise
            self.note(f"{exc.message}; reading it once more")
        return [*self._decode(span, self._read_range(span))]

    def _read_range(self, span: Span) -> bytes:
        try:
            return self.backend.read_range(pack_key(span.pack), span.start, span.end - span.start)
        except BackendError as exc:
            if exc.problem is BackendProblem.NOT_FOUND:
                raise _GoneError from exc
            raise

    def _decode(self, span: Span, data: bytes) -> Iterator[Record]:
        where = f"{self.backend.location}/{pack_key(span.pack)}"
        view = memoryview(data)
        for location in span.locations:
            try:
                record = decode_record(view, location.offset - span.start, where)
            except (FormatError, IntegrityError) as exc:
                raise IntegrityError(where, exc.reason, hint=DAMAGE_HINT) from exc
            if record.id != location.id or record.plain_length != location.plain_length:
                copy = f"delete {self.index.path}, which is only a copy" if self.index.path else DAMAGE_HINT
                raise IntegrityError(where, "the index and the pack disagree on what lies where", hint=copy)
            yield record

    def _remember(self, identity: NodeId, plain: bytes) -> None:
        with self._lock:
            if identity not in self._nodes:
                self._nodes[identity] = plain
                self._node_bytes += len(plain)
            while self._node_bytes > NODE_CACHE_BYTES and len(self._nodes) > 1:
                _, dropped = self._nodes.popitem(last=False)
                self._node_bytes -= len(dropped)


def _join(ordered: Sequence[Location], gap: int, longest: int) -> list[Span]:
    spans: list[Span] = []
    run: list[Location] = []
    for location in ordered:
        if run and (
            location.pack != run[0].pack
            or location.offset > run[-1].end + gap
            or location.end - run[0].offset > longest
            or len(run) >= _MOST_RECORDS
        ):
            spans.append(Span(run[0].pack, run[0].offset, run[-1].end, tuple(run)))
            run = []
        run.append(location)
    if run:
        spans.append(Span(run[0].pack, run[0].offset, run[-1].end, tuple(run)))
    return spans
