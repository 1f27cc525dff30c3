"""The two settings files: read them whole, refuse what is wrong in them, and say where."""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

from dver.config.keys import REMOTES, KeyPath, Kind, Setting, Value, check_value, find_setting, key_name, key_path
from dver.config.urls import has_credentials
from dver.errors import ConfigError
from dver.fileio import read_regular

COMMITTED_FILE = "config.toml"
LOCAL_FILE = "config.local.toml"
MAX_FILE = 1 << 20


def settings_file(dver_dir: Path, *, local: bool) -> Path:
    """Return the path of one of the two files."""
    return dver_dir / (LOCAL_FILE if local else COMMITTED_FILE)


def read_values(dver_dir: Path, *, local: bool) -> dict[KeyPath, Value]:
    """Return what one file sets, each value checked; nothing for a missing file."""
    path = settings_file(dver_dir, local=local)
    return {key: _checked_value(key, value, short_name(path), local=local) for key, value in read_entries(path).items()}


def committed_problems(data: bytes, where: str) -> list[ConfigError]:
    """Return all that is wrong with the bytes of a committed settings file; `where` names it."""
    try:
        entries = parse_entries(_decode(data, where), where)
    except ConfigError as exc:
        return [exc]
    found = []
    for key, value in entries.items():
        try:
            _checked_value(key, value, where, local=False)
        except ConfigError as exc:
            found.append(exc)
    return found


def read_entries(path: Path) -> dict[KeyPath, object]:
    """Return the unchecked values of a file by key; nothing for a missing file."""
    return parse_entries(read_text(path), short_name(path))


def read_text(path: Path) -> str:
    """Return the text of a settings file, "" for a missing one."""
    try:
        # Where such a file is a link, as some keep theirs, it may still lead to no pipe.
        data = read_regular(path, MAX_FILE + 1, follow=True)
    except FileNotFoundError:
        return ""
    except OSError as exc:
        raise ConfigError(f"{short_name(path)}: cannot be read: {exc.strerror}", hint=f"ls -l {path}") from exc
    return _decode(data, short_name(path))


def parse_entries(text: str, where: str) -> dict[KeyPath, object]:
    """Return the values of a TOML text by key."""
    try:
        return dict(_flatten(tomllib.loads(text), ()))
    except (ValueError, RecursionError) as exc:
        if any(line.startswith(("<<<<<<<", ">>>>>>>")) for line in text.splitlines()):
            raise ConfigError(
                f"{where}: has unresolved merge conflicts",
                hint=f"edit the file, then git add {where}",
            ) from exc
        raise ConfigError(f"{where}: not well-formed TOML: {exc}", hint=f"edit {where}") from exc


def refuse_secret(setting: Setting, value: Value) -> None:
    """Refuse a value that must not be in the committed file."""
    local_only = (
        f"secrets belong in {LOCAL_FILE}, which git ignores: {local_command(setting.name)};"
        f" dver config unset {setting.name} takes one out of the committed file"
    )
    if setting.secret:
        raise ConfigError(f"{setting.name} is a secret and this file is committed", hint=local_only)
    if setting.own:
        raise ConfigError(f"{setting.name} belongs to one clone and this file is committed", hint=local_only)
    if setting.kind in (Kind.LOCATION, Kind.ENDPOINT) and has_credentials(str(value)):
        raise ConfigError(f"{setting.name} holds a password and this file is committed", hint=local_only)


def local_command(key: str) -> str:
    """Return the command that sets a key in the local file."""
    path = key_path(key)
    if path[0] == REMOTES:
        return f"dver remote set {path[1]} {path[2]} VALUE --local"
    return f"dver config set {key} VALUE --local"


def short_name(path: Path) -> str:
    """Return the path as users know it, `.dver/config.toml`."""
    return f"{path.parent.name}/{path.name}"


def _decode(data: bytes, where: str) -> str:
    if len(data) > MAX_FILE:
        raise ConfigError(f"{where}: too large for a settings file", hint=f"git log -- {where}")
    try:
        return data.decode()
    except UnicodeDecodeError as exc:
        line = data.count(b"\n", 0, exc.start) + 1
        raise ConfigError(f"{where}: line {line} is not UTF-8 text", hint="save the file as UTF-8") from exc


def _checked_value(key: KeyPath, value: object, where: str, *, local: bool) -> Value:
    try:
        setting = _setting_at(key)
        checked = check_value(setting, value)
        if not local:
            refuse_secret(setting, checked)
    except ConfigError as exc:
        raise ConfigError(f"{where}: {exc.message}", hint=exc.hint) from exc
    return checked


def _setting_at(path: KeyPath) -> Setting:
    name = key_name(path)
    if key_path(name) != path:
        raise ConfigError(f"unknown setting {name!r}", hint='quote the name of a remote with dots: [remotes."a.b"]')
    return find_setting(name)


def _flatten(table: Mapping[str, object], above: KeyPath) -> Iterator[tuple[KeyPath, object]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flatten(value, (*above, name))
        else:
            yield (*above, name), value
