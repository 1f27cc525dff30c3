"""Verify: whether what records say still holds, and what they name can still be had.

Of each record are checked the versions of its inputs and outputs, which must be in the cache, on the default remote or
in git's object database; its commit; and what it claims of other records. Where a pointer names one of its versions
now, the data here must be that version. That a record was not changed since it was written is known already: its name
is its hash, and a line that does not fit is no record.

Whether a result is up to date is another question, which `dver status` answers.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property

from dver.errors import DAMAGE_HINT, DverError
from dver.objects.ids import VersionId, format_version
from dver.objects.paths import is_within
from dver.objects.pointer import Pointer
from dver.operations.datasets import encode_path, read_pointer_or_problem, typed, working_datasets
from dver.operations.lineage import ArtifactId, Direction, makers, walk
from dver.operations.push import committed_versions
from dver.operations.status import DatasetStatus, status
from dver.operations.status import State as DataState
from dver.operations.verify_stores import (
    find_holdings,
    has_blob,
    has_part,
    is_data,
    is_here,
    is_loose,
    lacks_objects,
    version_of,
    where_to_look,
)
from dver.progress import NO_PROGRESS, Progress
from dver.records.record import Artifact, Record, RecordId, State
from dver.repo import Repo

GIT = "git"
WORKSPACE = "the working tree"
# The remote's index names what is gone, so a push to it would not send that again.
_LOST_HINT = (
    "dver fetch -r REMOTE, if another remote has it; or, where a cache has it, dver remote add NEW URL, then"
    " dver push --all -r NEW"
)
_NOT_COMMITTED_HINT = "dver push sends what commits name: commit its pointer where it was made, and push from there"
_CHANGED = (DataState.MODIFIED, DataState.POINTER_CHANGED, DataState.INTERRUPTED)


class Verdict(StrEnum):
    """What is to be said of a record or version, the worst last."""

    OK = "ok"
    UNKNOWN = "cannot be told"
    CHANGED = "changed here"
    MISSING = "missing"


class Problem(StrEnum):
    """What is wrong."""

    NOT_STORED = "not stored"
    NOT_COMMITTED = "not committed"
    BROKEN = "broken"
    LOST = "lost"
    NO_ANSWER = "no answer"
    NO_PART = "no part"
    NO_BLOB = "no blob"
    LOOSE = "loose"
    NO_COMMIT = "no commit"
    NOT_FETCHED = "not fetched"
    CHANGED = "changed"
    NO_MAKER = "no maker"
    NOT_REUSED = "not reused"
    NOT_RECORDED = "not recorded"


_VERDICTS = {
    Problem.NO_ANSWER: Verdict.UNKNOWN,
    Problem.NOT_FETCHED: Verdict.UNKNOWN,
    Problem.NO_MAKER: Verdict.UNKNOWN,
    Problem.NOT_REUSED: Verdict.UNKNOWN,
    Problem.CHANGED: Verdict.CHANGED,
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be.

    Attributes:
        detail: of what it is about, as far as the kind of problem does not say: a remote's message, the state of a
            dataset, a commit, or the id of another record.
        hint: what may help.
    """

    problem: Problem
    detail: str = ""
    hint: str | None = None

    @property
    def verdict(self) -> Verdict:
        """What it makes of that which it was found at."""
        return _VERDICTS.get(self.problem, Verdict.MISSING)


