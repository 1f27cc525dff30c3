"""Writes lineage graphs: as a tree of text, for Graphviz, for Mermaid, and as JSON.

A tree grows to the right with each step, so one that is very deep goes on in further sections, each at the left margin:
whatever the length of a history, all of it is shown, in lines that can be read. Nothing here is recursive.
"""

import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from dver.cli.records import alike_text, record_json, remarks, short_version, state_text, time_text, title, twins_json
from dver.cli.wording import path_json, path_text
from dver.operations.lineage import ArtifactId, Direction, Link, Node, Walk, flows
from dver.records.record import BLOB_PREFIX, Artifact, Record, State, short_id

# Two for each run: it, and what it used or made.
MOST_LEVELS = 24

_LINK_WORDS = {
    Direction.UP: {Link.MADE: "made by ", Link.PART: "part of ", Link.SAME: "same as "},
    Direction.DOWN: {Link.USED: "used by ", Link.PART: "its part ", Link.SAME: "same as "},
}
_LINK_REMARKS = {Link.SAME: "  (by content)"}
_NOTHING: Mapping[Node, Link] = {}
# What Mermaid, HTML or Markdown could take for markup, such as the beginning of a list.
_MERMAID_MARKUP = re.compile(r"""["#&;<>`\\*_%{}]|^[-+](?=\s)|(?<=^\d)[.)](?=\s)|(?<=^\d\d)[.)](?=\s)""")


class _Line(NamedTuple):
    """A line of a tree that is still to be written. `node` is None for one that says what is left out."""

    node: Node | None
    text: str
    level: int = 0
    lead: str = ""
    indent: str = ""


def tree_lines(walk: Walk, shown: Callable[[str], str]) -> Iterator[str]:
    """Yield a walk as a tree; `shown` says how a path is put."""
    tree = _Tree(walk, shown)
    while tree.sections:
        yield from tree.section()
        if tree.sections:
            yield ""


class _Tree:
    """The state of writing a tree: what has been shown in full, and what is put off to a section of its own."""

    def __init__(self, walk: Walk, shown: Callable[[str], str]) -> None:
        self._walk = walk
        self._shown = shown
        self._seen: set[Node] = set()
        self._numbers: dict[Node, int] = {}
        self._texts: dict[Node, str] = {}
        self.sections: deque[Node] = deque([walk.start])

    def section(self) -> Iterator[str]:
        """Yield the lines of the next section."""
        root = self.sections.popleft()
        number = self._numbers.get(root)
        text = self._text(root)
        stack = [_Line(root, text if number is None else f"[{number}] {text}")]
        while stack:
            line = stack.pop()
            mark = "" if line.node is None else self._mark(line.node, line.level)
            yield f"{line.lead}{line.text}{mark}"
            if line.node is not None and not mark:
                stack += reversed(self._below(line.node, line))

    def _mark(self, node: Node, level: int) -> str:
        """Return where the reader finds what is beyond a node, "" for right below it."""
        if node not in self._walk.steps and node not in self._walk.hidden:
            return ""
        if node in self._seen:
            return "  (seen above)"
        if level == 0:
            self._seen.add(node)
            return ""
        if node not in self._numbers and level >= MOST_LEVELS:
            self._numbers[node] = len(self._numbers) + 1
            self.sections.append(node)
        if node in self._numbers:
            return f"  (goes on below at [{self._numbers[node]}])"
        self._seen.add(node)
        return ""

    def _below(self, node: Node, line: _Line) -> list[_Line]:
        words = _LINK_WORDS[self._walk.direction]
        further = self._walk.steps.get(node, _NOTHING)
        texts: list[tuple[Node | None, str]] = [
            (other, words.get(link, "") + self._text(other) + _LINK_REMARKS.get(link, ""))
            for other, link in further.items()
        ]
        if isinstance(node, ArtifactId) and node in self._walk.hidden:
            texts.append((None, hidden_text(self._walk, node)))
        last = len(texts) - 1
        return [
            _Line(
                other,
                text,
                line.level + 1,
                f"{line.indent}{'└─' if number == last else '├─'} ",
                f"{line.indent}{'  ' if number == last else '│ '} ",
            )
            for number, (other, text) in enumerate(texts)
        ]

    def _text(self, node: Node) -> str:
        text = self._texts.get(node)
        if text is None:
            text = self._texts[node] = self._make_text(node)
        return text

    def _make_text(self, node: Node) -> str:
        if isinstance(node, ArtifactId):
            return f"{self._shown(node.path)}  {short_version(node.version)}{_remarks(self._walk, node, self._shown)}"
        record = self._walk.records[node]
        return f"{title(record)}  [{_record_facts(record, node)}]"


def hidden_text(walk: Walk, node: ArtifactId) -> str:
    """Return how many runs beyond an artifact were left out."""
    count = walk.hidden[node]
    beyond = "what led to" if walk.direction is Direction.UP else "what came of"
    return f"… {count:,} more run{'s' * (count != 1)}, and {beyond} {'it' if count == 1 else 'them'}"


def _remarks(walk: Walk, node: ArtifactId, shown: Callable[[str], str] = path_text) -> str:
    # Of what git has, git knows where it comes from.
    is_source = walk.is_source(node) and not node.version.startswith(BLOB_PREFIX)
    return remarks(walk.artifacts[node], "source" if is_source else "", alike_text(walk.alike.get(node, ()), shown))


def _record_facts(record: Record, run: str) -> str:
    facts = [short_id(run), time_text(record.started)]
    if record.state is not State.COMPLETE:
        facts.insert(1, state_text(record))
    return ", ".join(facts)


