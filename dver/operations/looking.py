"""What a remote has of some versions, for those who only ask, such as `dver status --remote` and the pre-push hook.

Nothing is written there, not even an index file that was lost: what no index file lists does not count as there, and a
push puts that right. Nor does a version that a sweep may delete which has not ended: a push would send it anew.
"""

from collections.abc import Sequence

from dver.objects.ids import VersionId
from dver.operations.proof import Evidence, gather_evidence
from dver.repo import Repo
from dver.storage.backend import check_keys
from dver.storage.condemned import GcFolder, read_folder, read_sweep, versions_of
from dver.storage.store import Store


def held_versions(repo: Repo, store: Store, versions: Sequence[VersionId]) -> frozenset[VersionId]:
    """Return those of some versions that a remote has, and that are not about to go."""
    with store.index.looking():
        evidence = gather_evidence(store, repo.cache, versions)
    if not evidence.held:
        return frozenset()
    going = _going(store, evidence)
    return evidence.held - versions_of(read_sweep(store.backend, name) for name in going.running)


def _going(store: Store, evidence: Evidence) -> GcFolder:
    """Return what garbage collections left word of, after the versions were looked for."""
    if evidence.going is None:
        return read_folder(store.backend)
    check_keys(store.backend)
    return evidence.going
