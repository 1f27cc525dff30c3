"""Mending a store: what is damaged is set aside, the index made true, and what is missing taken from elsewhere.

The order keeps every instant harmless. Damaged packs are moved first, and never deleted: the next repair finds there
what this one did not come to. Then the index is made true, new files before old ones go; from then on nothing claims
what is not there, so whoever adds or pushes fills it. What can be read in damaged packs is copied into new ones. A
marker goes last, and only if its version could not be made whole: then `fetch` and `push` know that something is gone.
"""

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from dver.database import batches
from dver.errors import (
    BackendError,
    DverError,
    FormatError,
    IntegrityError,
    UnsupportedFormatError,
)
from dver.objects.chunker import ChunkerParams
from dver.objects.ids import IndexId, NodeId, ObjectId, PackId, VersionId
from dver.objects.indexfile import IndexedPack
from dver.objects.pack import Kind, Record, encode_object
from dver.objects.references import node_references
from dver.progress import Task
from dver.storage.audit_findings import Audit, Thing
from dver.storage.audit_map import StoreMap
from dver.storage.audit_pack import readable_records
from dver.storage.cachelock import collecting, lock_path
from dver.storage.description import DESCRIPTION_KEY
from dver.storage.index_files import index_key
from dver.storage.markers import version_key
from dver.storage.open import as_encrypted
from dver.storage.packs import pack_key, read_pack_entries
from dver.storage.quarantine import SetAside, packs_aside, sealed_pack, set_aside, set_aside_sealed
from dver.storage.repair_sources import FilesSource, Source, copied
from dver.storage.store import Store
from dver.storage.writer import StoreWriter

_BATCH = 512
_GROUP = 100_000
_MOST_FOOTERS = 64 * 1024 * 1024


@dataclass(slots=True)
class Mended:
    """What a repair did.

    Attributes:
        aside: keys of what is in quarantine now.
        stuck: keys of damaged packs that could not be moved.
        restored: how many objects came from where.
        trouble: what kept sources from being asked.
        unmarked: versions whose markers were set aside, for something of them is nowhere to be had.
        marked: versions that are marked anew.
        indexes: how many index files were made true.
    """

    aside: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    restored: dict[str, int] = field(default_factory=dict)
    trouble: list[DverError] = field(default_factory=list)
    unmarked: list[VersionId] = field(default_factory=list)
    marked: list[VersionId] = field(default_factory=list)
    indexes: int = 0

    def count(self, source: str, objects: int) -> None:
        """Count objects that came back."""
        if objects:
            self.restored[source] = self.restored.get(source, 0) + objects


