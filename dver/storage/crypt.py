"""A backend that encrypts whatever goes to another backend, and checks whatever comes back.

To those above it is a backend like any other: keys, sizes and bytes are the plain ones. The other side sees names that
mean nothing, and sizes. All that is read is what was once written to that key, or an `IntegrityError`: blobs that were
damaged, cut off, put under another name, or put together from parts do not open. What the other side can do is to lose
a blob, to bring back an old one, and to show a size that is wrong until it is read.

The store's keys are asked for with the first call, not before. Data of older master keys are found under the names that
these gave them, which costs another request where the newest has no such name.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

from dver.errors import BackendError, BackendProblem, ConfigError, IntegrityError
from dver.objects.ids import Bytes
from dver.storage.backend import Backend, BlobInfo, glance, settle
from dver.storage.crypt_format import Extent, MasterKey
from dver.storage.crypt_primitives import NotSealedError
from dver.storage.description import DESCRIPTION_KEY
from dver.storage.keyring import KEYS, OpenKeyring, describe, settle_slot

_T = TypeVar("_T")
_MOST_SIZES = 100_000
# What others count on once it is there.
_PROMISES = "versions/"


class CryptBackend:
    """An encrypted view of another backend.

    Args:
        inner: the backend that holds the encrypted blobs.
        unlock: returns the store's keys; called once, with the first call that needs them.
    """

    def __init__(self, inner: Backend, unlock: Callable[[], OpenKeyring]) -> None:
        self._inner = inner
        self._unlock = unlock
        self._ring: OpenKeyring | None = None
        self._lock = threading.Lock()
        self._is_described = False
        # Of blobs that were read from: how long they are as stored, and which master key they have if not the newest.
        self._sizes: dict[str, int] = {}
        self._older: dict[str, MasterKey] = {}

    @property
    def location(self) -> str:
        """The inner backend's location."""
        return self._inner.location

    @property
    def is_local(self) -> bool:
        """Whether the inner backend is local."""
        return self._inner.is_local

    @property
    def inner(self) -> Backend:
        """The backend that holds the encrypted blobs."""
        return self._inner

    @property
    def keyring(self) -> OpenKeyring:
        """The store's keys, which are unlocked by the first who asks."""
        with self._lock:
            if self._ring is None:
                self._ring = self._unlock()
            return self._ring

    def write(self, key: str, pieces: Sequence[Bytes]) -> None:
        """Store the concatenation of `pieces`, encrypted with the newest master key."""
        self._before_write(key)
        master = self.keyring.masters.newest
        stored, encrypted = master.stored_key(key), master.encrypt(key, pieces)
        self._call(key, stored, lambda: self._inner.write(stored, encrypted))
        self._sizes.pop(stored, None)

    def read(self, key: str) -> bytes:
        """Return a whole blob."""

        def read(master: MasterKey, stored: str) -> bytes:
            data = self._inner.read(stored)
            return self._decrypt(master, key, data, master.whole(len(data)))

        return self._find(key, read)

    def read_range(self, key: str, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes from `offset`; an empty range asks nobody."""
        if length == 0:
            return b""
        return self._find(key, lambda master, stored: self._read_range(master, key, stored, slice(offset, length)))

    def _read_range(self, master: MasterKey, key: str, stored: str, wanted: slice) -> bytes:
        known = self._sizes.get(stored)
        if known is not None:
            try:
                return self._read_part(master, key, stored, known, wanted)
            except (BackendError, IntegrityError):
                # It may have been replaced by a blob of another length since it was looked at.
                self._sizes.pop(stored, None)
                if self._stored_size(key, stored) == known:
                    raise
        return self._read_part(master, key, stored, self._stored_size(key, stored), wanted)

    def _read_part(self, master: MasterKey, key: str, stored: str, size: int, wanted: slice) -> bytes:
        offset, length = wanted.start, wanted.stop
        plain = master.plain_size(size)
        if plain is None:
            raise self._damaged(key)
        if offset + length > plain:
            reason = f"{key} has {max(0, plain - offset)} bytes at {offset}, where {length} should be"
            raise BackendError(self.location, BackendProblem.OTHER, reason)
        extent = master.around(offset, length, size)
        data = self._inner.read_range(stored, extent.start, extent.end - extent.start)
        return self._decrypt(master, key, data, extent)[master.within(extent, offset, length)]

    def size(self, key: str) -> int | None:
        """Return the size that the blob has if it is what was written, or None if there is none."""
        for master, stored in self._names(key):
            size = self._call(key, stored, partial(self._inner.size, stored))
            if size is not None:
                return _shown_size(master, size)
        return None

    def list(self, prefix: str) -> Iterator[BlobInfo]:
        """Yield all blobs whose key begins with `prefix`, with sizes as `size` gives them."""
        yield from self._plain(self._inner.list(prefix.partition("/")[0] + "/" if prefix else ""), prefix)

    def glance(self) -> Sequence[BlobInfo] | None:
        """Return all blobs if a single request shows them, else None."""
        found = glance(self._inner)
        return None if found is None else [*self._plain(found, "")]

    def _plain(self, stored: Iterable[BlobInfo], prefix: str) -> Iterator[BlobInfo]:
        """Yield those of some stored blobs whose plain key begins with `prefix`, as they are known here."""
        masters = self.keyring.masters.keys
        found: dict[str, MasterKey] = {}
        waiting: dict[str, BlobInfo] = {}
        for info in stored:
            for master in masters:
                key = master.plain_key(info.key)
                if key is None:
                    continue
                if key.startswith(prefix):
                    shown = replace(info, key=key, size=_shown_size(master, info.size))
                    if len(masters) == 1:
                        yield shown
                    elif key not in found or masters.index(master) < masters.index(found[key]):
                        found[key], waiting[key] = master, shown
                break
        self._older.update((key, master) for key, master in found.items() if master is not masters[0])
        yield from waiting.values()

    def delete(self, key: str) -> None:
        """Delete a blob, under whatever master key it is; a missing one is no error."""
        # The oldest first: what is left by a delete that was cut off must not be older than what was there.
        for _, stored in reversed([*self._names(key)]):
            self._call(key, stored, partial(self._inner.delete, stored))
            self._sizes.pop(stored, None)
        self._older.pop(key, None)

    def settle(self, key: str) -> None:
        """Make it durable that there is a blob of this name, or that there is none, whatever master key it has."""
        for stored in self.stored_keys(key):
            self._call(key, stored, partial(settle, self._inner, stored))

    def stored_keys(self, key: str) -> Sequence[str]:
        """Return the names that a blob may have on the inner backend, the likely one first."""
        return [stored for _, stored in self._names(key)]

    def older_blobs(self) -> Iterator[tuple[MasterKey, str, BlobInfo]]:
        """Yield what is not encrypted with the newest master key: its own, its plain key, and the blob as stored."""
        older = self.keyring.masters.keys[1:]
        for info in self._inner.list("") if older else ():
            for master in older:
                key = master.plain_key(info.key)
                if key is not None:
                    yield master, key, info

    def move_to_newest(self, master: MasterKey, key: str) -> None:
        """Encrypt a blob of an older master key with the newest one, unless that is done already."""
        stored, newest = master.stored_key(key), self.keyring.masters.newest
        if self._call(key, stored, lambda: self._inner.size(newest.stored_key(key))) is None:
            data = self._call(key, stored, lambda: self._inner.read(stored))
            self.write(key, [self._decrypt(master, key, data, master.whole(len(data)))])
        else:
            # Of one who was killed after that.
            self._call(key, stored, partial(settle, self._inner, newest.stored_key(key)))
        self._call(key, stored, lambda: self._inner.delete(stored))
        self._call(key, stored, partial(settle, self._inner, stored))
        self._older.pop(key, None)

    def describe_anew(self) -> None:
        """Say openly that the store is encrypted, whatever is said there now: its keys have opened it."""
        assert self.keyring.masters
        self._inner.delete(DESCRIPTION_KEY)
        describe(self._inner)

    def _before_write(self, key: str) -> None:
        """Refuse to mix with a plain store, and to promise what those with newer keys would not find."""
        if not self._is_described:
            # Nobody can read what is written if the keys are lost that are seen.
            settle_slot(self._inner, self.keyring)
            describe(self._inner)
            self._is_described = True
        if key.startswith(_PROMISES):
            self.check_current()

    def check_current(self) -> None:
        """Check that what others write is still seen: what has a newer master key is not.

        Raises:
            ConfigError: the key that opened the store was taken away since, as it is when there is a new master key.
        """
        if self._inner.size(KEYS + self.keyring.slot.id) is None:
            raise ConfigError(
                f"the keys of {self.location} were changed meanwhile",
                hint="run the command again: it opens the store with the keys that are there now",
            )

    def _names(self, key: str) -> Iterator[tuple[MasterKey, str]]:
        """Yield the names that a blob may have, the likely one first."""
        masters = self.keyring.masters.keys
        likely = self._older.get(key)
        if likely is not None:
            yield likely, likely.stored_key(key)
        for master in masters:
            if master is not likely:
                yield master, master.stored_key(key)

    def _find(self, key: str, read: Callable[[MasterKey, str], _T]) -> _T:
        """Return what `read` makes of the first of the names that there is a blob of."""
        missing: BackendError | None = None
        for master, stored in self._names(key):
            try:
                found = self._call(key, stored, partial(read, master, stored))
            except BackendError as exc:
                if exc.problem is not BackendProblem.NOT_FOUND:
                    raise
                self._sizes.pop(stored, None)
                missing = exc
                continue
            if master is not self.keyring.masters.newest:
                self._older[key] = master
            return found
        assert missing is not None
        raise missing

    def _call(self, key: str, stored: str, call: Callable[[], _T]) -> _T:
        """Return what `call` does; where it fails, the message names the blob as it is known here."""
        try:
            return call()
        except BackendError as exc:
            reason = exc.reason.replace(stored, key)
            raise BackendError(exc.location, exc.problem, reason, transient=exc.transient, hint=exc.hint) from exc

    def _stored_size(self, key: str, stored: str) -> int:
        size = self._inner.size(stored)
        if size is None:
            raise BackendError(self.location, BackendProblem.NOT_FOUND, f"{key} is not there")
        if len(self._sizes) >= _MOST_SIZES:
            self._sizes.clear()
        self._sizes[stored] = size
        return size

    def _decrypt(self, master: MasterKey, key: str, data: bytes, extent: Extent) -> bytes:
        try:
            return master.decrypt(key, data, extent)
        except NotSealedError:
            raise self._damaged(key) from None

    def _damaged(self, key: str) -> IntegrityError:
        return IntegrityError(
            f"{self.location}/{key}",
            "it is not what was encrypted there: it was damaged, cut off or exchanged",
            hint="dver fetch -r REMOTE from another remote, or dver push --all -r REMOTE to a new one",
        )


def _shown_size(master: MasterKey, stored: int) -> int:
    # A length that no blob can have is shown as it is, and so is none that anybody expects.
    size = master.plain_size(stored)
    return stored if size is None else size
