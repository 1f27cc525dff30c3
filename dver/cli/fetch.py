"""`dver fetch`."""

import click

from dver.cli.command import Command
from dver.cli.session import Session
from dver.cli.transfers import Request, conclude, moved_anything, moved_text, transfer_options
from dver.cli.wording import count_text
from dver.operations.push import TransferResult, fetch, missing_error

_EXAMPLES = {
    "dver fetch": "what the last commit and the pointers here name",
    "dver fetch data/raw/2024": "one folder of a dataset, and no other data",
    "dver fetch --all": "the history of every branch and tag, for work offline",
}


@click.command("fetch", cls=Command, examples=_EXAMPLES)
@transfer_options
def command(session: Session, request: Request) -> None:
    """Bring versions from a remote into the cache.

    No working file is touched; dver checkout brings the data from the cache, dver pull does both. All that arrives is
    checked against its id. A fetch that was cut off goes on where it stopped when it is run again.
    """
    with session.repo() as repo:
        result = fetch(repo, request.wanted(session, repo), remote=request.remote, progress=session.console)
        problem = missing_error(result, repo, pushing=False)
    conclude(session, request, result, problem, show_fetch)


def show_fetch(session: Session, result: TransferResult) -> None:
    """Say what a fetch did."""
    if moved_anything(result):
        session.console.done(moved_text("fetched", result, "from"))
    elif not result.versions:
        session.console.done("nothing to fetch: there are no datasets")
    elif not result.missing:
        are = "is" if result.versions == 1 else "are"
        session.console.done(f"Everything up to date: {count_text(result.versions, 'version')} {are} in the cache")
