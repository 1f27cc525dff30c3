"""After git changed the working tree: data follows the pointers that git brought.

Only datasets whose pointer changed are touched, each by itself: where one has changed data or cannot be brought, it is
left as it is, and the others go on. What is looked at follows what git changed and what is checked out here, so a large
repository costs no more than a small one.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from dver.errors import BackendError, DataLossError, DverError, FormatError, GitError, VersionNotFoundError
from dver.git import CommitId
from dver.objects.ids import VersionId
from dver.objects.pointer import SUFFIX, Pointer, dataset_path, decode_pointer, pointer_path
from dver.operations.add import check_parents, keep_out_of_git
from dver.operations.checkout import CheckoutPlan, carry_out, delete_files
from dver.operations.checkout_plan import DatasetPlan, Planner
from dver.operations.datasets import decode_path, encode_path, working_datasets
from dver.operations.rm import is_stored, remove_empty_parents
from dver.operations.status import scan_dataset
from dver.progress import NO_PROGRESS, Progress, Task
from dver.repo import Repo
from dver.workspace.gitignore import gitignore_path
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
    """

    before: str = ""
    fresh: bool = False
    files: bool = False
    commits: bool = False
    ends_rebase: bool = False


@dataclass(frozen=True, slots=True)
class Followed:
    """What became of one dataset.

    Attributes:
        plan: what was written and deleted to bring its data.
        removed: how many files were deleted because its pointer is gone.
        ignored: whether a line in `.gitignore` was missing, and was added and staged.
        problem: why its data was left as it is.
    """

    dataset: str
    plan: DatasetPlan | None = None
    removed: int = 0
    ignored: bool = False
    problem: DverError | None = None

    @property
    def is_worth_telling(self) -> bool:
        """Whether anything was done, or could not be."""
        wrote = self.plan is not None and bool(self.plan.writes or self.plan.deletes)
        return wrote or self.ignored or bool(self.removed) or self.problem is not None


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
            return Move("HEAD@{1}", commits=hook is Hook.COMMIT)
        case _:
            return Move()


def follow(repo: Repo, move: Move, *, progress: Progress = NO_PROGRESS) -> list[Followed]:
    """Bring the data of changed pointers, and remove that of pointers that are gone; return what was done or not.

    While a rebase goes on nothing is done, for it would only be done again at its end.
    """
    if _in_rebase(repo.git.git_dir) and not move.ends_rebase:
        return []
    survey = _Survey(repo, move)
    if not (survey.due or survey.gone):
        return survey.problems
    with repo.lock():
        # Another command may have done it while this one waited.
        survey = _Survey(repo, move)
        done = survey.problems
        with progress.task("comparing", bytes=0, files=0) as task:
            follower = _Follower(repo, survey, task, progress)
            # First, as what takes the place of a dataset may lie within it.
            done += [follower.remove(dataset) for dataset in survey.gone]
            done += [follower.bring(dataset) for dataset in survey.due]
        return [one for one in done if one.is_worth_telling]


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


class _Survey:
    """What has to be done.

    Attributes:
        bases: what the stat cache knows of datasets.
        commits: as in the move.
        due: pointers whose data is to be brought.
        gone: datasets that no pointer is there for any more, with the version that their data should be.
    """

    def __init__(self, repo: Repo, move: Move) -> None:
        self._repo = repo
        self._fresh = move.fresh
        self.commits = move.commits
        self._old = _commit(repo, move.before)
        self._new = repo.git.head_commit()
        self.bases = repo.stat_cache.bases()
        self.due: dict[str, Pointer] = {}
        self.gone: dict[str, VersionId] = {}
        self.problems: list[Followed] = []
        names = {*self.bases, *self._changed()}
        if move.fresh or move.files:
            names.update(working_datasets(repo))
        for dataset in sorted(names):
            self._look_at(dataset)

    def version_before(self, dataset: str) -> VersionId | None:
        """Return the version that the commit from before names for a dataset."""
        return _version_at(self._repo, self._old, dataset)

    def _changed(self) -> set[str]:
        """Return the datasets whose pointers differ between the commits before and after."""
        if self._old is None or self._new is None or self._old == self._new:
            return set()
        return {dataset_path(path) for path in self._repo.git.changed_between(self._old, self._new, suffix=SUFFIX)}

    def _look_at(self, dataset: str) -> None:
        try:
            pointer = read_pointer(self._repo.root, dataset)
        except DverError as exc:
            self.problems.append(Followed(dataset, problem=exc))
            return
        base = self.bases.get(dataset)
        is_here = os.path.lexists(self._repo.root / dataset)
        if pointer is None:
            self._look_at_gone(dataset, base, is_here=is_here)
        elif self._is_due(dataset, pointer, base, is_here=is_here):
            self.due[dataset] = pointer

    def _is_due(self, dataset: str, pointer: Pointer, base: Base | None, *, is_here: bool) -> bool:
        if base is not None and is_here:
            return base.version != pointer.version
        # What was left out stays out for as long as git does not bring another version of it.
        return self._fresh or (self._old is not None and self.version_before(dataset) != pointer.version)

    def _look_at_gone(self, dataset: str, base: Base | None, *, is_here: bool) -> None:
        before = self.version_before(dataset)
        if (self._old is not None and before is None) or _version_at(self._repo, self._new, dataset) is not None:
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


