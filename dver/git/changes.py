"""What the next commit changes: the files of the index that none of its parents has like this.

Only regular files count, and no content is read: sizes come from the headers of the blobs. Whether there is any change
at all, staged or not, is asked of git, which counts links and submodules too.
"""

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import pygit2
from pygit2.enums import DeltaStatus, FileMode

_REGULAR = (FileMode.BLOB, FileMode.BLOB_EXECUTABLE)
_WITHOUT_FILE = (DeltaStatus.DELETED, DeltaStatus.CONFLICTED)


@dataclass(frozen=True, slots=True)
class StagedFile:
    """A file as the index has it."""

    path: str
    blob_id: str


def changed_files(index: pygit2.Index, parents: Sequence[pygit2.Tree]) -> list[StagedFile]:
    """Return the files that the index has otherwise than each of `parents`, in the order of the index.

    Of a merge, what comes from one side as it is there is not changed. Without parents everything is new.
    """
    if not parents:
        return [StagedFile(os.fsdecode(entry.path), str(entry.id)) for entry in index if entry.mode in _REGULAR]
    first, *others = (_differing(index, tree) for tree in parents)
    return [file for file in first if all(file in other for other in others)]


def staged_file(index: pygit2.Index, path: str) -> StagedFile | None:
    """Return the file that the index has at `path`; None for nothing, a conflict, a link or a submodule."""
    try:
        entry = index[path]
    except KeyError:
        return None
    return StagedFile(path, str(entry.id)) if entry.mode in _REGULAR else None


def is_dirty(repository: pygit2.Repository, head: pygit2.Tree, besides: Collection[str]) -> bool:
    """Return whether a file that git tracks, staged or in the work tree, is not as `head` has it."""
    repository.index.read(force=False)
    # Not the status, which pygit2 gives only where all names are UTF-8.
    for diff in (head.diff_to_index(repository.index), repository.index.diff_to_workdir()):
        if any(os.fsdecode(delta.new_file.raw_path) not in besides for delta in diff.deltas):
            return True
    return False


def blob_size(repository: pygit2.Repository, blob_id: str) -> int | None:
    """Return the size of a blob, or None where it is not here, as in a partial clone."""
    try:
        return repository.odb.read_header(pygit2.Oid(hex=blob_id))[1]
    except KeyError:
        return None


def _differing(index: pygit2.Index, tree: pygit2.Tree) -> dict[StagedFile, None]:
    changes = [delta for delta in tree.diff_to_index(index).deltas if delta.status not in _WITHOUT_FILE]
    return {
        StagedFile(os.fsdecode(change.new_file.raw_path), str(change.new_file.id)): None
        for change in changes
        if change.new_file.mode in _REGULAR
    }
