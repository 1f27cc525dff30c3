"""Packs as they lie in a store: their keys, and what is in those that no index file lists.

What a pack holds is read from its footer or, where that is damaged, from its records. Chunks found so can be counted
on. A node can be counted on only if all that it names is there too, for whoever has a node takes the whole tree below
it for stored; `whole_trees` tells such nodes from those that a writer left behind before it was done.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Protocol, TypeVar

from dver.errors import BackendError, BackendProblem, FormatError, IntegrityError, UnsupportedFormatError
from dver.objects.ids import ObjectId, PackId, pack_id, parse_id
from dver.objects.indexfile import IndexedPack
from dver.objects.pack import (
    TRAILER_LENGTH,
    Kind,
    PackEntry,
    decode_footer,
    decode_record,
    decode_trailer,
    encode_footer,
    scan_records,
)
from dver.objects.references import node_references
from dver.storage.backend import Backend, BlobInfo
from dver.storage.index_files import READERS
from dver.workers import Workers

# Many times what packs are made to be; a file of any size can lie in the place of one.
MAX_SCANNED = 1 << 30
# What is read of a pack in one go, where several records are.
RUN = 8 * 1024 * 1024
NOT_WHOLE = frozenset({BackendProblem.NOT_FOUND, BackendProblem.OTHER})
"""What a store answers that is asked for bytes of a pack which is gone, or shorter than it should be."""

_TAIL = 64 * 1024


class Placed(Protocol):
    """What lies somewhere in a blob, from `offset` to `end`."""

    @property
    def offset(self) -> int: ...

    @property
    def end(self) -> int: ...


_P = TypeVar("_P", bound=Placed)


def pack_key(pack: PackId) -> str:
    """Return the key of a pack in a store."""
    name = pack.hex()
    return f"packs/{name[:2]}/{name}.pack"


def list_packs(backend: Backend) -> dict[PackId, int]:
    """Return all packs of a store, in order, and their sizes in bytes; files that are no packs are passed over."""
    return packs_among(backend.list("packs/"))


def packs_among(blobs: Iterable[BlobInfo]) -> dict[PackId, int]:
    """Return those of some blobs that are packs, in order, and their sizes in bytes."""
    listed = {}
    for info in blobs:
        raw = parse_id(info.key.rpartition("/")[2].removesuffix(".pack"))
        if raw is not None and info.key == pack_key(PackId(raw)):
            listed[PackId(raw)] = info.size
    return dict(sorted(listed.items()))


def is_complete(pack: IndexedPack) -> bool:
    """Whether the entries are all that the pack holds: its name is the hash of their list."""
    return pack_id(encode_footer(pack.entries)) == pack.id


def read_pack_entries(backend: Backend, pack: PackId, size: int) -> list[PackEntry]:
    """Return what a pack of `size` bytes holds, from its footer or, where that is damaged, from its whole records.

    A file that is no pack at all, too large for one, or gone by now, gives nothing. What comes from afar is read once
    more before it is called damaged.
    """
    if not backend.is_local:
        entries = _read_entries(backend, pack, size)
        if is_complete(IndexedPack(pack, size, tuple(entries))):
            return entries
    return _read_entries(backend, pack, size)


def _read_entries(backend: Backend, pack: PackId, size: int) -> list[PackEntry]:
    where = f"{backend.location}/{pack_key(pack)}"
    try:
        footer, expected = read_footer(lambda *span: backend.read_range(pack_key(pack), *span), size, where)
        return decode_footer(footer, expected, pack, where)
    except UnsupportedFormatError:
        raise
    except (FormatError, IntegrityError):
        pass
    except BackendError as exc:
        if exc.problem is not BackendProblem.NOT_FOUND:
            raise
        return []
    if size > MAX_SCANNED:
        return []
    try:
        return list(scan_records(backend.read(pack_key(pack)), where))
    except UnsupportedFormatError:
        raise
    except (FormatError, IntegrityError):
        # An encrypted blob may not even open.
        return []


def read_packs(backend: Backend, listed: Sequence[tuple[PackId, int]]) -> list[IndexedPack]:
    """Return what packs of some sizes hold, reading several at a time where each is a round trip."""

    def read(pack: PackId, size: int) -> IndexedPack:
        return IndexedPack(pack, size, tuple(read_pack_entries(backend, pack, size)))

    if backend.is_local or len(listed) <= 1:
        return [read(*one) for one in listed]
    with Workers(None, READERS, name="dver-index") as workers:
        return list(workers.in_order(workers.executor.submit(read, *one) for one in listed))


def read_footer(read: Callable[[int, int], bytes], size: int, where: str) -> tuple[bytes, int]:
    """Return the footer of a pack of `size` bytes, and the checksum that its trailer has for it; neither is checked.

    Args:
        read: returns the bytes of the pack from an offset, as many as its second argument says.

    Raises:
        FormatError: the pack has no trailer that fits its size.
    """
    # Most footers fit into what one read brings along with the trailer.
    tail = read(max(0, size - _TAIL), min(size, _TAIL))
    length, expected = decode_trailer(tail[-TRAILER_LENGTH:], size, where)
    end = len(tail) - TRAILER_LENGTH
    footer = tail[end - length : end] if length <= end else read(size - TRAILER_LENGTH - length, length)
    return footer, expected


def runs(ordered: Iterable[_P], longest: int, *, gap: int = 0) -> Iterator[list[_P]]:
    """Yield what lies in one blob in runs to be read in one go; `ordered` is in the order of offsets.

    A run is no longer than `longest` bytes unless it is of one, and between two there is no more than `gap`.
    """
    run: list[_P] = []
    for one in ordered:
        if run and (one.end - run[0].offset > longest or not 0 <= one.offset - run[-1].end <= gap):
            yield run
            run = []
        run.append(one)
    if run:
        yield run


def whole_trees(
    backend: Backend, packs: Sequence[IndexedPack], present: Callable[[set[ObjectId]], set[ObjectId]]
) -> set[ObjectId]:
    """Return the nodes in `packs` whose whole trees are there, in these packs or `present` elsewhere."""
    chunks = {entry.id for pack in packs for entry in pack.entries if entry.kind is Kind.DATA}
    waiting: dict[ObjectId, set[ObjectId]] = {}
    for pack in packs:
        for node, references in _read_references(backend, pack):
            below = references - chunks
            waiting[node] = below - present(below)
    whole: set[ObjectId] = set()
    while ready := [node for node, below in waiting.items() if below <= whole]:
        whole.update(ready)
        for node in ready:
            del waiting[node]
    return whole


def _read_references(backend: Backend, pack: IndexedPack) -> Iterator[tuple[ObjectId, set[ObjectId]]]:
    """Yield the nodes of a pack with what each names; one that cannot be read is passed over."""
    key = pack_key(pack.id)
    where = f"{backend.location}/{key}"
    for run in _node_runs(pack.entries):
        start = run[0].offset
        data = backend.read_range(key, start, run[-1].end - start)
        for entry in run:
            try:
                node = decode_record(data, entry.offset - start, where).verified(where)
                named = node_references(node, where)
                yield entry.id, {*named.nodes, *named.chunks}
            except (FormatError, IntegrityError):
                continue


def _node_runs(entries: Sequence[PackEntry]) -> Iterator[list[PackEntry]]:
    """Yield nodes that lie side by side, in runs of a few MiB at most."""
    ordered = sorted(entries, key=lambda entry: entry.offset)
    for is_node, group in groupby(ordered, lambda entry: entry.kind is Kind.NODE):
        if is_node:
            yield from runs(group, RUN)
