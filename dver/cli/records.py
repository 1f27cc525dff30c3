"""Puts lineage records into words and into JSON; what `dver lineage`, `dver runs` and `dver show` have in common.

Records come with a clone and may be anybody's work, so nothing of theirs is printed that could move a cursor.
"""

import shlex
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from dver.cli.session import Session
from dver.cli.wording import escape_text, path_json
from dver.errors import redact_url
from dver.records.record import DATASET, Artifact, Record, State, short_id
from dver.repo import LINEAGE_FILE, Repo

if TYPE_CHECKING:
    from dver.operations.moves import Twin

NO_RUNS = "no runs are recorded here yet"
_VERSION_DIGITS = 12
_LISTED_LINES = 10
_MINUTE = 60
_HOUR = 60 * _MINUTE
_FEW_SECONDS = 10


def short_version(version: str) -> str:
    """Return the short form of an artifact's version, or of the digest of a container image."""
    prefix, _, digits = version.rpartition(":")
    return f"{prefix}:{digits[:_VERSION_DIGITS]}…"


def command_text(record: Record) -> str:
    """Return what ran, as one types it, or where imported data came from; "" where nothing did."""
    if record.command:
        return escape_text(record.command[0] if record.shell else shlex.join(record.command))
    return f"import from {escape_text(redact_url(record.source))}" if record.source else ""


def command_line(record: Record) -> str:
    """Return what ran, as a shell takes it and for programs to read; "" where nothing did."""
    if not record.command:
        return ""
    return record.command[0] if record.shell else shlex.join(record.command)


def title(record: Record) -> str:
    """Return the name of a run and what ran, as far as there is either; else what was noted of an import."""
    named = ": ".join(filter(None, (escape_text(record.name), command_text(record))))
    return named or (f"import: {escape_text(record.note)}" if record.note else "a run without a name")


def state_text(record: Record) -> str:
    """Return how a run ended; a failed one with what its command said."""
    code = record.exit_code
    return f"failed with exit code {code}" if record.state is State.FAILED and code else record.state.value


def failure_text(record: Record) -> str:
    """Return why a run failed whose command did not, in brackets; "" for others."""
    return f"  ({escape_text(record.note)})" if record.state is State.FAILED and record.note else ""


def time_text(started: str, *, seconds: bool = False) -> str:
    """Return when a run started, in the time zone of who reads it."""
    try:
        moment = datetime.fromisoformat(started).astimezone().replace(tzinfo=None)
    except (ValueError, OverflowError, OSError):
        # Too near an end of time for a time zone.
        return escape_text(started)
    return moment.isoformat(" ", "seconds" if seconds else "minutes")


def moments(record: Record) -> tuple[str, str]:
    """Return when a run began and when it ended, in UTC and for programs to read."""
    began = datetime.fromisoformat(record.started)
    try:
        ended = began + timedelta(seconds=record.seconds)
    except OverflowError:
        # Longer than there is time.
        ended = began
    found = [moment.isoformat(timespec="milliseconds").replace("+00:00", "Z") for moment in (began, ended)]
    return found[0], found[1]


def duration_text(seconds: float) -> str:
    """Return how long a run took."""
    if seconds < _FEW_SECONDS:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    return f"{whole // _HOUR:,} h {whole % _HOUR // _MINUTE} min"


def remarks(artifact: Artifact, *more: str) -> str:
    """Return what else there is to say of an artifact, in brackets: that it is no dataset, and the like."""
    kind = "" if artifact.kind == DATASET else escape_text(artifact.kind)
    said = ", ".join(filter(None, (kind, "observed" if artifact.observed else "", *more)))
    return f"  ({said})" if said else ""


def alike_text(twins: "Sequence[Twin]", shown: Callable[[str], str]) -> str:
    """Return of which other path a version has the content, and which run made that; "" for none."""
    if not twins:
        return ""
    latest = max(twins, key=lambda twin: twin.record.started)
    return f"same content as {shown(latest.artifact.path)}, which run {short_id(latest.record.id)} made"


def report_damage(session: Session, repo: Repo) -> list[int]:
    """Say which lines of the lineage file are no records, so that nobody takes an answer for whole; return them."""
    problems = repo.lineage.problems()
    if problems:
        lines = "1 line is no record" if len(problems) == 1 else f"{len(problems):,} lines are no records"
        session.console.note(f"{session.shown(LINEAGE_FILE)}: {lines}, and passed over:")
    for line in problems[:_LISTED_LINES]:
        session.console.note(f"    {line.problem or f'line {line.number}'}")
    if len(problems) > _LISTED_LINES:
        session.console.note(f"    and lines {', '.join(str(line.number) for line in problems[_LISTED_LINES:])}")
    return [line.number for line in problems]


def no_runs_text(damaged: Sequence[int]) -> str:
    """Return what to say where there are no runs to speak of; what is damaged may be some."""
    return f"{LINEAGE_FILE} has no line that is a record" if damaged else NO_RUNS


def record_json(record: Record) -> dict[str, object]:
    """Return a record for JSON output, with every key."""
    environment = record.environment
    return {
        "id": record.id,
        "state": record.state.value,
        "name": record.name or None,
        "command": [path_json(word) for word in record.command],
        "shell": record.shell,
        "folder": path_json(record.folder),
        "started": record.started,
        "seconds": record.seconds,
        "exit_code": record.exit_code,
        "inputs": [artifact_json(artifact) for artifact in record.inputs],
        "outputs": [artifact_json(artifact) for artifact in record.outputs],
        "params": dict(record.params),
        "commit": record.commit or None,
        "dirty": record.dirty,
        "environment": {
            "python": environment.python or None,
            "platform": environment.platform or None,
            "packages": environment.packages or None,
            "image": environment.image or None,
        },
        "tags": dict(record.tags),
        "key": record.key or None,
        "reuses": record.reuses or None,
        "source": record.source or None,
        "note": record.note or None,
        "observed": record.observed,
    }


def artifact_json(artifact: Artifact) -> dict[str, object]:
    """Return an artifact of a record for JSON output, with every key."""
    return {
        "path": path_json(artifact.path),
        "version": artifact.version,
        "dataset": path_json(artifact.dataset) if artifact.dataset else None,
        "dataset_version": artifact.dataset_version or None,
        "kind": artifact.kind,
        "observed": artifact.observed,
        "props": dict(artifact.props),
    }


def twins_json(twins: "Iterable[Twin]") -> list[dict[str, object]]:
    """Return for JSON output where runs made the same version as well."""
    return [{"path": path_json(twin.artifact.path), "run": twin.record.id} for twin in twins]
