"""Drop: free the disk space of working files whose content is stored, and go on tracking them.

Everything is planned first, for all datasets, and only then are files deleted. A file goes only if it is what its
version says, and if every chunk of it was read from the cache undamaged, or a remote has its version, with all packs of
it. What is dropped counts as absent by choice, noted before the first file goes: a command that is killed leaves
files that still are what they were, and run again deletes the rest. Planning takes its time, so each file is looked at
once more right before it goes.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass

from dver.errors import DataLossError, DverError, IntegrityError, NotFoundError, ObjectNotFoundError, PathError
from dver.objects.edit import EntryReader
from dver.objects.entry import FileEntry
from dver.objects.ids import ChunkId, VersionId
from dver.objects.paths import parents
from dver.objects.pointer import DatasetKind, Pointer
from dver.operations.as_remote import counting_on, same_place_hint, same_place_text
from dver.operations.datasets import decode_path, select, typed, working_datasets
from dver.operations.reading import open_manifest
from dver.operations.relying import leave_word
from dver.operations.rewrite import pointer_of
from dver.operations.run_guard import check_free
from dver.operations.selection import not_in_dataset
from dver.operations.status import scan_dataset
from dver.operations.stock import Stock
from dver.progress import NO_PROGRESS, Progress, Task
from dver.repo import Repo
from dver.storage.index import LOOKUP_BATCH
from dver.storage.same_place import are_one
from dver.storage.store import Store
from dver.workspace.choice import Choice, Rule
from dver.workspace.compare import compare_if_there
from dver.workspace.deletion import dataset_folders, delete_files, remove_empty_below
from dver.workspace.ignore import IGNORE_FILE
from dver.workspace.scan import Scan
from dver.workspace.statcache import Base, is_trusted
from dver.workspace.walk import FileType, WalkItem, file_type

_RULES = os.fsencode(IGNORE_FILE)
CACHE = "the cache"
# For somebody who is cleaning a remote that is a folder.
_PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Drop:
    """What is dropped of one dataset. Paths in bytes are relative to it.

    Attributes:
        parts: the paths in it that were asked for; none for the whole.
        deletes: the files, links and empty folders to delete, in path order.
        files: how many files that are.
        size: the bytes of these.
        unchanged: how many of `deletes` are what the version says.
        forgets: the paths that the stat cache is to forget.
        base: what is known of the working files afterwards.
        stored_in: where the unchanged ones are stored, "the cache" or the name of a remote; None for nowhere.
        changed: files that are not what the version says, relative to the repository.
    """

    dataset: str
    parts: tuple[bytes, ...]
    deletes: tuple[bytes, ...]
    files: int
    size: int
    unchanged: int
    forgets: tuple[bytes, ...]
    base: Base | None
    stored_in: str | None
    changed: tuple[str, ...]

    @property
    def lost(self) -> int:
        """How many of those that are deleted are stored nowhere."""
        return len(self.deletes) - (0 if self.stored_in is None else self.unchanged)

    @property
    def is_safe(self) -> bool:
        """Whether nothing is lost, nor in the way."""
        return not (self.changed or self.lost)


def drop(
    repo: Repo, paths: Sequence[str], *, force: bool = False, dry_run: bool = False, progress: Progress = NO_PROGRESS
) -> list[Drop]:
    """Delete the working files of datasets, or of paths in them, relative to the repository; pointers stay.

    Args:
        force: delete what is stored nowhere as well.
        dry_run: only plan.

    Raises:
        LockedError: a run makes one of them, or was killed while it did.
        DataLossError: data would be lost; nothing was deleted, unless a file was changed since the deleting began.
        PathError: a path is no dataset, nor in one, or a checkout of the dataset is unfinished.
    """
    with repo.lock(), repo.storing():
        with progress.task("comparing", bytes=0, files=0) as task:
            targets = _targets(repo, paths)
            remotes = _Remotes(repo, targets, dry_run=dry_run)
            drops = [_plan(repo, asked, remotes, task, force=force) for asked in targets]
        if dry_run:
            return drops
        for one in drops:
            if not (force or one.is_safe):
                raise _refusal(repo, one, remotes.same_as_cache)
        for one in drops:
            _carry_out(repo, one, force=force)
        return drops


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is to be dropped: a dataset, or `parts` of it."""

    dataset: str
    parts: tuple[bytes, ...]
    pointer: Pointer

    def chooser(self) -> Callable[[bytes], bool]:
        """Return what says whether a path of the dataset is meant."""
        wanted = frozenset(self.parts or (b"",))
        return lambda path: path in wanted or any(above in wanted for above in parents(path))

    def base_afterwards(self, base: Base) -> Base:
        """Return what is known of the working files once the drop is done."""
        if not self.parts:
            # Where nothing is, all versions are alike.
            return Base(self.pointer.version, Choice())
        choice = Choice.of_paths([b""]) if base.choice is None else base.choice
        return Base(base.version, choice.then(*(Rule(False, part) for part in self.parts)))


