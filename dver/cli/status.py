"""`dver status`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from dver.cli.command import PATH, Command
from dver.cli.session import Session
from dver.cli.wording import count_text, escape_text, moment_json, moment_text, path_json, path_text, table_lines
from dver.errors import FormatError, PathError, UnsupportedFormatError
from dver.objects.ids import format_version
from dver.objects.pointer import DatasetKind, pointer_path
from dver.operations.datasets import decode_path, typed
from dver.operations.status import DatasetStatus, State, status
from dver.repo import LINEAGE_FILE
from dver.workspace.scratch import has_runs

if TYPE_CHECKING:
    from dver.operations.run_register import FoundRun
    from dver.repo import Repo

_EXAMPLES = {
    "dver status": "all datasets",
    "dver status data/raw": "one dataset, or those in a folder",
    "dver status --remote": "also ask the default remote what it has",
    "dver status --exit-code -q": "for scripts: 0 if nothing changed, else 1",
}


def _nothing(_one: DatasetStatus) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class _Section:
    """Datasets to which the same thing happened, and what helps: all of them, or by `hint` each."""

    heading: str
    help: str
    holds: Callable[[DatasetStatus], bool]
    detail: Callable[[DatasetStatus], str]
    style: str = "red"
    names_pointer: bool = False
    hint: Callable[[DatasetStatus], str] = _nothing


@click.command("status", cls=Command, examples=_EXAMPLES)
@click.argument("paths", metavar="[PATH]...", nargs=-1, type=PATH)
@click.option("--json", "as_json", is_flag=True, help="Write one JSON document.")
@click.option("--exit-code", is_flag=True, help="Exit with 1 if a dataset is not unchanged, or not on the remote.")
@click.option("--remote", is_flag=True, help="Also ask the default remote whether it has each version.")
@click.pass_obj
def command(session: Session, paths: Sequence[str], as_json: bool, exit_code: bool, remote: bool) -> int:
    """Show which datasets changed and what to do about it.

    Compares the data with its pointers. Only files whose size or times changed are read. What a run made from other
    inputs, code or parameters than are here now is named as stale; it is not said to have changed. Runs that were
    killed are named with the outputs that they may have left half-written.
    """
    with session.repo() as repo:
        wanted = session.paths(repo, paths)
        runs = _find_runs(repo, wanted)
        found = status(repo, wanted, remote=remote, progress=session.console)
        name = repo.remote_settings().name if remote else ""
        silent = session.console.quiet and exit_code and not as_json
        stale = {} if silent else _find_stale(session, repo, found, path_text if as_json else session.shown)
    if as_json:
        datasets = [_document(one, stale.get(one.dataset)) for one in found]
        session.console.document({"datasets": datasets, **_runs_json(runs)})
    elif not silent:
        _show_runs(session, runs)
        if found:
            _show(session, _apart_from(runs, found), name, stale, after_others=bool(runs))
        elif not runs:
            session.console.out("no datasets yet")
            session.console.tip("dver add PATH makes a file or folder of data the first one")
    differs = any(one.state is not State.UNCHANGED or one.on_remote is False for one in found)
    return 1 if exit_code and differs else 0


def _find_stale(
    session: Session, repo: "Repo", found: Sequence[DatasetStatus], shown: Callable[[str], str]
) -> dict[str, str]:
    """Return why datasets are stale; `shown` says how paths are put."""
    if not (repo.root / LINEAGE_FILE).is_file():
        return {}
    # Deferred: records take their time to load, and there are none.
    from dver.cli.stale import find_stale_datasets, stale_text  # noqa: PLC0415

    reasons = find_stale_datasets(repo, found, session.console.note)
    return {dataset: stale_text(why, shown) for dataset, why in reasons.items()}


def _find_runs(repo: "Repo", paths: Sequence[str]) -> "list[FoundRun]":
    """Return the runs that are at work, or did not end in good order."""
    if not has_runs(repo.dver_dir / "tmp"):
        return []
    # Deferred, as with all of these: most of the time no run is at work, and hardly any is ever killed.
    from dver.cli.unfinished import concerning  # noqa: PLC0415
    from dver.operations.run_register import found_runs  # noqa: PLC0415

    return concerning(found_runs(repo.dver_dir), paths)


def _runs_json(runs: "Sequence[FoundRun]") -> dict[str, object]:
    if not runs:
        return {"at_work": [], "unfinished": []}
    from dver.cli.unfinished import runs_json  # noqa: PLC0415

    return runs_json(runs)


def _show_runs(session: Session, runs: "Sequence[FoundRun]") -> None:
    if not runs:
        return
    from dver.cli.unfinished import sections  # noqa: PLC0415

    for number, (heading, lines) in enumerate(sections(runs, session.shown)):
        if number:
            session.console.out()
        session.console.out(session.console.style(f"{heading}:", "bold"))
        session.console.lines(lines)


def _apart_from(runs: "Sequence[FoundRun]", found: Sequence[DatasetStatus]) -> Sequence[DatasetStatus]:
    """Leave out what a run is making, or left half-made: nothing that helps other datasets is for these."""
    if not runs:
        return found
    from dver.cli.unfinished import is_left_alone  # noqa: PLC0415

    return [one for one in found if is_left_alone(runs, one)]


def _show(
    session: Session,
    found: Sequence[DatasetStatus],
    remote: str,
    stale: Mapping[str, str],
    *,
    after_others: bool = False,
) -> None:
    console = session.console
    shown = after_others
    for section in _sections(remote, stale):
        members = [one for one in found if section.holds(one)]
        if not members:
            continue
        if shown:
            console.out()
        shown = True
        console.out(console.style(f"{section.heading}:", "bold"))
        if section.help:
            console.out(f"  ({section.help})")
        names = [pointer_path(one.dataset) if section.names_pointer else one.dataset for one in members]
        rows = [[session.shown(name), section.detail(one)] for name, one in zip(names, members, strict=True)]
        for one, line in zip(members, table_lines(rows, "<<"), strict=True):
            console.out(console.style(f"        {line}", section.style))
            hint = section.hint(one)
            if hint:
                console.out(f"          ({escape_text(hint)})")
    unchanged = sum(one.state is State.UNCHANGED for one in found)
    if not shown:
        console.out(_all_clean(unchanged, remote))
    elif unchanged:
        console.out(f"\n{count_text(unchanged, 'dataset')} unchanged")


def _all_clean(count: int, remote: str) -> str:
    where = f", and on {remote}" if remote else ""
    if count == 1:
        return f"nothing to do: the one dataset is unchanged{where}"
    return f"nothing to do: all {count:,} datasets are unchanged{where}"


def _in(state: State) -> Callable[[DatasetStatus], bool]:
    return lambda one: one.state is state


def _problem(one: DatasetStatus) -> str:
    problem = one.problem
    if problem is None:
        return ""
    # The path is on the line already.
    return escape_text(problem.reason if isinstance(problem, FormatError | PathError) else problem.message)


def _hint(one: DatasetStatus) -> str:
    problem = one.problem
    of_git = isinstance(problem, FormatError) and not isinstance(problem, UnsupportedFormatError)
    if of_git and not one.tracked:
        return f"git does not track it, so it cannot restore it; dver add --force {typed(one.dataset)} replaces it"
    return (problem.hint if problem is not None else None) or ""


def _changes(one: DatasetStatus) -> str:
    changes = one.changes
    if one.pointer is not None and one.pointer.kind is DatasetKind.FILE and one.state is State.MODIFIED:
        return "deleted" if changes.deleted else "modified"
    counts = {"added": changes.added, "modified": changes.modified, "deleted": changes.deleted}
    words = ", ".join(f"{len(paths):,} {word}" for word, paths in counts.items() if paths)
    if one.state is State.POINTER_CHANGED and words:
        words = f"and changed here: {words}"
    return f"{words} (partly here: {_part(one)})".lstrip() if one.partial else words


def _part(one: DatasetStatus) -> str:
    """Return how much of a partly present dataset is here, and what is wanted, as "120 of 50,000 files: *.csv"."""
    if one.choice is None or one.files_here is None or one.pointer is None:
        return ""
    # Deferred: most datasets are here as a whole.
    from dver.cli.choosing import choice_text  # noqa: PLC0415

    chosen = choice_text(one.choice)
    return f"{one.files_here:,} of {count_text(one.pointer.files, 'file')}{': ' * bool(chosen)}{chosen}"


def _garbage_due(one: DatasetStatus) -> str:
    return "" if one.garbage_due is None else f"may be deleted after {moment_text(one.garbage_due)}"


def _choice(one: DatasetStatus) -> list[dict[str, object]] | None:
    if one.choice is None:
        return None
    from dver.cli.choosing import choice_json  # noqa: PLC0415

    return choice_json(one.choice)


def _conflicts(one: DatasetStatus) -> str:
    if one.conflicts is None:
        return f"unknown, as {_problem(one)}"
    if one.problem is not None:
        return _problem(one)
    return f"{count_text(len(one.conflicts), 'path')} in conflict" if one.conflicts else "no path in conflict"


# What may have to be said whatever was asked for, the most pressing first.
_SECTIONS = (
    _Section("Broken pointers", "", _in(State.BROKEN), _problem, names_pointer=True, hint=_hint),
    _Section(
        "Merge conflicts",
        "dver checkout --ours PATH or --theirs PATH decides; dver checkout PATH merges the rest, to edit and add",
        _in(State.CONFLICT),
        _conflicts,
        names_pointer=True,
        hint=_hint,
    ),
    _Section(
        "Pointer changed, data not yet",
        "dver checkout PATH brings the data up to date",
        _in(State.POINTER_CHANGED),
        _changes,
    ),
    _Section(
        "Checkout interrupted",
        "dver checkout PATH goes on with it",
        _in(State.INTERRUPTED),
        _changes,
    ),
    _Section(
        "Modified data",
        "dver add PATH stores it as a new version; dver checkout --force PATH discards the changes",
        _in(State.MODIFIED),
        _changes,
    ),
    _Section(
        "Not checked out",
        "dver checkout PATH brings the data",
        lambda one: one.state is State.NOT_CHECKED_OUT and one.in_cache,
        _nothing,
    ),
    _Section(
        "Not checked out",
        "dver pull PATH fetches the data and checks it out",
        lambda one: one.state is State.NOT_CHECKED_OUT and not one.in_cache,
        _nothing,
    ),
    _Section("Not comparable", "", _in(State.UNKNOWN), _problem, hint=_hint),
    _Section(
        "Not in the cache",
        "dver fetch PATH brings the version from the remote; dver add PATH stores the data anew",
        lambda one: one.state in (State.UNCHANGED, State.MODIFIED) and not one.in_cache and not one.partial,
        _nothing,
        style="yellow",
    ),
    _Section(
        "Partly here, by choice",
        "dver checkout keeps to the choice; dver checkout PATH brings the rest, dver pull PATH from the remote",
        lambda one: one.partial and one.state is State.UNCHANGED,
        _part,
        style="yellow",
    ),
)
_UNTRACKED = _Section(
    "Pointers that git does not track",
    "git add PATH.dver, then git commit",
    lambda one: not one.tracked and one.state is not State.BROKEN,
    _nothing,
    style="yellow",
    names_pointer=True,
)


def _sections(remote: str, stale: Mapping[str, str]) -> list[_Section]:
    """Return what may have to be said, the most pressing first."""
    return [
        *_SECTIONS,
        _Section(
            "Stale",
            "dver repro PATH makes them anew",
            lambda one: one.dataset in stale,
            lambda one: stale[one.dataset],
            style="yellow",
        ),
        _UNTRACKED,
        _Section(
            f"Listed as garbage on {remote}",
            "dver push keeps them",
            lambda one: one.garbage_due is not None,
            _garbage_due,
            style="yellow",
        ),
        _Section(
            f"Not on {remote}", "dver push PATH sends them", lambda one: one.on_remote is False, _nothing, "yellow"
        ),
    ]


def _document(one: DatasetStatus, stale: str | None) -> dict[str, object]:
    pointer = one.pointer
    return {
        "dataset": path_json(one.dataset),
        "state": one.state.name.lower(),
        "kind": None if pointer is None else pointer.kind.value,
        "version": None if pointer is None else format_version(pointer.version),
        "size": None if pointer is None else pointer.size,
        "files": None if pointer is None else pointer.files,
        "base_version": None if one.base is None else format_version(one.base),
        "changes": {
            "added": [path_json(path) for path in one.changes.added],
            "modified": [path_json(path) for path in one.changes.modified],
            "deleted": [path_json(path) for path in one.changes.deleted],
        },
        "partial": one.partial,
        "files_here": one.files_here,
        "choice": _choice(one),
        "in_cache": None if pointer is None else one.in_cache,
        "on_remote": one.on_remote,
        "listed_as_garbage": None if one.garbage_due is None else moment_json(one.garbage_due),
        "tracked": one.tracked,
        "problem": None if one.problem is None else one.problem.message,
        "conflicts": None
        if one.conflicts is None
        else [{"path": path_json(decode_path(found.path)), "kind": found.kind.name.lower()} for found in one.conflicts],
        "stale": stale,
    }
