"""Reading the packs of a store: which of them, in what order, and what became of each.

Packs that were found sound are noted as it goes, so that nothing is read twice when an audit is cut off.
"""

import math
import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from dver.objects.ids import PackId, VersionId
from dver.progress import Task
from dver.storage.audit_findings import Depth
from dver.storage.audit_listing import Listing
from dver.storage.audit_log import AuditLog, Verified
from dver.storage.audit_map import StoreMap
from dver.storage.audit_nodes import packs_below
from dver.storage.audit_pack import PackCheck, check_pack, ids_of
from dver.storage.local import LocalBackend
from dver.storage.open import inner_of, stored_keys
from dver.storage.packs import pack_key, read_pack_entries
from dver.storage.store import Store
from dver.workers import Workers

GRACE_SECONDS = 600.0
"""For so long, what no index file lists and is no whole pack may be one that a writer is in the middle of."""

REMEMBER_EVERY = 64
MISSING = "is missing"
_REMEMBER_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Choice:
    """Which packs to read, and how closely; see `dver.storage.audit.AuditOptions`.

    Attributes:
        since: packs that were found sound then or later are left out.
    """

    depth: Depth
    since: float
    sample: float | None = None
    versions: frozenset[VersionId] | None = None


@dataclass(slots=True)
class PacksRead:
    """What reading packs brought to light.

    Attributes:
        problems: what is wrong with which packs; `MISSING` for those that are not there.
        forming: packs in no index file that may be in the middle of being written.
        unlisted: packs in no index file that are sound, and their sizes.
        read: how many were read.
        remembered: how many were not, because that was done lately.
    """

    problems: dict[PackId, str] = field(default_factory=dict)
    forming: set[PackId] = field(default_factory=set)
    unlisted: dict[PackId, int] = field(default_factory=dict)
    read: int = 0
    remembered: int = 0
    bytes: int = 0


class PackReader:
    """Reads the packs of a store as they are listed, and notes in the map which objects cannot be read."""

    def __init__(self, store: Store, listing: Listing, found: StoreMap, log: AuditLog, choice: Choice) -> None:
        self._store = store
        self._backend = store.backend
        self._is_folder = isinstance(inner_of(store.backend), LocalBackend)
        self._listing = listing
        self._found = found
        self._log = log
        self._choice = choice
        self._result = PacksRead()

    def run(self, workers: Workers, footer: Callable[[PackId], bytes | None], task: Task) -> PacksRead:
        """Read packs; `footer` returns a pack's footer as an index file has it."""
        listing, result = self._listing, self._result
        for pack in listing.missing:
            result.problems[pack] = MISSING
        due = self._due()
        task.expect(bytes=sum(listing.sizes[pack] for pack in due))
        look = partial(check_pack, self._backend, depth=self._choice.depth, listed=footer)
        started = (workers.executor.submit(look, pack, listing.sizes[pack]) for pack in due)
        fresh: dict[PackId, Verified] = {}
        last = time.monotonic()
        try:
            for check in workers.in_order(started):
                self._take(check, fresh)
                task.advance(bytes=check.size)
                if len(fresh) >= REMEMBER_EVERY or time.monotonic() > last + _REMEMBER_SECONDS:
                    self._remember(fresh)
                    last = time.monotonic()
        finally:
            self._remember(fresh)
        self._sort_unlisted()
        for pack, problem in result.problems.items():
            if problem == MISSING:
                self._found.spoil(pack)
        if result.problems:
            self._log.forget(result.problems)
            self._found.settle()
        return result

    def _due(self) -> list[PackId]:
        """Return the packs to read, those first that were not read for longest."""
        choice, sizes = self._choice, self._listing.sizes
        known = self._log.known()
        chosen = set(sizes)
        if choice.versions is not None:
            chosen &= packs_below(self._store, self._found, choice.versions)
        first, others = [], []
        for pack in sorted(chosen):
            listed, one = self._listing.packs.get(pack), known.get(pack)
            if listed is None or any(size != sizes[pack] for size in listed.sizes.values()):
                first.append(pack)
            elif one is None or one.time < choice.since or not self._is_same(pack, one):
                others.append(pack)
        self._result.remembered = len(chosen) - len(first) - len(others)
        others.sort(key=lambda pack: known[pack].time if pack in known else 0.0)
        if choice.sample is not None:
            others = others[: math.ceil(choice.sample * len(chosen))]
        return first + others

    def _is_same(self, pack: PackId, one: Verified) -> bool:
        is_deep = one.depth >= self._choice.depth
        return is_deep and one.size == self._listing.sizes[pack] and one.stamp == self._stamp(pack)

    def _stamp(self, pack: PackId) -> str:
        stat = self._stat(pack)
        return "" if stat is None else f"{stat.st_mtime_ns}:{stat.st_ctime_ns}:{stat.st_ino}"

    def _stat(self, pack: PackId) -> os.stat_result | None:
        if not self._is_folder:
            return None
        for key in stored_keys(self._backend, pack_key(pack)):
            with suppress(OSError):
                return os.stat(f"{self._backend.location}/{key}")
        return None

    def _take(self, check: PackCheck, fresh: dict[PackId, Verified]) -> None:
        result = self._result
        result.read += 1
        result.bytes += check.bytes
        if check.gone:
            result.problems[check.pack] = MISSING
        elif check.problem is not None:
            result.problems[check.pack] = check.problem
            self._found.spoil(check.pack, ids_of(check.readable))
        else:
            fresh[check.pack] = Verified(check.size, self._stamp(check.pack), self._choice.depth, time.time())

    def _remember(self, fresh: dict[PackId, Verified]) -> None:
        self._log.remember(fresh, self._choice.depth)
        fresh.clear()

    def _sort_unlisted(self) -> None:
        """Tell packs that a writer is in the middle of from others that no index file lists."""
        result, unlisted = self._result, self._listing.unlisted
        ages = self._ages([pack for pack in unlisted if pack in result.problems])
        for pack in sorted(unlisted):
            size = self._listing.sizes[pack]
            if pack not in result.problems:
                result.unlisted[pack] = size
                self._found.add(pack, read_pack_entries(self._backend, pack, size), loose=True)
            elif ages[pack] < GRACE_SECONDS or result.problems[pack] == MISSING:
                del result.problems[pack]
                result.forming.add(pack)
        self._found.seal()

    def _ages(self, packs: Iterable[PackId]) -> dict[PackId, float]:
        """Return for how many seconds some packs have been there, as far as can be known."""
        now = time.time()
        keys = {pack: pack_key(pack) for pack in packs}
        if not self._is_folder:
            seen = self._log.first_seen(keys.values())
            return {pack: now - seen[key] for pack, key in keys.items()}
        stats = {pack: self._stat(pack) for pack in keys}
        return {pack: 0.0 if stat is None else now - stat.st_mtime for pack, stat in stats.items()}
