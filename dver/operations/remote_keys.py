"""The keys of encrypted remotes: setting them up, and adding, removing and changing them.

A key is a passphrase or a key file that opens the remote. All of them open the same master keys, with which the data
are encrypted; see `dver.storage.keyring`. Whoever had a key may have kept the master key, so removing a key ends
nothing by itself: only a new master key does, for what is pushed from then on, and for the rest once it is encrypted
anew.
"""

from dataclasses import dataclass

from dver.config import set_fingerprint
from dver.errors import ConfigError, DverError, IntegrityError
from dver.progress import NO_PROGRESS, Progress
from dver.repo import Repo
from dver.storage.backend import Backend
from dver.storage.crypt_rotate import find_leftover, forget_older, open_with, reencrypt
from dver.storage.keyring import (
    OpenKeyring,
    Slots,
    add_slot,
    create_keyring,
    describe,
    find_slot,
    finish_rotation,
    open_by,
    open_keyring,
    own_slots,
    read_slots,
    remove_slot,
    rotate_keyring,
    settle_slot,
    vouched,
)
from dver.storage.keyring_secrets import Encryption, Secret
from dver.storage.keyring_slot import Slot

INIT_HINT = "dver remote add NAME URL --encrypt, for a place of its own"


@dataclass(frozen=True, slots=True)
class KeySetup:
    """What setting up the keys of a remote came to.

    Attributes:
        slot: the key that opens it.
        is_new: whether the remote had no keys before.
        is_shared: whether the fingerprint went into the committed settings.
    """

    slot: Slot
    is_new: bool
    is_shared: bool


@dataclass(frozen=True, slots=True)
class KeyList:
    """The keys of a remote.

    Attributes:
        slots: those that can be read, and those that cannot.
        opened: the id of the one that was opened just now.
        vouched: of each by its id, whether somebody made it who had the newest master key.
        fingerprint: names the newest master key.
        older: how many older master keys there may be data of.
    """

    remote: str
    slots: Slots
    opened: str
    vouched: dict[str, bool]
    fingerprint: str
    older: int


@dataclass(frozen=True, slots=True)
class RotationPlan:
    """What a new master key, and encrypting anew, would do.

    Attributes:
        dropped: other keys, which would be gone.
        blobs, bytes: what is stored, and would be encrypted anew.
    """

    dropped: tuple[Slot, ...]
    blobs: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Rotated:
    """What was done.

    Attributes:
        dropped: the keys that are gone.
        blobs: how many blobs were encrypted anew.
        damaged: those that cannot be read, and so need an older master key still.
        is_clean: whether nothing needs an older master key any more.
        is_shared: whether the fingerprint went into the committed settings.
        is_resumed: whether this ended a rotation that was cut off.
    """

    slot: Slot
    dropped: tuple[Slot, ...] = ()
    blobs: int = 0
    damaged: tuple[str, ...] = ()
    is_clean: bool = False
    is_shared: bool = False
    is_resumed: bool = False


@dataclass(frozen=True, slots=True)
class _Opened:
    name: str
    backend: Backend
    encryption: Encryption
    ring: OpenKeyring


def set_up_keys(repo: Repo, name: str, *, label: str = "") -> KeySetup:
    """Give an encrypted remote its first key, or take up the keys that it has.

    Raises:
        ConfigError: the place holds a plain store, or the keys that it has do not open.
    """
    backend, encryption = _place(repo, name)
    is_new = not _has_keys(backend)
    if is_new and encryption.pinned is None:
        ring = create_keyring(backend, encryption, encryption.source.fresh(), label=label)
    else:
        # Where a fingerprint is known but no key is there, this says that the keys are gone.
        ring = open_keyring(backend, encryption)
        settle_slot(backend, ring)
        describe(backend)
    is_shared = set_fingerprint(repo.dver_dir, name, ring.masters.newest.fingerprint)
    return KeySetup(ring.slot, is_new, is_shared)


def list_keys(repo: Repo, name: str) -> KeyList:
    """Return the keys of a remote, which is opened with one of them."""
    opened = _open(repo, name)
    slots, masters = read_slots(opened.backend), opened.ring.masters
    return KeyList(
        name,
        slots,
        opened.ring.slot.id,
        vouched(slots.good, masters),
        masters.newest.fingerprint,
        len(masters.keys) - 1,
    )


def add_key(repo: Repo, name: str, secret: Secret, *, label: str = "") -> Slot:
    """Let another passphrase or key file open a remote."""
    opened = _open(repo, name)
    return add_slot(opened.backend, opened.ring, secret, label=label)


def remove_key(repo: Repo, name: str, beginning: str) -> str:
    """Delete the key whose id begins so, and return its whole id.

    Raises:
        ConfigError: there is none, or it is the one that opened the remote.
    """
    opened = _open(repo, name)
    # One that is not there may have been removed by a run that was killed before that was durable.
    settle_slot(opened.backend, opened.ring)
    identity = find_slot(read_slots(opened.backend), beginning)
    remove_slot(opened.backend, opened.ring, identity)
    return identity


