"""Which places on a network the user of this machine has agreed to sign in to.

The settings of a repository come with a clone and may be anybody's work, and a remote that they name is where dver
sends the user's credentials and data. So a place is used only once the user has named it on this machine: by adding
the remote, by answering a question, or in a variable of the environment. A place is what credentials go to: scheme and
host or bucket, with all options that are no secrets. Folders, and what is read without credentials, need no trust.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dver.config.keys import STORE_OPTIONS, Scalar
from dver.config.urls import is_url, split_url
from dver.errors import ConfigError

TRUST_VARIABLE = "DVER_TRUST_REMOTES"
FILE_NAME = "trusted-remotes.jsonl"

_LOCAL_SCHEMES = frozenset({"file", "local", "memory"})
_PLAIN_SCHEMES = frozenset({"http", "https"})
_ADDRESSES = ("endpoint_url", "account_host")
_EVERYTHING = frozenset({"1", "true", "yes", "on"})
_MAX_FILE = 1 << 20


@dataclass(frozen=True, slots=True)
class Place:
    """A place to which credentials are sent.

    Attributes:
        url: scheme and host or bucket, without path and password.
        options: the options that decide where and how to sign in, by name.
    """

    url: str
    options: tuple[tuple[str, str], ...] = ()

    @property
    def text(self) -> str:
        """The place for people."""
        return ", ".join([self.url, *(f"{name} {value}" for name, value in self.options)])


def place_of(url: str, options: Mapping[str, Scalar]) -> Place | None:
    """Return the place that a remote or cache is at, or None where no credentials are sent.

    `url` is as `resolve_url` returns it.
    """
    if not is_url(url):
        return None
    parts = split_url(url, "the URL")
    scheme = parts.scheme.lower()
    user, _, host = parts.netloc.rpartition("@")
    secret = any(name in STORE_OPTIONS and STORE_OPTIONS[name].secret for name in options) or ":" in user
    if scheme in _LOCAL_SCHEMES or (not secret and (options.get("anonymous") is True or _is_plain(scheme, options))):
        return None
    name = user.partition(":")[0]
    shown = [(key, str(value)) for key, value in sorted(options.items()) if not _is_secret(key) and key != "anonymous"]
    return Place(f"{scheme}://{name + '@' if name else ''}{host}", tuple(shown))


def _is_plain(scheme: str, options: Mapping[str, Scalar]) -> bool:
    return scheme in _PLAIN_SCHEMES and not options


def _is_secret(option: str) -> bool:
    return option not in STORE_OPTIONS or STORE_OPTIONS[option].secret


class TrustedPlaces:
    """The places that this machine's user trusts, kept in a file of one JSON object a line."""

    def __init__(self, file: Path, env: Mapping[str, str]) -> None:
        self.file = file
        self._given = env.get(TRUST_VARIABLE, "").split()

    @classmethod
    def of_user(cls, env: Mapping[str, str]) -> "TrustedPlaces":
        """Return those of the user whose environment is given."""
        home = env.get("XDG_CONFIG_HOME") or os.path.join(env.get("HOME") or Path.home(), ".config")
        return cls(Path(home) / "dver" / FILE_NAME, env)

    def knows(self, place: Place) -> bool:
        """Whether a place is trusted."""
        return self._is_given(place) or _encode(place) in self._lines()

    def add(self, place: Place) -> None:
        """Trust a place from now on.

        Raises:
            ConfigError: the file cannot be written.
        """
        if self.knows(place):
            return
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "ab") as file:
                file.write(f"{_encode(place)}\n".encode())
        except OSError as exc:
            raise ConfigError(f"{self.file}: cannot be written: {exc.strerror}", hint=f"ls -ld {self.file}") from exc

    def _is_given(self, place: Place) -> bool:
        """Whether the environment names a place: all addresses of it, or simply everything."""
        if len(self._given) == 1 and self._given[0].lower() in _EVERYTHING:
            return True
        given = {address.rstrip("/") for address in self._given}
        hosts = {found.url for address in given if (found := place_of(address, {})) is not None}
        addresses = [value.rstrip("/") for name, value in place.options if name in _ADDRESSES]
        return place.url in hosts and given.issuperset(addresses)

    def _lines(self) -> set[str]:
        try:
            with self.file.open("rb") as file:
                data = file.read(_MAX_FILE)
        except OSError:
            return set()
        return {line.strip() for line in data.decode("utf-8", "replace").splitlines()}


def _encode(place: Place) -> str:
    return json.dumps({"url": place.url, **dict(place.options)}, sort_keys=True)
