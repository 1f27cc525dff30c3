"""Packs that are copied as they are, from a folder to another place.

A pack whose objects are all wanted need not be taken apart and put together again. It is opened, each of its records is
checked, and then its bytes are copied: between two folders by the kernel, which need not show them to us, elsewhere in
one upload. The open file stays the same whatever becomes of its name meanwhile. A pack with manifest nodes is never
copied so, for nodes must not be there before what they name.
"""

import os
import weakref
from collections.abc import Sequence

from dver.errors import FormatError, IntegrityError, UnsupportedFormatError
from dver.objects.ids import PackId
from dver.objects.pack import (
    HEAD_LENGTH,
    TRAILER_LENGTH,
    EncodedPack,
    Kind,
    PackEntry,
    check_head,
    decode_footer,
    decode_record,
)
from dver.storage.backend import Backend
from dver.storage.local import LocalBackend
from dver.storage.packs import pack_key, read_footer, runs

_WINDOW = 4 * 1024 * 1024


class WholePack:
    """A pack that is open, and was found to be sound.

    Attributes:
        listed: its name, size and list of records, without its bytes.
    """

    def __init__(self, listed: EncodedPack, fd: int) -> None:
        """Take over an open file."""
        self.listed = listed
        self._fd = fd
        self._close = weakref.finalize(self, os.close, fd)

    def write_to(self, backend: Backend) -> None:
        """Store the pack in another place, durably, and close it here."""
        key = pack_key(self.listed.id)
        if isinstance(backend, LocalBackend):
            backend.copy_in(key, self._fd, self.listed.size)
        else:
            backend.write(key, [_read(self._fd, 0, self.listed.size)])
        self._close()


def open_whole(backend: LocalBackend, pack: PackId, size: int, *, verify: bool) -> WholePack | None:
    """Open a pack of `size` bytes to copy it; None if it is not sound, gone, or holds manifest nodes.

    Each record is checked against its checksum, with `verify` against its id as well.
    """
    where = f"{backend.location}/{pack_key(pack)}"
    try:
        fd = os.open(where, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        # Whoever reads a record of it says what is wrong.
        return None
    found = None
    try:
        if os.fstat(fd).st_size == size:
            found = WholePack(_checked(fd, pack, size, where, verify=verify), fd)
    except UnsupportedFormatError:
        raise
    except (OSError, FormatError, IntegrityError):
        pass
    finally:
        if found is None:
            os.close(fd)
    return found


def _checked(fd: int, pack: PackId, size: int, where: str, *, verify: bool) -> EncodedPack:
    footer, expected = read_footer(lambda offset, length: _read(fd, offset, length), size, where)
    entries = decode_footer(footer, expected, pack, where)
    check_head(_read(fd, 0, HEAD_LENGTH), where)
    at = HEAD_LENGTH
    for entry in entries:
        if entry.offset != at or entry.kind is not Kind.DATA:
            raise FormatError(where, "it holds more than chunks, one after the other")
        at = entry.end
    if at != size - TRAILER_LENGTH - len(footer):
        raise FormatError(where, "it holds bytes that belong to no object")
    window = bytearray(_WINDOW)
    for run in runs(entries, _WINDOW):
        _check_run(fd, run, window, where, verify=verify)
    return EncodedPack(pack, footer, (), size)


def _check_run(fd: int, run: Sequence[PackEntry], window: bytearray, where: str, *, verify: bool) -> None:
    start = run[0].offset
    length = run[-1].end - start
    if length > len(window):
        window.extend(bytes(length - len(window)))
    view = memoryview(window)[:length]
    if os.preadv(fd, [view], start) != length:
        raise FormatError(where, "it is cut short")
    for entry in run:
        record = decode_record(view, entry.offset - start, where)
        found = (record.id, record.kind, record.codec, record.plain_length, len(record.payload))
        if found != (entry.id, entry.kind, entry.codec, entry.plain_length, entry.stored_length):
            raise IntegrityError(where, "a record is not what the pack's list says")
        if verify:
            record.verified(where)


def _read(fd: int, offset: int, length: int) -> bytes:
    data = os.pread(fd, length, offset)
    while len(data) < length:
        more = os.pread(fd, length - len(data), offset + len(data))
        if not more:
            raise OSError(f"only {len(data)} bytes of {length}")
        data += more
    return data
