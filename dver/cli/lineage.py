"""`dver lineage`."""

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import click

from dver.cli.command import PATH, Command
from dver.cli.filters import DEPTH, refuse_empty
from dver.cli.graphs import dot_lines, graph_json, mermaid_lines, tree_lines
from dver.cli.records import NO_RUNS, report_damage
from dver.cli.revisions import revision_hint, split_place
from dver.cli.session import Session
from dver.cli.wording import path_json, path_text
from dver.errors import UsageError
from dver.operations.lineage import Direction, Start, Walk, find_start, walk

_EXAMPLES = {
    "dver lineage metrics.json": "all that led to it",
    "dver lineage v1.0:models/best": "the same for the version in a tag",
    "dver lineage --down data/raw": "all that came of it",
    "dver lineage --format dot metrics.json": "for Graphviz: … | dot -Tsvg",
}
_DIRECTIONS = {"up": (Direction.UP,), "down": (Direction.DOWN,), "both": (Direction.UP, Direction.DOWN)}


@click.command("lineage", cls=Command, examples=_EXAMPLES)
@click.argument("place", metavar="[REV:]PATH", type=PATH)
@click.option("--up", "up", is_flag=True, help="Show what led to the version: the default.")
@click.option("--down", "down", is_flag=True, help="Show what came of the version.")
@click.option("--both", "both", is_flag=True, help="Show both.")
@click.option("--depth", metavar="N", type=DEPTH, help="Go through at most N runs one after the other.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["tree", "json", "dot", "mermaid"]),
    help="How to write the graph; as a tree if nothing is said.",
)
@click.option("--json", "as_json", is_flag=True, help="Write one JSON document, like --format json.")
@click.pass_obj
def command(session: Session, /, place: str, depth: int | None, form: str | None, as_json: bool, **ways: bool) -> int:
    """Show which runs and data led to a version, or came of it.

    The version is the one that the pointer of PATH names, here or in REV. Each run is shown with what it used, down to
    the sources, which no run made. What was shown before is marked (seen above). Exits with 1 if no runs are recorded.
    """
    if as_json and form not in (None, "json"):
        raise UsageError(f"--json and --format {form} cannot go together")
    refuse_empty(place, "the path", hint="dver ls lists the datasets")
    direction = _direction(ways)
    with _without_collecting_garbage(), session.repo() as repo:
        revision, path = split_place(session, repo, place)
        with revision_hint(repo, place):
            start = find_start(repo, revision, path)
        walks = [walk(repo, start.artifact, one, depth=depth) for one in _DIRECTIONS[direction]]
        damaged, count = report_damage(session, repo), repo.lineage.count()
        if as_json or form == "json":
            document = _document(start, revision, direction, walks)
            session.console.document({**document, "damaged_lines": damaged})
        elif count:
            _show(session, start, walks, form)
    if not count:
        session.console.note(NO_RUNS)
    return 0 if count else 1


def _direction(ways: Mapping[str, bool]) -> str:
    """Return the one direction that was asked for; that of somebody who asked for none is up."""
    wanted = [way for way in _DIRECTIONS if ways[way]]
    if len(wanted) > 1:
        raise UsageError(
            f"--{wanted[0]} and --{wanted[1]} cannot go together",
            hint="--both alone shows what led to the version and what came of it",
        )
    return wanted[0] if wanted else "up"


@contextmanager
def _without_collecting_garbage() -> Iterator[None]:
    """Let Python not look for garbage: a large graph is all in use, and looking takes a third of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _show(session: Session, start: Start, walks: Sequence[Walk], form: str | None) -> None:
    if start.part:
        part, whole = session.shown(_full(start)), session.shown(start.artifact.path)
        session.console.note(f"{part} is part of {whole}, whose lineage this is")
    if form == "dot":
        session.console.lines(dot_lines(walks))
    elif form == "mermaid":
        session.console.lines(mermaid_lines(walks))
    else:
        at_top = session.relative_to_start("") == "."

        def shown(path: str) -> str:
            # A large graph has very many paths, and for most there is nothing to work out.
            return path_text(path) if at_top and not path.startswith("-") else session.shown(path)

        for number, one in enumerate(walks):
            if number:
                session.console.out()
            session.console.lines(tree_lines(one, shown))


def _full(start: Start) -> str:
    return f"{start.artifact.path}/{start.part}" if start.part else start.artifact.path


def _document(start: Start, revision: str | None, direction: str, walks: Sequence[Walk]) -> dict[str, object]:
    return {
        "path": path_json(_full(start)),
        "revision": revision,
        "dataset": path_json(start.artifact.path),
        "version": start.artifact.version,
        "direction": direction,
        **graph_json(walks),
    }
