"""`dver ls`."""

from collections.abc import Callable
from functools import partial

import click

from dver.cli.command import PATH, Command
from dver.cli.revisions import revision_hint, split_place
from dver.cli.session import Session
from dver.cli.wording import count_text, path_json, path_text, size_text, table_lines
from dver.operations.kinds import NodeKind
from dver.operations.tree import ListedPath, ls

_EXAMPLES = {
    "dver ls": "the datasets",
    "dver ls data/raw": "what is in one",
    "dver ls -R v1.0:data/raw": "all files of a dataset, as they were in a tag",
    "dver ls HEAD~1:": "the datasets of the commit before the last",
}
_NAMES = ("path", "kind", "size", "files", "target")
_COUNTED = (NodeKind.DATASET, NodeKind.DIRECTORY)


@click.command("ls", cls=Command, examples=_EXAMPLES)
@click.argument("place", metavar="[[REV:]PATH]", default=".", type=PATH)
@click.option("-R", "--recursive", is_flag=True, help="List what is in folders, too.")
@click.option("--json", "as_json", is_flag=True, help="Write one JSON document.")
@click.pass_obj
def command(session: Session, place: str, recursive: bool, as_json: bool) -> None:
    """List datasets and what is in them, without a checkout.

    PATH is a dataset, a folder of datasets, or a path within one, as the pointers here or those of REV have it. Each
    line has the kind, the size, the number of files in a folder, and the path.
    """
    with session.repo() as repo, repo.spool() as found:
        revision, path = split_place(session, repo, place)
        put: Callable[[ListedPath], tuple[object, ...]] = _fields if as_json else partial(_cells, session)
        with revision_hint(repo, place):
            # Nothing is written before all of it was found.
            for one in ls(repo, revision, path, recursive=recursive):
                found.append(put(one))
        if as_json:
            documents = (dict(zip(_NAMES, one, strict=True)) for one in found)
            session.console.long_document({"revision": revision}, "entries", documents)
            return
        if not len(found):
            session.console.tip("no datasets yet; dver add PATH makes a file or folder of data the first one")
        session.console.lines(table_lines(found, "<>><"))


def _cells(session: Session, one: ListedPath) -> tuple[str, ...]:
    return one.kind.value, size_text(one.size), _files(one), _shown(session, one)


def _files(one: ListedPath) -> str:
    return count_text(one.files, "file") if one.kind in _COUNTED else ""


def _shown(session: Session, one: ListedPath) -> str:
    target = "" if one.target is None else f" -> {path_text(one.target)}"
    return f"{session.shown(one.path)}{target}"


def _fields(one: ListedPath) -> tuple[object, ...]:
    """Return the values of what `_NAMES` names."""
    target = None if one.target is None else path_json(one.target)
    return path_json(one.path), one.kind.value, one.size, one.files, target
