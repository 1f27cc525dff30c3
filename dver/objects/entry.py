"""Entries of a manifest: what one path of a dataset is.

Paths are bytes as the file system gave them, relative to the dataset, `/`-separated, in byte order within a manifest.
A dataset that is one file has a single entry with the empty path. A file's content is its chunk list: 36 bytes for
each chunk, its id and its length; a long list is a tree of nodes of its own, and the entry holds the tree's root.

Nothing read is trusted: `decode_entries` refuses a path that could lead out of the dataset or into git's own files.
"""

import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, TypeAlias

from dver.errors import FormatError
from dver.objects.chunker import MAX_CHUNK
from dver.objects.ids import ID_LENGTH, Bytes, ChunkId, NodeId
from dver.objects.names import belongs_to_git, may_belong_to_git
from dver.objects.paths import MAX_DEPTH

MAX_PATH = 4096
MAX_TARGET = 4096
MAX_SIZE = (1 << 62) - 1
INLINE_CHUNKS = 64

_CHUNK = struct.Struct("<32sI")
_CHUNK_LENGTH = struct.Struct("<32xI")
CHUNK_REF_LENGTH = _CHUNK.size

# A part that is empty, `.` or `..`.
_BAD_PATH = re.compile(rb"(?:\A|/)\.{0,2}(?:/|\Z)|\0")


class EntryKind(IntEnum):
    """The kinds of entries, as encoded."""

    FILE = 0
    EXECUTABLE = 1
    LINK = 2
    DIRECTORY = 3


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A regular file of `size` bytes.

    Attributes:
        chunks: the packed chunk list, or empty where `chunk_tree` stands for it.
        chunk_tree: the root of the chunk list's own tree, for files of more than `INLINE_CHUNKS` chunks.
    """

    path: bytes
    size: int
    executable: bool
    chunks: bytes
    chunk_tree: NodeId | None = None

    def same_content(self, other: "Entry") -> bool:
        """Whether both are files with equal bytes, whatever their paths and modes."""
        return (
            isinstance(other, FileEntry)
            and self.size == other.size
            and self.chunks == other.chunks
            and self.chunk_tree == other.chunk_tree
        )


@dataclass(frozen=True, slots=True)
class LinkEntry:
    """A symbolic link."""

    path: bytes
    target: bytes


@dataclass(frozen=True, slots=True)
class DirectoryEntry:
    """A directory with nothing in it; others follow from the paths of what they hold."""

    path: bytes


Entry: TypeAlias = FileEntry | LinkEntry | DirectoryEntry

# Plain numbers: comparing with members of an enumeration would take most of the time of decoding.
_FILE, _EXECUTABLE, _LINK, _DIRECTORY = map(int, EntryKind)
_FILE_KINDS = (_FILE, _EXECUTABLE)
_FILE_FIELDS = 4


def entry_size(entry: Entry) -> int:
    """Return the size of an entry's content in bytes."""
    return entry.size if isinstance(entry, FileEntry) else 0


def counts_as_file(entry: Entry) -> bool:
    """Whether an entry counts in a dataset's number of files: regular files and symbolic links do."""
    return not isinstance(entry, DirectoryEntry)


def pack_chunk(chunk: ChunkId, length: int) -> bytes:
    """Return the 36 bytes that stand for a chunk of `length` bytes in a chunk list."""
    return _CHUNK.pack(chunk, length)


def unpack_chunks(packed: bytes, where: str) -> Iterator[tuple[ChunkId, int]]:
    """Yield the id and length in bytes of each chunk of a packed list."""
    chunks_size(packed, where)
    for raw, length in _CHUNK.iter_unpack(packed):
        yield ChunkId(raw), length


def chunks_size(packed: bytes, where: str) -> int:
    """Return how many bytes the chunks of a packed list have together; FormatError when one cannot be."""
    if len(packed) == CHUNK_REF_LENGTH:
        size = shortest = longest = int.from_bytes(packed[ID_LENGTH:], "little")
    elif not packed:
        return 0
    elif len(packed) % CHUNK_REF_LENGTH:
        raise FormatError(where, "a chunk list is cut short")
    else:
        lengths = [length for (length,) in _CHUNK_LENGTH.iter_unpack(packed)]
        size, shortest, longest = sum(lengths), min(lengths), max(lengths)
    if not shortest or longest > MAX_CHUNK:
        raise FormatError(where, f"a chunk has an impossible length of {longest if shortest else 0} bytes")
    return size


def check_chunk_length(plain: Bytes, length: int, where: str) -> None:
    """Raise FormatError unless a chunk is as long as the list that names it says."""
    if len(plain) != length:
        raise FormatError(where, f"a chunk is said to have {length} bytes, and has {len(plain)}")


