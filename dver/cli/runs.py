"""`dver runs`."""

from collections.abc import Sequence
from typing import Any

import click

from dver.cli.command import PATH, Command
from dver.cli.filters import COUNT, DATE, TAG, refuse_empty, unique
from dver.cli.records import (
    command_text,
    duration_text,
    failure_text,
    no_runs_text,
    record_json,
    report_damage,
    time_text,
)
from dver.cli.session import Session
from dver.cli.wording import escape_text, table_lines
from dver.operations.runs import Wanted, run_condition, runs
from dver.records.record import Record, State, short_id

_EXAMPLES = {
    "dver runs": "all runs, the newest last",
    "dver runs --state failed --since 2026-11-01": "those that failed since then",
    "dver runs --name train --tag experiment=a": "one step of one experiment",
    "dver runs --path models": "those that used or made what is in a folder",
    "dver runs --where \"param('lr') > 0.1 AND seconds < 60\"": "what SQL can say of a run",
    "dver runs --json": "for programs",
}


def _state(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> State | None:
    return None if value is None else State(value)


@click.command("runs", cls=Command, examples=_EXAMPLES)
@click.option("--name", metavar="NAME", help="Only runs with this name.")
@click.option("--state", type=click.Choice(list(map(str, State))), callback=_state, help="Only those that ended so.")
@click.option("--tag", "tags", metavar="KEY=VALUE", type=TAG, multiple=True, help="Only runs with all these tags.")
@click.option("--since", metavar="DATE", type=DATE, help="Only runs that started then or later, as 2026-11-23.")
@click.option("--path", metavar="PATH", type=PATH, help="Only runs that used or made this, or something in it.")
@click.option("--where", metavar="SQL", help="Only runs of which this condition is true.")
@click.option("--limit", metavar="N", type=COUNT, help="Only the newest N of those that fit.")
@click.option("--json", "as_json", is_flag=True, help="Write one JSON document.")
@click.pass_obj
def command(session: Session, /, tags: Sequence[tuple[str, str]], as_json: bool, **which: Any) -> None:
    """List the runs that are recorded, the newest last.

    Each line has the id, which dver show takes, when the run started, how it ended, how long it took, its name, and the
    command. The options can be combined.

    In a condition, the columns are id, name, state, started, seconds, exit_code, command, folder, commit_id, dirty,
    python, platform, source and note; param('NAME') is a parameter, tag('NAME') a tag.
    """
    path, where = which.pop("path"), which.pop("where")
    refuse_empty(which["name"], "the name of --name", hint="dver runs without --name lists the runs of all names")
    refuse_empty(path, "the path of --path", hint="dver runs without --path lists all runs; --path . is this folder")
    refuse_empty(where, "the condition of --where", hint="dver runs --where \"state = 'failed'\"")
    wanted_tags = unique(tags, TAG)
    with run_condition(where) as condition, session.repo() as repo:
        below = None if path is None else repo.relative(path, session.start)
        found = runs(repo, Wanted(path=below, tags=wanted_tags, where=condition, **which))
        damaged, count = report_damage(session, repo), repo.lineage.count()
    if as_json:
        session.console.document({"runs": [record_json(record) for record in found], "damaged_lines": damaged})
        return
    if not found:
        session.console.note(
            f"no run fits; there {'is' if count == 1 else 'are'} {count:,}" if count else no_runs_text(damaged)
        )
    session.console.lines(table_lines([_row(record) for record in found], "<<<><<"))


def _row(record: Record) -> list[str]:
    return [
        short_id(record.id),
        time_text(record.started),
        record.state.value,
        duration_text(record.seconds),
        escape_text(record.name),
        f"{command_text(record)}{failure_text(record)}" or escape_text(record.note),
    ]
