"""The three-way merge of manifests, path by path, from what differs between them alone.

What one side changed is taken from that side, and what both changed alike stands. What they changed differently is a
conflict of its path; until a ruling decides it, the merge holds what ours has there. A path that became a file on one
side and a folder on the other is one conflict of the path and all below it. An empty directory is never in conflict:
it gives way to a file of its name and to whatever lies below it.

Invariant: the same three manifests and rulings give the same result, so a merge can be made again at any time.
"""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from dver.objects.diff import diff_manifests
from dver.objects.entry import DirectoryEntry, Entry, FileEntry
from dver.objects.manifest import Manifest
from dver.objects.paths import is_within, parents


class Side(StrEnum):
    """The two sides of a merge, under git's names."""

    OURS = "ours"
    THEIRS = "theirs"

    @property
    def other(self) -> "Side":
        """The side across."""
        return Side.THEIRS if self is Side.OURS else Side.OURS


class ConflictKind(StrEnum):
    """How the sides disagree about a path."""

    BOTH_CHANGED = "changed on both sides"
    BOTH_ADDED = "added on both sides"
    DELETED_IN_THEIRS = "changed in ours, deleted in theirs"
    DELETED_IN_OURS = "deleted in ours, changed in theirs"
    FILE_IN_OURS = "a file in ours, a folder in theirs"
    FILE_IN_THEIRS = "a folder in ours, a file in theirs"


@dataclass(frozen=True, slots=True)
class PathConflict:
    """A path that the sides disagree about; the path of a dataset that is one file is b""."""

    path: bytes
    kind: ConflictKind


@dataclass(frozen=True, slots=True)
class Ruling:
    """The side that is taken in all conflicts at and below a path."""

    side: Side
    path: bytes


@dataclass(frozen=True, slots=True)
class Merged:
    """The outcome of a merge.

    Attributes:
        changes: what differs from ours, by path in order: an entry, or None where ours' is deleted.
        conflicts: what no ruling has decided, in path order.
        decided: the conflicts that rulings decided, in path order.
    """

    changes: Mapping[bytes, Entry | None]
    conflicts: tuple[PathConflict, ...] = ()
    decided: tuple[PathConflict, ...] = ()


@dataclass(frozen=True, slots=True)
class _Versions:
    """What the three manifests have at one path."""

    base: Entry | None
    ours: Entry | None
    theirs: Entry | None

    def of(self, side: Side) -> Entry | None:
        return self.ours if side is Side.OURS else self.theirs

    def files(self) -> tuple[Entry | None, Entry | None, Entry | None]:
        return _file(self.base), _file(self.ours), _file(self.theirs)

    def keeps_directory(self) -> bool:
        """Whether an empty directory stays: the side that changed whether there is one has its way."""
        base, ours, theirs = (isinstance(entry, DirectoryEntry) for entry in (self.base, self.ours, self.theirs))
        return theirs if ours == base else ours


def merge_manifests(
    base: Manifest | None, ours: Manifest, theirs: Manifest, rulings: Sequence[Ruling] = (), rest: Side | None = None
) -> Merged:
    """Return the merge of two manifests that both came from `base`, or from nothing in common where that is None.

    Of several rulings that cover a conflict the last one counts; `rest` decides those that none covers.
    """
    return _Merge(_differing(base, ours, theirs), rulings, rest).run()


def merged_entries(ours: Manifest, changes: Mapping[bytes, Entry | None]) -> Iterator[Entry]:
    """Yield the entries of a merge in path order, from those of ours and what differs from them."""
    pending = deque(sorted(changes.items(), key=lambda item: item[0]))
    for entry in ours.entries():
        while pending and pending[0][0] < entry.path:
            yield from _present(pending.popleft()[1])
        if pending and pending[0][0] == entry.path:
            yield from _present(pending.popleft()[1])
        else:
            yield entry
    for _, entry_or_none in pending:
        yield from _present(entry_or_none)


def _present(entry: Entry | None) -> Iterator[Entry]:
    if entry is not None:
        yield entry


def _differing(base: Manifest | None, ours: Manifest, theirs: Manifest) -> dict[bytes, _Versions]:
    """Return what the manifests have at the paths that a side changed and the sides are not agreed on, in order."""
    if base is None:
        return {change.path: _Versions(None, change.old, change.new) for change in diff_manifests(ours, theirs)}
    found = {change.path: _Versions(change.old, change.new, change.old) for change in diff_manifests(base, ours)}
    for change in diff_manifests(base, theirs):
        known = found.pop(change.path, None)
        mine = change.old if known is None else known.ours
        if mine != change.new:
            found[change.path] = _Versions(change.old, mine, change.new)
    return dict(sorted(found.items()))


