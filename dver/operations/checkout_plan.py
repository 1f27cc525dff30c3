"""Planning a checkout: what must be written and deleted so that a dataset's files are a wanted version.

The plan is made before anything is touched. It keeps the promise that a user's bytes are never lost: a file that
would be overwritten or deleted must be known to be in the store, byte for byte; all others are listed in
`conflicts`.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from dver.errors import VersionNotFoundError
from dver.objects.diff import diff_manifests
from dver.objects.entry import DirectoryEntry, Entry, FileEntry
from dver.objects.ids import VersionId
from dver.objects.manifest import Manifest
from dver.objects.paths import is_within_any, parents
from dver.objects.pointer import Pointer
from dver.operations.datasets import decode_path, read_pointer_or_problem
from dver.operations.reading import open_manifest, stores_to_read
from dver.operations.status import scan_dataset
from dver.operations.wanted import holds_file
from dver.operations.working import NodesOnly, in_memory_manifest
from dver.operations.writes import Writes
from dver.progress import NO_TASK, Task
from dver.repo import Repo
from dver.workspace.choice import NO_PATTERNS, Choice, Patterns, choose, choose_afresh
from dver.workspace.compare import compare_item
from dver.workspace.ignore import IgnoreRules
from dver.workspace.ingest import Ingester
from dver.workspace.scan import Scan
from dver.workspace.statcache import Row
from dver.workspace.walk import FileType, WalkItem, walk_dataset


@dataclass(slots=True)
class DatasetPlan:
    """What a checkout does to one dataset. Paths are relative to it.

    Attributes:
        writes: entries to write, in path order.
        deletes: paths to delete, in path order.
        gone: paths that the stat cache is to forget.
        conflicts: files whose content is stored nowhere and would be lost.
        settled: files that already are as wanted though the stat cache did not know, with their rows.
        choice: what of the dataset is wanted here afterwards; None for all of it.
        keeps_rows: whether the stat cache's rows hold for the paths that are not touched.
        shared: once it is carried out, how many of the written files share their blocks with others.
        shared_bytes: their size.
    """

    dataset: str
    version: VersionId
    manifest: Manifest
    choice: Choice | None
    keeps_rows: bool
    writes: Writes
    deletes: list[bytes] = field(default_factory=list)
    gone: list[bytes] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    settled: dict[bytes, Row] = field(default_factory=dict)
    unchanged: int = 0
    shared: int = 0
    shared_bytes: int = 0

    @property
    def write_bytes(self) -> int:
        """The bytes of all files to be written."""
        return self.writes.bytes


class Planner:
    """Makes plans for the datasets of one repository."""

    def __init__(self, repo: Repo, task: Task, *, force: bool, patterns: Patterns = NO_PATTERNS) -> None:
        """With `force`, files whose content is stored nowhere are overwritten and deleted as well.

        With `patterns`, only what fits them is wanted of what is asked for; other files that are there go.
        """
        self._repo = repo
        self._task = task
        self._force = force
        self._patterns = patterns

    def plan(
        self, dataset: str, version: VersionId, asked: tuple[bytes, ...], *, whole: bool, keep_changes: bool = False
    ) -> DatasetPlan:
        """Return the plan that makes a dataset's files the wanted version.

        Args:
            asked: paths within the dataset to restrict the checkout to; none means no restriction.
            whole: make a partly present dataset whole, rather than keep to the choice, if no paths in it are asked for.
            keep_changes: bring only what differs from the version that was checked out before, and leave a user's
                changes to other files as they are. Where no such version is known, or not all of it came, the whole
                version is brought.
        """
        cache = self._repo.stat_cache
        keep_changes = keep_changes and cache.base(dataset) is not None and not cache.is_unfinished(dataset)
        manifest = open_manifest(self._repo, version, dataset)
        scan = self._scan(dataset, version)
        writes = Writes(self._repo.spool())
        if scan is None:
            choice = self._choice_without_data(dataset, asked, whole=whole)
            plan = DatasetPlan(dataset, version, manifest, choice, keeps_rows=False, writes=writes)
            for entry in _chosen(manifest, choice, asked):
                writes.append(entry)
            return plan
        choice = choose(scan.base.choice, asked, self._patterns, whole=whole)
        plan = DatasetPlan(dataset, version, manifest, choice, keeps_rows=True, writes=writes, unchanged=scan.unchanged)
        differences = _Differences(self._repo, plan, scan, asked, narrows=bool(self._patterns))
        differences.fill(force=self._force, keep_changes=keep_changes)
        return plan

    def _choice_without_data(self, dataset: str, asked: tuple[bytes, ...], *, whole: bool) -> Choice | None:
        base = self._repo.stat_cache.base(dataset)
        if base is None or asked or whole or self._patterns:
            return choose_afresh(asked, self._patterns)
        return base.choice

    def _scan(self, dataset: str, version: VersionId) -> Scan | None:
        """Compare the working files with their base, or with the pointer beside them where no base is known."""
        pointer = read_pointer_or_problem(self._repo, dataset)
        try:
            there = pointer.version if isinstance(pointer, Pointer) else version
            scan = scan_dataset(self._repo, dataset, there, self._task, adopt=True)
            if scan is not None:
                open_manifest(self._repo, scan.base.version, dataset)
        except VersionNotFoundError:
            # What the files once were is on record nowhere: only what they are now, against what is wanted, counts.
            self._repo.stat_cache.forget(dataset)
            return scan_dataset(self._repo, dataset, version, self._task, adopt=True)
        return scan


class _Differences:
    """Turns a scan of the working files and a wanted manifest into a plan."""

    def __init__(
        self, repo: Repo, plan: DatasetPlan, scan: Scan, asked: tuple[bytes, ...], *, narrows: bool = False
    ) -> None:
        """With `narrows`, what the plan's choice leaves out of what was asked for goes, where it is here."""
        self._repo = repo
        self._root = os.fsencode(repo.root / plan.dataset)
        self._plan = plan
        self._manifest = plan.manifest
        self._scan = scan
        self._asked = asked
        self._parts = frozenset(asked)
        self._fills_up = scan.base.choice is not None and plan.choice != scan.base.choice
        self._narrows = narrows
        self._partial = scan.base.choice is not None
        self._rows = repo.stat_cache.rows(plan.dataset) if self._partial or plan.choice is not None else {}
        special = [self._look_at(path) for path in scan.special]
        self._writes: list[Entry] = []
        self._local = {item.path: item for item in [*special, *scan.modified, *scan.added]}

    def fill(self, *, force: bool, keep_changes: bool) -> None:
        plan, scan = self._plan, self._scan
        base = None if scan.base.version == plan.version else self._base_manifest()
        changes: dict[bytes, Entry | None] = {}
        if base is not None:
            for change in diff_manifests(base, self._manifest):
                if self._wants(change.path):
                    changes[change.path] = change.new
                else:
                    # Outside of what is checked out; what was known of it was known of the old version.
                    plan.gone.append(change.path)
        changed_here = () if keep_changes else [*(item.path for item in scan.modified), *scan.deleted]
        for path in changed_here:
            if path not in changes and self._wants(path):
                changes[path] = self._manifest.get(path)
        self._follow_choice(changes)
        endangered = self._sort_changes(changes, base)
        self._find_obstacles(endangered)
        if not force:
            plan.conflicts = sorted(decode_path(path) for path in self._not_stored(endangered))
        for entry in sorted(self._writes, key=lambda entry: entry.path):
            plan.writes.append(entry)
        plan.deletes.sort()

    def _follow_choice(self, changes: dict[bytes, Entry | None]) -> None:
        """Add what is newly wanted here, and what no longer is."""
        if self._fills_up:
            for entry in _chosen(self._manifest, self._plan.choice, self._asked):
                if entry.path not in self._rows and entry.path not in changes:
                    changes[entry.path] = entry
        if self._narrows:
            changes.update((path, None) for path in self._rows if self._is_asked(path) and not self._wants(path))

    def _base_manifest(self) -> Manifest:
        return open_manifest(self._repo, self._scan.base.version, self._plan.dataset)

    def _wants(self, path: bytes) -> bool:
        if not self._is_asked(path):
            return False
        if self._plan.choice is None or self._plan.choice.covers(path):
            return True
        # What was added here without being chosen is kept up to date as well.
        row = None if self._narrows else self._rows.get(path)
        return row is not None and not row.differs

    def _is_asked(self, path: bytes) -> bool:
        return not self._asked or is_within_any(path, self._parts)

    def _sort_changes(self, changes: dict[bytes, Entry | None], base: Manifest | None) -> dict[bytes, Entry | None]:
        """Fill the plan; return the files that would be lost, with the entry they are known to equal, if any."""
        deleted = set(self._scan.deleted)
        base = base or (self._manifest if self._narrows else None)
        known = base.find(changes) if base is not None and self._cache_lacks_base() else {}
        endangered: dict[bytes, Entry | None] = {}
        emptied: set[bytes] = set()
        for path, entry in changes.items():
            item = self._local.get(path)
            if item is not None and entry is not None and self._already_is(item, entry):
                continue
            if entry is not None:
                self._writes.append(entry)
            else:
                self._plan.gone.append(path)
                if path not in deleted:
                    self._plan.deletes.append(path)
                else:
                    emptied.update(parent for parent in parents(path) if self._is_empty_directory(parent))
            if item is not None:
                endangered[path] = None
            elif path in known and path not in deleted and (path in self._rows or not self._partial):
                endangered[path] = known[path]
        # Left by whoever deleted what was in them, be it a checkout that was killed.
        self._plan.deletes += emptied - changes.keys()
        return endangered

    def _is_empty_directory(self, path: bytes) -> bool:
        # Where files of the version are absent by choice, an empty one is no change, and not among the local ones.
        absolute = self._absolute(path)
        try:
            return not os.path.islink(absolute) and not os.listdir(absolute)
        except OSError:
            return False

    def _cache_lacks_base(self) -> bool:
        """Whether unchanged working files may be the only copy of their version, as after the cache was deleted."""
        version = self._scan.base.version
        return not any(store.has_version(version) for store in stores_to_read(self._repo))

    def _already_is(self, item: WalkItem, entry: Entry) -> bool:
        absolute, heed_modes = self._absolute(item.path), self._repo.heeds_modes
        same, row = compare_item(absolute, item, entry, self._manifest, heed_modes=heed_modes)
        if same:
            self._plan.settled[item.path] = row
        return same

    def _find_obstacles(self, endangered: dict[bytes, Entry | None]) -> None:
        """Find files that nobody tracks where a directory must be, or within what must become a file."""
        writes = {entry.path for entry in self._writes if not isinstance(entry, DirectoryEntry)}
        above_writes = {parent for entry in self._writes for parent in parents(entry.path)}
        self._find_ignored(writes & {parent for path in self._plan.deletes for parent in parents(path)})
        self._find_ignored(writes & {*self._scan.deleted})
        for path in self._local:
            if path in endangered or path in self._plan.settled:
                continue
            if path in above_writes or any(parent in writes for parent in parents(path)):
                endangered[path] = None
                self._plan.deletes.append(path)

    def _find_ignored(self, directories: Iterable[bytes]) -> None:
        """Take files that `.dverignore` names for local ones where their directory must become a file."""
        for path in directories:
            if not os.path.isdir(self._absolute(path)) or os.path.islink(self._absolute(path)):
                continue
            known = {*self._plan.deletes, *self._local}
            for item in walk_dataset(self._absolute(path), IgnoreRules()):
                within = path + b"/" + item.path if path else item.path
                if item.path and within not in known:
                    self._local[within] = item._replace(path=within)

    def _absolute(self, path: bytes) -> bytes:
        return self._root + b"/" + path if path else self._root

    def _look_at(self, path: bytes) -> WalkItem:
        return WalkItem(path, FileType.OTHER, os.lstat(self._absolute(path)))

    def _not_stored(self, endangered: dict[bytes, Entry | None]) -> Iterator[bytes]:
        """Yield those files whose bytes are not all in the cache."""
        unknown = [self._local[path] for path, entry in endangered.items() if entry is None]
        yield from (item.path for item in unknown if item.type is FileType.OTHER)
        sink = NodesOnly()
        files = sorted(item for item in unknown if item.type is not FileType.OTHER)
        ingester = Ingester(self._root, sink, self._repo.chunker, self._repo.workers, NO_TASK)
        entries = [ingested.entry for ingested in ingester.run(files)]
        scratch = in_memory_manifest(self._repo, self._plan.version, sink.nodes, self._plan.dataset)
        for entry in [*entries, *(entry for entry in endangered.values() if entry is not None)]:
            if not self._is_stored(entry, scratch):
                yield entry.path

    def _is_stored(self, entry: Entry, manifest: Manifest) -> bool:
        if isinstance(entry, FileEntry):
            return holds_file(self._repo.cache, entry, manifest)
        # Nothing is lost with an empty directory; a link's target is in no chunk, only a manifest could hold it.
        return isinstance(entry, DirectoryEntry)


def _chosen(manifest: Manifest, choice: Choice | None, asked: Sequence[bytes]) -> Iterator[Entry]:
    """Yield the entries at some paths, or all, that a choice covers."""
    for part in asked or (b"",):
        yield from (entry for entry in manifest.entries(part) if choice is None or choice.covers(entry.path))
