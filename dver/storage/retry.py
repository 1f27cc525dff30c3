"""A backend that tries again when another backend's failure may pass.

Only failures marked as transient are tried again: throttling, time-outs, broken connections, short reads. The waits
double, and each is a random part of its limit ("full jitter"), so that many clients do not come back all at once.
Every new try is told to the user, since a command that hangs in silence is worse than one that fails. All calls of
a backend may be repeated: blobs are immutable, and deleting twice is deleting once.
"""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from dver.errors import BackendError
from dver.objects.ids import Bytes
from dver.storage.backend import Backend, BlobInfo, glance

_T = TypeVar("_T")
_LONGEST_SECONDS = 20.0


class RetryBackend:
    """Another backend, more patient.

    Args:
        inner: the backend that does the work.
        note: told one line before each wait.
        attempts: tries in all, at least one.
        base_delay: upper limit of the first wait in seconds.
        sleep: waits; tests pass one that does not.
        jitter: returns a number from 0 to 1, the part of the limit to wait.
    """

    def __init__(
        self,
        inner: Backend,
        note: Callable[[str], None],
        *,
        attempts: int = 5,
        base_delay: float = 0.5,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._inner = inner
        self._note = note
        self._attempts = attempts
        self._base_delay = base_delay
        self._sleep = sleep
        self._jitter = jitter

    @property
    def location(self) -> str:
        """The inner backend's location."""
        return self._inner.location

    @property
    def is_local(self) -> bool:
        """Whether the inner backend is local."""
        return self._inner.is_local

    def write(self, key: str, pieces: Sequence[Bytes]) -> None:
        """Store the concatenation of `pieces` under `key`."""
        self._try(lambda: self._inner.write(key, pieces))

    def read(self, key: str) -> bytes:
        """Return a whole blob."""
        return self._try(lambda: self._inner.read(key))

    def read_range(self, key: str, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes from `offset`."""
        return self._try(lambda: self._inner.read_range(key, offset, length))

    def size(self, key: str) -> int | None:
        """Return the size of a blob in bytes, or None if there is none."""
        return self._try(lambda: self._inner.size(key))

    def list(self, prefix: str) -> Iterator[BlobInfo]:
        """Yield all blobs whose key begins with `prefix`; a listing that breaks off begins again, unseen."""
        yield from self._try(lambda: [*self._inner.list(prefix)])

    def glance(self) -> Sequence[BlobInfo] | None:
        """Return all blobs if a single request shows them, else None."""
        return self._try(lambda: glance(self._inner))

    def delete(self, key: str) -> None:
        """Delete a blob; a missing one is no error."""
        self._try(lambda: self._inner.delete(key))

    def _try(self, call: Callable[[], _T]) -> _T:
        for attempt in range(1, self._attempts):
            try:
                return call()
            except BackendError as exc:
                if not exc.transient:
                    raise
                delay = self._delay(attempt)
                self._note(f"{exc.message}; trying again in {delay:.1f} s ({attempt + 1} of {self._attempts})")
            self._sleep(delay)
        return call()

    def _delay(self, attempt: int) -> float:
        limit: float = min(self._base_delay * 2 ** (attempt - 1), _LONGEST_SECONDS)
        return limit * self._jitter()