@dataclass(frozen=True, slots=True)
class CheckedArtifact:
    """A version at a path.

    Attributes:
        place: where it can be had: the name of a store, `git` or, for a file that neither has, `the working tree`;
            "" for nowhere.
    """

    artifact: Artifact
    place: str
    findings: tuple[Finding, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The worst that was found."""
        return worst(finding.verdict for finding in self.findings)


@dataclass(frozen=True, slots=True)
class CheckedRecord:
    """A record, with what was found at itself and at what it used and made."""

    record: Record
    findings: tuple[Finding, ...]
    inputs: tuple[CheckedArtifact, ...]
    outputs: tuple[CheckedArtifact, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst that was found, also at what it used and made."""
        found = (finding.verdict for finding in self.findings)
        return worst([*found, *(checked.verdict for checked in (*self.inputs, *self.outputs))])


@dataclass(frozen=True, slots=True)
class Verification:
    """What became of a check.

    Attributes:
        records: in the order of time.
        artifacts: the versions that they used and made, and the one that was asked about, each once.
        is_cut: whether there are runs further up than was asked for.
    """

    records: tuple[CheckedRecord, ...]
    artifacts: tuple[CheckedArtifact, ...]
    is_cut: bool = False

    @property
    def verdict(self) -> Verdict:
        """The worst that was found."""
        records = (checked.verdict for checked in self.records)
        return worst([*records, *(checked.verdict for checked in self.artifacts)])


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the worst of verdicts; OK for none."""
    return max(verdicts, key=list(Verdict).index, default=Verdict.OK)


def verify(
    repo: Repo,
    target: Record | ArtifactId | None = None,
    *,
    depth: int | None = None,
    progress: Progress = NO_PROGRESS,
) -> Verification:
    """Check a record or version with all that led to it; every record for None.

    Args:
        depth: through how many runs, one after the other, to go at most.
    """
    start: list[Artifact] = []
    is_cut = False
    if target is None:
        records = repo.lineage.records()
    elif isinstance(target, Record):
        records, is_cut = _behind_record(repo, target, depth)
    else:
        walked = walk(repo, target, Direction.UP, depth=depth)
        records, is_cut = list(walked.records.values()), bool(walked.hidden)
        start = [walked.artifacts[target]]
    records.sort(key=lambda record: datetime.fromisoformat(record.started))
    artifacts = _unique([*start, *(one for record in records for one in (*record.inputs, *record.outputs))])
    checker = _Checker(repo, records, artifacts.values(), progress)
    checked = {name: checker.check_artifact(artifact) for name, artifact in artifacts.items()}
    return Verification(
        tuple(
            CheckedRecord(
                record,
                tuple(checker.check_record(record)),
                tuple(checked[_key(one)] for one in record.inputs),
                tuple(checked[_key(one)] for one in record.outputs),
            )
            for record in records
        ),
        tuple(checked.values()),
        is_cut,
    )


def _behind_record(repo: Repo, target: Record, depth: int | None) -> tuple[list[Record], bool]:
    """Return a record and those that led to it, and whether there are more further up."""
    found: dict[RecordId, Record] = {target.id: target}
    seen: set[ArtifactId] = set()
    is_cut = False
    for artifact in target.inputs:
        start = _dataset(artifact)
        if start in seen:
            continue
        walked = walk(repo, start, Direction.UP, depth=None if depth is None else depth - 1)
        found.update(walked.records)
        is_cut = is_cut or bool(walked.hidden)
        # With a limit, what another input led to may have been followed less far.
        seen.update(walked.artifacts if depth is None else [start])
    return list(found.values()), is_cut


class _Checker:
    """Checks records and artifacts; what many of them share, such as a commit, is looked at once."""

    def __init__(
        self, repo: Repo, records: Sequence[Record], artifacts: Collection[Artifact], progress: Progress
    ) -> None:
        self._repo = repo
        self._progress = progress
        self._holdings = find_holdings(repo, artifacts, progress)
        self._statuses = _statuses(repo, artifacts, progress)
        self._lacks_objects = lacks_objects(repo)
        self._records = {record.id: record for record in records}
        self._used = {_dataset(artifact) for record in records for artifact in record.inputs}
        self._made = {
            _name(artifact) for record in records if record.state is not State.FAILED for artifact in record.outputs
        }
        self._commits: dict[str, bool] = {}

    def check_artifact(self, artifact: Artifact) -> CheckedArtifact:
        """Check one version."""
        if is_loose(artifact):
            return self._check_loose(artifact)
        if not is_data(artifact):
            if has_blob(self._repo, artifact):
                return CheckedArtifact(artifact, GIT)
            problem = Problem.NOT_FETCHED if self._lacks_objects else Problem.NO_BLOB
            return CheckedArtifact(artifact, "", (Finding(problem),))
        place, findings = self._find(artifact)
        found = [*findings, self._changed(artifact), self._unmade(artifact)]
        if place and artifact.dataset:
            found.append(self._part(artifact))
        return CheckedArtifact(artifact, place, tuple(filter(None, found)))

    def check_record(self, record: Record) -> Iterator[Finding]:
        """Yield what is wrong with a record itself."""
        if record.commit and not self._has_commit(record.commit):
            yield Finding(Problem.NOT_FETCHED if self._lacks_objects else Problem.NO_COMMIT, record.commit)
        if record.reuses:
            other = self._records.get(RecordId(record.reuses)) or self._repo.lineage.record(record.reuses)
            if other is None:
                yield Finding(Problem.NOT_RECORDED, record.reuses)
            elif set(map(_name, other.outputs)) != set(map(_name, record.outputs)):
                yield Finding(Problem.NOT_REUSED, record.reuses)

    def _check_loose(self, artifact: Artifact) -> CheckedArtifact:
        if is_here(self._repo, artifact, self._progress):
            return CheckedArtifact(artifact, WORKSPACE)
        # What was made beside the outputs was not to be kept.
        hint = f"dver add {typed(artifact.path)} or git add {typed(artifact.path)} keeps what later runs use"
        return CheckedArtifact(
            artifact, "", (Finding(Problem.LOOSE, hint=hint),) if _name(artifact) in self._used else ()
        )

    def _find(self, artifact: Artifact) -> tuple[str, list[Finding]]:
        """Return where a version can be had, and what is wrong with that."""
        version, holdings = version_of(artifact), self._holdings
        if version in holdings.cache:
            return self._repo.cache.name, []
        found = [Finding(Problem.BROKEN, hint=DAMAGE_HINT)] if version in holdings.broken else []
        if version in holdings.remote:
            return self._repo.remote().name, found
        if holdings.problem is not None:
            return "", [Finding(Problem.NO_ANSWER, holdings.problem.message, holdings.problem.hint)]
        if version in holdings.lost:
            found.append(Finding(Problem.LOST, self._repo.remote().name, _LOST_HINT))
        return "", found or [self._not_stored(artifact)]

    def _not_stored(self, artifact: Artifact) -> Finding:
        if version_of(artifact) in self._committed:
            return Finding(Problem.NOT_STORED, hint=where_to_look(self._repo, artifact))
        return Finding(Problem.NOT_COMMITTED, hint=_NOT_COMMITTED_HINT)

    @cached_property
    def _committed(self) -> set[VersionId]:
        return committed_versions(self._repo)

    def _part(self, artifact: Artifact) -> Finding | None:
        try:
            return None if has_part(self._repo, artifact) else Finding(Problem.NO_PART, artifact.dataset)
        except DverError as exc:
            return Finding(Problem.NO_ANSWER, exc.message, exc.hint)

    def _changed(self, artifact: Artifact) -> Finding | None:
        """Return what to say where a pointer names a version, and the data here is not that."""
        dataset = _dataset(artifact)
        one = self._statuses.get(dataset)
        if one is None or one.state not in _CHANGED:
            return None
        part = encode_path(artifact.path[len(dataset.path) + 1 :])
        changes = (*one.changes.added, *one.changes.modified, *one.changes.deleted)
        if one.state is DataState.MODIFIED and not any(is_within(encode_path(path), part) for path in changes):
            return None
        return Finding(Problem.CHANGED, one.state.value, f"dver status {typed(dataset.path)} says more")

    def _unmade(self, artifact: Artifact) -> Finding | None:
        """Return what to say of a version that was used, though no run made it and runs made others at its path."""
        name = _dataset(artifact)
        if name not in self._used or name in self._made or artifact.observed:
            return None
        latest = self._repo.lineage.latest_producer(name.path)
        is_raw = latest is None or latest.state is State.IMPORTED
        return None if is_raw or makers(self._repo, name) else Finding(Problem.NO_MAKER, name.path)

    def _has_commit(self, commit: str) -> bool:
        if commit not in self._commits:
            self._commits[commit] = self._repo.git.find_commit(commit) is not None
        return self._commits[commit]


def _statuses(repo: Repo, artifacts: Iterable[Artifact], progress: Progress) -> dict[ArtifactId, DatasetStatus]:
    """Return how those datasets stand whose pointer names one of the versions now."""
    wanted = {_dataset(artifact) for artifact in artifacts if is_data(artifact)}
    paths = {path for path, _ in wanted}
    now: dict[str, ArtifactId] = {}
    for dataset in working_datasets(repo) if paths else ():
        pointer = read_pointer_or_problem(repo, dataset) if dataset in paths else None
        name = ArtifactId(dataset, format_version(pointer.version)) if isinstance(pointer, Pointer) else None
        if name in wanted:
            now[dataset] = name
    return {now[one.dataset]: one for one in status(repo, list(now), progress=progress)} if now else {}


def _unique(artifacts: Iterable[Artifact]) -> dict[tuple[str, str, str], Artifact]:
    """Return artifacts, each once; of several accounts of one, the first that was declared."""
    found: dict[tuple[str, str, str], Artifact] = {}
    for artifact in artifacts:
        known = found.get(_key(artifact))
        if known is None or (known.observed and not artifact.observed):
            found[_key(artifact)] = artifact
    return found


def _key(artifact: Artifact) -> tuple[str, str, str]:
    # Several versions of a dataset may have the same part.
    return artifact.path, artifact.version, artifact.dataset_version


def _name(artifact: Artifact) -> ArtifactId:
    return ArtifactId(artifact.path, artifact.version)


def _dataset(artifact: Artifact) -> ArtifactId:
    """Return the dataset that an artifact is or is part of."""
    return ArtifactId(artifact.dataset, artifact.dataset_version) if artifact.dataset else _name(artifact)
