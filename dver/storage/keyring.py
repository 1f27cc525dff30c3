"""The keys of an encrypted store: blobs `keys/<id>`, each the master keys sealed with one passphrase or key file.

No master key ever lies there unsealed, and none is made from a passphrase: any number of them open the same store, and
come and go without anything being encrypted anew. A slot is never changed, only added and deleted.

The store's owner may serve any slot that there ever was. So whoever opens a store holds its master keys against those
that are known: the fingerprint in the settings, and the one that this machine saw last. Every master key that there
ever was is named by each later slot, so a slot that lacks a known one is older than what is known, and refused.
"""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from dver.errors import ConfigError, DverError, FormatError, IntegrityError
from dver.storage.backend import Backend, settle
from dver.storage.crypt_format import MasterKey
from dver.storage.crypt_primitives import KEY_LENGTH, NotSealedError
from dver.storage.description import DESCRIPTION_KEY
from dver.storage.keyring_secrets import Encryption, Secret
from dver.storage.keyring_slot import (
    ID_LENGTH,
    LARGEST_SLOT,
    LONGEST_LABEL,
    USUAL_COST,
    Masters,
    ScryptCost,
    Slot,
    SlotChoices,
    decode_slot,
    encode_slot,
    is_vouched_for,
    make_slot,
    open_slot,
)
from dver.storage.markers import read_if_there

KEYS = "keys/"
ENCRYPTION_FORMAT = 1
# More than any older dver reads, so that it stops at an encrypted store.
_DESCRIPTION_FORMAT = 2
_MOST_SLOTS = 64
# Of all slots that are tried for one passphrase: some seconds.
_MOST_WORK = 32 * USUAL_COST.work
_LOST = "without a passphrase or key file that opens it, nobody can read the store"


@dataclass(frozen=True, slots=True)
class OpenKeyring:
    """An opened store's keys.

    Attributes:
        slot: the one that was opened.
        secret: what opened it.
    """

    masters: Masters
    slot: Slot
    secret: Secret = field(repr=False)


@dataclass(frozen=True, slots=True)
class Slots:
    """The slots of a store, and the names of those that cannot be used with what is wrong with them."""

    good: tuple[Slot, ...]
    bad: tuple[tuple[str, DverError], ...]


def read_slots(backend: Backend) -> Slots:
    """Return all slots of a store, the oldest first; files that are named like none are passed over."""
    listed = sorted((info.key, info.size) for info in backend.list(KEYS) if _is_id(info.key.removeprefix(KEYS)))
    good: list[Slot] = []
    bad: list[tuple[str, DverError]] = []
    for key, size in listed[:_MOST_SLOTS]:
        where = f"{backend.location}/{key}"
        try:
            # A size that was listed bounds what is read.
            data = read_if_there(backend, key) if size <= LARGEST_SLOT else b""
            if data is not None:
                good.append(decode_slot(data, key.removeprefix(KEYS), where))
        except FormatError as exc:
            bad.append((key.removeprefix(KEYS), exc))
    return Slots(tuple(sorted(good, key=lambda slot: (slot.created, slot.id))), tuple(bad))


def open_keyring(backend: Backend, encryption: Encryption) -> OpenKeyring:
    """Open a store with one of the secrets that its source has.

    Raises:
        ConfigError: it is not encrypted, or none of the secrets opens it.
        IntegrityError: its keys are older than what is known of it.
    """
    slots = read_slots(backend)
    name = f"{encryption.source.name} ({backend.location})"
    if not slots.good:
        raise _without_keys(backend, slots, name, encryption)
    known = encryption.known()
    refused: list[Secret] = []
    for secret in encryption.source.secrets():
        opened = list(_openings(slots.good, secret, known, backend.location))
        best = _newest(opened, known)
        if best is not None:
            encryption.remember(best.masters.newest.fingerprint)
            return best
        if opened:
            raise IntegrityError(
                name,
                "its keys are older than the ones known here, or those of another store",
                hint="somebody may have put an old copy in place: ask who looks after the store before you use it",
            )
        refused.append(secret)
    raise _not_opened(refused[-1], slots, name)


def open_by(backend: Backend, encryption: Encryption, secret: Secret) -> OpenKeyring | None:
    """Open a store with one secret; None where it does not, or opens only what is older than what is known."""
    slots, known = read_slots(backend), encryption.known()
    return _newest([*_openings(slots.good, secret, known, backend.location)], known)


def own_slots(backend: Backend, ring: OpenKeyring) -> list[OpenKeyring]:
    """Return what the secret that opened a store opens there, but for slots that know of more than is known here."""
    opened = _openings(read_slots(backend).good, ring.secret, set(), backend.location)
    return [one for one in opened if {*one.masters.history} <= {*ring.masters.history}]


