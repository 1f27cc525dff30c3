"""Encrypted views of backends to test with."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dver.config import add_remote, set_value
from dver.operations.remote_keys import set_up_keys
from dver.storage.backend import Backend
from dver.storage.crypt import CryptBackend
from dver.storage.keyring import OpenKeyring, create_keyring, open_keyring, read_slots
from dver.storage.keyring_secrets import Encryption, Secret, SecretKind, SecretSource, make_key_file
from dver.storage.keyring_slot import ScryptCost
from dver.storage.open import as_encrypted

if TYPE_CHECKING:
    from tests.clones import Clone

CHEAP = ScryptCost(1 << 14)
KEY = Secret(SecretKind.KEY_FILE, bytes(range(32)), "the key file")
OTHER_KEY = Secret(SecretKind.KEY_FILE, bytes(32), "the other key file")


@dataclass(frozen=True, slots=True)
class GivenSource(SecretSource):
    """A source that has these secrets at hand."""

    given: tuple[Secret, ...] = field(default=(KEY,), kw_only=True)

    def secrets(self) -> Iterator[Secret]:
        """Yield them."""
        yield from self.given


def encryption(*secrets: Secret, pinned: str | None = None, seen: Path | None = None) -> Encryption:
    """Return how a store is opened with secrets, by default with the one that opens all test stores."""
    return Encryption(GivenSource("remote test", given=secrets or (KEY,)), pinned, seen)


def open_or_create(inner: Backend) -> OpenKeyring:
    """Return the keys of a test store, which has some from the first time on."""
    if read_slots(inner).good:
        return open_keyring(inner, encryption())
    return create_keyring(inner, encryption(), KEY, label="test")


def encrypted(inner: Backend) -> CryptBackend:
    """Return the plain view of an encrypted store in the place of `inner`; a key file opens it, which costs no time."""
    # Now and not with the first call, for several threads may make that at once.
    ring = open_or_create(inner)
    return CryptBackend(inner, lambda: ring)


def stored_path(backend: Backend, key: str) -> Path:
    """Return the file that holds a blob of a store in a folder, encrypted or not."""
    crypt = as_encrypted(backend)
    return Path(backend.location) / (key if crypt is None else crypt.keyring.masters.newest.stored_key(key))


def give_key(clone: "Clone", key_file: Path) -> None:
    """Name the key file of the remote `origin` in the settings of one clone."""
    set_value(clone.root / ".dver", "remotes.origin.key_file", str(key_file), local=True)


def add_encrypted_remote(clone: "Clone", url: str, key_file: Path) -> None:
    """Make an encrypted remote `origin` the default, which a key file opens, a new one if there is none."""
    if not key_file.exists():
        make_key_file(key_file)
    add_remote(clone.root / ".dver", "origin", url, local=False, encrypt=True, key_file=str(key_file))
    with clone.open() as repo:
        set_up_keys(repo, "origin")
