"""Writing working files from a store, each whole or not at all.

A file is written under a temporary name in dver's own folder, given its mode, then renamed into place, so a crash
leaves either the old file or the new one. Small files are written in batches whose chunks are read together; a
large file is written by several tasks at once. Files with the same content may share their blocks. Parents that are
symbolic links are refused, so nothing is written outside.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from dver.errors import BackendError, BackendProblem, PathError
from dver.fileio import temporary_name
from dver.objects.entry import FileEntry, unpack_chunks
from dver.objects.ids import Bytes, ChunkId
from dver.objects.manifest import Manifest
from dver.progress import Task
from dver.storage.store import Store
from dver.workers import Workers
from dver.workspace.reflink import Cloner
from dver.workspace.statcache import UNCHECKED, Row, make_row
from dver.workspace.walk import FileType

BATCH_BYTES = 8 * 1024 * 1024
BATCH_FILES = 256
LARGE_FILE = 16 * 1024 * 1024
PART_CHUNKS = 128
RUN_BYTES = 512 * 1024

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, slots=True)
class _Planned:
    """A file to write: its entry and its whole chunk list.

    Attributes:
        twins: other files with the same content, which share its blocks.
        cloner: what makes them share.
        kept: a file that has the content already; there is no chunk list then.
    """

    entry: FileEntry
    chunks: Sequence[tuple[ChunkId, int]]
    twins: tuple[FileEntry, ...] = ()
    cloner: Cloner | None = None
    kept: bytes | None = None

    @property
    def is_large(self) -> bool:
        """Whether several tasks are to write it at once."""
        return self.kept is None and self.entry.size >= LARGE_FILE


class Assembler:
    """Writes files of one dataset below `root`, the dataset's absolute path."""

    def __init__(
        self, root: bytes, store: Store, temporary: Path, workers: Workers, *, verify: bool, task: Task
    ) -> None:
        """`temporary` is an existing folder on the same file system; `verify` checks every chunk against its id."""
        self._root = root
        self._store = store
        self._temporary = os.fsencode(temporary)
        self._workers = workers
        self._verify = verify
        self._task = task
        self._parents = _Parents(root)

    def write(
        self, entries: Iterable[FileEntry], manifest: Manifest, *, cloner: Cloner | None = None
    ) -> Iterator[tuple[bytes, Row]]:
        """Write files, replacing what is there; yield the path and the stat cache row of each.

        Rows are not yet trusted (`checked` is 0): the caller completes them once a clock tick has passed. With a
        `cloner`, files of the same content share their blocks where that is possible.

        Raises:
            ObjectNotFoundError: a chunk is not in the store.
            IntegrityError: a chunk is damaged; the file in question is left as it was.
        """
        if cloner is None:
            yield from self._write_all(_plan(entry, manifest) for entry in entries)
            return
        groups = cloner.groups(entries)
        yield from self._write_all(_plan_group(entry, manifest, twins, cloner) for entry, twins in groups)
        yield from self._write_all(_plan(entry, manifest) for entry in cloner.refused)

    def write_link(self, path: bytes, target: bytes) -> tuple[bytes, Row]:
        """Make a symbolic link, replacing what is there."""
        final = self._final(path)
        temporary = self._temporary_path()
        with translated(final):
            try:
                os.symlink(target, temporary)
                self._move(temporary, final)
            except BaseException:
                _remove_quietly(temporary)
                raise
            return path, make_row(FileType.LINK, os.lstat(final), UNCHECKED)

    def make_directory(self, path: bytes) -> tuple[bytes, Row]:
        """Make an empty directory unless there is one."""
        final = self._final(path)
        with translated(final):
            _make_directory(final)
            return path, make_row(FileType.DIRECTORY, os.lstat(final), UNCHECKED)

    def _write_all(self, files: Iterable[_Planned]) -> Iterator[tuple[bytes, Row]]:
        for rows in self._workers.in_order(self._start(batch) for batch in _batches(files)):
            yield from rows

    def _start(self, batch: list[_Planned]) -> Future[list[tuple[bytes, Row]]]:
        for planned in batch:
            for entry in (planned.entry, *planned.twins):
                self._parents.ensure(entry.path)
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
                rows += self._write_small(planned, [plain[chunk] for chunk, _ in planned.chunks])
            else:
                rows += self._write_kept(planned, planned.kept)
        self._task.advance(files=len(rows), bytes=sum(row.size for _, row in rows))
        return rows

    def _read(self, ids: Iterable[ChunkId]) -> dict[ChunkId, Bytes]:
        plain: dict[ChunkId, Bytes] = {}
        for span in self._store.plan(list(ids)):
            for record in self._store.read_span(span):
                unpack = record.verified if self._verify else record.plain
                plain[ChunkId(record.id)] = unpack(self._store.name)
        return plain

    def _write_small(self, planned: _Planned, pieces: Sequence[Bytes]) -> list[tuple[bytes, Row]]:
        def fill(fd: int) -> None:
            for piece in pieces:
                _write_at_end(fd, piece)

        return self._write_file(planned, fill)

    def _write_large(self, planned: _Planned) -> list[tuple[bytes, Row]]:
        rows = self._write_file(planned, lambda fd: self._write_parts(fd, planned.chunks))
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
        final = self._final(entry.path)
        temporary = self._temporary_path()
        with translated(final):
            try:
                fd = self._create(temporary, entry)
                try:
                    possible = fill(fd)
                finally:
                    os.close(fd)
                if not possible:
                    _remove_quietly(temporary)
                    return []
                self._move(temporary, final)
            except BaseException:
                _remove_quietly(temporary)
                raise
            return [(entry.path, make_row(FileType.FILE, os.lstat(final), UNCHECKED))]

    def _write_parts(self, fd: int, chunks: Sequence[tuple[ChunkId, int]]) -> None:
        def parts() -> Iterator[Future[None]]:
            offset = 0
            for start in range(0, len(chunks), PART_CHUNKS):
                part = chunks[start : start + PART_CHUNKS]
                yield self._workers.executor.submit(self._write_part, fd, offset, part)
                offset += sum(length for _, length in part)

        for _ in self._workers.in_order(parts()):
            pass

    def _write_part(self, fd: int, offset: int, part: Sequence[tuple[ChunkId, int]]) -> None:
        places: dict[ChunkId, list[int]] = {}
        start = offset
        for chunk, length in part:
            places.setdefault(chunk, []).append(offset)
            offset += length
        run = _Run(fd)
        for span in self._store.plan(list(places)):
            for record in self._store.read_span(span):
                plain = record.verified(self._store.name) if self._verify else record.plain(self._store.name)
                for place in places[ChunkId(record.id)]:
                    run.add(plain, place)
        run.write()
        self._task.advance(bytes=offset - start)

    def _create(self, temporary: bytes, entry: FileEntry) -> int:
        # The umask takes away what the user wants taken away, as git does it.
        mode = 0o777 if entry.executable else 0o666
        return os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)

    def _move(self, temporary: bytes, final: bytes) -> None:
        try:
            os.rename(temporary, final)
        except IsADirectoryError:
            # Only an empty one gives way.
            os.rmdir(final)
            os.rename(temporary, final)

    def _temporary_path(self) -> bytes:
        return self._temporary + b"/" + os.fsencode(temporary_name())

    def _final(self, path: bytes) -> bytes:
        self._parents.ensure(path)
        return self._root + b"/" + path if path else self._root


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


