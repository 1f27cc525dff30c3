"""Drop: free the disk space of working files whose content is stored, and go on tracking them.

Everything is planned first, for all datasets, and only then are files deleted. A file goes only if it is what its
version says, and if every chunk of it is in the cache, seen there in packs of the right length, or its version is on a
remote. What is dropped counts as absent by choice, noted before the first file goes: a command that is killed leaves
files that still are what they were, and run again deletes the rest.
"""

import os
from collections.abc import Iterable, Iterator, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass

from dver.errors import DataLossError, DverError, NotFoundError, PathError
from dver.objects.entry import FileEntry, is_within
from dver.objects.ids import ChunkId, VersionId
from dver.objects.pointer import DatasetKind, Pointer
from dver.operations.checkout import delete_files
from dver.operations.datasets import decode_path, select, typed, working_datasets
from dver.operations.reading import open_manifest
from dver.operations.rewrite import pointer_of
from dver.operations.run_guard import check_free
from dver.operations.status import scan_dataset
from dver.progress import NO_PROGRESS, Progress, Task
from dver.repo import Repo
from dver.storage.packs import pack_key
from dver.storage.store import Store
from dver.workspace.choice import Choice, Rule
from dver.workspace.ignore import IGNORE_FILE
from dver.workspace.scan import Scan
from dver.workspace.statcache import Base
from dver.workspace.walk import FileType

_LOOKUP_BATCH = 4096
_RULES = os.fsencode(IGNORE_FILE)
CACHE = "the cache"


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
        DataLossError: data would be lost; nothing was deleted.
        PathError: a path is no dataset, nor in one, or a checkout of the dataset is unfinished.
    """
    with repo.lock():
        with progress.task("comparing", bytes=0, files=0) as task:
            drops = [_plan(repo, asked, task, force=force) for asked in _targets(repo, paths)]
        if dry_run:
            return drops
        for one in drops:
            if not (force or one.is_safe):
                raise _refusal(repo, one)
        for one in drops:
            _carry_out(repo, one)
        return drops


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is to be dropped: a dataset, or `parts` of it."""

    dataset: str
    parts: tuple[bytes, ...]
    pointer: Pointer

    def has(self, path: bytes) -> bool:
        """Whether a path of the dataset is meant."""
        return not self.parts or any(is_within(path, part) for part in self.parts)

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
        outer = [one for one in parts if not any(one != other and is_within(one, other) for other in parts)]
        asked.append(_Asked(dataset, tuple(outer), pointer_of(repo, dataset)))
    return asked


def _plan(repo: Repo, asked: _Asked, task: Task, *, force: bool) -> Drop:
    dataset = asked.dataset
    if asked.parts and asked.pointer.kind is DatasetKind.FILE:
        raise PathError(dataset, "is a single file and has no parts")
    if repo.stat_cache.is_unfinished(dataset):
        raise PathError(dataset, "a checkout of it was cut off", hint=f"dver checkout {typed(dataset)} goes on with it")
    scan = scan_dataset(repo, dataset, asked.pointer.version, task)
    for part in asked.parts:
        _check_exists(repo, dataset, part, asked.pointer.version if scan is None else scan.base.version)
    return _nothing_here(repo, asked) if scan is None else _plan_scanned(repo, asked, scan, force=force)


def _check_exists(repo: Repo, dataset: str, part: bytes, version: VersionId) -> None:
    # What was added and is no part of the version yet is refused as such.
    if os.path.lexists(os.fsencode(repo.root / dataset) + b"/" + part):
        return
    if next(open_manifest(repo, version, dataset).entries(part), None) is None:
        raise PathError(
            _join(dataset, part), f"is not in the dataset {dataset}", hint=f"dver ls {typed(dataset)} lists what is"
        )


def _nothing_here(repo: Repo, asked: _Asked) -> Drop:
    """Return the plan for a dataset without files: what is asked for is to stay away."""
    base = repo.stat_cache.base(asked.dataset)
    if base is not None:
        base = asked.base_afterwards(base)
    elif not asked.parts:
        base = Base(asked.pointer.version, Choice())
    return Drop(asked.dataset, asked.parts, (), 0, 0, 0, (), base, None, ())


