"""`dver log`."""

import sys
from itertools import islice

import click

from dver.cli.command import PATH, Command
from dver.cli.session import Session
from dver.cli.wording import count_text, escape_text, path_json, size_text, version_text
from dver.errors import UsageError, first_of
from dver.objects.ids import format_version
from dver.objects.pointer import DatasetKind
from dver.operations.datasets import working_datasets
from dver.operations.log import ChangeCounts, LogEntry, log
from dver.repo import Repo

_EXAMPLES = {
    "dver log": "all versions of the only dataset there is",
    "dver log data/raw": "all versions, newest first",
    "dver log -n 5 data/raw": "the last five",
    "dver log --json data/raw": "for programs",
}
_COMMIT_DIGITS = 10
_MOST_NAMES = 10


@click.command("log", cls=Command, examples=_EXAMPLES)
@click.argument("path", metavar="[PATH]", required=False, type=PATH)
@click.option("-n", "limit", metavar="N", type=click.IntRange(min=1), help="Show at most N versions.")
@click.option("--json", "as_json", is_flag=True, help="Write one JSON document.")
@click.pass_obj
def command(session: Session, path: str | None, limit: int | None, as_json: bool) -> None:
    """Show the versions of a dataset through git's history.

    The newest comes first. The history goes on where the dataset had another name, if dver mv or git mv renamed it.
    PATH may be left out where there is only one dataset.
    """
    with session.repo() as repo:
        dataset = _only_dataset(session, repo) if path is None else session.paths(repo, [path])[0]
        # islice takes no larger number.
        entries = islice(log(repo, dataset), None if limit is None else min(limit, sys.maxsize))
        if as_json:
            session.console.document({"versions": [_document(entry) for entry in entries]})
            return
        first = None
        for entry in entries:
            if first is not None:
                session.console.out()
            first = first or entry
            _show(session, entry, first.dataset)


def _only_dataset(session: Session, repo: Repo) -> str:
    """Return the dataset that is meant where none is named."""
    known = working_datasets(repo)
    if len(known) == 1:
        return known[0]
    if not known:
        raise UsageError("there is no dataset here", hint="dver log PATH shows one that was removed")
    names = first_of([session.shown(dataset) for dataset in known], _MOST_NAMES)
    raise UsageError(
        f"which dataset? There are {len(known):,}: {names}",
        hint=f"dver log {session.relative_to_start(known[0])}",
    )


def _show(session: Session, entry: LogEntry, dataset: str) -> None:
    console = session.console
    commit = console.style(entry.commit[:_COMMIT_DIGITS], "yellow")
    console.out(f"{commit}  {entry.when:%Y-%m-%d %H:%M}  {escape_text(entry.author)}  {escape_text(entry.subject)}")
    name = "" if entry.dataset == dataset else f" as {session.shown(entry.dataset)}"
    pointer = entry.pointer
    if pointer is None:
        console.out(f"    no data{name}")
        return
    size = size_text(pointer.size)
    if pointer.kind is DatasetKind.DIRECTORY:
        size = f"{count_text(pointer.files, 'file')}, {size}"
    changes = "" if entry.changes is None else f"  ({_changes(entry.changes)})"
    console.out(f"    {version_text(pointer.version)}{name}  {size}{changes}")


def _changes(changes: ChangeCounts) -> str:
    return ", ".join(f"{count:,} {word}" for word, count in _counts(changes).items() if count) or "same content"


def _counts(changes: ChangeCounts) -> dict[str, int]:
    return {
        "added": changes.added,
        "modified": changes.modified,
        "deleted": changes.deleted,
        "renamed": changes.renamed,
    }


def _document(entry: LogEntry) -> dict[str, object]:
    pointer, changes = entry.pointer, entry.changes
    return {
        "commit": entry.commit,
        "date": entry.when.isoformat(),
        "author": escape_text(entry.author),
        "subject": escape_text(entry.subject),
        "dataset": path_json(entry.dataset),
        "version": None if pointer is None else format_version(pointer.version),
        "kind": None if pointer is None else pointer.kind.value,
        "size": None if pointer is None else pointer.size,
        "files": None if pointer is None else pointer.files,
        "changes": None if changes is None else _counts(changes),
    }
