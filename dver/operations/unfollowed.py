"""After git changed the working tree: which data no longer is what the pointers say.

What is looked at follows what git changed and what is checked out here, so a large repository costs no more than a
small one. Most often there is nothing to do, so this module loads nothing of what does it.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from dver.errors import DverError, FormatError, GitError
from dver.git import CommitId
from dver.objects.ids import VersionId
from dver.objects.pointer import SUFFIX, Pointer, dataset_path, decode_pointer, pointer_path
from dver.operations.datasets import working_datasets
from dver.repo import Repo
from dver.workspace.pointers import read_pointer
from dver.workspace.statcache import Base

_NOOP = "noop"


class Hook(StrEnum):
    """The hooks of git after which data may have to follow."""

    CHECKOUT = "post-checkout"
    MERGE = "post-merge"
    REWRITE = "post-rewrite"
    COMMIT = "post-commit"


@dataclass(frozen=True, slots=True)
class Move:
    """What git did.

    Attributes:
        before: a revision for the commit that was checked out before; "" where it is not known.
        fresh: nothing was checked out before, so that all data is wanted.
        files: pointers may have changed otherwise than from commit to commit.
        commits: the user made a commit, which may have moved a pointer and not the line that keeps its data out of git.
        ends_rebase: a rebase is at its end, though git has not put its notes away yet.
        hides: changes that are not staged are put away for as long as the hook runs, as by the pre-commit framework, so
            that a pointer which no commit changed may be another than the user's.
    """

    before: str = ""
    fresh: bool = False
    files: bool = False
    commits: bool = False
    ends_rebase: bool = False
    hides: bool = False


def move_of(hook: Hook | None, arguments: Sequence[str]) -> Move:
    """Return what a hook and the arguments that git gives it say; without a hook nothing is known of before."""
    match hook, [*arguments]:
        case Hook.CHECKOUT, [old, _, *_] if old and not old.strip("0"):
            return Move(fresh=True)
        case Hook.CHECKOUT, [old, _, flag]:
            return Move(old, files=flag == "0")
        case Hook.MERGE, [squashed, *_]:
            return Move("ORIG_HEAD", files=squashed == "1")
        case Hook.REWRITE, ["rebase", *_]:
            return Move("ORIG_HEAD", ends_rebase=True)
        case ((Hook.REWRITE | Hook.COMMIT), _):
            return Move("HEAD@{1}", commits=hook is Hook.COMMIT or [*arguments[:1]] == ["amend"])
        case _:
            return Move()


def find_unfollowed(repo: Repo, move: Move) -> "Unfollowed | None":
    """Return what is to be done, or None while a rebase goes on: it would only be done again at its end."""
    if _in_rebase(repo.git.git_dir) and not move.ends_rebase:
        return None
    return Unfollowed(repo, move)


def _in_rebase(git_dir: Path) -> bool:
    """Whether git is applying commits, one by one, with more to come."""
    if (git_dir / "rebase-apply").is_dir():
        return True
    if not (git_dir / "rebase-merge").is_dir():
        return False
    # Where no commit is left to apply, as when a branch is only moved forward, no other hook comes at the end.
    try:
        todo = (git_dir / "rebase-merge" / "git-rebase-todo").read_text(errors="replace")
    except OSError:
        return False
    return any(line and not line.startswith("#") and line != _NOOP for line in map(str.strip, todo.splitlines()))


class Unfollowed:
    """What a move leaves to be done.

    Attributes:
        bases: what the stat cache knows of datasets.
        commits: as in the move.
        due: pointers whose data is to be brought.
        gone: datasets that no pointer is there for any more, with the version that their data should be.
        problems: why pointers could not be read.
    """

    def __init__(self, repo: Repo, move: Move) -> None:
        self._repo = repo
        self._fresh = move.fresh
        self._hides = move.hides
        self.commits = move.commits
        self._old = _commit(repo, move.before)
        self._new = repo.git.head_commit()
        self.bases = repo.stat_cache.bases()
        self.due: dict[str, Pointer] = {}
        self.gone: dict[str, VersionId] = {}
        self.problems: dict[str, DverError] = {}
        names = {*self.bases, *self._changed()}
        if move.fresh or move.files:
            names.update(working_datasets(repo))
        for dataset in sorted(names):
            self._look_at(dataset)

    @property
    def is_nothing(self) -> bool:
        """Whether there is nothing to do or to say."""
        return not (self.due or self.gone or self.problems)

    def version_before(self, dataset: str) -> VersionId | None:
        """Return the version that the commit from before names for a dataset."""
        return version_at(self._repo, self._old, dataset)

    def _changed(self) -> set[str]:
        """Return the datasets whose pointers differ between the commits before and after."""
        if self._old is None or self._new is None or self._old == self._new:
            return set()
        return {dataset_path(path) for path in self._repo.git.changed_between(self._old, self._new, suffix=SUFFIX)}

    def _look_at(self, dataset: str) -> None:
        try:
            pointer = read_pointer(self._repo.root, dataset)
        except DverError as exc:
            self.problems[dataset] = exc
            return
        base = self.bases.get(dataset)
        is_here = os.path.lexists(self._repo.root / dataset)
        if pointer is None:
            self._look_at_gone(dataset, base, is_here=is_here)
        elif self._is_due(dataset, pointer, base, is_here=is_here):
            self.due[dataset] = pointer

    def _is_due(self, dataset: str, pointer: Pointer, base: Base | None, *, is_here: bool) -> bool:
        if base is not None and is_here:
            if base.version == pointer.version:
                return self._was_in_git(dataset)
            return not (self._hides and self._old is not None and self.version_before(dataset) == pointer.version)
        # What was left out stays out for as long as git does not bring another version of it.
        if self._fresh:
            return True
        if self._old is None or self.version_before(dataset) == pointer.version:
            return False
        return is_here or not (self.commits and self._was_left_out(dataset, pointer))

    def _was_left_out(self, dataset: str, pointer: Pointer) -> bool:
        """Whether the data of a dataset that is not here was not here before a commit either, under whatever name.

        So it is after `dver rm` or `dver mv` of paths whose data nobody brought, and of a dataset.
        """
        if self.version_before(dataset) is not None:
            return True
        return any(
            self.version_before(other) == pointer.version
            for other in self._changed()
            if other not in self.bases and not os.path.lexists(self._repo.root / pointer_path(other))
        )

    def _was_in_git(self, dataset: str) -> bool:
        """Whether git itself had data there before, and deleted it on the way."""
        if self._old is None or self.version_before(dataset) is not None:
            return False
        with suppress(GitError):
            return self._repo.git.has_path(self._old, dataset)
        return False

    def _look_at_gone(self, dataset: str, base: Base | None, *, is_here: bool) -> None:
        before = self.version_before(dataset)
        if (self._old is not None and before is None) or version_at(self._repo, self._new, dataset) is not None:
            # Not git's doing, now or ever: a user deleted the pointer, or put it away for a while.
            return
        version = before if base is None else base.version
        # Of a partly present dataset it is remembered which part, for when it comes back.
        if version is not None and (is_here or (base is not None and base.parts is None)):
            self.gone[dataset] = version


def _commit(repo: Repo, rev: str) -> CommitId | None:
    """Return the commit that was checked out before; None where that is not on record."""
    if not rev:
        return None
    with suppress(GitError):
        return repo.git.resolve(rev)
    return None


def version_at(repo: Repo, commit: CommitId | None, dataset: str) -> VersionId | None:
    """Return the version that a commit names for a dataset; None for none, or one that cannot be read."""
    with suppress(FormatError, GitError):
        content = None if commit is None else repo.git.read(commit, pointer_path(dataset))
        if content is not None:
            return decode_pointer(content, pointer_path(dataset)).version
    return None
