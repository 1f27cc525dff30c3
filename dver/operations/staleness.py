"""Staleness: what a record says went into a run, next to what the same inputs and parameters are now.

What the run was seen to read counts as what was declared does. Inputs are compared by version,
parameters by value; those that come from a file are read from it again. What cannot be found out, such as a part of a
version that is not in the cache, is not said to have changed, and nothing here asks a remote.
"""

import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from dver.errors import DverError, PathError
from dver.objects.ids import VersionId, format_version
from dver.objects.manifest import Manifest
from dver.operations.datasets import encode_path
from dver.operations.loose_files import LOOSE_KINDS, loose_version
from dver.operations.param_files import ParamFiles
from dver.operations.run_cache import Reason, ReasonKind, input_reason
from dver.operations.run_inputs import part_version
from dver.operations.run_params import ParamSource, collect_params, read_params
from dver.operations.run_secrets import MASK, mask
from dver.progress import NO_PROGRESS
from dver.records.record import BLOB_PREFIX, Artifact, Record, Scalar, State
from dver.repo import Repo
from dver.workspace.pointers import read_pointer

# A key may have a colon too, so the end of the file's name decides; without such an end it is the last colon.
_FROM_FILE = re.compile(r"(.+?\.(?:ya?ml|toml|json)):(.+)|(.+):(.+)", re.IGNORECASE | re.DOTALL)


def declared_inputs(record: Record) -> list[Artifact]:
    """Return what the user said goes into a run."""
    return [artifact for artifact in record.inputs if not artifact.observed]


def declared_outputs(record: Record) -> list[Artifact]:
    """Return what the user said comes out of a run."""
    return [artifact for artifact in record.outputs if not artifact.observed]


def used_inputs(record: Record) -> list[Artifact]:
    """Return what a run used that a run may have made: all that was declared, and data that it was seen to read."""
    return [artifact for artifact in record.inputs if not (artifact.observed and artifact.kind in LOOSE_KINDS)]


def dataset_of(artifact: Artifact) -> str:
    """Return the dataset that an artifact is, or is part of; for a file of git its path."""
    return artifact.dataset or artifact.path


def param_sources(record: Record) -> tuple[ParamSource, ...]:
    """Return where a run's parameters come from; a value that was given by hand is the recorded one."""
    return tuple(_source(name, value) for name, value in record.params.items())


def lacks_secret(record: Record) -> bool:
    """Whether a run cannot be repeated from its record, because a secret in it was masked."""
    # A run in which nothing was masked has a key, unless it was run without the cache.
    if record.key:
        return False
    by_hand = [source.value for source in param_sources(record) if not source.file]
    return any(MASK in text for text in (*record.command, *by_hand) if isinstance(text, str))


def present_params(repo: Repo, sources: Sequence[ParamSource]) -> Mapping[str, Scalar]:
    """Return the values that parameters have now, masked as records have them.

    Raises:
        PathError: a file is outside the repository or cannot be read, or lacks a key.
    """
    for source in sources:
        if source.file:
            # A record is anybody's work.
            repo.relative(source.file, repo.root)
    return mask((), read_params(repo.root, sources), {}).params


def compare(record: Record, versions: Mapping[str, str | None], params: Mapping[str, Scalar]) -> Iterator[Reason]:
    """Yield what is not as it was recorded.

    Args:
        versions: of the inputs, by path; None for one that is gone, while one that is not named is not compared.
        params: the values, by name.
    """
    for artifact in record.inputs:
        now = versions.get(artifact.path, artifact.version)
        if now != artifact.version:
            yield Reason(input_reason(artifact.kind), artifact.path, artifact.version, now, vanished=now is None)
    for name, value in record.params.items():
        if name not in params:
            yield Reason(ReasonKind.PARAM, name, value, vanished=True)
        elif (type(params[name]), params[name]) != (type(value), value):
            yield Reason(ReasonKind.PARAM, name, value, params[name])


