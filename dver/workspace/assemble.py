"""Writing working files from a store, each whole or not at all.

A file is written under a temporary name in dver's own folder, given its mode, then renamed into place, so a crash
leaves either the old file or the new one. Small files are written in batches whose chunks are read together; a
large file is written by several tasks at once, and takes what it can from the file that it replaces. Files with the
same content may share their blocks. Folders are reached through descriptors, never through symbolic links, so nothing
is written outside, whatever happens meanwhile.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path

from dver.errors import BackendError, BackendProblem, PathError, os_hint
from dver.fileio import temporary_name
from dver.objects.entry import INLINE_CHUNKS, FileEntry, check_chunk_length
from dver.objects.ids import Bytes, ChunkId
from dver.objects.manifest import Manifest
from dver.progress import Task
from dver.storage.store import Store
from dver.workers import Workers
from dver.workspace.earlier import EarlierFile, earlier_file
from dver.workspace.exchange import exchange
from dver.workspace.folders import Folder, Folders, open_folder
from dver.workspace.reflink import Cloner
from dver.workspace.statcache import UNCHECKED, Row, make_row
from dver.workspace.walk import FileType

BATCH_BYTES = 8 * 1024 * 1024
BATCH_FILES = 256
LARGE_FILE = 16 * 1024 * 1024
PART_CHUNKS = 128
RUN_BYTES = 512 * 1024

# No chunker that dver has makes shorter ones, but for the last of a file.
_SHORTEST_CHUNK = 256

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, slots=True)
class _Planned:
    """A file to write.

    Attributes:
        chunks: its whole chunk list, or nothing if the file is large: a list that repeats itself may be endless.
        manifest: has the list in any case.
        is_large: whether several tasks are to write it at once.
        twins: other files with the same content, which share its blocks.
        cloner: what makes them share.
        kept: a file that has the content already; there is no chunk list then.
        earlier: says what the file that is replaced was last equal to, if that is known.
    """

    entry: FileEntry
    chunks: Sequence[tuple[ChunkId, int]]
    manifest: Manifest
    is_large: bool = False
    twins: tuple[FileEntry, ...] = ()
    cloner: Cloner | None = None
    kept: bytes | None = None
    earlier: Manifest | None = None


class Assembler:
    """Writes the files of one dataset, which is `folders`."""

    def __init__(
        self, folders: Folders, store: Store, temporary: Path, workers: Workers, *, verify: bool, task: Task
    ) -> None:
        """`temporary` is an existing folder on the same file system; `verify` checks every chunk against its id."""
        self._folders = folders
        self._store = store
        self._scratch = open_folder(os.fsencode(temporary))
        self._workers = workers
        self._verify = verify
        self._task = task

    def write(
        self,
        entries: Iterable[FileEntry],
        manifest: Manifest,
        *,
        cloner: Cloner | None = None,
        earlier: Manifest | None = None,
    ) -> Iterator[tuple[bytes, Row]]:
        """Write files, replacing what is there; yield the path and the stat cache row of each.

        Rows are not yet trusted (`checked` is 0): the caller completes them once a clock tick has passed. With a
        `cloner`, files of the same content share their blocks where that is possible. With `earlier`, the manifest of
        what the files were last equal to, large ones take chunks, verified, from what is there.

        Raises:
            ObjectNotFoundError: a chunk is not in the store.
            IntegrityError: a chunk is damaged; the file in question is left as it was.
        """
        if cloner is None:
            yield from self._write_all(_plan(entry, manifest, earlier) for entry in entries)
            return
        groups = cloner.groups(entries)
        yield from self._write_all(_plan_group(entry, manifest, earlier, twins, cloner) for entry, twins in groups)
        yield from self._write_all(_plan(entry, manifest, earlier) for entry in cloner.refused)

    def write_link(self, path: bytes, target: bytes) -> tuple[bytes, Row]:
        """Make a symbolic link, replacing what is there."""
        with translated(self._folders.absolute(path)):
            folder, name = self._folders.above(path)
            temporary = temporary_name()
            try:
                os.symlink(target, temporary, dir_fd=self._scratch.fd)
                found = self._move(temporary, folder, name)
            except BaseException:
                self._remove_quietly(temporary)
                raise
            return path, make_row(FileType.LINK, found, UNCHECKED)

    def make_directory(self, path: bytes) -> tuple[bytes, Row]:
        """Make an empty directory unless there is one."""
        with translated(self._folders.absolute(path)):
            folder, name = self._folders.above(path)
            return path, make_row(FileType.DIRECTORY, _make_directory(folder, name), UNCHECKED)

    def make_root(self) -> None:
        """Make the dataset's own directory unless there is one."""
        with translated(self._folders.absolute(b"")):
            self._folders.make()

    def _write_all(self, files: Iterable[_Planned]) -> Iterator[tuple[bytes, Row]]:
        for rows in self._workers.in_order(self._start(batch) for batch in _batches(files)):
            yield from rows

    def _start(self, batch: list[_Planned]) -> Future[list[tuple[bytes, Row]]]:
        if len(batch) == 1 and batch[0].is_large:
            done: Future[list[tuple[bytes, Row]]] = Future()
            done.set_result(self._write_large(batch[0]))
            return done
        return self._workers.executor.submit(self._write_batch, batch)

    def _write_batch(self, batch: Sequence[_Planned]) -> list[tuple[bytes, Row]]:
        plain = self._read({chunk for planned in batch for chunk, _ in planned.chunks})
        rows = []
        for planned in batch:
            if planned.kept is None:
                rows += self._write_small(planned, plain)
            else:
                rows += self._write_kept(planned, planned.kept)
        self._task.advance(files=len(rows), bytes=sum(row.size for _, row in rows))
        return rows

    def _read(self, ids: Iterable[ChunkId]) -> dict[ChunkId, Bytes]:
        plain: dict[ChunkId, Bytes] = {}
        for span in self._store.plan(list(ids)):
            for record in self._store.read_span(span):
                plain[ChunkId(record.id)] = record.chunk(self._store.name, verify=self._verify)
        return plain

    def _write_small(self, planned: _Planned, plain: Mapping[ChunkId, Bytes]) -> list[tuple[bytes, Row]]:
        def fill(fd: int) -> None:
            for chunk, length in planned.chunks:
                check_chunk_length(plain[chunk], length, planned.manifest.where)
                _write_at_end(fd, plain[chunk])

        return self._write_file(planned, fill)

    def _write_large(self, planned: _Planned) -> list[tuple[bytes, Row]]:
        chunks = planned.manifest.chunks(planned.entry)
        with earlier_file(self._folders, planned.entry.path, planned.earlier) as earlier:
            rows = self._write_file(planned, lambda fd: self._write_parts(fd, chunks, earlier))
        self._task.advance(files=len(rows), bytes=sum(row.size for _, row in rows[1:]))
        return rows

    def _write_file(self, planned: _Planned, fill: Callable[[int], None]) -> list[tuple[bytes, Row]]:
        """Write a file by what `fill` puts into it, then the files that share its blocks."""
        twins: list[tuple[bytes, Row]] = []

        def fill_all(fd: int) -> bool:
            fill(fd)
            # Before it has its name: afterwards anybody may change it.
            twins.extend(self._share(planned.twins, planned.cloner, fd))
            return True

        return self._put(planned.entry, fill_all) + twins

    def _write_kept(self, planned: _Planned, kept: bytes) -> list[tuple[bytes, Row]]:
        fd = os.open(kept, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return self._share((planned.entry, *planned.twins), planned.cloner, fd)
        finally:
            os.close(fd)

    def _share(self, entries: Sequence[FileEntry], cloner: Cloner | None, source: int) -> list[tuple[bytes, Row]]:
        """Make files that share the blocks of one that is open; those of which that cannot be done are passed over."""
        if cloner is None:
            return []
        return [row for entry in entries for row in self._put(entry, partial(cloner.share, entry, source))]

    def _put(self, entry: FileEntry, fill: Callable[[int], bool]) -> list[tuple[bytes, Row]]:
        """Make a file under a temporary name, have it filled, and move it into place if that was possible."""
        with translated(self._folders.absolute(entry.path)):
            folder, name = self._folders.above(entry.path)
            temporary = temporary_name()
            try:
                fd = self._create(temporary, entry)
                try:
                    possible = fill(fd)
                finally:
                    os.close(fd)
                if not possible:
                    self._remove_quietly(temporary)
                    return []
                found = self._move(temporary, folder, name, is_large=entry.size >= LARGE_FILE)
            except BaseException:
                self._remove_quietly(temporary)
                raise
            return [(entry.path, make_row(FileType.FILE, found, UNCHECKED))]

    def _write_parts(self, fd: int, chunks: Iterator[tuple[ChunkId, int]], earlier: EarlierFile | None) -> None:
        def parts() -> Iterator[Future[None]]:
            offset = 0
            while part := list(islice(chunks, PART_CHUNKS)):
                yield self._workers.executor.submit(self._write_part, fd, offset, part, earlier)
                offset += sum(length for _, length in part)

        for _ in self._workers.in_order(parts()):
            pass

    def _write_part(
        self, fd: int, offset: int, part: Sequence[tuple[ChunkId, int]], earlier: EarlierFile | None
    ) -> None:
        places: dict[ChunkId, list[tuple[int, int]]] = {}
        start = offset
        for chunk, length in part:
            places.setdefault(chunk, []).append((offset, length))
            offset += length
        run = _Run(fd)
        if earlier is not None:
            for chunk, found in earlier.read([(chunk, at[0][1]) for chunk, at in places.items()]):
                for place, length in places.pop(chunk):
                    check_chunk_length(found, length, self._store.name)
                    run.add(found, place)
        for span in self._store.plan(list(places)):
            for record in self._store.read_span(span):
                plain = record.chunk(self._store.name, verify=self._verify)
                for place, length in places[ChunkId(record.id)]:
                    check_chunk_length(plain, length, self._store.name)
                    run.add(plain, place)
        run.write()
        self._task.advance(bytes=offset - start)

    def _create(self, temporary: str, entry: FileEntry) -> int:
        # The umask takes away what the user wants taken away, as git does it.
        mode = 0o777 if entry.executable else 0o666
        return os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode, dir_fd=self._scratch.fd)

    def _move(self, temporary: str, folder: Folder, name: bytes, *, is_large: bool = False) -> os.stat_result:
        """Move what was made into its place, and return its stat there."""
        if not (is_large and self._swap(temporary, folder, name)):
            source = self._scratch.fd
            try:
                os.rename(temporary, name, src_dir_fd=source, dst_dir_fd=folder.fd)
            except IsADirectoryError:
                # Only an empty one gives way.
                os.rmdir(name, dir_fd=folder.fd)
                os.rename(temporary, name, src_dir_fd=source, dst_dir_fd=folder.fd)
        return os.stat(name, dir_fd=folder.fd, follow_symlinks=False)

    def _swap(self, temporary: str, folder: Folder, name: bytes) -> bool:
        """Put a file into the place of another one and delete that; False, with all as it was, if that cannot be."""
        source = self._scratch.fd
        if not exchange(temporary, source, name, folder.fd):
            return False
        try:
            os.unlink(temporary, dir_fd=source)
        except OSError:
            # A folder, which is not dver's to delete.
            exchange(temporary, source, name, folder.fd)
            return False
        return True

    def _remove_quietly(self, temporary: str) -> None:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=self._scratch.fd)


