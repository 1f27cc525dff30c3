"""`dver push`."""

import click

from dver.cli.command import Command
from dver.cli.session import Session
from dver.cli.transfers import Request, conclude, moved_anything, moved_text, transfer_options
from dver.cli.wording import count_text
from dver.operations.push import TransferResult, missing_error, push

_EXAMPLES = {
    "dver push": "what the last commit and the pointers here name",
    "dver push data/raw": "one dataset",
    "dver push --rev v1.0 --rev v2.0": "the versions of two tags",
    "dver push -r backup --all": "the history of every branch and tag, to another remote",
}


@click.command("push", cls=Command, examples=_EXAMPLES)
@transfer_options
def command(session: Session, request: Request) -> None:
    """Send versions to a remote.

    Only what the remote lacks is sent. A push that was cut off goes on where it stopped when it is run again.
    """
    with session.repo() as repo:
        result = push(repo, request.wanted(session, repo), remote=request.remote, progress=session.console)
        problem = missing_error(result, repo, pushing=True)
    conclude(session, request, result, problem, _show)


def _show(session: Session, result: TransferResult) -> None:
    if moved_anything(result):
        session.console.done(moved_text("pushed", result, "to"))
    elif not result.versions:
        session.console.done("nothing to push: there are no datasets")
    elif not result.missing:
        are = "is" if result.versions == 1 else "are"
        session.console.done(
            f"Everything up to date: {count_text(result.versions, 'version')} {are} on {result.remote}"
        )
