"""The manifest that the working files of a dataset would have, streamed from what is known and what is new.

`add` stores what is new; `diff` and the safety checks of `checkout` only compute ids, through a sink that keeps
nothing.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from dver.errors import VersionNotFoundError
from dver.objects.builder import ManifestBuilder
from dver.objects.entry import Entry
from dver.objects.ids import Bytes, NodeId, ObjectId, VersionId
from dver.objects.manifest import Manifest
from dver.objects.pack import Record
from dver.operations.changes import ChangeFinder, check_storable
from dver.operations.modes import manifest_before, with_known_modes
from dver.operations.reading import load_nodes, open_manifest
from dver.progress import Task
from dver.repo import Repo
from dver.workspace.ignore import IgnoreRules
from dver.workspace.ingest import Ingested, Ingester, ObjectSink, Source
from dver.workspace.statcache import Base, is_trusted
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


def has_base(repo: Repo, base: Base | None) -> bool:
    """Whether the cache has all of a base. Where it was deleted, or never had all, no file proves what is stored."""
    return base is not None and repo.cache.has_version(base.version)


def working_entries(repo: Repo, dataset: str, known: "Known", sink: ObjectSink, task: Task) -> Iterator[Ingested]:
    """Yield the entries of a dataset's working files in path order; files that are as in the base are not read.

    All of the base is here, or was deleted.

    Raises:
        PathError: something in the dataset cannot be stored, such as a socket or a nested git repository.
    """
    root = os.fsencode(repo.root / dataset)
    walked = walk_dataset(root, IgnoreRules.for_dataset(repo.root, dataset))
    ingester = Ingester(root, sink, repo.chunker, repo.workers, task)
    stored = ingester.run(_merge(walked, known, task))
    return with_known_modes(repo, stored, lambda: manifest_before(repo, dataset, known.base))


def working_manifest(repo: Repo, dataset: str, base: Base | None, task: Task) -> Manifest:
    """Return the manifest of the working files as they are now, with what is absent by choice; nothing is stored.

    Raises:
        PathError: something in the dataset cannot be stored, such as a socket or a nested git repository.
        VersionNotFoundError: the dataset is only partly here, and nothing within reach says what the rest is.
    """
    sink = NodesOnly()
    if base is not None and base.choice is not None:
        finder = ChangeFinder(repo, dataset, base, repo.stat_cache.rows(dataset))
        summary = finder.edit(finder.find([b""], sink, task), sink)
        return in_memory_manifest(repo, summary.version, sink.nodes, dataset)
    builder = ManifestBuilder(sink.put_node)
    known = Known(repo, dataset, base, is_stored=has_base(repo, base))
    for ingested in working_entries(repo, dataset, known, sink, task):
        builder.add(ingested.entry)
    return in_memory_manifest(repo, builder.finish().version, sink.nodes, dataset)


def in_memory_manifest(repo: Repo, version: VersionId, nodes: Mapping[NodeId, bytes], dataset: str) -> Manifest:
    """Return a manifest some of whose nodes are in `nodes` and the rest in the cache or on the default remote."""

    def load(ids: Sequence[NodeId]) -> Sequence[Bytes]:
        absent = [identity for identity in ids if identity not in nodes]
        stored = dict(zip(absent, load_nodes(repo, absent), strict=True)) if absent else {}
        return [nodes[identity] if identity in nodes else stored[identity] for identity in ids]

    return Manifest(version, load, where=f"working files of {dataset}")


class Known:
    """What is known of a dataset's working files: the base they were last equal to, and the rows for it.

    It is asked for one path after the other, in their order.

    Attributes:
        base: that version, if there is one.
        gone: the paths that have a row and were passed over.
    """

    def __init__(self, repo: Repo, dataset: str, base: Base | None, *, is_stored: bool) -> None:
        """Begin; `is_stored` is what `has_base` says of the base."""
        self.dataset = dataset
        self.base = base
        self.gone: list[bytes] = []
        self._entries: Iterator[Entry] = iter(())
        if base is not None and is_stored:
            with suppress(VersionNotFoundError):
                self._entries = open_manifest(repo, base.version, dataset).entries()
        self._rows = iter(()) if base is None else repo.stat_cache.rows_in_order(dataset)
        self._entry = next(self._entries, None)
        self._row = next(self._rows, None)

    def entry(self, item: WalkItem) -> Entry | None:
        """Return the entry that what is on disk certainly is, if its content is stored."""
        path = item.path
        while self._row is not None and self._row[0] < path:
            self.gone.append(self._row[0])
            self._row = next(self._rows, None)
        while self._entry is not None and self._entry.path < path:
            self._entry = next(self._entries, None)
        if self._row is None or self._row[0] != path:
            return None
        row, self._row = self._row[1], next(self._rows, None)
        is_same = self._entry is not None and self._entry.path == path
        return self._entry if is_same and not row.differs and is_trusted(row, item.type, item.stat) else None

    def finish(self) -> None:
        """Say that no path comes any more."""
        if self._row is not None:
            self.gone.append(self._row[0])
        self.gone += (path for path, _ in self._rows)


def _merge(walked: Iterator[WalkItem], known: Known, task: Task) -> Iterator[Source]:
    """Yield what is on disk in order: entries where they are known to hold, walked items where not."""
    for item in walked:
        check_storable(known.dataset, item)
        yield known.entry(item) or _expected(item, task)
    known.finish()


def _expected(item: WalkItem, task: Task) -> WalkItem:
    task.expect(files=1, bytes=item.stat.st_size if item.type is FileType.FILE else 0)
    return item
