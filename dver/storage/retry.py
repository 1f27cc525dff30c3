"""A backend that tries again when another backend's failure may pass.

Only failures marked as transient are tried again: throttling, time-outs, broken connections, short reads. The waits
double, and a random half of each is left out, so that many clients do not come back all at once; together they last
less than a minute, and no call begins anew when it has failed for two. Nothing below tries again by itself, so these
are all tries that there are. Every new try is told to the user, since a command that hangs in silence is worse than one
that fails; of many threads that wait for the same server, one tells. All calls of a backend may be repeated: blobs are
immutable, and deleting twice is deleting once.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TypeAlias, TypeVar

from dver.errors import BackendError, BackendProblem
from dver.objects.ids import Bytes
from dver.storage.backend import Backend, BlobInfo, Dated, glance

_T = TypeVar("_T")
_LONGEST_WAIT = 20.0
_PATIENCE = 120.0
# Of a server that has never answered: its address is likely to be wrong.
_TRIES_OF_A_STRANGER = 4

Wait: TypeAlias = Callable[[float], bool | None]
"""Waits so many seconds, and returns whether there is no use in going on, as when the user wants an end."""


class RetryBackend:
    """Another backend, more patient.

    Args:
        inner: the backend that does the work.
        note: told one line before a wait.
        attempts: tries in all, at least one.
        base_delay: upper limit of the first wait in seconds.
        wait: see `Wait`.
        jitter: returns a number from 0 to 1, the part of the random half to wait.
    """

    def __init__(
        self,
        inner: Backend,
        note: Callable[[str], None],
        *,
        attempts: int = 8,
        base_delay: float = 0.5,
        wait: Wait = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._inner = inner
        self._note = note
        self._attempts = attempts
        self._base_delay = base_delay
        self._wait = wait
        self._jitter = jitter
        self._lock = threading.Lock()
        # How many threads wait now, and the highest try that the user was told of meanwhile.
        self._waiting = 0
        self._told = 0
        self._has_answered = False

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

    def modified(self, key: str) -> float | None:
        """Return when a blob was written, in seconds since 1970 by the server's clock; None if that is not told."""
        inner = self._inner
        return self._try(lambda: inner.modified(key)) if isinstance(inner, Dated) else None

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
        begun = time.monotonic()
        attempt = 1
        while True:
            try:
                result = call()
            except BackendError as exc:
                if not exc.transient:
                    raise
                failure = exc
            else:
                self._has_answered = True
                self._end_telling()
                return result
            if attempt >= self._tries(failure) or time.monotonic() - begun > _PATIENCE:
                self._end_telling()
                raise _gave_up(failure, attempt) from failure
            attempt += 1
            if self._pause(failure, attempt):
                raise failure

    @contextmanager
    def trying_once(self) -> Iterator[None]:
        """Return a context in which nothing is tried again: where all was tried just now, and only tidying is left."""
        before, self._attempts = self._attempts, 1
        try:
            yield
        finally:
            self._attempts = before

    def _tries(self, failure: BackendError) -> int:
        is_stranger = failure.problem is BackendProblem.ENDPOINT and not self._has_answered
        return min(self._attempts, _TRIES_OF_A_STRANGER) if is_stranger else self._attempts

    def _pause(self, failure: BackendError, attempt: int) -> bool:
        """Wait before a try, and return whether that is not to be made any more."""
        limit = min(self._base_delay * 2 ** (attempt - 2), _LONGEST_WAIT)
        delay: float = limit * (1 + self._jitter()) / 2
        with self._lock:
            self._waiting += 1
            is_news = attempt > self._told
            self._told = max(self._told, attempt)
        try:
            if is_news:
                self._note(f"{failure.message}; trying again in {delay:.1f} s ({attempt} of {self._tries(failure)})")
            return bool(self._wait(delay))
        finally:
            with self._lock:
                self._waiting -= 1

    def _end_telling(self) -> None:
        """Let the next failure be news again, unless somebody waits who was told of."""
        with self._lock:
            if not self._waiting:
                self._told = 0


def trying_once(place: Backend) -> AbstractContextManager[None]:
    """Return a context in which a backend tries nothing again, if it is one that does."""
    return place.trying_once() if isinstance(place, RetryBackend) else nullcontext()


def _gave_up(exc: BackendError, attempts: int) -> BackendError:
    tries = f"; tried {attempts} times" if attempts > 1 else ""
    return BackendError(exc.location, exc.problem, f"{exc.reason}{tries}", transient=True, hint=exc.hint)
