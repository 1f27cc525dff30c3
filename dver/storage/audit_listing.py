"""What a store says that it has: its index files, packs and version markers, before any pack is opened.

Versions are listed first, then index files, then packs. Writers go the other way, so whatever a marker needs was there
before the packs were listed; and what a garbage collection takes away while an audit looks on is told from damage by
looking at the index files once more.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain

from dver.errors import BackendError, BackendProblem, FormatError, IntegrityError, UnsupportedFormatError
from dver.objects.ids import ID_LENGTH, IndexId, PackId, VersionId, index_id, pack_id, parse_id
from dver.objects.indexfile import split_index
from dver.objects.pack import ENTRY_LENGTH, PackEntry, decode_entries
from dver.storage.audit_map import StoreMap
from dver.storage.audit_pack import is_disk_failure
from dver.storage.backend import Backend
from dver.storage.index_files import index_key
from dver.storage.markers import version_key
from dver.storage.packs import pack_key
from dver.workers import Workers

_ENTRIES_AT_ONCE = 4096
_INDEX_BYTES = 32 * 1024 * 1024


@dataclass(slots=True)
class Listed:
    """A pack as index files list it.

    Attributes:
        size: the pack's, in bytes, as each of these index files says.
        whole: an index file that lists all of it.
        partial: index files that list a part of it.
    """

    sizes: dict[IndexId, int] = field(default_factory=dict)
    whole: IndexId | None = None
    partial: set[IndexId] = field(default_factory=set)


@dataclass(slots=True)
class Listing:
    """What is listed in a store.

    Attributes:
        versions: those with a marker.
        damaged: index files that cannot be used, by key, and why.
        listings: which packs each index file lists.
        packs: what index files say.
        sizes: the packs that are there, and their sizes in bytes.
        odd: keys of files where dver keeps its own, and that are not dver's.
        vanished: whether something went away while it was looked at.
    """

    versions: set[VersionId] = field(default_factory=set)
    damaged: dict[str, str] = field(default_factory=dict)
    listings: dict[IndexId, frozenset[PackId]] = field(default_factory=dict)
    packs: dict[PackId, Listed] = field(default_factory=dict)
    sizes: dict[PackId, int] = field(default_factory=dict)
    odd: list[str] = field(default_factory=list)
    vanished: bool = False

    @property
    def missing(self) -> set[PackId]:
        """The packs that index files list and that are not there."""
        return self.packs.keys() - self.sizes.keys()

    @property
    def unlisted(self) -> set[PackId]:
        """The packs that no index file lists."""
        return self.sizes.keys() - self.packs.keys()


def list_store(backend: Backend, found: StoreMap, workers: Workers) -> Listing:
    """List a store, and add all that sound index files list to `found`.

    Raises:
        UnsupportedFormatError: a newer dver wrote an index file.
        BackendError: the store does not answer.
    """
    listing = Listing()
    listing.versions = {VersionId(raw) for raw, _ in _names(backend, "versions/", version_key, listing.odd)}
    indexes = {IndexId(raw): size for raw, size in _names(backend, "index/", index_key, listing.odd)}
    for group in _groups(indexes):
        reads = (workers.executor.submit(_read_or_problem, backend, index) for index in group)
        for index, data in zip(group, workers.in_order(reads), strict=True):
            if data is None:
                listing.vanished = True
            elif isinstance(data, str):
                listing.damaged[index_key(index)] = data
            else:
                _take_index(backend, listing, found, index, data)
    _list_packs(backend, listing)
    return listing


def index_files(backend: Backend) -> set[IndexId]:
    """Return the index files that are there now."""
    return {IndexId(raw) for raw, _ in _names(backend, "index/", index_key, [])}


def listed_footer(backend: Backend, listing: Listing, pack: PackId) -> bytes | None:
    """Return a pack's footer as an index file has it, or None."""
    known = listing.packs.get(pack)
    if known is None or known.whole is None:
        return None
    for one, _, entries in _listed_in(backend, known.whole):
        if one == pack:
            return bytes(entries)
    return None


