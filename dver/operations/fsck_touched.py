"""What damage means to people: the datasets, versions and paths that need what is lost.

Manifests are read from the store that was audited, as its map says, and where that lacks a node from another store that
has it. A part of a version that was found to need nothing of what is lost is not looked at again for other versions.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from dver.errors import DverError, FormatError
from dver.objects.entry import FileEntry, unpack_chunks
from dver.objects.ids import Bytes, NodeId, ObjectId, PackId, VersionId
from dver.objects.node import decode_chunks_node, decode_entries_node
from dver.operations.datasets import decode_path
from dver.storage.audit_map import StoreMap
from dver.storage.audit_nodes import load_nodes
from dver.storage.store import Store

MOST_PATHS = 1000


@dataclass(slots=True)
class Needing:
    """What of one version needs something that is lost.

    Attributes:
        paths: of files in the version, some of them where there are very many; "" for the file that is all of it.
        count: how many files there are.
        unknown: whether a part of its manifest is lost and nowhere else, so that more files may be touched.
    """

    paths: list[str] = field(default_factory=list)
    count: int = 0
    unknown: bool = False


@dataclass(slots=True)
class Touched:
    """Which versions need what was lost with a pack, or is in no pack that is known (None)."""

    by_pack: dict[PackId | None, dict[VersionId, Needing]] = field(default_factory=dict)

    def at(self, pack: PackId | None) -> dict[VersionId, Needing]:
        """Return the versions that need what was lost with a pack."""
        return self.by_pack.get(pack, {})

    def versions(self) -> set[VersionId]:
        """Return all versions that need something that is lost."""
        return {version for needing in self.by_pack.values() for version in needing}


def find_touched(
    store: Store, found: StoreMap, versions: Iterable[VersionId], marked: Iterable[VersionId], others: Sequence[Store]
) -> Touched:
    """Return what of some versions needs what is lost.

    Of `marked` versions all is needed; of others, a store may lack parts that it never had, and only what was lost
    with a pack counts.
    """
    whole = set(marked)
    result = Touched()
    # One memory for each kind: what is absent counts for the one and not for the other.
    walkers = {is_whole: _Walker(store, found, others, result, is_whole=is_whole) for is_whole in (True, False)}
    for version in sorted(set(versions)):
        walkers[version in whole].walk(version)
    return result


class _Walker:
    def __init__(
        self, store: Store, found: StoreMap, others: Sequence[Store], result: Touched, *, is_whole: bool
    ) -> None:
        self._store = store
        self._found = found
        self._loaders: list[Callable[[Sequence[NodeId]], dict[NodeId, Bytes]]] = [_loader(one) for one in others]
        self._result = result
        self._is_whole = is_whole
        self._clean: set[NodeId] = set()
        self._version = VersionId(b"")

    def walk(self, version: VersionId) -> None:
        """Note what a version needs of what is lost."""
        self._version = version
        self._walk_entries(NodeId(version))

    def _walk_entries(self, node: NodeId) -> bool:
        """Return whether a tree of entries needs nothing of what is lost."""
        if node in self._clean:
            return True
        is_clean = self._note([node], None)
        plain = self._load(node)
        if plain is None:
            return is_clean
        decoded = None
        with suppress(FormatError):
            decoded = decode_entries_node(plain, "manifest")
        if decoded is None:
            return False
        for child in decoded.children:
            is_clean &= self._walk_entries(child.id)
        files = [entry for entry in decoded.entries if isinstance(entry, FileEntry)]
        is_clean &= self._walk_files(files)
        if is_clean:
            self._clean.add(node)
        return is_clean

    def _walk_files(self, files: Sequence[FileEntry]) -> bool:
        # Most often all is there, and then one question for all files of a node tells so.
        inline = {chunk for entry in files for chunk, _ in unpack_chunks(entry.chunks, "manifest")}
        lost = self._lost(inline)
        is_clean = True
        for entry in files:
            gone: set[ObjectId] = set()
            if lost:
                gone.update(chunk for chunk, _ in unpack_chunks(entry.chunks, "manifest") if chunk in lost)
            if entry.chunk_tree is not None:
                gone |= self._lost_in_tree(entry.chunk_tree)
            if gone:
                is_clean = False
                self._note_path(gone, decode_path(entry.path))
        return is_clean

    def _lost_in_tree(self, root: NodeId) -> set[ObjectId]:
        """Return what is lost of a long chunk list, and of the chunks in it."""
        if root in self._clean:
            return set()
        gone: set[ObjectId] = set(self._lost([root]))
        plain = self._load(root)
        if plain is not None:
            with suppress(FormatError):
                node = decode_chunks_node(plain, "manifest")
                for child, _ in node.children:
                    gone |= self._lost_in_tree(child)
                gone |= self._lost({chunk for chunk, _ in unpack_chunks(node.packed, "manifest")})
        if not gone:
            self._clean.add(root)
        return gone

    def _load(self, node: NodeId) -> Bytes | None:
        here = load_nodes(self._store, self._found, [node])
        if node in here:
            return here[node]
        for loader in self._loaders:
            if node in (there := loader([node])):
                return there[node]
        return None

    def _lost(self, ids: Iterable[ObjectId]) -> set[ObjectId]:
        asked = set(ids)
        absent = asked - self._found.present(asked)
        if not absent or self._is_whole:
            return absent
        return self._found.lost_among(absent)

    def _note(self, ids: Sequence[ObjectId], path: str | None) -> bool:
        """Note that a manifest node is lost; return whether it is not."""
        lost = self._lost(ids)
        for needing in self._needing(lost):
            needing.unknown = True
        return not lost

    def _note_path(self, lost: set[ObjectId], path: str) -> None:
        for needing in self._needing(lost):
            needing.count += 1
            if len(needing.paths) < MOST_PATHS:
                needing.paths.append(path)

    def _needing(self, lost: set[ObjectId]) -> Iterator[Needing]:
        if not lost:
            return
        packs: set[PackId | None] = {*self._found.packs_with_lost(lost)}
        if self._found.lost_among(lost) != lost:
            packs.add(None)
        for pack in packs:
            yield self._result.by_pack.setdefault(pack, {}).setdefault(self._version, Needing())


def _loader(store: Store) -> Callable[[Sequence[NodeId]], dict[NodeId, Bytes]]:
    def load(ids: Sequence[NodeId]) -> dict[NodeId, Bytes]:
        try:
            here = [one for one in ids if one in store.present(ids)]
            return dict(zip(here, store.load_nodes(here), strict=True)) if here else {}
        except DverError:
            # It is only asked for the names of what is touched.
            return {}

    return load
