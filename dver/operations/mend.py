"""Mending drift before a commit: data is added, and what was left out is staged."""

from collections.abc import Sequence
from dataclasses import dataclass

from dver.objects.pointer import pointer_path
from dver.operations.add import AddResult, add
from dver.operations.drift import Drift, Staging
from dver.operations.ignoring import keep_out_of_git
from dver.operations.status import State
from dver.progress import NO_PROGRESS, Progress
from dver.repo import Repo
from dver.workspace.gitignore import gitignore_path


@dataclass(frozen=True, slots=True)
class Mended:
    """What was done about drift: new versions, and files that are staged now, their content as it was or completed."""

    added: AddResult
    staged: tuple[str, ...]


def mend_drift(repo: Repo, drift: Sequence[Drift], *, progress: Progress = NO_PROGRESS) -> Mended:
    """Add the data that is modified, and stage the pointers that are not; what cannot be mended is passed over.

    Raises:
        PathError: data cannot be added.
    """
    modified = [one.status.dataset for one in drift if one.status.state is State.MODIFIED]
    unstaged = [one for one in drift if not one.of_data]
    added = add(repo, modified, progress=progress) if modified else AddResult((), 0)
    with repo.lock():
        staged = [path for one in unstaged for path in _files_to_stage(repo, one)]
        repo.git.stage(staged)
    return Mended(added, tuple(dict.fromkeys(staged)))


def _files_to_stage(repo: Repo, drift: Drift) -> list[str]:
    one = drift.status
    gitignore = gitignore_path(one.dataset)
    changed = one.pointer is not None and keep_out_of_git(repo, one.dataset, one.pointer.kind)
    # What keeps a new dataset's data out of git is as new as its pointer.
    is_new = drift.staging is Staging.ABSENT and (repo.root / gitignore).is_file()
    pointer = [] if drift.staging is Staging.SAME else [pointer_path(one.dataset)]
    return [*pointer, *([gitignore] if changed or is_new else [])]
