"""The index files of a store as they lie in it: their keys, and reading many of them with few in memory.

From afar several are read at once. What waits to be looked at is bounded in bytes and in number; one that is larger
than the bound by itself is read alone. Nothing is decoded here but what somebody is about to use.
"""

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dver.errors import (
    DAMAGE_HINT,
    BackendError,
    BackendProblem,
    FormatError,
    IntegrityError,
    UnsupportedFormatError,
)
from dver.objects.ids import ID_LENGTH, IndexId, NodeId, PackId, pack_id, parse_id
from dver.objects.indexfile import IndexedPack, decode_index, split_index
from dver.objects.pack import ENTRY_KIND_OFFSET, ENTRY_LENGTH, Kind, decode_entries
from dver.storage.backend import Backend, BlobInfo
from dver.workers import Workers, abandon

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

# Of a store with more objects than there are in any; larger files of that name are passed over.
MAX_INDEX_FILE = 1 << 32
READERS = 32
_MOST_WAITING, _MOST_WAITING_BYTES = 64, 32 << 20
_MOST_ENTRIES = 100_000
_CHECKED_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class ListedPack:
    """A pack as an index file lists it, its entries still encoded; `complete` is whether they are all that it holds."""

    id: PackId
    size: int
    entries: memoryview
    complete: bool


@dataclass(frozen=True, slots=True)
class IndexFile:
    """An index file that was read; `data` is None where not even that could be done, as it is damaged."""

    id: IndexId
    key: str
    where: str
    data: bytes | None

    def decode(self) -> list[IndexedPack] | None:
        """Return what the file lists, None if it is damaged."""
        return None if self.data is None else _decode(self.data, self.where)

    def split(self) -> list[ListedPack] | None:
        """Return what the file lists, None if it is damaged; it may be of any size, as no more is made of it."""
        if self.data is None:
            return None
        try:
            packs = []
            for pack, size, entries in split_index(self.data, self.where):
                for start in range(0, len(entries), _CHECKED_AT_ONCE * ENTRY_LENGTH):
                    decode_entries(entries[start : start + _CHECKED_AT_ONCE * ENTRY_LENGTH], self.where)
                packs.append(ListedPack(pack, size, entries, complete=pack_id(entries) == pack))
        except UnsupportedFormatError:
            raise
        except (IntegrityError, FormatError):
            return None
        return packs


def index_key(index: IndexId) -> str:
    """Return the key of an index file in a store."""
    return f"index/{index.hex()}.idx"


def list_index_files(backend: Backend) -> dict[IndexId, BlobInfo]:
    """Return the index files of a store; files that are none are passed over."""
    return index_files_among(backend.list("index/"))


def index_files_among(blobs: Iterable[BlobInfo]) -> dict[IndexId, BlobInfo]:
    """Return those of some blobs that are index files."""
    return {index: info for info in blobs if (index := _parse_key(info.key)) is not None}


def read_index_file(backend: Backend, key: str) -> list[IndexedPack] | None:
    """Return what an index file lists, None if it is damaged; one that vanished lists nothing.

    From afar it may have been damaged on its way: so it is read once more before it is called damaged.
    """
    packs = _read_packs(backend, key)
    return _read_packs(backend, key) if packs is None and not backend.is_local else packs


def listed_in(backend: Backend, index: IndexId, *, hint: str = DAMAGE_HINT) -> list[IndexedPack]:
    """Return what an index file lists, for those who delete by it; one that vanished lists nothing.

    Raises:
        IntegrityError: it is damaged. That it lists nothing would be wrong; `hint` says what helps.
    """
    packs = read_index_file(backend, index_key(index))
    if packs is None:
        raise _damaged(f"{backend.location}/{index_key(index)}", hint)
    return packs


def read_index_files(backend: Backend, files: Mapping[IndexId, BlobInfo]) -> Generator[IndexFile, None, None]:
    """Yield index files in order; those that vanished are left out. Whoever wants no more closes it."""
    if backend.is_local or len(files) <= 1:
        for index, info in files.items():
            yield from _read_one(backend, index, info.key)
        return
    with Workers(None, READERS, name="dver-index") as workers:
        yield from _read_ahead(backend, workers.executor, files)


def read_once_more(backend: Backend, file: IndexFile) -> IndexFile:
    """Return what is there now of a file that is damaged: from afar it may have been damaged on its way."""
    return file if backend.is_local else next(iter(_read_one(backend, file.id, file.key)), file)


def damaged_index_files(backend: Backend) -> list[str]:
    """Return the keys of a store's index files that are damaged; all are read for it."""
    with closing(read_index_files(backend, list_index_files(backend))) as read:
        return [file.key for file in read if _split_surely(backend, file) is None]


