"""The table of all settings: name, type, default, meaning, and whether the value is a secret."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeAlias

from dver.config.urls import check_location, is_url
from dver.errors import ConfigError

Scalar: TypeAlias = str | int | bool
Value: TypeAlias = Scalar | tuple[str, ...]
KeyPath: TypeAlias = tuple[str, ...]

REMOTES = "remotes"
DEFAULT_REMOTE: KeyPath = ("core", "remote")
MIN_CHUNK_SIZE = 1 << 10
MAX_CHUNK_SIZE = 4 << 20

_MAX_PORT = 65535
_SIZE = re.compile(r"\s*([0-9]{1,18})\s*(?:([KMGT])(i?)B?|B)?\s*", re.IGNORECASE)
_REMOTE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_DELETE = 0x7F
_FLAGS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


class Link(StrEnum):
    """Whether files that are checked out share blocks with others of the same content."""

    AUTO = "auto"
    REFLINK = "reflink"
    COPY = "copy"


class Kind(StrEnum):
    """What the value of a setting may be; the text says it in messages."""

    TEXT = "a text"
    NAME = "the name of a remote"
    PATH = "the path of a folder"
    LOCATION = "a path or a URL"
    ENDPOINT = "a URL with http:// or https://"
    FLAG = "true or false"
    COUNT = "a whole number from 1"
    PORT = "a port number from 1 to 65535"
    CHUNK_SIZE = "a power of two from 1 KiB to 4 MiB"
    SIZE = "a size, such as 500KiB or 1 MiB"
    PATTERNS = "a list of patterns, as in .gitignore"
    LINK = "auto, reflink or copy"
    FINGERPRINT = "a text of 32 hexadecimal digits"
    FILE = "the path of a file"


_SHAPES = {
    Kind.ENDPOINT: re.compile(r"https?://.*", re.IGNORECASE | re.DOTALL),
    Kind.FINGERPRINT: re.compile(r"[0-9a-f]{32}"),
    Kind.LINK: re.compile("|".join(Link)),
}
_TEXTS = {Kind.TEXT, Kind.NAME, Kind.PATH, Kind.FILE, Kind.LOCATION, Kind.ENDPOINT, Kind.LINK, Kind.FINGERPRINT}


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. `name` is dotted, except in `STORE_OPTIONS`, which belong to a remote or the cache.

    Attributes:
        secret: whether nobody may see the value.
        own: whether it belongs to one clone, and no committed file may have it, as is so of all secrets.
    """

    name: str
    kind: Kind
    help: str
    default: Value | None = None
    secret: bool = False
    own: bool = False


def _by_name(settings: Iterable[Setting]) -> dict[str, Setting]:
    return {setting.name: setting for setting in settings}


