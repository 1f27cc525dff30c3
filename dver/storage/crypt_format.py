"""How one master key turns keys and blobs of a store into what an encrypted store holds, and back. No I/O.

A key such as `packs/4f/4f0c….pack` keeps its top folder, and the whole of it, encrypted, is the rest: the same key
always gives the same name, so that listings can be read without opening a blob, and nobody else can make one.

A blob is cut into segments, each sealed for itself, so that a part of it can be read and checked alone. A segment is
sealed under a key that follows from a salt, new with every write, and the blob's key; its nonce is its position and
whether it is the last. So a segment opens only in its own blob, under its own key, at its own place, and as the end
only if it is the end. `docs/design/formats.md` has the tables.
"""

import base64
import binascii
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dver.objects.ids import Bytes
from dver.storage.crypt_primitives import (
    NAME_KEY_LENGTH,
    TAG_LENGTH,
    NameSealer,
    NotSealedError,
    Sealer,
    derive,
)

SEGMENT_SIZE = 64 * 1024
SALT_LENGTH = 16
OVERHEAD = SALT_LENGTH + TAG_LENGTH
FINGERPRINT_LENGTH = 16

NAMES_CONTEXT = b"dver 2026-11 encrypted store names v1"
BLOBS_CONTEXT = b"dver 2026-11 encrypted store blobs v1"
KEYS_CONTEXT = b"dver 2026-11 encrypted store keys v1"
FINGERPRINT_CONTEXT = b"dver 2026-11 encrypted store fingerprint v1"

_SEGMENT_MARK = b"dver 2026-11 segment v1\0"
_TOP = "other"
# Names of files are at most 255 bytes long nearly everywhere, and some systems leave less.
_LONGEST_PART = 200
_SHARD = 2


@dataclass(frozen=True, slots=True)
class Extent:
    """A part of a stored blob that consists of whole segments.

    Attributes:
        first: the position of the first segment.
        start, end: where they lie in the stored blob.
        is_end: whether the last of them is the last of the blob.
    """

    first: int
    start: int
    end: int
    is_end: bool


