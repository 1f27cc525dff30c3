"""What differs between two runs, and between the runs that made two versions of a dataset.

Facts are compared one by one: what ran, its parameters, what went in and came out, where and on what it ran. When a run
started and how long it took differ always and count for nothing. Lists of packages are read only where their versions
differ; one that is out of reach leaves the rest of the answer as it is.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from dver.errors import DverError
from dver.objects.ids import format_version
from dver.operations.diff import ChangeKind, DatasetDiff
from dver.operations.lineage import ArtifactId
from dver.operations.packages import read_packages
from dver.operations.runs import runs_that_made
from dver.records.record import Artifact, Record, Scalar, short_id
from dver.repo import Repo

Fact: TypeAlias = Scalar | tuple[str, ...]


class Aspect(StrEnum):
    """What about a run differs."""

    NAME = "name"
    STATE = "state"
    COMMAND = "command"
    SHELL = "shell"
    FOLDER = "folder"
    PARAMETER = "parameter"
    INPUT = "input"
    CODE = "code"
    ENVIRONMENT_FILE = "env"
    OUTPUT = "output"
    PROPERTY = "property"
    TAG = "tag"
    COMMIT = "commit"
    PYTHON = "python"
    PLATFORM = "platform"
    IMAGE = "image"
    PACKAGE = "package"


_INPUT_ASPECTS = {"code": Aspect.CODE, "env": Aspect.ENVIRONMENT_FILE}
# What says why two versions of a dataset differ.
_REASONS = (
    Aspect.COMMAND,
    Aspect.SHELL,
    Aspect.FOLDER,
    Aspect.PARAMETER,
    Aspect.INPUT,
    Aspect.CODE,
    Aspect.ENVIRONMENT_FILE,
    Aspect.PYTHON,
    Aspect.IMAGE,
)


@dataclass(frozen=True, slots=True)
class Difference:
    """One fact that differs.

    Attributes:
        name: which one of its kind: a parameter, a tag, a path, a package; "" where there is one only.
        kind: `added` where only the new run has it, `deleted` where only the old one does.
        old: what it was, None where the old run has none: a version for paths, the words of a command.
        new: what it is.
    """

    aspect: Aspect
    name: str
    kind: ChangeKind
    old: Fact
    new: Fact


@dataclass(frozen=True, slots=True)
class RunDiff:
    """How two runs differ.

    Attributes:
        packages_problem: why their packages could not be compared; "" where they were, or where neither has a list.
    """

    old: Record
    new: Record
    differences: tuple[Difference, ...]
    packages_problem: str = ""


@dataclass(frozen=True, slots=True)
class MakersDiff:
    """How the runs differ that made two versions; the latest of several, and None where no record says.

    Attributes:
        packages_differ: whether they had other packages; which, `diff_runs` says, for it takes reading their lists.
    """

    old: Record | None
    new: Record | None
    differences: tuple[Difference, ...]
    packages_differ: bool = False


def diff_runs(repo: Repo, old: Record, new: Record) -> RunDiff:
    """Return what differs between two runs."""
    packages: tuple[Difference, ...] = ()
    problem = ""
    try:
        packages = tuple(_packages(repo, old, new))
    except DverError as exc:
        problem = exc.message
    else:
        if bool(old.environment.packages) != bool(new.environment.packages):
            lacking = new if old.environment.packages else old
            problem = f"run {short_id(lacking.id)} has no list of packages"
    return RunDiff(old, new, (*_differences(old, new), *packages), problem)


def diff_makers(repo: Repo, found: DatasetDiff) -> MakersDiff | None:
    """Return how the runs differ that made the two versions of a dataset; None where no record says of either."""
    if found.old_version is None or found.new_version is None:
        return None
    old, new = (
        _latest(runs_that_made(repo, ArtifactId(found.dataset, format_version(version))))
        for version in (found.old_version, found.new_version)
    )
    if old is None and new is None:
        return None
    if old is None or new is None:
        return MakersDiff(old, new, ())
    before, after = old.environment.packages, new.environment.packages
    differences = tuple(one for one in _differences(old, new) if one.aspect in _REASONS)
    return MakersDiff(old, new, differences, packages_differ=bool(before and after) and before != after)


def _latest(records: Sequence[Record]) -> Record | None:
    return records[-1] if records else None


def _differences(old: Record, new: Record) -> Iterator[Difference]:
    """Yield all differences that the records themselves tell of."""
    for aspect, fact in _SINGLE_FACTS.items():
        yield from _compare(aspect, _filled(fact(old)), _filled(fact(new)))
        if aspect is Aspect.FOLDER:
            yield from _compare(Aspect.PARAMETER, old.params, new.params)
            yield from _inputs(old.inputs, new.inputs)
            yield from _compare(Aspect.OUTPUT, _versions(old.outputs), _versions(new.outputs))
            yield from _compare(Aspect.PROPERTY, _props(old.outputs), _props(new.outputs))
            yield from _compare(Aspect.TAG, old.tags, new.tags)


_SINGLE_FACTS: Mapping[Aspect, Callable[[Record], Fact]] = {
    Aspect.NAME: lambda record: record.name,
    Aspect.STATE: lambda record: record.state.value,
    Aspect.COMMAND: lambda record: record.command,
    Aspect.SHELL: lambda record: record.shell,
    Aspect.FOLDER: lambda record: record.folder,
    Aspect.COMMIT: lambda record: record.commit,
    Aspect.PYTHON: lambda record: record.environment.python,
    Aspect.PLATFORM: lambda record: record.environment.platform,
    Aspect.IMAGE: lambda record: record.environment.image,
}


def _filled(fact: Fact) -> Mapping[str, Fact]:
    return {"": fact} if fact else {}


def _inputs(old: Sequence[Artifact], new: Sequence[Artifact]) -> Iterator[Difference]:
    kinds = {artifact.path: artifact.kind for artifact in (*old, *new)}
    for one in _compare(Aspect.INPUT, _versions(old), _versions(new)):
        aspect = _INPUT_ASPECTS.get(kinds[one.name], Aspect.INPUT)
        yield Difference(aspect, one.name, one.kind, one.old, one.new)


def _versions(artifacts: Sequence[Artifact]) -> Mapping[str, Fact]:
    return {artifact.path: artifact.version for artifact in artifacts}


def _props(artifacts: Sequence[Artifact]) -> Mapping[str, Fact]:
    return {f"{artifact.path}:{name}": value for artifact in artifacts for name, value in artifact.props.items()}


def _packages(repo: Repo, old: Record, new: Record) -> Iterator[Difference]:
    before, after = old.environment.packages, new.environment.packages
    if before and after and before != after:
        yield from _compare(Aspect.PACKAGE, _by_name(read_packages(repo, old)), _by_name(read_packages(repo, new)))


def _by_name(packages: Sequence[str]) -> Mapping[str, Fact]:
    """Return versions by the names of packages; one that is installed several times has them all."""
    found: dict[str, list[str]] = {}
    for package in packages:
        name, _, version = package.partition("==")
        found.setdefault(name, []).append(version)
    return {name: ", ".join(versions) for name, versions in found.items()}


def _compare(aspect: Aspect, old: Mapping[str, Fact], new: Mapping[str, Fact]) -> Iterator[Difference]:
    """Yield what differs by name, in the order of the names."""
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        if name not in old:
            yield Difference(aspect, name, ChangeKind.ADDED, None, after)
        elif name not in new:
            yield Difference(aspect, name, ChangeKind.DELETED, before, None)
        # 1, 1.0 and True are equal in Python and make different runs.
        elif (type(before), before) != (type(after), after):
            yield Difference(aspect, name, ChangeKind.MODIFIED, before, after)
