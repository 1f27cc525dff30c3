"""The manifest that the working files of a dataset would have, streamed from what is known and what is new.

`add` stores what is new; `diff` and the safety checks of `checkout` only compute ids, through a sink that keeps
nothing.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence

from dver.errors import PathError, VersionNotFoundError
from dver.objects.entry import DirectoryEntry, Entry, FileEntry
from dver.objects.ids import Bytes, NodeId, ObjectId, VersionId
from dver.objects.manifest import Manifest, ManifestBuilder
from dver.objects.pack import Record
from dver.operations.reading import open_manifest
from dver.operations.transfer import holds_file
from dver.progress import Task
from dver.repo import Repo
from dver.workspace.ignore import IgnoreRules
from dver.workspace.ingest import Ingested, Ingester, ObjectSink, Source
from dver.workspace.statcache import Base, Row, is_trusted
from dver.workspace.walk import FileType, WalkItem, walk_dataset

_GIT_PART = re.compile(rb"(?:\A|/)\.git(?:/|\Z)", re.IGNORECASE)


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
        VersionNotFoundError: the dataset is only partly here, and nothing within reach says what the rest is.
    """
    root = os.fsencode(repo.root / dataset)
    walked = walk_dataset(root, IgnoreRules.for_dataset(repo.root, dataset))
    ingester = Ingester(root, sink, repo.chunker, repo.workers, task)
    return ingester.run(_merge(walked, _Known(repo, dataset, base, rows), task))


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


class _Known:
    """What is known of a dataset's working files: the base they were last equal to, and the rows for it."""

    def __init__(self, repo: Repo, dataset: str, base: Base | None, rows: Mapping[bytes, Row]) -> None:
        self.dataset = dataset
        self._root = repo.root / dataset
        self._cache = repo.cache
        self._rows = rows
        self._partial = base is not None and base.parts is not None
        self._complete = base is not None and repo.cache.has_version(base.version)
        self._manifest: Manifest | None = None
        # Where the cache was deleted, or never had all, a file is no proof that its content is stored.
        if base is not None and (self._complete or self._partial):
            self._manifest = self._open(repo, base)

    def _open(self, repo: Repo, base: Base) -> Manifest | None:
        try:
            return open_manifest(repo, base.version, self.dataset)
        except VersionNotFoundError:
            if self._partial:
                raise
            return None

    def entries(self) -> Iterator[Entry]:
        """Return the entries of the base."""
        return iter(()) if self._manifest is None else self._manifest.entries()

    def holds(self, entry: Entry, item: WalkItem) -> bool:
        """Whether what is on disk is certainly `entry`, and its content stored."""
        row = self._rows.get(item.path)
        if row is None or row.differs or not is_trusted(row, item.type, item.stat):
            return False
        if self._complete or self._manifest is None or not isinstance(entry, FileEntry):
            return True
        return holds_file(self._cache, entry, self._manifest)

    def keeps(self, entry: Entry) -> bool:
        """Whether an entry that is not on disk is still part of the dataset, as it was never checked out."""
        if not self._partial or entry.path in self._rows:
            return False
        # A directory that was empty may have been made here, and files put into it.
        return not isinstance(entry, DirectoryEntry) or not (self._root / os.fsdecode(entry.path)).is_dir()


def _merge(walked: Iterator[WalkItem], known: _Known, task: Task) -> Iterator[Source]:
    """Yield what is on disk in order: entries where they are known to hold, walked items where not.

    Entries of a partly present dataset that were never checked out are kept.
    """
    entries = known.entries()
    entry = next(entries, None)
    for item in walked:
        check_storable(known.dataset, item)
        while entry is not None and entry.path < item.path:
            if known.keeps(entry):
                yield entry
            entry = next(entries, None)
        if entry is not None and entry.path == item.path:
            yield entry if known.holds(entry, item) else _expected(item, task)
            entry = next(entries, None)
        else:
            yield _expected(item, task)
    while entry is not None:
        if known.keeps(entry):
            yield entry
        entry = next(entries, None)


def _expected(item: WalkItem, task: Task) -> WalkItem:
    task.expect(files=1, bytes=item.stat.st_size if item.type is FileType.FILE else 0)
    return item


def check_storable(dataset: str, item: WalkItem) -> None:
    """Raise PathError for what no dataset can hold."""
    if item.type is FileType.OTHER:
        reason, hint = "is a socket, device or named pipe", "remove it, or name it in .dverignore"
    elif _GIT_PART.search(item.path):
        reason, hint = "belongs to a git repository inside the dataset", "name it in .dverignore, or move it away"
    else:
        return
    raise PathError(f"{dataset}/{os.fsdecode(item.path)}", reason, hint=hint)