def listed_whole(backend: Backend, packs: Set[PackId]) -> Iterator[IndexedPack]:
    """Yield those of `packs` that an index file of a store lists with all that they hold."""
    left = set(packs)
    with closing(read_index_files(backend, list_index_files(backend))) as read:
        for file in read:
            for pack in _split_surely(backend, file) or ():
                if pack.complete and pack.id in left:
                    left.discard(pack.id)
                    yield IndexedPack(pack.id, pack.size, tuple(decode_entries(pack.entries, file.where)))


def listed_nodes(
    backend: Backend, files: Mapping[IndexId, BlobInfo], *, hint: str = DAMAGE_HINT
) -> Iterator[tuple[PackId, list[NodeId]]]:
    """Yield the packs that index files list, each with the nodes that it holds; a pack may come several times.

    Raises:
        IntegrityError: an index file is damaged; `hint` says what helps.
    """
    for file in read_index_files(backend, files):
        packs = _split_surely(backend, file)
        if packs is None:
            raise _damaged(file.where, hint)
        for pack in packs:
            yield pack.id, [NodeId(bytes(pack.entries[at : at + ID_LENGTH])) for at in _node_places(pack.entries)]


def _split_surely(backend: Backend, file: IndexFile) -> list[ListedPack] | None:
    """Return what a file lists, None if it is damaged and was not only so on its way."""
    packs = file.split()
    return read_once_more(backend, file).split() if packs is None else packs


def _damaged(where: str, hint: str) -> IntegrityError:
    return IntegrityError(where, "the index file is damaged", hint=hint)


def _read_packs(backend: Backend, key: str) -> list[IndexedPack] | None:
    for data in _read(backend, key):
        return None if data is None else _decode(data, f"{backend.location}/{key}")
    return []


def _node_places(entries: memoryview) -> Iterator[int]:
    """Yield where the entries of nodes begin, without a look at each of the many others."""
    kinds = bytes(entries[ENTRY_KIND_OFFSET::ENTRY_LENGTH])
    at = kinds.find(Kind.NODE)
    while at >= 0:
        yield at * ENTRY_LENGTH
        at = kinds.find(Kind.NODE, at + 1)


def _read_ahead(backend: Backend, executor: "Executor", files: Mapping[IndexId, BlobInfo]) -> Iterator[IndexFile]:
    under_way: deque[tuple[int, Future[list[IndexFile]]]] = deque()
    held = 0
    try:
        for index, info in files.items():
            while under_way and (held + info.size > _MOST_WAITING_BYTES or len(under_way) >= _MOST_WAITING):
                size, future = under_way.popleft()
                yield from future.result()
                # Only now is whoever took it done with it.
                held -= size
                del future
            under_way.append((info.size, executor.submit(_read_one, backend, index, info.key)))
            held += info.size
        while under_way:
            yield from under_way.popleft()[1].result()
    finally:
        abandon(future for _, future in under_way)


def _decode(data: bytes, where: str) -> list[IndexedPack] | None:
    try:
        return decode_index(data, where)
    except UnsupportedFormatError:
        raise
    except (IntegrityError, FormatError):
        return None


def index_groups(packs: Sequence[IndexedPack]) -> Iterator[list[IndexedPack]]:
    """Yield packs in groups, each as many as one index file should list."""
    group: list[IndexedPack] = []
    entries = 0
    for pack in packs:
        if group and entries + len(pack.entries) > _MOST_ENTRIES:
            yield group
            group, entries = [], 0
        group.append(pack)
        entries += len(pack.entries)
    if group:
        yield group


def _read_one(backend: Backend, index: IndexId, key: str) -> list[IndexFile]:
    return [IndexFile(index, key, f"{backend.location}/{key}", data) for data in _read(backend, key)]


def _read(backend: Backend, key: str) -> list[bytes | None]:
    """Return a file's bytes, or None in their place if it is damaged; nothing for one that vanished."""
    try:
        return [backend.read(key)]
    except UnsupportedFormatError:
        raise
    except (IntegrityError, FormatError):
        # An encrypted blob may not even open.
        return [None]
    except BackendError as exc:
        if exc.problem is BackendProblem.NOT_FOUND:
            return []
        raise


def _parse_key(key: str) -> IndexId | None:
    """Return the id of the index file with that key, or None for a file that is none."""
    raw = parse_id(key.removeprefix("index/").removesuffix(".idx"))
    return None if raw is None or key != index_key(IndexId(raw)) else IndexId(raw)
