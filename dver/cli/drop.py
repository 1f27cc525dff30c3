"""`dver drop`."""

from collections.abc import Sequence

import click

from dver.cli.command import PATH, Command
from dver.cli.session import Session
from dver.cli.wording import count_text, path_json, size_text
from dver.errors import first_of
from dver.operations.datasets import decode_path
from dver.operations.drop import CACHE, Drop, drop, names

_MOST_NAMES = 10

_EXAMPLES = {
    "dver drop data/raw": "delete the files of a dataset here; dver checkout data/raw brings them back",
    "dver drop data/raw/2019": "only those of a folder in it",
    "dver drop --dry-run .": "see what all datasets would free, and where they are stored",
}


@click.command("drop", cls=Command, examples=_EXAMPLES)
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=PATH)
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")
@click.option("--force", is_flag=True, help="Delete also what is stored nowhere.")
@click.option("--json", "as_json", is_flag=True, help="Write one JSON document.")
@click.pass_obj
def command(session: Session, paths: Sequence[str], dry_run: bool, force: bool, as_json: bool) -> int:
    """Free the disk space of data that is stored, and go on tracking it.

    Deletes working files of datasets, or of paths in them, whose content is in the cache or on a remote; pointers and
    stored data stay, so git has nothing to commit. Changed and new files are not deleted, nor is what is stored
    nowhere. What was dropped stays away until dver checkout PATH or dver pull PATH brings it back, even if there are
    new versions. Files that .dverignore names stay.
    """
    with session.repo() as repo:
        found = drop(repo, session.paths(repo, paths), force=force, dry_run=dry_run, progress=session.console)
    unsafe = dry_run and not force and not all(one.is_safe for one in found)
    if as_json:
        session.console.document({"dry_run": dry_run, "dropped": [_document(one) for one in found]})
    elif dry_run:
        for one in found:
            _show_plan(session, one, force=force)
    else:
        for one in found:
            session.console.done(_sentence(session, one))
    return 1 if unsafe else 0


def _sentence(session: Session, one: Drop) -> str:
    asked = [*names(one)]
    shown = first_of([session.shown(name) for name in asked], _MOST_NAMES)
    if not one.deletes:
        return f"nothing to drop: {shown} is not here"
    return f"dropped {shown}: {_amount(one)}"


def _amount(one: Drop) -> str:
    amount = f"{count_text(one.files, 'file')}, {size_text(one.size)}"
    if one.lost:
        return f"{amount}, {one.lost:,} of them stored nowhere"
    return f"{amount}; {CACHE if one.stored_in == CACHE else f'remote {one.stored_in}'} has it"


def _show_plan(session: Session, one: Drop, *, force: bool) -> None:
    console = session.console
    for name in names(one):
        console.out(f"would drop    {session.shown(name)}")
    if one.deletes:
        console.out(f"              {_amount(one)}")
    else:
        console.out("              nothing of it is here")
    if force:
        return
    for path in one.changed:
        console.out(console.style(f"in the way    {session.shown(path)}  (it is not in the version)", "red"))
    if one.lost:
        console.out(console.style("in the way    it is neither all in the cache nor on a remote", "red"))


def _document(one: Drop) -> dict[str, object]:
    return {
        "dataset": path_json(one.dataset),
        "parts": [path_json(decode_path(part)) for part in one.parts],
        "files": one.files,
        "size": one.size,
        "stored_in": None if one.stored_in is None else "cache" if one.stored_in == CACHE else "remote",
        "remote": None if one.stored_in in (None, CACHE) else one.stored_in,
        "changed": [path_json(path) for path in one.changed],
        "safe": one.is_safe,
    }