class Mender:
    """Mends one store, of which an audit found what is wrong."""

    def __init__(self, store: Store, found: StoreMap, audit: Audit, *, is_whole: bool) -> None:
        """`found` is the audit's map; `is_whole` says that every node in the store must have all below it."""
        self.store = store
        self.done = Mended()
        self._backend = store.backend
        self._found = found
        self._audit = audit
        self._is_whole = is_whole
        self._moved: list[SetAside] = []
        self._footers: dict[PackId, bytes] = {}

    # First: what is there is true

    def clear(self, footer: Callable[[PackId], bytes | None]) -> None:
        """Take what is damaged out of the index and out of the way; `footer` gives a pack's as an index file has it."""
        with self._alone():
            self._note_footers(footer)
            # First of all: in no index and in its place, a damaged pack would look like one that a writer left behind.
            for pack in sorted(self._audit.damaged_packs):
                self._move(pack)
            self._true_indexes(self._bad, frozenset())
            self._list_unlisted()
            self.store.index.start_over()

    def _note_footers(self, footer: Callable[[PackId], bytes | None]) -> None:
        """Keep what index files say of damaged packs, as far as there is room for it, before they are made true."""
        room = _MOST_FOOTERS
        for pack in sorted(self._audit.damaged_packs):
            known = footer(pack)
            if known is not None and len(known) <= room:
                self._footers[pack] = known
                room -= len(known)

    @property
    def _bad(self) -> set[PackId]:
        findings = self._audit.findings
        return {one.pack for one in findings if one.thing is Thing.PACK and one.pack} | self._audit.damaged_packs

    def _alone(self) -> AbstractContextManager[None]:
        # Other stores have no lock, and what is done here is in no one's way there.
        return nullcontext() if lock_path(self._backend) is None else collecting(self.store, self.store.note)

    def _true_indexes(self, gone: Collection[PackId], dropped: Collection[NodeId]) -> None:
        """Write index files anew that list what is not there, without it."""
        listings = {index_key(index): index for index in self._audit.listings}
        # Those that say nothing first: what is written may have the name of one of them.
        for key in sorted(self._audit.damaged_indexes - listings.keys()):
            self._remove(key)
            self.done.indexes += 1
        for key, index in listings.items():
            if dropped or key in self._audit.damaged_indexes or not self._audit.listings[index].isdisjoint(gone):
                self._true_index(index, gone, dropped)

    def _true_index(self, index: IndexId, gone: Collection[PackId], dropped: Collection[NodeId]) -> None:
        listed = self.store.index.read_file(index)
        kept = [self._true_pack(pack, dropped) for pack in listed if pack.id not in gone]
        if kept == listed:
            return
        self._publish([pack for pack in kept if pack.entries])
        self._remove(index_key(index))
        self.done.indexes += 1

    def _true_pack(self, pack: IndexedPack, dropped: Collection[NodeId]) -> IndexedPack:
        size = self._backend.size(pack_key(pack.id))
        entries = pack.entries
        if size is not None and index_is_doubtful(self._audit, pack.id):
            held = set(read_pack_entries(self._backend, pack.id, size))
            entries = tuple(entry for entry in entries if entry in held)
        if dropped:
            entries = tuple(entry for entry in entries if entry.kind is Kind.DATA or entry.id not in dropped)
        return IndexedPack(pack.id, pack.size if size is None else size, entries)

    def _list_unlisted(self) -> None:
        """Index the sound packs that no index file lists, in groups that fit into memory."""
        dropped = self._incomplete_nodes()
        group: list[IndexedPack] = []
        entries = 0
        for pack, size in sorted(self._audit.unlisted_packs.items()):
            held = read_pack_entries(self._backend, pack, size)
            kept = tuple(one for one in held if one.kind is Kind.DATA or one.id not in dropped)
            group.append(IndexedPack(pack, size, kept))
            entries += len(kept)
            if entries > _GROUP:
                self._publish(group)
                group, entries = [], 0
        self._publish(group)

    def _incomplete_nodes(self) -> set[NodeId]:
        return set(self._found.all_incomplete()) if self._is_whole else set()

    def _publish(self, packs: Sequence[IndexedPack]) -> None:
        if packs:
            self.store.index.replace((), (), packs)

    def _remove(self, key: str) -> None:
        """Set something aside that can be made again, or delete it where it cannot even be moved."""
        moved = set_aside(self._backend, key) or set_aside_sealed(self._backend, key)
        if moved is None:
            self._backend.delete(key)
        else:
            self.done.aside.append(moved)

    def _move(self, pack: PackId) -> None:
        size = self._backend.size(pack_key(pack))
        if size is None:
            # Another repair has moved it meanwhile.
            return
        key = pack_key(pack)
        one = SetAside(key, pack, size, self._backend)
        if (moved := set_aside(self._backend, key)) is not None:
            one = SetAside(moved, pack, size, self._backend)
            self.done.aside.append(moved)
        elif (moved := set_aside_sealed(self._backend, key)) is not None:
            # Not all of it opens, and what does still can be read.
            one = sealed_pack(self._backend, moved, pack, size)
            self.done.aside.append(moved)
        else:
            self.done.stuck.append(key)
        if size:
            self._moved.append(one)

    # Second: what is missing comes back

    def restore(
        self, sources: Sequence[Source], files: Sequence[FilesSource], task: Task, gone: Collection[VersionId] = ()
    ) -> None:
        """Copy what can be read of damaged packs, and bring missing objects from other places.

        Versions that are `gone` are looked for too: those that an earlier repair found nothing of.
        """
        self._found.want_lost()
        if self._is_whole:
            self._found.want_all()
        # Of a version of which a repair that was killed left nothing in its place, nothing else names the root.
        self._found.want_below([*self._audit.incomplete, *gone])
        with StoreWriter(self.store) as writer:
            bringer = _Bringer(self._found, writer, self.done, task)
            for pack in self._moved:
                bringer.salvage(self._readable(pack), "the damaged packs", everything=True)
            before = -1
            # Once more for each level of a manifest that comes to light: what it names may be in any of these places.
            while self._found.wants() and sum(self.done.restored.values()) != before:
                before = sum(self.done.restored.values())
                self._take_aside(bringer)
                bringer.bring(sources)
                for one in files:
                    if self._found.wants():
                        one.offer(_FilesSink(bringer, one.name))
            writer.flush()

    def _take_aside(self, bringer: "_Bringer") -> None:
        """Take what is wanted from what earlier repairs set aside."""
        moved = {pack.key for pack in self._moved if pack.backend is self._backend}
        for pack in packs_aside(self._backend):
            if pack.key not in moved:
                bringer.salvage(self._readable(pack), "quarantine", everything=False)

    def _readable(self, pack: SetAside) -> Iterator[Record]:
        return readable_records(pack.backend, pack.key, pack.pack, pack.size, self._footers.get)

    def describe(self, params: ChunkerParams) -> None:
        """Write the store's description anew, where that is what is wrong."""
        if any(finding.thing is Thing.DESCRIPTION for finding in self._audit.findings):
            crypt = as_encrypted(self._backend)
            if crypt is not None:
                crypt.describe_anew()
            if self._backend.size(DESCRIPTION_KEY) is not None:
                self._remove(DESCRIPTION_KEY)
            self.store.prepare(params, again=True)

    # Third: what is said of it is true

    def settle(self, audit: Audit, found: StoreMap, dataset_of: Callable[[VersionId], str]) -> None:
        """Make the markers true, by what an audit says of the store as it is now.

        In a store of whole versions, nodes that still lack something are taken out of the index: nobody is to count on
        them. A version that lacks something loses its marker.
        """
        with self._alone():
            names = {version: dataset_of(version) for version in audit.damaged_markers}
            for version in audit.incomplete:
                self._remove(version_key(version))
                self.done.unmarked.append(version)
            for version in sorted(audit.damaged_markers - set(audit.incomplete)):
                self._remove(version_key(version))
                self.mark(version, names[version])
            dropped = set(found.all_incomplete()) if self._is_whole else set()
            if dropped:
                self._audit = audit
                self._true_indexes((), dropped)
                self.store.index.start_over()

    def mark(self, version: VersionId, dataset: str) -> None:
        """Mark a version that is wholly here."""
        files, size = self.store.manifest(version).totals()
        self.store.mark_version(version, files=files, size=size, dataset=dataset)
        self.done.marked.append(version)


