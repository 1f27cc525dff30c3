"""What repositories said that they name: all of it is read, however they say it meanwhile."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dver.errors import LockedError
from dver.objects.ids import VersionId
from dver.storage.backend import BlobInfo
from dver.storage.local import LocalBackend
from dver.storage.registrations import Registrant, encode_registration, registrant_id, registrations

ANN = Registrant(registrant_id("a" * 32, "place of ann"))
BOB = Registrant(registrant_id("b" * 32, "place of bob"))


def version(number: int) -> VersionId:
    return VersionId(bytes([number]) * 32)


def say(backend: LocalBackend, by: Registrant, number: int) -> str:
    key, data = encode_registration(by, [version(number)])
    backend.write(key, [data])
    return key


class Moving(LocalBackend):
    """A folder where files come and go while it is listed, and are missed: those that `meanwhile` writes or deletes."""

    meanwhile: Callable[[], None]

    def list(self, prefix: str) -> Iterator[BlobInfo]:
        before = {info.key: info for info in super().list(prefix)}
        self.meanwhile()
        after = {info.key for info in super().list(prefix)}
        return iter([info for key, info in before.items() if key in after])


def test_a_repository_whose_file_is_replaced_meanwhile_is_not_missed(tmp_path: Path) -> None:
    backend = Moving(tmp_path)
    old = say(backend, ANN, 1)
    say(backend, BOB, 2)

    def replace() -> None:
        say(backend, ANN, 3)
        backend.delete(old)

    backend.meanwhile = replace
    assert {one.by.id: one.versions for one in registrations(backend)} == {
        ANN.id: {version(3)},
        BOB.id: {version(2)},
    }


def test_where_that_never_ends_nothing_is_told(tmp_path: Path) -> None:
    backend = Moving(tmp_path)
    said = [say(backend, ANN, 0)]
    backend.meanwhile = lambda: said.append(say(backend, ANN, len(said)))
    with pytest.raises(LockedError, match="all the time"):
        registrations(backend)
