"""`dver push`."""

import click

from dver.cli.command import Command
from dver.cli.session import Session
from dver.cli.transfers import Request, conclude, document, moved_anything, moved_text, transfer_options
from dver.cli.wording import count_text, size_text
from dver.operations.push import TransferResult, damage_error, missing_error, push
from dver.operations.read_back import ReadBack

_NAMED = 3
_EXAMPLES = {
    "dver push": "what the last commit and the pointers here name",
    "dver push data/raw": "one dataset",
    "dver push --rev v1.0 --rev v2.0": "the versions of two tags",
    "dver push -r backup --all": "the history of every branch and tag, to another remote",
    "dver push --verify": "and read all of it back",
}


@click.command("push", cls=Command, examples=_EXAMPLES)
@transfer_options
@click.option("--verify", is_flag=True, help="Read all of these versions back from the remote, and check every byte.")
def command(session: Session, request: Request, verify: bool) -> None:
    """Send versions to a remote.

    Only what the remote lacks is sent. What it should have is held against a list of what is there: a file of its store
    that is gone or cut off is made again from the cache, and where that cannot be done dver says so and sends nothing.
    A push that was cut off goes on where it stopped when it is run again.
    """
    with session.repo() as repo:
        wanted = request.wanted(session, repo)
        result = push(repo, wanted, remote=request.remote, verify=verify, progress=session.console)
        problem = missing_error(result, repo, pushing=True) or damage_error(result)
        conclude(session, request, result, problem, _show, _document)
        session.tidy(repo)


def _show(session: Session, result: TransferResult) -> None:
    if result.restored:
        count = len(result.restored)
        files = "a file of its store" if count == 1 else f"{count:,} files of its store"
        names = ", ".join(result.restored[:_NAMED]) + (f" and {count - _NAMED:,} more" if count > _NAMED else "")
        session.console.note(f"{result.remote} had lost {files}, which it has again: {names}")
    if moved_anything(result):
        session.console.done(moved_text("pushed", result, "to"))
    elif not result.versions:
        session.console.done("nothing to push: there are no datasets")
    elif not result.missing and not (result.checked and result.checked.problems):
        are = "is" if result.versions == 1 else "are"
        session.console.done(
            f"Everything up to date: {count_text(result.versions, 'version')} {are} on {result.remote}"
        )
    if result.checked is not None and not result.checked.problems:
        session.console.done(_checked_text(result.checked))


def _checked_text(checked: ReadBack) -> str:
    versions, packs = count_text(checked.versions, "version"), count_text(checked.packs, "pack")
    return f"read back {versions}: {packs}, {size_text(checked.bytes)}, and every byte is right"


def _document(result: TransferResult) -> dict[str, object]:
    checked = result.checked
    return {
        **document(result),
        "restored": list(result.restored),
        "verified": checked
        and {
            "versions": checked.versions,
            "packs": checked.packs,
            "bytes": checked.bytes,
            "problems": list(checked.problems),
        },
    }
