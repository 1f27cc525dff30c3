"""`dver cat`."""

import click

from dver.cli.command import PATH, Command
from dver.cli.revisions import revision_hint, split_place
from dver.cli.session import Session
from dver.operations.tree import cat

_EXAMPLES = {
    "dver cat data/raw/notes.txt": "a file as its pointer here has it",
    "dver cat v1.0:train.csv > old.csv": "a file as it was in a tag",
}


@click.command("cat", cls=Command, examples=_EXAMPLES)
@click.argument("place", metavar="[REV:]PATH", type=PATH)
@click.pass_obj
def command(session: Session, place: str) -> None:
    """Write a file of a dataset to standard output.

    The bytes are those of the version that the pointer here, or that of REV, names, and not of the working file. They
    come from the cache or the default remote, and are checked on the way.
    """
    with session.repo() as repo:
        revision, path = split_place(session, repo, place)
        with revision_hint(repo, place):
            pieces = cat(repo, revision, path)
        output = session.console.raw()
        for piece in pieces:
            output.write(piece)
        output.flush()
