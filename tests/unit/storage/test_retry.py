"""What the retry wrapper repeats, how long it waits, and what it says."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from dver.errors import BackendError, BackendProblem
from dver.objects.ids import Bytes
from dver.storage.backend import Backend, BlobInfo
from dver.storage.retry import RetryBackend, trying_once

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
    result = CALLS[call](RetryBackend(inner, lambda _note: None, wait=waits.append, jitter=lambda: 1.0))
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
    backend = RetryBackend(inner, notes.append, attempts=3, base_delay=2.0, wait=waits.append, jitter=lambda: 0.5)
    with pytest.raises(BackendError, match="tried 3 times") as caught:
        backend.read("k")
    assert caught.value.problem is BackendProblem.TIMEOUT
    assert inner.calls == 3
    assert waits == [1.5, 3.0]
    assert notes == [
        "s3://b: the server did not answer in time; trying again in 1.5 s (2 of 3)",
        "s3://b: the server did not answer in time; trying again in 3.0 s (3 of 3)",
    ]


def test_waits_have_a_limit_and_a_random_part() -> None:
    waits: list[float] = []
    backend = RetryBackend(Failing([TRANSIENT] * 29), lambda _note: None, attempts=30, wait=waits.append)
    backend.read("k")
    assert all(0 <= wait <= 20 for wait in waits)
    assert len(set(waits)) > 1


def test_all_waits_together_take_less_than_a_minute() -> None:
    waits: list[float] = []
    backend = RetryBackend(Failing([TRANSIENT] * 99), lambda _note: None, wait=waits.append, jitter=lambda: 1.0)
    with pytest.raises(BackendError):
        backend.read("k")
    assert 30 < sum(waits) < 60


def test_a_call_that_takes_long_to_fail_is_not_begun_anew_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    inner = Failing([TRANSIENT] * 99)
    times = iter(range(0, 9999, 61))
    monkeypatch.setattr("dver.storage.retry.time.monotonic", lambda: float(next(times)))
    backend = RetryBackend(inner, lambda _note: None, wait=lambda _seconds: None)
    with pytest.raises(BackendError, match="tried 2 times"):
        backend.read("k")


def test_a_server_that_never_answered_is_given_up_soon() -> None:
    unreachable = BackendError("s3://b", BackendProblem.ENDPOINT, "the server cannot be reached", transient=True)
    inner = Failing([unreachable] * 99)
    waits: list[float] = []
    backend = RetryBackend(inner, lambda _note: None, wait=waits.append)
    with pytest.raises(BackendError, match="tried 4 times"):
        backend.read("k")
    assert sum(waits) < 5
    inner.errors = []
    backend.read("k")
    inner.errors = [unreachable] * 99
    with pytest.raises(BackendError, match="tried 8 times"):
        backend.read("k")


def test_nothing_is_tried_again_once_the_user_wants_an_end() -> None:
    inner = Failing([TRANSIENT] * 99)
    waits: list[float] = []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        return len(waits) == 2

    with pytest.raises(BackendError) as caught:
        RetryBackend(inner, lambda _note: None, wait=wait).read("k")
    assert caught.value is TRANSIENT
    assert inner.calls == len(waits) == 2


def test_of_many_threads_that_wait_one_tells() -> None:
    together = threading.Barrier(16)
    notes: list[str] = []

    def wait(_seconds: float) -> None:
        together.wait(10)

    backend = RetryBackend(Failing([TRANSIENT] * 32), notes.append, wait=wait)
    with ThreadPoolExecutor(16) as pool:
        assert [*pool.map(backend.read, ["k"] * 16)] == [b"x"] * 16
    assert [note.rpartition("(")[2] for note in notes] == ["2 of 8)", "3 of 8)"]


def test_what_somebody_was_told_of_is_not_told_again_by_another_who_comes_in_between() -> None:
    notes: list[str] = []

    class Nested(Failing):
        def read(self, key: str) -> bytes:
            if key == "a" and self.calls == 1:
                assert backend.read("b") == b"x"
            return super().read(key)

    backend = RetryBackend(Nested([TRANSIENT] * 3), notes.append, wait=lambda _seconds: None)
    assert backend.read("a") == b"x"
    assert [note.rpartition("(")[2] for note in notes] == ["2 of 8)", "3 of 8)"]


def test_within_it_nothing_is_tried_again_and_nothing_told() -> None:
    inner = Failing([TRANSIENT] * 3)
    waits: list[float] = []
    backend = RetryBackend(inner, pytest.fail, wait=waits.append)
    with trying_once(backend), pytest.raises(BackendError):
        backend.read("k")
    assert (inner.calls, waits) == (1, [])


def test_it_passes_for_the_backend_inside() -> None:
    backend = RetryBackend(Failing([]), lambda _note: None)
    assert (backend.location, backend.is_local) == ("s3://b", False)
