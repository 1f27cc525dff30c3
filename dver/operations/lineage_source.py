"""What lineage asks of the records: which made a version, and which used it.

Answers come from the index and, once much was asked, from all records, held in memory. A question to the index costs as
much as reading several records in a row, so a walk through most of them would spend its time on asking.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

from dver.records.index import LineageIndex
from dver.records.record import Artifact, Record, RecordId

# After so many questions it is looked whether reading all records is less work than asking on.
_PATIENCE = 64
_RECORDS_TO_A_QUESTION = 16
_MOST_HELD = 100_000


class ArtifactId(NamedTuple):
    """What tells artifacts apart: the same version at another path is another artifact."""

    path: str
    version: str


class LineageSource:
    """Answers the questions of one walk."""

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
        if self._is_held():
            return self._makers_of_version.get(version, ())
        return self._index.producers_of_version(version)

    def consumers(self, name: ArtifactId) -> Sequence[Record]:
        """Return the records that used an artifact or a part of it."""
        return self._users.get(name, ()) if self._is_held() else self._index.consumers(*name)

    def consumers_of_version(self, version: str) -> Sequence[Record]:
        """Return the records that used a version or a part of it, wherever it was."""
        if self._is_held():
            return self._users_of_version.get(version, ())
        return self._index.consumers_of_version(version)

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
        return _by_version(self._makers)

    @cached_property
    def _users_of_version(self) -> Mapping[str, Sequence[Record]]:
        return _by_version(self._users)


def dataset_around(artifact: Artifact) -> ArtifactId | None:
    """Return the dataset that an artifact is a part of, or None."""
    whole = ArtifactId(artifact.dataset, artifact.dataset_version)
    return whole if artifact.dataset and whole != (artifact.path, artifact.version) else None


def _by_name(
    records: Iterable[Record], artifacts: Callable[[Record], Iterable[Artifact]]
) -> dict[ArtifactId, list[Record]]:
    """Return records by the artifacts that they have; a part counts as its dataset as well."""
    found: dict[ArtifactId, list[Record]] = {}
    for record in records:
        names: dict[ArtifactId, None] = {}
        for artifact in artifacts(record):
            names[ArtifactId(artifact.path, artifact.version)] = None
            whole = dataset_around(artifact)
            if whole is not None:
                names[whole] = None
        for name in names:
            found.setdefault(name, []).append(record)
    return found


def _by_version(by_name: Mapping[ArtifactId, Sequence[Record]]) -> dict[str, Sequence[Record]]:
    found: dict[str, dict[RecordId, Record]] = {}
    for (_, version), records in by_name.items():
        found.setdefault(version, {}).update((record.id, record) for record in records)
    return {version: list(records.values()) for version, records in found.items()}
