"""The keys of an encrypted store: what opens it and what does not, and what an owner who meddles with them achieves."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dver.errors import ConfigError, DverError, FormatError, IntegrityError, UnsupportedFormatError
from dver.storage import keyring_slot
from dver.storage.backend import Backend
from dver.storage.crypt import CryptBackend
from dver.storage.crypt_primitives import NotSealedError, Sealer, derive
from dver.storage.description import DESCRIPTION_KEY
from dver.storage.keyring import (
    KEYS,
    OpenKeyring,
    add_slot,
    create_keyring,
    describe,
    find_slot,
    open_keyring,
    read_slots,
    remove_slot,
    rotate_keyring,
    slot_text,
    vouched,
)
from dver.storage.keyring_secrets import Secret, SecretKind, as_passphrase
from dver.storage.keyring_slot import ScryptCost, decode_slot, encode_slot, is_vouched_for, open_slot
from dver.storage.local import LocalBackend
from tests.encryption import CHEAP, KEY, OTHER_KEY, encryption

PASSPHRASE = as_passphrase("correct horse", "the passphrase")
WRONG = as_passphrase("wrong horse", "the passphrase")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[LocalBackend]:
    backend = LocalBackend(tmp_path / "store")
    yield backend
    backend.close()


@pytest.fixture
def ring(place: LocalBackend) -> OpenKeyring:
    return create_keyring(place, encryption(), KEY, label="first")


def slots(place: Backend) -> list[str]:
    return sorted(info.key for info in place.list(KEYS))


def put(place: Backend, key: str, data: bytes) -> None:
    place.delete(key)
    place.write(key, [data])


def fields_of(place: Backend, identity: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(place.read(KEYS + identity))
    return found


def test_what_made_the_keys_opens_them(place: LocalBackend, ring: OpenKeyring) -> None:
    opened = open_keyring(place, encryption())
    assert opened.masters.newest.secret == ring.masters.newest.secret
    assert opened.slot == ring.slot
    assert (opened.slot.label, opened.slot.kind) == ("first", SecretKind.KEY_FILE)


def test_any_of_several_keys_opens_the_same(place: LocalBackend, ring: OpenKeyring) -> None:
    add_slot(place, ring, PASSPHRASE, label="laptop", cost=CHEAP)
    add_slot(place, ring, OTHER_KEY, label="ci")
    for secret in (KEY, OTHER_KEY, PASSPHRASE):
        assert open_keyring(place, encryption(secret)).masters.newest.secret == ring.masters.newest.secret


def test_no_secret_lies_there_unsealed(place: LocalBackend, ring: OpenKeyring) -> None:
    add_slot(place, ring, PASSPHRASE, label="", cost=CHEAP)
    rotated = rotate_keyring(place, encryption(), ring, KEY)
    seen = b"".join(place.read(key) for key in slots(place))
    for secret in (KEY.data, PASSPHRASE.data, *(key.secret for key in rotated.masters.keys)):
        assert secret not in seen
        assert secret.hex().encode() not in seen


def test_a_wrong_passphrase_is_told_with_the_keys_that_there_are(place: LocalBackend, ring: OpenKeyring) -> None:
    add_slot(place, ring, PASSPHRASE, label="laptop", cost=CHEAP)
    with pytest.raises(ConfigError, match="the passphrase does not open remote test") as caught:
        open_keyring(place, encryption(WRONG))
    assert "laptop" in str(caught.value.hint)
    assert "nobody can read" in str(caught.value.hint)
    assert "wrong horse" not in caught.value.message + str(caught.value.hint)


def test_several_answers_are_tried(place: LocalBackend, ring: OpenKeyring) -> None:
    assert open_keyring(place, encryption(OTHER_KEY, KEY)).secret is KEY


def test_a_place_with_data_gets_no_first_key(place: LocalBackend) -> None:
    place.write("packs/4f/x.pack", [b"plain"])
    with pytest.raises(ConfigError, match="holds packs/"):
        create_keyring(place, encryption(), KEY, label="")
    assert slots(place) == []


def test_a_plain_store_is_refused_where_encryption_is_set(place: LocalBackend) -> None:
    place.write(DESCRIPTION_KEY, [b'{"chunker": {}, "format": 1}'])
    with pytest.raises(ConfigError, match="not encrypted, and the settings say that it is"):
        open_keyring(place, encryption())
    with pytest.raises(ConfigError, match="not encrypted"):
        describe(place)


def test_two_who_set_up_keys_at_once_do_not_end_with_two_master_keys(place: LocalBackend) -> None:
    class Late:
        """Between the look and the write, somebody else is faster."""

        def __getattr__(self, name: str) -> Any:
            return getattr(place, name)

        def write(self, key: str, pieces: Any) -> None:
            if key.startswith(KEYS):
                create_keyring(place, encryption(), OTHER_KEY, label="")
            place.write(key, pieces)

    late: Any = Late()
    with pytest.raises(ConfigError, match="just now"):
        create_keyring(late, encryption(), KEY, label="")
    assert len(slots(place)) == 1
    assert open_keyring(place, encryption(OTHER_KEY))


def test_an_empty_place_says_how_to_set_it_up(place: LocalBackend) -> None:
    with pytest.raises(ConfigError, match="has no keys yet") as caught:
        open_keyring(place, encryption())
    assert caught.value.hint == "dver remote key init test"


@pytest.mark.parametrize("known", ["pinned", "described"])
def test_keys_that_are_gone_are_told_as_gone(place: LocalBackend, ring: OpenKeyring, known: str) -> None:
    for key in slots(place):
        place.delete(key)
    if known == "pinned":
        place.delete(DESCRIPTION_KEY)
    with pytest.raises(ConfigError, match="are gone") as caught:
        open_keyring(place, encryption(pinned=ring.masters.newest.fingerprint if known == "pinned" else None))
    assert "nobody can read" in str(caught.value.hint)


def test_the_last_key_that_is_known_to_work_is_not_removed(place: LocalBackend, ring: OpenKeyring) -> None:
    other = add_slot(place, ring, OTHER_KEY, label="")
    with pytest.raises(ConfigError, match="opened the store just now"):
        remove_slot(place, ring, ring.slot.id)
    remove_slot(place, ring, other.id)
    assert slots(place) == [KEYS + ring.slot.id]
    with pytest.raises(ConfigError, match="does not open"):
        open_keyring(place, encryption(OTHER_KEY))


def test_rotation_leaves_one_key_and_all_master_keys(place: LocalBackend, ring: OpenKeyring) -> None:
    add_slot(place, ring, OTHER_KEY, label="")
    rotated = rotate_keyring(place, encryption(), ring, PASSPHRASE, cost=CHEAP)
    assert slots(place) == [KEYS + rotated.slot.id]
    opened = open_keyring(place, encryption(PASSPHRASE))
    assert [key.secret for key in opened.masters.keys] == [rotated.masters.newest.secret, ring.masters.newest.secret]
    assert opened.masters.history == (ring.masters.newest.fingerprint, rotated.masters.newest.fingerprint)
    for secret in (KEY, OTHER_KEY):
        with pytest.raises(ConfigError, match="does not open"):
            open_keyring(place, encryption(secret))


def test_an_old_key_that_was_put_back_is_refused_by_who_knows_of_the_newer(
    place: LocalBackend, ring: OpenKeyring, tmp_path: Path
) -> None:
    old = place.read(KEYS + ring.slot.id)
    seen = tmp_path / "seen.key"
    rotated = rotate_keyring(place, encryption(seen=seen), ring, KEY)
    for key in slots(place):
        place.delete(key)
    place.write(KEYS + ring.slot.id, [old])
    for known in (encryption(pinned=rotated.masters.newest.fingerprint), encryption(seen=seen)):
        with pytest.raises(IntegrityError, match="older than the ones known here"):
            open_keyring(place, known)


def test_an_old_key_beside_the_new_one_is_passed_over(place: LocalBackend, ring: OpenKeyring) -> None:
    # As after a rotation that was cut off before the old key was deleted, whatever their order.
    old = place.read(KEYS + ring.slot.id)
    rotated = rotate_keyring(place, encryption(), ring, KEY)
    place.write(KEYS + ring.slot.id, [old])
    for pinned in (None, ring.masters.newest.fingerprint, rotated.masters.newest.fingerprint):
        assert open_keyring(place, encryption(pinned=pinned)).slot == rotated.slot
    assert vouched([ring.slot, rotated.slot], rotated.masters) == {ring.slot.id: False, rotated.slot.id: True}


def test_what_this_machine_saw_counts_where_the_settings_lag_behind(
    place: LocalBackend, ring: OpenKeyring, tmp_path: Path
) -> None:
    seen = tmp_path / "index" / "seen.key"
    old = place.read(KEYS + ring.slot.id)
    first = ring.masters.newest.fingerprint
    rotated = rotate_keyring(place, encryption(), ring, KEY)
    opened = open_keyring(place, encryption(pinned=first, seen=seen))
    assert opened.masters.newest.fingerprint == rotated.masters.newest.fingerprint == seen.read_text().strip()
    put(place, KEYS + rotated.slot.id, b"")
    place.write(KEYS + ring.slot.id, [old])
    with pytest.raises(IntegrityError):
        open_keyring(place, encryption(pinned=first, seen=seen))


def test_keys_of_another_store_are_refused(place: LocalBackend, ring: OpenKeyring, tmp_path: Path) -> None:
    other = LocalBackend(tmp_path / "other")
    foreign = create_keyring(other, encryption(), KEY, label="")
    with pytest.raises(IntegrityError, match="another store"):
        open_keyring(other, encryption(pinned=ring.masters.newest.fingerprint))
    assert foreign.masters.newest.secret != ring.masters.newest.secret
    other.close()


@pytest.mark.parametrize("change", ["label", "created", "kind", "sealed", "salt", "n", "check"])
def test_a_slot_that_was_changed_does_not_open(place: LocalBackend, ring: OpenKeyring, change: str) -> None:
    slot = add_slot(place, ring, PASSPHRASE, label="laptop", cost=CHEAP)
    changed = {
        "label": replace(slot, label="desktop"),
        "created": replace(slot, created="2020-01-01T00:00:00Z"),
        "kind": replace(slot, kind=SecretKind.KEY_FILE, cost=None),
        "sealed": replace(slot, sealed=slot.sealed[:-1] + bytes([slot.sealed[-1] ^ 1])),
        "salt": replace(slot, salt=bytes(32)),
        "check": replace(slot, check=bytes(32)),
        "n": replace(slot, cost=ScryptCost(1 << 15)),
    }[change]
    assert not is_vouched_for(changed, ring.masters.newest)
    with pytest.raises(NotSealedError):
        open_slot(changed, PASSPHRASE, "here")


@pytest.mark.parametrize(
    "cost",
    [
        {"n": 1 << 30},
        {"n": 1 << 19},
        {"n": (1 << 17) + 1},
        {"n": 2},
        {"n": 0},
        {"n": -(1 << 17)},
        {"r": 1 << 20},
        {"r": 0},
        {"p": 1000},
        {"p": 0},
        {"n": 1 << 17, "r": 64},
    ],
)
def test_an_absurd_cost_is_refused_before_anything_is_computed(
    place: LocalBackend, ring: OpenKeyring, cost: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    slot = add_slot(place, ring, PASSPHRASE, label="", cost=CHEAP)
    fields = fields_of(place, slot.id)
    fields["kdf"].update(cost)
    remove_slot(place, ring, slot.id)
    for key in slots(place):
        place.delete(key)
    place.write(KEYS + slot.id, [json.dumps(fields).encode()])
    monkeypatch.setattr(keyring_slot, "stretch", lambda *_args, **_kwargs: pytest.fail("computed"))
    with pytest.raises(FormatError, match="more work or memory"):
        open_keyring(place, encryption(PASSPHRASE))


def test_many_slots_cost_no_more_than_some_seconds(
    place: LocalBackend, ring: OpenKeyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    dear = ScryptCost(1 << 18, 8, 4)
    work = []

    def stretch(_passphrase: bytes, _salt: bytes, *, n: int, r: int, p: int, length: int) -> bytes:
        work.append(n * r * p)
        return bytes(length)

    monkeypatch.setattr(keyring_slot, "stretch", stretch)
    for number in range(70):
        slot = add_slot(place, ring, Secret(SecretKind.PASSPHRASE, bytes([number]), "x"), label="", cost=dear)
        put(place, KEYS + slot.id, encode_slot(replace(slot, sealed=bytes(len(slot.sealed)))))
    work.clear()
    with pytest.raises(ConfigError, match="does not open"):
        open_keyring(place, encryption(PASSPHRASE))
    assert 0 < sum(work) <= 32 * (1 << 17) * 8


GARBAGE = [b"", b"{", b"[]", b"null", b"\xff", b"{}", b"[" * 100_000, b'{"format": 1}', b"9" * 10_000]


@pytest.mark.parametrize("data", GARBAGE)
def test_what_is_no_key_is_refused_and_costs_no_other_key(place: LocalBackend, ring: OpenKeyring, data: bytes) -> None:
    name = "0" * 32
    place.write(KEYS + name, [data])
    place.write(f"{KEYS}not-a-key", [data])
    found = read_slots(place)
    assert [slot.id for slot in found.good] == [ring.slot.id]
    assert [bad for bad, _ in found.bad] == [name]
    assert open_keyring(place, encryption()).slot == ring.slot
    assert find_slot(found, "000") == name


@pytest.mark.parametrize(
    "change",
    [
        {"format": 0},
        {"format": "1"},
        {"format": True},
        {"id": "1" * 32},
        {"kind": "retina"},
        {"kind": "passphrase"},
        {"label": "x" * 101},
        {"label": None},
        {"created": "x" * 1000},
        {"mac": "00"},
        {"check": "00"},
        {"mac": "zz" * 32},
        {"sealed": "!!!!"},
        {"sealed": ""},
        {"kdf": {}},
        {"kdf": {"name": "none", "salt": "00" * 32}},
        {"kdf": {"name": "hkdf-sha256", "salt": "00"}},
        {"more": 1},
    ],
)
def test_fields_that_no_key_has_are_refused(ring: OpenKeyring, change: dict[str, Any]) -> None:
    fields = json.loads(encode_slot(ring.slot)) | change
    with pytest.raises(FormatError):
        decode_slot(json.dumps(fields).encode(), ring.slot.id, "keys/x")


def test_a_key_of_a_newer_dver_is_named_as_that(place: LocalBackend, ring: OpenKeyring) -> None:
    fields = json.loads(encode_slot(ring.slot)) | {"format": 2}
    put(place, KEYS + ring.slot.id, json.dumps(fields).encode())
    with pytest.raises(UnsupportedFormatError):
        open_keyring(place, encryption())


def test_a_slot_is_read_back_as_it_was_written(ring: OpenKeyring) -> None:
    assert decode_slot(encode_slot(ring.slot), ring.slot.id, "here") == ring.slot
    with pytest.raises(FormatError):
        decode_slot(encode_slot(ring.slot), "f" * 32, "here")


def test_a_huge_key_is_not_read(place: LocalBackend, ring: OpenKeyring, monkeypatch: pytest.MonkeyPatch) -> None:
    place.write(KEYS + "0" * 32, [bytes(1 << 20)])
    read: list[str] = []
    original = LocalBackend.read

    def note(self: LocalBackend, key: str) -> bytes:
        read.append(key)
        return original(self, key)

    monkeypatch.setattr(LocalBackend, "read", note)
    assert open_keyring(place, encryption())
    assert read == [KEYS + ring.slot.id]


def test_keys_are_found_by_the_beginning_of_their_ids(place: LocalBackend, ring: OpenKeyring) -> None:
    other = add_slot(place, ring, OTHER_KEY, label="ci")
    found = read_slots(place)
    assert find_slot(found, other.id) == find_slot(found, other.id[:12]) == other.id
    for beginning in ("", "xyz"):
        with pytest.raises(ConfigError, match="begins"):
            find_slot(found, beginning)
    assert slot_text(other) == f'{other.id[:8]} (key-file, "ci")'


@pytest.mark.parametrize("label", ["x" * 101, "two\nlines", "\x1b[31m"])
def test_labels_that_lists_could_not_show_are_refused(place: LocalBackend, ring: OpenKeyring, label: str) -> None:
    with pytest.raises(ConfigError, match="label"):
        add_slot(place, ring, OTHER_KEY, label=label)


def test_a_file_of_what_was_seen_that_cannot_be_read_is_none(
    place: LocalBackend, ring: OpenKeyring, tmp_path: Path
) -> None:
    (tmp_path / "seen").write_bytes(b"\xff\xfe")
    assert open_keyring(place, encryption(seen=tmp_path / "seen"))
    (tmp_path / "file").write_text("")
    assert open_keyring(place, encryption(seen=tmp_path / "file" / "seen"))


def test_errors_of_keys_are_dver_errors(place: LocalBackend, ring: OpenKeyring) -> None:
    backend = CryptBackend(place, lambda: open_keyring(place, encryption(OTHER_KEY)))
    for call in (lambda: backend.read("packs/x"), lambda: backend.write("packs/x", [b""]), lambda: [*backend.list("")]):
        with pytest.raises(DverError):
            call()


def test_a_slot_opens_for_one_secret_even_if_its_seal_would_open_for_more(ring: OpenKeyring) -> None:
    # AES-GCM alone lets somebody who knows several keys make one text that opens under all of them.
    forged = replace(ring.slot, check=bytes(32))
    key = derive(KEY.data, b"dver 2026-11 key file v1", salt=forged.salt, length=64)[:32]
    nonce = bytes(12)
    forged = replace(forged, sealed=nonce + Sealer(key).seal(nonce, b'{"masters":[]}', forged.head))
    with pytest.raises(NotSealedError):
        open_slot(forged, KEY, "here")
