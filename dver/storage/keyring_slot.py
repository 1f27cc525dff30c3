"""One key of an encrypted store: the store's master keys, sealed with a passphrase or a key file. No I/O.

What is read here comes from the store's owner, who may be hostile: sizes and the cost of scrypt are bounded before
anything is computed, all that a slot says is covered by the seal, and a tag under the newest master key shows that
somebody who had it made the slot. `docs/design/formats.md` has the fields.
"""

import base64
import binascii
import hashlib
import hmac
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from dver.errors import FormatError, UnsupportedFormatError
from dver.storage.crypt_format import MasterKey
from dver.storage.crypt_primitives import (
    KEY_LENGTH,
    NONCE_LENGTH,
    TAG_LENGTH,
    NotSealedError,
    Sealer,
    derive,
    stretch,
)
from dver.storage.keyring_secrets import Secret, SecretKind

FORMAT = 1
LARGEST_SLOT = 64 * 1024
ID_LENGTH = 16
SALT_LENGTH = 32
LONGEST_LABEL = 100

_KEY_FILE_CONTEXT = b"dver 2026-11 key file v1"
_SLOT_MARK = b"dver 2026-11 key v1\0"
_HKDF = "hkdf-sha256"
_MAC_LENGTH = 32
_CHECK_LENGTH = 32
_FIELDS = {"check", "created", "format", "id", "kdf", "kind", "label", "mac", "sealed"}


@dataclass(frozen=True, slots=True)
class ScryptCost:
    """What it costs to make a key from a passphrase, in scrypt's own parameters."""

    n: int
    r: int = 8
    p: int = 1

    @property
    def work(self) -> int:
        """A number that the time grows with."""
        return self.n * self.r * self.p

    @property
    def is_bearable(self) -> bool:
        """Whether a reader goes along with it: at most 256 MiB of memory, and a few seconds."""
        is_power = self.n & (self.n - 1) == 0
        return _LEAST_N <= self.n <= _MOST_N and is_power and self.r == _R and 1 <= self.p <= _MOST_P


_LEAST_N, _MOST_N, _R, _MOST_P = 1 << 14, 1 << 18, 8, 4
USUAL_COST = ScryptCost(1 << 17)


@dataclass(frozen=True, slots=True)
class Masters:
    """The master keys of a store.

    Attributes:
        history: the fingerprints of all that there ever were, the newest last.
        keys: those that data may still be encrypted with, the newest first.
    """

    history: tuple[str, ...]
    keys: tuple[MasterKey, ...]

    @property
    def newest(self) -> MasterKey:
        """The key that everything is encrypted with from now on."""
        return self.keys[0]


@dataclass(frozen=True, slots=True)
class Slot:
    """A key of a store as it lies there.

    Attributes:
        cost: what it costs to try a passphrase; None for a key file, which needs no stretching.
        check: what only one secret gives. Without it an owner could make a slot that many guesses open, and see from
            what happens next whether the right one is among them.
        mac: what only who has the newest master key can make.
    """

    id: str
    kind: SecretKind
    label: str
    created: str
    salt: bytes
    cost: ScryptCost | None
    check: bytes
    sealed: bytes = field(repr=False)
    mac: bytes = field(repr=False)

    @property
    def head(self) -> bytes:
        """All that the slot says openly, as it is sealed in."""
        return _SLOT_MARK + _canonical(_open_fields(self))


@dataclass(frozen=True, slots=True)
class SlotChoices:
    """What a new slot is made with. Only tests choose what is random otherwise."""

    label: str
    created: str
    cost: ScryptCost = USUAL_COST
    id: str = field(default_factory=lambda: os.urandom(ID_LENGTH).hex())
    salt: bytes = field(default_factory=lambda: os.urandom(SALT_LENGTH))
    nonce: bytes = field(default_factory=lambda: os.urandom(NONCE_LENGTH))


def make_slot(secret: Secret, masters: Masters, choices: SlotChoices) -> Slot:
    """Return a slot that `secret` opens."""
    cost = choices.cost if secret.kind is SecretKind.PASSPHRASE else None
    key, check = _slot_key(secret, choices.salt, cost)
    bare = Slot(choices.id, secret.kind, choices.label, choices.created, choices.salt, cost, check, b"", b"")
    sealed = choices.nonce + Sealer(key).seal(choices.nonce, _encode_masters(masters), bare.head)
    return replace(bare, sealed=sealed, mac=_mac(masters.newest, bare.head, sealed))


def open_slot(slot: Slot, secret: Secret, where: str) -> Masters:
    """Return the master keys in a slot.

    Raises:
        NotSealedError: the secret does not open it.
        FormatError: it opens, and is not what it should be.
    """
    key, check = _slot_key(secret, slot.salt, slot.cost)
    if not hmac.compare_digest(check, slot.check):
        raise NotSealedError
    nonce, sealed = slot.sealed[:NONCE_LENGTH], slot.sealed[NONCE_LENGTH:]
    return _decode_masters(Sealer(key).open(nonce, sealed, slot.head), where)


def is_vouched_for(slot: Slot, key: MasterKey) -> bool:
    """Whether somebody who had this master key made the slot."""
    return hmac.compare_digest(_mac(key, slot.head, slot.sealed), slot.mac)