class _Bringer:
    """Brings objects back into a store."""

    def __init__(self, found: StoreMap, writer: StoreWriter, done: Mended, task: Task) -> None:
        self._found = found
        self._writer = writer
        self._done = done
        self._task = task
        self._wave = 0
        self._lock = threading.Lock()

    def salvage(self, records: Iterable[Record], name: str, *, everything: bool) -> None:
        """Take records that are wanted, or all that the store lacks."""
        for batch in batches(map(copied, records), _BATCH):
            wanted = self._found.still_wanted([record.id for record in batch])
            self.take([record for record in batch if everything or record.id in wanted], name)

    def bring(self, sources: Sequence[Source]) -> None:
        """Ask sources for what is wanted, wave by wave: what a node names is known only when the node is there."""
        asked = [*sources]
        while True:
            for batch in self._found.wanted(self._wave):
                self._bring_batch(set(batch), asked)
            if not self._found.has_wave(self._wave + 1):
                return
            self._wave += 1

    def _bring_batch(self, left: set[ObjectId], asked: list[Source]) -> None:
        for source in [*asked]:
            if not left:
                return
            try:
                for records in batches(source.records(left), _BATCH):
                    self.take(records, source.name)
                    left -= {record.id for record in records}
            except UnsupportedFormatError:
                raise
            except BackendError as exc:
                # A place that does not answer keeps no other from being asked.
                self._done.trouble.append(exc)
                asked.remove(source)

    def take(self, records: Sequence[Record], name: str) -> None:
        """Store objects that the store lacks."""
        claimed = self._writer.claim([record.id for record in records])
        fresh = [record for record in records if record.id in claimed]
        self._writer.put(fresh)
        with self._lock:
            self._done.count(name, len(fresh))
        self._task.advance(bytes=sum(len(record.payload) for record in fresh))
        self._found.found([record.id for record in records])
        nodes = {NodeId(record.id): record for record in records if record.kind is Kind.NODE}
        for node in self._found.chased(nodes):
            self._chase(nodes[node])

    def wanted(self, ids: Sequence[ObjectId]) -> set[ObjectId]:
        """Return those of `ids` that are wanted and not found yet."""
        return self._found.still_wanted(ids)

    def _chase(self, record: Record) -> None:
        try:
            references = node_references(record.plain(""), "")
        except (FormatError, IntegrityError):
            return
        self._found.want_next([*references.nodes, *references.chunks], self._wave + 1)


class _FilesSink:
    """Takes from files what is wanted; fits `dver.workspace.ingest.ObjectSink`."""

    def __init__(self, bringer: "_Bringer", name: str) -> None:
        self._bringer = bringer
        self._name = name

    def claim(self, ids: Sequence[ObjectId]) -> set[ObjectId]:
        """Return those of `ids` that are wanted."""
        return self._bringer.wanted(ids)

    def put(self, records: Sequence[Record]) -> None:
        """Store objects that were claimed."""
        self._bringer.take(records, self._name)

    def put_node(self, identity: NodeId, encoded: bytes) -> None:
        """Store a manifest node that is wanted."""
        if self.claim([identity]):
            self.put([encode_object(Kind.NODE, identity, encoded)])


def index_is_doubtful(audit: Audit, pack: PackId) -> bool:
    """Whether an index file says of a pack what is not so."""
    return any(one.pack == pack and one.thing is Thing.INDEX for one in audit.findings)
