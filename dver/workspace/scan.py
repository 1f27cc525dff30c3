"""How a dataset's working files differ from its base, the version they were last equal to.

The stat cache answers for files whose stat is unchanged, and for whole folders in which nothing changed; only the
others are compared by content, in parallel, and the answers are kept, so that a second scan reads no data. What
compares, and the manifest to compare with, is loaded only then.
"""

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from dver.errors import ObjectNotFoundError
from dver.progress import Task
from dver.workers import Workers
from dver.workspace.ignore import IgnoreRules
from dver.workspace.statcache import Base, Row, StatCache, folder_fingerprint, folder_of, is_trusted
from dver.workspace.walk import FileType, Folder, WalkItem, walk_folders

if TYPE_CHECKING:
    from dver.objects.manifest import Manifest

_Marked: TypeAlias = tuple[Folder, bytes]

_BATCH = 64
_path_of = attrgetter("path")


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
        self._workers = workers

    def scan(
        self,
        dataset: str,
        base: Base,
        open_manifest: "Callable[[], Manifest]",
        task: Task,
        *,
        known: bool,
        adopt: bool = False,
    ) -> Scan:
        """Compare the working files with `base`, whose manifest is opened where it is needed.

        `known` says that the stat cache holds rows for this base; otherwise all files are compared by content, and the
        base becomes the dataset's if none is missing, or `adopt` says so. Nodes that are missing make a file count as
        modified unless its stat is known.
        """
        directory = os.fsencode(self._root / dataset)
        scan = Scan(base)
        folders = walk_folders(directory, IgnoreRules.for_dataset(self._root, dataset))
        marks = self._cache.folders(dataset) if known else {}
        try:
            changed, passed = _pass_over(folders, marks, scan)
        except (FileNotFoundError, NotADirectoryError):
            scan.present = False
            scan.deleted = sorted(self._cache.rows(dataset) if known else _unchecked_rows(open_manifest()))
            return scan
        if not changed:
            return scan
        rows = self._rows(dataset, changed, passed) if known else _unchecked_rows(open_manifest())
        settled: dict[bytes, Row] = {}
        items = chain.from_iterable(folder.items() for folder, _ in changed)
        pending = self._classify(items, rows, scan, settled)
        scan.deleted = sorted(rows)
        still = _unchanged_folders(changed, scan, pending) if known else {}
        fresh = self._compare(directory, pending, open_manifest, scan, task) if pending else {}
        for found in (scan.added, scan.modified):
            found.sort(key=_path_of)
        scan.special.sort()
        if known:
            self._cache.update(dataset, base, fresh, still)
        elif adopt or not scan.deleted:
            # With something missing, nobody knows whether it was ever here, and a base says that it was.
            self._cache.rebase(dataset, base, {**rows, **settled, **fresh})
        return scan

    def _rows(self, dataset: str, changed: Iterable[_Marked], passed: Collection[bytes]) -> dict[bytes, Row]:
        """Return the rows of what is, or was, in changed folders and in folders of theirs that are gone."""
        rows: dict[bytes, Row] = {}
        top: bytes | None = None
        for prefix in sorted(folder.prefix for folder, _ in changed):
            if top is None or not prefix.startswith(top):
                top = prefix
                rows.update(self._cache.rows(dataset, prefix))
        return {path: row for path, row in rows.items() if folder_of(path) not in passed} if passed else rows

    def _classify(
        self, walked: Iterable[WalkItem], rows: dict[bytes, Row], scan: Scan, settled: dict[bytes, Row]
    ) -> list[WalkItem]:
        """Sort walked files into `scan`; return those that need a comparison, in order.

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
                if scan.base.choice is None:
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
        pending.sort(key=_path_of)
        return pending

    def _compare(
        self,
        directory: bytes,
        pending: Sequence[WalkItem],
        open_manifest: "Callable[[], Manifest]",
        scan: Scan,
        task: Task,
    ) -> dict[bytes, Row]:
        """Compare files by content, sort them into `scan`, and return their rows."""
        from dver.workspace.compare import compare_if_there, stands_for_absent  # noqa: PLC0415

        manifest = open_manifest()
        task.expect(files=len(pending), bytes=sum(item.stat.st_size for item in pending))
        try:
            entries = manifest.find([item.path for item in pending])
            gone = {*scan.deleted}
            pending = [item for item in pending if not stands_for_absent(manifest, item, gone)]
        except ObjectNotFoundError:
            # Without the base's manifest nothing can be proven equal.
            scan.modified.extend(pending)
            return {}

        def compare(items: Sequence[WalkItem]) -> list[tuple[bool, Row | None]]:
            found = [compare_if_there(directory, item, entries.get(item.path), manifest) for item in items]
            task.advance(files=len(items), bytes=sum(item.stat.st_size for item in items))
            return found

        batches = [pending[start : start + _BATCH] for start in range(0, len(pending), _BATCH)]
        rows: dict[bytes, Row] = {}
        for items, results in zip(batches, self._workers.executor.map(compare, batches), strict=True):
            for item, (same, row) in zip(items, results, strict=True):
                if row is not None:
                    rows[item.path] = row
                if same:
                    scan.unchanged += 1
                elif item.path not in entries:
                    scan.added.append(item)
                else:
                    scan.modified.append(item)
        return rows


def _pass_over(folders: Iterable[Folder], marks: Mapping[bytes, bytes], scan: Scan) -> tuple[list[_Marked], set[bytes]]:
    """Count the files of folders whose fingerprint is the known one, and pass over these.

    Returns:
        The other folders with their fingerprints, and the prefixes of those that were passed over.
    """
    changed, passed = [], set()
    for folder in folders:
        mark = folder_fingerprint(folder.files, folder.folders)
        if marks.get(folder.prefix) == mark:
            scan.unchanged += len(folder.files)
            passed.add(folder.prefix)
        else:
            changed.append((folder, mark))
    return changed, passed


def _unchanged_folders(changed: Sequence[_Marked], scan: Scan, pending: Sequence[WalkItem]) -> dict[bytes, bytes]:
    """Return the fingerprints of those folders in which all is certainly as in the base, and nothing is gone."""
    found = chain(pending, scan.added, scan.modified)
    loud = {folder_of(path) for path in chain((item.path for item in found), scan.special)}
    for path in scan.deleted:
        prefix = folder_of(path)
        # A folder that is gone makes the one around it another one.
        while prefix and prefix not in loud:
            loud.add(prefix)
            prefix = folder_of(prefix[:-1])
        loud.add(prefix)
    return {folder.prefix: mark for folder, mark in changed if folder.prefix not in loud}


def _unchecked_rows(manifest: "Manifest") -> dict[bytes, Row]:
    from dver.workspace.compare import unchecked_row  # noqa: PLC0415

    return {entry.path: unchecked_row(entry) for entry in manifest.entries()}
