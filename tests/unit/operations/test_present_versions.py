"""Asking a store which versions it has: no more requests than are needed, however many versions others stored."""

from pathlib import Path

import pytest

from dver.errors import BackendError, BackendProblem
from dver.objects.ids import VersionId
from dver.operations.status import present_versions
from dver.storage.markers import MOST_ASKED, VersionMarkers, version_key
from tests.stores import StorePlace, WatchedBackend, local_place, memory_place


def version(number: int) -> VersionId:
    return VersionId(number.to_bytes(32, "big"))


@pytest.fixture(params=[local_place, memory_place], ids=["local", "far"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> WatchedBackend:
    """A place with the markers of every twentieth number."""
    place: StorePlace = request.param(tmp_path)
    watched = WatchedBackend(place.make())
    for number in range(0, 600, 20):
        watched.write(version_key(version(number)), [b"{}"])
    watched.calls.clear()
    return watched


@pytest.mark.parametrize("count", [1, 2, 3, MOST_ASKED])
def test_each_of_some_is_asked_for_once(backend: WatchedBackend, count: int) -> None:
    wanted = [version(number) for number in range(count)]
    found = present_versions(VersionMarkers(backend), [*wanted, *wanted])
    assert found == {version(number) for number in range(0, count, 20)}
    assert sorted(backend.asked("read")) == [version_key(one) for one in wanted]
    assert backend.asked("list") == []


def test_of_very_many_all_are_listed_once(backend: WatchedBackend) -> None:
    found = present_versions(VersionMarkers(backend), [version(number) for number in range(MOST_ASKED + 1)])
    assert found == {version(number) for number in range(0, MOST_ASKED + 1, 20)}
    assert (backend.asked("list"), backend.asked("read")) == (["versions/"], [])


def test_none_cost_nothing(backend: WatchedBackend) -> None:
    assert present_versions(VersionMarkers(backend), []) == set()
    assert backend.calls == []


def test_who_is_refused_is_so_at_the_first(backend: WatchedBackend) -> None:
    def refuse(_verb: str, _key: str) -> None:
        raise BackendError("there", BackendProblem.DENIED, "no")

    backend.before = refuse
    with pytest.raises(BackendError):
        present_versions(VersionMarkers(backend), [version(number) for number in range(9)])
    assert len(backend.calls) == 1
