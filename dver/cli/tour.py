"""`dver tour`."""

import tempfile
from pathlib import Path
from textwrap import wrap

import click

from dver.cli.command import PATH, Command
from dver.cli.session import Session
from dver.cli.wording import escape_text
from dver.operations.tour import TourKind, TourLine, tour

_EXAMPLES = {
    "dver tour": "in a new folder among the temporary files",
    "dver tour ~/dver-tour": "in a folder of your choice",
}
_WIDTH = 78


@click.command("tour", cls=Command, examples=_EXAMPLES)
@click.argument("directory", metavar="[DIR]", required=False, type=PATH)
@click.pass_obj
def command(session: Session, directory: str | None) -> None:
    """See dver at work in a temporary repository.

    Makes a few MB of data, adds, changes, pushes, clones and pulls it, and goes back to its first version, showing each
    command and what it says. The folder stays; its name is shown in the end.
    """
    folder = session.start / directory if directory else Path(tempfile.mkdtemp(prefix="dver-tour-"))
    tour(folder, env=session.env, show=lambda line: _show(session, line))
    session.console.out()
    session.console.out(f"That was the tour. Look around in {escape_text(str(folder))} and delete it when you like:")
    for name, what in (
        ("project", "where the data was made and changed"),
        ("store", "the remote: packs, their index, and the versions that are whole"),
        ("clone", "the clone, at the first version"),
    ):
        session.console.out(f"  {session.console.style(name.ljust(7), 'bold')}  {what}")


def _show(session: Session, line: TourLine) -> None:
    console = session.console
    match line.kind:
        case TourKind.TEXT:
            console.out()
            console.lines(console.style(f"# {text}", "cyan") for text in wrap(line.text, _WIDTH))
        case TourKind.COMMAND:
            console.out(f"{console.style('$', 'green')} {console.style(line.text, 'bold')}")
        case TourKind.OUTPUT:
            console.lines(escape_text(text) for text in line.text.splitlines())
    console.flush()
