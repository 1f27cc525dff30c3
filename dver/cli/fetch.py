"""`dver fetch`."""

import click

from dver.cli.choosing import choice_options
from dver.cli.command import Command
from dver.cli.session import Session
from dver.cli.transfers import Request, conclude, moved_anything, moved_text, transfer_options
from dver.cli.wording import count_text
from dver.operations.push import TransferResult, fetch, missing_error
from dver.operations.selection import check_fetched, choose_wanted
from dver.workspace.choice import Patterns

_EXAMPLES = {
    "dver fetch": "what the last commit and the pointers here name",
    "dver fetch data/raw/2024": "one folder of a dataset, and no other data",
    "dver fetch --include '*.csv' data": "what fits a pattern",
    "dver fetch --all": "the history of every branch and tag, for work offline",
}


@click.command("fetch", cls=Command, examples=_EXAMPLES)
@transfer_options
@choice_options("All of each version, whatever is chosen here.")
def command(session: Session, request: Request, patterns: Patterns, whole: bool) -> None:
    """Bring versions from a remote into the cache.

    No working file is touched; dver checkout brings the data from the cache, dver pull does both. All that arrives is
    checked against its id. A fetch that was cut off goes on where it stopped when it is run again.

    Of a dataset that is partly here by choice, only what the choice covers comes, unless it is named. --rev, --all and
    --whole bring all of it. --include and --exclude bring a part without making that the choice.
    """
    with session.repo() as repo:
        is_named = bool(request.paths or request.revisions or request.all_refs)
        wanted = choose_wanted(repo, request.wanted(session, repo), patterns, is_named=is_named, whole=whole)
        result = fetch(repo, wanted, remote=request.remote, progress=session.console)
        if is_named or patterns:
            check_fetched(repo, [want for want in wanted if want not in result.missing], patterns)
        problem = missing_error(result, repo, pushing=False)
        conclude(session, request, result, problem, show_fetch)
        session.tidy(repo)


def show_fetch(session: Session, result: TransferResult) -> None:
    """Say what a fetch did."""
    if moved_anything(result):
        session.console.done(moved_text("fetched", result, "from"))
    elif not result.versions:
        session.console.done("nothing to fetch: there are no datasets")
    elif not result.missing:
        are = "is" if result.parts or result.versions == 1 else "are"
        what = "what is wanted of " if result.parts else ""
        versions = count_text(result.versions, "version")
        session.console.done(f"Everything up to date: {what}{versions} {are} in the cache")
