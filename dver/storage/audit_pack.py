"""Looking at one pack: whether it is what its name says, and which of its records can be read.

A pack is read in windows, so that memory does not follow its size. Its list of records is taken from its footer or,
where that is damaged, from an index file, for both are proven by the pack's name; without either the records are read
from the beginning up to the first that is not whole.
"""

import errno
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dver.errors import BackendError, BackendProblem, FormatError, IntegrityError, UnsupportedFormatError
from dver.objects.ids import ID_LENGTH, Bytes, PackId, checksum, pack_id
from dver.objects.pack import (
    ENTRY_LENGTH,
    HEAD_LENGTH,
    MAX_PLAIN,
    RECORD_HEADER_LENGTH,
    TRAILER_LENGTH,
    PackEntry,
    Record,
    check_head,
    decode_entries,
    decode_record,
)
from dver.storage.audit_findings import Depth
from dver.storage.backend import Backend
from dver.storage.packs import pack_key, read_footer

WINDOW = 8 * 1024 * 1024
_ENTRIES_AT_ONCE = 4096
_EMPTY = "is empty"
# How often what seems damaged is looked at again.
_LOOKS = 3


@dataclass(frozen=True, slots=True)
class PackCheck:
    """What was found in one pack.

    Attributes:
        problem: what is wrong, None for a sound pack.
        gone: whether there is no such pack (any more).
        readable: of a damaged pack, the ids of the records that can be read, one after the other.
        bytes: how many bytes were read.
    """

    pack: PackId
    size: int
    problem: str | None = None
    gone: bool = False
    readable: bytes = b""
    bytes: int = 0


class UnreadableError(Exception):
    """The disk cannot read what is there."""


def check_pack(
    backend: Backend, pack: PackId, size: int, depth: Depth, listed: Callable[[PackId], bytes | None]
) -> PackCheck:
    """Look at a pack of `size` bytes.

    `listed` returns a pack's footer as an index file has it, or None; it is asked only where the pack's own is damaged.

    Raises:
        UnsupportedFormatError: a newer dver wrote the pack.
        BackendError: the store does not answer.
    """
    if not size:
        return PackCheck(pack, size, _EMPTY)
    reader = _Reader(backend, pack, size)
    try:
        problem = reader.look(depth)
        for _ in range(0 if backend.is_local else _LOOKS):
            # What comes from afar may have been damaged on its way: one part of it, and the next time another.
            before, problem = problem, None if problem is None else reader.look(depth)
            if problem in (None, before):
                break
        if problem is None:
            return PackCheck(pack, size, bytes=reader.bytes)
        readable = reader.salvage(listed)
        return PackCheck(pack, size, problem, readable=readable, bytes=reader.bytes)
    except BackendError as exc:
        if exc.problem is not BackendProblem.NOT_FOUND:
            raise
        return PackCheck(pack, size, "is missing", gone=True)


def readable_records(
    backend: Backend, key: str, pack: PackId, size: int, listed: Callable[[PackId], bytes | None]
) -> Iterator[Record]:
    """Yield the records of a damaged pack, under whatever key it lies, that match their ids."""
    reader = _Reader(backend, pack, size, key=key)
    for record in reader.records(listed):
        try:
            record.verified(reader.where)
        except IntegrityError:
            continue
        yield record


