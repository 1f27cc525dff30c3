"""Whether a working file is what an entry says, found by reading as little as possible.

A file of another size, type or mode differs without being read. Otherwise its bytes are compared chunk by chunk
with the recorded ids, up to the first that differs; nothing is cut anew.
"""

import os
import time
from collections.abc import Collection

from dver.errors import ObjectNotFoundError
from dver.objects.entry import DirectoryEntry, Entry, FileEntry, LinkEntry, unpack_chunks
from dver.objects.ids import chunk_id
from dver.objects.manifest import Manifest
from dver.workspace.reading import read_at, read_link, read_stably
from dver.workspace.statcache import UNCHECKED, WITHOUT_READING, Row, make_row
from dver.workspace.walk import FileType, WalkItem, is_executable

_READ_AHEAD = 4 * 1024 * 1024
# One of each kind for all: a dataset may have millions.
_UNCHECKED_ROWS = {kind: Row(kind, 0, 0, 0, 0, UNCHECKED, 0) for kind in FileType}


def compare_if_there(
    directory: bytes, item: WalkItem, entry: Entry | None, manifest: Manifest, *, heed_modes: bool
) -> tuple[bool, Row | None]:
    """Do what `compare_item` does for a file of `directory`; without an entry, or its chunk list, nothing is equal."""
    if entry is None:
        return False, None
    try:
        path = directory + b"/" + item.path if item.path else directory
        return compare_item(path, item, entry, manifest, heed_modes=heed_modes)
    except ObjectNotFoundError:
        return False, None


def compare_item(
    path: bytes, item: WalkItem, entry: Entry, manifest: Manifest, *, heed_modes: bool
) -> tuple[bool, Row]:
    """Return whether the file at the absolute `path` equals `entry`, and the row that remembers it.

    Without `heed_modes` its executable bit says nothing, as on a file system that has none.

    Raises:
        UnstableFileError: the file changes while it is read.
        PathError: it cannot be read.
    """
    if isinstance(entry, FileEntry) and item.type is FileType.FILE:
        if item.stat.st_size != entry.size:
            return False, make_row(item.type, item.stat, WITHOUT_READING, differs=True)
        if heed_modes and is_executable(item.stat) != entry.executable:
            return False, make_row(item.type, item.stat, UNCHECKED, differs=True)
        return _compare_bytes(path, item, manifest.chunk_list(entry), manifest.where)
    began = time.time_ns()
    if isinstance(entry, LinkEntry) and item.type is FileType.LINK:
        same = read_link(path) == entry.target
    else:
        same = isinstance(entry, DirectoryEntry) and item.type is FileType.DIRECTORY
    return same, make_row(item.type, item.stat, began, differs=not same)


def stands_for_absent(manifest: Manifest, item: WalkItem, gone: Collection[bytes]) -> bool:
    """Whether an empty folder is one of the manifest in which there are other files than those that are `gone`.

    So it is where these were never brought, and then the folder being there is no change.
    """
    if item.type is not FileType.DIRECTORY:
        return False
    below = (entry.path for entry in manifest.entries(item.path) if entry.path != item.path)
    return any(path not in gone for path in below)


def unchecked_row(entry: Entry) -> Row:
    """Return the row of an entry that no file was compared with yet."""
    if isinstance(entry, FileEntry):
        return _UNCHECKED_ROWS[FileType.FILE]
    return _UNCHECKED_ROWS[FileType.LINK if isinstance(entry, LinkEntry) else FileType.DIRECTORY]


def _compare_bytes(path: bytes, item: WalkItem, packed: bytes, where: str) -> tuple[bool, Row]:
    def read(fd: int, found: os.stat_result) -> bool:
        return found.st_size == item.stat.st_size and _bytes_match(fd, packed, where)

    same, found, began = read_stably(path, os.fsdecode(path), read)
    return same, make_row(item.type, found, began, differs=not same)


def _bytes_match(fd: int, packed: bytes, where: str) -> bool:
    offset = 0
    window, start = b"", 0
    for identity, length in unpack_chunks(packed, where):
        if offset + length > start + len(window):
            size = os.fstat(fd).st_size
            window, start = read_at(fd, offset, min(max(_READ_AHEAD, length), size - offset)), offset
            if length > len(window):
                raise EOFError
        piece = memoryview(window)[offset - start : offset - start + length]
        if chunk_id(piece) != identity:
            return False
        offset += length
    return True