def check_path(path: bytes, where: str, *, hint: str | None = None) -> None:
    """Raise FormatError for a path that must not be written to a working tree; the empty path is one."""
    if _BAD_PATH.search(path) or len(path) > MAX_PATH or path.count(b"/") >= MAX_DEPTH:
        reason = "not a plain path inside the dataset"
    elif belongs_to_git(path):
        reason = "it leads to git's own files, here or on another file system"
    else:
        return
    shown = path[:200].decode("utf-8", "backslashreplace")
    raise FormatError(where, f"refused the path {shown!r}: {reason}", hint=hint)


def check_paths(paths: Sequence[bytes], where: str) -> None:
    """Do what `check_path` does for each of `paths`, at a fraction of the cost where all are good."""
    if not paths:
        return
    # Every part now has a slash on both sides, and every NUL is one that was put here.
    joined = b"/" + b"/\0/".join(paths) + b"/"
    if (
        b"//" in joined
        or b"/./" in joined
        or b"/../" in joined
        or joined.count(b"\0") != len(paths) - 1
        or max(map(len, paths)) >= 2 * MAX_DEPTH
        or may_belong_to_git(joined)
    ):
        for path in paths:
            check_path(path, where)


def check_entry(entry: Entry, where: str) -> None:
    """Raise FormatError for an entry that `decode_entries` would refuse. Only its path may be empty."""
    if entry.path:
        check_path(entry.path, where, hint="rename it, or let .dverignore name it")
    if isinstance(entry, LinkEntry):
        _check_target(entry.target, where)
    elif isinstance(entry, FileEntry):
        if not 0 <= entry.size <= MAX_SIZE:
            raise FormatError(where, "a file has an impossible size")
        if entry.chunk_tree is None:
            _check_chunks(entry.chunks, entry.size, where)


def encode_entry(entry: Entry) -> list[object]:
    """Return the entry as values for msgpack."""
    if isinstance(entry, LinkEntry):
        return [entry.path, _LINK, entry.target]
    if isinstance(entry, DirectoryEntry):
        return [entry.path, _DIRECTORY]
    kind = _EXECUTABLE if entry.executable else _FILE
    content: object = entry.chunks if entry.chunk_tree is None else [entry.chunk_tree]
    return [entry.path, kind, entry.size, content]


def decode_entries(items: Sequence[object], where: str) -> list[Entry]:
    """Return the entries that `encode_entry` gave, in the order given; FormatError for anything else.

    The empty path is only good where it is alone.
    """
    entries = [_decode_fields(fields, where) for fields in items]
    paths = [entry.path for entry in entries]
    if paths != [b""]:
        check_paths(paths, where)
    return entries


def _decode_fields(fields: object, where: str) -> Entry:
    # Plain tests, as this runs for each file of a dataset and a `match` takes five times as long. Exact types, as True
    # is an int as well and would stand for 1.
    if isinstance(fields, tuple | list) and len(fields) > 1 and type(fields[0]) is bytes and type(fields[1]) is int:
        if len(fields) == _FILE_FIELDS:
            return _decode_file(fields, where)
        path, kind, *content = fields
        if kind == _LINK and len(content) == 1 and type(content[0]) is bytes:
            _check_target(content[0], where)
            return LinkEntry(path, content[0])
        if kind == _DIRECTORY and not content:
            return DirectoryEntry(path)
    raise FormatError(where, "a manifest entry is malformed")


def _decode_file(fields: Sequence[Any], where: str) -> FileEntry:
    path, kind, size, content = fields
    if kind not in _FILE_KINDS or type(size) is not int or not 0 <= size <= MAX_SIZE:
        raise FormatError(where, "a manifest entry is malformed")
    if type(content) is bytes:
        # Most files are a single chunk of a possible length, which is the file's.
        if (
            len(content) != CHUNK_REF_LENGTH
            or not 0 < size <= MAX_CHUNK
            or content[ID_LENGTH:] != size.to_bytes(4, "little")
        ):
            _check_chunks(content, size, where)
        return FileEntry(path, size, kind == _EXECUTABLE, content)
    match content:
        case [bytes(root)] if len(root) == ID_LENGTH:
            return FileEntry(path, size, kind == _EXECUTABLE, b"", NodeId(root))
    raise FormatError(where, "a file's chunk list is malformed")


def _check_chunks(packed: bytes, size: int, where: str) -> None:
    if len(packed) > INLINE_CHUNKS * CHUNK_REF_LENGTH:
        raise FormatError(where, "a file's chunk list is malformed")
    if chunks_size(packed, where) != size:
        raise FormatError(where, "a file's chunks do not add up to its size")


def _check_target(target: bytes, where: str) -> None:
    if not target or b"\0" in target or len(target) > MAX_TARGET:
        raise FormatError(where, "a symbolic link has an impossible target")
