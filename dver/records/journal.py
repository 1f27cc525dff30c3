"""The lineage file: records as lines, in the order in which they were appended or merged.

The file is text in git, so anything may have happened to it: a torn end after a crash, lines that were merged twice,
conflict marks, another kind of line end. Each line stands for itself: one that is no record is reported by its number
and spoils no other. A cloned repository may have anything in the file's place, so only a regular file is opened.

Invariant: what is in the file is never changed, and a record is in it whole and durable once `append` returns.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from dver.errors import DverError, FormatError, PathError, os_hint, unwritable_path
from dver.fileio import IrregularFileError, open_regular, sync_directory, write_all
from dver.records.record import LINE_ENDS, MAX_LINE, Record, RecordId, decode_record, encode_record

_READ = os.O_RDONLY
_APPEND = os.O_RDWR | os.O_APPEND | os.O_CREAT


class Line(NamedTuple):
    """One line of the file that is not blank: a record, or what is wrong with it.

    Attributes:
        number: counted from 1.
        offset: where it begins, in bytes.
        length: how many bytes it has, with its end.
    """

    number: int
    offset: int
    length: int
    record: Record | None
    problem: DverError | None


class LineText(NamedTuple):
    """One line that is not blank, as it is in the file; None for the text of one that is too long."""

    number: int
    offset: int
    length: int
    text: bytes | None

    @property
    def where(self) -> str:
        """What the line is called in errors."""
        return f"line {self.number}"

    def whole(self) -> bytes:
        """Return the text; FormatError if it was too long to be read."""
        if self.text is None:
            raise FormatError(self.where, "is too long for a lineage record")
        return self.text


class LineReader:
    """Yields the lines of an open file, from one that begins at a given place up to the present size of the file.

    Attributes:
        offset: the end of the last line that was read and has a line end; what follows may still be written.
        number: that of the line that begins there.
    """

    def __init__(self, file: BinaryIO, offset: int = 0, number: int = 1, *, size: int | None = None) -> None:
        """Read from an open file; of one that is in memory only, the caller knows the `size`."""
        self.offset = offset
        self.number = number
        self._file = file
        self._size = os.fstat(file.fileno()).st_size if size is None else size

    def __iter__(self) -> Iterator[LineText]:
        self._file.seek(self.offset)
        while self.offset < self._size and (text := self._file.readline(MAX_LINE + 1)):
            is_long = len(text) > MAX_LINE and not text.endswith(b"\n")
            length, is_whole = self._skip(len(text)) if is_long else (len(text), text.endswith(b"\n"))
            if is_long or not text.isspace():
                yield LineText(self.number, self.offset, length, None if is_long else text.rstrip(LINE_ENDS))
            if not is_whole:
                return
            self.offset += length
            self.number += 1

    def _skip(self, length: int) -> tuple[int, bool]:
        """Pass over the rest of a line that `length` bytes were read of; return its length, and whether it ended."""
        while more := self._file.readline(MAX_LINE):
            length += len(more)
            if more.endswith(b"\n"):
                return length, True
        return length, False


class Journal:
    """The lineage file at `path`, which need not exist."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, record: Record) -> RecordId:
        """Write a record at the end, durably, and return its id; the caller holds the lock of the working tree.

        Raises:
            FormatError: the record is too long.
            PathError: the file cannot be written, or is not a regular file.
        """
        line = encode_record(record)
        try:
            is_new = not self.path.exists()
            with self._open(_APPEND) as file:
                _append(file.fileno(), line)
            if is_new:
                sync_directory(self.path.parent)
        except OSError as exc:
            raise unwritable_path(self.path, exc) from exc
        return record.id

    def read(self, start: int = 0, *, number: int = 1) -> Iterator[Line]:
        """Yield the lines, from the one that begins at byte `start` and has this number; none where there is no file.

        Raises:
            PathError: the file cannot be read, or is not a regular file.
        """
        with self.opened() as file:
            if file is not None:
                yield from map(read_line, LineReader(file, start, number))

    @contextlib.contextmanager
    def opened(self) -> Iterator[BinaryIO | None]:
        """Open the file for reading, or give None where there is none; what git puts in its place leaves it as it is.

        Raises:
            PathError: it cannot be read, or is not a regular file.
        """
        try:
            with contextlib.ExitStack() as stack:
                try:
                    file = stack.enter_context(self._open(_READ))
                except FileNotFoundError:
                    file = None
                yield file
        except OSError as exc:
            raise PathError(str(self.path), f"cannot be read: {exc.strerror}", hint=os_hint(exc)) from exc

    def _open(self, flags: int) -> BinaryIO:
        try:
            return os.fdopen(open_regular(self.path, flags), "rb")
        except IrregularFileError as exc:
            raise PathError(str(self.path), "is not a regular file") from exc


def _append(fd: int, line: bytes) -> None:
    size = os.fstat(fd).st_size
    is_torn = size > 0 and os.pread(fd, 1, size - 1) != b"\n"
    try:
        write_all(fd, [b"\n" + line if is_torn else line])
        os.fsync(fd)
    except BaseException:
        # A full disk, most of all: without this, half a line would be committed with the next record.
        with contextlib.suppress(OSError):
            os.ftruncate(fd, size)
        raise


def read_line(line: LineText) -> Line:
    """Return what a line says."""
    place = (line.number, line.offset, line.length)
    try:
        return Line(*place, decode_record(line.whole(), line.where), None)
    except FormatError as exc:
        return Line(*place, None, exc)
