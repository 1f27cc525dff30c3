"""Reading dataset versions from wherever they are: the cache first, then the default remote, without a checkout."""

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dver.errors import FormatError, ObjectNotFoundError, VersionNotFoundError
from dver.objects.ids import Bytes, NodeId, VersionId
from dver.objects.pointer import SUFFIX
from dver.repo import Repo

if TYPE_CHECKING:
    from dver.objects.manifest import Manifest
    from dver.objects.pointer import Pointer
    from dver.storage.store import Store


def no_store_hint(remote: str) -> str:
    """Return what helps where there is no store at a remote."""
    return (
        f"dver push --all makes it, run where the data was added; dver remote set {remote} url URL mends a wrong place"
    )


def stores_to_read(repo: Repo) -> "list[Store]":
    """Return the cache, and the default remote if there is one."""
    return [repo.cache, repo.remote()] if repo.has_remote else [repo.cache]


def open_manifest(repo: Repo, version: VersionId, dataset: str) -> "Manifest":
    """Return the manifest of a version, whose nodes come from the cache or the default remote.

    Raises:
        VersionNotFoundError: its root is in neither.
    """
    manifest = lazy_manifest(repo, version, dataset)
    try:
        manifest.totals()
    except ObjectNotFoundError as exc:
        raise missing_version(repo, version, dataset) from exc
    return manifest


def check_kind(dataset: str, pointer: "Pointer", manifest: "Manifest") -> None:
    """Raise FormatError unless a version is a file where its pointer says so, and a folder where that says so."""
    # Deferred: as with all that reads manifests.
    from dver.objects.manifest import single_file_entry  # noqa: PLC0415

    is_file = single_file_entry(manifest) is not None
    if is_file != (pointer.kind == "file"):
        said, found = ("a folder", "a file") if is_file else ("a file", "a folder")
        path = dataset + SUFFIX
        raise FormatError(
            path,
            f"says that the data is {said}, and its version is {found}",
            hint=f"git log -p -- {shlex.quote(path)} says how that came; git checkout COMMIT -- FILE takes a sound one",
        )


def lazy_manifest(repo: Repo, version: VersionId, dataset: str) -> "Manifest":
    """Return the manifest of a version that may be nowhere; reading it raises ObjectNotFoundError then."""
    # Deferred: where no file has changed, nobody reads one.
    from dver.objects.manifest import Manifest  # noqa: PLC0415

    return Manifest(version, lambda ids: load_nodes(repo, ids, version), where=f"manifest of {dataset}")


def load_nodes(repo: Repo, ids: Sequence[NodeId], version: VersionId | None = None) -> Sequence[Bytes]:
    """Return manifest nodes, each from the cache or, where that lacks it, from the default remote.

    A version that was made from another of which not all is here has nodes of both kinds until it is pushed. But one
    whose root is not here, if `version` says whose they are, was pushed or is not looked for over there.
    """
    try:
        return repo.cache.load_nodes(ids)
    except ObjectNotFoundError as exc:
        if not repo.has_remote:
            raise
        held = repo.cache.present(ids)
        here = [identity for identity in ids if identity in held]
        there = [identity for identity in ids if identity not in held]
        remote = repo.remote()
        if version is not None and NodeId(version) in there and not _may_have(remote, version):
            raise ObjectNotFoundError(version, remote.name) from exc
        nodes = dict(zip(there, remote.load_nodes(there), strict=True))
        nodes.update(zip(here, repo.cache.load_nodes(here), strict=True))
        return [nodes[identity] for identity in ids]


def _may_have(remote: "Store", version: VersionId) -> bool:
    # What is known here, or looked up on a disk, costs no request.
    known = remote.backend.is_local or remote.index.located([NodeId(version)])
    return bool(known) or remote.has_version(version)


def missing_version(repo: Repo, version: VersionId, dataset: str) -> VersionNotFoundError:
    """Return the error for a version that is nowhere within reach, with the command that could bring it."""
    if repo.has_remote and repo.remote().read_params() is None:
        return VersionNotFoundError(
            version,
            dataset,
            f"the cache, and there is no store at {repo.remote().name}",
            hint=no_store_hint(repo.remote().remote),
        )
    if repo.has_remote:
        pushed = "" if repo.remote().has_version(version) else ": it was never pushed there"
        where = f"the cache, nor in {repo.remote().name}{pushed}"
        hint = "dver push --all, run where it was added; or dver fetch -r REMOTE, if another remote has it"
    else:
        where = "the cache, and there is no remote to fetch it from"
        hint = "dver remote add origin URL, then dver fetch"
    return VersionNotFoundError(version, dataset, where, hint=hint)
