"""The settings that hold: overrides, local file, committed file and defaults, merged."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from dver.config.files import COMMITTED_FILE, LOCAL_FILE, read_values
from dver.config.keys import (
    ENCRYPTION_OPTIONS,
    REMOTES,
    SETTINGS,
    STORE_OPTIONS,
    KeyPath,
    Kind,
    Link,
    Scalar,
    Value,
    find_setting,
    key_name,
    key_path,
    parse_value,
    suggest,
)
from dver.errors import ConfigError, redact_url

MASK = "********"


@dataclass(frozen=True, slots=True)
class RemoteSettings:
    """A remote. URL and options may hold secrets, so they stay out of its printed form.

    Attributes:
        options: those that storage of its kind takes.
        encrypt: whether what is stored there is encrypted before it is sent.
        fingerprint: names the newest master key that is known of it.
        key_file: the file of a key that opens it, as the user wrote it.
    """

    name: str
    url: str = field(repr=False)
    options: Mapping[str, Scalar] = field(repr=False, default_factory=dict)
    encrypt: bool = False
    fingerprint: str | None = None
    key_file: str | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings. Locations are as the user wrote them; `resolve_url` makes them absolute."""

    cache_dir: str | None = field(repr=False)
    cache_options: Mapping[str, Scalar] = field(repr=False)
    index_dir: str | None
    default_remote: str | None
    remotes: Mapping[str, RemoteSettings]
    chunk_size: int
    jobs: int | None
    transfer_jobs: int | None
    add_stage: bool
    checkout_link: Link
    gc_auto: bool
    hook_max_size: int
    hook_allow: tuple[str, ...]
    hook_data: tuple[str, ...]

    def remote(self, name: str | None = None) -> RemoteSettings:
        """Return a remote by name, or the default one.

        Raises:
            ConfigError: there is no such remote, or no default; or it was encrypted and is not said to be now.
        """
        wanted = name or self.default_remote
        if wanted is None:
            raise ConfigError("no default remote is set", hint=self._default_hint())
        if wanted not in self.remotes:
            hint = suggest(wanted, self.remotes) if self.remotes else "dver remote add NAME URL"
            raise ConfigError(f"there is no remote named {wanted!r}", hint=hint)
        found = self.remotes[wanted]
        if found.fingerprint is not None and not found.encrypt:
            raise ConfigError(
                f"remote {wanted} has the fingerprint of a master key, and is not said to be encrypted",
                hint=f"dver config set {REMOTES}.{wanted}.encrypt true, or dver remote remove {wanted}",
            )
        return found

    def _default_hint(self) -> str:
        return f"dver remote default {next(iter(self.remotes))}" if self.remotes else "dver remote add NAME URL"


class ListedValue(NamedTuple):
    """A setting as shown to people: secrets masked; `origin` is a file's name or "default"."""

    key: str
    value: Value
    origin: str


def load_settings(dver_dir: Path, overrides: Mapping[str, object] = {}) -> Settings:
    """Return the settings of a repository.

    `overrides` maps keys to values, as text or in their own type; None stands for "not given".

    Raises:
        ConfigError: a file or an override is wrong; the message names file and key.
    """
    values: dict[KeyPath, Value] = {
        **{key_path(setting.name): setting.default for setting in SETTINGS.values() if setting.default is not None},
        **read_values(dver_dir, local=False),
        **read_values(dver_dir, local=True),
        **{key_path(key): _override(key, value) for key, value in overrides.items() if value is not None},
    }
    return Settings(
        cache_dir=_text(values, "cache.dir"),
        cache_options={name: _scalar(values["cache", name]) for name in STORE_OPTIONS if ("cache", name) in values},
        index_dir=_text(values, "index.dir"),
        default_remote=_text(values, "core.remote"),
        remotes=_remotes(values),
        chunk_size=int(_scalar(values["chunks", "size"])),
        jobs=_count(values, "core.jobs"),
        transfer_jobs=_count(values, "core.transfer_jobs"),
        add_stage=bool(values["add", "stage"]),
        checkout_link=Link(str(values["checkout", "link"])),
        gc_auto=bool(values["gc", "auto"]),
        hook_max_size=int(_scalar(values["hooks", "max_size"])),
        hook_allow=_patterns(values, "hooks.allow"),
        hook_data=_patterns(values, "hooks.data"),
    )


def get_value(dver_dir: Path, key: str) -> Value | None:
    """Return the value of a setting, be it a secret; None where it is not set and has no default."""
    setting, path = find_setting(key), key_path(key)
    values = {**read_values(dver_dir, local=False), **read_values(dver_dir, local=True)}
    return values.get(path, setting.default)


def list_values(dver_dir: Path) -> list[ListedValue]:
    """Return the settings that have a value, by name, with secrets masked."""
    found = {
        setting.name: ListedValue(setting.name, setting.default, "default")
        for setting in SETTINGS.values()
        if setting.default is not None
    }
    for origin, local in ((COMMITTED_FILE, False), (LOCAL_FILE, True)):
        for path, value in read_values(dver_dir, local=local).items():
            name = key_name(path)
            found[name] = ListedValue(name, _shown(name, value), origin)
    return [found[name] for name in sorted(found)]


def _shown(key: str, value: Value) -> Value:
    setting = find_setting(key)
    if setting.secret:
        return MASK
    return redact_url(str(value)) if setting.kind in (Kind.LOCATION, Kind.ENDPOINT) else value


def _override(key: str, value: object) -> Value:
    try:
        return parse_value(find_setting(key), value)
    except ConfigError as exc:
        raise ConfigError(f"environment or command line: {exc.message}", hint=exc.hint) from exc


def _text(values: Mapping[KeyPath, Value], key: str) -> str | None:
    value = values.get(key_path(key))
    return None if value is None else str(value)


def _count(values: Mapping[KeyPath, Value], key: str) -> int | None:
    value = values.get(key_path(key))
    return None if value is None else int(_scalar(value))


def _patterns(values: Mapping[KeyPath, Value], key: str) -> tuple[str, ...]:
    value = values.get(key_path(key), ())
    assert isinstance(value, tuple)
    return value


def _scalar(value: Value) -> Scalar:
    assert not isinstance(value, tuple)
    return value


def _remotes(values: Mapping[KeyPath, Value]) -> dict[str, RemoteSettings]:
    """Return the remotes that have a URL; a local file may keep options for one that this commit does not have."""
    options: dict[str, dict[str, Scalar]] = {}
    for path, value in values.items():
        if path[0] == REMOTES:
            options.setdefault(path[1], {})[path[2]] = _scalar(value)
    return {name: _remote(name, own) for name, own in options.items() if "url" in own}


def _remote(name: str, own: dict[str, Scalar]) -> RemoteSettings:
    url = str(own.pop("url"))
    encryption = {option: own.pop(option) for option in ENCRYPTION_OPTIONS if option in own}
    encrypt = bool(encryption.get("encrypt", False))
    fingerprint, key_file = (encryption.get(option) for option in ("fingerprint", "key_file"))
    return RemoteSettings(
        name,
        url,
        own,
        encrypt=encrypt,
        fingerprint=None if fingerprint is None else str(fingerprint),
        key_file=None if key_file is None else str(key_file),
    )
