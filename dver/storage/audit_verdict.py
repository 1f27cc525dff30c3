"""From what an audit saw to what is wrong: findings, and notes on what is merely worth knowing."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from dver.errors import FormatError, IntegrityError, UnsupportedFormatError, first_of
from dver.objects.ids import NodeId, PackId, VersionId
from dver.objects.pack import encode_footer
from dver.storage.audit_findings import Audit, Counts, Finding, Problem, Thing
from dver.storage.audit_keys import key_findings
from dver.storage.audit_listing import Listing, listed_ids
from dver.storage.audit_map import StoreMap
from dver.storage.audit_nodes import NodesRead
from dver.storage.audit_packs import MISSING, PacksRead
from dver.storage.audit_words import word_findings
from dver.storage.description import DESCRIPTION_KEY
from dver.storage.index_files import index_key
from dver.storage.markers import read_if_there, version_key
from dver.storage.packs import pack_key, read_pack_entries
from dver.storage.store import Store, marker_problem
from dver.workers import Workers

_NAMED = 5


@dataclass(frozen=True, slots=True)
class Seen:
    """What an audit saw of a store.

    Attributes:
        found: the map, from which the verdict is asked.
        versions: those whose markers count, None for all.
        is_whole: whether the store holds only whole versions, as a remote does, so that every node counts.
    """

    listing: Listing
    packs: PacksRead
    nodes: NodesRead
    found: StoreMap
    versions: frozenset[VersionId] | None
    is_whole: bool


class Verdict:
    """Says what is wrong with a store."""

    def __init__(self, store: Store, seen: Seen, workers: Workers) -> None:
        self._store = store
        self._backend = store.backend
        self._seen = seen
        self._workers = workers
        versions = seen.listing.versions
        self._versions = sorted(versions if seen.versions is None else versions & seen.versions)
        self._damaged_indexes: set[str] = set(seen.listing.damaged)
        self._damaged_markers: set[VersionId] = set()

    def audit(self, notes: list[str]) -> Audit:
        """Return what is wrong, with `notes` that were made before."""
        seen = self._seen
        markers = list(self._markers())
        incomplete = self._incomplete()
        findings = [
            *self._description(),
            *key_findings(self._backend),
            *self._indexes(),
            *self._packs(),
            *markers,
            *self._incomplete_findings(incomplete),
            *word_findings(self._backend),
        ]
        counts = Counts(
            packs=len(seen.listing.sizes),
            read=seen.packs.read,
            remembered=seen.packs.remembered,
            bytes=seen.packs.bytes,
            objects=seen.found.count(),
            nodes=seen.nodes.count,
            indexes=len(seen.listing.listings),
            versions=len(self._versions),
        )
        return Audit(
            tuple(findings),
            (*notes, *self._notes()),
            counts,
            frozenset(self._versions),
            tuple(incomplete),
            frozenset(pack for pack, problem in seen.packs.problems.items() if problem != MISSING),
            frozenset(self._damaged_indexes),
            frozenset(self._damaged_markers),
            seen.packs.unlisted,
            seen.listing.listings,
        )

    def _description(self) -> Iterator[Finding]:
        listing = self._seen.listing
        try:
            is_there = self._store.read_params() is not None
        except UnsupportedFormatError:
            raise
        except (FormatError, IntegrityError) as exc:
            yield Finding(Thing.DESCRIPTION, Problem.DAMAGED, DESCRIPTION_KEY, exc.reason)
            return
        if not is_there and (listing.versions or listing.listings or listing.sizes):
            yield Finding(Thing.DESCRIPTION, Problem.MISSING, DESCRIPTION_KEY, "is missing")

    def _indexes(self) -> Iterator[Finding]:
        listing = self._seen.listing
        loose = frozenset(self._seen.found.needed_loose(self._versions))
        for key, reason in sorted(listing.damaged.items()):
            unlisted = f"; in no other index file: {_pack_names(loose)}" if loose else ""
            yield Finding(Thing.INDEX, Problem.DAMAGED, key, f"{reason}{unlisted}", packs=loose)
        for pack in sorted(listing.packs.keys() - self._seen.packs.problems.keys()):
            for key, reason in self._untrue(pack):
                self._damaged_indexes.add(key)
                yield Finding(Thing.INDEX, Problem.DAMAGED, key, reason, pack=pack)
        if loose and not listing.damaged:
            need = "versions need it" if len(loose) == 1 else "versions need them"
            detail = f"{_packs(len(loose))} in no index file, and {need}: {_pack_names(loose)}"
            yield Finding(Thing.INDEX, Problem.UNLISTED, "index/", detail, packs=loose)

    def _untrue(self, pack: PackId) -> Iterator[tuple[str, str]]:
        """Yield the index files that say of a sound pack what is not so."""
        listed, size = self._seen.listing.packs[pack], self._seen.listing.sizes[pack]
        short = pack.hex()[:16]
        for index, said in listed.sizes.items():
            if said != size:
                yield index_key(index), f"it gives pack {short}… {said:,} bytes, and it has {size:,}"
        if listed.partial:
            held = {encode_footer([entry]) for entry in read_pack_entries(self._backend, pack, size)}
            for index in sorted(listed.partial):
                if not listed_ids(self._backend, index, pack) <= held:
                    yield index_key(index), f"it lists what pack {short}… does not hold"

    def _packs(self) -> Iterator[Finding]:
        for pack, problem in sorted(self._seen.packs.problems.items()):
            kind = Problem.MISSING if problem == MISSING else Problem.DAMAGED
            yield Finding(Thing.PACK, kind, pack_key(pack), problem, pack=pack, lost=self._seen.found.lost_in(pack))

    def _markers(self) -> Iterator[Finding]:
        reads = (self._workers.executor.submit(self._marker_problem, version) for version in self._versions)
        for version, problem in zip(self._versions, self._workers.in_order(reads), strict=True):
            if problem is not None:
                self._damaged_markers.add(version)
                yield Finding(Thing.MARKER, Problem.DAMAGED, version_key(version), problem, version=version)

    def _marker_problem(self, version: VersionId) -> str | None:
        problem = self._look_at_marker(version)
        # What comes from afar may have been damaged on its way.
        return problem if problem is None or self._backend.is_local else self._look_at_marker(version)

    def _look_at_marker(self, version: VersionId) -> str | None:
        try:
            data = read_if_there(self._backend, version_key(version))
        except IntegrityError as exc:
            return exc.reason
        # One that is gone was taken away since the versions were listed.
        return None if data is None else marker_problem(data, self._seen.nodes.totals.get(version))

    def _incomplete(self) -> list[VersionId]:
        broken = self._seen.found.incomplete([NodeId(version) for version in self._versions])
        broken |= set(self._seen.nodes.malformed) & {NodeId(version) for version in self._versions}
        # Whoever collects garbage takes the marker away first.
        return [VersionId(node) for node in sorted(broken) if self._store.has_version(VersionId(node))]

    def _incomplete_findings(self, incomplete: list[VersionId]) -> Iterator[Finding]:
        found = self._seen.found
        for version in incomplete:
            missing = found.missing_only(NodeId(version))
            if missing:
                what = "1 object that it needs is" if missing == 1 else f"{missing:,} objects that it needs are"
                detail = f"{what} in no pack"
                yield Finding(
                    Thing.VERSION, Problem.INCOMPLETE, version_key(version), detail, version=version, lost=missing
                )
        if self._seen.is_whole and not incomplete and next(found.all_incomplete(), None) is not None:
            detail = "it lists manifest nodes that lack something, which a push would take for whole"
            yield Finding(Thing.INDEX, Problem.INCOMPLETE, "index/", detail)

    def _notes(self) -> Iterator[str]:
        packs, listing = self._seen.packs, self._seen.listing
        if packs.forming:
            yield f"{_packs(len(packs.forming))} in no index file and not whole: just being written, or cut off"
        loose = packs.unlisted.keys() - self._seen.found.needed_loose(self._versions)
        if loose:
            it = "it" if len(loose) == 1 else "them"
            unneeded = f"in no index file, and no version needs {it}"
            yield f"{_packs(len(loose))} {unneeded}: a writer that was cut off left {it}"
        if listing.odd:
            yield f"not dver's, and passed over: {first_of(sorted(listing.odd), _NAMED)}"


def _pack_names(packs: Collection[PackId]) -> str:
    return first_of([pack_key(pack) for pack in sorted(packs)], _NAMED)


def _packs(count: int) -> str:
    return "1 pack is" if count == 1 else f"{count:,} packs are"