def listed_ids(backend: Backend, index: IndexId, pack: PackId) -> set[bytes]:
    """Return the entries, as bytes, that an index file has of a pack."""
    found: set[bytes] = set()
    for one, _, entries in _listed_in(backend, index):
        if one == pack:
            found.update(bytes(entries[at : at + ENTRY_LENGTH]) for at in range(0, len(entries), ENTRY_LENGTH))
    return found


def _groups(indexes: Mapping[IndexId, int]) -> Iterator[list[IndexId]]:
    """Yield index files in groups that fit into memory together."""
    group: list[IndexId] = []
    total = 0
    for index, size in indexes.items():
        if group and total + size > _INDEX_BYTES:
            yield group
            group, total = [], 0
        group.append(index)
        total += size
    if group:
        yield group


def _names(backend: Backend, prefix: str, key: Callable[..., str], odd: list[str]) -> Iterator[tuple[bytes, int]]:
    """Yield the ids that name the blobs below a prefix, with their sizes, and note those that have other names."""
    for info in backend.list(prefix):
        raw = parse_id(info.key.rpartition("/")[2].partition(".")[0])
        if raw is not None and info.key == key(raw):
            yield raw, info.size
        else:
            odd.append(info.key)


def _read_or_problem(backend: Backend, index: IndexId) -> bytes | str | None:
    """Return an index file, or what is wrong where it cannot be read; None where it is gone."""
    try:
        with suppress(IntegrityError):
            data = _read_index(backend, index)
            if data is None or backend.is_local or index_id(data) == index:
                return data
        # It may have been damaged on its way.
        return _read_index(backend, index)
    except IntegrityError as exc:
        # An encrypted store answers so.
        return exc.reason
    except BackendError as exc:
        if is_disk_failure(backend, exc):
            return "the disk cannot read it"
        raise


def _listed_in(backend: Backend, index: IndexId) -> Sequence[tuple[PackId, int, memoryview]]:
    """Return what an index file lists that was sound before; nothing if it is not any more."""
    data = _read_or_problem(backend, index)
    try:
        return [*split_index(data, index_key(index))] if isinstance(data, bytes) else []
    except UnsupportedFormatError:
        raise
    except (FormatError, IntegrityError):
        return []


def _read_index(backend: Backend, index: IndexId) -> bytes | None:
    try:
        return backend.read(index_key(index))
    except BackendError as exc:
        if exc.problem is BackendProblem.NOT_FOUND:
            return None
        raise


def _take_index(backend: Backend, listing: Listing, found: StoreMap, index: IndexId, data: bytes) -> None:
    key = index_key(index)
    where = f"{backend.location}/{key}"
    try:
        # All of it before any of it counts: a file is sound as a whole or not at all.
        packs = [(pack, size, entries) for pack, size, entries in split_index(data, where)]
        _check_name(index, data, where)
        for pack, _, entries in packs:
            known = listing.packs.get(pack)
            if known is None or known.whole is None:
                found.add(pack, chain.from_iterable(_decoded(entries, where)))
    except UnsupportedFormatError:
        raise
    except (FormatError, IntegrityError) as exc:
        listing.damaged[key] = exc.reason if data else "it is empty"
        return
    listing.listings[index] = frozenset(pack for pack, _, _ in packs)
    for pack, size, entries in packs:
        known = listing.packs.setdefault(pack, Listed())
        known.sizes[index] = size
        if pack_id(entries) != pack:
            known.partial.add(index)
        else:
            known.whole = known.whole or index


def _check_name(index: IndexId, data: bytes, where: str) -> None:
    if index_id(data) != index:
        raise IntegrityError(where, "it is another index file than its name says")


def _decoded(entries: memoryview, where: str) -> Iterator[Sequence[PackEntry]]:
    for start in range(0, len(entries), _ENTRIES_AT_ONCE * ENTRY_LENGTH):
        yield decode_entries(entries[start : start + _ENTRIES_AT_ONCE * ENTRY_LENGTH], where)


def _list_packs(backend: Backend, listing: Listing) -> None:
    for info in backend.list("packs/"):
        raw = parse_id(info.key.rpartition("/")[2].removesuffix(".pack"))
        if raw is not None and len(raw) == ID_LENGTH and info.key == pack_key(PackId(raw)):
            listing.sizes[PackId(raw)] = info.size
        else:
            listing.odd.append(info.key)
