"""Versions that are named and not there: in the cache and on all remotes, or on the remote that was looked at.

What the working tree, HEAD, a branch or a tag names is wanted, so it is damage if nothing can have it; of the rest of
history that is only worth knowing. A remote need not have what was never pushed to it, but what was there once and was
lost stays damage until it is there again, or nobody wants it any more.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from dver.errors import DverError
from dver.objects.ids import VersionId
from dver.operations.fsck_names import Names
from dver.repo import Repo
from dver.storage.quarantine import versions_aside
from dver.storage.store import Store


@dataclass(frozen=True, slots=True)
class MissingVersions:
    """What is not there.

    Attributes:
        versions: those that are damage.
        history: how many there are that only history names.
        unpushed: how many a remote lacks, and never had as far as is known.
        unasked: remotes that could not be asked, and may have what is missing.
    """

    versions: tuple[VersionId, ...] = ()
    history: int = 0
    unpushed: int = 0
    unasked: tuple[str, ...] = ()


def missing_here(repo: Repo, names: Names, held: Iterable[VersionId]) -> MissingVersions:
    """Return the versions that are neither among those that the cache has or `held` in part, nor on any remote."""
    absent = names.versions.keys() - set(held) - repo.cache.versions()
    unasked: list[str] = []
    for name in sorted(repo.settings.remotes) if absent else ():
        try:
            absent -= repo.remote(name).versions()
        except DverError:
            unasked.append(name)
    current = absent & names.current()
    if unasked:
        return MissingVersions(unasked=tuple(unasked) if current else ())
    return MissingVersions(tuple(sorted(current)), len(absent - current))


def missing_there(store: Store, names: Names, lost: Iterable[VersionId], held: Iterable[VersionId]) -> MissingVersions:
    """Return the versions that a remote lacks and had: those that are `lost`, or of which the marker was set aside.

    Those that are `held` are wholly there, and lack a marker only.
    """
    absent = names.current() - store.versions() - set(held)
    if not absent:
        return MissingVersions()
    had = absent & {*lost, *versions_aside(store.backend)}
    return MissingVersions(tuple(sorted(had)), unpushed=len(absent - had))


def missing_notes(missing: MissingVersions, remote: str | None) -> Iterable[str]:
    """Yield what of it is no damage, for people."""
    if missing.history:
        yield f"{_versions_are(missing.history, 'only history')} neither in the cache nor on a remote"
    if missing.unpushed:
        are = _versions_are(missing.unpushed, "HEAD, a branch or a tag")
        yield f"{are} not there: dver push --all -r {remote} pushes what the cache has"
    if missing.unasked:
        names = ", ".join(missing.unasked)
        yield f"not all that is named is in the cache, and these remotes could not be asked: {names}"


def _versions_are(count: int, namer: str) -> str:
    return f"1 version that {namer} names is" if count == 1 else f"{count:,} versions that {namer} names are"
