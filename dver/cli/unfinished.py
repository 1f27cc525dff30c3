"""Puts into words and JSON which runs are at work, and what became of those of which dver was killed.

Loaded only where there is such a run. Names and commands may be anybody's work, so they are made safe to print.
"""

import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from dver.cli.records import time_text
from dver.cli.session import Session
from dver.cli.wording import escape_text, path_json
from dver.operations.run_recover import Recovered
from dver.operations.run_register import FoundRun, Life, RunNote, overlapping
from dver.operations.status import DatasetStatus, State

_STATES = {
    Life.AT_WORK: "at work",
    Life.COMMAND_ONLY: "running",
    Life.ELSEWHERE: "unknown",
    Life.KILLED: "killed",
}


def concerning(runs: Sequence[FoundRun], paths: Sequence[str]) -> list[FoundRun]:
    """Return the runs that are about some of these paths; without paths, and for the whole repository, all."""
    return [run for run in runs if not paths or "" in paths or overlapping(run, paths) is not None]


def runs_json(runs: Sequence[FoundRun]) -> dict[str, object]:
    """Return all runs for JSON output, those at work apart from the others."""
    at_work, others = _apart(runs)
    return {"at_work": [_document(run) for run in at_work], "unfinished": [_document(run) for run in others]}


def sections(runs: Sequence[FoundRun], shown: Callable[[str], str]) -> Iterator[tuple[str, Iterator[str]]]:
    """Yield what `dver status` says of runs: headings, and the lines below each; `shown` says how paths are put."""
    at_work, others = _apart(runs)
    if at_work:
        yield "At work", _at_work_lines(at_work, shown)
    if others:
        yield "Unfinished", _unfinished_lines(others, shown)


def is_left_alone(runs: Sequence[FoundRun], one: DatasetStatus) -> bool:
    """Whether no run has a dataset in hand, nor has left it otherwise than it was."""
    concerned = [run for run in runs if overlapping(run, [one.dataset]) is not None]
    return all(run.life is Life.KILLED and one.state is State.UNCHANGED for run in concerned)


def _apart(runs: Sequence[FoundRun]) -> tuple[list[FoundRun], list[FoundRun]]:
    at_work = [run for run in runs if run.life is Life.AT_WORK]
    return at_work, [run for run in runs if run.life is not Life.AT_WORK]


def _at_work_lines(runs: Sequence[FoundRun], shown: Callable[[str], str]) -> Iterator[str]:
    yield "  (dver leaves alone what they make, until they end)"
    for run in runs:
        yield f"        {_title(run.note)}"
        yield f"          (begun {_time(run.note)}, as process {run.note.pid})"
        if run.note.outputs:
            yield f"          (is making {', '.join(map(shown, run.note.outputs))})"


def _unfinished_lines(runs: Sequence[FoundRun], shown: Callable[[str], str]) -> Iterator[str]:
    yield "  (dver repro --recover puts back what was there before; so does the next run that makes it)"
    for run in runs:
        yield f"        {_title(run.note)}"
        yield f"          ({_state_text(run)})"
        if run.note.outputs:
            yield f"          (may be half-written: {', '.join(map(shown, run.note.outputs))})"


def _document(run: FoundRun) -> dict[str, object]:
    note = run.note
    return {
        "name": note.name or None,
        "command": [path_json(word) for word in note.command],
        "shell": note.shell,
        "folder": path_json(note.folder),
        "outputs": [path_json(path) for path in note.outputs],
        "started": note.started,
        "state": _STATES[run.life],
        "host": note.host,
        "pid": note.pid,
        "command_pid": run.command_pid,
    }


def show_recovered(session: Session, recovered: Sequence[Recovered]) -> None:
    """Say what was done about killed runs."""
    for one in recovered:
        said = [f"cleared up after a run of {_time(one.run.note)} that was killed, {_title(one.run.note)}"]
        if one.restored:
            said.append(f"put back {_names(session, one.restored)}")
        if one.moved:
            said.append(f"moved what it left of {_names(session, one.moved)} to {_place(session, one.leftovers)}")
        session.console.note("; ".join(said))


def alive_text(run: FoundRun) -> str:
    """Return what keeps a run from being cleared up after."""
    return f"{_title(run.note)}: {_state_text(run)}"


def _state_text(run: FoundRun) -> str:
    if run.life is Life.COMMAND_ONLY:
        process = "" if run.command_pid is None else f" as process {run.command_pid}"
        said = f"dver was killed, the command still runs{process}: wait until it ends, or end it"
        return f"begun {_time(run.note)}; {said}"
    if run.life is Life.ELSEWHERE:
        return f"begun {_time(run.note)} on {escape_text(run.note.host)}; it was killed, or still runs there"
    return f"begun {_time(run.note)}; it was killed"


def _title(note: RunNote) -> str:
    command = note.command[0] if note.shell and note.command else shlex.join(note.command)
    return ": ".join(escape_text(text) for text in (note.name, command) if text)


def _time(note: RunNote) -> str:
    return time_text(note.started)


def _names(session: Session, paths: Sequence[str]) -> str:
    return ", ".join(session.shown(path) for path in paths)


def _place(session: Session, folder: Path) -> str:
    return session.shown(os.path.relpath(folder, session.root or session.start))
