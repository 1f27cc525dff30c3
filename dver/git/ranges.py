"""What commits bring: those between two ends of the history, and the files in which trees differ.

Trees that are the same on both sides are not looked into, so the cost follows what changed and not what is there. Names
of files are filtered before anything is read.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pygit2
from pygit2.enums import FileMode, ObjectType, ReferenceType, SortMode

from dver.git.objects import CommitId, ObjectReader, is_wanted

_REMOTES = "refs/remotes/"
_REGULAR = (FileMode.BLOB, FileMode.BLOB_EXECUTABLE)


@dataclass(frozen=True, slots=True)
class ChangedFile:
    """A file that a commit has otherwise than each of its parents.

    Attributes:
        before: its content in those parents that have it.
    """

    commit: CommitId
    path: str
    content: bytes
    before: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class _Delta:
    old: pygit2.Oid | None
    new: pygit2.Oid | None


def walk_changes(
    repository: pygit2.Repository, reader: ObjectReader, starts: Iterable[str], known: Iterable[str], suffix: str
) -> Iterator[ChangedFile]:
    """Yield what the commits change that lead to `starts` and not to `known`, newest first.

    Both are ids of commits or of tags of them; what is not here, or names something else, has no commits to show. Only
    files whose name ends with `suffix` count, and a merge only changes what it takes from none of its parents.
    """
    wanted = _commits(repository, starts)
    if not wanted:
        return
    walker = repository.walk(None, SortMode.TOPOLOGICAL | SortMode.TIME)
    for commit in wanted:
        walker.push(commit.id)
    for commit in _commits(repository, known):
        walker.hide(commit.id)
    for commit in walker:
        yield from _changes(reader, commit, os.fsencode(suffix))


def changed_paths(reader: ObjectReader, old: CommitId, new: CommitId, suffix: str) -> set[str]:
    """Return the files whose name ends with `suffix` that two commits do not have alike."""
    before, after = reader.commit(old).tree, reader.commit(new).tree
    return {os.fsdecode(path) for path in _deltas(before, after, os.fsencode(suffix))}


def remote_heads(repository: pygit2.Repository, remote: str | None) -> list[CommitId]:
    """Return the commits that remote-tracking branches point at, those of one remote if it is named."""
    folder = f"{_REMOTES}{remote}/" if remote else _REMOTES
    # A symbolic one, such as refs/remotes/origin/HEAD, only repeats another.
    targets = [
        str(reference.target)
        for reference in repository.references.iterator()
        if os.fsdecode(reference.raw_name).startswith(folder) and reference.type != ReferenceType.SYMBOLIC
    ]
    return [CommitId(str(commit.id)) for commit in _commits(repository, targets)]


def _commits(repository: pygit2.Repository, ids: Iterable[str]) -> list[pygit2.Commit]:
    found = []
    for identity in dict.fromkeys(ids):
        try:
            named = repository[identity]
            while isinstance(named, pygit2.Tag):
                named = named.get_object()
        except (KeyError, ValueError):
            continue
        if named.type == ObjectType.COMMIT:
            found.append(named.peel(pygit2.Commit))
    return found


def _changes(reader: ObjectReader, commit: pygit2.Commit, suffix: bytes) -> Iterator[ChangedFile]:
    parents = reader.parents(commit)
    if not parents:
        for path, blob in reader.files_below(commit.tree, suffix):
            yield ChangedFile(CommitId(str(commit.id)), os.fsdecode(path), reader.content(blob), ())
        return
    sides = [_deltas(parent.tree, commit.tree, suffix) for parent in parents]
    for path, delta in sides[0].items():
        others = [side.get(path) for side in sides]
        if delta.new is None or None in others:
            continue
        before = tuple(reader.content(other.old) for other in others if other is not None and other.old is not None)
        yield ChangedFile(CommitId(str(commit.id)), os.fsdecode(path), reader.content(delta.new), before)


def _deltas(old: pygit2.Tree, new: pygit2.Tree, suffix: bytes) -> dict[bytes, _Delta]:
    """Return the regular files, by path, whose content differs; None stands for a side that has no such file."""
    if old.id == new.id:
        return {}
    found = {}
    for delta in old.diff_to_tree(new).deltas:
        path = delta.new_file.raw_path
        if not is_wanted(path, suffix):
            continue
        sides = _Delta(_regular(delta.old_file), _regular(delta.new_file))
        if sides.old != sides.new:
            found[path] = sides
    return found


def _regular(file: pygit2.DiffFile) -> pygit2.Oid | None:
    return file.id if file.mode in _REGULAR else None
