"""`dver lineage`."""

from collections.abc import Mapping, Sequence

import click

from dver.cli.branching import BranchingCommand, BranchPath
from dver.cli.filters import DEPTH, refuse_empty
from dver.cli.graphs import dot_lines, graph_json, mermaid_lines, tree_lines
from dver.cli.records import no_runs_text, report_damage, short_version
from dver.cli.run_words import existing_run, is_surely_run, named_place
from dver.cli.session import Session
from dver.cli.wording import path_json, path_text
from dver.errors import PathError, UsageError
from dver.garbage import without_collecting_garbage
from dver.operations.lineage import ArtifactId, Direction, Start, Walk, find_git_file, find_start, walk
from dver.records.record import BLOB_PREFIX, Record, short_id
from dver.repo import Repo

_EXAMPLES = {
    "dver lineage metrics.json": "all that led to it",
    "dver lineage v1.0:models/best": "the same for the version in a tag",
    "dver lineage --down data/raw": "all that came of it",
    "dver lineage --down train.py": "all that a file that git tracks went into",
    "dver lineage --format dot metrics.json": "for Graphviz: … | dot -Tsvg",
    "dver lineage verify metrics.json": "check that all of it holds: see dver lineage verify --help",
    "dver lineage --format html metrics.json > lineage.html": "a page for any browser",
}
_BRANCHES = {"verify": "dver.cli.verify"}
_DIRECTIONS = {"up": (Direction.UP,), "down": (Direction.DOWN,), "both": (Direction.UP, Direction.DOWN)}


@click.command("lineage", cls=BranchingCommand, examples=_EXAMPLES, branches=_BRANCHES)
@click.argument("place", metavar="[REV:]PATH|run:ID", type=BranchPath(_BRANCHES))
@click.option("--up", "up", is_flag=True, help="Show what led to the version: the default.")
@click.option("--down", "down", is_flag=True, help="Show what came of the version.")
@click.option("--both", "both", is_flag=True, help="Show both.")
@click.option("--depth", metavar="N", type=DEPTH, help="Go through at most N runs one after the other.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["tree", "json", "dot", "mermaid", "html", "openlineage", "prov"]),
    help="How to write the graph; as a tree if nothing is said.",
)
@click.option(
    "--namespace",
    metavar="NAME",
    help="With --format openlineage: what jobs and datasets belong to; by default the place of git's remote origin.",
)
@click.option("--json", "as_json", is_flag=True, help="Write one JSON document, like --format json.")
@click.pass_obj
def command(
    session: Session,
    /,
    place: str,
    depth: int | None,
    form: str | None,
    namespace: str | None,
    as_json: bool,
    **ways: bool,
) -> int:
    """Show which runs and data led to a version, or came of it.

    The version is the one that the pointer of PATH names, here or in REV, or the one that a run made. Each run is shown
    with what it used, down to the sources, which no run made. What was shown before is marked (seen above). PATH may
    also be a file that git tracks. Exits with 1 if no runs are recorded.

    dver lineage verify is a command of its own; a dataset of that name is ./verify.
    """
    if as_json and form not in (None, "json"):
        raise UsageError(f"--json and --format {form} cannot go together")
    refuse_empty(place, "the path", hint="dver ls lists the datasets")
    _check_namespace(namespace, form)
    direction = _direction(ways)
    # A large graph is all in use, and looking for garbage in it takes a third of the time.
    with without_collecting_garbage(), session.repo() as repo:
        revision, start = _find_start(session, repo, place)
        walks = [walk(repo, start.artifact, one, depth=depth) for one in _DIRECTIONS[direction]]
        damaged, count = report_damage(session, repo), repo.lineage.count()
        if as_json or form == "json":
            document = _document(start, revision, direction, walks)
            session.console.document({**document, "damaged_lines": damaged})
        elif count or form not in (None, "tree"):
            _show(session, start, walks, form, namespace or _namespace(repo, form))
    if not count:
        session.console.note(no_runs_text(damaged))
    return 0 if count else 1


def _find_start(session: Session, repo: Repo, place: str) -> tuple[str | None, Start]:
    """Return the revision and the version that a word means; with `run:` in front that is what the run made."""
    if is_surely_run(place):
        return None, _made_by(session, existing_run(repo, place))
    with named_place(session, repo, place) as (revision, path):
        try:
            return revision, find_start(repo, revision, path)
        except PathError:
            file = find_git_file(repo, revision, path)
            if file is None:
                raise
            return revision, file


