"""What the retry wrapper repeats, how long it waits, and what it says."""

from collections.abc import Callable, Iterator, Sequence

import pytest

from dver.errors import BackendError, BackendProblem
from dver.objects.ids import Bytes
from dver.storage.backend import Backend, BlobInfo
from dver.storage.retry import RetryBackend

TRANSIENT = BackendError("s3://b", BackendProblem.TIMEOUT, "the server did not answer in time", transient=True)
PERMANENT = BackendError("s3://b", BackendProblem.DENIED, "access is denied")

CALLS: dict[str, Callable[[Backend], object]] = {
    "write": lambda backend: backend.write("k", [b"x"]),
    "read": lambda backend: backend.read("k"),
    "range": lambda backend: backend.read_range("k", 0, 1),
    "size": lambda backend: backend.size("k"),
    "list": lambda backend: [*backend.list("p/")],
    "delete": lambda backend: backend.delete("k"),
}


class Failing:
    """A backend whose first calls raise the given errors."""

    location = "s3://b"
    is_local = False

    def __init__(self, errors: Sequence[BackendError]) -> None:
        self.errors = [*errors]
        self.calls = 0

    def _call(self) -> None:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)

    def write(self, key: str, pieces: Sequence[Bytes]) -> None:
        self._call()

    def read(self, key: str) -> bytes:
        self._call()
        return b"x"

    def read_range(self, key: str, offset: int, length: int) -> bytes:
        self._call()
        return b"x"

    def size(self, key: str) -> int | None:
        self._call()
        return 1

    def list(self, prefix: str) -> Iterator[BlobInfo]:
        yield BlobInfo("p/one", 1)
        self._call()
        yield BlobInfo("p/two", 2)

    def delete(self, key: str) -> None:
        self._call()


@pytest.mark.parametrize("call", CALLS)
def test_every_call_is_repeated_until_it_works(call: str) -> None:
    inner = Failing([TRANSIENT, TRANSIENT])
    waits: list[float] = []
    result = CALLS[call](RetryBackend(inner, lambda _note: None, sleep=waits.append, jitter=lambda: 1.0))
    assert inner.calls == 3
    assert waits == [0.5, 1.0]
    assert result == CALLS[call](Failing([]))


@pytest.mark.parametrize("call", CALLS)
def test_no_call_is_repeated_when_that_cannot_help(call: str) -> None:
    inner = Failing([PERMANENT])
    with pytest.raises(BackendError) as caught:
        CALLS[call](RetryBackend(inner, pytest.fail))
    assert caught.value is PERMANENT
    assert inner.calls == 1


def test_the_last_failure_is_raised_without_another_wait() -> None:
    inner = Failing([TRANSIENT] * 10)
    notes: list[str] = []
    waits: list[float] = []
    backend = RetryBackend(inner, notes.append, attempts=3, base_delay=2.0, sleep=waits.append, jitter=lambda: 0.5)
    with pytest.raises(BackendError):
        backend.read("k")
    assert inner.calls == 3
    assert waits == [1.0, 2.0]
    assert notes == [
        "s3://b: the server did not answer in time; trying again in 1.0 s (2 of 3)",
        "s3://b: the server did not answer in time; trying again in 2.0 s (3 of 3)",
    ]


def test_waits_have_a_limit_and_a_random_part() -> None:
    waits: list[float] = []
    backend = RetryBackend(Failing([TRANSIENT] * 29), lambda _note: None, attempts=30, sleep=waits.append)
    backend.read("k")
    assert all(0 <= wait <= 20 for wait in waits)
    assert len(set(waits)) > 1


def test_it_passes_for_the_backend_inside() -> None:
    backend = RetryBackend(Failing([]), lambda _note: None)
    assert (backend.location, backend.is_local) == ("s3://b", False)
