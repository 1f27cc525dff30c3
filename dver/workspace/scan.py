"""How a dataset's working files differ from its base, the version they were last equal to.

The stat cache answers for files whose stat is unchanged; only the others are compared by content, in parallel, and the
answers are kept, so that a second scan reads no data.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dver.errors import ObjectNotFoundError
from dver.objects.entry import Entry, FileEntry, LinkEntry
from dver.objects.manifest import Manifest
from dver.progress import Task
from dver.workers import Workers
from dver.workspace.compare import compare_item
from dver.workspace.ignore import IgnoreRules
from dver.workspace.statcache import UNCHECKED, Base, Row, StatCache, is_trusted
from dver.workspace.walk import FileType, WalkItem, walk_dataset

_BATCH = 64
_SINGLE_LOOKUPS = 100


@dataclass(slots=True)
class Scan:
    """What the working files of a dataset are, relative to `base`. Paths are relative to the dataset, in order.

    Attributes:
        special: sockets, devices and named pipes; where one stands in the place of a file, `modified` has it too.
        present: whether the dataset's file or directory exists at all.
    """

    base: Base
    unchanged: int = 0
    added: list[WalkItem] = field(default_factory=list)
    modified: list[WalkItem] = field(default_factory=list)
    deleted: list[bytes] = field(default_factory=list)
    special: list[bytes] = field(default_factory=list)
    present: bool = True

    @property
    def is_clean(self) -> bool:
        """Whether the working files are exactly the base, as far as it was checked out."""
        return not (self.added or self.modified or self.deleted or self.special)


class Scanner:
    """Scans datasets of one working tree."""

    def __init__(self, root: Path, cache: StatCache, workers: Workers) -> None:
        self._root = root
        self._cache = cache
        self._executor = workers.executor

    def scan(self, dataset: str, base: Base, manifest: Manifest, task: Task, *, known: bool) -> Scan:
        """Compare the working files with `base`, whose manifest is given.

        `known` says that the stat cache holds rows for this base; otherwise all files are compared by content, and
        the base becomes the dataset's. Nodes that are missing make a file count as modified unless its stat is known.
        """
        directory = os.fsencode(self._root / dataset)
        scan = Scan(base)
        rows = self._cache.rows(dataset) if known else _unchecked_rows(manifest)
        settled: dict[bytes, Row] = {}
        try:
            walked = walk_dataset(directory, IgnoreRules.for_dataset(self._root, dataset))
            pending = self._classify(walked, rows, scan, settled)
        except (FileNotFoundError, NotADirectoryError):
            scan.present = False
            scan.deleted = sorted(rows)
            return scan
        scan.deleted = sorted(rows)
        fresh = self._compare(directory, pending, manifest, scan, task)
        scan.modified.sort()
        if known:
            self._cache.update(dataset, base, fresh)
        else:
            self._cache.rebase(dataset, base, {**rows, **settled, **fresh})
        return scan

    def _classify(
        self, walked: Iterable[WalkItem], rows: dict[bytes, Row], scan: Scan, settled: dict[bytes, Row]
    ) -> list[WalkItem]:
        """Sort walked files into `scan`; return those that need a comparison.

        Rows of what is there are taken out of `rows`; those that stay good without being trusted go into `settled`.
        """
        pending = []
        for item in walked:
            row = rows.pop(item.path, None)
            if item.type is FileType.OTHER:
                scan.special.append(item.path)
                if row is not None:
                    scan.modified.append(item)
                    settled[item.path] = row
            elif row is None:
                if scan.base.parts is None:
                    scan.added.append(item)
                else:
                    pending.append(item)
            elif is_trusted(row, item.type, item.stat):
                if row.differs:
                    scan.modified.append(item)
                else:
                    scan.unchanged += 1
            elif item.type is FileType.DIRECTORY and row.kind == FileType.DIRECTORY and not row.differs:
                scan.unchanged += 1
                settled[item.path] = row
            else:
                pending.append(item)
        return pending

    def _compare(
        self, directory: bytes, pending: Sequence[WalkItem], manifest: Manifest, scan: Scan, task: Task
    ) -> dict[bytes, Row]:
        """Compare files by content, sort them into `scan`, and return their rows."""
        task.expect(files=len(pending), bytes=sum(item.stat.st_size for item in pending))
        try:
            entries = find_entries(manifest, [item.path for item in pending])
        except ObjectNotFoundError:
            # Without the base's manifest nothing can be proven equal.
            scan.modified.extend(pending)
            return {}

        def compare(items: Sequence[WalkItem]) -> list[tuple[bool, Row | None]]:
            found = [_compare_one(directory, item, entries.get(item.path), manifest) for item in items]
            task.advance(files=len(items), bytes=sum(item.stat.st_size for item in items))
            return found

        batches = [pending[start : start + _BATCH] for start in range(0, len(pending), _BATCH)]
        rows: dict[bytes, Row] = {}
        for items, results in zip(batches, self._executor.map(compare, batches), strict=True):
            for item, (same, row) in zip(items, results, strict=True):
                if row is not None:
                    rows[item.path] = row
                if same:
                    scan.unchanged += 1
                elif item.path not in entries:
                    scan.added.append(item)
                else:
                    scan.modified.append(item)
        scan.added.sort()
        return rows


def find_entries(manifest: Manifest, paths: Sequence[bytes]) -> dict[bytes, Entry]:
    """Return the entries at `paths`; those that the manifest lacks are left out."""
    if len(paths) <= _SINGLE_LOOKUPS:
        return {path: entry for path in paths if (entry := manifest.get(path)) is not None}
    wanted = set(paths)
    return {entry.path: entry for entry in manifest.entries() if entry.path in wanted}


def _compare_one(directory: bytes, item: WalkItem, entry: Entry | None, manifest: Manifest) -> tuple[bool, Row | None]:
    if entry is None:
        return False, None
    try:
        return compare_item(directory + b"/" + item.path if item.path else directory, item, entry, manifest)
    except ObjectNotFoundError:
        # A long chunk list that is not here; as above, nothing can be proven equal.
        return False, None


def _unchecked_rows(manifest: Manifest) -> dict[bytes, Row]:
    return {entry.path: Row(_type_of(entry), 0, 0, 0, 0, UNCHECKED, 0) for entry in manifest.entries()}


def _type_of(entry: Entry) -> FileType:
    if isinstance(entry, FileEntry):
        return FileType.FILE
    return FileType.LINK if isinstance(entry, LinkEntry) else FileType.DIRECTORY
