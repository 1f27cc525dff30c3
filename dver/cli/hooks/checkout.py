"""`dver hook checkout`.

git calls it when all is done, so nothing that goes wrong here may look as if git had failed: it is a warning, and the
exit code is 0.
"""

from collections.abc import Mapping, Sequence

import click

from dver.cli.checkout import summary_text
from dver.cli.command import Command
from dver.cli.session import Session
from dver.cli.wording import count_text, escape_text, path_text
from dver.errors import BackendError, DataLossError, DverError
from dver.operations.follow import Followed, Hook, Move, follow, move_of
from dver.workspace.gitignore import gitignore_path

_EXAMPLES = {
    "dver hook checkout": "bring the data of pointers that changed",
    "dver hook checkout post-merge 0": "as git does after a merge",
}
_LISTED = 5


@click.command("checkout", cls=Command, examples=_EXAMPLES)
@click.argument("name", metavar="[HOOK]", required=False, type=click.Choice([hook.value for hook in Hook]))
@click.argument("arguments", metavar="[ARGUMENT]...", nargs=-1)
@click.pass_obj
def command(session: Session, name: str | None, arguments: Sequence[str]) -> int:
    """Make data match the pointers after git changed them.

    HOOK is post-checkout, post-merge, post-rewrite or post-commit, with the arguments that git gives it. Only datasets
    whose pointer changed are touched, and data that was left out stays out. Changed data is never lost: it is left as
    it is, with a warning.
    """
    try:
        with session.hook_repo() as repo:
            if repo is not None:
                for one in follow(repo, _move(name, arguments, session.env), progress=session.console):
                    _show(session, one)
    except DverError as exc:
        _warn(session, exc.message, exc.hint)
    return 0


def _move(name: str | None, arguments: Sequence[str], env: Mapping[str, str]) -> Move:
    """Return what git did, from its own arguments or from the variables of the pre-commit framework."""
    if name is not None:
        return move_of(Hook(name), arguments)
    if env.get("PRE_COMMIT_CHECKOUT_TYPE"):
        old, new = env.get("PRE_COMMIT_FROM_REF", ""), env.get("PRE_COMMIT_TO_REF", "")
        return move_of(Hook.CHECKOUT, [old, new, env["PRE_COMMIT_CHECKOUT_TYPE"]])
    if env.get("PRE_COMMIT_IS_SQUASH_MERGE"):
        return move_of(Hook.MERGE, [env["PRE_COMMIT_IS_SQUASH_MERGE"]])
    if env.get("PRE_COMMIT_REWRITE_COMMAND"):
        return move_of(Hook.REWRITE, [env["PRE_COMMIT_REWRITE_COMMAND"]])
    return move_of(Hook.COMMIT if env.get("PRE_COMMIT") else None, [])


def _show(session: Session, one: Followed) -> None:
    shown = session.shown(one.dataset)
    if one.problem is not None:
        _show_problem(session, one.problem, one.dataset)
    elif one.removed:
        session.console.note(f"removed {shown}: its pointer is gone; {count_text(one.removed, 'file')} deleted")
    elif one.plan is not None:
        session.console.note(f"checked out {shown}: {summary_text(one.plan)}")
    if one.ignored:
        gitignore = session.shown(gitignore_path(one.dataset))
        session.console.note(f"{gitignore} now names {shown}, and is staged; commit it, so that git keeps it out")


def _show_problem(session: Session, problem: DverError, dataset: str) -> None:
    if isinstance(problem, BackendError):
        _warn(session, f"{dataset} was not brought: {problem.message}", f"dver pull {dataset}, once it can be reached")
    elif isinstance(problem, DataLossError):
        _warn(session, problem.message, problem.hint, problem.paths)
    else:
        _warn(session, problem.message, problem.hint)


def _warn(session: Session, message: str, hint: str | None, paths: Sequence[str] = ()) -> None:
    """Say what was not done, also with `-q`."""
    lines = [f"dver: warning: {escape_text(message)}"]
    lines += [f"    {path_text(path)}" for path in paths[:_LISTED]]
    if len(paths) > _LISTED:
        lines.append(f"    and {count_text(len(paths) - _LISTED, 'file')} more")
    if hint:
        lines.append(f"  hint: {escape_text(hint)}")
    session.console.say("\n".join(lines))
    session.say_where_paths_start()
