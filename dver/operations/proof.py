"""Which versions a store really has, as lists show; and which so surely that the only other copy may be deleted.

A version is *held* if it is marked, the store's index lists all of it, and each pack that the index lists is there, in
its right size. In a store of whole versions a node that is listed has everything below it, so a root is all that is
looked for, as long as every pack of the store is where it should be. Where one is not, and in stores so large that only
some packs are looked at, the manifest says what is needed.

A version is *proven* if, beyond that, each pack with a part of it has a sound head, footer and trailer; a pack's name
is the hash of its footer, so the footer is that of this pack. The records between them are not read: this would be a
download of everything, and is what `dver push --verify` and `dver fsck` are for.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from dver.database import batches
from dver.errors import BackendError, FormatError, IntegrityError, ObjectNotFoundError
from dver.objects.ids import NodeId, ObjectId, PackId, VersionId
from dver.objects.pack import HEAD_LENGTH, TRAILER_LENGTH, check_head, decode_footer
from dver.operations.liveness import live_objects
from dver.operations.stock import Stock
from dver.progress import Task
from dver.storage.condemned import GcFolder
from dver.storage.packs import NOT_WHOLE, list_packs, pack_key, read_footer
from dver.storage.store import Store, encode_marker
from dver.storage.survey import PAGE, survey
from dver.workers import ASKED_AT_ONCE, Workers

_BATCH = 4096
# Up to so many packs they are listed whatever is asked. Beyond, a page of a list takes as long as to walk over so many
# chunks of a manifest, and costs as much as to ask for so many packs.
_FEW_PACKS = 10 * PAGE
_CHUNKS_A_PAGE = 8000
_PACKS_A_PAGE = 12


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a listing says of a store and of some versions.

    Attributes:
        held: versions that are marked, and of which everything is there.
        broken: versions that are marked, and of which something is missing.
        remark: versions whose marker is not as long as it should be.
        lost: packs that are listed in the index, and gone or of another size.
        description: the size of the store's description in bytes, None if it has none.
        going: what garbage collections left word of; None where that was not listed along.
    """

    held: frozenset[VersionId]
    broken: frozenset[VersionId]
    remark: frozenset[VersionId]
    lost: frozenset[PackId]
    description: int | None
    going: GcFolder | None = None


def gather_evidence(there: Store, here: Store, versions: Iterable[VersionId]) -> Evidence:
    """Return what a listing of the store `there` says of some versions; manifests are read `here` where they are."""
    unique = list(dict.fromkeys(versions))
    found = _look(there, here, unique)
    # Somebody may have moved objects to other packs while it was listed: what is lost is so twice.
    return _look(there, here, unique) if found.lost else found


def _look(there: Store, here: Store, versions: Sequence[VersionId]) -> Evidence:
    seen = survey(there, versions, lambda packs: packs <= _FEW_PACKS or _is_long(here, versions, packs))
    if seen.packs is None:
        lost, held = _judge_some(there, here, versions, seen.markers)
    else:
        lost, held = _judge_all(there, here, seen.packs, seen.markers)
    marked = frozenset(seen.markers)
    remark = (version for version, size in seen.markers.items() if size != _marker_size(here, version, size))
    broken = marked - held
    return Evidence(frozenset(held), broken, frozenset(remark), frozenset(lost), seen.description, seen.going)


def _judge_all(
    there: Store, here: Store, listed: Mapping[PackId, int], marked: Collection[VersionId]
) -> tuple[set[PackId], set[VersionId]]:
    """Return the lost packs of a store, and the versions that it holds, by a list of all its packs."""
    expected = there.index.packs()
    lost = {pack for pack, size in expected.items() if listed.get(pack) != size}
    # A pack that no index file lists may be one whose index file was lost.
    is_clear = not lost and listed.keys() <= expected.keys()
    roots = there.index.known(NodeId(version) for version in marked) if is_clear else set()
    stock = Stock(there, nearer=here, listed=listed)
    return lost, {version for version in marked if NodeId(version) in roots or stock.has(version)}


