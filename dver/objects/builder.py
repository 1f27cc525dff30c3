"""Building a manifest: entries in, finished nodes out, with borders that the content alone decides.

Entries come in byte order of their paths. A node ends after an item whose XXH3-64 hits a mask, so two versions share
all nodes but those around their differences, whatever history led to them. What readers would refuse is refused here,
so that it is never stored. `docs/design/formats.md` has the rules.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from dver.errors import FormatError
from dver.objects.entry import (
    CHUNK_REF_LENGTH,
    INLINE_CHUNKS,
    MAX_SIZE,
    Entry,
    FileEntry,
    LinkEntry,
    check_entry,
    counts_as_file,
    encode_entry,
    entry_size,
    unpack_chunks,
)
from dver.objects.ids import ID_LENGTH, NodeId, VersionId, checksum, node_id
from dver.objects.node import (
    MAX_ITEMS,
    MAX_LEVEL,
    MAX_NODE_BYTES,
    Child,
    NodeType,
    encode_node,
    open_prefixes,
    pack_chunk_child,
)

SPLIT_MASK = 511

_ENTRY_WEIGHT = 16
_CHILD_WEIGHT = 48
_SECOND = 2
_WHERE = "manifest"

NodeSink: TypeAlias = Callable[[NodeId, bytes], None]


@dataclass(frozen=True, slots=True)
class Summary:
    """A built manifest: its version, and its numbers of files and bytes."""

    version: VersionId
    files: int
    size: int


class _Level:
    """The open node at one level of a tree under construction."""

    def __init__(self, level: int) -> None:
        self.level = level
        self.items: list[list[object]] = []
        self.bytes = 0
        self.files = 0
        self.size = 0
        self.last_path = b""
        self.emitted = 0
        self.first_child: Child | None = None


class ManifestBuilder:
    """Builds a manifest from entries given in byte order of their paths, handing finished nodes to `sink`."""

    def __init__(self, sink: NodeSink) -> None:
        self._sink = sink
        self._levels = [_Level(0)]
        self._previous: bytes | None = None
        self._prefixes: list[bytes] = []

    def add(self, entry: Entry) -> None:
        """Append an entry; its path must follow the one before.

        Raises:
            FormatError: readers would refuse the entry, or refuse it after the others.
        """
        check_entry(entry, _WHERE)
        self._check_place(entry.path)
        self._append(0, encode_entry(entry), entry.path, _weight(entry), int(counts_as_file(entry)), entry_size(entry))

    def take(self, level: int, child: Child) -> bool:
        """Append a node of another manifest with all below it, and return whether the same would have been built here.

        The caller knows that the node would end where it does: something follows it there, or nothing here.
        """
        while len(self._levels) <= level:
            self._levels.append(_Level(len(self._levels)))
        below = self._levels[:level]
        # A single node is kept back, and so would be the first in what the level above has open.
        if self._levels[level].items or any(one.items or one.emitted == 1 for one in below):
            return False
        for one in below:
            if not one.emitted:
                # At least as many as make it sure that the root is none of them, unless the node taken is alone.
                one.first_child, one.emitted = child, _SECOND
        self._previous, self._prefixes = child.last_path, [child.last_path]
        self._promote(self._levels[level], child)
        return True

    def finish(self) -> Summary:
        """Close all open nodes and return the root's version and totals."""
        depth = 0
        while True:
            level = self._levels[depth]
            if level.items or not level.emitted:
                self._promote(level, self._close(level))
            root = level.first_child
            if level.emitted == 1 and root is not None:
                return Summary(VersionId(root.id), root.files, root.size)
            depth += 1

    def _check_place(self, path: bytes) -> None:
        previous, self._previous = self._previous, path
        if previous is not None and path <= previous:
            raise FormatError(_WHERE, f"paths out of order: {path!r} after {previous!r}")
        if previous == b"":
            raise FormatError(_WHERE, "the entry of a dataset that is one file must be alone")
        self._prefixes = open_prefixes(self._prefixes, path)
        if self._prefixes and any(path.startswith(b"/", len(prefix)) for prefix in self._prefixes):
            raise FormatError(_WHERE, f"{path!r} lies below an entry that is no folder")
        self._prefixes.append(path)

    def _append(self, depth: int, item: list[object], path: bytes, weight: int, files: int, size: int) -> None:
        level = self._levels[depth]
        level.items.append(item)
        level.bytes += weight
        level.files += files
        level.size += size
        level.last_path = path
        if (
            not checksum(path, seed=depth) & SPLIT_MASK
            or len(level.items) >= MAX_ITEMS
            or level.bytes >= MAX_NODE_BYTES
        ):
            self._promote(level, self._close(level))

    def _close(self, level: _Level) -> Child:
        if level.size > MAX_SIZE or level.level > MAX_LEVEL:
            raise FormatError(_WHERE, "the dataset is too large")
        encoded = encode_node(NodeType.ENTRIES, level.level, level.items)
        identity = node_id(encoded)
        self._sink(identity, encoded)
        child = Child(level.last_path, identity, level.files, level.size)
        level.items = []
        level.bytes = level.files = level.size = 0
        return child

    def _promote(self, level: _Level, child: Child) -> None:
        """Give a finished node to the level above, once it is known that there is one: a single node is the root."""
        level.emitted += 1
        if level.first_child is None:
            level.first_child = child
            return
        if level.emitted == _SECOND:
            self._append_child(level.level + 1, level.first_child)
        self._append_child(level.level + 1, child)

    def _append_child(self, depth: int, child: Child) -> None:
        if depth == len(self._levels):
            self._levels.append(_Level(depth))
        item: list[object] = [child.last_path, child.id, child.files, child.size]
        self._append(depth, item, child.last_path, len(child.last_path) + _CHILD_WEIGHT, child.files, child.size)