class _Run:
    """Pieces of a file that follow each other, written by one call: writers to one file wait for each other."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._pieces: list[Bytes] = []
        self._start = self._end = 0

    def add(self, piece: Bytes, place: int) -> None:
        """Take a piece, and write those before it once it does not follow them or they are many."""
        if place != self._end or self._end - self._start >= RUN_BYTES:
            self.write()
            self._start = self._end = place
        self._pieces.append(piece)
        self._end += len(piece)

    def write(self) -> None:
        """Write what is left."""
        if self._pieces:
            written = os.pwritev(self._fd, self._pieces, self._start)
            if written < self._end - self._start:
                _write_at(self._fd, b"".join(self._pieces)[written:], self._start + written)
            self._pieces = []


@contextlib.contextmanager
def translated(path: bytes) -> Iterator[None]:
    """Turn what the file system says while `path` is written into an error of dver's."""
    try:
        yield
    except OSError as exc:
        shown = os.fsdecode(path)
        if exc.errno in _NO_SPACE:
            raise BackendError(
                shown, BackendProblem.NO_SPACE, "no space left on the disk", hint="free some space, then run it again"
            ) from exc
        raise PathError(shown, f"cannot be written: {exc.strerror or exc}", hint=os_hint(exc)) from exc


def _plan(entry: FileEntry, manifest: Manifest, earlier: Manifest | None) -> _Planned:
    if entry.size >= LARGE_FILE:
        return _Planned(entry, (), manifest, is_large=True, earlier=earlier)
    most = entry.size // _SHORTEST_CHUNK + INLINE_CHUNKS
    chunks = tuple(islice(manifest.chunks(entry), most + 1))
    return _Planned(entry, chunks, manifest) if len(chunks) <= most else _Planned(entry, (), manifest, is_large=True)


