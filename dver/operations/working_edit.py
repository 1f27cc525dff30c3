"""The manifest of working files of which few differ from their base: made from these, and the manifest of the base.

What is as in the base is neither looked at again nor held in memory, so a few changes among millions of files cost
little. Where much differs, `operations.working` streams all of it, which is cheaper then.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from dver.errors import ObjectNotFoundError
from dver.objects.builder import Summary
from dver.objects.edit import EntryReader, edit_manifest
from dver.objects.entry import Entry
from dver.objects.manifest import Manifest
from dver.operations.changes import check_storable
from dver.operations.modes import with_known_modes
from dver.operations.reading import lazy_manifest
from dver.operations.working import NodesOnly, in_memory_manifest, working_manifest
from dver.progress import Task
from dver.repo import Repo
from dver.workspace.ingest import Ingester, ObjectSink
from dver.workspace.scan import Scan
from dver.workspace.statcache import Base, Row
from dver.workspace.walk import FileType, WalkItem

_UNCHANGED_FOR_EACH = 10
# All that differs is in memory.
_MOST_CHANGES = 50_000


@dataclass(frozen=True, slots=True)
class Edited:
    """A manifest that was made from its base, and the stat cache rows to change and to remove for it."""

    summary: Summary
    fresh: dict[bytes, Row]
    gone: list[bytes]


def changed_manifest(repo: Repo, dataset: str, scan: Scan, task: Task) -> Manifest:
    """Return the manifest of the working files as a scan found them; nothing is stored.

    Raises:
        PathError: something in the dataset cannot be stored, such as a nested git repository.
        VersionNotFoundError: the dataset is only partly here, and nothing within reach says what the rest is.
    """
    changed = len(scan.added) + len(scan.modified) + len(scan.deleted)
    is_few = changed * _UNCHANGED_FOR_EACH <= scan.unchanged
    if is_few and scan.base.choice is None and repo.cache.has_version(scan.base.version):
        # Nodes of the base may be lost, while the files themselves are here.
        with suppress(ObjectNotFoundError):
            sink = NodesOnly()
            manifest = lazy_manifest(repo, scan.base.version, dataset)
            version = _edit(repo, dataset, scan, manifest, sink, task).summary.version
            return in_memory_manifest(repo, version, sink.nodes, dataset)
    return working_manifest(repo, dataset, scan.base, task)


def store_changes(repo: Repo, dataset: str, base: Base, sink: ObjectSink, task: Task) -> Edited | None:
    """Give `sink` what is new in a dataset of which all is here, and the nodes that change with it.

    The cache has all of the base. None, if much differs from it: then nothing is said of what was stored.

    Raises:
        PathError: something in the dataset cannot be stored, such as a nested git repository.
    """
    with suppress(ObjectNotFoundError):
        manifest = repo.cache.manifest(base.version)
        files, _ = manifest.totals()
        scan = repo.scanner.suspects(dataset, base, most=min(files // _UNCHANGED_FOR_EACH, _MOST_CHANGES))
        if scan is not None and not scan.special:
            return _edit(repo, dataset, scan, manifest, sink, task)
    return None


def _edit(repo: Repo, dataset: str, scan: Scan, manifest: Manifest, sink: ObjectSink, task: Task) -> Edited:
    items = sorted([*scan.added, *scan.modified])
    for item in items:
        check_storable(dataset, item)
    task.expect(files=len(items), bytes=_content_size(items))
    ingester = Ingester(os.fsencode(repo.root / dataset), sink, repo.chunker, repo.workers, task)
    changes: dict[bytes, Entry | None] = dict.fromkeys(scan.deleted)
    fresh: dict[bytes, Row] = {}
    for ingested in with_known_modes(repo, ingester.run(items), lambda: manifest):
        changes[ingested.entry.path] = ingested.entry
        if ingested.row is not None:
            fresh[ingested.entry.path] = ingested.row
    return Edited(edit_manifest(EntryReader(manifest), changes, sink.put_node), fresh, scan.deleted)


def _content_size(items: Sequence[WalkItem]) -> int:
    return sum(item.stat.st_size for item in items if item.type is FileType.FILE)
