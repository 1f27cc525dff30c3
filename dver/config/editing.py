"""Changing a settings file: comments and order survive, and the file changes whole or not at all.

Each change is checked before anything is written. Files that hold mistakes elsewhere can be edited as long as they are
TOML, because the commands here are what puts the mistakes right.
"""

from collections.abc import Mapping
from pathlib import Path

from dver.config.files import parse_entries, read_entries, read_text, refuse_secret, settings_file, short_name
from dver.config.keys import (
    DEFAULT_REMOTE,
    REMOTE_OPTIONS,
    REMOTES,
    KeyPath,
    Kind,
    Value,
    check_remote_name,
    find_setting,
    key_path,
    parse_value,
    suggest,
)
from dver.config.urls import is_url, resolve_url
from dver.errors import ConfigError
from dver.fileio import write_atomically

_COMMITTED_HEADER = "# dver settings of this repository: commit this file\n"
_LOCAL_HEADER = "# dver settings of this clone: git ignores this file\n"
_PRIVATE = 0o600
_SHARED = 0o666


def set_value(dver_dir: Path, key: str, value: object, *, local: bool) -> None:
    """Set a value, given as text or in its own type, in the committed or the local file.

    Raises:
        ConfigError: the key is unknown, the value wrong, or a secret would be committed.
    """
    _change(dver_dir, {key_path(key): _checked(key, value, local=local)}, local=local)


def unset_value(dver_dir: Path, key: str, *, local: bool) -> bool:
    """Take a value out of a file and return whether it was there; also one that no setting is named after."""
    entries = read_entries(settings_file(dver_dir, local=local))
    named = [path for path in entries if ".".join(path) == key]
    if not named:
        find_setting(key)
        return False
    _change(dver_dir, dict.fromkeys(named), local=local)
    return True


def add_remote(
    dver_dir: Path, name: str, url: str, *, local: bool, encrypt: bool = False, key_file: str | None = None
) -> bool:
    """Add a remote and return whether it became the default, as the first one does."""
    check_remote_name(name)
    remotes = _remote_names(dver_dir)
    if name in remotes:
        raise ConfigError(
            f"there is already a remote named {name!r}",
            hint=f"dver remote set {name} url URL changes it, dver remote remove {name} removes it",
        )
    becomes_default = _default_remote(dver_dir) not in remotes
    changes: dict[KeyPath, Value | None] = {}
    if becomes_default:
        changes[DEFAULT_REMOTE] = name
    changes[REMOTES, name, "url"] = _checked(f"{REMOTES}.{name}.url", url, local=local)
    if encrypt:
        changes[REMOTES, name, "encrypt"] = True
    _check_place(dver_dir, url)
    _change(dver_dir, changes, local=local)
    if key_file is not None:
        set_value(dver_dir, f"{REMOTES}.{name}.key_file", key_file, local=True)
    return becomes_default


def remove_remote(dver_dir: Path, name: str) -> bool:
    """Remove a remote with all its options from both files; return whether there is now no default because of it."""
    entries = {local: read_entries(settings_file(dver_dir, local=local)) for local in (False, True)}
    if not any(path[:2] == (REMOTES, name) for found in entries.values() for path in found):
        raise _no_remote(dver_dir, name)
    was_default = _default_remote(dver_dir) == name
    for local, found in entries.items():
        gone = [path for path in found if path[:2] == (REMOTES, name)]
        if found.get(DEFAULT_REMOTE) == name:
            gone.append(DEFAULT_REMOTE)
        if gone:
            _change(dver_dir, dict.fromkeys(gone), local=local)
    return was_default and _default_remote(dver_dir) is None


def set_default_remote(dver_dir: Path, name: str, *, local: bool = False) -> None:
    """Make a remote the default.

    Where the remote, or a default that would win over this one, is in the local file, the default goes there too.
    """
    if name not in _remote_names(dver_dir):
        raise _no_remote(dver_dir, name)
    shared = read_entries(settings_file(dver_dir, local=False))
    own = read_entries(settings_file(dver_dir, local=True))
    local = local or DEFAULT_REMOTE in own or (REMOTES, name, "url") not in shared
    _change(dver_dir, {DEFAULT_REMOTE: name}, local=local)


