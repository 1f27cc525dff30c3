"""The manifest that the working files of a dataset would have, streamed from what is known and what is new.

`add` stores what is new; `diff` and the safety checks of `checkout` only compute ids, through a sink that keeps
nothing.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from dver.errors import VersionNotFoundError
from dver.objects.entry import Entry
from dver.objects.ids import Bytes, NodeId, ObjectId, VersionId
from dver.objects.manifest import Manifest, ManifestBuilder
from dver.objects.pack import Record
from dver.operations.changes import ChangeFinder, check_storable
from dver.operations.reading import load_nodes, open_manifest
from dver.progress import Task
from dver.repo import Repo
from dver.workspace.ignore import IgnoreRules
from dver.workspace.ingest import Ingested, Ingester, ObjectSink, Source
from dver.workspace.statcache import Base, Row, is_trusted
from dver.workspace.walk import FileType, WalkItem, walk_dataset

__all__ = ["NodesOnly", "check_storable", "in_memory_manifest", "working_entries", "working_manifest"]


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

    `rows` are the stat cache's rows for the base, of which all is here or gone.

    Raises:
        PathError: something in the dataset cannot be stored, such as a socket or a nested git repository.
    """
    root = os.fsencode(repo.root / dataset)
    walked = walk_dataset(root, IgnoreRules.for_dataset(repo.root, dataset))
    ingester = Ingester(root, sink, repo.chunker, repo.workers, task)
    return ingester.run(_merge(walked, _Known(repo, dataset, base, rows), task))


def working_manifest(repo: Repo, dataset: str, base: Base | None, task: Task) -> Manifest:
    """Return the manifest of the working files as they are now, with what is absent by choice; nothing is stored.

    Raises:
        PathError: something in the dataset cannot be stored, such as a socket or a nested git repository.
        VersionNotFoundError: the dataset is only partly here, and nothing within reach says what the rest is.
    """
    sink = NodesOnly()
    rows = repo.stat_cache.rows(dataset) if base is not None else {}
    if base is not None and base.choice is not None:
        finder = ChangeFinder(repo, dataset, base, rows)
        summary = finder.edit(finder.find([b""], sink, task), sink)
        return in_memory_manifest(repo, summary.version, sink.nodes, dataset)
    builder = ManifestBuilder(sink.put_node)
    for ingested in working_entries(repo, dataset, base, rows, sink, task):
        builder.add(ingested.entry)
    return in_memory_manifest(repo, builder.finish().version, sink.nodes, dataset)


def in_memory_manifest(repo: Repo, version: VersionId, nodes: Mapping[NodeId, bytes], dataset: str) -> Manifest:
    """Return a manifest some of whose nodes are in `nodes` and the rest in the cache or on the default remote."""

    def load(ids: Sequence[NodeId]) -> Sequence[Bytes]:
        absent = [identity for identity in ids if identity not in nodes]
        stored = dict(zip(absent, load_nodes(repo, absent), strict=True)) if absent else {}
        return [nodes[identity] if identity in nodes else stored[identity] for identity in ids]

    return Manifest(version, load, where=f"working files of {dataset}")


class _Known:
    """What is known of a dataset's working files: the base they were last equal to, and the rows for it."""

    def __init__(self, repo: Repo, dataset: str, base: Base | None, rows: Mapping[bytes, Row]) -> None:
        self.dataset = dataset
        self._rows = rows
        self._manifest: Manifest | None = None
        # Where the cache was deleted, or never had all, a file is no proof that its content is stored.
        if base is not None and repo.cache.has_version(base.version):
            with suppress(VersionNotFoundError):
                self._manifest = open_manifest(repo, base.version, dataset)

    def entries(self) -> Iterator[Entry]:
        """Return the entries of the base."""
        return iter(()) if self._manifest is None else self._manifest.entries()

    def holds(self, entry: Entry, item: WalkItem) -> bool:
        """Whether what is on disk is certainly `entry`, and its content stored."""
        row = self._rows.get(item.path)
        return row is not None and not row.differs and is_trusted(row, item.type, item.stat)


def _merge(walked: Iterator[WalkItem], known: _Known, task: Task) -> Iterator[Source]:
    """Yield what is on disk in order: entries where they are known to hold, walked items where not."""
    entries = known.entries()
    entry = next(entries, None)
    for item in walked:
        check_storable(known.dataset, item)
        while entry is not None and entry.path < item.path:
            entry = next(entries, None)
        if entry is not None and entry.path == item.path:
            yield entry if known.holds(entry, item) else _expected(item, task)
            entry = next(entries, None)
        else:
            yield _expected(item, task)


def _expected(item: WalkItem, task: Task) -> WalkItem:
    task.expect(files=1, bytes=item.stat.st_size if item.type is FileType.FILE else 0)
    return item