def all_artifacts(walks: Sequence[Walk]) -> dict[ArtifactId, Artifact]:
    """Return the artifacts of walks; the walk to what led to one comes first, and knows what its run said of it."""
    found: dict[ArtifactId, Artifact] = {}
    for walk in walks:
        for name, artifact in walk.artifacts.items():
            found.setdefault(name, artifact)
    return found


class Picture:
    """The nodes of several walks, with short names and the lines of text of each."""

    def __init__(self, walks: Sequence[Walk]) -> None:
        self._walks = walks
        self.artifacts: dict[Node, list[str]] = {}
        self.runs: dict[Node, list[str]] = {}
        for walk in walks:
            for artifact in walk.artifacts:
                version = short_version(artifact.version) + _remarks(walk, artifact)
                self.artifacts.setdefault(artifact, [path_text(artifact.path), version])
            for run, record in walk.records.items():
                self.runs.setdefault(run, [title(record), _record_facts(record, run)])
        self.names: dict[Node, str] = {node: f"a{number}" for number, node in enumerate(self.artifacts)}
        self.names |= {node: f"r{number}" for number, node in enumerate(self.runs)}
        self.start = self.names[walks[0].start]

    def edges(self) -> Iterator[tuple[str, str, str]]:
        """Yield from, to and label of each edge."""
        for flow in flows(self._walks):
            label = flow.link.value if flow.link in (Link.PART, Link.SAME) else ""
            yield self.names[flow.source], self.names[flow.target], label

    def left_out(self) -> Iterator[tuple[str, str, str, str]]:
        """Yield, for each place where runs were left out: a name, its text, and from where to where its edge goes."""
        places = [(walk, node) for walk in self._walks for node in walk.hidden]
        for number, (walk, node) in enumerate(places):
            name, known = f"h{number}", self.names[node]
            source, target = (name, known) if walk.direction is Direction.UP else (known, name)
            yield name, hidden_text(walk, node), source, target


def dot_lines(walks: Sequence[Walk]) -> Iterator[str]:
    """Yield walks from the same artifact as one graph for Graphviz."""
    picture = Picture(walks)
    yield "digraph lineage {"
    yield "  rankdir=LR;"
    yield '  node [fontname="sans-serif", shape=box];'
    for node, lines in picture.artifacts.items():
        bold = ", penwidth=2" if picture.names[node] == picture.start else ""
        yield f"  {picture.names[node]} [label={_dot_text(lines)}{bold}];"
    for node, lines in picture.runs.items():
        yield f"  {picture.names[node]} [label={_dot_text(lines)}, style=rounded];"
    for source, target, label in picture.edges():
        yield f"  {source} -> {target}" + (f" [label={label}, style=dashed];" if label else ";")
    for name, text, source, target in picture.left_out():
        yield f"  {name} [label={_dot_text([text])}, shape=plaintext];"
        yield f"  {source} -> {target} [style=dotted];"
    yield "}"


def mermaid_lines(walks: Sequence[Walk]) -> Iterator[str]:
    """Yield walks from the same artifact as one flow chart for Mermaid."""
    picture = Picture(walks)
    yield "flowchart LR"
    for node, lines in picture.artifacts.items():
        yield f"  {picture.names[node]}[{_mermaid_text(lines)}]"
    for node, lines in picture.runs.items():
        yield f"  {picture.names[node]}([{_mermaid_text(lines)}])"
    for source, target, label in picture.edges():
        yield f"  {source} -.->|{label}| {target}" if label else f"  {source} --> {target}"
    for name, text, source, target in picture.left_out():
        yield f"  {name}[{_mermaid_text([text])}]"
        yield f"  {source} -.-> {target}"
    yield f"  style {picture.start} stroke-width:3px"


def _dot_text(lines: Sequence[str]) -> str:
    escaped = (line.replace("\\", "\\\\").replace('"', '\\"') for line in lines)
    return '"' + "\\n".join(escaped) + '"'


def _mermaid_text(lines: Sequence[str]) -> str:
    return '"' + "<br>".join(_MERMAID_MARKUP.sub(_by_number, line) for line in lines) + '"'


def _by_number(found: re.Match[str]) -> str:
    return "".join(f"#{ord(letter)};" for letter in found[0])


def graph_json(walks: Sequence[Walk]) -> dict[str, object]:
    """Return walks from the same artifact as one graph for JSON output."""
    looked_up = any(walk.direction is Direction.UP for walk in walks)
    artifacts = all_artifacts(walks)
    records = {run: record for walk in walks for run, record in walk.records.items()}
    return {
        "artifacts": [
            {
                "id": _node_json(node),
                "path": path_json(node.path),
                "version": node.version,
                "kind": artifact.kind,
                "source": _is_source(walks, node) if looked_up else None,
                "hidden_runs": sum(walk.hidden.get(node, 0) for walk in walks),
                "same_content": twins_json([twin for walk in walks for twin in walk.alike.get(node, ())]),
            }
            for node, artifact in artifacts.items()
        ],
        "runs": [record_json(record) for record in records.values()],
        "edges": [
            {"from": _node_json(flow.source), "to": _node_json(flow.target), "kind": flow.link.value}
            for flow in flows(walks)
        ],
    }


def _is_source(walks: Sequence[Walk], node: ArtifactId) -> bool:
    return any(walk.is_source(node) for walk in walks if node in walk.artifacts)


def _node_json(node: Node) -> str:
    return f"{path_json(node.path)}@{node.version}" if isinstance(node, ArtifactId) else node
