"""`dver hook status`."""

import shlex
from collections.abc import Sequence

import click

from dver.cli.command import Command
from dver.cli.session import Session
from dver.errors import FormatError, PathError
from dver.objects.pointer import pointer_path
from dver.operations.drift import Drift, Staging, find_drift
from dver.operations.run_guard import recovery_hint
from dver.operations.status import DatasetStatus, State
from dver.repo import Repo

_EXAMPLES = {
    "dver hook status": "before a commit",
    "dver hook status --fix": "add what is modified, and stage its pointer",
}


@click.command("status", cls=Command, examples=_EXAMPLES)
@click.option("--fix", is_flag=True, help="Add modified data and stage its pointer, so that they are in the commit.")
@click.pass_obj
def command(session: Session, fix: bool) -> int:
    """Fail where data differs from its pointer.

    So a commit never names other data than what is here. The pointer must also be staged as it is. Data that was not
    checked out is no failure. Exits with 1 if there is one that --fix did not mend.
    """
    with session.hook_repo() as repo:
        if repo is None:
            return 0
        return 0 if passes(session, repo, fix=fix) else 1


def passes(session: Session, repo: Repo, *, fix: bool = False) -> bool:
    """Check all datasets, say where data and commit differ, and return whether they do not, or do no more."""
    drift = find_drift(repo, progress=session.console)
    for one in drift:
        if one.in_hand is not None:
            session.console.note(f"{one.in_hand.message}, so it is passed over")
    drift = [one for one in drift if one.in_hand is None]
    if fix and drift:
        drift = _mend(session, repo, drift)
    for one in drift:
        problem, hint = _explanation(session, one)
        if one.of_data:
            hint = recovery_hint(repo.dver_dir, [one.status.dataset]) or hint
        session.console.error(f"{session.shown(one.status.dataset)}: {problem}", hint=hint)
    return not drift


def _mend(session: Session, repo: Repo, drift: Sequence[Drift]) -> list[Drift]:
    """Mend what can be, and return what cannot."""
    mendable = [one for one in drift if one.can_be_mended]
    if mendable and repo.git.is_partial_commit:
        session.console.error(
            "--fix cannot stage anything in a commit of named paths: git would have it in the commit only",
            hint="dver add PATH, then git commit without paths, or with PATH.dver among them",
        )
        return list(drift)
    # Adding takes long to load, and most often nothing is to be mended.
    from dver.operations.mend import mend_drift  # noqa: PLC0415

    mended = mend_drift(repo, mendable, progress=session.console)
    for added in mended.added.added:
        session.console.note(f"added {session.shown(added.dataset)} and staged its pointer")
    for path in mended.staged:
        session.console.note(f"staged {session.shown(path)}")
    return [one for one in drift if not one.can_be_mended]


def _explanation(session: Session, drift: Drift) -> tuple[str, str | None]:
    """Return what is wrong and what helps."""
    one = drift.status
    path = shlex.quote(session.relative_to_start(one.dataset))
    pointer = shlex.quote(session.relative_to_start(pointer_path(one.dataset)))
    match one.state:
        case State.MODIFIED:
            return f"the data differs from its pointer ({_counts(one)})", f"dver add {path}"
        case State.POINTER_CHANGED:
            hint = f"dver checkout {path} brings the pointer's data; dver add --force {path} keeps the data as it is"
            if session.env.get("PRE_COMMIT"):
                # The framework has put the pointers back to what is staged.
                hint += f"; if {pointer} was changed and not staged, git add {pointer}"
            return "its pointer names another version than the data", hint
        case State.INTERRUPTED:
            return "its last checkout was interrupted", f"dver checkout {path}"
        case State.CONFLICT if one.problem is None:
            hint = f"dver checkout {path} merges what does not conflict; with --ours or --theirs it decides the rest"
            return "two sides of a merge changed it differently", hint
        case State.UNCHANGED | State.NOT_CHECKED_OUT:
            return _explanation_in_git(drift.staging, path, pointer)
    return _problem(one), (one.problem.hint if one.problem else None) or f"dver status {path}"


def _explanation_in_git(staging: Staging, path: str, pointer: str) -> tuple[str, str]:
    if staging is Staging.SAME:
        return "git does not ignore its data, so git add may take it in", f"dver add {path}"
    what = "is not staged" if staging is Staging.ABSENT else "is staged as another version"
    return f"its pointer {what}, so the commit would not have what is here", f"git add {pointer}"


def _problem(one: DatasetStatus) -> str:
    problem = one.problem
    if problem is None:
        return one.state.value
    # The path is said already.
    return problem.reason if isinstance(problem, FormatError | PathError) else problem.message


def _counts(one: DatasetStatus) -> str:
    changes = one.changes
    counts = {"added": changes.added, "modified": changes.modified, "deleted": changes.deleted}
    return ", ".join(f"{len(paths):,} {word}" for word, paths in counts.items() if paths)
