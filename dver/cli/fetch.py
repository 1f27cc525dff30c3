"""`dver fetch`."""

import click

from dver.cli.choosing import choice_options
from dver.cli.command import Command
from dver.cli.session import Session
from dver.cli.transfers import Request, conclude, document, moved_anything, moved_text, transfer_options
from dver.cli.wording import count_text, moment_json, moment_text, path_json
from dver.objects.ids import format_version
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
        tell_garbage(session, result)
        conclude(session, request, result, problem, show_fetch, fetched_json)
        session.tidy(repo)


def tell_garbage(session: Session, result: TransferResult) -> None:
    """Tell of versions that the remote may delete soon, as nobody said there that they are needed."""
    if not result.garbage:
        return
    count, due = len({want.version for want, _ in result.garbage}), min(due for _, due in result.garbage)
    what, them = ("a version", "it") if count == 1 else (f"{count:,} versions", "them")
    session.console.note(
        f"{result.remote} lists {what} of these as garbage, and may delete {them} after {moment_text(due)};"
        f" dver push -r {result.remote} keeps {them}"
    )


def fetched_json(result: TransferResult) -> dict[str, object]:
    """Return a fetch for JSON."""
    return {
        **document(result),
        "listed_as_garbage": [
            {"dataset": path_json(want.dataset), "version": format_version(want.version), "due": moment_json(due)}
            for want, due in result.garbage
        ],
    }


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
