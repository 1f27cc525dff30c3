"""Trying out a place: what is found of one that does not keep its promises, and that nothing is left behind."""

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from dver.errors import BackendError, BackendProblem
from dver.objects.ids import Bytes
from dver.progress import NO_TASK
from dver.storage.backend import Backend, BlobInfo
from dver.storage.local import LocalBackend
from dver.storage.remote import RemoteBackend
from dver.storage.selftest import Result, try_out
from dver.storage.selftest_trials import Scratch


class Odd:
    """A backend in memory, parts of which tests replace."""

    def __init__(self) -> None:
        self.inner = RemoteBackend(f"memory://{uuid.uuid4().hex}/x", {})
        self.location, self.is_local = self.inner.location, False

    def write(self, key: str, pieces: Sequence[Bytes]) -> None:
        self.inner.write(key, pieces)

    def read(self, key: str) -> bytes:
        return self.inner.read(key)

    def read_range(self, key: str, offset: int, length: int) -> bytes:
        return self.inner.read_range(key, offset, length)

    def size(self, key: str) -> int | None:
        return self.inner.size(key)

    def list(self, prefix: str) -> Iterator[BlobInfo]:
        return self.inner.list(prefix)

    def delete(self, key: str) -> None:
        self.inner.delete(key)

    def modified(self, key: str) -> float | None:
        return self.inner.modified(key)


def failed(backend: Backend, *, quick: bool = True) -> dict[str, str]:
    """Try out a backend, require that it is left as it was, and return what failed and why."""
    scratch = Scratch(backend, backend, NO_TASK)
    trials = try_out(scratch, quick=quick)
    assert scratch.clean() == ()
    return {trial.name: trial.detail for trial in trials if trial.result is not Result.OK}


class LateListing(Odd):
    """Lists what is there when it is asked the next time."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[str, list[BlobInfo]] = {}

    def list(self, prefix: str) -> Iterator[BlobInfo]:
        shown = self.seen.get(prefix, [])
        self.seen[prefix] = [*self.inner.list(prefix)]
        return iter(shown)


class OldListing(LateListing):
    """Lists what was there when it was first asked."""

    def list(self, prefix: str) -> Iterator[BlobInfo]:
        return iter(self.seen.setdefault(prefix, [*self.inner.list(prefix)]))


class FirstPage(Odd):
    """Lists the first thousand alone."""

    def list(self, prefix: str) -> Iterator[BlobInfo]:
        return iter(sorted(self.inner.list(prefix), key=lambda info: info.key)[:1000])


class NoEmpty(Odd):
    """Keeps no blob without bytes."""

    def write(self, key: str, pieces: Sequence[Bytes]) -> None:
        if sum(map(len, pieces)):
            self.inner.write(key, pieces)


class RoughRanges(Odd):
    """Gives what there is where more was asked for."""

    def read_range(self, key: str, offset: int, length: int) -> bytes:
        return self.inner.read(key)[offset : offset + length]


class KeepsFirst(Odd):
    """Never replaces a blob."""

    def write(self, key: str, pieces: Sequence[Bytes]) -> None:
        if self.inner.size(key) is None:
            self.inner.write(key, pieces)


class ShortNames(Odd):
    """Cuts long names off."""

    def write(self, key: str, pieces: Sequence[Bytes]) -> None:
        self.inner.write(key[:100], pieces)


class Torn(Odd):
    """Shows half of a blob before the other half is there."""

    def write(self, key: str, pieces: Sequence[Bytes]) -> None:
        data = b"".join(pieces)
        self.inner.write(key, [data[: len(data) // 2]])
        time.sleep(0.01)
        self.inner.write(key, [data])


class Fast(Odd):
    """Has a clock that is a day ahead."""

    def modified(self, key: str) -> float | None:
        return time.time() + 86_400


class Lossy(Odd):
    """Finds something for each name."""

    def read(self, key: str) -> bytes:
        return b"" if self.inner.size(key) is None else self.inner.read(key)


@pytest.mark.parametrize(
    ("make", "trial", "words"),
    [
        (LateListing, "list", "not listed"),
        (OldListing, "list", "still listed"),
        (NoEmpty, "empty", "is not there"),
        (RoughRanges, "ranges", "beyond the end"),
        (KeepsFirst, "overwrite", "not what was written"),
        (ShortNames, "names", "is not there"),
        (Torn, "whole", "a part of what was being written"),
        (Fast, "clock", "86,400 s ahead of this machine's"),
        (Lossy, "missing", "for what is not there"),
    ],
)
def test_a_broken_promise_is_found_and_told(make: Callable[[], Odd], trial: str, words: str) -> None:
    found = failed(make())
    assert words in found[trial]
    assert "connect" not in found


def test_a_list_that_ends_after_a_page_is_found() -> None:
    assert failed(FirstPage(), quick=False)["pages"] == "of 1,003 blobs 1,000 are listed"


def test_a_place_that_keeps_its_promises_fails_in_nothing_and_is_left_empty(tmp_path: Path) -> None:
    backend = LocalBackend(tmp_path / "store")
    assert failed(backend, quick=False) == {}
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("verb", ["list", "write"])
def test_without_the_first_steps_nothing_else_is_tried(verb: str) -> None:
    class Refusing(Odd):
        pass

    def refuse(*_arguments: object) -> None:
        raise BackendError("memory://x", BackendProblem.DENIED, "access is denied", hint="ask for it")

    backend = Refusing()
    setattr(backend, verb, refuse)
    trials = try_out(Scratch(backend, backend, NO_TASK))
    first = {"list": "connect", "write": "write"}[verb]
    at = [trial.name for trial in trials].index(first)
    assert [trial.result for trial in trials[:at]] == [Result.OK] * at
    assert (trials[at].result, trials[at].detail) == (Result.FAILED, "memory://x: access is denied; ask for it")
    assert {trial.result for trial in trials[at + 1 :]} == {Result.NOT_TRIED}


def test_what_cannot_be_deleted_is_named() -> None:
    class Keeping(Odd):
        def delete(self, key: str) -> None:
            raise BackendError("memory://x", BackendProblem.DENIED, "access is denied")

    backend = Keeping()
    scratch = Scratch(backend, backend, NO_TASK)
    trials = try_out(scratch, quick=True)
    assert {trial.name for trial in trials if trial.result is Result.FAILED} >= {"missing", "list", "delete"}
    left = scratch.clean()
    assert left
    assert {info.key for info in backend.list("")} == {*left}
    assert all(key.startswith(scratch.folder) for key in left)
