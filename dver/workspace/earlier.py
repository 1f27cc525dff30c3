"""What a working file that is to be replaced has of its new content, so that this need not be unpacked once more.

Where a chunk lies in the file is guessed from the version that the file was last equal to. Each chunk is checked
against its id before it is used, so a file that has changed since does no harm: what is not there comes from the store.
"""

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice

from dver.errors import DverError
from dver.objects.entry import FileEntry
from dver.objects.ids import Bytes, ChunkId, chunk_id
from dver.objects.manifest import Manifest
from dver.workspace.folders import Folders

MAX_CHUNKS = 262_144
_READ_BYTES = 512 * 1024

# A path that has become something else meanwhile is not followed, nor waited for.
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class EarlierFile:
    """An open file, and where in it chunks may lie: at most its first `MAX_CHUNKS`. Threads may share it."""

    def __init__(self, fd: int, chunks: Iterable[tuple[ChunkId, int]]) -> None:
        """`chunks` are those that the file once had, with their lengths in bytes."""
        self._fd = fd
        self._places: dict[ChunkId, int] = {}
        offset = 0
        for chunk, length in islice(chunks, MAX_CHUNKS):
            self._places.setdefault(chunk, offset)
            offset += length

    def read(self, chunks: Iterable[tuple[ChunkId, int]]) -> Iterator[tuple[ChunkId, Bytes]]:
        """Yield those of `chunks` that are in the file indeed; lengths are in bytes."""
        for start, run in self._runs(chunks):
            size = sum(length for _, length in run)
            data = b""
            # What a broken disk does not give is in the store.
            with suppress(OSError):
                data = os.pread(self._fd, size, start)
            view, at = memoryview(data), 0
            for chunk, length in run:
                piece = view[at : at + length]
                at += length
                if len(piece) == length and chunk_id(piece) == chunk:
                    yield chunk, piece

    def _runs(self, chunks: Iterable[tuple[ChunkId, int]]) -> Iterator[tuple[int, Sequence[tuple[ChunkId, int]]]]:
        """Yield chunks that follow each other in the file too, with where the first begins, to be read at once."""
        run: list[tuple[ChunkId, int]] = []
        start = end = 0
        for chunk, length in chunks:
            place = self._places.get(chunk)
            if place is None:
                continue
            if run and (place != end or end + length - start > _READ_BYTES):
                yield start, run
                run = []
            if not run:
                start = end = place
            run.append((chunk, length))
            end += length
        if run:
            yield start, run


@contextmanager
def earlier_file(folders: Folders, path: bytes, manifest: Manifest | None) -> Iterator[EarlierFile | None]:
    """Open what lies at `path`, which was last equal to what `manifest` says; None where that is of no use."""
    entry = None
    # It only saves time: nothing about it may fail a checkout.
    with suppress(DverError):
        entry = manifest.get(path) if manifest is not None else None
    fd = _open(folders, path, entry.size) if isinstance(entry, FileEntry) else None
    if fd is None or manifest is None or not isinstance(entry, FileEntry):
        yield None
        return
    try:
        found = None
        with suppress(DverError):
            found = EarlierFile(fd, manifest.chunks(entry))
        yield found
    finally:
        os.close(fd)


def _open(folders: Folders, path: bytes, size: int) -> int | None:
    """Open a file for reading; None unless it has that size: otherwise what follows a change lies elsewhere."""
    try:
        place = folders.there(path)
        if place is None:
            return None
        folder, name = place
        fd = os.open(name, _FLAGS, dir_fd=folder.fd)
    except OSError:
        return None
    found = os.fstat(fd)
    if stat.S_ISREG(found.st_mode) and found.st_size == size:
        return fd
    os.close(fd)
    return None