class _Parents:
    """Makes the directories above files, refusing to go through symbolic links; each is looked at once."""

    def __init__(self, root: bytes) -> None:
        self._root = root
        self._known: set[bytes] = set()

    def ensure(self, path: bytes) -> None:
        directory = path.rpartition(b"/")[0]
        if not path:
            above = os.path.dirname(self._root)
            with translated(above):
                os.makedirs(above, exist_ok=True)
        elif directory not in self._known:
            self._make(directory)

    def _make(self, directory: bytes) -> None:
        if directory and directory not in self._known:
            self._make(directory.rpartition(b"/")[0])
        absolute = self._root + b"/" + directory if directory else self._root
        with translated(absolute):
            if not directory:
                os.makedirs(absolute, exist_ok=True)
            else:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(absolute)
            if not stat.S_ISDIR(os.lstat(absolute).st_mode):
                raise PathError(
                    os.fsdecode(absolute),
                    "is in the way: a directory is needed there",
                    hint="move it away, then run the command again",
                )
        self._known.add(directory)


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
        raise PathError(shown, f"cannot be written: {exc.strerror or exc}") from exc


def _plan(entry: FileEntry, manifest: Manifest) -> _Planned:
    return _Planned(entry, tuple(unpack_chunks(manifest.chunk_list(entry), manifest.where)))


def _plan_group(entry: FileEntry, manifest: Manifest, twins: tuple[FileEntry, ...], cloner: Cloner) -> _Planned:
    kept = cloner.kept(entry)
    if kept is not None:
        return _Planned(entry, (), twins, cloner, kept)
    return replace(_plan(entry, manifest), twins=twins, cloner=cloner)


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


def _make_directory(path: bytes) -> None:
    try:
        os.mkdir(path)
    except FileExistsError:
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            os.unlink(path)
            os.mkdir(path)


def _remove_quietly(path: bytes) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)