def plan_rotation(repo: Repo, name: str) -> RotationPlan:
    """Return what a new master key would do: which keys would be gone, and how much there is to encrypt anew."""
    opened = _open(repo, name)
    stored = [info.size for info in open_with(opened.backend, opened.ring).list("")]
    return RotationPlan(_others(opened), len(stored), sum(stored))


def rotate_keys(repo: Repo, name: str, secret: Secret | None = None, *, drop_others: bool = False) -> Rotated:
    """Make a new master key for what is pushed from now on, which one key alone opens: `secret`, or the one in use.

    Where a rotation to `secret` was cut off, what is left of that is done instead.

    Raises:
        ConfigError: there are other keys, which would be gone, and `drop_others` does not say that they may be.
    """
    try:
        opened = _open(repo, name)
    except (ConfigError, IntegrityError) as exc:
        resumed = None if secret is None else _finish_rotation(repo, name, secret, exc)
        if resumed is None:
            raise
        return resumed
    resumed = None if secret is None else _finish_rotation(repo, name, secret, opened.ring)
    if resumed is not None:
        return resumed
    dropped = _others(opened)
    if dropped and not drop_others:
        raise ConfigError(
            f"{len(dropped)} of the keys of {name} would be gone, for nobody here can open them",
            hint=f"dver remote key list {name} shows them; with --drop-others they go,"
            f" and dver remote key add {name} makes new ones",
        )
    ring = rotate_keyring(opened.backend, opened.encryption, opened.ring, secret or opened.ring.secret)
    is_shared = set_fingerprint(repo.dver_dir, name, ring.masters.newest.fingerprint)
    return Rotated(ring.slot, dropped, is_shared=is_shared)


def reencrypt_remote(
    repo: Repo, name: str, secret: Secret | None = None, *, progress: Progress = NO_PROGRESS
) -> Rotated:
    """Encrypt with the newest master key what older ones were used for, and forget those if nothing needs them.

    Args:
        secret: opens the remote, in the place of what is given for that.
    """
    opened = _open(repo, name, secret)
    backend = open_with(opened.backend, opened.ring)
    leftover = find_leftover(backend)
    with progress.task(f"encrypting {name} anew", files=len(leftover.blobs)) as task:
        done = reencrypt(backend, leftover, repo.workers_for(opened.backend), task)
    is_clean = not done.damaged and forget_older(backend)
    return Rotated(opened.ring.slot, (), done.blobs, done.damaged, is_clean)


def plan_reencryption(repo: Repo, name: str) -> RotationPlan:
    """Return how much there is that older master keys were used for."""
    opened = _open(repo, name)
    leftover = find_leftover(open_with(opened.backend, opened.ring))
    return RotationPlan((), len(leftover.blobs), leftover.bytes)


def _open(repo: Repo, name: str, secret: Secret | None = None) -> _Opened:
    backend, encryption = _place(repo, name)
    ring = None if secret is None else open_by(backend, encryption, secret)
    return _Opened(name, backend, encryption, ring or open_keyring(backend, encryption))


def _finish_rotation(repo: Repo, name: str, secret: Secret, other: OpenKeyring | DverError) -> Rotated | None:
    """Finish a rotation to `secret` that was cut off, if there was one.

    Args:
        other: what the key opens that was given to open the remote, or why it opens nothing.

    Raises:
        ConfigError: there was none, and `secret` opens the remote where the key that is to do so does not.
    """
    backend, encryption = _place(repo, name)
    ring = open_by(backend, encryption, secret)
    if ring is None:
        return None
    # The settings are the last that a rotation changes.
    is_cut_off = encryption.pinned not in (None, ring.masters.newest.fingerprint)
    if isinstance(other, OpenKeyring):
        is_cut_off = is_cut_off and len(ring.masters.history) > len(other.masters.history)
    elif not is_cut_off:
        raise ConfigError(
            f"{other.message}; {secret.origin} does already",
            hint="if that is what was wanted, it is done; for another new master key, open it with that key",
        ) from other
    if not is_cut_off:
        return None
    finish_rotation(backend, encryption, ring)
    is_shared = set_fingerprint(repo.dver_dir, name, ring.masters.newest.fingerprint)
    return Rotated(ring.slot, is_shared=is_shared, is_resumed=True)


def _place(repo: Repo, name: str) -> tuple[Backend, Encryption]:
    if not repo.remote_settings(name).encrypt:
        raise ConfigError(f"remote {name} is not encrypted", hint=INIT_HINT)
    return repo.remote_backend(name), repo.encryption(name)


def _has_keys(backend: Backend) -> bool:
    slots = read_slots(backend)
    return bool(slots.good or slots.bad)


def _others(opened: _Opened) -> tuple[Slot, ...]:
    """Return the slots that the key which opened the remote does not open."""
    own = {opened.ring.slot.id, *(ring.slot.id for ring in own_slots(opened.backend, opened.ring))}
    return tuple(slot for slot in read_slots(opened.backend).good if slot.id not in own)
