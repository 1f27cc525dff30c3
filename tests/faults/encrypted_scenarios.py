"""The commands that are killed over an encrypted remote in a folder, and those that change its keys.

What opens the remote is in the key file `folder / "key"`, which the settings name; to give another key is to write this
file anew. That is no step of the command that is killed.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from unittest.mock import patch

from dver.errors import ConfigError, DverError
from dver.operations.remote_keys import add_key, list_keys, reencrypt_remote, remove_key, rotate_keys
from dver.storage.crypt_primitives import NotSealedError
from dver.storage.keyring import read_slots
from dver.storage.keyring_secrets import Secret, SecretKind
from dver.storage.keyring_slot import Slot, open_slot
from dver.storage.open import as_encrypted
from tests.clones import Clone
from tests.encryption import add_encrypted_remote
from tests.faults.scenarios import (
    Scenario,
    begin,
    clean_remote,
    end_leases,
    prepare_fetch,
    prepare_marking,
    prepare_push,
    prepare_sweeping,
)

SECRETS = {
    name: Secret(SecretKind.KEY_FILE, bytes([number]) * 32, name)
    for number, name in enumerate(("first", "second", "third"))
}


def encrypted(prepare: Callable[[Path], None], folder: Path) -> None:
    """Prepare a scenario with an encrypted remote in the place of the plain one."""
    with patch("tests.faults.scenarios.make", make_encrypted):
        prepare(folder)


def make_encrypted(folder: Path) -> Clone:
    clone = Clone.make(folder / "repo")
    add_encrypted_remote(clone, "../remote", give(clone, "first"))
    return clone


def give(clone: Clone, name: str) -> Path:
    """Have a key open the remote from now on, as far as it can."""
    path = clone.root.parent / "key"
    path.write_text(f"dver-key 1\n{SECRETS[name].data.hex()}\n")
    return path


def give_one_that_opens(clone: Clone) -> None:
    """Have any key that opens the remote do so."""
    for name in SECRETS:
        give(clone, name)
        try:
            with clone.open() as repo:
                list_keys(repo, "origin")
        except DverError:
            continue
        return
    raise AssertionError("no key opens the remote")


def openers(clone: Clone) -> frozenset[str]:
    """Return which keys open what of an encrypted remote: the newest master key alone, or older ones too."""
    with clone.open() as repo:
        crypt = as_encrypted(repo.remote().backend)
        slots = read_slots(crypt.inner).good if crypt is not None else ()
    found = ((name, opened_by(slot, secret)) for slot in slots for name, secret in SECRETS.items())
    return frozenset(f"{name}, {count} master keys" for name, count in found if count)


def opened_by(slot: Slot, secret: Secret) -> int:
    try:
        return min(2, len(open_slot(slot, secret, "here").keys))
    except NotSealedError:
        return 0


# Keys that come and go


def add_second(clone: Clone) -> None:
    with clone.open() as repo:
        add_key(repo, "origin", SECRETS["second"], label="second")


def prepare_two_keys(folder: Path) -> None:
    add_second(begin(folder))
    with Clone(folder / "repo").open() as repo:
        slots = list_keys(repo, "origin").slots.good
    (folder / "second id").write_text(next(slot.id for slot in slots if slot.label == "second"))


def remove_second(clone: Clone) -> None:
    """Remove the second key; where that was done by a run that was killed, this one says that it is not there."""
    noted = (clone.root.parent / "second id").read_text()
    with clone.open() as repo:
        there = {slot.id for slot in list_keys(repo, "origin").slots.good}
        try:
            remove_key(repo, "origin", noted)
        except ConfigError:
            assert noted not in there


def rotate(clone: Clone, name: str = "first", *, drop_others: bool = False) -> None:
    """Make a new master key; the command is given the first key each time, and people use the new one from then on.

    Where a run that was killed had done all, this one says that the new key opens the remote already.
    """
    give(clone, "first")
    try:
        with clone.open() as repo:
            rotate_keys(repo, "origin", SECRETS[name] if name != "first" else None, drop_others=drop_others)
    except ConfigError as exc:
        if not exc.message.endswith(f"{name} does already"):
            raise
    give(clone, name)


def prepare_reencryption(folder: Path) -> None:
    """Leave data of an older master key, and some of the newest."""
    prepare_push(folder)
    clone = Clone(folder / "repo")
    rotate(clone)
    clone.push()


def reencrypt(clone: Clone) -> None:
    with clone.open() as repo:
        done = reencrypt_remote(repo, "origin")
    assert done.is_clean
    assert not done.damaged


def _over(prepare: Callable[[Path], None]) -> Callable[[Path], None]:
    return partial(encrypted, prepare)


def _of_keys(prepare: Callable[[Path], object], command: Callable[[Clone], object]) -> Scenario:
    def prepared(folder: Path) -> None:
        prepare(folder)

    return Scenario(_over(prepared), command, reads=True, keys=True, later=give_one_that_opens)


ENCRYPTED = {
    "push, encrypted": Scenario(_over(prepare_push), Clone.push, reads=True),
    "fetch, encrypted": Scenario(_over(prepare_fetch), Clone.fetch, reads=True),
    "gc --remote, marking, encrypted": Scenario(_over(prepare_marking), clean_remote, reads=True, later=end_leases),
    "gc --remote, sweeping, encrypted": Scenario(
        _over(prepare_sweeping), clean_remote, reads=True, cleans=True, later=end_leases
    ),
    "remote key add": _of_keys(begin, add_second),
    "remote key remove": _of_keys(prepare_two_keys, remove_second),
    "remote key rotate": _of_keys(begin, rotate),
    "remote key rotate to another": _of_keys(prepare_two_keys, partial(rotate, name="third", drop_others=True)),
    "remote key reencrypt": _of_keys(prepare_reencryption, reencrypt),
}
