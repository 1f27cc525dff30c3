"""Move: rename a dataset with its pointer, or a path within a dataset. No data is read or stored anew."""

import os
from dataclasses import dataclass

from dver.errors import PathError
from dver.objects.entry import DirectoryEntry, Entry, FileEntry, LinkEntry, check_path
from dver.objects.manifest import Manifest
from dver.objects.paths import parents
from dver.objects.pointer import pointer_path
from dver.operations.addable import check_new_dataset, check_parents
from dver.operations.changes import rows_within
from dver.operations.datasets import (
    Target,
    decode_path,
    enclosing_dataset,
    encode_path,
    is_dataset,
    select,
    typed,
    working_datasets,
)
from dver.operations.ignoring import keep_out_of_git
from dver.operations.rewrite import check_rewritable, pointer_of, rewrite
from dver.operations.run_guard import check_free
from dver.repo import Repo
from dver.workspace.assemble import translated
from dver.workspace.clashes import spelled
from dver.workspace.deletion import dataset_folders, remove_empty
from dver.workspace.folders import Folders
from dver.workspace.gitignore import gitignore_path, unignore_dataset
from dver.workspace.pointers import write_pointer
from dver.workspace.statcache import UNCHECKED


@dataclass(frozen=True, slots=True)
class Moved:
    """A path before and after, relative to the repository."""

    source: str
    destination: str


def mv(repo: Repo, source: str, destination: str) -> Moved:
    """Move or rename a dataset, or a path within one; a destination that is an existing folder is moved into.

    Raises:
        LockedError: a run makes one of the two, or was killed while it did.
        PathError: there is nothing to move, or something is at the destination already.
    """
    if not source:
        raise PathError(".", "name a dataset", hint="dver ls lists them")
    with repo.lock(), repo.storing():
        targets = select(working_datasets(repo), [source])
        if len(targets) != 1 or targets[0].dataset.startswith(source + "/"):
            raise PathError(source, "is a folder that holds datasets", hint="dver mv moves one dataset at a time")
        target = targets[0]
        check_free(repo.dver_dir, [target.dataset, destination] if destination else [target.dataset])
        if target.part:
            return _move_within(repo, target, destination)
        return _move_dataset(repo, target.dataset, destination)


def _move_dataset(repo: Repo, dataset: str, destination: str) -> Moved:
    pointer = pointer_of(repo, dataset)
    _check_other_name(repo, dataset, destination)
    name = dataset.rpartition("/")[2]
    if not destination or (repo.root / destination).is_dir():
        destination = f"{destination}/{name}" if destination else name
    outer = enclosing_dataset(repo, destination)
    if destination == dataset or destination.startswith(dataset + "/") or outer is not None:
        raise PathError(destination, f"lies within the dataset {outer or dataset}", hint="choose a path outside of it")
    for path in (destination, pointer_path(destination)):
        if os.path.lexists(repo.root / path):
            raise _taken(path, f"dver rm {destination}" if is_dataset(repo, destination) else None)
    check_new_dataset(repo, destination)
    check_parents(repo.root, destination)
    old, new = repo.root / dataset, repo.root / destination
    with translated(os.fsencode(new)):
        # A crash in between leaves the data at one of the two places, and pointers that `dver checkout` can follow.
        write_pointer(repo.root, destination, pointer)
        if os.path.lexists(old):
            _rename(repo, dataset, destination)
        repo.stat_cache.rename(dataset, destination)
        (repo.root / pointer_path(dataset)).unlink()
    touched = [pointer_path(dataset), pointer_path(destination)]
    if unignore_dataset(repo.root, dataset):
        touched.append(gitignore_path(dataset))
    if keep_out_of_git(repo, destination, pointer.kind):
        touched.append(gitignore_path(destination))
    repo.git.stage(touched)
    return Moved(dataset, destination)


