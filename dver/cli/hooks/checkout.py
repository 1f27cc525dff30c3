"""`dver hook checkout`.

git calls it when all is done, so nothing that goes wrong here may look as if git had failed: it is a warning, and the
exit code is 0. It runs with nearly every command of git, so what does the work is loaded only when there is some.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import click

from dver.cli.command import Command
from dver.cli.session import Session
from dver.errors import DverError
from dver.operations.unfollowed import Hook, Move, find_unfollowed, move_of

_EXAMPLES = {
    "dver hook checkout": "bring the data of pointers that changed",
    "dver hook checkout post-merge 0": "as git does after a merge",
}


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
            move = _move(name, arguments, session.env)
            left = None if repo is None else find_unfollowed(repo, move)
            if repo is not None and left is not None and not left.is_nothing:
                from dver.cli.following import follow_and_tell  # noqa: PLC0415

                follow_and_tell(session, repo, move)
    except DverError as exc:
        from dver.cli.following import warn  # noqa: PLC0415

        warn(session, exc.message, exc.hint)
    return 0


def _move(name: str | None, arguments: Sequence[str], env: Mapping[str, str]) -> Move:
    """Return what git did, from its own arguments or from the variables of the pre-commit framework."""
    if name is not None:
        return move_of(Hook(name), arguments)
    return replace(_move_in_framework(env), hides="PRE_COMMIT" in env)


def _move_in_framework(env: Mapping[str, str]) -> Move:
    if env.get("PRE_COMMIT_CHECKOUT_TYPE"):
        old, new = env.get("PRE_COMMIT_FROM_REF", ""), env.get("PRE_COMMIT_TO_REF", "")
        return move_of(Hook.CHECKOUT, [old, new, env["PRE_COMMIT_CHECKOUT_TYPE"]])
    if env.get("PRE_COMMIT_IS_SQUASH_MERGE"):
        return move_of(Hook.MERGE, [env["PRE_COMMIT_IS_SQUASH_MERGE"]])
    if env.get("PRE_COMMIT_REWRITE_COMMAND"):
        return move_of(Hook.REWRITE, [env["PRE_COMMIT_REWRITE_COMMAND"]])
    return move_of(Hook.COMMIT if env.get("PRE_COMMIT") else None, [])
