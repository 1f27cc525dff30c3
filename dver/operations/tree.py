"""Looking into dataset versions without a checkout: listing what is in them, and reading single files."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby

from dver.database import batches
from dver.errors import ObjectNotFoundError, PathError
from dver.objects.entry import Entry, FileEntry, LinkEntry, check_chunk_length, counts_as_file, entry_size
from dver.objects.ids import Bytes, ChunkId, VersionId
from dver.objects.manifest import Manifest
from dver.objects.pointer import DatasetKind, Pointer
from dver.operations.datasets import decode_path, pointers_at, select, working_pointers
from dver.operations.kinds import NodeKind, entry_kind
from dver.operations.reading import missing_version, open_manifest, stores_to_read
from dver.repo import Repo
from dver.storage.store import Store

READ_BATCH_CHUNKS = 128


@dataclass(frozen=True, slots=True)
class ListedPath:
    """One line of a listing. `path` is relative to the repository; sizes are in bytes; `files` counts what is below."""

    path: str
    kind: NodeKind
    size: int
    files: int
    target: str | None = None


@dataclass(frozen=True, slots=True)
class _Place:
    rev: str | None
    dataset: str
    pointer: Pointer
    part: bytes


def pointers_of(repo: Repo, rev: str | None) -> dict[str, Pointer]:
    """Return the pointers of a revision, or of the working tree for None."""
    return working_pointers(repo) if rev is None else pointers_at(repo, repo.git.resolve(rev))


def ls(repo: Repo, rev: str | None, path: str, *, recursive: bool = False) -> Iterator[ListedPath]:
    """Yield what is at `path` (relative to the repository) in the pointers of `rev`, or the working tree's for None.

    A path above datasets lists those; a dataset or a folder in one lists what it holds, a file itself.
    """
    pointers = pointers_of(repo, rev)
    targets = select(pointers, [path], hint=_ls_hint(rev)) if pointers or path else []
    if len(targets) == 1 and targets[0].dataset in _at_or_above(path):
        target = targets[0]
        place = _Place(rev, target.dataset, pointers[target.dataset], target.part)
        yield from _list_within(repo, place, recursive=recursive)
        return
    for target in targets:
        pointer = pointers[target.dataset]
        yield ListedPath(target.dataset, NodeKind.DATASET, pointer.size, pointer.files)
        if recursive:
            yield from _list_within(repo, _Place(rev, target.dataset, pointer, b""), recursive=True)


def cat(repo: Repo, rev: str | None, path: str) -> Iterator[Bytes]:
    """Yield the bytes of one file of a dataset, from the cache or the default remote.

    Raises:
        PathError: there is no such file, or it is a directory or a link.
    """
    if not path:
        raise PathError(_place_text(rev, path), "names no file", hint=f"dver ls {_place_text(rev, path)}")
    pointers = pointers_of(repo, rev)
    targets = select(pointers, [path], hint=_ls_hint(rev))
    target = targets[0]
    pointer = pointers[target.dataset]
    if len(targets) > 1 or target.dataset not in _at_or_above(path):
        raise PathError(path, "is a directory", hint=f"dver ls {_place_text(rev, path)}")
    manifest = open_manifest(repo, pointer.version, target.dataset)
    entry = manifest.get(target.part)
    if isinstance(entry, LinkEntry):
        raise PathError(path, f"is a symbolic link to {decode_path(entry.target)}")
    if not isinstance(entry, FileEntry):
        found = entry is not None or next(manifest.entries(target.part), None) is not None
        reason = "is a directory" if found else f"is not in the dataset {target.dataset}"
        raise PathError(path, reason, hint=f"dver ls {_place_text(rev, path if found else target.dataset)}")
    return read_file(repo, manifest, entry, target.dataset)


def _ls_hint(rev: str | None) -> str:
    return "dver ls lists the datasets" if rev is None else f"dver ls {rev}: lists the datasets of that revision"


def _place_text(rev: str | None, path: str) -> str:
    """Return a path of a revision, or of the working tree, as one types it."""
    return path or "." if rev is None else f"{rev}:{path}"


def _at_or_above(path: str) -> set[str]:
    parts = path.removesuffix(".dver").split("/")
    return {"/".join(parts[:length]) for length in range(1, len(parts) + 1)}


def _list_within(repo: Repo, place: _Place, *, recursive: bool) -> Iterator[ListedPath]:
    manifest = open_manifest(repo, place.pointer.version, place.dataset)
    entries = manifest.entries(place.part)
    first = next(entries, None)
    if first is None:
        if place.part:
            raise PathError(
                _join(place.dataset, place.part),
                f"is not in the dataset {place.dataset}",
                hint=f"dver ls {_place_text(place.rev, place.dataset)}",
            )
        return
    entries = chain([first], entries)
    if recursive or (place.pointer.kind is DatasetKind.FILE and not place.part):
        yield from (_listed(_join(place.dataset, entry.path), entry) for entry in entries)
    else:
        yield from _one_level(place, entries)


def _one_level(place: _Place, entries: Iterable[Entry]) -> Iterator[ListedPath]:
    """Yield entries directly below the place, with what lies deeper summed up by folder."""
    above = len(place.part) + 1 if place.part else 0

    def first_name(entry: Entry) -> bytes:
        name, separator, _ = entry.path[above:].partition(b"/")
        return name + separator

    # Names are in order with the slash that follows them, so all that is in a folder comes together.
    for name, some in groupby(entries, first_name):
        if not name.endswith(b"/"):
            yield from (_listed(_join(place.dataset, entry.path), entry) for entry in some)
            continue
        size = files = 0
        for entry in some:
            size += entry_size(entry)
            files += counts_as_file(entry)
        path = place.part + b"/" + name if place.part else name
        yield ListedPath(_join(place.dataset, path[:-1]), NodeKind.DIRECTORY, size, files)


def _listed(path: str, entry: Entry) -> ListedPath:
    target = decode_path(entry.target) if isinstance(entry, LinkEntry) else None
    return ListedPath(path, entry_kind(entry), entry_size(entry), int(counts_as_file(entry)), target)


def _join(dataset: str, path: bytes) -> str:
    return f"{dataset}/{decode_path(path)}" if path else dataset


def read_file(repo: Repo, manifest: Manifest, entry: FileEntry, dataset: str) -> Iterator[Bytes]:
    """Yield the bytes of one file of a version, from the cache or the default remote.

    Raises:
        VersionNotFoundError: neither has all of it.
    """
    distinct = dict.fromkeys(chunk for chunk, _ in manifest.distinct_chunks(entry))
    store = _store_with(repo, list(distinct), manifest.version, dataset)
    for batch in batches(manifest.chunks(entry), READ_BATCH_CHUNKS):
        plain = {
            ChunkId(record.id): record.chunk(store.name, verify=True)
            for span in store.plan(list(dict.fromkeys(chunk for chunk, _ in batch)))
            for record in store.read_span(span)
        }
        for chunk, length in batch:
            check_chunk_length(plain[chunk], length, manifest.where)
            yield plain[chunk]


def _store_with(repo: Repo, chunks: Sequence[ChunkId], version: VersionId, dataset: str) -> Store:
    """Return the first store that has all chunks."""
    for store in stores_to_read(repo):
        try:
            store.plan(chunks)
        except ObjectNotFoundError:
            continue
        return store
    raise missing_version(repo, version, dataset)