def find_stale(
    repo: Repo, versions: Mapping[str, VersionId], *, note: Callable[[str], None] = lambda _: None
) -> dict[str, tuple[Reason, ...]]:
    """Return those datasets whose version a run made from what is not what is here now, and what that is.

    What counts of the inputs are their pointers. Where several runs made a version, the one that started last counts.
    `note` is told of files of parameters that cannot be read; nothing is said to have changed for them.
    """
    present = _Present(repo)
    found = {}
    for dataset, version in versions.items():
        made = [
            record
            for record in repo.lineage.producers(dataset, format_version(version))
            if record.state is not State.FAILED
        ]
        if made:
            record = max(made, key=lambda one: datetime.fromisoformat(one.started))
            reasons = tuple(compare(record, present.versions(record), present.params(record)))
            if reasons:
                found[dataset] = reasons
    for problem in present.unreadable():
        note(f"the parameters in this file cannot be compared: {problem}")
    return found


def present_observed(repo: Repo, record: Record, remade: Collection[str]) -> dict[str, str | None]:
    """Return the versions that what a run was seen to read has now; what is in the datasets `remade` is left out."""
    seen = [one for one in record.inputs if one.observed and dataset_of(one) not in remade]
    return _Present(repo).versions(replace(record, inputs=tuple(seen)))


class _Present:
    """Finds what the inputs and parameters of records are now."""

    def __init__(self, repo: Repo) -> None:
        self._repo = repo
        self._files = ParamFiles(repo.root)

    def versions(self, record: Record) -> dict[str, str | None]:
        """Return the versions of inputs by path, None for one that is gone; those not to be found out are left out."""
        found: dict[str, str | None] = {}
        for artifact in record.inputs:
            with suppress(DverError):
                found[artifact.path] = self._version(artifact)
        return found

    def params(self, record: Record) -> Mapping[str, Scalar]:
        """Return the values of parameters by name, without those that are not to be had.

        Those in files that cannot be read are not known, and so have the values that they had.
        """
        sources = [source for source in param_sources(record) if self._is_inside(source)]
        found: dict[str, Scalar] = {}
        with suppress(DverError):
            found.update(mask((), collect_params(self._files, sources, lenient=True), {}).params)
        unknown = [f"{one.file}:{one.key}" for one in sources if one.file in self._files.unreadable]
        return {**{name: record.params[name] for name in unknown if name in record.params}, **found}

    def unreadable(self) -> Sequence[PathError]:
        """Return what is wrong with files of parameters that could not be read."""
        return list(self._files.unreadable.values())

    def _is_inside(self, source: ParamSource) -> bool:
        if source.file:
            try:
                # A record is anybody's work.
                self._repo.relative(source.file, self._repo.root)
            except PathError:
                return False
        return True

    def _version(self, artifact: Artifact) -> str | None:
        if artifact.observed and artifact.kind in LOOSE_KINDS:
            return loose_version(self._repo, artifact.path, artifact.kind, NO_PROGRESS)
        if artifact.version.startswith(BLOB_PREFIX):
            is_there = os.path.lexists(self._repo.root / artifact.path)
            return BLOB_PREFIX + self._repo.git.blob_of(artifact.path) if is_there else None
        return self._data_version(artifact)

    def _data_version(self, artifact: Artifact) -> str | None:
        dataset = dataset_of(artifact)
        pointer = read_pointer(self._repo.root, dataset)
        if pointer is None:
            return None
        version = format_version(pointer.version)
        if not artifact.dataset:
            return version
        if version == artifact.dataset_version:
            return artifact.version
        manifest = Manifest(pointer.version, self._repo.cache.load_nodes, where=f"manifest of {dataset}")
        try:
            return part_version(manifest, encode_path(artifact.path[len(dataset) + 1 :]), artifact.path)
        except PathError:
            return None


def _source(name: str, value: Scalar) -> ParamSource:
    # The name of a parameter that is given by hand has no colon.
    found = _FROM_FILE.fullmatch(name)
    if found is None:
        return ParamSource(name, value=value)
    file, key, other_file, other_key = found.groups()
    return ParamSource(key or other_key, file or other_file)
