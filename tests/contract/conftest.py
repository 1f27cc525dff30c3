"""Fixtures for the contract tests of stores."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stores import StorePlace, encrypted_place, local_place, memory_place, s3_place

_S3 = [pytest.param(name, marks=pytest.mark.s3) for name in ("s3", "encrypted-s3")]


@pytest.fixture(params=["local", "memory", "encrypted-local", "encrypted-memory"])
def near_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StorePlace]:
    """An empty location in a folder, or in memory, where each call counts as a round trip; plain or encrypted."""
    yield from _place(request, tmp_path)


@pytest.fixture(params=["local", "memory", "encrypted-local", "encrypted-memory", *_S3])
def store_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StorePlace]:
    """An empty location of each kind for a store."""
    yield from _place(request, tmp_path)


@pytest.fixture(params=["local", "memory", "encrypted-local", "encrypted-memory", _S3[0]])
def some_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StorePlace]:
    """The same for tests with many cases: what is encrypted is tried on the kinds that are quick."""
    yield from _place(request, tmp_path)


def _place(request: pytest.FixtureRequest, folder: Path) -> Iterator[StorePlace]:
    kind = str(request.param).removeprefix("encrypted-")
    if kind == "s3":
        place = s3_place(request.getfixturevalue("s3_server"), request.getfixturevalue("s3_bucket"), folder)
    else:
        place = local_place(folder) if kind == "local" else memory_place(folder)
    if request.param != kind:
        place = encrypted_place(place)
    yield place
    place.close()
