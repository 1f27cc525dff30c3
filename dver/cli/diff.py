"""`dver diff`."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import click

from dver.cli.command import PATH
from dver.cli.revisions import RevisionCommand, after_separator, range_ends, split_arguments
from dver.cli.session import Session
from dver.cli.wording import path_json, path_text, size_text, table_lines, version_text
from dver.errors import NotFoundError, PathError, UsageError
from dver.objects.ids import VersionId, format_version
from dver.operations.diff import ChangeKind, DatasetDiff, FileChange, diff
from dver.operations.kinds import NodeKind
from dver.repo import LINEAGE_FILE, Repo

if TYPE_CHECKING:
    from dver.operations.lineage_diff import MakersDiff

_EXAMPLES = {
    "dver diff": "the data here against the last commit",
    "dver diff v1.0": "the data here against a tag",
    "dver diff v1.0 main -- data/raw": "between two revisions, one dataset",
    "dver diff 073a22d9a1 b762b99ccb": "two runs, by their ids from dver runs",
    "dver diff main~3..main --json": "for programs",
}
_LETTERS = {
    ChangeKind.ADDED: ("A", "green"),
    ChangeKind.MODIFIED: ("M", "yellow"),
    ChangeKind.DELETED: ("D", "red"),
    ChangeKind.RENAMED: ("R", "cyan"),
}
_FILES = (NodeKind.FILE, NodeKind.EXECUTABLE)
_KIND_NAMES = {
    NodeKind.FILE: "file",
    NodeKind.EXECUTABLE: "file",
    NodeKind.LINK: "link",
    NodeKind.DIRECTORY: "empty folder",
}
_MOST_REVISIONS = 2
_RUN = "run:"
# What may name a run, as far as can be seen without a look at the runs.
_MAYBE_RUN = re.compile(rf"{_RUN}.*|(?:b3:)?[0-9a-f]{{6,64}}", re.DOTALL)


@click.command("diff", cls=RevisionCommand, examples=_EXAMPLES)
@click.argument("words", metavar="[REV [REV]] [--] [PATH]... | RUN RUN", nargs=-1, type=PATH)
@click.option("--json", "as_json", is_flag=True, help="Write one JSON document.")
@click.option("--exit-code", is_flag=True, help="Exit with 1 if there are differences.")
@click.pass_obj
def command(session: Session, words: Sequence[str], as_json: bool, exit_code: bool) -> int:
    """Show which files differ between revisions or from the data here.

    Without REV, the data here is compared with the last commit; with one, with that revision; with two, or A..B, the
    revisions with each other, which needs no checkout. PATH is a dataset, a folder of datasets, or a path within one.
    Where runs made both versions of a dataset, what differs between these is shown too.

    With two runs, they are compared: their commands, parameters, inputs, outputs, commits, and what they ran on, down
    to the packages. RUN is an id from dver runs, of which six digits or more are enough, or run:ID, which is never
    taken for a revision.
    """
    with session.repo() as repo:
        is_about_runs = _may_name_runs(repo, words)
        with _damage_told(session, repo) if is_about_runs else nullcontext():
            if is_about_runs:
                # Deferred: a comparison of data has no use for what speaks of runs.
                from dver.cli.run_diff import find_two_runs, show_two_runs  # noqa: PLC0415

                runs = find_two_runs(session, repo, words, after_separator())
                if runs is not None:
                    differs = show_two_runs(session, repo, runs, as_json=as_json)
                    return 1 if exit_code and differs else 0
            arguments = split_arguments(session, repo, words, most=_MOST_REVISIONS)
        old, new = _two(arguments.revisions)
        found = diff(repo, old, new, arguments.paths, progress=session.console)
        makers = _makers(session, repo, found)
    if as_json:
        datasets = [_document(*one) for one in zip(found, makers, strict=True)]
        session.console.document({"old": old or "HEAD", "new": new, "datasets": datasets})
    else:
        for number, one in enumerate(zip(found, makers, strict=True)):
            if number:
                session.console.out()
            _show(session, *one)
        if not found:
            session.console.tip("no differences")
    return 1 if exit_code and found else 0


@contextmanager
def _damage_told(session: Session, repo: Repo) -> Iterator[None]:
    """Where there is no such run, say which lines are damaged: it may be one of these."""
    try:
        yield
    except (NotFoundError, PathError):
        # Deferred, but loaded by now.
        from dver.cli.records import report_damage  # noqa: PLC0415

        report_damage(session, repo)
        raise


def _has_lineage(repo: Repo) -> bool:
    path = repo.root / LINEAGE_FILE
    return path.is_file() and not path.is_symlink()


def _may_name_runs(repo: Repo, words: Sequence[str]) -> bool:
    """Whether it has to be looked whether words are runs; not where there are none, unless one says that it is."""
    maybe = [word for word in words if _MAYBE_RUN.fullmatch(word)]
    return bool(maybe) and (_has_lineage(repo) or any(word.startswith(_RUN) for word in maybe))


def _makers(session: Session, repo: Repo, found: Sequence[DatasetDiff]) -> "list[MakersDiff | None]":
    if not found or not _has_lineage(repo):
        return [None] * len(found)
    # Deferred: only where there is lineage.
    from dver.cli.run_diff import makers_of  # noqa: PLC0415

    return makers_of(session, repo, found)


def _two(revisions: Sequence[str]) -> tuple[str | None, str | None]:
    """Return where to compare from and to; None for the last commit and the data here."""
    ends = [end for revision in revisions for end in range_ends(revision)]
    if len(ends) > _MOST_REVISIONS:
        raise UsageError(f"{' '.join(revisions)}: these are more than two revisions")
    old, new, *_ = [*ends, None, None]
    return old, new


def _show(session: Session, found: DatasetDiff, makers: "MakersDiff | None") -> None:
    console = session.console
    old, new = (
        None if version is None else version_text(version) for version in (found.old_version, found.new_version)
    )
    versions = f"{old} → {new}" if old and new else f"new, {new}" if new else f"gone, was {old}"
    console.out(console.style(f"{session.shown(found.dataset)}: {versions}", "bold"))
    rows = [[_path(found, change), _what(change)] for change in found.files]
    for change, line in zip(found.files, table_lines(rows, "<<"), strict=True):
        letter, style = _LETTERS[change.kind]
        console.out(f"  {console.style(letter, style)}  {line}")
    if makers is not None:
        # Deferred, but loaded by now.
        from dver.cli.run_diff import makers_lines  # noqa: PLC0415

        console.lines(makers_lines(session, makers))


def _path(found: DatasetDiff, change: FileChange) -> str:
    path = path_text(change.path or found.dataset.rpartition("/")[2])
    return path if change.old_path is None else f"{path_text(change.old_path)} → {path}"


def _what(change: FileChange) -> str:
    """Return how a path differs: the sizes of files, and what it was and is where that is another thing."""
    old, new = change.old_kind, change.new_kind
    if old is None or new is None:
        return next(
            (_KIND_NAMES[kind] for kind in (old, new) if kind is not None and kind not in _FILES), _sizes(change)
        )
    if old not in _FILES or new not in _FILES:
        return "(other target)" if old is new else f"({_KIND_NAMES[old]} → {_KIND_NAMES[new]})"
    mode = "" if old is new else "(now executable)" if new is NodeKind.EXECUTABLE else "(no longer executable)"
    sizes = "" if mode and change.same_content and change.kind is ChangeKind.MODIFIED else _sizes(change)
    return f"{sizes} {mode}".strip()


def _sizes(change: FileChange) -> str:
    old, new = change.old_size, change.new_size
    if old is None or new is None:
        return size_text(new or old or 0)
    if size_text(old) != size_text(new):
        return f"{size_text(old)} → {size_text(new)}"
    more = f" ({'+' if new > old else '-'}{size_text(abs(new - old))})" if new != old else ""
    return f"{size_text(new)}{more}"


def _document(found: DatasetDiff, makers: "MakersDiff | None") -> dict[str, object]:
    lineage = None
    if makers is not None:
        # Deferred, but loaded by now.
        from dver.cli.run_diff import makers_json  # noqa: PLC0415

        lineage = makers_json(makers)
    return {
        "dataset": path_json(found.dataset),
        "change": found.kind.value,
        "old_version": _version(found.old_version),
        "new_version": _version(found.new_version),
        "files": [
            {
                "path": path_json(change.path),
                "change": change.kind.value,
                "old_path": None if change.old_path is None else path_json(change.old_path),
                "old_size": change.old_size,
                "new_size": change.new_size,
                "old_kind": change.old_kind,
                "new_kind": change.new_kind,
            }
            for change in found.files
        ],
        "lineage": lineage,
    }


def _version(version: VersionId | None) -> str | None:
    return None if version is None else format_version(version)
