"""An audit of one store: is all that it says it has really there, and is it what it should be?

Structure is always looked at as a whole: index files, the sizes of packs, version markers, and all manifest nodes with
what they name. Packs are then read as deeply as was asked for, those that were read lately left out where the caller
wants that. Nothing in the store is changed, so it may be one that can only be read.

Others may be at work in the store. What a writer is in the middle of is in no index file yet and is no damage, and what
a garbage collection took away is told from damage by looking again. An audit that is cut off loses nothing: packs that
were found sound are noted as it goes, and the next audit of the same depth goes on from there.
"""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dver.objects.ids import PackId, VersionId
from dver.progress import NO_TASK, Task
from dver.storage.audit_findings import Audit, Depth
from dver.storage.audit_listing import Listing, index_files, list_store, listed_footer
from dver.storage.audit_log import AuditLog
from dver.storage.audit_map import StoreMap
from dver.storage.audit_nodes import NodesRead, read_nodes
from dver.storage.audit_pack import check_pack, ids_of
from dver.storage.audit_packs import MISSING, Choice, PackReader, PacksRead
from dver.storage.audit_verdict import Seen, Verdict
from dver.storage.store import Store
from dver.workers import Workers

_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class AuditOptions:
    """What an audit is to look at.

    Attributes:
        sample: what part of the packs to read, from 0 to 1, those first that were not read for longest; None for all.
        max_age: leave out packs that were found sound so many seconds ago or less, by a look as deep.
        versions: read only packs in which these versions have something, and judge only these; None for all.
        is_whole: whether the store is to hold whole versions only, as a remote does and a cache need not.
    """

    depth: Depth = Depth.RECORDS
    sample: float | None = None
    max_age: float | None = None
    versions: frozenset[VersionId] | None = None
    is_whole: bool = False


@dataclass(frozen=True, slots=True)
class AuditTools:
    """What an audit works with.

    Attributes:
        scratch: an empty folder for what does not fit into memory.
        nearer: a store from which nodes may be read instead, where packs are not to be read.
    """

    workers: Workers
    scratch: Path | None
    task: Task = NO_TASK
    nearer: Store | None = None


def audit(
    store: Store,
    *,
    depth: Depth = Depth.RECORDS,
    sample: float | None = None,
    max_age: float | None = None,
    task: Task = NO_TASK,
) -> Audit:
    """Audit a store and return what is wrong with it; see `AuditOptions`.

    Raises:
        UnsupportedFormatError: a newer dver wrote something in it.
        BackendError: the store does not answer.
    """
    with (
        tempfile.TemporaryDirectory(prefix="dver-audit-") as scratch,
        Workers(None, os.cpu_count() or 1, name="dver-audit") as workers,
    ):
        tools = AuditTools(workers, Path(scratch), task)
        with Auditor(store, AuditOptions(depth, sample, max_age), tools).opened() as auditor:
            return auditor.run()


class Auditor:
    """One audit of a store. Use within `opened`; after `run`, `found` is the map of the store."""

    def __init__(self, store: Store, options: AuditOptions, tools: AuditTools) -> None:
        self.store = store
        self.found = StoreMap(None)
        self._options = options
        self._tools = tools
        self._log = AuditLog(log_path(store))
        self._listing = Listing()

    @contextmanager
    def opened(self) -> Iterator["Auditor"]:
        """Give the auditor, and clear up after it in the end."""
        try:
            yield self
        finally:
            self.found.close()
            self._log.close()

    def footer(self, pack: PackId) -> bytes | None:
        """Return a pack's footer as an index file has it, or None; from any thread."""
        return listed_footer(self.store.backend, self._listing, pack)

    def run(self) -> Audit:
        """Look at the store.

        Raises:
            UnsupportedFormatError: a newer dver wrote something in it.
            BackendError: the store does not answer.
        """
        options = self._options
        is_all = options.sample is None and options.versions is None
        now = time.time()
        began = self._log.begin(options.depth) if is_all else now
        seen = self._look(began)
        # One that came to nothing, such as for a remote that did not answer, leaves nothing to go on with.
        is_resumed = began < now and options.max_age is None and seen.packs.remembered > 0
        notes = ["going on with a check that was cut off: what it found sound is not read again"] if is_resumed else []
        result = Verdict(self.store, seen, self._tools.workers).audit(notes)
        if is_all:
            self._log.end(options.depth)
        return result

    def _look(self, began: float) -> Seen:
        options, tools = self._options, self._tools
        since = began if options.max_age is None else min(began, time.time() - options.max_age)
        choice = Choice(options.depth, since, options.sample, options.versions)
        for attempt in range(1, _ATTEMPTS + 1):
            self.found.close()
            self.found = StoreMap(tools.scratch)
            self._listing = listing = list_store(self.store.backend, self.found, tools.workers)
            self.found.seal()
            reader = PackReader(self.store, listing, self.found, self._log, choice)
            packs = reader.run(tools.workers, self.footer, tools.task)
            nodes = self._read_nodes(packs)
            went = listing.vanished or nodes.vanished or MISSING in packs.problems.values()
            if not went or attempt == _ATTEMPTS or index_files(self.store.backend) >= listing.listings.keys():
                break
            # Somebody collects garbage: there, an index file goes before the packs that it lists.
        return Seen(listing, packs, nodes, self.found, options.versions, options.is_whole)

    def _read_nodes(self, packs: PacksRead) -> NodesRead:
        tools, listing = self._tools, self._listing
        nearer = tools.nearer if self._options.depth is Depth.STRUCTURE else None
        nodes = read_nodes(self.store, self.found, listing.versions, tools.workers, tools.task, nearer=nearer)
        spoiled = nodes.damaged - packs.problems.keys()
        for pack in spoiled:
            # Their checksums hold, or nobody has looked at these.
            check = check_pack(self.store.backend, pack, listing.sizes[pack], Depth.CONTENT, self.footer)
            packs.problems[pack] = check.problem or "manifest nodes in it cannot be read"
            self.found.spoil(pack, ids_of(check.readable))
        if spoiled:
            self._log.forget(spoiled)
            self.found.settle()
        self.found.conclude()
        return nodes


def log_path(store: Store) -> Path | None:
    """Return where this machine notes what it has verified of a store."""
    path = store.index.path
    return None if path is None else path.with_name(f"{path.stem}-audit.db")