def _targets(repo: Repo, paths: Sequence[str]) -> list[_Asked]:
    """Return what paths mean, by dataset, without parts that lie in others."""
    found: dict[str, list[bytes]] = {}
    for target in select(working_datasets(repo), paths):
        found.setdefault(target.dataset, []).extend([target.part] if target.part else [])
    check_free(repo.dver_dir, list(found))
    asked = []
    for dataset, parts in found.items():
        known = frozenset(parts)
        outer = tuple(part for part in parts if known.isdisjoint(parents(part)))
        asked.append(_Asked(dataset, outer, pointer_of(repo, dataset)))
    return asked


def _plan(repo: Repo, asked: _Asked, remotes: "_Remotes", task: Task, *, force: bool) -> Drop:
    dataset = asked.dataset
    if asked.parts and asked.pointer.kind is DatasetKind.FILE:
        raise PathError(dataset, "is a single file and has no parts")
    if repo.stat_cache.is_unfinished(dataset):
        raise PathError(dataset, "a checkout of it was cut off", hint=f"dver checkout {typed(dataset)} goes on with it")
    scan = scan_dataset(repo, dataset, asked.pointer.version, task)
    _check_exist(repo, dataset, asked.parts, asked.pointer.version if scan is None else scan.base.version)
    return _nothing_here(repo, asked) if scan is None else _plan_scanned(repo, asked, scan, remotes, force=force)


def _check_exist(repo: Repo, dataset: str, parts: Sequence[bytes], version: VersionId) -> None:
    # What was added and is no part of the version yet is refused as such.
    root = os.fsencode(repo.root / dataset)
    absent = [part for part in parts if not os.path.lexists(root + b"/" + part)]
    if not absent:
        return
    manifest = EntryReader(open_manifest(repo, version, dataset))
    found = manifest.find(absent)
    for part in absent:
        # A folder that holds something has no entry of its own.
        if part not in found and next(manifest.entries(part), None) is None:
            raise not_in_dataset(dataset, part)


def _nothing_here(repo: Repo, asked: _Asked) -> Drop:
    """Return the plan for a dataset without files: what is asked for is to stay away."""
    base = repo.stat_cache.base(asked.dataset)
    if base is not None:
        base = asked.base_afterwards(base)
    elif not asked.parts:
        base = Base(asked.pointer.version, Choice())
    return Drop(asked.dataset, asked.parts, (), 0, 0, 0, (), base, None, ())


def _plan_scanned(repo: Repo, asked: _Asked, scan: Scan, remotes: "_Remotes", *, force: bool) -> Drop:
    if repo.stat_cache.base(asked.dataset) is None:
        # Some of it is missing, and it is not known whether that was ever here.
        raise PathError(
            asked.dataset,
            "was not checked out here, and some of its files are missing",
            hint=f"dver checkout {typed(asked.dataset)} brings them; then it can be dropped",
        )
    is_meant = asked.chooser()
    rows = {path: row for path, row in repo.stat_cache.rows(asked.dataset).items() if is_meant(path)}
    changed = {item.path: item for item in (*scan.added, *scan.modified) if is_meant(item.path)}
    loud = changed.keys() | {path for path in scan.special if is_meant(path)}
    same = rows.keys() - loud - {*scan.deleted}
    sizes = {path: rows[path].size for path in same if rows[path].kind == FileType.FILE}
    if force:
        sizes |= {path: item.stat.st_size for path, item in changed.items() if item.type is FileType.FILE}
    return Drop(
        asked.dataset,
        asked.parts,
        tuple(sorted(same | loud if force else same)),
        len(sizes),
        sum(sizes.values()),
        len(same),
        tuple(rows),
        asked.base_afterwards(scan.base),
        _where_stored(repo, asked, scan.base.version, same, remotes) if same else None,
        tuple(_join(asked.dataset, path) for path in sorted(loud)),
    )


