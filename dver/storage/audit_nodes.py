"""Reading all manifest nodes of a store: each must match its id, and what it names is noted in the map.

Nodes are read in the order in which they lie in packs, each once, however many versions share them. Whether a version
has all that it needs follows from that without following any version from its root.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from dver.errors import BackendError, BackendProblem, DverError, FormatError, IntegrityError, UnsupportedFormatError
from dver.objects.ids import Bytes, NodeId, PackId, VersionId
from dver.objects.manifest import Manifest
from dver.objects.pack import decode_record
from dver.objects.references import References, node_references
from dver.progress import Task
from dver.storage.audit_map import NodePlace, StoreMap
from dver.storage.audit_pack import is_disk_failure
from dver.storage.backend import Backend
from dver.storage.packs import pack_key
from dver.storage.store import Store
from dver.workers import Workers

_BATCH = 256


@dataclass(slots=True)
class NodesRead:
    """What reading the nodes brought to light.

    Attributes:
        count: how many nodes there are, copies included.
        damaged: packs with nodes that are not what they should be.
        malformed: nodes that match their ids and yet are none.
        totals: the numbers of files and bytes of those versions that were asked for.
        vanished: whether a pack went away while it was read.
    """

    count: int = 0
    damaged: set[PackId] = field(default_factory=set)
    malformed: list[NodeId] = field(default_factory=list)
    totals: dict[VersionId, tuple[int, int]] = field(default_factory=dict)
    vanished: bool = False


@dataclass(frozen=True, slots=True)
class _Node:
    """One node that was read; `references` is None for one that is damaged."""

    place: NodePlace
    references: References | None
    malformed: bool = False
    totals: tuple[int, int] | None = None


def read_nodes(
    store: Store,
    found: StoreMap,
    versions: set[VersionId],
    workers: Workers,
    task: Task,
    *,
    nearer: Store | None = None,
) -> NodesRead:
    """Read all nodes of a store, from a store that is nearer where that has them, and note what they name."""
    result = NodesRead()
    reader = _Reader(store, versions, nearer)
    runs = (workers.executor.submit(reader.read, run) for run in found.nodes())
    for run in workers.in_order(runs):
        if run is None:
            result.vanished = True
            continue
        named: dict[NodeId, References] = {}
        for node in run:
            _take(node, result, named, found)
        found.connect(named)
        result.count += len(run)
        task.advance(files=len(run))
    return result


def _take(node: _Node, result: NodesRead, named: dict[NodeId, References], found: StoreMap) -> None:
    if node.references is None:
        result.damaged.add(node.place.pack)
        found.spoil_node(node.place)
        return
    named[node.place.id] = node.references
    if node.malformed:
        result.malformed.append(node.place.id)
    if node.totals is not None:
        result.totals[VersionId(node.place.id)] = node.totals


def load_nodes(store: Store, found: StoreMap, ids: Sequence[NodeId]) -> dict[NodeId, bytes]:
    """Return those of some nodes that a store has and that match their ids, by what a map says of it."""
    loaded: dict[NodeId, bytes] = {}
    for place in found.places(ids).values():
        try:
            data = _read_run(store.backend, [place])
        except BackendError as exc:
            if exc.problem is BackendProblem.NOT_FOUND or is_disk_failure(store.backend, exc):
                continue
            raise
        except IntegrityError:
            continue
        plain = _plain(data, place, place.offset, store.name)
        if plain is not None:
            loaded[place.id] = plain
    return loaded


def packs_below(store: Store, found: StoreMap, versions: Iterable[VersionId]) -> set[PackId]:
    """Return the packs in which some versions have something."""
    packs: set[PackId] = set()
    seen: set[NodeId] = set()
    pending = [NodeId(version) for version in versions]
    while pending:
        batch = [node for node in dict.fromkeys(pending[-_BATCH:]) if node not in seen]
        del pending[-_BATCH:]
        seen.update(batch)
        packs |= found.packs_of(batch)
        for plain in load_nodes(store, found, batch).values():
            # One that is malformed is found when all nodes are read.
            with suppress(FormatError):
                references = node_references(plain, store.name)
                packs |= found.packs_of(references.chunks)
                pending.extend(references.nodes)
    return packs


class _Reader:
    """Reads runs of nodes, from several threads."""

    def __init__(self, store: Store, versions: set[VersionId], nearer: Store | None) -> None:
        self._store = store
        self._versions = versions
        self._nearer = nearer

    def read(self, run: Sequence[NodePlace]) -> list[_Node] | None:
        """Return the nodes of a run in one pack; None where the pack is gone."""
        near = self._near(run)
        if near is not None:
            return [self._decode(place, near[place.id]) for place in run]
        where = f"{self._store.backend.location}/{pack_key(run[0].pack)}"
        try:
            plains = self._plains(run, where)
            if None in plains and not self._store.backend.is_local:
                # What comes from afar may have been damaged on its way.
                plains = self._plains(run, where)
        except BackendError as exc:
            if exc.problem is BackendProblem.NOT_FOUND:
                return None
            if not is_disk_failure(self._store.backend, exc):
                raise
            return self._read_singly(run)
        except IntegrityError:
            return self._read_singly(run)
        return [self._decode(place, plain) for place, plain in zip(run, plains, strict=True)]

    def _plains(self, run: Sequence[NodePlace], where: str) -> list[Bytes | None]:
        data = _read_run(self._store.backend, run)
        return [_plain(data, place, run[0].offset, where) for place in run]

    def _read_singly(self, run: Sequence[NodePlace]) -> list[_Node] | None:
        """Return the nodes of a run of which not all bytes can be read."""
        if len(run) == 1:
            return [_Node(run[0], None)]
        nodes: list[_Node] = []
        for place in run:
            nodes += self.read([place]) or []
        return nodes

    def _near(self, run: Sequence[NodePlace]) -> Mapping[NodeId, Bytes] | None:
        if self._nearer is None:
            return None
        ids = [place.id for place in run]
        try:
            held = self._nearer.index.located(ids)
            if len(held) < len(set(ids)):
                return None
            return dict(zip(ids, self._nearer.load_nodes(ids), strict=True))
        except UnsupportedFormatError:
            raise
        except DverError:
            # What is wrong with the nearer store says nothing of this one.
            return None

    def _decode(self, place: NodePlace, plain: Bytes | None) -> _Node:
        if plain is None:
            return _Node(place, None)
        where = self._store.name
        try:
            references = node_references(plain, where)
            totals = None
            if VersionId(place.id) in self._versions:
                totals = Manifest(VersionId(place.id), lambda _: [plain], where=where).totals()
        except UnsupportedFormatError:
            raise
        except FormatError:
            return _Node(place, References(frozenset(), frozenset()), malformed=True)
        return _Node(place, references, totals=totals)


def _read_run(backend: Backend, run: Sequence[NodePlace]) -> bytes:
    start = run[0].offset
    span = (start, run[-1].end - start)
    try:
        return backend.read_range(pack_key(run[0].pack), *span)
    except IntegrityError:
        # An encrypted store answers so, also to what was damaged on its way.
        if backend.is_local:
            raise
        return backend.read_range(pack_key(run[0].pack), *span)


def _plain(data: bytes, place: NodePlace, base: int, where: str) -> bytes | None:
    try:
        record = decode_record(data, place.offset - base, where)
        return bytes(record.verified(where)) if record.id == place.id else None
    except (FormatError, IntegrityError):
        return None
