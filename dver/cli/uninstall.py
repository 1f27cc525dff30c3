"""`dver uninstall`."""

import click

from dver.cli.command import Command
from dver.cli.install import show_changes
from dver.cli.session import Session
from dver.git import GitRepo
from dver.operations.install import uninstall

_EXAMPLES = {
    "dver uninstall": "git runs dver no more",
    "dver install": "set it up again",
}


@click.command("uninstall", cls=Command, examples=_EXAMPLES)
@click.pass_obj
def command(session: Session) -> None:
    """Undo what dver install did.

    Takes away the hooks, settings and lines that are dver's own, and puts back the hooks that were there before. Data,
    pointers and dver's settings stay.
    """
    git = GitRepo.find(session.start, env=session.env)
    session.root = git.root
    result = uninstall(git)
    if result.is_nothing:
        session.console.done(f"nothing to do: git does not run dver in {git.root}")
        return
    drivers = dict.fromkeys(result.drivers, "removed from git's settings")
    show_changes(session, git.root, result, drivers, "dver's lines removed; commit it")