def _where_stored(repo: Repo, asked: _Asked, version: VersionId, paths: Set[bytes], remotes: "_Remotes") -> str | None:
    """Return a place that has the content of files of a version, the cache before the remotes."""
    return CACHE if _is_in(repo.cache, version, paths, is_whole=not asked.parts) else remotes.one_with(version)


class _Remotes:
    """The remotes, each of which is told once what is needed of it, when it is first asked.

    Attributes:
        same_as_cache: those that are the cache itself, and have no second copy of anything.
    """

    def __init__(self, repo: Repo, targets: Sequence[_Asked], *, dry_run: bool) -> None:
        self._repo = repo
        bases = (repo.stat_cache.base(asked.dataset) for asked in targets)
        self._versions = {asked.pointer.version for asked in targets} | {base.version for base in bases if base}
        self._dry_run = dry_run
        self._leaving: dict[str, set[VersionId]] = {}
        self._apart: dict[str, bool] = {}
        self.same_as_cache: list[str] = []

    def one_with(self, version: VersionId) -> str | None:
        """Return a remote that has a version and keeps it, the default one before others."""
        settings = self._repo.settings
        problem: DverError | None = None
        for name in sorted(settings.remotes, key=lambda name: (name != settings.default_remote, name)):
            try:
                if self._has(name, version):
                    return name
            except DverError as exc:
                # Another remote may have it; only where none has does it matter that one could not be asked.
                problem = problem or exc
        if problem is not None:
            raise problem
        return None

    def _has(self, name: str, version: VersionId) -> bool:
        remote = self._repo.remote(name)
        if not (remote.has_version(version) and self._is_apart(name)):
            return False
        with counting_on(remote, remote.note, _PATIENCE):
            if name not in self._leaving:
                self._leaving[name] = leave_word(self._repo, remote, self._versions, dry_run=self._dry_run)
            # Only now can the marker be counted on.
            is_there = version not in self._leaving[name] and remote.has_version(version)
            return is_there and Stock(remote, nearer=self._repo.cache).has(version)

    def _is_apart(self, name: str) -> bool:
        if name not in self._apart:
            self._apart[name] = not are_one(self._repo.cache.backend, self._repo.remote(name).backend)
            self.same_as_cache += [] if self._apart[name] else [name]
        return self._apart[name]


def _is_in(cache: Store, version: VersionId, paths: Set[bytes], *, is_whole: bool) -> bool:
    """Whether the cache has the manifest and all chunks of files, and none is damaged."""
    try:
        chunks = list(dict.fromkeys(_chunks(cache, version, paths, is_whole=is_whole)))
    except NotFoundError:
        return False
    try:
        for start in range(0, len(chunks), LOOKUP_BATCH):
            for span in cache.plan(chunks[start : start + LOOKUP_BATCH]):
                # The only copy left is about to be this one, so the records are read, and checked.
                for _ in cache.read_span(span):
                    pass
    except (ObjectNotFoundError, IntegrityError):
        return False
    return True


def _chunks(cache: Store, version: VersionId, paths: Set[bytes], *, is_whole: bool) -> Iterator[ChunkId]:
    manifest = cache.manifest(version)
    for entry in manifest.entries() if is_whole else manifest.find(paths).values():
        if isinstance(entry, FileEntry) and entry.path in paths:
            yield from (chunk for chunk, _ in manifest.chunks(entry))


