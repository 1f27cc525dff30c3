"""What is read of an encrypted store before and after its keys are known."""

import json
from contextlib import suppress
from functools import cache

from dver.storage.crypt import CryptBackend
from dver.storage.crypt_format import MasterKey
from dver.storage.crypt_primitives import NotSealedError
from dver.storage.keyring import read_slots
from dver.storage.keyring_secrets import Secret, SecretKind
from dver.storage.keyring_slot import (
    Masters,
    SlotChoices,
    decode_slot,
    encode_slot,
    is_vouched_for,
    make_slot,
    open_slot,
)
from tests.encryption import CHEAP, KEY, open_or_create
from tests.fuzz.files import MemoryBackend
from tests.fuzz.formats import JSON_WORDS
from tests.fuzz.target import Target

_MASTER = MasterKey(bytes(range(32)))
_MASTERS = Masters((_MASTER.fingerprint,), (_MASTER,))
_ID, _SALT, _NONCE = "00" * 16, bytes(32), bytes(12)
_PASSPHRASE = Secret(SecretKind.PASSPHRASE, b"correct horse", "the passphrase")
_SLOT_WORDS = (b'"kdf"', b'"n": 1048576', b'"scrypt"', b'"hkdf-sha256"', b'"key-file"', b'"passphrase"', b"00" * 32)
_BLOB = "packs/00/" + "00" * 32 + ".pack"


def _slot_of(secret: Secret) -> bytes:
    choices = SlotChoices("a label", "2026-11-23T13:00:00Z", CHEAP, _ID, _SALT, _NONCE)
    return encode_slot(make_slot(secret, _MASTERS, choices))


def _parse_slot(data: bytes) -> None:
    slot = decode_slot(data, _ID, "the key")
    is_vouched_for(slot, _MASTER)
    # A passphrase is tried in a tenth of a second: none of what follows depends on which kind of secret it is.
    if slot.kind is SecretKind.KEY_FILE:
        with suppress(NotSealedError):
            open_slot(slot, KEY, "the key")


def _parse_slots(data: bytes) -> None:
    backend = MemoryBackend()
    backend.blobs = {f"keys/{_ID}": data, "keys/" + data[:60].decode("latin-1"): data}
    found = read_slots(backend)
    assert len(found.good) + len(found.bad) <= len(backend.blobs)


def _mend_slot(data: bytes) -> bytes:
    """Let a slot have the fields it should have, as far as it still is one."""
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError):
        return data
    if not isinstance(fields, dict):
        return data
    return json.dumps({"id": _ID, "format": 1, **fields}).encode()


_RING = open_or_create(MemoryBackend())
_STORED = _RING.masters.newest.stored_key(_BLOB)


def _view(backend: MemoryBackend) -> CryptBackend:
    return CryptBackend(backend, lambda: _RING)


@cache
def _sealed() -> bytes:
    backend = MemoryBackend()
    _view(backend).write(_BLOB, [b"plain " * 20_000])
    return backend.blobs[_STORED]


def _parse_blob(data: bytes) -> None:
    backend = MemoryBackend()
    backend.blobs = {_STORED: data, "packs/" + data[:80].decode("latin-1"): data}
    view = _view(backend)
    assert all(info.size >= 0 for info in view.list("packs/"))
    view.size(_BLOB)
    view.read_range(_BLOB, 70_000, 10)
    view.read(_BLOB)


TARGETS = {
    "key-slot": Target(_parse_slot, [_slot_of(KEY), _slot_of(_PASSPHRASE)], (*JSON_WORDS, *_SLOT_WORDS), _mend_slot),
    "key-slots": Target(_parse_slots, [_slot_of(KEY)], (*JSON_WORDS, *_SLOT_WORDS), _mend_slot),
    "sealed-blob": Target(_parse_blob, [_sealed()], (bytes(16),)),
}