def _version_at(repo: Repo, commit: CommitId | None, dataset: str) -> VersionId | None:
    """Return the version that a commit names for a dataset; None for none, or one that cannot be read."""
    with suppress(FormatError, GitError):
        content = None if commit is None else repo.git.read(commit, pointer_path(dataset))
        if content is not None:
            return decode_pointer(content, pointer_path(dataset)).version
    return None


class _Follower:
    """Brings and removes the data of one dataset after the other."""

    def __init__(self, repo: Repo, survey: _Survey, task: Task, progress: Progress) -> None:
        self._repo = repo
        self._survey = survey
        self._task = task
        self._progress = progress
        self._unreachable: BackendError | None = None

    def bring(self, dataset: str) -> Followed:
        """Make a dataset's files what its pointer says."""
        pointer, base = self._survey.due[dataset], self._survey.bases.get(dataset)
        try:
            self._check_reach(pointer.version, base)
            plan = self._plan(dataset, pointer, base)
            if plan.conflicts:
                return Followed(dataset, problem=_changed_data(dataset, plan))
            carry_out(self._repo, CheckoutPlan((plan,)), progress=self._progress)
            ignored = self._survey.commits and self._keep_out_of_git(dataset, pointer)
        except DverError as exc:
            return Followed(dataset, problem=self._noted(exc))
        return Followed(dataset, plan=plan, ignored=ignored)

    def remove(self, dataset: str) -> Followed:
        """Delete the files of a dataset whose pointer is gone, if they are stored and as they were."""
        try:
            return self._remove(dataset)
        except DverError as exc:
            return Followed(dataset, problem=self._noted(exc))

    def _keep_out_of_git(self, dataset: str, pointer: Pointer) -> bool:
        if not keep_out_of_git(self._repo, dataset, pointer.kind):
            return False
        self._repo.git.stage([gitignore_path(dataset)])
        return True

    def _plan(self, dataset: str, pointer: Pointer, base: Base | None) -> DatasetPlan:
        repo = self._repo
        check_parents(repo.root, dataset)
        before = self._survey.version_before(dataset)
        is_here = os.path.lexists(repo.root / dataset)
        if base is None and before is not None and is_here:
            # What the files were is not known, so what they should have been tells which of them are the user's own.
            with suppress(VersionNotFoundError):
                scan_dataset(repo, dataset, before, self._task)
        parts = (base.parts or ()) if base is not None and not is_here else ()
        return Planner(repo, self._task, force=False).plan(dataset, pointer.version, parts, whole=False)

    def _remove(self, dataset: str) -> Followed:
        repo = self._repo
        base = self._survey.bases.get(dataset)
        scan = scan_dataset(repo, dataset, self._survey.gone[dataset], self._task)
        if scan is None:
            repo.stat_cache.forget(dataset)
            return Followed(dataset)
        # Where git has the data itself, as in a commit from before dver, git put it there.
        tracked = {encode_path(path[len(dataset) + 1 :]) for path in repo.git.tracked_under(dataset)}
        changed = [_join(dataset, item.path) for item in scan.modified if item.path not in tracked]
        if changed:
            raise _left_behind(dataset, "its data was changed", changed)
        if not self._is_named(dataset, scan.base.version):
            raise _left_behind(dataset, "no branch or tag names its version", [dataset])
        paths = sorted(repo.stat_cache.rows(dataset).keys() - tracked - {*scan.deleted})
        if paths and not is_stored(repo, scan):
            raise _left_behind(dataset, "its version is neither in the cache nor on the default remote", [dataset])
        repo.stat_cache.begin_checkout(dataset)
        root = os.fsencode(repo.root / dataset)
        delete_files(root, paths)
        if b"" not in tracked:
            with suppress(OSError):
                os.rmdir(root)
        remove_empty_parents(repo, dataset)
        if base is not None and base.parts is not None and not os.path.lexists(root):
            repo.stat_cache.rebase(dataset, base, {})
            repo.stat_cache.end_checkout(dataset)
        else:
            repo.stat_cache.forget(dataset)
        return Followed(dataset, removed=len(paths))

    def _is_named(self, dataset: str, version: VersionId) -> bool:
        """Whether a commit that will be found again names a version; if none does, its files are how one has it."""
        if self._survey.version_before(dataset) == version:
            return True
        tips = dict.fromkeys(self._repo.git.refs().values())
        return any(_version_at(self._repo, tip, dataset) == version for tip in tips)

    def _check_reach(self, version: VersionId, base: Base | None) -> None:
        """Give up at once where a remote that did not answer before would be asked again."""
        if self._unreachable is None:
            return
        wanted = [version] if base is None else [version, base.version]
        if not all(map(self._repo.cache.has_version, wanted)):
            raise self._unreachable

    def _noted(self, problem: DverError) -> DverError:
        if isinstance(problem, BackendError):
            self._unreachable = problem
        return problem


def _changed_data(dataset: str, plan: DatasetPlan) -> DataLossError:
    return DataLossError(
        f"{dataset}: its pointer changed, and its data was changed here; left as it is",
        [_join(dataset, encode_path(path)) for path in plan.conflicts],
        hint=f"dver add --force {dataset} makes the data here the new version;"
        f" dver checkout --force {dataset} gives the changes up",
    )


def _left_behind(dataset: str, reason: str, paths: Sequence[str]) -> DataLossError:
    return DataLossError(
        f"{dataset}: its pointer is gone, but {reason}; left as it is",
        paths,
        hint=f"dver add {dataset} makes it a dataset here; or delete it",
    )


def _join(dataset: str, path: bytes) -> str:
    return f"{dataset}/{decode_path(path)}" if path else dataset