def _refusal(repo: Repo, one: Drop, same_as_cache: Sequence[str]) -> DataLossError:
    if one.changed:
        count = len(one.changed)
        return DataLossError(
            f"dropping {one.dataset} would lose {count:,} {'file' if count == 1 else 'files'} that"
            f" {'is' if count == 1 else 'are'} not in its version; nothing was dropped",
            one.changed,
            hint=f"dver add {typed(one.dataset)} stores them; dver drop --force gives them up",
        )
    where, way = "it is neither all in the cache nor on a remote", _way_to_store(repo, one)
    for name in same_as_cache:
        where += f", for {same_place_text(name, repo.cache.backend.location)}"
        way += f"; {same_place_hint(name)}"
    return DataLossError(
        f"dropping {one.dataset} would lose data: {where}; nothing was dropped",
        [*names(one)],
        hint=f"{way}; dver drop --force gives it up",
    )


def _way_to_store(repo: Repo, one: Drop) -> str:
    adds = f"dver add {typed(one.dataset)} stores it, then dver push sends it to a remote"
    if one.base is not None and repo.cache.has_version(one.base.version):
        # It is marked as complete, so adding would find nothing to do.
        return f"the cache has lost packs, or some are damaged; with the whole cache moved away, {adds}"
    return adds


class _LastLook:
    """Tells files that changed since the plan was made from those that are what the version here says."""

    def __init__(self, repo: Repo, dataset: str) -> None:
        """Take what is known of the files now, before the drop makes it forgotten."""
        self._repo = repo
        self._dataset = dataset
        self._root = os.fsencode(repo.root / dataset)
        self._base = repo.stat_cache.base(dataset)
        self._rows = repo.stat_cache.rows(dataset)

    def check(self, path: bytes) -> None:
        """Raise DataLossError if a file is not what it was planned to be; folders go only while they are empty."""
        try:
            found = os.lstat(self._root + b"/" + path if path else self._root)
        except (FileNotFoundError, NotADirectoryError):
            return
        item = WalkItem(path, file_type(found), found)
        row = self._rows.get(path)
        if item.type is FileType.DIRECTORY or (row is not None and not row.differs and is_trusted(row, *item[1:])):
            return
        # The stat of a file that was written just before it was compared proves nothing.
        if not self._is_same(item):
            name = _join(self._dataset, path)
            raise DataLossError(
                f"{name} was changed while {self._dataset} was being dropped; it and what was not dropped yet are kept",
                [name],
                hint=f"dver add {typed(self._dataset)} stores it; dver drop --force gives it up",
            )

    def _is_same(self, item: WalkItem) -> bool:
        if self._base is None:
            return False
        manifest = open_manifest(self._repo, self._base.version, self._dataset)
        try:
            entry = manifest.get(item.path)
        except ObjectNotFoundError:
            return False
        return compare_if_there(self._root, item, entry, manifest, heed_modes=self._repo.heeds_modes)[0]


def _carry_out(repo: Repo, one: Drop, *, force: bool) -> None:
    check = None if force else _LastLook(repo, one.dataset).check
    if one.base is not None:
        repo.stat_cache.rebase(one.dataset, one.base, {}, removed=one.forgets, keep_rows=True)
    root = os.fsencode(repo.root / one.dataset)
    rules = [path for path in one.deletes if path.rpartition(b"/")[2] == _RULES]
    with dataset_folders(repo.root, one.dataset) as folders:
        delete_files(folders, [path for path in one.deletes if path.rpartition(b"/")[2] != _RULES], check=check)
        # Of one in an inner folder, the folder goes too, which may leave nothing else beside an outer one.
        for path in sorted(rules, key=lambda rule: rule.count(b"/"), reverse=True):
            # As long as files are there that it names, they are not to look like new data.
            if os.listdir(os.path.dirname(root + b"/" + path)) == [_RULES]:
                delete_files(folders, [path], check=check)
        if not one.parts:
            # Folders whose files were gone before are left, and say nothing.
            remove_empty_below(folders)


def names(one: Drop) -> Iterable[str]:
    """Return what was asked for of a dataset, relative to the repository."""
    return (_join(one.dataset, part) for part in one.parts or (b"",))


def _join(dataset: str, path: bytes) -> str:
    return f"{dataset}/{decode_path(path)}" if path else dataset
