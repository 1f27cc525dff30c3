"""`dver mv`."""

import click

from dver.cli.command import PATH, Command
from dver.cli.session import Session
from dver.operations.mv import mv

_EXAMPLES = {
    "dver mv data/raw data/original": "rename a dataset",
    "dver mv train.csv data/": "move one into a folder",
    "dver mv data/raw/a.csv data/raw/b.csv": "rename a file within one",
}


@click.command("mv", cls=Command, examples=_EXAMPLES)
@click.argument("source", metavar="SRC", type=PATH)
@click.argument("destination", metavar="DST", type=PATH)
@click.pass_obj
def command(session: Session, source: str, destination: str) -> None:
    """Move or rename a dataset, or a path within one.

    Files, pointer and .gitignore go along, and the change is staged in git. Nothing is read or stored anew.
    """
    with session.repo() as repo:
        old, new = session.paths(repo, [source, destination])
        moved = mv(repo, old, new)
    session.console.done(f"moved {session.shown(moved.source)} to {session.shown(moved.destination)}")
    session.console.tip("next: git commit")
