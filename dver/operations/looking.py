"""What a remote has of some versions, for those who only ask, such as `dver status --remote` and the pre-push hook.

Nothing is written there, not even an index file that was lost: what no index file lists does not count as there, and a
push puts that right. Nor does a version that a sweep may delete which has not ended: a push would send it anew.

A version that waits in a list of garbage is there still. Whoever refers to it is told, for a push keeps it.
"""

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from dver.errors import DverError
from dver.objects.ids import VersionId
from dver.operations.proof import Evidence, gather_evidence
from dver.operations.registering import is_registered
from dver.repo import Repo
from dver.storage.backend import check_keys
from dver.storage.condemned import GcFolder, read_folder, read_list, read_sweep, versions_of
from dver.storage.store import Store


@dataclass(frozen=True, slots=True)
class Held:
    """The versions that a remote has and that are not about to go, and what garbage collections left word of there."""

    versions: frozenset[VersionId] = frozenset()
    going: GcFolder = field(default_factory=GcFolder)


def held_versions(repo: Repo, store: Store, versions: Sequence[VersionId]) -> Held:
    """Return which of some versions a remote has."""
    with store.index.looking():
        evidence = gather_evidence(store, repo.cache, versions)
    if not evidence.held:
        return Held()
    going = _going(store, evidence)
    leaving = versions_of(read_sweep(store.backend, name) for name in going.running)
    return Held(evidence.held - leaving, going)


def _going(store: Store, evidence: Evidence) -> GcFolder:
    """Return what garbage collections left word of, after the versions were looked for."""
    if evidence.going is None:
        return read_folder(store.backend)
    check_keys(store.backend)
    return evidence.going


def listed_as_garbage(
    repo: Repo, store: Store, versions: Collection[VersionId], folder: GcFolder
) -> dict[VersionId, float]:
    """Return from when on a remote may delete those of some versions that it lists as garbage.

    Those of which this repository has left word are left out: a sweep finds that, and spares them. From afar the first
    list alone is read, whose time comes first.
    """
    wanted, found = set(versions), dict[VersionId, float]()
    for name in folder.lists if store.backend.is_local else folder.lists[:1]:
        # What cannot be read, or was swept meanwhile, is for others to tell of.
        with suppress(DverError):
            listed = read_list(store.backend, name)
            for version in wanted & listed.condemned.versions:
                found[version] = min(listed.due, found.get(version, listed.due))
    return {} if not found or is_registered(repo, store, found) else found
