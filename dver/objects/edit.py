"""A manifest with some entries changed, made without reading what the change leaves as it is.

Nodes on the way to a changed path are read and built anew. All others are taken over by their ids, as soon as the
builder stands where it stood when they were built. What comes out is the same, byte for byte, as if all entries had
been given to a builder, because content alone decides where nodes end.
"""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from dver.errors import FormatError
from dver.objects.builder import ManifestBuilder, NodeSink, Summary
from dver.objects.entry import Entry
from dver.objects.ids import NodeId, VersionId
from dver.objects.manifest import PREFETCH, Manifest, Subtree, subtrees_below
from dver.objects.node import Child, EntriesNode
from dver.objects.paths import parents

_KEPT_NODES = 256


def edit_manifest(manifest: Manifest, changes: Mapping[bytes, Entry | None], sink: NodeSink) -> Summary:
    """Return the version and totals of a manifest in which paths have other entries, or none; new nodes go to `sink`.

    Who has looked at the manifest through an `EntryReader` gives that, so that its nodes are not decoded again.

    Raises:
        FormatError: a path would be both an entry and a folder of others.
    """
    reader = manifest if isinstance(manifest, EntryReader) else EntryReader(manifest)
    check_folders(reader, changes)
    return _Edit(reader, changes, sink).run()


def check_folders(manifest: Manifest, changes: Mapping[bytes, Entry | None]) -> None:
    """Raise FormatError if with these changes a path would be both an entry and a folder of others."""
    clash = next(find_clashes(manifest, changes), None)
    if clash is not None:
        raise FormatError(manifest.where, f"{clash!r} would be both an entry and a folder of others")


def find_clashes(manifest: Manifest, changes: Mapping[bytes, Entry | None]) -> Iterator[bytes]:
    """Yield the paths that would be both an entry and a folder of others with these changes."""
    known: dict[bytes, bool] = {}

    def stays(path: bytes) -> bool:
        if path not in known:
            known[path] = (changes[path] if path in changes else manifest.get(path)) is not None
        return known[path]

    for path, entry in sorted(changes.items(), key=_path_of):
        if entry is None:
            continue
        yield from (parent for parent in parents(path) if stays(parent))
        below = (one.path for one in manifest.entries(path) if one.path != path)
        if path and any(one not in changes for one in below):
            yield path


def _path_of(change: tuple[bytes, Entry | None]) -> bytes:
    return change[0]


class EntryReader(Manifest):
    """The entries of a manifest with the nodes read last at hand, as lookups of neighbouring paths come back to them.

    It reads no chunk lists.
    """

    def __init__(self, manifest: Manifest) -> None:
        super().__init__(manifest.version, lambda _ids: (), where=manifest.where)
        self._manifest = manifest
        self._kept: OrderedDict[NodeId, EntriesNode] = OrderedDict()

    def load_nodes(self, ids: Sequence[NodeId]) -> list[EntriesNode]:
        """Return decoded nodes of the entry tree."""
        absent = [identity for identity in ids if identity not in self._kept]
        fresh = dict(zip(absent, self._manifest.load_nodes(absent), strict=True)) if absent else {}
        found = [fresh[identity] if identity in fresh else self._kept[identity] for identity in ids]
        self._kept.update(fresh)
        for identity in ids:
            self._kept.move_to_end(identity)
        for identity in list(islice(self._kept, max(0, len(self._kept) - _KEPT_NODES))):
            del self._kept[identity]
        return found


class _Edit:
    """One edit: goes through the old tree in order, and feeds the builder entries and whole subtrees."""

    def __init__(self, manifest: Manifest, changes: Mapping[bytes, Entry | None], sink: NodeSink) -> None:
        self._manifest = manifest
        self._paths = sorted(changes)
        self._changes = changes
        self._at = 0
        self._builder = ManifestBuilder(sink)
        self._taken: set[NodeId] = set()

    def run(self) -> Summary:
        root = self._manifest.root()
        self._go_down(root, self._manifest.load_subtrees([root])[0], is_last=True)
        summary = self._builder.finish()
        return Summary(self._true_root(summary.version), summary.files, summary.size)

    def _true_root(self, version: VersionId) -> VersionId:
        """Return the top of what was built: a node that was taken over may have but one child, and be no root."""
        while NodeId(version) in self._taken:
            (node,) = self._manifest.load_nodes([NodeId(version)])
            if len(node.children) != 1:
                break
            self._taken.add(node.children[0].id)
            version = VersionId(node.children[0].id)
        return version

    def _go_down(self, above: Subtree, node: EntriesNode, *, is_last: bool) -> None:
        """Go through a node, with the changes up to its last path; those behind it belong to the last node."""
        if not node.level:
            self._merge(node.entries, is_last=is_last)
            return
        subtrees = subtrees_below(above, node)
        for start in range(0, len(subtrees), PREFETCH):
            batch = subtrees[start : start + PREFETCH]
            touched = [one for one in batch if self._touches(one)]
            nodes = dict(zip((one.id for one in touched), self._manifest.load_subtrees(touched), strict=True))
            for at, subtree in enumerate(batch, start):
                ends_level = is_last and at == len(subtrees) - 1
                if self._take(subtree, node.children[at], node.level - 1, is_last=ends_level):
                    continue
                loaded = nodes.get(subtree.id) or self._manifest.load_subtrees([subtree])[0]
                self._go_down(subtree, loaded, is_last=ends_level)

    def _touches(self, subtree: Subtree) -> bool:
        """Whether a change lies within a subtree."""
        assert subtree.last_path is not None
        first = 0 if subtree.after is None else bisect_right(self._paths, subtree.after)
        return first < bisect_right(self._paths, subtree.last_path)

    def _take(self, subtree: Subtree, child: Child, level: int, *, is_last: bool) -> bool:
        # The last node of a level may have ended for want of more, and would not do so where more follows.
        if self._touches(subtree) or (is_last and self._at < len(self._paths)):
            return False
        if not self._builder.take(level, child):
            return False
        self._taken.add(child.id)
        return True

    def _merge(self, entries: Sequence[Entry], *, is_last: bool) -> None:
        for entry in entries:
            self._feed_changes(entry.path)
            if self._at < len(self._paths) and self._paths[self._at] == entry.path:
                self._feed_change()
            else:
                self._builder.add(entry)
        if is_last:
            self._feed_changes(None)

    def _feed_changes(self, before: bytes | None) -> None:
        while self._at < len(self._paths) and (before is None or self._paths[self._at] < before):
            self._feed_change()

    def _feed_change(self) -> None:
        entry = self._changes[self._paths[self._at]]
        self._at += 1
        if entry is not None:
            self._builder.add(entry)
