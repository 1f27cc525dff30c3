"""`dver hook`: what git and the pre-commit framework call."""

import click

from dver.cli.command import LazyCommandGroup
from dver.cli.session import Session

SUMMARIES = {
    "pre-commit": "Check what is about to be committed: lint, large-files and status in one.",
    "status": "Fail where data differs from its pointer.",
    "large-files": "Refuse large files and data that are about to enter git.",
    "lint": "Check pointers, settings and lineage, and that versions are stored.",
    "pushed": "Refuse a git push that names versions which the remote lacks.",
    "checkout": "Make data match the pointers after git changed them.",
    "merge": "Merge a dataset's versions of two branches, as git's merge driver.",
    "textconv": "Show a pointer as a list of files, as git's diff driver.",
}
"""Name and summary of the subcommands; each is the module of its name in `dver.cli.hooks`."""

_EXAMPLES = {
    "dver hook status": "what the hook dver-status does",
    "dver hook large-files --max-size 500KiB": "with a limit of one's own",
    "dver hook pushed --push origin": "send what is missing first",
}


@click.group("hook", cls=LazyCommandGroup, package="dver.cli.hooks", summaries=SUMMARIES, examples=_EXAMPLES)
@click.pass_obj
def command(session: Session) -> None:
    """Run a check as git and pre-commit do.

    dver install sets them up as git hooks; the pre-commit framework calls them by the names in its configuration. In a
    work tree that dver is not set up in they do nothing.
    """
    session.begin_hook()
