"""The manifest that the working files of a dataset would have, streamed from what is known and what is new.

`add` stores what is new; `diff` and the safety checks of `checkout` only compute ids, through a sink that keeps
nothing.
"""

import os
from collections.abc import Iterator, Mapping, Sequence

from dver.errors import ObjectNotFoundError, PathError
from dver.objects.entry import Entry
from dver.objects.ids import Bytes, NodeId, ObjectId, VersionId
from dver.objects.manifest import Manifest, ManifestBuilder
from dver.objects.pack import Record
from dver.progress import Task
from dver.repo import Repo
from dver.workspace.ignore import IgnoreRules
from dver.workspace.ingest import Ingested, Ingester, ObjectSink, Source
from dver.workspace.statcache import Base, Row, is_trusted
from dver.workspace.walk import FileType, WalkItem, walk_dataset


class NodesOnly:
    """A sink that keeps manifest nodes in memory and stores no chunks: for ids without side effects."""

    def __init__(self) -> None:
        self.nodes: dict[NodeId, bytes] = {}

    def claim(self, ids: Sequence[ObjectId]) -> set[ObjectId]:
        """Claim nothing, so that nothing is compressed or put."""
        return set()

    def put(self, records: Sequence[Record]) -> None:
        """Take no records; none are claimed."""

    def put_node(self, identity: NodeId, encoded: bytes) -> None:
        """Keep a node."""
        self.nodes[identity] = encoded


def working_entries(
    repo: Repo, dataset: str, base: Base | None, rows: Mapping[bytes, Row], sink: ObjectSink, task: Task
) -> Iterator[Ingested]:
    """Yield the entries of a dataset's working files in path order; files that are as in the base are not read.

    `rows` are the stat cache's rows for the base.

    Raises:
        PathError: something in the dataset cannot be stored, such as a socket or a nested git repository.
    """
    root = os.fsencode(repo.root / dataset)
    walked = walk_dataset(root, IgnoreRules.for_dataset(repo.root, dataset))
    ingester = Ingester(root, sink, repo.chunker, repo.workers, task)
    return ingester.run(_merge(walked, _base_entries(repo, base), rows, base, task))


def working_manifest(repo: Repo, dataset: str, base: Base | None, task: Task) -> Manifest:
    """Return the manifest of the working files as they are now; nothing is stored."""
    sink = NodesOnly()
    builder = ManifestBuilder(sink.put_node)
    rows = repo.stat_cache.rows(dataset) if base is not None else {}
    for ingested in working_entries(repo, dataset, base, rows, sink, task):
        builder.add(ingested.entry)
    return in_memory_manifest(repo, builder.finish().version, sink.nodes, dataset)


def in_memory_manifest(repo: Repo, version: VersionId, nodes: Mapping[NodeId, bytes], dataset: str) -> Manifest:
    """Return a manifest some of whose nodes are in `nodes` and the rest in the cache."""

    def load(ids: Sequence[NodeId]) -> Sequence[Bytes]:
        return [nodes[identity] if identity in nodes else repo.cache.load_nodes([identity])[0] for identity in ids]

    return Manifest(version, load, where=f"working files of {dataset}")


def _base_entries(repo: Repo, base: Base | None) -> Iterator[Entry]:
    if base is None:
        return iter(())
    try:
        manifest = repo.cache.manifest(base.version)
        manifest.totals()
    except ObjectNotFoundError:
        if base.parts is not None:
            raise
        return iter(())
    return manifest.entries()


def _merge(
    walked: Iterator[WalkItem], known: Iterator[Entry], rows: Mapping[bytes, Row], base: Base | None, task: Task
) -> Iterator[Source]:
    """Yield what is on disk in order: entries where they are known to hold, walked items where not.

    Entries of a partly present dataset that were never checked out are kept.
    """
    entry = next(known, None)
    partial = base is not None and base.parts is not None
    for item in walked:
        check_storable(item)
        while entry is not None and entry.path < item.path:
            if partial and entry.path not in rows:
                yield entry
            entry = next(known, None)
        if entry is not None and entry.path == item.path:
            row = rows.get(item.path)
            if row is not None and not row.differs and is_trusted(row, item.type, item.stat):
                yield entry
            else:
                yield _expected(item, task)
            entry = next(known, None)
        else:
            yield _expected(item, task)
    while entry is not None:
        if partial and entry.path not in rows:
            yield entry
        entry = next(known, None)


def _expected(item: WalkItem, task: Task) -> WalkItem:
    task.expect(files=1, bytes=item.stat.st_size if item.type is FileType.FILE else 0)
    return item


def check_storable(item: WalkItem) -> None:
    """Raise PathError for what no dataset can hold."""
    shown = os.fsdecode(item.path)
    if item.type is FileType.OTHER:
        raise PathError(shown, "is a socket, device or named pipe", hint="remove it, or name it in .dverignore")
    if any(part.lower() == b".git" for part in item.path.split(b"/")):
        raise PathError(
            shown, "belongs to a git repository inside the dataset", hint="name it in .dverignore, or move it away"
        )
