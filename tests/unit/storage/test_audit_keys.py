"""An audit of what opens an encrypted store: keys that cannot be used, and a store that is taken for a plain one."""

from dataclasses import replace
from pathlib import Path

import pytest

from dver.storage.audit import audit
from dver.storage.audit_findings import Finding, Problem, Thing
from dver.storage.backend import Backend
from dver.storage.crypt import CryptBackend
from dver.storage.description import DESCRIPTION_KEY
from dver.storage.keyring import KEYS, add_slot, read_slots, rotate_keyring
from dver.storage.keyring_slot import encode_slot
from tests.encryption import KEY, OTHER_KEY, encryption
from tests.stores import FILES, StorePlace, encrypted_place, local_place, store_files


@pytest.fixture
def place(tmp_path: Path) -> StorePlace:
    made = encrypted_place(local_place(tmp_path / "sealed"))
    store_files(made.open(), FILES)
    return made


def crypt_of(place: StorePlace) -> CryptBackend:
    backend = place.make()
    assert isinstance(backend, CryptBackend)
    return backend


def findings(place: StorePlace) -> tuple[Finding, ...]:
    found = audit(place.open()).findings
    place.close()
    return found


def put(backend: Backend, key: str, data: bytes) -> None:
    backend.delete(key)
    backend.write(key, [data])


def test_several_good_keys_are_no_finding(place: StorePlace) -> None:
    crypt = crypt_of(place)
    add_slot(crypt.inner, crypt.keyring, OTHER_KEY, label="another")
    assert findings(place) == ()


def test_a_damaged_key_is_named(place: StorePlace) -> None:
    crypt = crypt_of(place)
    key = KEYS + add_slot(crypt.inner, crypt.keyring, OTHER_KEY, label="another").id
    put(crypt.inner, key, crypt.inner.read(key)[:-20])
    (found,) = findings(place)
    assert (found.thing, found.problem, found.key) == (Thing.KEY, Problem.DAMAGED, key)
    assert "not a key" in found.detail


def test_a_key_from_before_a_rotation_that_is_put_back_is_named(place: StorePlace) -> None:
    crypt = crypt_of(place)
    old = add_slot(crypt.inner, crypt.keyring, OTHER_KEY, label="another")
    rotate_keyring(crypt.inner, encryption(), crypt.keyring, KEY)
    assert findings(place) == ()
    put(crypt.inner, KEYS + old.id, encode_slot(old))
    (found,) = findings(place)
    assert (found.thing, found.key, found.detail) == (
        Thing.KEY,
        KEYS + old.id,
        "was not made with the newest master key",
    )


def test_a_key_that_somebody_else_changed_is_named(place: StorePlace) -> None:
    crypt = crypt_of(place)
    slot = add_slot(crypt.inner, crypt.keyring, OTHER_KEY, label="another")
    put(crypt.inner, KEYS + slot.id, encode_slot(replace(slot, label="a trusted colleague")))
    assert [one.key for one in findings(place)] == [KEYS + slot.id]
    assert len(read_slots(crypt.inner).good) == 2


@pytest.mark.parametrize(
    ("data", "problem"), [(None, Problem.MISSING), (b'{"format": 1}', Problem.DAMAGED), (b"\0", Problem.DAMAGED)]
)
def test_a_store_that_does_not_say_that_it_is_encrypted_is_a_finding(
    place: StorePlace, data: bytes | None, problem: Problem
) -> None:
    inner = crypt_of(place).inner
    inner.delete(DESCRIPTION_KEY)
    if data is not None:
        inner.write(DESCRIPTION_KEY, [data])
    (found,) = findings(place)
    assert (found.thing, found.problem, found.key) == (Thing.DESCRIPTION, problem, DESCRIPTION_KEY)