def _newest(opened: Iterable[OpenKeyring], known: set[str]) -> OpenKeyring | None:
    # A rotation that was cut off leaves an older slot beside the new one.
    current = [ring for ring in opened if known <= {*ring.masters.history}]
    return max(current, key=lambda ring: len(ring.masters.history), default=None)


def _openings(slots: Sequence[Slot], secret: Secret, known: set[str], location: str) -> Iterator[OpenKeyring]:
    """Yield what a secret opens, the newest first, until that is as new as what is known."""
    work = 0
    fitting = [slot for slot in reversed(slots) if slot.kind is secret.kind]
    for number, slot in enumerate(fitting):
        work += slot.cost.work if slot.cost else 0
        if work > _MOST_WORK:
            return
        try:
            masters = open_slot(slot, secret, f"{location}/{KEYS}{slot.id}")
        except NotSealedError:
            continue
        yield OpenKeyring(masters, slot, secret)
        # One made at the same time may be of a rotation that was cut off there and then.
        has_equal = any(other.created == slot.created for other in fitting[number + 1 :])
        if not has_equal and masters.newest.fingerprint in known and known <= {*masters.history}:
            return


def create_keyring(
    backend: Backend, encryption: Encryption, secret: Secret, *, label: str, cost: ScryptCost = USUAL_COST
) -> OpenKeyring:
    """Give an empty place its first master key and its first slot.

    Raises:
        ConfigError: the place is not empty, or somebody else is at it.
    """
    for prefix in ("packs/", "index/", "versions/"):
        if next(iter(backend.list(prefix)), None) is not None:
            raise ConfigError(
                f"{backend.location} holds {prefix} and no keys: data that is there already is not encrypted by this",
                hint="choose an empty folder for an encrypted remote, then dver push --all",
            )
    master = MasterKey(os.urandom(KEY_LENGTH))
    masters = Masters((master.fingerprint,), (master,))
    slot = _write_slot(backend, secret, masters, label=label, cost=cost)
    if any(other.id != slot.id for other in read_slots(backend).good):
        backend.delete(KEYS + slot.id)
        raise ConfigError(f"somebody else set up keys at {backend.location} just now", hint="run the command again")
    describe(backend)
    encryption.remember(masters.newest.fingerprint)
    return OpenKeyring(masters, slot, secret)


def describe(backend: Backend) -> bool:
    """Say openly that a store is encrypted, so that whoever takes it for a plain one stops; return whether it was not.

    What is no description at all, such as one that was cut off, is written anew.

    Raises:
        ConfigError: it is said to be a plain one.
    """
    found = read_if_there(backend, DESCRIPTION_KEY)
    if found is not None and is_encrypted_description(found):
        return False
    if found is not None and _description(found) is not None:
        raise _plain(backend.location)
    fields = {"encryption": {"format": ENCRYPTION_FORMAT}, "format": _DESCRIPTION_FORMAT}
    backend.write(DESCRIPTION_KEY, [json.dumps(fields, indent=2, sort_keys=True).encode() + b"\n"])
    return True


def says_encrypted(backend: Backend) -> bool | None:
    """Whether a store's open description says that it is encrypted; None where there is none."""
    found = read_if_there(backend, DESCRIPTION_KEY)
    return None if found is None else is_encrypted_description(found)


def is_encrypted_description(data: bytes) -> bool:
    """Whether a store's open description says that it is encrypted."""
    return "encryption" in (_description(data) or ())


def _description(data: bytes) -> dict[str, object] | None:
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return fields if isinstance(fields, dict) else None


def add_slot(backend: Backend, ring: OpenKeyring, secret: Secret, *, label: str, cost: ScryptCost = USUAL_COST) -> Slot:
    """Let another secret open the store as well."""
    return _write_slot(backend, secret, ring.masters, label=label, cost=cost)


def remove_slot(backend: Backend, ring: OpenKeyring, identity: str) -> None:
    """Delete a slot other than the one that was opened.

    Raises:
        ConfigError: it is that one.
    """
    if identity == ring.slot.id:
        raise ConfigError(
            f"{identity[:8]} is the key that opened the store just now",
            hint="open it with another one to remove this: then at least that one is known to work",
        )
    _remove(backend, [identity])


def rotate_keyring(
    backend: Backend,
    encryption: Encryption,
    ring: OpenKeyring,
    secret: Secret,
    *,
    cost: ScryptCost = USUAL_COST,
) -> OpenKeyring:
    """Make a new master key, which `secret` alone opens from now on; older data stay readable with what it seals.

    The new slot is written before all others are deleted. Master keys are added to the history, never taken out of it.
    """
    master = MasterKey(os.urandom(KEY_LENGTH))
    masters = Masters((*ring.masters.history, master.fingerprint), (master, *ring.masters.keys))
    slot = _write_slot(backend, secret, masters, label=ring.slot.label, cost=cost)
    # Before the others go: from here on they would be taken for old ones put back.
    encryption.remember(masters.newest.fingerprint)
    _remove(backend, [identity for identity in all_ids(read_slots(backend)) if identity != slot.id])
    return OpenKeyring(masters, slot, secret)