def encode_slot(slot: Slot) -> bytes:
    """Return the bytes of a slot."""
    fields = {**_open_fields(slot), "mac": slot.mac.hex(), "sealed": base64.b64encode(slot.sealed).decode()}
    return _canonical(fields) + b"\n"


def decode_slot(data: bytes, name: str, where: str) -> Slot:
    """Return the slot that is stored under `name`.

    Raises:
        UnsupportedFormatError: a newer dver made it.
        FormatError: it is none, or one that costs too much to open.
    """
    try:
        fields = json.loads(data) if len(data) <= LARGEST_SLOT else None
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise FormatError(where, "not a key of an encrypted store")
    version = fields.get("format")
    if isinstance(version, int) and version > FORMAT:
        raise UnsupportedFormatError(where, version, FORMAT)
    try:
        slot = _slot(fields)
    except (KeyError, TypeError, ValueError, binascii.Error) as exc:
        raise FormatError(where, "not a key of an encrypted store") from exc
    if slot.id != name or type(version) is not int or version != FORMAT:
        raise FormatError(where, "not a key of an encrypted store, or not this one")
    if slot.cost is not None and not slot.cost.is_bearable:
        raise FormatError(where, "asks for more work or memory than any key needs, or for too little")
    return slot


def _slot(fields: Mapping[str, object]) -> Slot:
    match fields:
        case {
            "check": str(check),
            "created": str(created),
            "id": str(identity),
            "kind": str(kind),
            "label": str(label),
            "mac": str(mac),
            "sealed": str(sealed),
            "kdf": {"salt": str(salt), **kdf},
        } if fields.keys() == _FIELDS and len(label) <= LONGEST_LABEL and len(created) <= LONGEST_LABEL:
            slot = Slot(
                *(identity, SecretKind(kind), label, created, bytes.fromhex(salt)),
                cost=_cost(SecretKind(kind), kdf),
                check=bytes.fromhex(check),
                sealed=base64.b64decode(sealed, validate=True),
                mac=bytes.fromhex(mac),
            )
            sizes = (len(slot.salt), len(slot.mac), len(slot.check))
            is_sized = sizes == (SALT_LENGTH, _MAC_LENGTH, _CHECK_LENGTH)
            if is_sized and len(slot.sealed) > NONCE_LENGTH + TAG_LENGTH:
                return slot
    raise ValueError("fields")


def _cost(kind: SecretKind, kdf: Mapping[object, object]) -> ScryptCost | None:
    match kdf:
        case {"name": "scrypt", "n": int(n), "r": int(r), "p": int(p)} if kind is SecretKind.PASSPHRASE:
            return ScryptCost(n, r, p)
        case {"name": str(name)} if name == _HKDF and kind is SecretKind.KEY_FILE:
            return None
    raise ValueError("kdf")


def _open_fields(slot: Slot) -> dict[str, object]:
    kdf: dict[str, object] = {"name": _HKDF}
    if slot.cost is not None:
        kdf = {"name": "scrypt", "n": slot.cost.n, "r": slot.cost.r, "p": slot.cost.p}
    return {
        "check": slot.check.hex(),
        "created": slot.created,
        "format": FORMAT,
        "id": slot.id,
        "kdf": {**kdf, "salt": slot.salt.hex()},
        "kind": slot.kind.value,
        "label": slot.label,
    }


def _slot_key(secret: Secret, salt: bytes, cost: ScryptCost | None) -> tuple[bytes, bytes]:
    """Return the key that seals a slot, and what shows that a secret is the right one."""
    length = KEY_LENGTH + _CHECK_LENGTH
    if cost is None:
        made = derive(secret.data, _KEY_FILE_CONTEXT, salt=salt, length=length)
    else:
        made = stretch(secret.data, salt, n=cost.n, r=cost.r, p=cost.p, length=length)
    return made[:KEY_LENGTH], made[KEY_LENGTH:]


def _mac(key: MasterKey, head: bytes, sealed: bytes) -> bytes:
    return hmac.digest(key.of_keys, hashlib.sha256(head).digest() + sealed, "sha256")


def _encode_masters(masters: Masters) -> bytes:
    secrets = {key.fingerprint: key.secret.hex() for key in masters.keys}
    known = [{"fingerprint": name} | ({"key": secrets[name]} if name in secrets else {}) for name in masters.history]
    return _canonical({"masters": known})


def _decode_masters(data: bytes, where: str) -> Masters:
    history: list[str] = []
    keys: list[MasterKey] = []
    try:
        for master in json.loads(data)["masters"]:
            history.append(str(master["fingerprint"]))
            if "key" in master:
                keys.insert(0, _master(master["key"], history[-1]))
    except (KeyError, TypeError, ValueError) as exc:
        raise FormatError(where, "opens, and holds no master keys") from exc
    if not keys or keys[0].fingerprint != history[-1]:
        raise FormatError(where, "opens, and lacks the newest master key")
    return Masters(tuple(history), tuple(keys))


def _master(digits: str, fingerprint: str) -> MasterKey:
    secret = bytes.fromhex(digits)
    key = MasterKey(secret)
    if len(secret) != KEY_LENGTH or key.fingerprint != fingerprint:
        raise ValueError("master key")
    return key


def _canonical(fields: Mapping[str, object]) -> bytes:
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
