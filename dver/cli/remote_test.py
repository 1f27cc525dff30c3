"""`dver remote test`."""

from typing import Any

import click

from dver.cli.command import Command
from dver.cli.session import Session
from dver.cli.transfers import complete_remote
from dver.cli.wording import escape_text, table_lines
from dver.operations.remote_test import RemoteTest, try_remote
from dver.storage.selftest import Result, Trial

_EXAMPLES = {
    "dver remote test": "the default remote",
    "dver remote test backup --quick": "another, without the trials that take long",
}


@click.command("test", cls=Command, examples=_EXAMPLES)
@click.argument("name", metavar="[NAME]", required=False, shell_complete=complete_remote)
@click.option("--quick", is_flag=True, help="Leave out what takes long: a large blob, and a thousand small ones.")
@click.option("--json", "as_json", is_flag=True, help="Write one JSON document.")
@click.pass_obj
def test(session: Session, name: str | None, quick: bool, as_json: bool) -> int:
    """Find out what a remote can do, and what it cannot.

    Tries each promise that dver counts on: that what was written is there at once and whole, that lists are complete
    and up to date, that names, sizes and parts are exact, and that several writers do no harm. Writes about 30 MiB and
    a thousand small files into a folder in dver-test of the remote, and deletes them; the data there is not touched.
    What a test that was killed left there goes when it is a day old.
    dver remote check is the short question whether address and rights are as they should be.

    Exits with 1 if something does not work, or could not be deleted.
    """
    console = session.console
    session.when_interrupted = "what was tried out is deleted, unless a line above says otherwise"
    with session.repo() as repo:
        result = try_remote(repo, name, quick=quick, progress=console)
    if as_json:
        console.document(_document(result))
    else:
        console.lines(table_lines([_row(trial) for trial in result.trials], "<<><"))
        console.lines(f"could not be deleted: {escape_text(key)}" for key in result.left)
        console.lines(f"removed {folder}, which a test that was killed had left" for folder in result.removed)
        console.lines(
            f"{folder} is of another test: if that was killed, delete it there, or test again when it is a day old"
            for folder in result.others
        )
        console.out(_verdict(result))
    return 0 if result.is_good else 1


def _row(trial: Trial) -> list[str]:
    needed = f" (needed for {trial.needed_for})" if trial.result is Result.FAILED else ""
    seconds = "" if trial.result is Result.NOT_TRIED else f"{trial.seconds:.2f} s"
    return [trial.name, trial.result, seconds, escape_text(trial.detail) + needed]


def _verdict(result: RemoteTest) -> str:
    where = f"{result.remote} ({result.location})"
    failed = {trial.name: trial.needed_for for trial in result.trials if trial.result is Result.FAILED}
    if not failed:
        return f"{where} does all that dver needs"
    if "connect" in failed:
        return f"{where} cannot be used"
    if "write" in failed:
        return f"{where} cannot be written to: what is there can be fetched, and nothing can be pushed"
    return (
        f"{where} does not do all that dver needs; do not count on it for: {'; '.join(dict.fromkeys(failed.values()))}"
    )


def _document(result: RemoteTest) -> dict[str, Any]:
    return {
        "remote": result.remote,
        "location": result.location,
        "good": result.is_good,
        "trials": [
            {
                "name": trial.name,
                "result": trial.result,
                "seconds": round(trial.seconds, 3),
                "needed_for": trial.needed_for,
                "detail": trial.detail,
            }
            for trial in result.trials
        ],
        "left": list(result.left),
        "removed": list(result.removed),
        "other_tests": list(result.others),
    }
