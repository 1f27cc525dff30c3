"""Moves: where a version was made that no run made at its path, and where to a version was moved.

Equal content at two paths is no sign that one came from the other. It is one where git shows that the pointer was
renamed, also if that is not committed yet; and where the version was surely not at its path yet when it was made at the
other, and is there no more. What is left is of the same content as what some run made, and nobody knows more.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache, cached_property

from dver.errors import GitError
from dver.git import CommitId
from dver.objects.builder import build_manifest
from dver.objects.entry import FileEntry
from dver.objects.ids import format_version
from dver.objects.pointer import Pointer, dataset_path, pointer_path
from dver.operations.datasets import (
    enclosing_dataset,
    is_dataset,
    read_pointer_or_problem,
    readable_pointers_at,
    working_datasets,
)
from dver.operations.lineage_source import ArtifactId, LineageSource
from dver.records.record import BLOB_PREFIX, Artifact, Record, RecordId
from dver.repo import Repo

# What the times of commits leave out.
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Twin:
    """The same version at another path, where a run made it."""

    artifact: Artifact
    record: Record


@dataclass(frozen=True, slots=True)
class Origins:
    """Where runs made a version that none made at its path.

    Attributes:
        moved: from where it was moved to its path.
        alike: where it was made as well, if nobody knows whether it came from there.
    """

    moved: tuple[Twin, ...] = ()
    alike: tuple[Twin, ...] = ()


@dataclass(slots=True)
class _Past:
    """What git knows of a version at a path.

    Attributes:
        places: the paths at which it was before, as renames of its pointer show.
        since: when a commit first had it at its path; None for never.
    """

    places: set[str] = field(default_factory=set)
    since: datetime | None = None


class Moves:
    """Answers where versions were moved from and to; made anew for each walk."""

    def __init__(self, repo: Repo, source: LineageSource) -> None:
        self._repo = repo
        self._source = source
        self._pasts: dict[ArtifactId, _Past] = {}

    def origins(self, name: ArtifactId) -> Origins:
        """Return where an artifact comes from that no run made at its path."""
        if name.version.startswith(BLOB_PREFIX):
            return Origins()
        moved: dict[tuple[RecordId, str], Twin] = {}
        alike: dict[tuple[RecordId, str], Twin] = {}
        for twin in self._twins(name):
            if twin.artifact.path in self._past(name).places:
                found = moved
            # So many have no content that it tells nothing.
            elif name.version in _empty_versions() or self._was_there(twin.record, name):
                continue
            else:
                found = moved if self._is_surely_moved(twin, name) else alike
            found[twin.record.id, twin.artifact.path] = twin
        return Origins(tuple(moved.values()), tuple(alike.values()))

    def destinations(self, name: ArtifactId) -> Iterator[ArtifactId]:
        """Yield to where an artifact that a run made was moved: what has it in `origins`."""
        if name.version.startswith(BLOB_PREFIX) or not self._source.producers(name):
            return
        paths = dict.fromkeys(self._here.get(name.version, ()))
        for record in self._source.consumers_of_version(name.version):
            for artifact in record.inputs:
                if artifact.dataset_version == name.version:
                    paths[artifact.dataset] = None
                elif artifact.version == name.version and not artifact.dataset:
                    paths[artifact.path] = None
        for path in paths:
            other = ArtifactId(path, name.version)
            if other == name or self._source.producers(other):
                continue
            if any(twin.artifact.path == name.path for twin in self.origins(other).moved):
                yield other

    def _twins(self, name: ArtifactId) -> Iterator[Twin]:
        for record in self._source.producers_of_version(name.version):
            for artifact in record.outputs:
                for other in (artifact, Artifact(artifact.dataset, artifact.dataset_version)):
                    if other.version == name.version and other.path != name.path:
                        yield Twin(other, record)

    def _is_surely_moved(self, twin: Twin, name: ArtifactId) -> bool:
        """Whether a version that a run made elsewhere can only have come from there, as far as is on record."""
        path, record = twin.artifact.path, twin.record
        if is_dataset(self._repo, path) or enclosing_dataset(self._repo, path) is not None:
            return False
        if not self._knows(record.commit):
            return False
        # Where not all was committed the version may have been here already. It has not gone from the other path
        # without a trace, though, unless it was moved; and what git had there, it would have seen renamed.
        return not record.dirty or self._past(ArtifactId(path, name.version)).since is None

    def _was_there(self, record: Record, name: ArtifactId) -> bool:
        """Whether a version was surely at its path when a run began."""
        began = datetime.fromisoformat(record.started)
        if any(datetime.fromisoformat(user.started) <= began for user in self._source.consumers(name)):
            return True
        since = self._past(name).since
        if since is not None and since + _SECOND <= began:
            return True
        commit = self._repo.git.find_commit(record.commit)
        return commit is not None and self._has(commit, name)

    def _knows(self, commit: str) -> bool:
        """Whether a commit is here; in a shallow clone nobody can tell what was in those that are not."""
        return not commit or self._repo.git.find_commit(commit) is not None

    def _has(self, commit: CommitId, name: ArtifactId) -> bool:
        """Whether a commit has a version at its path."""
        with suppress(GitError):
            return _names(self._repo.git.read(commit, pointer_path(name.path)), name.version)
        return False

    def _past(self, name: ArtifactId) -> _Past:
        past = self._pasts.get(name)
        if past is None:
            past = self._pasts[name] = self._look_back(name)
        return past

    def _look_back(self, name: ArtifactId) -> _Past:
        past = _Past()
        head = self._repo.git.head_commit()
        if head is None:
            return past
        starts = [name.path]
        if not self._has(head, name):
            if name.path in self._here.get(name.version, ()):
                # Moved and not committed yet: git still has the pointer at the other path, and here it is gone.
                starts += [path for path in self._at_head.get(name.version, ()) if not is_dataset(self._repo, path)]
                past.places.update(starts[1:])
            else:
                head = next((tip for tip in self._tips if self._has(tip, name)), head)
        for start in starts:
            with suppress(GitError):
                self._follow(start, head, name, past)
        return past

    def _follow(self, start: str, head: CommitId, name: ArtifactId, past: _Past) -> None:
        """Note what the history of the pointer at a path says, back from a commit and through renames."""
        for item in self._repo.git.history(pointer_path(start), start=head):
            path = dataset_path(item.path)
            if not _names(item.blob, name.version):
                continue
            if path != name.path:
                past.places.add(path)
            elif past.since is None or item.when < past.since:
                past.since = item.when

    @cached_property
    def _tips(self) -> list[CommitId]:
        """The commits of all branches and tags."""
        return list(dict.fromkeys(self._repo.git.refs().values()))

    @cached_property
    def _here(self) -> dict[str, list[str]]:
        """The datasets of the working tree by their versions."""
        found: dict[str, list[str]] = {}
        for dataset in working_datasets(self._repo):
            pointer = read_pointer_or_problem(self._repo, dataset)
            if isinstance(pointer, Pointer):
                found.setdefault(format_version(pointer.version), []).append(dataset)
        return found

    @cached_property
    def _at_head(self) -> dict[str, list[str]]:
        """The same for the last commit."""
        found: dict[str, list[str]] = {}
        head = self._repo.git.head_commit()
        for dataset, pointer in ({} if head is None else readable_pointers_at(self._repo, head)).items():
            found.setdefault(format_version(pointer.version), []).append(dataset)
        return found


def _names(pointer: bytes | None, version: str) -> bool:
    return pointer is not None and version.encode() in pointer


@cache
def _empty_versions() -> frozenset[str]:
    """Return the versions of a file without content."""
    entries = (FileEntry(b"", 0, is_executable, b"") for is_executable in (False, True))
    return frozenset(format_version(build_manifest([entry], lambda _id, _encoded: None).version) for entry in entries)
