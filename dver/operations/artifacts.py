"""Artifacts: all versions that runs used or made, with the runs that made each and those that used it.

What a failed run wrote is none, for it is not to be used. A part of a dataset is an artifact of its own, and its use is
one of the dataset too.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime

from dver.operations import runs
from dver.operations.condition import Condition, opened_condition
from dver.operations.condition_syntax import number_of
from dver.operations.lineage_source import ArtifactId, LineageSource
from dver.operations.moves import Moves, Origins
from dver.records.record import DATASET, Artifact, Record, Scalar, State, scalar_text
from dver.repo import Repo


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which artifacts are meant: those that fit all that is given.

    Attributes:
        path: where they were, or a folder that they were in; relative to the repository.
        kind: what they are to people.
        props: properties that they have: values, of which a text also stands for the number that it is.
        name: of a run that made them.
        state: how that ended.
        tags: of that run.
        since: when that started at the earliest, with its time zone; where no run made them, the first that used them.
        where: what else must be true of them.
        limit: how many at most, the newest of all that fit.
    """

    path: str | None = None
    kind: str | None = None
    props: Mapping[str, Scalar] = field(default_factory=dict)
    name: str | None = None
    state: State | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    since: datetime | None = None
    where: "Condition[Listed] | None" = None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """An artifact with its runs, in the order of time.

    Attributes:
        makers: the runs that made it, of those that are wanted.
        users: all runs that used it.
        origins: where runs made the same version, if none made it at its path.
    """

    artifact: Artifact
    makers: Sequence[Record]
    users: Sequence[Record]
    origins: Origins = field(default_factory=Origins)

    @property
    def started(self) -> str:
        """When the first run started that made it or, where none did, used it."""
        return (self.makers or self.users)[0].started


ARTIFACT_COLUMNS: Mapping[str, Callable[[Listed], object]] = {
    "path": lambda listed: listed.artifact.path,
    "version": lambda listed: listed.artifact.version,
    "kind": lambda listed: listed.artifact.kind,
    "dataset": lambda listed: listed.artifact.dataset,
    "made": lambda listed: listed.makers[0].started if listed.makers else None,
    "run": lambda listed: listed.makers[0].id if listed.makers else None,
    "name": lambda listed: listed.makers[0].name if listed.makers else None,
    "used": lambda listed: len(listed.users),
}


def artifacts(repo: Repo, wanted: Wanted) -> list[Listed]:
    """Return the artifacts that are wanted, by the time at which they were first made or, where no run did, used."""
    gathered = _Gathered()
    # All runs that have to do with the path: who used an artifact does not depend on who made it.
    for record in runs.runs(repo, runs.Wanted(path=wanted.path)):
        gathered.add(record)
    found = sorted(_select(gathered, wanted), key=lambda one: datetime.fromisoformat(one.started))
    if wanted.where is not None:
        found = [one for one in found if wanted.where.holds(one)]
    return _with_origins(repo, found if wanted.limit is None else found[-wanted.limit :])


def _with_origins(repo: Repo, found: Sequence[Listed]) -> list[Listed]:
    moves = Moves(repo, LineageSource(repo.lineage))
    return [
        one
        if one.makers or one.artifact.dataset
        else replace(one, origins=moves.origins(ArtifactId(one.artifact.path, one.artifact.version)))
        for one in found
    ]


def artifact_condition(text: str | None) -> AbstractContextManager[Condition[Listed] | None]:
    """Open a condition in SQL on artifacts, if any is given: over `ARTIFACT_COLUMNS` and `prop('…')`.

    Raises:
        UsageError: it is none.
    """
    return opened_condition(text, ARTIFACT_COLUMNS, {"prop": lambda listed, name: listed.artifact.props.get(name)})


class _Gathered:
    """Collects artifacts from records that come in the order of time."""

    def __init__(self) -> None:
        self.artifacts: dict[ArtifactId, Artifact] = {}
        self.makers: dict[ArtifactId, list[Record]] = {}
        self.users: dict[ArtifactId, list[Record]] = {}

    def add(self, record: Record) -> None:
        """Note what a record used and made."""
        for name in self._note(record.inputs):
            self.users.setdefault(name, []).append(record)
        for name in self._note(record.outputs if record.state is not State.FAILED else ()):
            self.makers.setdefault(name, []).append(record)

    def _note(self, found: Iterable[Artifact]) -> Iterable[ArtifactId]:
        """Remember artifacts and the datasets of parts, with all that is said of each; return their names."""
        names: dict[ArtifactId, None] = {}
        for artifact in _with_datasets(found):
            name = ArtifactId(artifact.path, artifact.version)
            names[name] = None
            known = self.artifacts.get(name)
            self.artifacts[name] = artifact if known is None else _joined(known, artifact)
        return names


def _with_datasets(found: Iterable[Artifact]) -> Iterator[Artifact]:
    for artifact in found:
        if artifact.dataset:
            yield Artifact(artifact.dataset, artifact.dataset_version)
        yield artifact


def _joined(known: Artifact, later: Artifact) -> Artifact:
    """Return an artifact with what a later account says of it as well, which counts where both say something."""
    if later.kind == DATASET and not later.props:
        return known
    kind = known.kind if later.kind == DATASET else later.kind
    return replace(known, kind=kind, props={**known.props, **later.props})


def _select(gathered: _Gathered, wanted: Wanted) -> Iterator[Listed]:
    needs_maker = wanted.name is not None or wanted.state is not None or bool(wanted.tags)
    for name, artifact in gathered.artifacts.items():
        if not _fits(artifact, wanted):
            continue
        makers: Sequence[Record] = gathered.makers.get(name, [])
        users: Sequence[Record] = gathered.users.get(name, [])
        fitting = [record for record in makers if _is_wanted(record, wanted)]
        if fitting or not (makers or needs_maker or _is_too_early(users[0], wanted)):
            yield Listed(artifact, fitting, users)


def _fits(artifact: Artifact, wanted: Wanted) -> bool:
    if wanted.path and artifact.path != wanted.path and not artifact.path.startswith(f"{wanted.path}/"):
        return False
    if wanted.kind is not None and artifact.kind != wanted.kind:
        return False
    props = artifact.props
    return all(name in props and _is_same(props[name], value) for name, value in wanted.props.items())


def _is_same(recorded: Scalar, wanted: Scalar) -> bool:
    """Whether a value is what was asked for, however numbers were written."""
    if isinstance(wanted, str) and scalar_text(recorded) == wanted:
        return True
    if any(value is None or isinstance(value, bool) for value in (recorded, wanted)):
        return recorded is wanted
    number = number_of(wanted)
    return recorded == wanted or (number is not None and number == number_of(recorded))


def _is_wanted(record: Record, wanted: Wanted) -> bool:
    return (
        (wanted.name is None or record.name == wanted.name)
        and (wanted.state is None or record.state is wanted.state)
        and wanted.tags.items() <= record.tags.items()
        and not _is_too_early(record, wanted)
    )


def _is_too_early(record: Record, wanted: Wanted) -> bool:
    return wanted.since is not None and datetime.fromisoformat(record.started) < wanted.since
