"""Locations of stores: paths as users write them, and URLs."""

import os
import re
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from dver.errors import ConfigError

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_SCHEME_WITHOUT_SLASHES = re.compile(r"(file|memory|s3a?|gs|gcs|az|abfss?|adl|sftp|ssh|https?):", re.IGNORECASE)
_SCP = re.compile(r"[\w.-]+@[\w.-]+:")


def is_url(location: str) -> bool:
    """Return whether a location begins with a scheme, such as `s3://`; else it is a path."""
    return _SCHEME.match(location) is not None


def resolve_url(url: str, root: Path) -> str:
    """Return a location for use: paths and `file://` URLs as absolute paths, other URLs as they are.

    Relative paths are meant from `root`, the top of the repository.
    """
    if url.lower().startswith("file://"):
        parts = split_url(url, "the location")
        if parts.netloc not in ("", "localhost") or not parts.path:
            raise ConfigError(f"{url}: a file URL names a path of this machine", hint="write file:///absolute/path")
        return os.path.normpath(unquote(parts.path))
    if is_url(url):
        return url
    try:
        path = Path(url).expanduser()
    except RuntimeError as exc:
        raise ConfigError(f"{url}: there is no such home folder", hint="write the path in full") from exc
    return os.path.normpath(root / path)


def check_location(location: str, what: str) -> None:
    """Refuse what looks like a URL and would be taken for the path of a folder; `what` names the setting."""
    if is_url(location):
        split_url(location, what)
    elif _SCP.match(location):
        raise ConfigError(
            f"{what}: this is not how dver names a folder on another machine", hint="sftp://USER@HOST/PATH"
        )
    elif found := _SCHEME_WITHOUT_SLASHES.match(location):
        scheme = found[1].lower()
        raise ConfigError(f"{what}: a URL has two slashes after {scheme}:", hint=f"write {scheme}://…")


def has_credentials(location: str) -> bool:
    """Return whether a URL holds a password."""
    return is_url(location) and split_url(location, "the URL").password is not None


def split_url(url: str, what: str) -> SplitResult:
    """Return the parts of a URL; an error never quotes it, because it may hold a password."""
    try:
        return urlsplit(url)
    except ValueError as exc:
        raise ConfigError(f"{what}: not a well-formed URL", hint="write scheme://host/path") from exc
