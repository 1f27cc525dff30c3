"""`dver uninstall`."""

import click

from dver.cli.command import Command
from dver.cli.install import change_lines
from dver.cli.session import Session
from dver.git import GitRepo
from dver.operations.install import uninstall
from dver.workspace.gitattributes import GITATTRIBUTES

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
    console = session.console
    if result.is_nothing:
        console.done(f"nothing to do: git does not run dver in {git.root}")
        return
    for line in change_lines(session, git.root, result):
        console.done(line)
    for section in result.drivers:
        console.done(f"{section}: removed from git's settings")
    if result.attributes:
        console.done(f"{session.shown(GITATTRIBUTES)}: dver's lines removed; commit it")
    if result.shared:
        console.done("this holds for all work trees of the repository")
