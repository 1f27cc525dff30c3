"""The manifest: a Merkle tree over a dataset's entries, keyed by path in byte order.

It is a prolly tree: a node ends after an entry whose path's XXH3-64 hits a mask, so the borders depend on the content
alone and two versions share all nodes but those around their differences. The id of the root is the version. A file's
chunk list that is too long for its entry is a tree of the same make, with borders decided by the chunks' ids.

A node names its children by their ids and says what lies below each, and a reader holds them to it. Trees are read
through a `NodeLoader`, so nothing here knows where nodes live; that nodes match their ids is for the loader to check.
`docs/design/formats.md` has the details.
"""

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from dver.errors import FormatError
from dver.objects.entry import (
    DirectoryEntry,
    Entry,
    FileEntry,
    chunks_size,
    counts_as_file,
    entry_size,
    unpack_chunks,
)
from dver.objects.ids import Bytes, ChunkId, NodeId, VersionId
from dver.objects.node import (
    MAX_LEVEL,
    ChunksNode,
    EntriesNode,
    decode_chunks_node,
    decode_entries_node,
    open_prefixes,
)

PREFETCH = 64

NodeLoader: TypeAlias = Callable[[Sequence[NodeId]], Sequence[Bytes]]


@dataclass(frozen=True, slots=True)
class Subtree:
    """A tree of entries as the node above announces it; the reader holds it to that.

    Attributes:
        parent_level: the level of the node above, or `MAX_LEVEL + 1` for a root.
        after: every path in the tree is greater, unless None.
        last_path: the last path in the tree, or None for a root, which has nothing to be held to.
    """

    id: NodeId
    parent_level: int
    after: bytes | None
    last_path: bytes | None


