"""Versions that are named and not there: in the cache and on all remotes, or on the remote that was looked at.

What the working tree, HEAD, a branch, a tag or a stash names is wanted, so it is damage if nothing can have it; of the
rest of history that is only worth knowing. But what was in the store once and was lost stays damage until it is there
again or nothing names it any more, whatever it is that does: the marker that a repair set aside tells of it. So a
version that never came to a store, or only in part, is none: such a version never had a marker there.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from dver.errors import DverError
from dver.objects.ids import VersionId
from dver.operations.fsck_names import Names
from dver.repo import Repo
from dver.storage.quarantine import versions_aside
from dver.storage.store import Store
from dver.workspace.pointers import DVER_DIRECTORY


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
    store = repo.cache
    absent = names.versions.keys() - set(held) - store.versions()
    if not absent:
        return MissingVersions()
    unasked: list[str] = []
    for name in sorted(repo.settings.remotes):
        try:
            absent -= repo.remote(name).versions()
        except DverError:
            unasked.append(name)
    current = names.current()
    had = absent & versions_aside(store.backend)
    had -= _held_by_neighbours(repo, names, had - current)
    wanted = absent & (current | had)
    if unasked:
        return MissingVersions(unasked=tuple(unasked) if wanted else ())
    return MissingVersions(tuple(sorted(wanted)), len((absent & names.historic()) - wanted))


def _held_by_neighbours(repo: Repo, names: Names, versions: set[VersionId]) -> set[VersionId]:
    """Return those of some versions that are on a remote of another repository that uses the same cache."""
    found: set[VersionId] = set()
    for root in names.neighbours if versions else ():
        with suppress(DverError), repo.beside(root) as other:
            for name in other.settings.remotes:
                with suppress(DverError):
                    found |= versions & other.remote(name).versions()
    return found


def partly_wanted(repo: Repo) -> set[VersionId]:
    """Return the versions of which only a part is wanted, in this working tree or one that is linked to it."""
    found = _chosen(repo)
    for tree in repo.git.reach().work_trees:
        if tree.root is not None and tree.root != repo.root and (tree.root / DVER_DIRECTORY).is_dir():
            with suppress(DverError), repo.beside(tree.root) as other:
                found |= _chosen(other)
    return found


def _chosen(repo: Repo) -> set[VersionId]:
    return {base.version for base in repo.stat_cache.bases().values() if base.choice is not None}


def missing_there(store: Store, names: Names, lost: Iterable[VersionId], held: Iterable[VersionId]) -> MissingVersions:
    """Return the versions that a remote lacks and had: those that are `lost`, or of which the marker was set aside.

    Those that are `held` are wholly there, and lack a marker only.
    """
    absent = names.versions.keys() - store.versions() - set(held)
    if not absent:
        return MissingVersions()
    had = absent & {*lost, *versions_aside(store.backend)}
    return MissingVersions(tuple(sorted(had)), unpushed=len((absent & names.tipped()) - had))


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
