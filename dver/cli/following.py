"""Tells what became of data that followed git.

Loaded only when there is something to do, for it brings all that a checkout needs along.
"""

from collections.abc import Sequence

from dver.cli.plans import summary_text
from dver.cli.session import Session
from dver.cli.wording import count_text, escape_text, path_text
from dver.errors import BackendError, DataLossError, DverError
from dver.operations.datasets import typed
from dver.operations.follow import Followed, follow
from dver.operations.unfollowed import Move
from dver.repo import Repo
from dver.workspace.gitignore import gitignore_path

_LISTED = 5


def follow_and_tell(session: Session, repo: Repo, move: Move) -> None:
    """Bring the data of changed pointers, and say what was done and what was not."""
    for one in follow(repo, move, progress=session.console):
        tell(session, one)


def tell(session: Session, one: Followed) -> None:
    """Say what became of one dataset."""
    shown = session.shown(one.dataset)
    # From within the dataset's own folder.
    shown = one.dataset if shown == "." else shown
    if one.problem is not None:
        _show_problem(session, one.problem, one.dataset)
    elif one.removed:
        session.console.note(f"removed {shown}: its pointer is gone; {count_text(one.removed, 'file')} deleted")
    elif one.plan is not None and summary_text(one.plan):
        session.console.note(f"checked out {shown}: {summary_text(one.plan)}")
    if one.ignored:
        gitignore = session.shown(gitignore_path(one.dataset))
        session.console.note(f"{gitignore} now names {shown}, and is staged; commit it, so that git keeps it out")


def _show_problem(session: Session, problem: DverError, dataset: str) -> None:
    if isinstance(problem, BackendError):
        warn(
            session,
            f"{dataset} was not brought: {problem.message}",
            f"dver pull {typed(dataset)}, once it can be reached",
        )
    elif isinstance(problem, DataLossError):
        warn(session, problem.message, problem.hint, problem.paths)
    else:
        warn(session, problem.message, problem.hint)


def warn(session: Session, message: str, hint: str | None, paths: Sequence[str] = ()) -> None:
    """Say what was not done, also with `-q`."""
    lines = [f"dver: warning: {escape_text(message)}"]
    lines += [f"    {path_text(path)}" for path in paths[:_LISTED]]
    if len(paths) > _LISTED:
        lines.append(f"    and {count_text(len(paths) - _LISTED, 'file')} more")
    if hint:
        lines.append(f"  hint: {escape_text(hint)}")
    session.console.say("\n".join(lines))
    session.say_where_paths_start()