@dataclass(slots=True)
class _Merge:
    """One merge in the making; `results` holds files only until directories are settled."""

    versions: Mapping[bytes, _Versions]
    rulings: Sequence[Ruling]
    rest: Side | None
    results: dict[bytes, Entry | None] = field(default_factory=dict)
    directories: list[bytes] = field(default_factory=list)
    conflicts: list[PathConflict] = field(default_factory=list)
    decided: list[PathConflict] = field(default_factory=list)

    def run(self) -> Merged:
        roots = _collisions(self.versions)
        sides = {root: self._decide(PathConflict(root, kind)) for root, kind in sorted(roots.items())}
        for path, versions in self.versions.items():
            root = next((above for above in (path, *parents(path)) if above in roots), None)
            self._merge_path(path, versions, None if root is None else sides[root])
        self._settle_directories()
        changes = {path: entry for path, entry in self.results.items() if entry != self.versions[path].ours}
        self.conflicts.sort(key=lambda conflict: conflict.path)
        self.decided.sort(key=lambda conflict: conflict.path)
        return Merged(changes, tuple(self.conflicts), tuple(self.decided))

    def _merge_path(self, path: bytes, versions: _Versions, side: Side | None) -> None:
        """Settle a path, from one side alone if there is one given."""
        keeps_directory = versions.keeps_directory()
        result = None
        if side is None:
            merged = _merge_files(versions)
            if isinstance(merged, ConflictKind):
                side = self._decide(PathConflict(path, merged))
            else:
                result = merged
        if side is not None:
            result = _file(versions.of(side))
            keeps_directory = isinstance(versions.of(side), DirectoryEntry)
        self.results[path] = result
        if keeps_directory and result is None:
            self.directories.append(path)

    def _decide(self, conflict: PathConflict) -> Side:
        """Note a conflict, and return the side that it gets its content from, if only for now."""
        side = self.rest
        for ruling in self.rulings:
            if is_within(conflict.path, ruling.path):
                side = ruling.side
        (self.conflicts if side is None else self.decided).append(conflict)
        return side or Side.OURS

    def _settle_directories(self) -> None:
        """Keep those empty directories that nothing lies below and no file above, the deepest first."""
        alive = sorted(path for path, entry in self.results.items() if entry is not None)
        files = set(alive)
        for path in reversed(self.directories):
            if not _any_below(alive, path) and files.isdisjoint(parents(path)):
                self.results[path] = DirectoryEntry(path)
                insort(alive, path)


def _collisions(versions: Mapping[bytes, _Versions]) -> dict[bytes, ConflictKind]:
    """Return the paths that one side made or changed as a file and the other as a folder of files.

    A file that its side left alone is none: the other side deleted it to have the folder, and the same holds of the
    files in a folder.
    """
    ours, theirs = set(), set()
    for path, found in versions.items():
        base, mine, other = found.files()
        if mine is not None and mine != base:
            ours.add(path)
        if other is not None and other != base:
            theirs.add(path)
    roots = {above: ConflictKind.FILE_IN_OURS for path in theirs for above in parents(path) if above in ours}
    roots.update({above: ConflictKind.FILE_IN_THEIRS for path in ours for above in parents(path) if above in theirs})
    return roots


def _merge_files(versions: _Versions) -> Entry | ConflictKind | None:
    """Return what becomes of a file or link, None for nothing."""
    base, ours, theirs = versions.files()
    if theirs in (ours, base):
        return ours
    if ours == base:
        return theirs
    if ours is None:
        return ConflictKind.DELETED_IN_OURS
    if theirs is None:
        return ConflictKind.DELETED_IN_THEIRS
    if base is None:
        return ConflictKind.BOTH_ADDED
    return _merge_content_and_mode(base, ours, theirs) or ConflictKind.BOTH_CHANGED


def _merge_content_and_mode(base: Entry, ours: Entry, theirs: Entry) -> FileEntry | None:
    """Merge the content of a file and whether it is executable each on its own; None if both changed the content."""
    if not (isinstance(base, FileEntry) and isinstance(ours, FileEntry) and isinstance(theirs, FileEntry)):
        return None
    if ours.same_content(theirs) or theirs.same_content(base):
        content = ours
    elif ours.same_content(base):
        content = theirs
    else:
        return None
    executable = theirs.executable if ours.executable == base.executable else ours.executable
    return replace(content, executable=executable)


def _file(entry: Entry | None) -> Entry | None:
    return None if isinstance(entry, DirectoryEntry) else entry


def _any_below(ordered: Sequence[bytes], path: bytes) -> bool:
    if not path:
        return any(ordered)
    below = path + b"/"
    at = bisect_left(ordered, below)
    return at < len(ordered) and ordered[at].startswith(below)
