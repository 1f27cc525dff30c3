"""Lineage of one version: the runs that led to it, or what came of it, as a graph.

The graph is walked through level by level and never by recursion, so a history of any length is followed to its end.
Its nodes are named by content, so it may have cycles: a run may make what one of its own sources was.

A version that was moved is linked to where it was made. Any other that no run made at its path is a source; where runs
made the same version elsewhere, that is said of it and links nothing.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from dver.errors import BackendError, NotFoundError, PathError
from dver.objects.ids import format_version
from dver.objects.pointer import Pointer
from dver.operations.datasets import (
    Target,
    decode_path,
    pointers_at,
    read_pointer_or_problem,
    select,
    typed,
    working_datasets,
)
from dver.operations.lineage_source import ArtifactId, LineageSource, dataset_around
from dver.operations.moves import Moves, Origins, Twin
from dver.operations.reading import open_manifest
from dver.records.record import BLOB_PREFIX, DATASET, Artifact, Record, RecordId
from dver.repo import Repo

__all__ = [
    "ArtifactId",
    "Direction",
    "Flow",
    "Link",
    "Node",
    "Origins",
    "Start",
    "Twin",
    "Walk",
    "find_git_file",
    "find_start",
    "flows",
    "makers",
    "origins",
    "walk",
]

Node: TypeAlias = ArtifactId | RecordId


class Direction(StrEnum):
    """Which way a walk goes: to what led to a version, or to what came of it."""

    UP = "up"
    DOWN = "down"


class Link(StrEnum):
    """What two nodes have to do with each other."""

    USED = "used"
    MADE = "made"
    PART = "part"
    SAME = "same"


@dataclass(frozen=True, slots=True)
class Start:
    """The version that a walk starts from. `part` is the path within it that was asked for, "" for the whole."""

    artifact: ArtifactId
    part: str = ""


@dataclass(frozen=True, slots=True)
class Walk:
    """All that was found one way from a version.

    Attributes:
        steps: for each node with something beyond it, the nodes one step further, and how they are linked.
        hidden: how many runs are beyond an artifact and left out, because they are further away than was asked for.
        alike: for sources, where runs made the same version as well, if it may have come from there and nobody knows.
    """

    direction: Direction
    start: ArtifactId
    artifacts: Mapping[ArtifactId, Artifact]
    records: Mapping[RecordId, Record]
    steps: Mapping[Node, Mapping[Node, Link]]
    hidden: Mapping[ArtifactId, int]
    alike: Mapping[ArtifactId, tuple[Twin, ...]]

    def is_source(self, artifact: ArtifactId | Artifact) -> bool:
        """Whether the walk looked for what made an artifact, and no record says."""
        name = ArtifactId(artifact.path, artifact.version)
        return self.direction is Direction.UP and name not in self.steps and name not in self.hidden


@dataclass(frozen=True, slots=True)
class Flow:
    """One link in the direction in which data flows; that of a part is from its dataset, of a copy from the other."""

    source: Node
    target: Node
    link: Link


def find_start(repo: Repo, rev: str | None, path: str) -> Start:
    """Return the version that the pointer for `path` names, in `rev` or, for None, in the working tree.

    Raises:
        PathError: `path` (relative to the repository) is no dataset and not in one, or a folder of several; or it is
            not in the version of the dataset.
    """
    at_rev: dict[str, Pointer] | None = None if rev is None else pointers_at(repo, repo.git.resolve(rev))
    prefix = "" if rev is None else f"{rev}:"
    hint = f"dver ls {prefix} lists the datasets" if rev else "dver ls lists the datasets; REV:PATH is one of a commit"
    targets = select(working_datasets(repo) if at_rev is None else at_rev, [path], hint=hint)
    target = targets[0]
    if target.dataset.startswith(f"{path}/") or not path:
        raise PathError(
            path or ".", "is a folder and not a dataset", hint=f"name one of its datasets: {prefix}{target.dataset}"
        )
    pointer = read_pointer_or_problem(repo, target.dataset) if at_rev is None else at_rev[target.dataset]
    if not isinstance(pointer, Pointer):
        raise pointer
    _check_part(repo, target, pointer, path, hint=f"dver ls {prefix}{typed(target.dataset)} lists what is in it")
    return Start(ArtifactId(target.dataset, format_version(pointer.version)), decode_path(target.part))


def find_git_file(repo: Repo, rev: str | None, path: str) -> Start | None:
    """Return the file that git tracks at a path, as it is here or was in `rev`; None where there is none."""
    if rev is not None:
        blob = repo.git.blob_at(repo.git.resolve(rev), path)
    else:
        blob = repo.git.blob_of(path) if repo.git.is_tracked(path) and (repo.root / path).is_file() else None
    return None if blob is None else Start(ArtifactId(path, BLOB_PREFIX + blob))


def _check_part(repo: Repo, target: Target, pointer: Pointer, path: str, *, hint: str) -> None:
    """Refuse a path within a dataset that its version does not have, as far as that can be told."""
    if not target.part:
        return
    # Where the version cannot be read, its lineage can be told all the same.
    with suppress(NotFoundError, BackendError):
        if next(open_manifest(repo, pointer.version, target.dataset).entries(target.part), None) is None:
            raise PathError(path, f"is not in the version of {target.dataset} that is asked about", hint=hint)


def walk(repo: Repo, start: ArtifactId, direction: Direction, *, depth: int | None = None) -> Walk:
    """Follow the lineage of a version to its ends, or through at most `depth` runs one after the other."""
    walker = _Walker(repo, direction)
    level = [start]
    walker.note(Artifact(*start))
    if direction is Direction.DOWN:
        walker.note_words(start)
    away = 0
    while level:
        level = walker.expand(level, is_last=away == depth)
        away += 1
    return Walk(direction, start, walker.artifacts, walker.records, walker.steps, walker.hidden, walker.alike)


def makers(repo: Repo, artifact: ArtifactId) -> list[Record]:
    """Return the records of runs that made a version, at its path or where it was moved from."""
    found = repo.lineage.producers(*artifact)
    if found:
        return found
    moved = {twin.record.id: twin.record for twin in origins(repo, artifact).moved}
    return list(moved.values())


def origins(repo: Repo, artifact: ArtifactId) -> Origins:
    """Return where runs made a version that none made at its path."""
    return Moves(repo, LineageSource(repo.lineage)).origins(artifact)


def flows(walks: Iterable[Walk]) -> Iterator[Flow]:
    """Yield the links of walks, each once."""
    seen: set[Flow] = set()
    for one in walks:
        for node, further in one.steps.items():
            for other, link in further.items():
                flow = Flow(other, node, link) if one.direction is Direction.UP else Flow(node, other, link)
                if flow not in seen:
                    seen.add(flow)
                    yield flow


class _Walker:
    """Gathers a graph. What is reached by way of no run, such as the dataset of a part, belongs to the same level."""

    def __init__(self, repo: Repo, direction: Direction) -> None:
        self._source = LineageSource(repo.lineage)
        self._moves = Moves(repo, self._source)
        self._visit = self._visit_up if direction is Direction.UP else self._visit_down
        self._done: set[ArtifactId] = set()
        self.artifacts: dict[ArtifactId, Artifact] = {}
        self.records: dict[RecordId, Record] = {}
        self.steps: dict[Node, dict[Node, Link]] = {}
        self.hidden: dict[ArtifactId, int] = {}
        self.alike: dict[ArtifactId, tuple[Twin, ...]] = {}

    def note(self, artifact: Artifact) -> ArtifactId:
        """Remember an artifact, the more telling of two accounts of it, and return its name."""
        name = ArtifactId(artifact.path, artifact.version)
        known = self.artifacts.get(name)
        if known is None or (known.kind == DATASET and artifact.kind != DATASET):
            self.artifacts[name] = artifact
        return name

    def note_words(self, name: ArtifactId) -> None:
        """Take over what the runs say of an artifact that made it."""
        for record in self._source.producers(name):
            self._note_output(name, record)

    def expand(self, level: list[ArtifactId], *, is_last: bool) -> list[ArtifactId]:
        """Look beyond the artifacts of a level, which may grow meanwhile, and return the next; the last one has none.

        On the last level only runs are linked that are known already, and the others are counted.
        """
        following: list[ArtifactId] = []
        for name in level:
            if name not in self._done:
                self._done.add(name)
                level += self._visit(name, following, is_last)
        return following

    def _visit_up(self, name: ArtifactId, following: list[ArtifactId], is_last: bool) -> list[ArtifactId]:
        producers = self._source.producers(name)
        for record in producers:
            record_id = record.id
            if self._is_left_out(name, record_id, is_last):
                continue
            self._link(name, record_id, Link.MADE)
            self._note_output(name, record)
            if record_id not in self.records:
                self.records[record_id] = record
                for artifact in record.inputs:
                    following += self._note_input(record_id, artifact)
        return [] if producers or name in self.steps else self._find_moved(name)

    def _note_output(self, name: ArtifactId, record: Record) -> None:
        """Take over what a run says of the artifact it made, which may be more than those say that used it."""
        for artifact in record.outputs:
            if (artifact.path, artifact.version) == name:
                self.note(artifact)

    def _note_input(self, record_id: RecordId, artifact: Artifact) -> list[ArtifactId]:
        """Link a run to what it used, and a part to its dataset; return these."""
        name = self.note(artifact)
        self._link(record_id, name, Link.USED)
        whole = dataset_around(artifact)
        if whole is None:
            return [name]
        self.note(Artifact(*whole))
        self._link(name, whole, Link.PART)
        return [name, whole]

    def _find_moved(self, name: ArtifactId) -> list[ArtifactId]:
        """Link what no run made at its path to the same version where it was made and moved from."""
        found = []
        origins = self._moves.origins(name)
        for twin in origins.moved:
            found.append(self.note(twin.artifact))
            self._link(name, found[-1], Link.SAME)
        if origins.alike and not found:
            self.alike[name] = origins.alike
        return found

    def _visit_down(self, name: ArtifactId, following: list[ArtifactId], is_last: bool) -> list[ArtifactId]:
        beside = []
        for other in self._moves.destinations(name):
            beside.append(self.note(Artifact(*other)))
            self._link(name, beside[-1], Link.SAME)
        for record in self._source.consumers(name):
            used = [artifact for artifact in record.inputs if dataset_around(artifact) == name]
            for artifact in used:
                # Consumers of the part itself are found, and linked, when it is visited.
                beside.append(self.note(artifact))
                self._link(name, beside[-1], Link.PART)
            used = [artifact for artifact in record.inputs if (artifact.path, artifact.version) == name]
            if not used:
                continue
            self.note(used[0])
            record_id = record.id
            if self._is_left_out(name, record_id, is_last):
                continue
            self._link(name, record_id, Link.USED)
            if record_id not in self.records:
                self.records[record_id] = record
                for artifact in record.outputs:
                    following.append(self.note(artifact))
                    self._link(record_id, following[-1], Link.MADE)
        return beside

    def _is_left_out(self, name: ArtifactId, record_id: RecordId, is_last: bool) -> bool:
        if not is_last or record_id in self.records:
            return False
        self.hidden[name] = self.hidden.get(name, 0) + 1
        return True

    def _link(self, node: Node, further: Node, link: Link) -> None:
        self.steps.setdefault(node, {})[further] = link
