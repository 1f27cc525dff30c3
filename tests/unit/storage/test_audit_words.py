"""An audit names what repositories and garbage collections left in a store and nobody can read."""

from pathlib import Path

import pytest

from dver.objects.ids import VersionId
from dver.storage.audit import audit
from dver.storage.audit_findings import Problem, Thing
from dver.storage.condemned import (
    Condemned,
    CondemnedList,
    Holder,
    gc_key,
    new_name,
    write_lease,
    write_list,
    write_rescue,
    write_sweep,
)
from dver.storage.registrations import Registrant, encode_registration, registrant_id
from tests.stores import FILES, StorePlace, encrypted_place, local_place, store_files

NAME = new_name(0)


@pytest.fixture(params=["plain", "encrypted"])
def place(tmp_path: Path, request: pytest.FixtureRequest) -> StorePlace:
    made = local_place(tmp_path / "store")
    made = encrypted_place(made) if request.param == "encrypted" else made
    backend = made.open().backend
    store_files(made.open(), FILES)
    key, data = encode_registration(Registrant(registrant_id("a" * 32, "place")), [VersionId(bytes(32))])
    backend.write(key, [data])
    write_list(backend, CondemnedList(NAME, "a test", 0, (), ()))
    write_sweep(backend, NAME, {NAME: Condemned()})
    write_rescue(backend, NAME, [NAME], "a test")
    write_lease(backend, NAME, Holder("a test"))
    return made


def test_what_can_be_read_is_no_finding(place: StorePlace) -> None:
    assert audit(place.open()).findings == ()
    place.close()


def test_what_cannot_be_read_is_named(place: StorePlace) -> None:
    backend = place.open().backend
    keys = [info.key for folder in ("roots/", "gc/") for info in backend.list(folder)]
    for key in keys:
        data = backend.read(key)
        backend.delete(key)
        backend.write(key, [b"x" * len(data)])
    found = audit(place.open()).findings
    place.close()
    assert {(one.thing, one.problem, one.key) for one in found} == {
        (Thing.REPOSITORY if key.startswith("roots/") else Thing.GARBAGE, Problem.DAMAGED, key) for key in keys
    }
    assert gc_key(NAME, "list") in keys
