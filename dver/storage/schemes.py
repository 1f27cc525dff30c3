"""Which URL schemes remotes may have, which options each takes, and how fsspec's file systems want them.

One row a kind of storage: adding one is adding a row. Nothing here imports fsspec or opens a connection, so that
options can be checked, and the secret ones told from the rest, at no cost.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import TypeAlias

from dver.errors import ConfigError

OptionValue: TypeAlias = str | bool | int
Arguments: TypeAlias = dict[str, object]

CONNECT_SECONDS = 10
READ_SECONDS = 60
CONNECTIONS = 32
PART_SIZE = 32 * 1024 * 1024

SECRET_OPTIONS = frozenset(
    {"key", "secret", "token", "password", "passphrase", "account_key", "connection_string", "sas_token"}
    | {"client_secret"}
)
"""Options that belong into the user's own configuration or environment, never into a committed file."""


class Kind(Enum):
    """What an option's value is."""

    TEXT = "a text"
    FLAG = "true or false"
    NUMBER = "a whole number"


class Listing(Enum):
    """How all files below a folder are found.

    PREFIX: one flat listing that the service narrows by key prefix. FOLDER: `find` on the folder is one flat listing.
    WALK: folder by folder, since fsspec's general `find` leaves out folders that it failed to read.
    """

    PREFIX = "prefix"
    FOLDER = "folder"
    WALK = "walk"


@dataclass(frozen=True, slots=True)
class Scheme:
    """A kind of storage.

    Attributes:
        names: URL schemes, the usual one first.
        place: what a URL names first, for messages; "" where it need not name anything.
        extra: the optional part of dver that brings its packages; None for what is always there.
        options: by name; None lets all through unchecked.
        arguments: turns checked options into the file system's arguments.
        failures: exceptions beyond Python's own that it raises, as `module:class`.
        listing: see `Listing`.
        renames: whether a file is written under another name first, since a broken upload would stay visible.
        one_at_a_time: whether the file system must not be called from several threads at once.
        read_arguments: for reading a whole file.
        write_arguments: for writing a whole file.
    """

    names: tuple[str, ...]
    place: str
    extra: str | None
    options: Mapping[str, Kind] | None
    arguments: Callable[[Mapping[str, OptionValue]], Arguments]
    failures: tuple[str, ...] = ()
    listing: Listing = Listing.WALK
    renames: bool = False
    one_at_a_time: bool = False
    read_arguments: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    write_arguments: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))


def _s3_arguments(options: Mapping[str, OptionValue]) -> Arguments:
    settings: Arguments = {
        "connect_timeout": CONNECT_SECONDS,
        "read_timeout": READ_SECONDS,
        "max_pool_connections": CONNECTIONS,
        # RetryBackend tries again, where the user sees it.
        "retries": {"mode": "standard", "total_max_attempts": 1},
        # S3-compatible servers refuse the checksum trailers that botocore adds by itself; ids cover the content.
        "request_checksum_calculation": "when_required",
        "response_checksum_validation": "when_required",
    }
    arguments: Arguments = {"use_listings_cache": False, "config_kwargs": settings}
    if "endpoint_url" in options:
        # Few such servers have a host name for each bucket.
        settings["s3"] = {"addressing_style": "path"}
    if "region" in options:
        arguments["client_kwargs"] = {"region_name": options["region"]}
    if options.get("anonymous"):
        arguments["anon"] = True
    same = ("endpoint_url", "key", "secret", "token", "profile")
    return arguments | {name: options[name] for name in same if name in options}


def _gs_arguments(options: Mapping[str, OptionValue]) -> Arguments:
    arguments: Arguments = {"use_listings_cache": False}
    if options.get("anonymous"):
        arguments["token"] = "anon"
    return arguments | {name: value for name, value in options.items() if name != "anonymous"}


def _azure_arguments(options: Mapping[str, OptionValue]) -> Arguments:
    arguments: Arguments = {"use_listings_cache": False}
    if "anonymous" in options:
        arguments["anon"] = options["anonymous"]
    return arguments | {name: value for name, value in options.items() if name != "anonymous"}


def _ssh_arguments(options: Mapping[str, OptionValue]) -> Arguments:
    # Whatever it does not know it hands to paramiko, which refuses it: hence no `use_listings_cache` here.
    return {"timeout": CONNECT_SECONDS, "banner_timeout": READ_SECONDS, **options}


def _no_arguments(_options: Mapping[str, OptionValue]) -> Arguments:
    return {}


def _texts(*names: str) -> dict[str, Kind]:
    return dict.fromkeys(names, Kind.TEXT)


_AIOHTTP = "aiohttp:ClientError"

