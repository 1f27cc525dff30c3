"""How a dataset's working files differ from its base, the version they were last equal to.

The stat cache answers for files whose stat is unchanged, and for whole folders in which nothing changed; only the
others are compared by content, in parallel, and the answers are kept, so that a second scan reads no data. What
compares, and the manifest to compare with, is loaded only then. Files are taken in batches, so that memory holds what
differs, and not all that is there.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

from dver.errors import ObjectNotFoundError
from dver.progress import Task
from dver.workers import Workers
from dver.workspace.ahead import Place, fingerprint, look_ahead
from dver.workspace.ignore import IgnoreRules
from dver.workspace.pieces import Piece, in_batches, pieces_of
from dver.workspace.statcache import Base, Row, StatCache, count_files, folder_of, is_trusted
from dver.workspace.walk import FileType, Folder, Seen, WalkItem, walk_folders

if TYPE_CHECKING:
    from dver.objects.manifest import Manifest

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

    def take(self, other: "Scan") -> None:
        """Take over what another scan found of other files of the dataset."""
        self.unchanged += other.unchanged
        self.added += other.added
        self.modified += other.modified
        self.deleted += other.deleted
        self.special += other.special

    def sort(self) -> None:
        """Put all paths in order."""
        self.added.sort(key=_path_of)
        self.modified.sort(key=_path_of)
        self.deleted.sort()
        self.special.sort()


class Scanner:
    """Scans datasets of one working tree."""

    def __init__(self, root: Path, cache: StatCache, workers: Workers, *, heed_modes: bool = True) -> None:
        self._root = root
        self._heed_modes = heed_modes
        self._cache = cache
        self._workers = workers
        self._looked: dict[str, _Looked] = {}

    @contextmanager
    def looking_ahead(self, datasets: Iterable[str]) -> Iterator[None]:
        """Return a context in which datasets are to be scanned, once each: it looks at all of them at once, first.

        That takes several processes where there are many files. It is best begun before anything makes a thread.
        """
        names = {*datasets}
        bases = self._cache.bases() if names else {}
        self._looked = self._look_ahead({dataset: base for dataset, base in bases.items() if dataset in names})
        try:
            yield
        finally:
            self._looked = {}

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
        looked = self._look(dataset, base) if known else _Looked(base, self._place(dataset, {}), {})
        scan = Scan(base)
        changed = self._changed(looked, scan)
        if changed is None:
            scan.present = False
            scan.deleted = sorted(self._cache.paths(dataset) if known else _unchecked_rows(open_manifest()))
            return scan
        comparer = _Comparer(
            looked.place.directory, open_manifest, self._workers, scan, task, heed_modes=self._heed_modes
        )
        if known:
            self._settle_known(dataset, changed, scan, comparer)
        else:
            self._settle_unknown(dataset, changed, scan, comparer, adopt=adopt)
        scan.sort()
        return scan

    def suspects(self, dataset: str, base: Base, *, most: int) -> Scan | None:
        """Compare the working files with a base that the stat cache has rows for, without reading any of them.

        Files that may be as in the base, for all that their stats tell, count as modified. None, if there is nothing at
        all, or what may differ is more than `most` paths.
        """
        scan = Scan(base)
        changed = self._changed(self._look(dataset, base), scan)
        if changed is None:
            return None
        for part, pending, quiet in self._classified(dataset, changed, base):
            part.modified += pending
            scan.take(part)
            self._cache.update(dataset, base, {}, quiet)
            if len(scan.added) + len(scan.modified) + len(scan.deleted) > most:
                return None
        scan.sort()
        return scan

    def _look(self, dataset: str, base: Base) -> "_Looked":
        looked = self._looked.pop(dataset, None)
        return looked if looked is not None and looked.base == base else self._look_ahead({dataset: base})[dataset]

    def _place(self, dataset: str, marks: Mapping[bytes, bytes]) -> Place:
        return Place(os.fsencode(self._root / dataset), IgnoreRules.for_dataset(self._root, dataset), marks)

    def _look_ahead(self, bases: Mapping[str, Base]) -> "dict[str, _Looked]":
        places = [self._place(dataset, self._cache.folders(dataset)) for dataset in bases]
        found = zip(bases.items(), places, look_ahead(places, self._workers.jobs), strict=True)
        return {dataset: _Looked(base, place, seen) for (dataset, base), place, seen in found}

    def _changed(self, looked: "_Looked", scan: Scan) -> Iterator[Sequence[Piece]] | None:
        """Return what is in folders that are not as they were, in batches; None if there is nothing at all."""
        walk = walk_folders(looked.place.directory, looked.place.rules, looked.seen)
        try:
            first = next(walk)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return in_batches(_pass_over(chain([first], walk), looked.place.marks, scan))

    def _settle_known(
        self, dataset: str, changed: Iterator[Sequence[Piece]], scan: Scan, comparer: "_Comparer"
    ) -> None:
        """Sort what is in changed folders into `scan` by what the stat cache knows, and keep what comes to light."""
        for part, pending, quiet in self._classified(dataset, changed, scan.base):
            scan.take(part)
            self._cache.update(dataset, scan.base, comparer.compare(pending), quiet)
        scan.deleted.sort()
        self._cache.update(dataset, scan.base, comparer.finish())

    def _classified(
        self, dataset: str, changed: Iterator[Sequence[Piece]], base: Base
    ) -> "Iterator[tuple[Scan, list[WalkItem], dict[bytes, bytes]]]":
        """Yield what the stat cache tells of changed folders: a scan of some, what needs a comparison, fingerprints."""
        loud: set[bytes] = set()
        for batch in changed:
            part = Scan(base)
            rows: dict[bytes, Row] = {}
            for some in self._cache.rows_between(dataset, [each for piece in batch for each in piece.ranges]):
                rows |= some
            pending = _classify(batch, rows, part, {})
            part.deleted = sorted(rows)
            loud |= _loud_folders(batch, part, pending)
            quiet = {piece.prefix: piece.mark for piece in batch if piece.mark and piece.prefix not in loud}
            yield part, pending, quiet

    def _settle_unknown(
        self,
        dataset: str,
        changed: Iterator[Sequence[Piece]],
        scan: Scan,
        comparer: "_Comparer",
        *,
        adopt: bool,
    ) -> None:
        """Compare everything with the manifest, and make that the base where one can know that it is."""
        rows = _unchecked_rows(comparer.manifest)
        settled: dict[bytes, Row] = {}
        for batch in changed:
            part = Scan(scan.base)
            pending = _classify(batch, rows, part, settled)
            scan.take(part)
            settled |= comparer.compare(pending)
        scan.deleted = sorted(rows)
        settled |= comparer.finish()
        if adopt or not scan.deleted:
            # With something missing, nobody knows whether it was ever here, and a base says that it was.
            self._cache.rebase(dataset, scan.base, settled | rows)


@dataclass(frozen=True, slots=True)
class _Looked:
    """What is known of a dataset before it is scanned, and which of its folders were seen to be as they were."""

    base: Base
    place: Place
    seen: Mapping[bytes, Seen]


class _Comparer:
    """Compares files of a dataset by content, and sorts them into a scan."""

    def __init__(
        self,
        directory: bytes,
        open_manifest: "Callable[[], Manifest]",
        workers: Workers,
        scan: Scan,
        task: Task,
        *,
        heed_modes: bool,
    ) -> None:
        self._heed_modes = heed_modes
        self._directory = directory
        self._open_manifest = open_manifest
        self._workers = workers
        self._scan = scan
        self._task = task
        self._empty: list[WalkItem] = []

    @cached_property
    def manifest(self) -> "Manifest":
        """The manifest of the base."""
        return self._open_manifest()

    def compare(self, pending: Sequence[WalkItem]) -> dict[bytes, Row]:
        """Compare files, and return their rows. Empty directories are put off."""
        self._empty += [item for item in pending if item.type is FileType.DIRECTORY]
        return self._compare([item for item in pending if item.type is not FileType.DIRECTORY])

    def finish(self) -> dict[bytes, Row]:
        """Compare the empty directories, now that the scan has all that is gone, and return their rows."""
        if not self._empty:
            return {}
        from dver.workspace.compare import stands_for_absent  # noqa: PLC0415

        try:
            gone = {*self._scan.deleted}
            pending = [item for item in self._empty if not stands_for_absent(self.manifest, item, gone)]
        except ObjectNotFoundError:
            pending = self._empty
        return self._compare(pending)

    def _compare(self, pending: Sequence[WalkItem]) -> dict[bytes, Row]:
        if not pending:
            return {}
        from dver.workspace.compare import compare_if_there  # noqa: PLC0415

        self._task.expect(files=len(pending), bytes=sum(item.stat.st_size for item in pending))
        try:
            entries = self.manifest.find([item.path for item in pending])
        except ObjectNotFoundError:
            # Without the base's manifest nothing can be proven equal.
            self._scan.modified.extend(pending)
            return {}

        def compare(items: Sequence[WalkItem]) -> list[tuple[bool, Row | None]]:
            found = [
                compare_if_there(
                    self._directory, item, entries.get(item.path), self.manifest, heed_modes=self._heed_modes
                )
                for item in items
            ]
            self._task.advance(files=len(items), bytes=sum(item.stat.st_size for item in items))
            return found

        batches = [pending[start : start + _BATCH] for start in range(0, len(pending), _BATCH)]
        rows: dict[bytes, Row] = {}
        for items, results in zip(batches, self._workers.executor.map(compare, batches), strict=True):
            for item, (same, row) in zip(items, results, strict=True):
                if row is not None:
                    rows[item.path] = row
                if same:
                    self._scan.unchanged += 1
                elif item.path not in entries:
                    self._scan.added.append(item)
                else:
                    self._scan.modified.append(item)
        return rows


def _pass_over(walk: Iterable[Folder | bytes], marks: Mapping[bytes, bytes], scan: Scan) -> Iterator[Piece]:
    """Count the files of folders that were seen, or whose fingerprint is the known one; yield the pieces of others."""
    for found in walk:
        prefix = found if isinstance(found, bytes) else found.prefix
        mark = marks.get(prefix)
        if mark is not None and (isinstance(found, bytes) or fingerprint(found) == mark):
            scan.unchanged += count_files(mark)
        elif not isinstance(found, bytes):
            yield from pieces_of(found)


def _classify(batch: Iterable[Piece], rows: dict[bytes, Row], scan: Scan, settled: dict[bytes, Row]) -> list[WalkItem]:
    """Sort walked files into `scan`; return those that need a comparison, in order.

    Rows of what is there are taken out of `rows`; those that stay good without being trusted go into `settled`.
    """
    pending = []
    for item in chain.from_iterable(piece.items() for piece in batch):
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


def _loud_folders(batch: Iterable[Piece], part: Scan, pending: Iterable[WalkItem]) -> set[bytes]:
    """Return the folders in which not all is certainly as in the base, or something is gone."""
    loud = {folder_of(item.path) for item in chain(pending, part.added, part.modified)}
    loud.update(map(folder_of, part.special))
    prefixes = {piece.prefix for piece in batch}
    for path in part.deleted:
        prefix = folder_of(path)
        # A folder that is gone makes the one around it another one.
        while prefix not in prefixes:
            prefix = folder_of(prefix[:-1])
        loud.add(prefix)
    return loud


def _unchecked_rows(manifest: "Manifest") -> dict[bytes, Row]:
    from dver.workspace.compare import unchecked_row  # noqa: PLC0415

    return {entry.path: unchecked_row(entry) for entry in manifest.entries()}