STORE_OPTIONS = _by_name(
    [
        Setting("endpoint_url", Kind.ENDPOINT, "address of an S3-compatible service"),
        Setting("region", Kind.TEXT, "region of the bucket"),
        Setting("profile", Kind.TEXT, "profile of the AWS configuration files to use"),
        Setting("anonymous", Kind.FLAG, "read without credentials"),
        Setting("key", Kind.TEXT, "access key", secret=True),
        Setting("secret", Kind.TEXT, "secret access key", secret=True),
        Setting("token", Kind.TEXT, "session token", secret=True),
        Setting("project", Kind.TEXT, "Google Cloud project"),
        Setting("account_name", Kind.TEXT, "Azure storage account"),
        Setting("account_key", Kind.TEXT, "key of the Azure storage account", secret=True),
        Setting("connection_string", Kind.TEXT, "Azure connection string", secret=True),
        Setting("sas_token", Kind.TEXT, "Azure shared access signature", secret=True),
        Setting("account_host", Kind.TEXT, "host name of the Azure storage account"),
        Setting("tenant_id", Kind.TEXT, "Azure tenant"),
        Setting("client_id", Kind.TEXT, "Azure client"),
        Setting("client_secret", Kind.TEXT, "secret of the Azure client", secret=True),
        Setting("username", Kind.TEXT, "user on an SFTP server"),
        Setting("password", Kind.TEXT, "password on an SFTP server", secret=True),
        Setting("port", Kind.PORT, "port of an SFTP server"),
        Setting("key_filename", Kind.TEXT, "file of the private key for an SFTP server"),
        Setting("passphrase", Kind.TEXT, "passphrase of that key", secret=True),
        Setting("host_key_policy", Kind.TEXT, "what to do about unknown SFTP servers: auto_add, warning or reject"),
    ]
)
ENCRYPTION_OPTIONS = _by_name(
    [
        Setting("encrypt", Kind.FLAG, "whether what is stored there is encrypted before it is sent"),
        Setting("fingerprint", Kind.FINGERPRINT, "names the newest master key that is known of an encrypted remote"),
        Setting("key_file", Kind.FILE, "the file of a key that opens an encrypted remote", own=True),
    ]
)
REMOTE_OPTIONS = _by_name(
    [Setting("url", Kind.LOCATION, "where the remote is"), *STORE_OPTIONS.values(), *ENCRYPTION_OPTIONS.values()]
)
SETTINGS = _by_name(
    [
        Setting("cache.dir", Kind.LOCATION, "where the cache is, if not in .dver/cache"),
        *(replace(option, name=f"cache.{option.name}") for option in STORE_OPTIONS.values()),
        Setting("index.dir", Kind.PATH, "local folder for the indexes of stores"),
        Setting(".".join(DEFAULT_REMOTE), Kind.NAME, "remote to use when none is named"),
        Setting("core.jobs", Kind.COUNT, "how many threads compute; by default one for each core"),
        Setting("core.transfer_jobs", Kind.COUNT, "how many transfers run at once"),
        Setting("chunks.size", Kind.CHUNK_SIZE, "average size of a chunk in a new store", default=64 << 10),
        Setting("add.stage", Kind.FLAG, "whether add stages pointers in git", default=True),
        Setting("checkout.link", Kind.LINK, "whether equal files share blocks on disk", default=Link.AUTO.value),
        Setting("gc.auto", Kind.FLAG, "whether small packs of the cache are merged when there are many", default=True),
        Setting("hooks.max_size", Kind.SIZE, "largest file that may enter git", default=1 << 20),
        Setting("hooks.allow", Kind.PATTERNS, "files that may enter git whatever their size"),
        Setting("hooks.data", Kind.PATTERNS, "files that are data and must not enter git, however small"),
    ]
)


def key_path(key: str) -> KeyPath:
    """Return the tables and the name that a dotted key stands for; the name of a remote may itself have dots."""
    section, _, rest = key.partition(".")
    if section != REMOTES:
        return (section, rest) if rest else (section,)
    name, _, option = rest.rpartition(".")
    return (REMOTES, name, option)


def key_name(path: KeyPath) -> str:
    """Return the dotted form of a key."""
    return ".".join(path)


def find_setting(key: str) -> Setting:
    """Return the setting of that name.

    Raises:
        ConfigError: there is none; the hint says which name is close.
    """
    path = key_path(key)
    if path[0] == REMOTES and path[1]:
        check_remote_name(path[1])
        option = REMOTE_OPTIONS.get(path[2])
        if option is not None:
            return replace(option, name=key)
        known = [key_name((REMOTES, path[1], name)) for name in REMOTE_OPTIONS]
    else:
        known = [*SETTINGS, f"{REMOTES}.NAME.url"]
    if key in SETTINGS:
        return SETTINGS[key]
    section = [name for name in known if name.startswith(f"{key}.")]
    hint = _choice(section) if section else suggest(key, known)
    raise ConfigError(f"unknown setting {key!r}", hint=hint)


def suggest(name: str, known: Iterable[str]) -> str:
    """Return a hint with the closest of the names that would do, or all of them."""
    # Deferred: a name that is known needs no other.
    from difflib import get_close_matches  # noqa: PLC0415

    known = list(known)
    close = get_close_matches(name, known, n=1)
    return f"did you mean {close[0]}?" if close else _choice(known)


def _choice(names: Sequence[str]) -> str:
    """Return a hint with all names that would do."""
    return f"there is only {names[0]}" if len(names) == 1 else f"there are {', '.join(names)}"


def check_remote_name(name: str) -> None:
    """Refuse a name that a remote cannot have."""
    if not _REMOTE_NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} cannot name a remote",
            hint="use letters, digits, '.', '_' and '-', beginning with a letter or digit",
        )


