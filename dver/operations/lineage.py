"""Lineage of one version: the runs that led to it, or what came of it, as a graph.

The graph is walked through level by level and never by recursion, so a history of any length is followed to its end.
Its nodes are named by content, so it may have cycles: a run may make what one of its own sources was.

Equal content at two paths is no sign that one came from the other. Only of a version that was surely moved is it said
where it was made; any other that no run made at its path is a source.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache, cached_property
from typing import NamedTuple, TypeAlias

from dver.errors import GitError, PathError
from dver.git import CommitId
from dver.objects.entry import FileEntry
from dver.objects.ids import format_version
from dver.objects.manifest import build_manifest
from dver.objects.pointer import Pointer, pointer_path
from dver.operations.datasets import (
    decode_path,
    enclosing_dataset,
    is_dataset,
    pointers_at,
    read_pointer_or_problem,
    select,
    working_datasets,
)
from dver.records.index import LineageIndex
from dver.records.record import BLOB_PREFIX, DATASET, Artifact, Record, RecordId
from dver.repo import Repo

# After so many questions a walk looks whether reading all records is less work than asking on.
_PATIENCE = 64
_RECORDS_TO_A_QUESTION = 16
_MOST_HELD = 100_000


class ArtifactId(NamedTuple):
    """What tells artifacts apart: the same version at another path is another artifact."""

    path: str
    version: str


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
    """

    direction: Direction
    start: ArtifactId
    artifacts: Mapping[ArtifactId, Artifact]
    records: Mapping[RecordId, Record]
    steps: Mapping[Node, Mapping[Node, Link]]
    hidden: Mapping[ArtifactId, int]

    def is_source(self, artifact: ArtifactId) -> bool:
        """Whether the walk looked for what made an artifact, and no record says."""
        return self.direction is Direction.UP and artifact not in self.steps and artifact not in self.hidden


@dataclass(frozen=True, slots=True)
class Flow:
    """One link in the direction in which data flows; that of a part is from its dataset, of a copy from the other."""

    source: Node
    target: Node
    link: Link