class Manifest:
    """A dataset version, read node by node as needed."""

    def __init__(self, version: VersionId, load: NodeLoader, *, where: str = "manifest") -> None:
        self.version = version
        self.where = where
        self._load = load

    def totals(self) -> tuple[int, int]:
        """Return the numbers of files and of bytes, as the root says."""
        node = self.load_subtrees([self.root()])[0]
        if node.level:
            return sum(c.files for c in node.children), sum(c.size for c in node.children)
        return sum(map(counts_as_file, node.entries)), sum(map(entry_size, node.entries))

    def root(self) -> Subtree:
        """Return the whole tree."""
        return Subtree(NodeId(self.version), MAX_LEVEL + 1, None, None)

    def load_nodes(self, ids: Sequence[NodeId]) -> list[EntriesNode]:
        """Return decoded nodes of the entry tree."""
        return [decode_entries_node(data, self.where) for data in self._load(ids)]

    def load_subtrees(self, subtrees: Sequence[Subtree]) -> list[EntriesNode]:
        """Return the top nodes of `subtrees`; FormatError when one is not what was announced."""
        nodes = self.load_nodes([subtree.id for subtree in subtrees])
        for subtree, node in zip(subtrees, nodes, strict=True):
            self._check_announced(subtree, node)
        return nodes

    def entries(self, prefix: bytes = b"") -> Iterator[Entry]:
        """Yield the entries in path order: all, or `prefix` itself and those below it."""
        if not prefix:
            yield from self._walk(b"", None)
            return
        found = self.get(prefix)
        if found is not None:
            yield found
        # "0" is the byte after "/", so this bounds everything below the folder.
        yield from self._walk(prefix + b"/", prefix + b"0")

    def get(self, path: bytes) -> Entry | None:
        """Return the entry at `path`, or None."""
        return next(self._walk(path, path + b"\0"), None)

    def find(self, paths: Iterable[bytes]) -> dict[bytes, Entry]:
        """Return the entries at `paths`, as far as there are any; only nodes that may have one are read."""
        wanted = sorted(set(paths))
        found: dict[bytes, Entry] = {}
        pending = deque([self.root()]) if wanted else deque()
        while pending:
            batch = [pending.popleft() for _ in range(min(PREFETCH, len(pending)))]
            for subtree, node in zip(batch, self.load_subtrees(batch), strict=True):
                pending.extend(below for below in subtrees_below(subtree, node) if _may_hold(below, wanted))
                low = 0 if subtree.after is None else bisect_right(wanted, subtree.after)
                high = len(wanted) if subtree.last_path is None else bisect_right(wanted, subtree.last_path)
                here = set(wanted[low:high])
                found.update((entry.path, entry) for entry in node.entries if entry.path in here)
        return found

    def chunk_list(self, entry: FileEntry) -> bytes:
        """Return a file's packed chunk list, whatever its length; FormatError if it does not fit the file's size."""
        return b"".join(self._chunk_leaves(entry))

    def chunks(self, entry: FileEntry) -> Iterator[tuple[ChunkId, int]]:
        """Yield the id and length in bytes of each chunk of a file, in order; FormatError as in `chunk_list`."""
        for packed in self._chunk_leaves(entry):
            yield from unpack_chunks(packed, self.where)

    def distinct_chunks(self, entry: FileEntry) -> Iterator[tuple[ChunkId, int]]:
        """Yield the chunks of a file in no order, and those that a part of it repeats as a whole only once.

        However large the file says it is, no more comes than its nodes name: a few of these can stand for exabytes.
        """
        if entry.chunk_tree is None:
            yield from self.chunks(entry)
            return
        for _, node in self.chunk_tree_nodes(entry.chunk_tree):
            yield from unpack_chunks(node.packed, self.where)

    def chunk_tree_nodes(self, root: NodeId) -> Iterator[tuple[NodeId, ChunksNode]]:
        """Yield the nodes of a chunk list's tree with their ids, parents first, each once."""
        seen = {root}
        pending = deque([_ChunkSubtree(root, MAX_LEVEL + 1, None)])
        while pending:
            batch = [pending.popleft() for _ in range(min(PREFETCH, len(pending)))]
            for subtree, node in zip(batch, self._load_chunk_subtrees(batch), strict=True):
                yield subtree.id, node
                for below in _chunk_subtrees(node):
                    if below.id not in seen:
                        seen.add(below.id)
                        pending.append(below)

    def nodes(self, skip: Callable[[NodeId], bool] = lambda _: False) -> Iterator[tuple[NodeId, EntriesNode]]:
        """Yield the entry tree's nodes with their ids, parents first, leaving out the trees that `skip` accepts."""
        pending = deque([self.root()])
        while pending:
            batch = [pending.popleft() for _ in range(min(PREFETCH, len(pending)))]
            batch = [subtree for subtree in batch if not skip(subtree.id)]
            for subtree, node in zip(batch, self.load_subtrees(batch), strict=True):
                yield subtree.id, node
                pending.extend(subtrees_below(subtree, node))

    def _check_announced(self, subtree: Subtree, node: EntriesNode) -> None:
        paths = [child.last_path for child in node.children] or [entry.path for entry in node.entries]
        if subtree.last_path is None:
            # A root with a single child would be a second name for the same entries.
            good = len(paths) > 1 or not node.level
        else:
            good = node.level == subtree.parent_level - 1 and bool(paths) and paths[-1] == subtree.last_path
        if not good or (subtree.after is not None and paths[0] <= subtree.after):
            raise FormatError(self.where, "the nodes of a manifest do not fit together")

    def _walk(self, low: bytes, high: bytes | None) -> Iterator[Entry]:
        """Yield the entries with low <= path < high."""
        prefixes: list[bytes] = []
        for entries in self._leaves([self.root()], low, high):
            paths = [entry.path for entry in entries]
            prefixes = self._check_prefixes(prefixes, paths)
            start = bisect_left(paths, low)
            yield from entries[start : len(paths) if high is None else bisect_left(paths, high)]

    def _leaves(self, subtrees: Sequence[Subtree], low: bytes, high: bytes | None) -> Iterator[tuple[Entry, ...]]:
        """Yield the entries of each leaf that can have paths from `low` up to but not including `high`."""
        for start in range(0, len(subtrees), PREFETCH):
            batch = subtrees[start : start + PREFETCH]
            for subtree, node in zip(batch, self.load_subtrees(batch), strict=True):
                if node.level:
                    yield from self._leaves(_within(subtrees_below(subtree, node), low, high), low, high)
                elif node.entries:
                    yield node.entries

    def _check_prefixes(self, prefixes: Sequence[bytes], paths: Sequence[bytes]) -> list[bytes]:
        """Refuse a path below an entry of an earlier leaf; within one, the decoder has done so.

        `prefixes` are those earlier paths that later ones may begin with; the result is the same for the next leaf.
        """
        still_open = open_prefixes(prefixes, paths[0])
        for prefix in still_open:
            at = bisect_left(paths, prefix + b"/")
            if at < len(paths) and paths[at].startswith(prefix + b"/"):
                raise FormatError(self.where, "a path is both an entry and a folder of others")
        return open_prefixes([*still_open, *paths], paths[-1])

    def _chunk_leaves(self, entry: FileEntry) -> Iterator[bytes]:
        """Yield a file's packed chunk list in pieces; the chunks of all together have the file's size."""
        if entry.chunk_tree is not None:
            yield from self._walk_chunks([_ChunkSubtree(entry.chunk_tree, MAX_LEVEL + 1, entry.size)])
        elif chunks_size(entry.chunks, self.where) != entry.size:
            raise FormatError(self.where, "a file's chunks do not add up to its size")
        elif entry.chunks:
            yield entry.chunks

    def _walk_chunks(self, subtrees: Sequence["_ChunkSubtree"]) -> Iterator[bytes]:
        for start in range(0, len(subtrees), PREFETCH):
            for node in self._load_chunk_subtrees(subtrees[start : start + PREFETCH]):
                if node.level:
                    yield from self._walk_chunks(_chunk_subtrees(node))
                else:
                    yield node.packed

    def _load_chunk_subtrees(self, subtrees: Sequence["_ChunkSubtree"]) -> list[ChunksNode]:
        nodes = [decode_chunks_node(data, self.where) for data in self._load([subtree.id for subtree in subtrees])]
        for subtree, node in zip(subtrees, nodes, strict=True):
            is_root = subtree.parent_level > MAX_LEVEL
            if not is_root and node.level != subtree.parent_level - 1:
                raise FormatError(self.where, "the levels of a chunk list do not fit together")
            if subtree.size is not None and node.size != subtree.size:
                raise FormatError(self.where, "a file's chunks do not add up to its size")
        return nodes