def finish_rotation(backend: Backend, encryption: Encryption, ring: OpenKeyring) -> None:
    """Do what is left of a rotation that was cut off after its new slot was written, which has been opened."""
    settle_slot(backend, ring)
    encryption.remember(ring.masters.newest.fingerprint)
    slots = read_slots(backend)
    # What was made with the new master key came later.
    kept = {identity for identity, is_new in vouched(slots.good, ring.masters).items() if is_new}
    _remove(backend, [identity for identity in all_ids(slots) if identity not in kept])


def reseal(backend: Backend, ring: OpenKeyring, masters: Masters, *, cost: ScryptCost = USUAL_COST) -> OpenKeyring:
    """Put a slot with fewer master keys in the place of those that the secret opens now; the slots of others stay."""
    # One that was cut off may have left the old slot beside the new one.
    gone = {one.slot.id for one in own_slots(backend, ring) if len(one.masters.keys) > len(masters.keys)}
    slot = ring.slot
    if len(ring.masters.keys) > len(masters.keys):
        slot = _write_slot(backend, ring.secret, masters, label=ring.slot.label, cost=cost)
        gone.add(ring.slot.id)
    else:
        settle_slot(backend, ring)
    _remove(backend, sorted(gone))
    return OpenKeyring(masters, slot, ring.secret)


def settle_slot(backend: Backend, ring: OpenKeyring) -> None:
    """Make durable the slot that was opened, and that no others are there than those that are seen."""
    settle(backend, KEYS + ring.slot.id)


def _remove(backend: Backend, identities: Sequence[str]) -> None:
    """Delete slots for good: one that came back after a power cut would open the store again."""
    for identity in identities:
        backend.delete(KEYS + identity)
    for identity in identities[-1:]:
        settle(backend, KEYS + identity)


def all_ids(slots: Slots) -> list[str]:
    """Return the ids of all slots, also of those that cannot be used."""
    return [*(slot.id for slot in slots.good), *(name for name, _ in slots.bad)]


def vouched(slots: Iterable[Slot], masters: Masters) -> dict[str, bool]:
    """Return of each slot, by its id, whether it was made with the newest master key."""
    return {slot.id: is_vouched_for(slot, masters.newest) for slot in slots}


def find_slot(slots: Slots, beginning: str) -> str:
    """Return the id that begins so.

    Raises:
        ConfigError: none does, or several do.
    """
    found = [name for name in all_ids(slots) if beginning and name.startswith(beginning)]
    if len(found) == 1:
        return found[0]
    what = "several keys have ids that begin" if found else "no key has an id that begins"
    raise ConfigError(f"{what} with {beginning!r}", hint="dver remote key list NAME shows them")


def check_label(label: str) -> str:
    """Return a label that a slot may have."""
    if len(label) > LONGEST_LABEL or not label.isprintable():
        raise ConfigError(
            f"a label has at most {LONGEST_LABEL} characters, and no line breaks", hint="name a person or a machine"
        )
    return label


def slot_text(slot: Slot) -> str:
    """Return how messages name a slot."""
    return f"{slot.id[:8]} ({slot.kind}" + (f', "{slot.label}")' if slot.label else ")")


def _write_slot(backend: Backend, secret: Secret, masters: Masters, *, label: str, cost: ScryptCost) -> Slot:
    created = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    slot = make_slot(secret, masters, SlotChoices(check_label(label), created, cost=cost))
    backend.write(KEYS + slot.id, [encode_slot(slot)])
    return slot


def _is_id(name: str) -> bool:
    return len(name) == 2 * ID_LENGTH and not set(name) - set("0123456789abcdef")


def _without_keys(backend: Backend, slots: Slots, name: str, encryption: Encryption) -> DverError:
    if slots.bad:
        return slots.bad[0][1]
    is_said = says_encrypted(backend)
    if is_said is False:
        return _plain(name)
    if encryption.known() or is_said:
        return ConfigError(f"the keys of {name} are gone", hint=f"restore {KEYS} there from a copy; {_LOST}")
    return ConfigError(
        f"{name} has no keys yet", hint=f"dver remote key init {encryption.source.name.removeprefix('remote ')}"
    )


def _plain(name: str) -> ConfigError:
    return ConfigError(
        f"{name} holds a store that is not encrypted, and the settings say that it is",
        hint="nothing was sent there; choose an empty place for an encrypted remote",
    )


def _not_opened(secret: Secret, slots: Slots, name: str) -> ConfigError:
    keys = ", ".join(slot_text(slot) for slot in slots.good)
    bad = f", and {len(slots.bad)} that cannot be read" if slots.bad else ""
    return ConfigError(f"{secret.origin} does not open {name}", hint=f"its keys: {keys}{bad}; {_LOST}")