def find_start(repo: Repo, rev: str | None, path: str) -> Start:
    """Return the version that the pointer for `path` names, in `rev` or, for None, in the working tree.

    Raises:
        PathError: `path` (relative to the repository) is no dataset and not in one, or a folder of several.
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
    return Start(ArtifactId(target.dataset, format_version(pointer.version)), decode_path(target.part))


def walk(repo: Repo, start: ArtifactId, direction: Direction, *, depth: int | None = None) -> Walk:
    """Follow the lineage of a version to its ends, or through at most `depth` runs one after the other."""
    walker = _Walker(repo, direction)
    level = [start]
    walker.note(Artifact(start.path, start.version))
    away = 0
    while level:
        level = walker.expand(level, is_last=away == depth)
        away += 1
    return Walk(direction, start, walker.artifacts, walker.records, walker.steps, walker.hidden)


def makers(repo: Repo, artifact: ArtifactId) -> list[Record]:
    """Return the records of runs that made a version, at its path or where it was surely moved from."""
    source = _Source(repo.lineage)
    found = source.producers(artifact)
    if found:
        return list(found)
    moved = {record.id: record for record, _ in _moved_from(repo, source, artifact)}
    return list(moved.values())


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


class _Source:
    """Answers a walk from the index, and once it has asked much, from all records, held in memory.

    A question to the index costs as much as reading several records in a row, so a walk through most of them would
    spend its time on asking.
    """

    def __init__(self, index: LineageIndex) -> None:
        self._index = index
        self._asked = 0
        self._patience = _PATIENCE
        self._held: Sequence[Record] | None = None

    def producers(self, name: ArtifactId) -> Sequence[Record]:
        """Return the records that made an artifact."""
        return self._makers.get(name, ()) if self._is_held() else self._index.producers(*name)

    def producers_of_version(self, version: str) -> Sequence[Record]:
        """Return the records that made a version, wherever it was."""
        return (
            self._makers_of_version.get(version, ()) if self._is_held() else self._index.producers_of_version(version)
        )

    def consumers(self, name: ArtifactId) -> Sequence[Record]:
        """Return the records that used an artifact or a part of it."""
        return self._users.get(name, ()) if self._is_held() else self._index.consumers(*name)

    def _is_held(self) -> bool:
        self._asked += 1
        if self._held is None and self._asked >= self._patience:
            count = self._index.count()
            self._patience = max(self._asked + 1, count // _RECORDS_TO_A_QUESTION)
            if self._asked + 1 >= self._patience and count <= _MOST_HELD:
                self._held = self._index.records()
        return self._held is not None

    @cached_property
    def _makers(self) -> Mapping[ArtifactId, Sequence[Record]]:
        return _by_name(self._held or (), lambda record: record.outputs)

    @cached_property
    def _users(self) -> Mapping[ArtifactId, Sequence[Record]]:
        return _by_name(self._held or (), lambda record: record.inputs)

    @cached_property
    def _makers_of_version(self) -> Mapping[str, Sequence[Record]]:
        found: dict[str, dict[RecordId, Record]] = {}
        for (_, version), records in self._makers.items():
            found.setdefault(version, {}).update((record.id, record) for record in records)
        return {version: list(records.values()) for version, records in found.items()}


def _by_name(
    records: Iterable[Record], artifacts: Callable[[Record], Iterable[Artifact]]
) -> dict[ArtifactId, list[Record]]:
    """Return records by the artifacts that they have; a part counts as its dataset as well."""
    found: dict[ArtifactId, list[Record]] = {}
    for record in records:
        names: dict[ArtifactId, None] = {}
        for artifact in artifacts(record):
            names[ArtifactId(artifact.path, artifact.version)] = None
            whole = _whole(artifact)
            if whole is not None:
                names[whole] = None
        for name in names:
            found.setdefault(name, []).append(record)
    return found


class _Walker:
    """Gathers a graph. What is reached by way of no run, such as the dataset of a part, belongs to the same level."""

    def __init__(self, repo: Repo, direction: Direction) -> None:
        self._repo = repo
        self._source = _Source(repo.lineage)
        self._visit = self._visit_up if direction is Direction.UP else self._visit_down
        self._done: set[ArtifactId] = set()
        self.artifacts: dict[ArtifactId, Artifact] = {}
        self.records: dict[RecordId, Record] = {}
        self.steps: dict[Node, dict[Node, Link]] = {}
        self.hidden: dict[ArtifactId, int] = {}

    def note(self, artifact: Artifact) -> ArtifactId:
        """Remember an artifact, the more telling of two accounts of it, and return its name."""
        name = ArtifactId(artifact.path, artifact.version)
        known = self.artifacts.get(name)
        if known is None or (known.kind == DATASET and artifact.kind != DATASET):
            self.artifacts[name] = artifact
        return name

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
        whole = _whole(artifact)
        if whole is None:
            return [name]
        self.note(Artifact(*whole))
        self._link(name, whole, Link.PART)
        return [name, whole]

    def _find_moved(self, name: ArtifactId) -> list[ArtifactId]:
        """Link what no run made at its path to the same version where it was made and moved from."""
        found = []
        for _, artifact in _moved_from(self._repo, self._source, name):
            found.append(self.note(artifact))
            self._link(name, found[-1], Link.SAME)
        return found

    def _visit_down(self, name: ArtifactId, following: list[ArtifactId], is_last: bool) -> list[ArtifactId]:
        parts = []
        for record in self._source.consumers(name):
            used = [artifact for artifact in record.inputs if _whole(artifact) == name]
            for artifact in used:
                # Consumers of the part itself are found, and linked, when it is visited.
                parts.append(self.note(artifact))
                self._link(name, parts[-1], Link.PART)
            if not any(ArtifactId(artifact.path, artifact.version) == name for artifact in record.inputs):
                continue
            record_id = record.id
            if self._is_left_out(name, record_id, is_last):
                continue
            self._link(name, record_id, Link.USED)
            if record_id not in self.records:
                self.records[record_id] = record
                for artifact in record.outputs:
                    following.append(self.note(artifact))
                    self._link(record_id, following[-1], Link.MADE)
        return parts

    def _is_left_out(self, name: ArtifactId, record_id: RecordId, is_last: bool) -> bool:
        if not is_last or record_id in self.records:
            return False
        self.hidden[name] = self.hidden.get(name, 0) + 1
        return True

    def _link(self, node: Node, further: Node, link: Link) -> None:
        self.steps.setdefault(node, {})[further] = link


def _whole(artifact: Artifact) -> ArtifactId | None:
    """Return the dataset that an artifact is a part of, or None."""
    whole = ArtifactId(artifact.dataset, artifact.dataset_version)
    return whole if artifact.dataset and whole != (artifact.path, artifact.version) else None


def _moved_from(repo: Repo, source: _Source, name: ArtifactId) -> list[tuple[Record, Artifact]]:
    """Return what runs made and was moved to where a version is now, with these runs; nothing where that is in doubt.

    It is in doubt where the version is that of an empty file, was at its path when the run began, or is still where
    the run made it.
    """
    if name.version.startswith(BLOB_PREFIX) or name.version in _empty_versions():
        return []
    producers = source.producers_of_version(name.version)
    if not producers:
        return []
    uses = [datetime.fromisoformat(record.started) for record in source.consumers(name)]
    found = []
    for record in producers:
        if any(use <= datetime.fromisoformat(record.started) for use in uses) or _was_there(repo, record, name):
            continue
        for artifact in record.outputs:
            for other in (artifact, Artifact(artifact.dataset, artifact.dataset_version)):
                if other.version == name.version and other.path != name.path and not _is_there(repo, other.path):
                    found.append((record, other))
    return found


@cache
def _empty_versions() -> frozenset[str]:
    """Return the versions of a file without content: so many have it that it tells nothing."""
    entries = (FileEntry(b"", 0, is_executable, b"") for is_executable in (False, True))
    return frozenset(format_version(build_manifest([entry], lambda _id, _encoded: None).version) for entry in entries)


def _is_there(repo: Repo, path: str) -> bool:
    return is_dataset(repo, path) or enclosing_dataset(repo, path) is not None


def _was_there(repo: Repo, record: Record, name: ArtifactId) -> bool:
    """Whether a version was, or may have been, at its path when a run began."""
    if record.dirty:
        # The pointer may have been among what was not committed yet.
        return True
    if not record.commit:
        return False
    try:
        pointer = repo.git.read(CommitId(record.commit), pointer_path(name.path))
    except GitError:
        # In a shallow clone nobody can tell.
        return True
    return pointer is not None and name.version.encode() in pointer