def _weight(entry: Entry) -> int:
    """Return about how many bytes an entry takes in a node; part of the format, as it decides where nodes end."""
    content = 0
    if isinstance(entry, FileEntry):
        content = len(entry.chunks)
    elif isinstance(entry, LinkEntry):
        content = len(entry.target)
    return _ENTRY_WEIGHT + len(entry.path) + content


def build_manifest(entries: Iterable[Entry], sink: NodeSink) -> Summary:
    """Build the manifest of `entries`, in byte order of their paths, and return its version and totals."""
    builder = ManifestBuilder(sink)
    for entry in entries:
        builder.add(entry)
    return builder.finish()


def make_file_entry(path: bytes, size: int, executable: bool, packed: bytes, sink: NodeSink) -> FileEntry:
    """Return the entry of a file with that packed chunk list, building a tree for the list where it is long."""
    if len(packed) <= INLINE_CHUNKS * CHUNK_REF_LENGTH:
        return FileEntry(path, size, executable, packed)
    return FileEntry(path, size, executable, b"", _build_chunk_tree(packed, sink))


def _build_chunk_tree(packed: bytes, sink: NodeSink) -> NodeId:
    lengths = [length for _, length in unpack_chunks(packed, "chunk list")]
    refs = [(packed[at * CHUNK_REF_LENGTH : (at + 1) * CHUNK_REF_LENGTH], n) for at, n in enumerate(lengths)]
    level = 0
    while True:
        parents: list[tuple[bytes, int]] = []
        start = 0
        for end in _borders(refs, level):
            encoded = encode_node(NodeType.CHUNKS, level, b"".join(ref for ref, _ in refs[start:end]))
            identity = node_id(encoded)
            sink(identity, encoded)
            size = sum(length for _, length in refs[start:end])
            parents.append((pack_chunk_child(identity, size), size))
            start = end
        if len(parents) == 1:
            return NodeId(parents[0][0][:ID_LENGTH])
        refs = parents
        level += 1


def _borders(refs: Sequence[tuple[bytes, int]], level: int) -> Iterator[int]:
    """Yield the end of each node over `refs`, whose first 32 bytes decide."""
    start = 0
    for at, (ref, _) in enumerate(refs, 1):
        if not checksum(ref[:ID_LENGTH], seed=level) & SPLIT_MASK or at - start >= MAX_ITEMS or at == len(refs):
            yield at
            start = at
