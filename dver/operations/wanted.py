"""What of a version is wanted, and what a store has of that.

A version is walked from its root: nodes first, then the chunks that they name, leaving out the trees below nodes that
the other side has. So the answers cost what is lacking, and not what there is.
"""

from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from dver.database import batches
from dver.errors import ObjectNotFoundError
from dver.objects.entry import Entry, FileEntry, unpack_chunks
from dver.objects.ids import ChunkId, NodeId, ObjectId, VersionId
from dver.objects.manifest import Manifest
from dver.objects.paths import is_within
from dver.storage.index import LOOKUP_BATCH
from dver.storage.store import Store
from dver.workspace.choice import Choice


@dataclass(frozen=True, slots=True)
class Wanted:
    """A version to bring over, or a part of it.

    Attributes:
        part: the path that is wanted, b"" for all.
        choice: what of that is wanted, None for all.
    """

    version: VersionId
    dataset: str
    part: bytes = b""
    choice: Choice | None = None

    @property
    def is_whole(self) -> bool:
        """Whether all of the version is wanted."""
        return not self.part and self.choice is None

    def covers(self, path: bytes) -> bool:
        """Whether a path of the version is wanted."""
        return is_within(path, self.part) and (self.choice is None or self.choice.covers(path))


def can_complete(source: Store, want: Wanted, held: Callable[[Iterable[ObjectId]], AbstractSet[ObjectId]]) -> bool:
    """Whether `source` has the manifest of a whole version, at least its root, and all that the other side lacks of it.

    Args:
        held: returns those of some objects that the other side has, each node with all below it.
    """
    nodes: list[NodeId] = []
    try:
        manifest = source.manifest(want.version)
        manifest.totals()
        chunks = chunks_to_bring(manifest, want, lambda node: bool(held([node])), nodes)
        for batch in batches(chunks, LOOKUP_BATCH):
            absent = {*missing_chunks(source, batch)}
            if absent and not absent <= held(absent):
                return False
    except ObjectNotFoundError:
        return False
    return True


def holds_file(store: Store, entry: FileEntry, manifest: Manifest) -> bool:
    """Whether a store has all chunks of a file."""
    try:
        return not any(missing_chunks(store, (chunk for chunk, _ in manifest.distinct_chunks(entry))))
    except ObjectNotFoundError:
        return False


def holds_wanted(store: Store, want: Wanted) -> bool:
    """Whether a store has the manifest of a version and all chunks of what is wanted of it, and needs no marker."""
    manifest = store.manifest(want.version)

    def chunks() -> Iterator[ChunkId]:
        for entry in manifest.entries():
            if isinstance(entry, FileEntry) and want.covers(entry.path):
                yield from (chunk for chunk, _ in manifest.distinct_chunks(entry))

    try:
        return not any(missing_chunks(store, chunks()))
    except ObjectNotFoundError:
        return False


def missing_chunks(store: Store, chunks: Iterable[ChunkId]) -> Iterator[ChunkId]:
    """Yield those of `chunks` that a store lacks, each once a batch."""
    for batch in batches(chunks, LOOKUP_BATCH):
        present = store.present(batch)
        yield from (chunk for chunk in dict.fromkeys(batch) if chunk not in present)


def chunks_to_bring(
    manifest: Manifest, want: Wanted, is_done: Callable[[NodeId], bool], nodes: list[NodeId]
) -> Iterator[ChunkId]:
    """Yield the chunks that a version needs, and add its nodes to `nodes`, leaving out the trees that are done."""
    walk = manifest.nodes(is_done) if want.is_whole else manifest.nodes()
    for identity, node in walk:
        nodes.append(identity)
        for entry in node.entries:
            if isinstance(entry, FileEntry) and want.covers(entry.path):
                yield from _file_chunks(manifest, entry, is_done, nodes)


def _file_chunks(
    manifest: Manifest, entry: FileEntry, is_done: Callable[[NodeId], bool], nodes: list[NodeId]
) -> Iterator[ChunkId]:
    if entry.chunk_tree is None:
        yield from (chunk for chunk, _ in unpack_chunks(entry.chunks, manifest.where))
    elif not is_done(entry.chunk_tree):
        for identity, node in manifest.chunk_tree_nodes(entry.chunk_tree):
            nodes.append(identity)
            yield from (chunk for chunk, _ in unpack_chunks(node.packed, manifest.where))


def chunks_of(manifest: Manifest, entries: Iterable[Entry]) -> Iterator[ChunkId]:
    """Yield the chunks of those of a version's entries that are files."""
    for entry in entries:
        if isinstance(entry, FileEntry):
            yield from (chunk for chunk, _ in manifest.distinct_chunks(entry))
