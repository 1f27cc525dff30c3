"""`dver show`."""

from collections.abc import Iterator, Sequence
from datetime import datetime

import click

from dver.cli.command import PATH, Command
from dver.cli.records import (
    alike_text,
    command_text,
    duration_text,
    no_runs_text,
    record_json,
    remarks,
    report_damage,
    short_version,
    state_text,
    time_text,
)
from dver.cli.run_words import named_place, run_or_path
from dver.cli.session import Session
from dver.cli.wording import escape_text
from dver.errors import NotFoundError, UsageError
from dver.operations.lineage import ArtifactId, find_start, origins
from dver.operations.packages import read_packages
from dver.operations.runs import runs_that_made
from dver.records.record import Artifact, Record, Scalar, State, scalar_text
from dver.repo import Repo

_EXAMPLES = {
    "dver show 4f0c12ab34": "a run, by its id from dver runs",
    "dver show metrics.json": "the runs that made the version here",
    "dver show v1.0:models/best": "those that made the version in a tag",
    "dver show --packages model.pt": "the packages that the run had which made it",
    "dver show --json metrics.json": "for programs",
}
_LABEL_WIDTH = 13


@click.command("show", cls=Command, examples=_EXAMPLES)
@click.argument("word", metavar="RUN|[REV:]PATH", type=PATH)
@click.option("--packages", "wants_packages", is_flag=True, help="Only list the packages that the run had.")
@click.option("--json", "as_json", is_flag=True, help="Write one JSON document.")
@click.pass_obj
def command(session: Session, word: str, wants_packages: bool, as_json: bool) -> int:
    """Show all that is recorded of a run, or of the runs that made a version.

    RUN is an id, of which six digits or more are enough, or run:ID, which is never taken for a path. The version is the
    one that the pointer of PATH names, here or in REV. Exits with 1 if no run made it, or none has this id.

    With --packages, only the packages that the run's Python had, one NAME==VERSION a line; of several runs, those of
    the last one. The list comes from the cache, or from the default remote if dver push has sent it there.
    """
    if wants_packages and as_json:
        raise UsageError("--packages and --json cannot go together")
    with session.repo() as repo:
        found, none = _find(session, repo, word)
        damaged, count = report_damage(session, repo), repo.lineage.count()
        if wants_packages and found:
            return _show_packages(session, repo, found)
    if as_json:
        session.console.document({"runs": [record_json(record) for record in found], "damaged_lines": damaged})
    for number, record in enumerate([] if as_json else found):
        if number:
            session.console.out()
        session.console.lines(_lines(session, record))
    if not found:
        session.console.note(none if count else no_runs_text(damaged))
    return 0 if found else 1


def _find(session: Session, repo: Repo, word: str) -> tuple[Sequence[Record], str]:
    """Return the records that a word means, and what to say if there are none."""
    try:
        by_id = run_or_path(session, repo, word, command="dver show")
        if by_id is not None:
            return [by_id], ""
        with named_place(session, repo, word) as (revision, path):
            start = find_start(repo, revision, path)
    except NotFoundError as exc:
        return [], f"{exc.message}; {exc.hint}"
    found = runs_that_made(repo, start.artifact)
    return found, "" if found else _unmade(session, repo, start.artifact)


def _unmade(session: Session, repo: Repo, name: ArtifactId) -> str:
    none = f"no run that is recorded made {session.shown(name.path)} at {short_version(name.version)}"
    alike = alike_text(origins(repo, name).alike, session.shown)
    return f"{none}; it has the {alike}" if alike else none


def _show_packages(session: Session, repo: Repo, found: Sequence[Record]) -> int:
    """Write the list of the last run that has one."""
    records = [record for record in found if record.environment.packages]
    if not records:
        if all(record.state is State.IMPORTED for record in found):
            session.console.note("no packages are recorded: the data was imported, and no command ran")
        else:
            session.console.note("no packages are recorded: the command ran no Python that could be asked")
        return 1
    last = max(records, key=lambda record: datetime.fromisoformat(record.started))
    session.console.lines(map(escape_text, read_packages(repo, last)))
    return 0


def _lines(session: Session, record: Record) -> Iterator[str]:
    """Yield a record as lines that each begin with a label, where it is another than that of the line before."""
    yield session.console.style(f"run {record.id}", "yellow")
    previous = ""
    for label, text in _facts(session, record):
        if text:
            yield f"{'' if label == previous else label:{_LABEL_WIDTH}}{text}".rstrip()
            previous = label


def _facts(session: Session, record: Record) -> Iterator[tuple[str, str]]:
    yield "name", escape_text(record.name)
    yield "state", state_text(record)
    yield "command" if record.command else "source", command_text(record)
    yield "shell", "yes" if record.shell else ""
    yield "folder", session.shown(record.folder) if record.folder else ""
    yield "started", time_text(record.started, seconds=True)
    yield "took", duration_text(record.seconds) if record.seconds else ""
    # A run before the first commit has none, and what git tracked then was not committed.
    commit = escape_text(record.commit) or ("none yet" if record.dirty else "")
    yield "commit", commit + (", with changes that were not committed" if record.commit and record.dirty else "")
    for name, value in record.params.items():
        yield "parameters", f"{escape_text(name)} = {_value(value)}"
    for artifact in record.inputs:
        yield "inputs", _artifact(session, artifact)
    for artifact in record.outputs:
        yield "outputs", _artifact(session, artifact)
    for name, text in record.tags.items():
        yield "tags", f"{escape_text(name)}={escape_text(text)}"
    yield from _environment(record)
    yield "reuses", escape_text(record.reuses)
    yield "key", escape_text(record.key)
    yield "note", escape_text(record.note)
    yield "observed", "yes" if record.observed else ""


def _environment(record: Record) -> Iterator[tuple[str, str]]:
    environment = record.environment
    yield "python", escape_text(environment.python)
    yield "platform", escape_text(environment.platform)
    yield "packages", escape_text(environment.packages)
    yield "image", escape_text(environment.image)


def _artifact(session: Session, artifact: Artifact) -> str:
    props = [f"{escape_text(name)}={_value(value)}" for name, value in artifact.props.items()]
    part = f"  part of {session.shown(artifact.dataset)}  {artifact.dataset_version}" if artifact.dataset else ""
    return f"{session.shown(artifact.path)}  {artifact.version}{remarks(artifact, *props)}{part}"


def _value(value: Scalar) -> str:
    return escape_text(scalar_text(value))