S3 = Scheme(
    names=("s3", "s3a"),
    place="bucket",
    extra=None,
    options={**_texts("endpoint_url", "region", "profile", "key", "secret", "token"), "anonymous": Kind.FLAG},
    arguments=_s3_arguments,
    failures=(
        "botocore.exceptions:BotoCoreError",
        "botocore.exceptions:ClientError",
        "botocore.parsers:ResponseParserError",
        _AIOHTTP,
    ),
    listing=Listing.PREFIX,
    # Without these s3fs asks for the size first, and cuts large blobs into parts of another size.
    read_arguments={"max_concurrency": 1},
    write_arguments={"chunksize": PART_SIZE},
)
_GS = Scheme(
    names=("gs", "gcs"),
    place="bucket",
    extra="gs",
    options={**_texts("project", "token", "endpoint_url"), "anonymous": Kind.FLAG},
    arguments=_gs_arguments,
    failures=("gcsfs.retry:HttpError", "google.auth.exceptions:GoogleAuthError", _AIOHTTP),
    listing=Listing.PREFIX,
)
_AZURE = Scheme(
    names=("az", "abfs", "abfss"),
    place="container",
    extra="azure",
    options={
        **_texts("account_name", "account_key", "account_host", "connection_string", "sas_token"),
        **_texts("tenant_id", "client_id", "client_secret"),
        "anonymous": Kind.FLAG,
    },
    arguments=_azure_arguments,
    failures=("azure.core.exceptions:AzureError", _AIOHTTP),
    listing=Listing.FOLDER,
)
_SSH = Scheme(
    names=("sftp", "ssh"),
    place="host",
    extra="ssh",
    options={**_texts("username", "password", "key_filename", "passphrase", "host_key_policy"), "port": Kind.NUMBER},
    arguments=_ssh_arguments,
    failures=("paramiko:SSHException",),
    renames=True,
    # paramiko drops the answer to one thread's request when another thread reads it from the channel.
    one_at_a_time=True,
)
_MEMORY = Scheme(names=("memory",), place="", extra=None, options={}, arguments=_no_arguments, listing=Listing.FOLDER)

_SCHEMES = {name: scheme for scheme in (S3, _GS, _AZURE, _SSH, _MEMORY) for name in scheme.names}


# What fsspec opens by these is read only, or within another file, or does not keep what dver counts on.
_NO_STORES = frozenset(
    {"async_wrapper", "asynclocal", "asyncwrapper", "blockcache", "cached", "dask", "data", "dir", "dvc", "filecache"}
    | {"ftp", "generic", "gist", "git", "github", "http", "https", "jlab", "jupyter", "libarchive", "pyscript"}
    | {"reference", "simplecache", "tar", "wandb", "zip"}
)


def known_schemes() -> list[str]:
    """Return the schemes that dver knows by itself, for messages."""
    return ["file", *_SCHEMES]


def find_scheme(name: str) -> Scheme:
    """Return the kind of storage behind a URL scheme; one not listed here is left to fsspec as it is."""
    return _SCHEMES.get(name) or Scheme(names=(name,), place="", extra=None, options=None, arguments=dict)


def check_place(url: str, shown: str, is_known: Callable[[str], bool]) -> None:
    """Refuse a URL that no store can have; `is_known` says of a scheme that is not listed here whether fsspec has it.

    Raises:
        ConfigError: the scheme is none of storage, or the URL names no place; `shown` is what it is called.
    """
    name, _, rest = url.partition("://")
    if name in _NO_STORES or not (name in _SCHEMES or is_known(name)):
        hint = f"use a path or one of {', '.join(known_schemes())}"
        if name in {"http", "https"}:
            hint += "; a service like S3 is s3://BUCKET, and its address the option endpoint_url"
        raise ConfigError(f"{shown}: no storage is known by the scheme {name!r}", hint=hint)
    scheme = find_scheme(name)
    if scheme.place and not rest.partition("/")[0]:
        raise ConfigError(
            f"{shown} names no {scheme.place}", hint=f"write it as {name}://{scheme.place.upper()}/FOLDER"
        )


def check_options(scheme: Scheme, options: Mapping[str, OptionValue]) -> dict[str, OptionValue]:
    """Return `options` with their values as the types they are meant to be.

    Raises:
        ConfigError: an option is unknown or its value unfit.
    """
    if scheme.options is None:
        return dict(options)
    checked: dict[str, OptionValue] = {}
    for name, value in options.items():
        kind = scheme.options.get(name)
        if kind is None:
            known = ", ".join(sorted(scheme.options)) or "none"
            raise ConfigError(
                f"{scheme.names[0]}:// remotes have no option {name!r}", hint=f"the options there are: {known}"
            )
        checked[name] = _convert(name, value, kind)
    return checked


def _convert(name: str, value: OptionValue, kind: Kind) -> OptionValue:
    text = str(value).lower()
    if kind is Kind.TEXT and not isinstance(value, bool):
        return str(value)
    if kind is Kind.FLAG and text in {"true", "yes", "on", "1", "false", "no", "off", "0"}:
        return text in {"true", "yes", "on", "1"}
    if kind is Kind.NUMBER and text.isascii() and text.isdigit():
        return int(text)
    # The value stays out of the message: it may be a secret.
    raise ConfigError(f"option {name!r} must be {kind.value}")
