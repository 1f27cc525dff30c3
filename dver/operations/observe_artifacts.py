"""What was observed as the artifacts of a record: what went in and came out that nobody had declared.

What is read of a dataset is a part of it, or all of it where that is much. A dataset whose files were changed since it
was added has no version to name, so its files count like those that neither dver nor git has. Whatever cannot be
looked at any more is left out, for what was observed never makes a run fail.
"""

import os
import stat
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from dver.errors import DverError
from dver.objects.ids import format_version
from dver.operations.datasets import encode_path, lies_in, working_datasets
from dver.operations.loose_files import FILE, FOLDER, loose_version
from dver.operations.observe_traces import Traces
from dver.operations.reading import open_manifest
from dver.operations.run_inputs import CODE, find_target, matches_pointer, part_version
from dver.operations.status import DatasetStatus, status
from dver.progress import Progress
from dver.records.record import BLOB_PREFIX, Artifact
from dver.repo import Repo

# So many files of one folder or dataset are listed one by one.
_FEW = 20
# So many artifacts of either sort fit into a record with some room for the rest of it.
_MOST = 4000


@dataclass(frozen=True, slots=True)
class Observed:
    """What a command did beside what was declared.

    Attributes:
        inputs: what it read.
        outputs: what it made or changed, and is there.
        removed: what it removed.
        changed: what it may have read before it changed or removed it, so that nobody knows what went in.
        left_out: how many more there were than a record has room for.
        is_known: whether anything could be seen at all.
    """

    inputs: tuple[Artifact, ...] = ()
    outputs: tuple[Artifact, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    left_out: int = 0
    is_known: bool = True

    @property
    def is_whole(self) -> bool:
        """Whether a later run can be told to use the same."""
        return self.is_known and not self.changed and not self.left_out


def resolve_observed(
    repo: Repo, traces: Traces | None, inputs: Collection[str], outputs: Collection[str], progress: Progress
) -> Observed:
    """Return what was observed and is neither at nor below the paths that were declared."""
    if traces is None:
        return Observed(is_known=False)
    declared = (*inputs, *outputs)

    def left(paths: Iterable[str]) -> list[str]:
        return [path for path in paths if not any(lies_in(path, one) for one in declared)]

    resolver = _Resolver(repo, outputs, progress)
    read = _sorted(resolver.inputs(left(traces.read), left(traces.listed)))
    written = _sorted(resolver.outputs(left(traces.written)))
    return Observed(
        inputs=read[:_MOST],
        outputs=written[:_MOST],
        left_out=len(read[_MOST:]) + len(written[_MOST:]),
        removed=tuple(left(traces.removed)),
        changed=tuple(left(traces.changed)),
    )


class _Resolver:
    """Finds versions."""

    def __init__(self, repo: Repo, declared: Collection[str], progress: Progress) -> None:
        self._repo = repo
        self._declared = declared
        self._progress = progress
        self._datasets = working_datasets(repo)

    def inputs(self, read: Sequence[str], listed: Sequence[str]) -> Iterator[Artifact]:
        found = {path: find_target(path, self._datasets) for path in (*read, *listed)}
        parts: dict[str, list[str]] = {}
        for path, target in found.items():
            if target is not None:
                parts.setdefault(target.dataset, []).append(path)
        loose = [path for path in read if found[path] is None]
        statuses = {one.dataset: one for one in self._statuses(sorted(parts))}
        for dataset, wanted in sorted(parts.items()):
            paths = _outermost(wanted)
            for path in paths if len(paths) <= _FEW else [dataset]:
                artifact = self._data(path, statuses.get(dataset), dataset)
                if artifact is not None:
                    yield artifact
                elif os.path.isdir(self._repo.root / path):
                    yield from self._versions([path], FOLDER)
                else:
                    loose.append(path)
        yield from self._files(loose)

    def outputs(self, written: Sequence[str]) -> Iterator[Artifact]:
        yield from self._files(path for one in written for path in self._files_at(one))

    def _statuses(self, datasets: Sequence[str]) -> Sequence[DatasetStatus]:
        if datasets:
            with suppress(DverError):
                return status(self._repo, datasets, progress=self._progress)
        return ()

    def _data(self, path: str, one: DatasetStatus | None, dataset: str) -> Artifact | None:
        """Return a dataset or a part of one; None where its files are not what its pointer says."""
        part = path[len(dataset) + 1 :]
        if one is None or one.pointer is None or not matches_pointer(one, part):
            return None
        version = one.pointer.version
        if not part:
            return Artifact(dataset, format_version(version), observed=True)
        with suppress(DverError):
            found = part_version(open_manifest(self._repo, version, dataset), encode_path(part), path)
            return Artifact(path, found, dataset, format_version(version), observed=True)
        return None

    def _files(self, paths: Iterable[str]) -> Iterator[Artifact]:
        """Yield files that are in no dataset, those of git one by one, many others as their folders."""
        loose = []
        for path in paths:
            if not self._repo.git.is_tracked(path):
                loose.append(path)
            elif self._is_file(path):
                with suppress(DverError):
                    yield Artifact(path, BLOB_PREFIX + self._repo.git.store_blob(path), kind=CODE, observed=True)
        loose = [path for path in loose if self._is_file(path)]
        folders = self._crowded(loose)
        yield from self._versions(folders, FOLDER)
        held = set(folders)
        yield from self._versions([path for path in loose if held.isdisjoint(_folders_above(path))], FILE)

    def _versions(self, paths: Iterable[str], kind: str) -> Iterator[Artifact]:
        for path in paths:
            with suppress(DverError):
                version = loose_version(self._repo, path, kind, self._progress)
                if version is not None:
                    yield Artifact(path, version, kind=kind, observed=True)

    def _crowded(self, paths: Sequence[str]) -> list[str]:
        """Return the folders that stand for what is in them: those with many files or such folders."""
        counts = Counter(os.path.dirname(path) for path in paths)
        folders = {above for folder in counts for above in _folders_above(folder)}
        found = []
        for folder in sorted(folders, key=lambda folder: folder.count("/"), reverse=True):
            stands = counts[folder] > _FEW and self._is_loose(folder)
            if stands:
                found.append(folder)
            counts[os.path.dirname(folder)] += 1 if stands else counts[folder]
        return _outermost(found)

    def _is_loose(self, folder: str) -> bool:
        """Whether a folder holds no dataset, no file of git, and nothing that the run makes."""
        inside = [dataset for dataset in self._datasets if dataset != folder]
        return not any(lies_in(one, folder) for one in (*inside, *self._declared)) and not self._repo.git.tracked_under(
            folder
        )

    def _files_at(self, path: str) -> Iterator[str]:
        """Yield a file, or the files in a folder that was moved there."""
        place = self._repo.root / path
        if place.is_symlink() or not place.is_dir():
            yield path
            return
        for folder, _, names in os.walk(place):
            for name in sorted(names):
                yield os.path.relpath(os.path.join(folder, name), self._repo.root)

    def _is_file(self, path: str) -> bool:
        try:
            return stat.S_ISREG(os.lstat(self._repo.root / path).st_mode)
        except OSError:
            return False


def _sorted(artifacts: Iterable[Artifact]) -> tuple[Artifact, ...]:
    return tuple(sorted(artifacts, key=lambda artifact: artifact.path))


def _outermost(paths: Iterable[str]) -> list[str]:
    """Return paths without those that are below others of them, sorted."""
    found = set(paths)
    return sorted(path for path in found if found.isdisjoint(_folders_above(os.path.dirname(path))))


def _folders_above(path: str) -> Iterator[str]:
    """Yield a path and the folders that it lies in, but for the top."""
    while path:
        yield path
        path = os.path.dirname(path)
