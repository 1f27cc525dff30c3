"""A new master key for an encrypted store, and, where that is wanted, everything encrypted anew with it.

Without that, what is there stays as it is: readable with the older master keys, which the new slot seals as well, and
thus readable for whoever had them. With it, each blob is written anew before the old one is deleted, so the store can
be read at any time, and a run that was cut off is taken up by the next. The older master keys are forgotten last, and
only when nothing is left that needs them.
"""

from dataclasses import dataclass
from itertools import groupby

from dver.errors import IntegrityError
from dver.progress import Task
from dver.storage.backend import Backend
from dver.storage.crypt import CryptBackend
from dver.storage.crypt_format import MasterKey
from dver.storage.keyring import OpenKeyring, reseal
from dver.storage.keyring_slot import USUAL_COST, Masters, ScryptCost
from dver.workers import Workers

# Those that others count on come after what they count on.
_ORDER = ("packs/", "index/", "versions/")


@dataclass(frozen=True, slots=True)
class Leftover:
    """What is not encrypted with the newest master key, in the order to work through it."""

    blobs: tuple[tuple[MasterKey, str], ...]
    bytes: int


@dataclass(frozen=True, slots=True)
class Reencrypted:
    """What was encrypted anew, and the keys of blobs that cannot be read, which stay as they are."""

    blobs: int
    damaged: tuple[str, ...]


def find_leftover(backend: CryptBackend) -> Leftover:
    """Return all blobs of older master keys."""
    found = [(_rank(key), key, master, info.size) for master, key, info in backend.older_blobs()]
    found.sort(key=lambda blob: blob[:2])
    return Leftover(tuple((master, key) for _, key, master, _ in found), sum(size for *_, size in found))


def reencrypt(backend: CryptBackend, leftover: Leftover, workers: Workers, task: Task) -> Reencrypted:
    """Encrypt blobs anew with the newest master key, several at a time."""
    damaged: list[str] = []

    def move(master: MasterKey, key: str) -> str | None:
        try:
            backend.move_to_newest(master, key)
        except IntegrityError:
            return key
        return None

    for _, group in groupby(leftover.blobs, lambda blob: _rank(blob[1])):
        moves = (workers.executor.submit(move, master, key) for master, key in group)
        for broken in workers.in_order(moves):
            damaged += [broken] if broken is not None else []
            task.advance(files=1)
    return Reencrypted(len(leftover.blobs) - len(damaged), tuple(damaged))


def forget_older(backend: CryptBackend, *, cost: ScryptCost = USUAL_COST) -> bool:
    """Take the older master keys out of the slot that was opened, and return whether that could be done.

    It cannot as long as something needs one. Slots of others keep what they seal, which then opens nothing any more.
    """
    if next(iter(backend.older_blobs()), None) is not None:
        return False
    ring = backend.keyring
    reseal(backend.inner, ring, Masters(ring.masters.history, ring.masters.keys[:1]), cost=cost)
    return True


def open_with(inner: Backend, ring: OpenKeyring) -> CryptBackend:
    """Return a view of a store whose keys are at hand."""
    return CryptBackend(inner, lambda: ring)


def _rank(key: str) -> int:
    return next((rank for rank, prefix in enumerate(_ORDER, 1) if key.startswith(prefix)), 0)