def set_remote_option(dver_dir: Path, name: str, key: str, value: object, *, local: bool) -> None:
    """Set an option, or the URL, of a remote that is there."""
    if name not in _remote_names(dver_dir):
        raise _no_remote(dver_dir, name)
    if key not in REMOTE_OPTIONS:
        raise ConfigError(f"a remote has no option {key!r}", hint=suggest(key, REMOTE_OPTIONS))
    if key == "url":
        _check_place(dver_dir, str(value))
    set_value(dver_dir, f"{REMOTES}.{name}.{key}", value, local=local)


def set_fingerprint(dver_dir: Path, name: str, fingerprint: str) -> bool:
    """Note the newest master key of a remote beside its URL, and return whether that is in the committed file.

    Raises:
        ConfigError: there is no such remote.
    """
    key: KeyPath = (REMOTES, name, "fingerprint")
    files = {local: read_entries(settings_file(dver_dir, local=local)) for local in (True, False)}
    local = next((local for local, entries in files.items() if (REMOTES, name, "url") in entries), None)
    if local is None:
        raise _no_remote(dver_dir, name)
    _change(dver_dir, {key: fingerprint}, local=local)
    if not local and key in files[True]:
        # It would win over the one that is true now.
        _change(dver_dir, {key: None}, local=True)
    return not local


def _check_place(dver_dir: Path, url: str) -> None:
    """Refuse an empty place, and one in the working tree, where a store would mix with code and data."""
    if not url.strip():
        raise ConfigError("the URL of a remote is empty", hint="name a folder or a URL, such as s3://bucket/path")
    root = dver_dir.parent.resolve()
    place = resolve_url(url, root)
    if not is_url(place) and Path(place).resolve().is_relative_to(root):
        raise ConfigError(f"{url}: lies in this repository", hint="choose a folder outside of it, such as ../store")


def _checked(key: str, value: object, *, local: bool) -> Value:
    """Return the value to write; a size stays as the user wrote it."""
    setting = find_setting(key)
    checked = parse_value(setting, value)
    if not local:
        refuse_secret(setting, checked)
    if setting.kind in (Kind.CHUNK_SIZE, Kind.SIZE) and isinstance(value, str) and not value.strip().isdigit():
        return value.strip()
    return checked


def _remote_names(dver_dir: Path) -> list[str]:
    entries = [*read_entries(settings_file(dver_dir, local=False)), *read_entries(settings_file(dver_dir, local=True))]
    return [path[1] for path in entries if path[0] == REMOTES and path[2:] == ("url",)]


def _default_remote(dver_dir: Path) -> object:
    for local in (True, False):
        entries = read_entries(settings_file(dver_dir, local=local))
        if DEFAULT_REMOTE in entries:
            return entries[DEFAULT_REMOTE]
    return None


def _no_remote(dver_dir: Path, name: str) -> ConfigError:
    known = _remote_names(dver_dir)
    return ConfigError(
        f"there is no remote named {name!r}",
        hint=suggest(name, known) if known else "dver remote add NAME URL",
    )


def _as_toml(value: object) -> object:
    """Return a value as a file that is read gives it."""
    return list(value) if isinstance(value, tuple) else value


def _change(dver_dir: Path, changes: Mapping[KeyPath, Value | None], *, local: bool) -> None:
    """Set values, or take them out where None, and write the file if that makes a difference."""
    path = settings_file(dver_dir, local=local)
    where = short_name(path)
    text = read_text(path)
    before = parse_entries(text, where)
    wanted = {key: _as_toml(value) for key, value in {**before, **changes}.items() if value is not None}
    if wanted == before and all(type(wanted[key]) is type(before[key]) for key in wanted):
        return
    # Imported here because tomlkit doubles the start-up time of a command, and few commands change settings.
    from dver.config.document import cannot_edit, edit_document  # noqa: PLC0415

    edited = edit_document(text or (_LOCAL_HEADER if local else _COMMITTED_HEADER), changes, where)
    if parse_entries(edited, where) != wanted:
        raise cannot_edit(where)
    try:
        write_atomically(path, edited.encode(), mode=_PRIVATE if local else _SHARED)
    except OSError as exc:
        raise ConfigError(f"{where}: cannot be written: {exc.strerror}", hint=f"ls -ld {path.parent}") from exc
