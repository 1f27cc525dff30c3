"""Fixtures for the contract tests of stores."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stores import StorePlace, local_place, memory_place, s3_place


@pytest.fixture(params=["local", "memory"])
def near_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StorePlace]:
    """An empty location in a folder, or in memory, where each call counts as a round trip."""
    place = local_place(tmp_path) if request.param == "local" else memory_place(tmp_path)
    yield place
    place.close()


@pytest.fixture(params=["local", "memory", pytest.param("s3", marks=pytest.mark.s3)])
def store_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StorePlace]:
    """An empty location of each kind for a store."""
    if request.param == "s3":
        place = s3_place(request.getfixturevalue("s3_server"), request.getfixturevalue("s3_bucket"), tmp_path)
    else:
        place = local_place(tmp_path) if request.param == "local" else memory_place(tmp_path)
    yield place
    place.close()