class _Reader:
    """Reads one pack."""

    def __init__(self, backend: Backend, pack: PackId, size: int, *, key: str | None = None) -> None:
        self._backend = backend
        self._key = key or pack_key(pack)
        self._pack = pack
        self._size = size
        self.where = f"{backend.location}/{self._key}"
        self.bytes = 0

    def look(self, depth: Depth) -> str | None:
        """Return what is wrong with the pack, or None."""
        try:
            footer = self._proven_footer()
            if not self._has_good_head():
                return "its first bytes are damaged"
            return None if depth is Depth.STRUCTURE else self._look_at_records(footer, depth)
        except UnsupportedFormatError:
            raise
        except (FormatError, IntegrityError) as exc:
            return exc.reason
        except UnreadableError as exc:
            return str(exc)

    def salvage(self, listed: Callable[[PackId], bytes | None]) -> bytes:
        """Return the ids of all records that can be read, whatever is wrong with the pack."""
        found = bytearray()
        for record in self.records(listed):
            try:
                record.verified(self.where)
            except IntegrityError:
                continue
            found += record.id
        return bytes(found)

    def records(self, listed: Callable[[PackId], bytes | None]) -> Iterator[Record]:
        """Yield the records whose checksum holds."""
        footer = self._any_footer(listed)
        if footer is None:
            yield from self._scan()
            return
        for _, record in self._read_listed(footer):
            if record is not None:
                yield record

    def _has_good_head(self) -> bool:
        try:
            self._check_head()
        except FormatError:
            # Also where it claims to be of a newer format: its footer is that of this one.
            return False
        return True

    def _check_head(self) -> None:
        check_head(self._read(0, min(HEAD_LENGTH, self._size)), self.where)

    def _proven_footer(self) -> bytes:
        try:
            return self._footer()
        except (FormatError, IntegrityError):
            # A newer dver may write other footers, and then what it wrote is no damage.
            self._check_head()
            raise

    def _footer(self) -> bytes:
        """Return the footer after checking it against the pack's name."""
        footer, expected = read_footer(self._read, self._size, self.where)
        if checksum(footer) != expected:
            raise IntegrityError(self.where, "the list of records at its end is damaged")
        if pack_id(footer) != self._pack:
            raise IntegrityError(self.where, "it is another pack than its name says")
        return footer

    def _any_footer(self, listed: Callable[[PackId], bytes | None]) -> bytes | None:
        try:
            return self._footer()
        except UnsupportedFormatError:
            raise
        except (FormatError, IntegrityError, UnreadableError):
            footer = listed(self._pack)
            return footer if footer is not None and pack_id(footer) == self._pack else None

    def _look_at_records(self, footer: bytes, depth: Depth) -> str | None:
        total = len(footer) // ENTRY_LENGTH
        bad = 0
        end = HEAD_LENGTH
        for entry, record in self._read_listed(footer):
            is_bad = record is None or entry.offset != end
            if record is not None and depth is Depth.CONTENT:
                is_bad = is_bad or not _is_true(record, self.where)
            bad += is_bad
            end = entry.end
        if bad:
            return f"{bad:,} of its {total:,} objects cannot be read"
        if end != self._size - TRAILER_LENGTH - len(footer):
            return "it holds bytes that belong to no object"
        return None

    def _read_listed(self, footer: bytes) -> Iterator[tuple[PackEntry, Record | None]]:
        """Yield each entry of a footer with its record, None for one that is not what the entry says."""
        base, window = 0, memoryview(b"")
        # Up to where a window could not be read as a whole: there, one record is read at a time.
        careful = 0
        for entry in _entries(footer, self.where):
            if entry.end > self._size:
                yield entry, None
                continue
            if not base <= entry.offset or entry.end > base + len(window):
                base = entry.offset
                length = max(entry.end - base, min(WINDOW, self._size - base))
                try:
                    window = memoryview(self._read_one(entry) if base < careful else self._read(base, length))
                except UnreadableError:
                    careful = base + length
                    window = memoryview(self._read_one(entry))
            yield entry, _decode(window, entry, base, self.where)

    def _read_one(self, entry: PackEntry) -> bytes:
        """Return the bytes of one record, or as many zeros where the disk cannot read them."""
        length = entry.end - entry.offset
        try:
            return self._read(entry.offset, length)
        except UnreadableError:
            return bytes(length)

    def _scan(self) -> Iterator[Record]:
        """Yield the records from the beginning up to the first that is not whole."""
        at, base, window = HEAD_LENGTH, 0, b""
        while at + RECORD_HEADER_LENGTH <= self._size:
            try:
                record = decode_record(window, at - base, self.where)
            except (FormatError, IntegrityError):
                if base == at:
                    return
                # The record may go on past the window.
                base = at
                try:
                    window = self._read(base, min(WINDOW + RECORD_HEADER_LENGTH + MAX_PLAIN, self._size - base))
                except UnreadableError:
                    return
                continue
            yield record
            at += record.length

    def _read(self, offset: int, length: int) -> bytes:
        try:
            data = self._backend.read_range(self._key, offset, length)
        except BackendError as exc:
            if is_disk_failure(self._backend, exc):
                raise UnreadableError("the disk cannot read all of it") from exc
            raise
        except IntegrityError as exc:
            # An encrypted store answers so.
            raise UnreadableError(exc.reason) from exc
        self.bytes += length
        return data


def is_disk_failure(backend: Backend, exc: BackendError) -> bool:
    """Whether the disk below a store cannot read some of it, which no other try will change."""
    return backend.is_local and isinstance(exc.__cause__, OSError) and exc.__cause__.errno == errno.EIO


def _entries(footer: Bytes, where: str) -> Iterator[PackEntry]:
    """Yield the entries of a footer, a few thousand of them in memory at a time."""
    for start in range(0, len(footer), _ENTRIES_AT_ONCE * ENTRY_LENGTH):
        yield from decode_entries(footer[start : start + _ENTRIES_AT_ONCE * ENTRY_LENGTH], where)


def _decode(window: memoryview, entry: PackEntry, base: int, where: str) -> Record | None:
    try:
        record = decode_record(window, entry.offset - base, where)
    except (FormatError, IntegrityError):
        return None
    is_same = (
        record.id == entry.id
        and record.kind == entry.kind
        and record.codec == entry.codec
        and record.plain_length == entry.plain_length
        and len(record.payload) == entry.stored_length
    )
    return record if is_same else None


def _is_true(record: Record, where: str) -> bool:
    try:
        record.verified(where)
    except IntegrityError:
        return False
    return True


def ids_of(joined: bytes) -> Iterator[bytes]:
    """Yield the ids of a `PackCheck.readable`."""
    for start in range(0, len(joined), ID_LENGTH):
        yield joined[start : start + ID_LENGTH]