def _plan_group(
    entry: FileEntry, manifest: Manifest, earlier: Manifest | None, twins: tuple[FileEntry, ...], cloner: Cloner
) -> _Planned:
    kept = cloner.kept(entry)
    if kept is not None:
        return _Planned(entry, (), manifest, twins=twins, cloner=cloner, kept=kept)
    return replace(_plan(entry, manifest, earlier), twins=twins, cloner=cloner)


def _batches(files: Iterable[_Planned]) -> Iterator[list[_Planned]]:
    """Yield runs of files that make one task each; a large file is a run of its own."""
    batch: list[_Planned] = []
    size = 0
    for planned in files:
        if planned.is_large:
            if batch:
                yield batch
            yield [planned]
            batch, size = [], 0
            continue
        batch.append(planned)
        size += planned.entry.size
        if size >= BATCH_BYTES or len(batch) >= BATCH_FILES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _write_at_end(fd: int, data: Bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _write_at(fd: int, data: Bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, offset)
        view = view[written:]
        offset += written


def _make_directory(folder: Folder, name: bytes) -> os.stat_result:
    try:
        os.mkdir(name, dir_fd=folder.fd)
    except FileExistsError:
        found = os.stat(name, dir_fd=folder.fd, follow_symlinks=False)
        if stat.S_ISDIR(found.st_mode):
            return found
        os.unlink(name, dir_fd=folder.fd)
        os.mkdir(name, dir_fd=folder.fd)
    return os.stat(name, dir_fd=folder.fd, follow_symlinks=False)
