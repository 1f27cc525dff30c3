"""Remove: end tracking a dataset, or take a path out of one. Old versions stay in the store.

Working files are deleted only if their content is known to be in the store, or the user insists.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass

from dver.errors import DataLossError, ObjectNotFoundError, PathError
from dver.objects.entry import FileEntry
from dver.objects.paths import is_within
from dver.objects.pointer import pointer_path
from dver.operations.datasets import Target, decode_path, select, typed, working_datasets
from dver.operations.reading import lazy_manifest
from dver.operations.rewrite import check_rewritable, pointer_of, rewrite
from dver.operations.run_guard import check_free
from dver.operations.status import scan_dataset
from dver.operations.wanted import holds_file
from dver.progress import NO_TASK
from dver.repo import Repo
from dver.workspace.deletion import dataset_folders, delete_files, remove_directory, remove_empty
from dver.workspace.folders import Folders
from dver.workspace.gitignore import gitignore_path, unignore_dataset
from dver.workspace.ignore import IgnoreRules
from dver.workspace.scan import Scan
from dver.workspace.walk import walk_dataset


@dataclass(frozen=True, slots=True)
class Removed:
    """A dataset, or a `part` of one, that is tracked no more. `kept` says that its working files are still there."""

    dataset: str
    part: str
    kept: bool


def rm(repo: Repo, paths: Iterable[str], *, keep: bool = False, force: bool = False) -> list[Removed]:
    """End tracking datasets, or take paths out of one; working files go too unless `keep`.

    Raises:
        LockedError: a run makes one of them, or was killed while it did.
        DataLossError: files hold data that is stored nowhere; nothing was removed. `force` removes them all the same.
        PathError: a path is no dataset, nor in one.
    """
    with repo.lock(), repo.storing():
        targets = select(working_datasets(repo), [_not_root(path) for path in paths])
        check_free(repo.dver_dir, [target.dataset for target in targets])
        for target in targets:
            if not force:
                # A file that is no pointer may be the user's own, and a torn one stands for an unfinished merge.
                pointer_of(repo, target.dataset)
            if target.part:
                check_rewritable(repo, target)
            if not (keep or force):
                _check_stored(repo, target)
        return [_remove(repo, target, keep=keep, force=force) for target in targets]


def _not_root(path: str) -> str:
    if not path:
        raise PathError(".", "name a dataset", hint="dver ls lists them")
    return path


def _remove(repo: Repo, target: Target, *, keep: bool, force: bool) -> Removed:
    if target.part:
        return _remove_part(repo, target, keep=keep, force=force)
    dataset = target.dataset
    if not keep:
        _delete_data(repo, target, force=force)
    kept = keep and (repo.root / dataset).exists()
    touched = [pointer_path(dataset)]
    with Folders(os.fsencode(repo.root)) as folders:
        folders.unlink(os.fsencode(pointer_path(dataset)))
    if not kept and unignore_dataset(repo.root, dataset):
        touched.append(gitignore_path(dataset))
    repo.stat_cache.forget(dataset)
    repo.git.stage(touched)
    remove_empty_parents(repo, dataset)
    return Removed(dataset, "", kept=kept)


def remove_empty_parents(repo: Repo, dataset: str) -> None:
    """Remove folders that held nothing but the dataset, as git does."""
    with Folders(os.fsencode(repo.root)) as folders:
        remove_empty(folders, os.fsencode(dataset).rpartition(b"/")[0])


def _remove_part(repo: Repo, target: Target, *, keep: bool, force: bool) -> Removed:
    dataset, part = target.dataset, target.part
    removed = [entry.path for entry in check_rewritable(repo, target).entries(part)]
    if not keep:
        _delete_data(repo, target, force=force)
    rewrite(repo, dataset, dict.fromkeys(removed), removed=removed)
    return Removed(dataset, decode_path(part), kept=keep)


def _check_stored(repo: Repo, target: Target) -> None:
    """Raise DataLossError if working files of a target hold what is stored nowhere."""
    dataset, part = target.dataset, target.part
    top = f"{dataset}/{decode_path(part)}" if part else dataset
    if not os.path.lexists(repo.root / top):
        return
    scan = scan_dataset(repo, dataset, pointer_of(repo, dataset).version, NO_TASK)
    if scan is None:
        return
    changed = sorted({*(item.path for item in [*scan.added, *scan.modified]), *scan.special})
    endangered = [path for path in changed if is_within(path, part)]
    if endangered:
        files = "1 file" if len(endangered) == 1 else f"{len(endangered):,} files"
        raise DataLossError(
            f"removing {top} would lose {files} whose content is stored nowhere; nothing was removed",
            [f"{dataset}/{decode_path(path)}" if path else dataset for path in endangered],
            hint=f"dver add {typed(dataset)} stores them; dver rm --keep leaves the files;"
            " dver rm --force gives them up",
        )
    if not is_stored(repo, scan) and not _are_in_cache(repo, target, scan):
        raise DataLossError(
            f"removing {top} would lose it: its version is neither in the cache nor on the default remote",
            [top],
            hint=f"dver add {typed(dataset)} stores it; dver rm --keep leaves the files",
        )


def _are_in_cache(repo: Repo, target: Target, scan: Scan) -> bool:
    """Whether the cache has what is here of a target, though it lacks other files of the version."""
    deleted = {*scan.deleted}
    rows = repo.stat_cache.rows(target.dataset)
    paths = [path for path in rows if path not in deleted and is_within(path, target.part)]
    manifest = lazy_manifest(repo, scan.base.version, target.dataset)
    try:
        entries = manifest.find(paths)
    except ObjectNotFoundError:
        return False
    files = (entry for entry in entries.values() if isinstance(entry, FileEntry))
    return len(entries) == len(paths) and all(holds_file(repo.cache, entry, manifest) for entry in files)


def is_stored(repo: Repo, scan: Scan) -> bool:
    """Whether the version that working files were compared with is whole in the cache or on the default remote."""
    version = scan.base.version
    return repo.cache.has_version(version) or (repo.has_remote and repo.remote().has_version(version))


def _delete_data(repo: Repo, target: Target, *, force: bool) -> None:
    """Delete working files; those that `.dverignore` names only with `force`, as they are stored nowhere."""
    root = os.fsencode(repo.root / target.dataset)
    if not os.path.lexists(root):
        return
    if force:
        paths = _below(root, target.part)
    else:
        walked = walk_dataset(root, IgnoreRules.for_dataset(repo.root, target.dataset))
        paths = [item.path for item in walked if is_within(item.path, target.part)]
    with dataset_folders(repo.root, target.dataset) as folders:
        delete_files(folders, paths)
        if not target.part:
            remove_directory(folders, b"")


def _below(root: bytes, part: bytes) -> list[bytes]:
    """Return everything at or below a path of a dataset, each directory before what it holds."""
    top = root + b"/" + part if part else root
    if not os.path.isdir(top) or os.path.islink(top):
        return [part] if os.path.lexists(top) else []
    found = [part] if part else []
    for directory, folders, files in os.walk(top):
        prefix = directory[len(root) + 1 :]
        found += [prefix + b"/" + name if prefix else name for name in (*folders, *files)]
    return found
