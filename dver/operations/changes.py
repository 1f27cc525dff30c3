"""What differs between a dataset's working files and its base, as changes to the base's manifest.

Of a dataset that is partly here, or of a path in one, a new version is made from these alone: files that are absent by
choice stay in it without a look at their entries, and of the manifest only the nodes on the way to a change are read.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from dver.errors import ObjectNotFoundError, PathError
from dver.objects.builder import Summary
from dver.objects.edit import EntryReader, edit_manifest, find_clashes
from dver.objects.entry import DirectoryEntry, Entry, FileEntry
from dver.objects.manifest import Manifest
from dver.objects.paths import parents
from dver.operations.datasets import decode_path, typed
from dver.operations.modes import with_known_modes
from dver.operations.reading import missing_version, open_manifest
from dver.operations.wanted import holds_file
from dver.progress import Task
from dver.repo import Repo
from dver.workspace.compare import stands_for_absent
from dver.workspace.ignore import IgnoreRules
from dver.workspace.ingest import Ingester, ObjectSink
from dver.workspace.statcache import Base, Row, StatCache, is_trusted
from dver.workspace.walk import FileType, WalkItem, walk_dataset, walk_part

_GIT_PART = re.compile(rb"(?:\A|/)\.git(?:/|\Z)", re.IGNORECASE)


@dataclass(slots=True)
class Changes:
    """Changes to a manifest, and what they mean for the stat cache.

    Attributes:
        entries: the new entries by path, None where there is none any more.
        fresh: rows for the files that were looked at.
        gone: paths whose rows no longer hold.
    """

    entries: dict[bytes, Entry | None] = field(default_factory=dict)
    fresh: dict[bytes, Row] = field(default_factory=dict)
    gone: list[bytes] = field(default_factory=list)


def rows_within(cache: StatCache, dataset: str, parts: Sequence[bytes]) -> dict[bytes, Row]:
    """Return the rows of a dataset at and below some paths; without any, all rows."""
    if not parts:
        return cache.rows(dataset)
    rows: dict[bytes, Row] = {}
    for part in parts:
        row = cache.row(dataset, part)
        rows.update({} if row is None else {part: row})
        rows.update(cache.rows(dataset, part + b"/"))
    return rows


class ChangeFinder:
    """Finds what changed in the working files of one dataset, whose manifest may be partly out of reach."""

    def __init__(self, repo: Repo, dataset: str, base: Base, rows: Mapping[bytes, Row]) -> None:
        """Take the base, and the rows for it of all paths that will be looked at.

        Raises:
            VersionNotFoundError: nothing within reach says what the base is.
        """
        self._repo = repo
        self._dataset = dataset
        self._base = base
        self._rows = rows
        self._root = os.fsencode(repo.root / dataset)
        self._complete = repo.cache.has_version(base.version)
        self.manifest: Manifest = open_manifest(repo, base.version, dataset)
        self._reader = EntryReader(self.manifest)

    def find(self, parts: Sequence[bytes], sink: ObjectSink, task: Task) -> Changes:
        """Return what changed at some paths of the dataset, and give `sink` the chunks of new content.

        Raises:
            PathError: something there cannot be stored, there is nothing, or a file takes the place of absent ones.
        """
        found = Changes()
        seen: dict[bytes, WalkItem] = {}
        known = self._known(parts)
        rules = IgnoreRules.for_dataset(self._repo.root, self._dataset)
        for part in parts:
            items = {item.path: item for item in self._walk(part, rules)}
            if part and not items and not known[part]:
                raise self._nothing(part)
            seen.update(items)
        found.gone = sorted(set().union(*known.values()) - seen.keys())
        found.entries.update(dict.fromkeys(found.gone))
        gone = {*found.gone}
        present = [item for item in seen.values() if not stands_for_absent(self._reader, item, gone)]
        self._store(sorted(self._to_read(present)), found, sink, task)
        self._make_room(found)
        return found

    def edit(self, changes: Changes, sink: ObjectSink) -> Summary:
        """Return the version with these changes; its new nodes go to `sink`."""
        try:
            return edit_manifest(self._reader, changes.entries, sink.put_node)
        except ObjectNotFoundError as exc:
            raise missing_version(self._repo, self._base.version, self._dataset) from exc

    def _known(self, parts: Sequence[bytes]) -> dict[bytes, set[bytes]]:
        """Return the paths that have rows, by the parts that they are or lie in."""
        known: dict[bytes, set[bytes]] = {part: set() for part in parts}
        for path in self._rows:
            for above in (path, *parents(path)):
                if above in known:
                    known[above].add(path)
        return known

    def _walk(self, part: bytes, rules: IgnoreRules) -> Iterator[WalkItem]:
        walked = walk_part(self._root, part, rules) if part else walk_dataset(self._root, rules)
        try:
            for item in walked:
                check_storable(self._dataset, item)
                yield item
        except (FileNotFoundError, NotADirectoryError):
            return

    def _nothing(self, part: bytes) -> PathError:
        path = self._path(part)
        if os.path.lexists(self._root + b"/" + part):
            return PathError(path, "is left out by .dverignore", hint="change the pattern that names it")
        return PathError(
            path,
            "there is no such file or directory",
            hint=f"dver rm {typed(path)} takes it out of the dataset; dver ls {typed(self._dataset)} lists what it has",
        )

    def _to_read(self, items: Iterable[WalkItem]) -> Iterator[WalkItem]:
        """Yield those files that are not certainly as in the base with their content stored."""
        trusted = []
        for item in items:
            row = self._rows.get(item.path)
            if row is None or row.differs or not is_trusted(row, item.type, item.stat):
                yield item
            else:
                trusted.append(item)
        if not self._complete:
            entries = self.manifest.find([item.path for item in trusted if item.type is FileType.FILE])
            yield from (item for item in trusted if not self._is_stored(entries.get(item.path)))

    def _is_stored(self, entry: Entry | None) -> bool:
        return not isinstance(entry, FileEntry) or holds_file(self._repo.cache, entry, self.manifest)

    def _store(self, items: Sequence[WalkItem], found: Changes, sink: ObjectSink, task: Task) -> None:
        size = sum(item.stat.st_size for item in items if item.type is FileType.FILE)
        task.expect(files=len(items), bytes=size)
        ingester = Ingester(self._root, sink, self._repo.chunker, self._repo.workers, task)
        for ingested in with_known_modes(self._repo, ingester.run(items), lambda: self._reader):
            found.entries[ingested.entry.path] = ingested.entry
            if ingested.row is not None:
                found.fresh[ingested.entry.path] = ingested.row

    def _make_room(self, found: Changes) -> None:
        """Take out empty directories that have files now, and refuse what would take the place of absent files."""
        for path in list(find_clashes(self._reader, found.entries)):
            if path not in found.entries and isinstance(self._reader.get(path), DirectoryEntry):
                found.entries[path] = None
                found.gone.append(path)
                continue
            shown = self._path(path)
            raise PathError(
                shown,
                "is a file on one side and a folder on the other, here and in the version, whose files are not here",
                hint=f"dver rm --keep {typed(shown)} takes what is not here out of the dataset",
            )

    def _path(self, part: bytes) -> str:
        return f"{self._dataset}/{decode_path(part)}" if part else self._dataset


def check_storable(dataset: str, item: WalkItem) -> None:
    """Raise PathError for what no dataset can hold."""
    if item.type is FileType.OTHER:
        reason, hint = "is a socket, device or named pipe", "remove it, or name it in .dverignore"
    elif _GIT_PART.search(item.path):
        reason, hint = "belongs to a git repository inside the dataset", "name it in .dverignore, or move it away"
    else:
        return
    raise PathError(f"{dataset}/{os.fsdecode(item.path)}", reason, hint=hint)