def _made_by(session: Session, record: Record) -> Start:
    made = [artifact for artifact in record.outputs if not artifact.observed]
    if len(made) != 1:
        paths = ", ".join(session.shown(artifact.path) for artifact in made)
        raise UsageError(
            f"run {short_id(record.id)} made {f'several: {paths}' if made else 'nothing'}",
            hint=f"dver show {short_id(record.id)} shows it, dver lineage verify {short_id(record.id)} checks it;"
            " dver lineage PATH shows what led to one",
        )
    return Start(ArtifactId(made[0].path, made[0].version))


def _check_namespace(namespace: str | None, form: str | None) -> None:
    refuse_empty(namespace, "the namespace", hint="without --namespace it is the place of git's remote origin")
    if namespace is not None and form != "openlineage":
        raise UsageError("--namespace goes with --format openlineage only")


def _namespace(repo: Repo, form: str | None) -> str:
    """Return what tells the datasets of this repository from those of others, where the format asks for it."""
    if form != "openlineage":
        return ""
    from dver.cli.graph_openlineage import namespace_of  # noqa: PLC0415

    return namespace_of(repo.git.remote_url("origin"))


def _direction(ways: Mapping[str, bool]) -> str:
    """Return the one direction that was asked for; that of somebody who asked for none is up."""
    wanted = [way for way in _DIRECTIONS if ways[way]]
    if len(wanted) > 1:
        raise UsageError(
            f"--{wanted[0]} and --{wanted[1]} cannot go together",
            hint="--both alone shows what led to the version and what came of it",
        )
    return wanted[0] if wanted else "up"


def _show(session: Session, start: Start, walks: Sequence[Walk], form: str | None, namespace: str) -> None:
    if start.artifact.version.startswith(BLOB_PREFIX):
        _say_of_git_file(session, start, walks)
    if start.part:
        part, whole = session.shown(_full(start)), session.shown(start.artifact.path)
        session.console.note(f"{part} is part of {whole}, whose lineage this is")
    if form == "dot":
        session.console.lines(dot_lines(walks))
    elif form == "mermaid":
        session.console.lines(mermaid_lines(walks))
    elif form == "html":
        # Deferred, as the other formats are: few ask for it, and all would wait for what it imports.
        from dver.cli.graph_html import html_lines  # noqa: PLC0415

        session.console.lines(html_lines(walks, _full(start)))
    elif form in ("openlineage", "prov"):
        _export(session, start, walks, form, namespace)
    else:
        at_top = session.relative_to_start("") == "."

        def shown(path: str) -> str:
            # A large graph has very many paths, and for most there is nothing to work out.
            return path_text(path) if at_top and not path.startswith("-") else session.shown(path)

        for number, one in enumerate(walks):
            if number:
                session.console.out()
            session.console.tree(tree_lines(one, shown))


def _say_of_git_file(session: Session, start: Start, walks: Sequence[Walk]) -> None:
    """Say what else there is to ask of a file that git tracks, where there is nothing to be shown of it."""
    path = session.shown(start.artifact.path)
    if any(one.records for one in walks):
        return
    if all(one.direction is Direction.UP for one in walks):
        session.console.note(
            f"git tracks {path}, and git log -- {path} shows where it comes from; --down shows what came of it"
        )
    else:
        session.console.note(
            f"no run that is recorded used {path} as it is now; dver runs --path {path} lists those that used it at all"
        )


def _export(session: Session, start: Start, walks: Sequence[Walk], form: str, namespace: str) -> None:
    """Write a format that has no way to say that something is missing, and say it beside it."""
    if form == "prov":
        from dver.cli.graph_prov import prov_document  # noqa: PLC0415

        session.console.document(prov_document(walks))
    else:
        from dver.cli.graph_openlineage import openlineage_lines  # noqa: PLC0415

        session.console.lines(openlineage_lines(walks, namespace))
    if any(one.hidden for one in walks):
        session.console.note("what is more runs away than --depth allows is left out")
    if not any(one.records for one in walks):
        version = short_version(start.artifact.version)
        session.console.note(f"no run that is recorded is linked to {session.shown(start.artifact.path)} at {version}")


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