def parse_size(text: str) -> int:
    """Return the bytes that a size such as `65536`, `64KiB`, `1 MiB` or `10 MB` stands for.

    K, M, G and T alone are binary, as git has it; KB, MB, GB and TB are decimal.
    """
    found = _SIZE.fullmatch(text)
    if not found:
        raise ConfigError(
            f"{text[:40]!r} is not a size", hint="write a number of bytes, or one with a unit: 64KiB, 1 MiB"
        )
    unit, binary = (found[2] or "").upper(), found[3]
    decimal = unit and not binary and text.rstrip().upper().endswith("B")
    size = int(found[1])
    for _ in range(" KMGT".index(unit or " ")):
        size *= 1000 if decimal else 1024
    return size


def check_chunk_size(size: int) -> int:
    """Return `size` if chunks can have it on average."""
    if MIN_CHUNK_SIZE <= size <= MAX_CHUNK_SIZE and size & (size - 1) == 0:
        return size
    raise ConfigError(f"{size} bytes is not a chunk size: not {Kind.CHUNK_SIZE}", hint="64KiB suits most data")


def check_value(setting: Setting, value: object) -> Value:
    """Return a value of the right type for a setting, as a file must have it.

    Raises:
        ConfigError: it is not; the message names the setting and never shows a text.
    """
    match setting.kind, value:
        case Kind.FLAG, bool():
            return value
        case ((Kind.COUNT | Kind.PORT | Kind.CHUNK_SIZE | Kind.SIZE), bool()):
            pass
        case Kind.COUNT, int() if value >= 1:
            return value
        case Kind.PORT, int() if 1 <= value <= _MAX_PORT:
            return value
        case ((Kind.CHUNK_SIZE | Kind.SIZE), (int() | str())):
            return _check_size(setting, value)
        case Kind.PATTERNS, (list() | tuple()):
            return tuple(_check_text(setting, one) for one in value)
        case (_, str()) if setting.kind in _TEXTS:
            return _check_text(setting, value)
    raise ConfigError(f"{setting.name} is not {setting.kind}", hint=f"{setting.name}: {setting.help}")


def parse_value(setting: Setting, value: object) -> Value:
    """Return a value for a setting that may have come as text, from the environment or the command line."""
    if isinstance(value, str):
        if setting.kind is Kind.FLAG:
            value = _FLAGS.get(value.strip().lower(), value)
        elif setting.kind in (Kind.COUNT, Kind.PORT) and re.fullmatch(r"\s*[0-9]{1,9}\s*", value):
            value = int(value)
        elif setting.kind is Kind.PATTERNS:
            value = [value]
    return check_value(setting, value)


def _check_size(setting: Setting, value: int | str) -> int:
    size = parse_size(value) if isinstance(value, str) else value
    if setting.kind is Kind.CHUNK_SIZE:
        return check_chunk_size(size)
    if size < 0:
        raise ConfigError(f"{setting.name} is not {setting.kind}", hint=f"{setting.name}: {setting.help}")
    return size


def _check_text(setting: Setting, text: object) -> str:
    what = setting.name
    if not isinstance(text, str):
        raise ConfigError(f"{what} is not {setting.kind}", hint=f"{what}: {setting.help}")
    if not text or any(ord(letter) < ord(" ") or ord(letter) == _DELETE for letter in text):
        raise ConfigError(f"{what} is empty or holds control characters", hint=f"{what}: {setting.help}")
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise ConfigError(f"{what} is not UTF-8 text", hint="use a name that is") from exc
    match setting.kind:
        case Kind.NAME:
            check_remote_name(text)
        case Kind.LOCATION:
            check_location(text, what)
        case Kind.PATH | Kind.FILE if is_url(text):
            raise ConfigError(f"{what} is a URL and must be {setting.kind}", hint=f"{what}: {setting.help}")
        case kind if kind in _SHAPES and not _SHAPES[kind].fullmatch(text):
            raise ConfigError(f"{what} is not {setting.kind}", hint=f"{what}: {setting.help}")
        case Kind.ENDPOINT:
            check_location(text, what)
    return text
