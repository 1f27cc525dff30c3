"""What a finding touches that is not about some objects: in words, or as the versions that need packs.

A pack that no index file lists is not lost, but nobody finds what it holds. Which versions need it is asked of the map
of the store, for as many of them as takes no time; of the rest it is said how many there are.
"""

from collections.abc import Collection, Sequence

from dver.objects.ids import PackId, VersionId
from dver.storage.audit_findings import Finding, Problem, Thing
from dver.storage.audit_map import StoreMap

MOST_ASKED = 200
EVERYTHING = "everything in the store: no command can use it before that is put right"

_IN_WORDS = {
    Thing.DESCRIPTION: EVERYTHING,
    Thing.KEY: "no data: only who opens the remote with that key",
    Thing.REPOSITORY: "what that repository needs of the remote, which nobody can tell now",
    Thing.GARBAGE: "no data that something names: only what a cleaning may delete",
}


def versions_needing(found: StoreMap, packs: Collection[PackId], marked: Collection[VersionId]) -> list[VersionId]:
    """Return the versions that have something only in some packs that no index file lists."""
    asked = sorted(marked)[:MOST_ASKED]
    return [version for version in asked if not found.needed_loose([version]).isdisjoint(packs)]


def extent_of(finding: Finding, named: Sequence[VersionId], marked: Collection[VersionId]) -> str:
    """Return what a finding touches, in words; "" where the versions that are `named` for it say all."""
    if finding.thing is not Thing.INDEX:
        return _IN_WORDS.get(finding.thing, "")
    if finding.problem is Problem.INCOMPLETE:
        return "what is pushed next, where it has such parts in it"
    if finding.packs:
        left = len(marked) - MOST_ASKED
        return f"these versions, and maybe some of {left:,} more" if left > 0 else ""
    if finding.pack is not None:
        return "what that pack holds, which is there and may not be found"
    return "" if named else "no version: all that it lists is in another index file, or needed by none"
