"""Writes a lineage graph as one HTML page that needs nothing else: no network, no server, no file beside it.

The page, its style and its program are files in `lineage_page`; here they become one, with the graph as JSON. What
records say is never markup: it is JSON without a `<` in the page, and text to the program. A Content-Security-Policy
lets nothing run or load but that style and that program, which it names by their hashes.
"""

import base64
import hashlib
import html
import json
from collections.abc import Iterator, Sequence
from importlib.resources import files
from string import Template
from typing import Any

import dver
from dver.cli.graph_layout import lay_out
from dver.cli.graphs import Picture, all_artifacts, hidden_text
from dver.cli.records import alike_text, command_text, duration_text, short_version, state_text, title
from dver.cli.wording import count_text, escape_text, path_text
from dver.operations.lineage import Direction, Node, Walk, flows
from dver.records.record import BLOB_PREFIX, Artifact, Record, Scalar, State, scalar_text, short_id

_HEADINGS = {
    (Direction.UP,): "what led to it",
    (Direction.DOWN,): "what came of it",
    (Direction.UP, Direction.DOWN): "what led to it, and what came of it",
}
_LEFT_OUT = "more"
_POLICY = "default-src 'none'; script-src '{script}'; style-src '{style}'; base-uri 'none'; form-action 'none'"


def html_lines(walks: Sequence[Walk], path: str) -> Iterator[str]:
    """Yield walks from the same artifact as a page about `path`, which is that artifact or a part of it, in ASCII."""
    graph = _graph(walks)
    runs = len({run for walk in walks for run in walk.records})
    artifacts = len({artifact for walk in walks for artifact in walk.artifacts})
    shown = path_text(path)
    style, script = (_resource(name) for name in ("page.css", "page.js"))
    summary = (
        f"{short_version(walks[0].start.version)}, {_HEADINGS[tuple(walk.direction for walk in walks)]}: "
        f"{count_text(runs, 'run')}, {count_text(artifacts, 'version')}"
    )
    page = Template(_resource("page.html")).substitute(
        policy=_POLICY.format(script=_digest(script), style=_digest(style)),
        version=dver.__version__,
        title=_markup(f"Lineage of {shown}"),
        heading=_markup(f"Lineage of {shown}"),
        summary=_markup(summary),
        style=style,
        script=script,
        graph=_json(graph),
    )
    yield from page.splitlines()


def _resource(name: str) -> str:
    return files("dver.cli").joinpath("lineage_page", name).read_text("ascii")


def _digest(text: str) -> str:
    """Return what a Content-Security-Policy calls a text by."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


def _markup(text: str) -> str:
    """Return text for HTML, in ASCII, so that the page is the same whatever the terminal's encoding is."""
    return html.escape(text).encode("ascii", "xmlcharrefreplace").decode("ascii")


def _json(value: object) -> str:
    """Return JSON that may stand between tags of HTML."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=True)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _graph(walks: Sequence[Walk]) -> dict[str, Any]:
    """Return nodes with their places and facts, and edges as numbers of nodes."""
    picture = Picture(walks)
    nodes = [*_artifact_nodes(picture, walks), *_run_nodes(walks)]
    numbers: dict[Node, int] = {node: number for number, node in enumerate([*picture.artifacts, *picture.runs])}
    edges = [(numbers[flow.source], numbers[flow.target], flow.link.value) for flow in flows(walks)]
    for walk in walks:
        for artifact in walk.hidden:
            ends = [len(nodes), numbers[artifact]]
            source, target = ends if walk.direction is Direction.UP else reversed(ends)
            nodes.append(_node("more", _LEFT_OUT, hidden_text(walk, artifact), "", []))
            edges.append((source, target, _LEFT_OUT))
    layout = lay_out(len(nodes), [(source, target) for source, target, _ in edges])
    for node, column, row in zip(nodes, layout.columns, layout.rows, strict=True):
        node.update(column=column, row=_rounded(row))
    return {
        "start": numbers[walks[0].start],
        "nodes": nodes,
        "edges": [
            [*edge, [_rounded(row) for row in layout.bends[number]]] if number in layout.bends else list(edge)
            for number, edge in enumerate(edges)
        ],
    }


def _rounded(row: float) -> float:
    return round(row, 2)


def _node(kind: str, look: str, label: str, detail: str, facts: list[tuple[str, str]]) -> dict[str, Any]:
    filled = [(name, text) for name, text in facts if text]
    return {"type": kind, "look": look, "label": label, "detail": detail, "facts": filled}


def _artifact_nodes(picture: Picture, walks: Sequence[Walk]) -> Iterator[dict[str, Any]]:
    sources = {name for walk in walks for name in walk.artifacts if walk.is_source(name)}
    for name, artifact in all_artifacts(walks).items():
        lines = picture.artifacts[name]
        is_blob = artifact.version.startswith(BLOB_PREFIX)
        look = "code" if is_blob else "source" if name in sources else "dataset"
        twins = [twin for walk in walks for twin in walk.alike.get(name, ())]
        facts = [*_artifact_facts(artifact), *(("same content", alike_text([twin], path_text)) for twin in twins)]
        yield _node("version", look, lines[0], lines[1], facts)


def _artifact_facts(artifact: Artifact) -> Iterator[tuple[str, str]]:
    yield "path", path_text(artifact.path)
    yield "version", artifact.version
    yield "kind", escape_text(artifact.kind)
    yield "observed", "yes, and not declared" if artifact.observed else ""
    yield "part of", f"{path_text(artifact.dataset)}  {artifact.dataset_version}" if artifact.dataset else ""
    for name, value in artifact.props.items():
        yield "properties", f"{escape_text(name)} = {_value(value)}"


def _run_nodes(walks: Sequence[Walk]) -> Iterator[dict[str, Any]]:
    records = {run: record for walk in walks for run, record in walk.records.items()}
    for run, record in records.items():
        look = "failed" if record.state is State.FAILED else "run"
        state = "" if record.state is State.COMPLETE else f", {state_text(record)}"
        node = _node(
            "run", look, escape_text(record.name) or title(record), short_id(run) + state, list(_run_facts(record))
        )
        # Put into words by the page, in the time zone of who reads it.
        yield {**node, "time": record.started}


def _run_facts(record: Record) -> Iterator[tuple[str, str]]:
    environment = record.environment
    yield "run", record.id
    yield "name", escape_text(record.name)
    yield "state", state_text(record)
    yield "shell line" if record.shell else "command" if record.command else "source", command_text(record)
    yield "folder", path_text(record.folder) if record.folder else ""
    for name, value in record.params.items():
        yield "parameters", f"{escape_text(name)} = {_value(value)}"
    for name, text in record.tags.items():
        yield "tags", f"{escape_text(name)}={escape_text(text)}"
    yield "took", duration_text(record.seconds) if record.seconds else ""
    changed = ", with changes that were not committed" if record.dirty else ""
    yield "commit", escape_text(record.commit) + changed if record.commit else ""
    yield "python", escape_text(environment.python)
    yield "platform", escape_text(environment.platform)
    yield "packages", escape_text(environment.packages)
    yield "image", escape_text(environment.image)
    yield "reuses", escape_text(record.reuses)
    yield "note", escape_text(record.note)


def _value(value: Scalar) -> str:
    return escape_text(scalar_text(value))
