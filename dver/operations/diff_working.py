"""The manifest of working files of which few differ from their base: made from these, and the manifest of the base.

What is as in the base is neither looked at again nor held in memory, so a few changes among millions of files cost
little. Where much differs, `operations.working` streams all of it, which is cheaper then.
"""

import os
from contextlib import suppress

from dver.errors import ObjectNotFoundError
from dver.objects.edit import EntryReader, edit_manifest
from dver.objects.entry import Entry
from dver.objects.manifest import Manifest
from dver.operations.reading import lazy_manifest
from dver.operations.working import NodesOnly, check_storable, in_memory_manifest, working_manifest
from dver.progress import Task
from dver.repo import Repo
from dver.workspace.ingest import Ingester
from dver.workspace.scan import Scan

_UNCHANGED_FOR_EACH = 10


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
            return _edited(repo, dataset, scan, task)
    return working_manifest(repo, dataset, scan.base, task)


def _edited(repo: Repo, dataset: str, scan: Scan, task: Task) -> Manifest:
    items = sorted([*scan.added, *scan.modified])
    for item in items:
        check_storable(dataset, item)
    sink = NodesOnly()
    ingester = Ingester(os.fsencode(repo.root / dataset), sink, repo.chunker, repo.workers, task)
    changes: dict[bytes, Entry | None] = dict.fromkeys(scan.deleted)
    changes.update((ingested.entry.path, ingested.entry) for ingested in ingester.run(items))
    reader = EntryReader(lazy_manifest(repo, scan.base.version, dataset))
    version = edit_manifest(reader, changes, sink.put_node).version
    return in_memory_manifest(repo, version, sink.nodes, dataset)
