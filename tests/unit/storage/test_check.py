"""The probe behind `dver remote check`: where it stops and what it says."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from dver.errors import BackendError, BackendProblem
from dver.objects.ids import Bytes
from dver.storage.backend import BlobInfo
from dver.storage.check import check_backend
from dver.storage.local import LocalBackend


class Broken(LocalBackend):
    """A backend on which one call fails or answers wrongly."""

    def __init__(self, root: Path, call: str, failure: BackendError | None) -> None:
        super().__init__(root)
        self.call = call
        self.failure = failure

    def _wrong(self, call: str) -> bool:
        if call != self.call:
            return False
        if self.failure is not None:
            raise self.failure
        return True

    def write(self, key: str, pieces: Sequence[Bytes]) -> None:
        self._wrong("write")
        super().write(key, pieces)

    def read(self, key: str) -> bytes:
        return b"wrong" if self._wrong("read") else super().read(key)

    def read_range(self, key: str, offset: int, length: int) -> bytes:
        return super().read_range(key, offset + 1 if self._wrong("range") else offset, length)

    def list(self, prefix: str) -> Iterator[BlobInfo]:
        return iter(()) if self._wrong("list") else super().list(prefix)

    def delete(self, key: str) -> None:
        if not self._wrong("delete"):
            super().delete(key)


NAMES = ["write", "read", "range", "list", "delete"]


def test_a_place_that_works_passes_all_steps_and_stays_clean(tmp_path: Path) -> None:
    steps = check_backend(LocalBackend(tmp_path))
    assert [step.name for step in steps] == NAMES
    assert all(step.ok for step in steps)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_folder_that_was_not_there_is_told_of_and_the_probe_leaves_nothing(tmp_path: Path) -> None:
    first, *_ = check_backend(LocalBackend(tmp_path / "share" / "store"))
    assert first.detail.endswith("; the folder was not there before")
    assert [*(tmp_path / "share" / "store").iterdir()] == []
    first, *_ = check_backend(LocalBackend(tmp_path / "share" / "store"))
    assert "not there" not in first.detail


@pytest.mark.parametrize("name", NAMES)
def test_it_stops_at_the_first_failure_with_what_helps(tmp_path: Path, name: str) -> None:
    failure = BackendError("s3://b", BackendProblem.DENIED, "access is denied", hint="ask for it")
    steps = check_backend(Broken(tmp_path, name, failure))
    assert [step.name for step in steps] == NAMES[: NAMES.index(name) + 1]
    assert [step.ok for step in steps] == [True] * NAMES.index(name) + [False]
    assert steps[-1].detail == "s3://b: access is denied; ask for it"
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(left) == (1 if name == "delete" else 0)


@pytest.mark.parametrize("name", NAMES[1:])
def test_a_wrong_answer_is_a_failure_too(tmp_path: Path, name: str) -> None:
    steps = check_backend(Broken(tmp_path, name, None))
    assert [step.name for step in steps] == NAMES[: NAMES.index(name) + 1]
    assert not steps[-1].ok
    assert "use storage that" in steps[-1].detail


def test_a_failure_without_a_hint_is_told_as_it_is(tmp_path: Path) -> None:
    failure = BackendError("s3://b", BackendProblem.OTHER, "it broke")
    assert check_backend(Broken(tmp_path, "read", failure))[-1].detail == "s3://b: it broke"


def test_not_found_while_writing_means_the_place_itself(tmp_path: Path) -> None:
    failure = BackendError("s3://b", BackendProblem.NOT_FOUND, "probe/x is not there")
    assert check_backend(Broken(tmp_path, "write", failure))[-1].detail.startswith("s3://b: there is no such place")