def _may_hold(subtree: Subtree, ordered: Sequence[bytes]) -> bool:
    """Whether one of the paths, which are in order, can lie in a tree."""
    assert subtree.last_path is not None
    first = 0 if subtree.after is None else bisect_right(ordered, subtree.after)
    return first < len(ordered) and ordered[first] <= subtree.last_path


@dataclass(frozen=True, slots=True)
class _ChunkSubtree:
    """A part of a chunk list's tree; `size` is what its chunks must have together, in bytes, or None if unknown."""

    id: NodeId
    parent_level: int
    size: int | None


def _chunk_subtrees(node: ChunksNode) -> list[_ChunkSubtree]:
    return [_ChunkSubtree(child, node.level, size) for child, size in node.children]


def subtrees_below(above: Subtree, node: EntriesNode) -> list[Subtree]:
    """Return the trees below `node`, which is the top node of `above`."""
    subtrees = []
    after = above.after
    for child in node.children:
        subtrees.append(Subtree(child.id, node.level, after, child.last_path))
        after = child.last_path
    return subtrees


def _within(subtrees: Sequence[Subtree], low: bytes, high: bytes | None) -> list[Subtree]:
    """Return the trees that can have paths from `low` up to but not including `high`."""
    wanted = []
    for subtree in subtrees:
        # The first path that can follow another is that with a NUL at its end.
        if high is not None and subtree.after is not None and subtree.after + b"\0" >= high:
            break
        if subtree.last_path is not None and subtree.last_path >= low:
            wanted.append(subtree)
    return wanted


def single_file_entry(manifest: Manifest) -> Entry | None:
    """Return the only entry of a dataset that is one file, or None when the manifest is a directory's."""
    entry = manifest.get(b"")
    return None if isinstance(entry, DirectoryEntry) else entry
