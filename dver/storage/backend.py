"""What a store needs from the place that holds its bytes, and nothing more.

A backend maps keys such as `packs/4f/4f0c….pack` to immutable blobs. Keys are relative, `/`-separated ASCII. A blob
appears whole or not at all; writing a key again with the same meaning is harmless. Backends know nothing of packs.
All methods may be called from several threads at once.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from dver.errors import BackendError, BackendProblem, IntegrityError
from dver.objects.ids import Bytes

_LOOKS = 5


@dataclass(frozen=True, slots=True)
class BlobInfo:
    """A listed blob: its key, its size in bytes, and when it was written, where the place says so.

    `modified` is in seconds since 1970, by the clock of the place and not of this machine.
    """

    key: str
    size: int
    modified: float | None = field(default=None, compare=False)


class Backend(Protocol):
    """A place for named immutable blobs.

    Every method raises `BackendError` on failure, and `BackendError` with `BackendProblem.NOT_FOUND` where a blob that
    was asked for is not there.
    """

    @property
    def location(self) -> str:
        """The URL or path that users know this place by, without credentials."""

    @property
    def is_local(self) -> bool:
        """Whether reads cost microseconds rather than a network round trip."""

    def write(self, key: str, pieces: Sequence[Bytes]) -> None:
        """Store the concatenation of `pieces` under `key`, durably, whole or not at all."""

    def read(self, key: str) -> bytes:
        """Return a whole blob."""

    def read_range(self, key: str, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes from `offset`; fewer there is a failure."""

    def size(self, key: str) -> int | None:
        """Return the size of a blob in bytes, or None if there is none."""

    def list(self, prefix: str) -> Iterator[BlobInfo]:
        """Yield all blobs whose key begins with `prefix`, which ends in `/`; nothing for a missing folder."""

    def delete(self, key: str) -> None:
        """Delete a blob; a missing one is no error."""


def read_alike(backend: Backend, key: str, read: Callable[[], bytes]) -> bytes:
    """Return of a blob without a checksum what two reads in a row have: from afar, one may be damaged on its way.

    Raises:
        BackendError: it is read differently each time.
        IntegrityError: the store is encrypted, and the blob is damaged.
    """
    before: bytes | None = None
    was_damaged = False
    for _ in range(_LOOKS):
        try:
            data = read()
        except IntegrityError:
            if was_damaged:
                raise
            was_damaged = True
            continue
        if data == before or backend.is_local:
            return data
        before, was_damaged = data, False
    raise BackendError(
        backend.location,
        BackendProblem.OTHER,
        f"{key} is read differently each time",
        hint="run the same command again",
    )


@runtime_checkable
class Glancing(Protocol):
    """A backend that can show all that it has at once, where that is little."""

    def glance(self) -> Sequence[BlobInfo] | None:
        """Return all blobs if a single request shows them; None where it would take more, or another way."""


def glance(backend: Backend) -> Sequence[BlobInfo] | None:
    """Return all blobs of a backend if a single request shows them, else None."""
    return backend.glance() if isinstance(backend, Glancing) else None


@runtime_checkable
class Settling(Protocol):
    """A backend where what is seen may not last yet: who wrote or deleted it may have been killed before that."""

    def settle(self, key: str) -> None:
        """Make it durable that there is a blob of this name, or that there is none."""


def settle(backend: Backend, key: str) -> None:
    """Make it durable that there is a blob of a name, or that there is none; elsewhere what is seen is durable."""
    if isinstance(backend, Settling):
        backend.settle(key)


@runtime_checkable
class Keyed(Protocol):
    """A backend that sees only what is encrypted with keys that it knows."""

    def check_current(self) -> None:
        """Check that it can see all that is there.

        Raises:
            ConfigError: the store has had other keys since it was opened.
        """


def check_keys(backend: Backend) -> None:
    """Check that what was just not found in a store is not there.

    Raises:
        ConfigError: the store is encrypted, and has had other keys since it was opened.
    """
    if isinstance(backend, Keyed):
        backend.check_current()


@runtime_checkable
class Dated(Protocol):
    """A backend that can be asked when a blob was written."""

    def modified(self, key: str) -> float | None:
        """Return when a blob was written, in seconds since 1970 by the clock over there; None if that is not told."""
