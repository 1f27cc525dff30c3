"""After git changed the working tree: data follows the pointers that git brought.

Only datasets whose pointer changed are touched, each by itself: where one has changed data or cannot be brought, it is
left as it is, and the others go on.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from dver.errors import BackendError, DataLossError, DverError, LockedError, VersionNotFoundError
from dver.objects.ids import VersionId
from dver.objects.pointer import Pointer
from dver.operations.addable import check_parents
from dver.operations.checkout import CheckoutPlan, carry_out
from dver.operations.checkout_plan import DatasetPlan, Planner
from dver.operations.datasets import decode_path, encode_path, typed
from dver.operations.ignoring import keep_out_of_git
from dver.operations.rm import is_stored, remove_empty_parents
from dver.operations.run_guard import what_is_in_hand
from dver.operations.status import scan_dataset
from dver.operations.unfollowed import Move, Unfollowed, find_unfollowed, version_at
from dver.progress import NO_PROGRESS, Progress, Task
from dver.repo import Repo
from dver.workspace.deletion import dataset_folders, delete_files, remove_directory
from dver.workspace.gitignore import gitignore_path
from dver.workspace.statcache import Base


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


def follow(repo: Repo, move: Move, *, progress: Progress = NO_PROGRESS) -> list[Followed]:
    """Bring the data of changed pointers, and remove that of pointers that are gone; return what was done or not."""
    with repo.lock():
        # Another command may have done it while this one waited.
        left = find_unfollowed(repo, move)
        if left is None:
            return []
        done = [Followed(dataset, problem=problem) for dataset, problem in left.problems.items()]
        due = [*left.gone, *left.due]
        with repo.storing(), repo.scanner.looking_ahead(due), progress.task("comparing", bytes=0, files=0) as task:
            follower = _Follower(repo, left, task, progress)
            # First, as what takes the place of a dataset may lie within it.
            done += [follower.remove(dataset) for dataset in left.gone]
            done += [follower.bring(dataset) for dataset in left.due]
        return [one for one in done if one.is_worth_telling]


def remove_gone(repo: Repo, *, progress: Progress = NO_PROGRESS) -> list[Followed]:
    """Remove the data of datasets whose pointer git took away; return what was removed, and what was not and why."""
    with repo.lock(), repo.storing():
        left = Unfollowed(repo, Move())
        with repo.scanner.looking_ahead(left.gone), progress.task("comparing", bytes=0, files=0) as task:
            follower = _Follower(repo, left, task, progress)
            done = [follower.remove(dataset) for dataset in left.gone]
    return [one for one in done if one.is_worth_telling]


class _Follower:
    """Brings and removes the data of one dataset after the other."""

    def __init__(self, repo: Repo, left: Unfollowed, task: Task, progress: Progress) -> None:
        self._repo = repo
        self._left = left
        self._task = task
        self._progress = progress
        self._unreachable: BackendError | None = None
        self._held = what_is_in_hand(repo.dver_dir, (*left.due, *left.gone))

    def bring(self, dataset: str) -> Followed:
        """Make a dataset's files what its pointer says."""
        pointer, base = self._left.due[dataset], self._left.bases.get(dataset)
        if dataset in self._held:
            return Followed(dataset, problem=_left_alone(dataset, self._held[dataset]))
        try:
            self._check_reach(pointer.version, base)
            plan = self._plan(dataset, pointer, base)
            if plan.conflicts:
                return Followed(dataset, problem=_changed_data(dataset, plan))
            carry_out(self._repo, CheckoutPlan((plan,)), progress=self._progress)
            ignored = self._left.commits and self._keep_out_of_git(dataset, pointer)
        except DverError as exc:
            return Followed(dataset, problem=self._noted(exc))
        return Followed(dataset, plan=plan, ignored=ignored)

    def remove(self, dataset: str) -> Followed:
        """Delete the files of a dataset whose pointer is gone, if they are stored and as they were."""
        if dataset in self._held:
            return Followed(dataset, problem=self._held[dataset])
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
        before = self._left.version_before(dataset)
        is_here = os.path.lexists(repo.root / dataset)
        if base is None and before is not None and is_here:
            # What the files were is not known, so what they should have been tells which of them are the user's own.
            with suppress(VersionNotFoundError):
                scan_dataset(repo, dataset, before, self._task, adopt=True)
        return Planner(repo, self._task, force=False).plan(dataset, pointer.version, (), whole=False)

    def _remove(self, dataset: str) -> Followed:
        repo = self._repo
        base = self._left.bases.get(dataset)
        scan = scan_dataset(repo, dataset, self._left.gone[dataset], self._task, adopt=True)
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
        with dataset_folders(repo.root, dataset) as folders:
            delete_files(folders, paths)
            if b"" not in tracked:
                remove_directory(folders, b"")
        remove_empty_parents(repo, dataset)
        if base is not None and base.parts is not None and not os.path.lexists(root):
            repo.stat_cache.rebase(dataset, base, {})
            repo.stat_cache.end_checkout(dataset)
        else:
            repo.stat_cache.forget(dataset)
        return Followed(dataset, removed=len(paths))

    def _is_named(self, dataset: str, version: VersionId) -> bool:
        """Whether a commit that will be found again names a version; if none does, its files are how one has it."""
        if self._left.version_before(dataset) == version:
            return True
        tips = dict.fromkeys(self._repo.git.refs().values())
        return any(version_at(self._repo, tip, dataset) == version for tip in tips)

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
        hint=f"dver add --force {typed(dataset)} makes the data here the new version;"
        f" dver checkout --force {typed(dataset)} gives the changes up",
    )


def _left_alone(dataset: str, problem: LockedError) -> LockedError:
    return LockedError(
        f"{problem.message}, so its data was not brought",
        hint=f"dver checkout {typed(dataset)} brings it, once that run has ended",
    )


def _left_behind(dataset: str, reason: str, paths: Sequence[str]) -> DataLossError:
    return DataLossError(
        f"{dataset}: its pointer is gone, but {reason}; left as it is",
        paths,
        hint=f"dver add {typed(dataset)} makes it a dataset here; or delete it",
    )


def _join(dataset: str, path: bytes) -> str:
    return f"{dataset}/{decode_path(path)}" if path else dataset
