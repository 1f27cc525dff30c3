"""Commits, trees and blobs of the object database, read only."""

from typing import NewType

import pygit2
from pygit2.enums import FileMode, ObjectType

from dver.errors import GitError
from dver.git.translation import MISSING_HINT

CommitId = NewType("CommitId", str)
"""The 40 hexadecimal digits of a commit."""

DVER_FOLDER = b".dver"


class ObjectReader:
    """Reads objects of one repository; errors of pygit2 pass through, for the caller knows what was tried."""

    __slots__ = ("_files", "_repository")

    def __init__(self, repository: pygit2.Repository) -> None:
        self._repository = repository
        self._files: dict[tuple[pygit2.Oid, bytes], tuple[tuple[bytes, pygit2.Oid], ...]] = {}

    def commit(self, rev: CommitId) -> pygit2.Commit:
        """Return a commit by its id."""
        return self._repository[rev].peel(pygit2.Commit)

    def content(self, blob: pygit2.Oid) -> bytes:
        """Return the bytes of a blob."""
        found = self._repository[blob]
        if not isinstance(found, pygit2.Blob):
            raise GitError(f"{blob} is not a blob")
        return found.data

    def find_blob(self, tree: pygit2.Tree, path: str) -> pygit2.Oid | None:
        """Return the blob of the regular file at `path`, or None where there is none."""
        try:
            entry = tree[path]
        except KeyError:
            return None
        return entry.id if _is_regular(entry) else None

    def files_below(self, tree: pygit2.Tree, suffix: bytes) -> tuple[tuple[bytes, pygit2.Oid], ...]:
        """Return path and blob of the regular files whose name ends with `suffix`, outside of `.dver` folders.

        The answer is remembered by tree, because the trees of many commits are mostly the same.
        """
        known = self._files.get((tree.id, suffix))
        if known is not None:
            return known
        found: list[tuple[bytes, pygit2.Oid]] = []
        for entry in tree:
            name = entry.raw_name or b""
            if isinstance(entry, pygit2.Tree):
                if name != DVER_FOLDER:
                    found.extend((name + b"/" + below, blob) for below, blob in self.files_below(entry, suffix))
            elif is_wanted(name, suffix) and _is_regular(entry):
                found.append((name, entry.id))
        return self._files.setdefault((tree.id, suffix), tuple(found))

    def parents(self, commit: pygit2.Commit) -> list[pygit2.Commit]:
        """Return the parents of a commit; a shallow clone has none beyond its border."""
        found = [self._repository.get(parent) for parent in commit.parent_ids]
        if None in found and not self._repository.is_shallow:
            raise GitError(f"a parent of commit {str(commit.id)[:12]} is missing", hint=MISSING_HINT)
        return [parent.peel(pygit2.Commit) for parent in found if parent is not None]


def is_wanted(path: bytes, suffix: bytes) -> bool:
    """Return whether a path ends with `suffix` after a name of its own, and is not in a `.dver` folder."""
    folders, _, name = path.rpartition(b"/")
    return name.endswith(suffix) and name != suffix and DVER_FOLDER not in folders.split(b"/")


def _is_regular(entry: pygit2.Object) -> bool:
    return entry.type == ObjectType.BLOB and entry.filemode != FileMode.LINK
