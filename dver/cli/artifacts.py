"""`dver artifacts`."""

from collections.abc import Mapping, Sequence
from typing import Any

import click

from dver.cli.command import PATH, Command
from dver.cli.filters import COUNT, DATE, PROPERTY, TAG, refuse_empty, unique
from dver.cli.records import (
    alike_text,
    artifact_json,
    no_runs_text,
    report_damage,
    short_version,
    time_text,
    twins_json,
)
from dver.cli.session import Session
from dver.cli.wording import count_text, escape_text, table_lines
from dver.errors import UsageError
from dver.operations.artifacts import Listed, Wanted, artifact_condition, artifacts
from dver.records.record import BLOB_PREFIX, Record, State, scalar_text, short_id

_EXAMPLES = {
    "dver artifacts": "all versions that runs used or made",
    "dver artifacts models": "those at a path, or in a folder",
    "dver artifacts --name train --tag experiment=a": "what one step made in one experiment",
    "dver artifacts --state imported": "data that came from elsewhere",
    "dver artifacts --kind code --since 2026-11-01": "code that was first used since then",
    "dver artifacts --where \"prop('accuracy') > 0.9\"": "what SQL can say of an artifact",
    "dver artifacts --json": "for programs",
}
_STATES = [state.value for state in State if state is not State.FAILED]


def _state(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> State | None:
    return None if value is None else State(value)


@click.command("artifacts", cls=Command, examples=_EXAMPLES)
@click.argument("place", metavar="[PATH]", required=False, type=PATH)
@click.option("--kind", metavar="KIND", help="Only those of this kind, such as dataset or code.")
@click.option("--path", metavar="PATH", type=PATH, help="The same as PATH alone, as dver runs has it.")
@click.option("--tag", "tags", metavar="KEY=VALUE", type=TAG, multiple=True, help="Only what runs with this tag made.")
@click.option("--prop", "props", metavar="KEY=VALUE", type=PROPERTY, multiple=True, help="Only with this property.")
@click.option("--since", metavar="DATE", type=DATE, help="Only what was made, or first used, then or later.")
@click.option("--state", type=click.Choice(_STATES), callback=_state, help="Only what runs that ended so made.")
@click.option("--name", metavar="NAME", help="Only what runs with this name made.")
@click.option("--where", metavar="SQL", help="Only those of which this condition is true.")
@click.option("--limit", metavar="N", type=COUNT, help="Only the newest N of those that fit.")
@click.option("--json", "as_json", is_flag=True, help="Write one JSON document.")
@click.pass_obj
def command(session: Session, /, as_json: bool, **given: Any) -> None:
    """List the versions that runs used or made, the newest last.

    With PATH, only those at that path or in that folder. Each line has the time, path, version and kind, the run that
    first made it, and how many runs used it. What no run made is a source, of which the time is that of its first use;
    a part of a dataset is marked as such. The options can be combined.

    In a condition, the columns are path, version, kind, dataset, made, run, name and used: when the first run made it,
    the id and name of that run, and how many used it. prop('NAME') is a property.
    """
    place, path, where = given.pop("place"), given.pop("path"), given.pop("where")
    _refuse_empty(place, path, where, given)
    if place is not None and path is not None:
        raise UsageError("PATH and --path say the same; give one of them")
    tags, props = unique(given.pop("tags"), TAG), unique(given.pop("props"), PROPERTY)
    place = path if place is None else place
    with artifact_condition(where) as condition, session.repo() as repo:
        below = None if place is None else repo.relative(place, session.start)
        found = artifacts(repo, Wanted(path=below, tags=tags, props=props, where=condition, **given))
        damaged, count = report_damage(session, repo), repo.lineage.count()
    if as_json:
        session.console.document({"artifacts": [_json(one) for one in found], "damaged_lines": damaged})
        return
    if not found:
        have = "is" if count == 1 else "are"
        session.console.note(
            f"no artifact fits; there {have} {count_text(count, 'run')}" if count else no_runs_text(damaged)
        )
    session.console.lines(table_lines([_row(session, one) for one in found], "<<<<<<<"))


def _refuse_empty(place: str | None, path: str | None, where: str | None, given: Mapping[str, Any]) -> None:
    for given_path in (place, path):
        refuse_empty(
            given_path, "the path", hint="dver artifacts without a path lists all; dver artifacts . this folder"
        )
    refuse_empty(given["name"], "the name of --name", hint="dver artifacts without --name lists those of all names")
    refuse_empty(given["kind"], "the kind of --kind", hint="dver artifacts without --kind lists those of all kinds")
    refuse_empty(where, "the condition of --where", hint="dver artifacts --where \"kind = 'model'\"")


def _row(session: Session, listed: Listed) -> list[str]:
    artifact = listed.artifact
    props = (f"{name}={scalar_text(value)}" for name, value in artifact.props.items())
    return [
        time_text(listed.started),
        session.shown(artifact.path),
        short_version(artifact.version),
        escape_text(artifact.kind),
        _origin(session, listed),
        f"used by {count_text(len(listed.users), 'run')}" if listed.users else "",
        escape_text(" ".join(props)),
    ]


def _origin(session: Session, listed: Listed) -> str:
    if listed.makers:
        run = listed.makers[0]
        return f"run {short_id(run.id)}" + (f" ({escape_text(run.name)})" if run.name else "")
    if listed.artifact.dataset:
        return f"part of {session.shown(listed.artifact.dataset)}"
    # Of what git has, git knows where it comes from.
    if listed.artifact.version.startswith(BLOB_PREFIX):
        return "in git"
    if listed.origins.moved:
        latest = max(listed.origins.moved, key=lambda twin: twin.record.started)
        return f"same as {session.shown(latest.artifact.path)}, run {short_id(latest.record.id)}"
    return ", ".join(filter(None, ("source", alike_text(listed.origins.alike, session.shown))))


def _json(listed: Listed) -> dict[str, object]:
    fields = artifact_json(listed.artifact)
    # One run may have been told of what another was only seen to use.
    del fields["observed"]
    return {
        **fields,
        "started": listed.started,
        "made_by": _ids(listed.makers),
        "used_by": _ids(listed.users),
        "same_content": twins_json((*listed.origins.moved, *listed.origins.alike)),
    }


def _ids(records: Sequence[Record]) -> list[str]:
    return [record.id for record in records]