def _move_within(repo: Repo, target: Target, destination: str) -> Moved:
    dataset, part = target.dataset, target.part
    manifest = check_rewritable(repo, target)
    wanted = _part_of(dataset, destination)
    _check_other_name(repo, f"{dataset}/{decode_path(part)}", f"{dataset}/{decode_path(wanted)}")
    if _is_directory(manifest, wanted):
        wanted = (wanted + b"/" if wanted else b"") + part.rpartition(b"/")[2]
    new_path = f"{dataset}/{decode_path(wanted)}"
    check_path(wanted, new_path)
    if wanted == part or wanted.startswith(part + b"/"):
        raise PathError(new_path, "lies within what is to be moved")
    old, new = (os.fsencode(repo.root / dataset) + b"/" + path for path in (part, wanted))
    if manifest.get(wanted) is not None:
        raise _taken(new_path, f"dver rm {typed(new_path)}")
    if os.path.lexists(new):
        raise _taken(new_path, None)
    for parent in parents(wanted):
        if not isinstance(manifest.get(parent), DirectoryEntry | None):
            raise PathError(f"{dataset}/{decode_path(parent)}", "is not a directory", hint="choose another path")
    if _is_here(repo, old):
        with translated(new):
            _rename(repo, f"{dataset}/{decode_path(part)}", new_path)
        with dataset_folders(repo.root, dataset) as folders:
            remove_empty(folders, part.rpartition(b"/")[0])
    moved = list(manifest.entries(part))
    renames = {entry.path: wanted + entry.path[len(part) :] for entry in moved}
    filled = {path for path in parents(wanted) if manifest.get(path) is not None}
    changes: dict[bytes, Entry | None] = dict.fromkeys([*renames, *filled])
    changes.update((renames[entry.path], _at(entry, renames[entry.path])) for entry in moved)

    known = rows_within(repo.stat_cache, dataset, [part])
    # A rename changes a file's change time, so its content is compared once more.
    rows = {new: known[old]._replace(checked=UNCHECKED) for old, new in renames.items() if old in known}
    rewrite(repo, dataset, changes, removed={*renames, *filled}, rows=rows)
    return Moved(f"{dataset}/{decode_path(part)}", new_path)


def _is_here(repo: Repo, path: bytes) -> bool:
    """Whether a file of that very name is there, and not one in another case that the file system takes for it."""
    if not os.path.lexists(path):
        return False
    relative = os.path.relpath(path, os.fsencode(repo.root))
    return not repo.git.ignores_case() or spelled(os.fsencode(repo.root), relative) == relative


def _rename(repo: Repo, old: str, new: str) -> None:
    """Rename a path of the work tree, making the folders above the new one; through no symbolic link."""
    with Folders(os.fsencode(repo.root)) as folders:
        source, target = folders.above(os.fsencode(old)), folders.above(os.fsencode(new))
        os.rename(source[1], target[1], src_dir_fd=source[0].fd, dst_dir_fd=target[0].fd)


def _check_other_name(repo: Repo, old: str, new: str) -> None:
    """Refuse a name that the file system takes for the one before, such as one in another case."""
    if old == new or not repo.git.ignores_case():
        return
    before, after = (encode_path(path) for path in (old, new))
    actual = spelled(os.fsencode(repo.root), after)
    if actual != after and actual == spelled(os.fsencode(repo.root), before):
        between = typed(f"{new}-")
        raise PathError(
            new,
            f"this file system takes it and {old} for one name",
            hint=f"by way of a third: dver mv {typed(old)} {between}, then dver mv {between} {typed(new)}",
        )


def _taken(path: str, removal: str | None) -> PathError:
    """Return the error for a destination that something has; `removal` is the command that takes it away."""
    return PathError(path, "is there already", hint=f"choose another path, or {removal or f'move {path} away'}")


def _part_of(dataset: str, destination: str) -> bytes:
    if destination == dataset:
        return b""
    if not destination.startswith(dataset + "/"):
        raise PathError(
            destination,
            f"lies outside the dataset {dataset}",
            hint="copy the files and run dver add; dver mv moves whole datasets, or paths within one",
        )
    return encode_path(destination[len(dataset) + 1 :])


def _is_directory(manifest: Manifest, path: bytes) -> bool:
    if not path:
        return True
    first = next(manifest.entries(path), None)
    return first is not None and (first.path != path or isinstance(first, DirectoryEntry))


def _at(entry: Entry, path: bytes) -> Entry:
    if isinstance(entry, FileEntry):
        return FileEntry(path, entry.size, entry.executable, entry.chunks, entry.chunk_tree)
    return LinkEntry(path, entry.target) if isinstance(entry, LinkEntry) else DirectoryEntry(path)
