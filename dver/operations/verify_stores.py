"""Where recorded versions can be had: in the cache, on the default remote, in git's object database, or nowhere.

A version counts as held by a store only if all of it is there: its marker, its manifest, the chunks that this names,
and the packs in which these lie, as long as they should be. Content is not read, of a remote's packs not even the
beginning: they are listed. A remote that does not answer makes no version missing.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import compress

from dver.errors import (
    DverError,
    PathError,
)
from dver.objects.ids import VersionId, parse_version
from dver.operations.datasets import encode_path
from dver.operations.loose_files import LOOSE_KINDS, loose_version
from dver.operations.reading import lazy_manifest, missing_version
from dver.operations.run_inputs import part_version
from dver.operations.status import present_versions
from dver.operations.stock import Stock
from dver.progress import Progress
from dver.records.record import BLOB_PREFIX, Artifact
from dver.repo import Repo


@dataclass(frozen=True, slots=True)
class Holdings:
    """Which of some versions can be had.

    Attributes:
        cache: those that are wholly in the cache.
        broken: those of which the cache says so, though something of them is gone.
        remote: those that the default remote has; only those were asked for that are not wholly in the cache.
        lost: those of which the remote says so, though something of them is gone.
        problem: why the remote could not be asked.
    """

    cache: frozenset[VersionId] = frozenset()
    broken: frozenset[VersionId] = frozenset()
    remote: frozenset[VersionId] = frozenset()
    lost: frozenset[VersionId] = frozenset()
    problem: DverError | None = field(default=None, compare=False)


def find_holdings(repo: Repo, artifacts: Iterable[Artifact], progress: Progress) -> Holdings:
    """Look for the versions of those artifacts that are data."""
    wanted = {version_of(artifact) for artifact in artifacts if is_data(artifact)}
    marked = frozenset(present_versions(repo.cache, sorted(wanted)))
    whole = _whole(repo, Stock(repo.cache), marked, progress)
    held = Holdings(whole, marked - whole)
    lacking = sorted(wanted - whole)
    if not lacking or not repo.has_remote:
        return held
    try:
        remote = repo.remote()
        marked = frozenset(present_versions(remote, lacking))
        whole = _whole(repo, Stock(remote, nearer=repo.cache), marked, progress)
    except DverError as exc:
        return Holdings(held.cache, held.broken, problem=exc)
    return Holdings(held.cache, held.broken, whole, marked - whole)


def is_data(artifact: Artifact) -> bool:
    """Whether an artifact is a version of a dataset, or part of one."""
    return not artifact.version.startswith(BLOB_PREFIX) and not is_loose(artifact)


def is_loose(artifact: Artifact) -> bool:
    """Whether an artifact was seen to be used, though neither dver nor git had it."""
    return artifact.observed and artifact.kind in LOOSE_KINDS


def version_of(artifact: Artifact) -> VersionId:
    """Return the version that is stored: that of the dataset, for a part of one."""
    return parse_version(artifact.dataset_version or artifact.version, artifact.path)


def has_blob(repo: Repo, artifact: Artifact) -> bool:
    """Whether git has the content of a file here."""
    try:
        return repo.git.blob_size(artifact.version.removeprefix(BLOB_PREFIX)) is not None
    except DverError:
        return False


def lacks_objects(repo: Repo) -> bool:
    """Whether git left some of its objects elsewhere: the clone is shallow or partial."""
    common = repo.git.common_dir
    return (common / "shallow").is_file() or any((common / "objects" / "pack").glob("*.promisor"))


def has_part(repo: Repo, artifact: Artifact) -> bool:
    """Whether a dataset's version, which is at hand, has the part that an artifact says it has.

    Raises:
        DverError: the version cannot be read.
    """
    manifest = lazy_manifest(repo, version_of(artifact), artifact.dataset)
    part = encode_path(artifact.path[len(artifact.dataset) + 1 :])
    try:
        return part_version(manifest, part, artifact.path) == artifact.version
    except PathError:
        return False


def is_here(repo: Repo, artifact: Artifact, progress: Progress) -> bool:
    """Whether something loose is in the working tree as it was recorded."""
    try:
        return loose_version(repo, artifact.path, artifact.kind, progress) == artifact.version
    except DverError:
        return False


def where_to_look(repo: Repo, artifact: Artifact) -> str | None:
    """Return what may bring a version that is nowhere within reach."""
    try:
        return missing_version(repo, version_of(artifact), artifact.dataset or artifact.path).hint
    except DverError as exc:
        return exc.hint


def _whole(repo: Repo, stock: Stock, versions: Iterable[VersionId], progress: Progress) -> frozenset[VersionId]:
    """Return those of some versions that a store has all of."""
    ordered = sorted(versions)
    workers = repo.workers_for(stock.store.backend)
    found = []
    with progress.task("looking for versions", files=0) as task:
        task.expect(files=len(ordered))
        for is_whole in workers.in_order(workers.executor.submit(stock.has, version) for version in ordered):
            found.append(is_whole)
            task.advance(files=1)
    return frozenset(compress(ordered, found))