class MasterKey:
    """One master key of a store, and the keys for names and blobs that follow from it.

    Attributes:
        secret: the 32 bytes.
        fingerprint: names the key without giving it away.
    """

    def __init__(self, secret: bytes, *, segment_size: int = SEGMENT_SIZE) -> None:
        self.secret = secret
        self.fingerprint = derive(secret, FINGERPRINT_CONTEXT, length=FINGERPRINT_LENGTH).hex()
        self.of_keys = derive(secret, KEYS_CONTEXT)
        self._names = NameSealer(derive(secret, NAMES_CONTEXT, length=NAME_KEY_LENGTH))
        self._blobs = derive(secret, BLOBS_CONTEXT)
        self._size = segment_size

    def __repr__(self) -> str:
        return f"MasterKey({self.fingerprint})"

    def stored_key(self, key: str) -> str:
        """Return the key that a blob has in the encrypted store."""
        text = base64.b32hexencode(self._names.seal(key.encode())).decode().rstrip("=").lower()
        parts = [text[at : at + _LONGEST_PART] for at in range(0, len(text), _LONGEST_PART)]
        top, *folders = key.split("/")[:-1] or [_TOP]
        if folders:
            # As in a plain store, where a folder would have too many files otherwise.
            parts[:1] = [parts[0][:_SHARD], parts[0][_SHARD:]]
        return "/".join([top, *parts])

    def plain_key(self, stored: str) -> str | None:
        """Return the key that a blob was written under, or None for a name that this master key did not make."""
        text = "".join(stored.split("/")[1:]).upper()
        try:
            sealed = base64.b32hexdecode(text + "=" * (-len(text) % 8))
            key = self._names.open(sealed).decode()
        except (NotSealedError, binascii.Error, ValueError):
            return None
        # The name of a blob that was put into another folder opens as well.
        return key if self.stored_key(key) == stored else None

    def encrypt(self, key: str, pieces: Sequence[Bytes], *, salt: bytes | None = None) -> list[bytes]:
        """Return the pieces of the stored blob. The salt is random, and given by tests alone."""
        chosen = salt or os.urandom(SALT_LENGTH)
        sealer, about = self._sealer(key, chosen)
        stored: list[bytes] = []
        segments = _segments(pieces, self._size)
        last = _segment_count(sum(len(piece) for piece in pieces), self._size) - 1
        for position, segment in enumerate(segments):
            stored += (chosen, sealer.seal(_nonce(position, is_last=position == last), segment, about))
        return stored

    def decrypt(self, key: str, data: Bytes, extent: Extent) -> bytes:
        """Return the plain bytes of the segments in `data`.

        Raises:
            NotSealedError: one of them is not what was written to this key at this place.
        """
        view = memoryview(data)
        if len(view) != extent.end - extent.start or len(view) < OVERHEAD:
            raise NotSealedError
        salt = bytes(view[:SALT_LENGTH])
        sealer, about = self._sealer(key, salt)
        step = self._size + OVERHEAD
        plain: list[bytes] = []
        for number, start in enumerate(range(0, len(view), step)):
            segment = view[start : start + step]
            if segment[:SALT_LENGTH] != salt or len(segment) < OVERHEAD:
                # Of two writes of one blob, each has its own salt.
                raise NotSealedError
            is_last = extent.is_end and start + step >= len(view)
            plain.append(sealer.open(_nonce(extent.first + number, is_last=is_last), segment[SALT_LENGTH:], about))
        return b"".join(plain)

    def stored_size(self, size: int) -> int:
        """Return how long a blob of `size` bytes is as it is stored."""
        return size + OVERHEAD * _segment_count(size, self._size)

    def plain_size(self, stored: int) -> int | None:
        """Return how long the blob is that is stored in so many bytes, or None where no blob is."""
        whole, rest = divmod(stored, self._size + OVERHEAD)
        if rest < OVERHEAD and (rest or not whole):
            return None
        size = whole * self._size + max(0, rest - OVERHEAD)
        return size if self.stored_size(size) == stored else None

    def whole(self, stored: int) -> Extent:
        """Return the extent of a whole blob that is stored in so many bytes."""
        return Extent(0, 0, stored, is_end=True)

    def around(self, offset: int, length: int, stored: int) -> Extent:
        """Return the segments that hold a part of a blob, which is not empty and lies within it."""
        step = self._size + OVERHEAD
        first, last = offset // self._size, (offset + length - 1) // self._size
        end = min((last + 1) * step, stored)
        return Extent(first, first * step, end, is_end=end == stored)

    def within(self, extent: Extent, offset: int, length: int) -> slice:
        """Return where a part of a blob lies in the plain bytes of an extent around it."""
        start = offset - extent.first * self._size
        return slice(start, start + length)

    def _sealer(self, key: str, salt: bytes) -> tuple[Sealer, bytes]:
        about = _SEGMENT_MARK + key.encode()
        return Sealer(derive(self._blobs, about, salt=salt)), about


def _nonce(position: int, *, is_last: bool) -> bytes:
    return position.to_bytes(8, "little") + bytes([is_last, 0, 0, 0])


def _segment_count(size: int, segment_size: int) -> int:
    # An empty blob has a segment as well, or its being empty could not be checked.
    return max(1, -(-size // segment_size))


def _segments(pieces: Sequence[Bytes], size: int) -> Iterator[Bytes]:
    """Yield the bytes of `pieces` in runs of `size`, the last of them shorter; an empty one where there are none."""
    waiting = bytearray()
    is_first = True
    for piece in pieces:
        view = memoryview(piece)
        start = 0
        while len(waiting) + len(view) - start >= size:
            end = start + size - len(waiting)
            if waiting:
                waiting += view[start:end]
                yield waiting
                waiting = bytearray()
            else:
                # What lies in one piece need not be copied.
                yield view[start:end]
            is_first, start = False, end
        waiting += view[start:]
    if waiting or is_first:
        yield waiting
