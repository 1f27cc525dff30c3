"""What a manifest node names: the nodes below it and the chunks, of either kind of tree."""

from dataclasses import dataclass

from dver.objects.entry import FileEntry, unpack_chunks
from dver.objects.ids import Bytes, ChunkId, NodeId
from dver.objects.node import NodeType, decode_chunks_node, decode_entries_node

# [format, type, level, items], each of the first three one byte, after the byte of the array.
_TYPE_AT = 2


@dataclass(frozen=True, slots=True)
class References:
    """The nodes and the chunks that a node names itself, not those that nodes below it name."""

    nodes: frozenset[NodeId]
    chunks: frozenset[ChunkId]


def node_references(encoded: Bytes, where: str) -> References:
    """Return what a node names; FormatError for bytes that are none."""
    if len(encoded) > _TYPE_AT and encoded[_TYPE_AT] == NodeType.CHUNKS:
        part = decode_chunks_node(encoded, where)
        below = frozenset(child for child, _ in part.children)
        return References(below, frozenset(chunk for chunk, _ in unpack_chunks(part.packed, where)))
    node = decode_entries_node(encoded, where)
    nodes = {child.id for child in node.children}
    chunks: set[ChunkId] = set()
    for entry in node.entries:
        if isinstance(entry, FileEntry):
            if entry.chunk_tree is not None:
                nodes.add(entry.chunk_tree)
            chunks.update(chunk for chunk, _ in unpack_chunks(entry.chunks, where))
    return References(frozenset(nodes), frozenset(chunks))