def _plan_scanned(repo: Repo, asked: _Asked, scan: Scan, *, force: bool) -> Drop:
    rows = {path: row for path, row in repo.stat_cache.rows(asked.dataset).items() if asked.has(path)}
    changed = {item.path: item for item in (*scan.added, *scan.modified) if asked.has(item.path)}
    loud = changed.keys() | {path for path in scan.special if asked.has(path)}
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
        _where_stored(repo, asked, scan.base.version, same) if same else None,
        tuple(_join(asked.dataset, path) for path in sorted(loud)),
    )


def _where_stored(repo: Repo, asked: _Asked, version: VersionId, paths: Set[bytes]) -> str | None:
    """Return a place that has the content of files of a version, the cache before the remotes."""
    if _is_in(repo.cache, version, asked.parts, paths):
        return CACHE
    settings = repo.settings
    names = sorted(settings.remotes, key=lambda name: (name != settings.default_remote, name))
    problem: DverError | None = None
    for name in names:
        try:
            if repo.remote(name).has_version(version):
                return name
        except DverError as exc:
            # Another remote may have it; only where none has does it matter that one could not be asked.
            problem = problem or exc
    if problem is not None:
        raise problem
    return None


def _is_in(cache: Store, version: VersionId, parts: tuple[bytes, ...], paths: Set[bytes]) -> bool:
    """Whether the cache has the manifest and all chunks of files, in packs that are there and long enough."""
    try:
        chunks = list(dict.fromkeys(_chunks(cache, version, parts, paths)))
    except NotFoundError:
        return False
    # The index is a copy, which outlives packs that somebody deleted.
    packs = {info.key: info.size for info in cache.backend.list("packs/")}
    for start in range(0, len(chunks), _LOOKUP_BATCH):
        batch = chunks[start : start + _LOOKUP_BATCH]
        found = cache.index.find(batch)
        if len(found) < len(batch):
            return False
        if any(at.end > packs.get(pack_key(at.pack), 0) for at in found.values()):
            return False
    return True


def _chunks(cache: Store, version: VersionId, parts: tuple[bytes, ...], paths: Set[bytes]) -> Iterator[ChunkId]:
    manifest = cache.manifest(version)
    for part in parts or (b"",):
        for entry in manifest.entries(part):
            if isinstance(entry, FileEntry) and entry.path in paths:
                yield from (chunk for chunk, _ in manifest.chunks(entry))


def _refusal(repo: Repo, one: Drop) -> DataLossError:
    if one.changed:
        count = len(one.changed)
        return DataLossError(
            f"dropping {one.dataset} would lose {count:,} {'file' if count == 1 else 'files'} that"
            f" {'is' if count == 1 else 'are'} not in its version; nothing was dropped",
            one.changed,
            hint=f"dver add {typed(one.dataset)} stores them; dver drop --force gives them up",
        )
    return DataLossError(
        f"dropping {one.dataset} would lose data: it is neither all in the cache nor on a remote; nothing was dropped",
        [*names(one)],
        hint=f"{_way_to_store(repo, one)}; dver drop --force gives it up",
    )


def _way_to_store(repo: Repo, one: Drop) -> str:
    adds = f"dver add {typed(one.dataset)} stores it, then dver push sends it to a remote"
    if one.base is not None and repo.cache.has_version(one.base.version):
        # It is marked as complete, so adding would find nothing to do.
        return f"packs are missing in the cache: restore them, or move the whole cache away and {adds}"
    return adds


def _carry_out(repo: Repo, one: Drop) -> None:
    if one.base is not None:
        repo.stat_cache.rebase(one.dataset, one.base, {}, removed=one.forgets, keep_rows=True)
    root = os.fsencode(repo.root / one.dataset)
    rules = [path for path in one.deletes if path.rpartition(b"/")[2] == _RULES]
    delete_files(root, [path for path in one.deletes if path.rpartition(b"/")[2] != _RULES])
    for path in sorted(rules, reverse=True):
        # As long as files are there that it names, they are not to look like new data.
        if os.listdir(os.path.dirname(root + b"/" + path)) == [_RULES]:
            delete_files(root, [path])
    if not one.parts:
        with suppress(OSError):
            os.rmdir(root)


def names(one: Drop) -> Iterable[str]:
    """Return what was asked for of a dataset, relative to the repository."""
    return (_join(one.dataset, part) for part in one.parts or (b"",))


def _join(dataset: str, path: bytes) -> str:
    return f"{dataset}/{decode_path(path)}" if path else dataset