def _judge_some(
    there: Store, here: Store, versions: Sequence[VersionId], marked: Collection[VersionId]
) -> tuple[set[PackId], set[VersionId]]:
    """Return the same as far as these versions need to know, by asking for the packs that hold a part of them."""
    stock = Stock(there, nearer=here)
    parts = {version: stock.packs(version) for version in versions}
    needed = sorted(set[PackId]().union(*(packs for packs, _ in parts.values())))
    if len(needed) * PAGE > _PACKS_A_PAGE * there.index.pack_count():
        sizes = list_packs(there.backend)
    else:
        sizes = _sizes(there, needed)
    lost = {pack for pack in needed if sizes.get(pack) != there.index.pack_size(pack)}
    held = {version for version in marked if parts[version][1] and parts[version][0].isdisjoint(lost)}
    # Those with an object in no index file: it may be in a pack whose index file was lost.
    unsure = (version for version in marked if not parts[version][1])
    return lost, held | {version for version in unsure if stock.has(version)}


def _sizes(store: Store, packs: Sequence[PackId]) -> dict[PackId, int]:
    with Workers(None, ASKED_AT_ONCE, name="dver-ask") as workers:
        asked = (workers.executor.submit(store.backend.size, pack_key(pack)) for pack in packs)
        found = zip(packs, workers.in_order(asked), strict=True)
        return {pack: size for pack, size in found if size is not None}


def _is_long(here: Store, versions: Sequence[VersionId], packs: int) -> bool:
    """Whether it takes longer to walk over versions than to list so many packs."""
    params = here.read_params()
    chunks = 0.0
    for version in versions:
        try:
            files, size = here.manifest(version).totals()
        except ObjectNotFoundError:
            return True
        chunks += files + (size / params.average_size if params else 0)
    return chunks > _CHUNKS_A_PAGE * packs / PAGE


def _marker_size(here: Store, version: VersionId, found: int) -> int:
    """Return how long a version's marker should be; as it was found, or more than nothing, where that is not known."""
    try:
        if here.backend.is_local:
            return len(encode_marker(*here.manifest(version).totals()))
    except (ObjectNotFoundError, IntegrityError, FormatError):
        pass
    return max(1, found)


def proven_versions(there: Store, here: Store, versions: Collection[VersionId], task: Task) -> set[VersionId]:
    """Return those of some versions that the store `there` surely has; manifests are read `here` where they are.

    Nothing is written there: what no index file lists is not proven.
    """
    with there.index.looking():
        evidence = gather_evidence(there, here, versions)
        proof = _Proof(there, here)
        found = set()
        for version in versions:
            if version in evidence.held and proof.holds(version):
                found.add(version)
            task.advance(files=1)
    return found


class _Proof:
    """Looks at the packs of one store, once at each."""

    def __init__(self, there: Store, here: Store) -> None:
        self._there = there
        self._here = here
        self._packs: dict[PackId, bool] = {}

    def holds(self, version: VersionId) -> bool:
        """Whether all of a marked version is in packs that are sound as far as this looks."""
        try:
            needed = live_objects(self._there, [version], nearer=self._here)
        except (ObjectNotFoundError, IntegrityError, FormatError):
            return False
        with needed:
            return all(self._are_held(batch) for batch in batches(needed, _BATCH))

    def _are_held(self, ids: list[ObjectId]) -> bool:
        located = self._there.index.located(ids)
        packs = dict.fromkeys(at.pack for at in located.values())
        return len(located) == len(ids) and all(self._is_sound(pack) for pack in packs)

    def _is_sound(self, pack: PackId) -> bool:
        if pack not in self._packs:
            try:
                _check_ends(self._there, pack)
                self._packs[pack] = True
            except (FormatError, IntegrityError):
                self._packs[pack] = False
            except BackendError as exc:
                if exc.problem not in NOT_WHOLE:
                    raise
                self._packs[pack] = False
        return self._packs[pack]


def _check_ends(store: Store, pack: PackId) -> None:
    """Raise an error unless head, footer and trailer of a pack are sound, and it has the size that is listed."""
    key = pack_key(pack)
    where = f"{store.backend.location}/{key}"
    size = store.backend.size(key)
    if size is None or size < HEAD_LENGTH + TRAILER_LENGTH or store.index.pack_size(pack) not in {None, size}:
        raise IntegrityError(where, "it is gone, or not as long as it was")
    check_head(store.backend.read_range(key, 0, HEAD_LENGTH), where)
    footer, expected = read_footer(lambda *span: store.backend.read_range(key, *span), size, where)
    decode_footer(footer, expected, pack, where)
