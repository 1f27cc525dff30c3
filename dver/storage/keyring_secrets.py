"""What opens an encrypted store: a passphrase or a key file, and where it comes from.

Nothing here is ever written to a store. The key file that a remote's settings name comes first, since it is meant for
that remote; then a passphrase from the environment, then one from a file that the environment names; then whoever sits
at the terminal is asked. The environment is not read here, but by whoever makes a `SecretSource`.
"""

import os
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from dver.errors import ConfigError
from dver.fileio import write_atomically

KEY_FILE_LENGTH = 32
SHORTEST_PASSPHRASE = 8
PASSPHRASE_VARIABLE = "DVER_PASSPHRASE"
PASSPHRASE_FILE_VARIABLE = "DVER_PASSPHRASE_FILE"

_KEY_FILE_HEAD = "dver-key 1"
_LARGEST_FILE = 4096
_PROMPTS = 3


class SecretKind(StrEnum):
    """What opens a store."""

    PASSPHRASE = "passphrase"
    KEY_FILE = "key-file"


@dataclass(frozen=True, slots=True)
class Secret:
    """A passphrase or the contents of a key file.

    Attributes:
        data: the bytes that keys are made from.
        origin: what messages call it, such as "the passphrase in DVER_PASSPHRASE".
    """

    kind: SecretKind
    data: bytes = field(repr=False)
    origin: str


@dataclass(frozen=True, slots=True)
class SecretSource:
    """Where the secret for one store comes from.

    Attributes:
        name: what prompts and messages call the store, such as "remote origin".
        key_file: the key file that the settings name.
        passphrase: the one from the environment.
        passphrase_file: the path of a file that holds one, from the environment.
        ask: asks whoever sits at the terminal, given a prompt; None where nobody does.
    """

    name: str
    key_file: Path | None = None
    passphrase: str | None = field(repr=False, default=None)
    passphrase_file: Path | None = None
    ask: Callable[[str], str] | None = None

    def secrets(self) -> Iterator[Secret]:
        """Yield what to try, one after the other; several only where somebody is asked.

        Raises:
            ConfigError: there is none, or a file cannot be used.
        """
        if self.key_file is not None:
            yield read_key_file(self.key_file)
        elif self.passphrase:
            yield as_passphrase(self.passphrase, f"the passphrase in {PASSPHRASE_VARIABLE}")
        elif self.passphrase_file is not None:
            yield read_passphrase_file(self.passphrase_file)
        elif self.ask is not None:
            for _ in range(_PROMPTS):
                yield as_passphrase(self.ask(f"passphrase of {self.name}"), "the passphrase")
        else:
            raise ConfigError(
                f"{self.name} is encrypted, and no passphrase is given",
                hint=f"set {PASSPHRASE_VARIABLE} or {PASSPHRASE_FILE_VARIABLE}, or the remote's key_file:"
                f" dver remote set {self.name.removeprefix('remote ')} key_file FILE --local",
            )

    def fresh(self) -> Secret:
        """Return a secret for a new key: whoever is asked is asked twice, and a short passphrase is refused.

        Raises:
            ConfigError: there is none, or it will not do.
        """
        if self.ask is None or self.key_file or self.passphrase or self.passphrase_file:
            secret = next(self.secrets())
        else:
            text = self.ask(f"new passphrase of {self.name}")
            secret = as_passphrase(text, "the passphrase")
            if self.ask("the same once more") != text:
                raise ConfigError("the two passphrases differ", hint="run the command again")
        if secret.kind is SecretKind.PASSPHRASE:
            _check_new_passphrase(secret)
        return secret


@dataclass(frozen=True, slots=True)
class Encryption:
    """How an encrypted store is opened.

    Attributes:
        source: where the passphrase or key file comes from; its name is what messages call the store.
        pinned: the fingerprint of the newest master key that the settings know.
        seen: a local file that keeps the newest one that this machine saw; None keeps none.
    """

    source: SecretSource
    pinned: str | None = None
    seen: Path | None = None

    def known(self) -> set[str]:
        """Return the fingerprints of master keys that the store has to know of."""
        return {name for name in (self.pinned, self._seen()) if name}

    def remember(self, newest: str) -> None:
        """Keep the newest fingerprint on this machine; without that, only the settings warn of old keys."""
        if self.seen is None or self._seen() == newest:
            return
        with suppress(OSError):
            self.seen.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self.seen, f"{newest}\n".encode())

    def _seen(self) -> str | None:
        try:
            return self.seen.read_text("ascii").strip() if self.seen is not None else None
        except (OSError, UnicodeDecodeError):
            return None


def as_passphrase(text: str, origin: str) -> Secret:
    """Return a passphrase as a secret; however its accents were typed, it is the same."""
    if not text:
        raise ConfigError(f"{origin} is empty", hint="a passphrase has a character at least")
    return Secret(SecretKind.PASSPHRASE, unicodedata.normalize("NFC", text).encode("utf-8", "surrogateescape"), origin)


def read_passphrase_file(path: Path) -> Secret:
    """Return the passphrase in a file, without the newline at its end."""
    try:
        text = _read(path).decode()
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{path} is not UTF-8 text", hint="save the passphrase as UTF-8") from exc
    return as_passphrase(text.removesuffix("\n").removesuffix("\r"), f"the passphrase in {path}")


def read_key_file(path: Path) -> Secret:
    """Return the secret in a key file.

    Raises:
        ConfigError: it cannot be read, or is none.
    """
    head, _, digits = _read(path).decode("ascii", "replace").strip().partition("\n")
    if head == _KEY_FILE_HEAD and len(digits) == 2 * KEY_FILE_LENGTH and not set(digits) - set("0123456789abcdef"):
        return Secret(SecretKind.KEY_FILE, bytes.fromhex(digits), f"the key file {path}")
    raise ConfigError(f"{path} is not a key file of dver", hint="--new-key-file FILE makes one")


def make_key_file(path: Path) -> Secret:
    """Make a key file that only its owner can read, and return the secret in it.

    Raises:
        ConfigError: the file is there already, or cannot be made.
    """
    secret = os.urandom(KEY_FILE_LENGTH)
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(fd, "w", encoding="ascii") as file:
            file.write(f"{_KEY_FILE_HEAD}\n{secret.hex()}\n")
            file.flush()
            os.fsync(fd)
    except FileExistsError as exc:
        raise ConfigError(f"{path} is there already", hint="--key-file FILE uses a key file that is there") from exc
    except OSError as exc:
        raise ConfigError(f"{path} cannot be written: {exc.strerror}", hint="choose another place for it") from exc
    return Secret(SecretKind.KEY_FILE, secret, f"the key file {path}")


def _check_new_passphrase(secret: Secret) -> None:
    if len(secret.data.decode("utf-8", "surrogateescape")) < SHORTEST_PASSPHRASE:
        raise ConfigError(
            f"a passphrase has at least {SHORTEST_PASSPHRASE} characters",
            hint="several words that nobody else would put together are easy to keep in mind",
        )


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST_FILE + 1)
    except OSError as exc:
        raise ConfigError(f"{path} cannot be read: {exc.strerror}", hint=f"ls -l {path}") from exc
    if len(data) > _LARGEST_FILE:
        raise ConfigError(f"{path} is too large to hold a key", hint="name the file that was made for it")
    return data
