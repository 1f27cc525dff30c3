"""From a URL to a backend: the one place that decides which kind serves it.

Absolute paths and `file://` URLs are local folders. Everything else goes through fsspec, with a retry around it. An
encrypted store is such a backend with another around it, whose packages are loaded only then.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dver.errors import ConfigError, redact_url
from dver.progress import NO_PROGRESS
from dver.storage.backend import Backend
from dver.storage.local import LocalBackend

if TYPE_CHECKING:
    from dver.storage.crypt import CryptBackend
    from dver.storage.keyring_secrets import Encryption
    from dver.storage.retry import Wait
    from dver.storage.schemes import OptionValue


def open_backend(
    url: str,
    options: "Mapping[str, OptionValue]",
    *,
    note: Callable[[str], None] = NO_PROGRESS.note,
    wait: "Wait" = time.sleep,
    remote: str = "NAME",
) -> Backend:
    """Return the backend at `url`.

    Args:
        url: an absolute path, a `file://` URL (taken literally, with no percent-decoding), or a URL that fsspec knows.
        options: the remote's options.
        note: told one line when a call failed and is tried again.
        wait: waits before that; see `dver.storage.retry.Wait`.
        remote: what it is called in the settings, for hints.

    Raises:
        ConfigError: no such kind of storage, an unknown option, or a relative path.
        MissingExtraError: an optional package is missing.
        BackendError: the server refuses, where opening connects to it.
    """
    path = local_path(url)
    if path is None:
        # Deferred: the cache is a local folder, and few commands go to a remote.
        from dver.storage.remote import RemoteBackend  # noqa: PLC0415
        from dver.storage.retry import RetryBackend  # noqa: PLC0415

        return RetryBackend(RemoteBackend(url, options, remote=remote), note, wait=wait)
    if options:
        raise ConfigError(f"{url}: a local folder takes no options, but has {', '.join(sorted(options))}")
    return LocalBackend(path)


def check_url(url: str) -> None:
    """Refuse a URL that no store can have, without a look at what is there.

    Raises:
        ConfigError: it names no place, or its scheme is none of storage.
    """
    scheme, separator, _ = url.partition("://")
    if separator and scheme.lower() not in {"file", "local"}:
        # Deferred: as above.
        from dver.storage.remote import knows_scheme  # noqa: PLC0415
        from dver.storage.schemes import check_place  # noqa: PLC0415

        check_place(url, redact_url(url), knows_scheme)


def encrypted(inner: Backend, encryption: "Encryption") -> Backend:
    """Return the plain view of an encrypted store; its keys are asked for when it is first used.

    Raises:
        ConfigError: the packages for it are not installed.
    """
    require_encryption()
    # Deferred: few remotes are encrypted.
    from dver.storage.crypt import CryptBackend  # noqa: PLC0415
    from dver.storage.keyring import open_keyring  # noqa: PLC0415

    return CryptBackend(inner, lambda: open_keyring(inner, encryption))


def as_encrypted(backend: Backend) -> "CryptBackend | None":
    """Return a backend that `encrypted` gave as what it is, and None for every other."""
    # Deferred: it needs an optional package, which is there where a store is encrypted.
    with suppress(ImportError):
        from dver.storage.crypt import CryptBackend  # noqa: PLC0415

        return backend if isinstance(backend, CryptBackend) else None
    return None


def inner_of(backend: Backend) -> Backend:
    """Return where a store's blobs lie: for an encrypted one the backend below."""
    crypt = as_encrypted(backend)
    return backend if crypt is None else crypt.inner


def stored_keys(backend: Backend, key: str) -> Sequence[str]:
    """Return the keys that a blob may have where a store's blobs lie, the likely one first."""
    crypt = as_encrypted(backend)
    return [key] if crypt is None else crypt.stored_keys(key)


def require_encryption() -> None:
    """Check that the packages for encrypted stores are installed.

    Raises:
        ConfigError: they are not; the hint names the extra that brings them.
    """
    try:
        import dver.storage.crypt_primitives  # noqa: F401, PLC0415
    except ImportError as exc:
        raise ConfigError(
            "encrypted remotes need a package that is not installed", hint="pip install 'dver[encrypt]'"
        ) from exc


def local_path(url: str) -> Path | None:
    """Return the folder that `url` means, or None where it is a URL of another kind.

    Raises:
        ConfigError: a relative path, or a `file://` URL with a host.
    """
    scheme, separator, rest = url.partition("://")
    if separator and scheme not in {"file", "local"}:
        return None
    path = Path(rest.removeprefix("localhost") if separator else url)
    if not path.is_absolute():
        raise ConfigError(f"{url!r} is not an absolute path", hint="write the whole path, beginning with /")
    return path
