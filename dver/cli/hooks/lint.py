"""`dver hook lint`."""

from collections.abc import Sequence

import click

from dver.cli.command import PATH, Command
from dver.cli.session import Session
from dver.operations.lint import lint
from dver.repo import Repo

_EXAMPLES = {
    "dver hook lint": "all that git tracks of dver",
    "dver hook lint data.dver": "one pointer, and its data and version",
}


@click.command("lint", cls=Command, examples=_EXAMPLES)
@click.argument("files", metavar="[FILE]...", nargs=-1, type=PATH)
@click.pass_obj
def command(session: Session, files: Sequence[str]) -> int:
    """Check pointers, settings and lineage, and that versions are stored.

    What is staged is looked at. Pointers, .dver/config.toml and .dver/lineage.jsonl must be readable and free of the
    marks of a merge; no secret may be in the settings, and no data of a dataset in git; and the versions that pointers
    name must be in the cache or on a remote, or what is new of them in the one and the rest on the other; remotes are
    asked only about those that the cache lacks. FILEs are what to look at, by default all that git tracks; others than
    these are passed over. Exits with 1 if something is wrong.
    """
    with session.hook_repo() as repo:
        if repo is None:
            return 0
        return 0 if passes(session, repo, session.paths(repo, files) or None) else 1


def passes(session: Session, repo: Repo, files: Sequence[str] | None) -> bool:
    """Check files, say what is wrong with them, and return whether nothing is."""
    found = lint(repo, files)
    for finding in found:
        where = f"{session.shown(finding.path)}: " if finding.path else ""
        if finding.is_note:
            session.console.note(f"{where}{finding.problem}")
        else:
            session.console.error(f"{where}{finding.problem}", hint=finding.hint)
    return all(finding.is_note for finding in found)
