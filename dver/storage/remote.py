"""A backend at any URL that fsspec opens: S3, Google Cloud Storage, Azure, SFTP, memory, …

The only module of storage that imports fsspec and what lies below it, and only once a backend is made: a command that
touches no remote must not pay for them at start-up. Each call costs the least requests: one for a write, a read, a
range, a size or a delete, one for a thousand listed keys. Nothing is cached, neither listings nor file systems, so
that two backends see each other's writes at once. Failures of all libraries become `BackendError`; nothing is tried
again here.
"""

import importlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import UTC, datetime
from typing import Any, TypeVar

from dver.errors import DAMAGE_HINT, BackendError, BackendProblem, ConfigError, MissingExtraError, redact_url
from dver.fileio import TEMPORARY_PREFIX, temporary_name
from dver.objects.ids import Bytes
from dver.storage.backend import BlobInfo
from dver.storage.failures import Attempt, translate
from dver.storage.schemes import (
    S3,
    SECRET_OPTIONS,
    Listing,
    OptionValue,
    Scheme,
    check_options,
    check_place,
    find_scheme,
)

_T = TypeVar("_T")
_Failures = tuple[type[BaseException], ...]
# What Python's own libraries raise; TimeoutError is an OSError.
_PLAIN_FAILURES: _Failures = (OSError, EOFError, ValueError, RuntimeError)
# What S3, Azure, Google, SFTP and memory call the time of a file in their listings.
_TIMES = ("LastModified", "last_modified", "updated", "mtime", "created")


def knows_scheme(name: str) -> bool:
    """Whether fsspec opens URLs with a scheme, be the package that this takes there or not."""
    from fsspec import available_protocols, registry  # noqa: PLC0415

    return name in {*available_protocols(), *registry}


class RemoteBackend:
    """Blobs below a URL.

    Making one checks the options and that the packages are there. Only SFTP connects at once; elsewhere the first call
    finds out about credentials and endpoint.

    Args:
        url: as users write it, such as `s3://bucket/folder`.
        options: the remote's options; see `dver.storage.schemes`.
        remote: what it is called in the settings, for hints.

    Raises:
        ConfigError: the scheme or an option is unknown, or the URL names no place.
        MissingExtraError: an optional package is missing.
        BackendError: a server that is connected to at once refuses.
    """

    def __init__(self, url: str, options: Mapping[str, OptionValue], *, remote: str = "NAME") -> None:
        name = url.partition("://")[0]
        self._remote = remote
        self._location = redact_url(url.rstrip("/"))
        check_place(url, self._location, knows_scheme)
        self._scheme = find_scheme(name)
        checked = check_options(self._scheme, options)
        self._secrets = tuple(str(value) for key, value in checked.items() if key in SECRET_OPTIONS and value)
        self._failures = _PLAIN_FAILURES
        self._turn: AbstractContextManager[object] = threading.Lock() if self._scheme.one_at_a_time else nullcontext()
        self._fs, root = self._connect(name, url, checked)
        self._base = root.rstrip("/") + "/"
        if self._scheme is S3:
            # s3fs would try everything five times on its own, silently.
            self._fs.retries = 1

    def _connect(self, name: str, url: str, options: Mapping[str, OptionValue]) -> tuple[Any, str]:
        # Imported here, as the module's text says: fsspec and the file system behind the URL are slow to load.
        from fsspec import get_filesystem_class  # noqa: PLC0415
        from fsspec.core import url_to_fs  # noqa: PLC0415

        try:
            get_filesystem_class(name)
            self._failures += tuple(_import_failure(path) for path in self._scheme.failures)
        except ImportError as exc:
            raise _missing_package(name, self._scheme) from exc
        arguments = self._scheme.arguments(options)
        try:
            fs, root = self._run("open", "it", lambda: url_to_fs(url, skip_instance_cache=True, **arguments))
        except TypeError as exc:
            given = ", ".join(options) or "none"
            raise ConfigError(f"{name}:// remotes do not work with these options: {given}") from exc
        return fs, str(root)

    @property
    def location(self) -> str:
        """The URL that users know this place by, without credentials."""
        return self._location

    @property
    def is_local(self) -> bool:
        """False: each call is taken for a round trip, on `memory://` too, so that tests see what a network would."""
        return False

    def write(self, key: str, pieces: Sequence[Bytes]) -> None:
        """Store the concatenation of `pieces` under `key`, in one upload, or in parts of 32 MiB where it is larger."""
        data = b"".join(pieces)
        put = self._put_then_rename if self._scheme.renames else self._put
        self._run("write", key, lambda: put(self._base + key, data))

    def _put(self, path: str, data: bytes) -> None:
        try:
            self._fs.pipe_file(path, data, **self._scheme.write_arguments)
        except FileNotFoundError:
            if self._scheme.options is not None and not self._scheme.renames:
                # There are no folders to make in an object store: the bucket is missing.
                raise
            self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            self._fs.pipe_file(path, data)

    def _put_then_rename(self, path: str, data: bytes) -> None:
        temporary = f"{path.rpartition('/')[0]}/{temporary_name()}"
        try:
            self._put(temporary, data)
            self._fs.mv(temporary, path)
        except BaseException:
            with suppress(*self._failures):
                self._fs.rm_file(temporary)
            raise

    def read(self, key: str) -> bytes:
        """Return a whole blob."""
        return self._run("read", key, lambda: bytes(self._fs.cat_file(self._base + key, **self._scheme.read_arguments)))

    def read_range(self, key: str, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes from `offset`; an empty range asks nobody."""
        if length == 0:
            return b""
        data = self._run(
            "read", key, lambda: bytes(self._fs.cat_file(self._base + key, start=offset, end=offset + length))
        )
        if len(data) != length:
            # A connection may end early without an error, which is worth another try; a blob that is short is not.
            is_long_enough = (self.size(key) or 0) >= offset + length
            raise BackendError(
                self._location,
                BackendProblem.OTHER,
                f"{key} gave {len(data)} bytes at {offset}, where {length} should be",
                transient=is_long_enough,
                hint=DAMAGE_HINT,
            )
        return data

    def size(self, key: str) -> int | None:
        """Return the size of a blob in bytes, or None if there is none.

        Where the bucket itself is missing that is None too: the answer to a HEAD request does not tell the two apart.
        """
        try:
            return self._run("look up", key, lambda: self._size(self._base + key))
        except BackendError as exc:
            if exc.problem is BackendProblem.NOT_FOUND:
                return None
            raise

    def _size(self, path: str) -> int | None:
        if self._scheme is S3:
            # `info` would list as well, in case a missing file is a folder.
            bucket, key, _ = self._fs.split_path(path)
            return int(self._fs.call_s3("head_object", Bucket=bucket, Key=key)["ContentLength"])
        info = self._fs.info(path)
        return None if info["type"] == "directory" else int(info["size"])

    def modified(self, key: str) -> float | None:
        """Return when a blob was written, in seconds since 1970 by the server's clock; None if it does not tell."""
        try:
            found = self._run("look up", key, lambda: self._fs.modified(self._base + key))
        except BackendError as exc:
            if exc.problem is BackendProblem.READ_ONLY:
                # What storage of a kind cannot do is told so.
                return None
            raise
        return float(found.timestamp()) if isinstance(found, datetime) else None

    def list(self, prefix: str) -> Iterator[BlobInfo]:
        """Yield all blobs whose key begins with `prefix`; nothing for a missing folder."""
        start = self._base + prefix
        for info in self._run("list", prefix or "it", lambda: self._entries(prefix)):
            name = str(info["name"])
            if name.startswith(start) and info["type"] != "directory" and not _is_hidden(name):
                yield BlobInfo(name.removeprefix(self._base), int(info["size"]), _modified(info))

    def glance(self) -> Sequence[BlobInfo] | None:
        """Return all blobs if one page of a bucket's listing has them; None elsewhere, or where there are more."""
        if self._scheme is not S3:
            return None
        bucket, start, _ = self._fs.split_path(self._base)
        page = self._run("list", "it", lambda: self._fs.call_s3("list_objects_v2", Bucket=bucket, Prefix=start))
        if page.get("IsTruncated"):
            return None
        found = (BlobInfo(entry["Key"].removeprefix(start), int(entry["Size"])) for entry in page.get("Contents", ()))
        return [info for info in found if not _is_hidden(info.key)]

    def _entries(self, prefix: str) -> Sequence[Mapping[str, Any]]:
        self._fs.invalidate_cache()
        if self._scheme.listing is Listing.WALK:
            return self._walk((self._base + prefix).rstrip("/") or "/")
        if self._scheme.listing is Listing.PREFIX and prefix:
            found = self._fs.find(self._base.rstrip("/"), prefix=prefix, detail=True)
        else:
            found = self._fs.find(self._base + prefix, detail=True)
        return [*found.values()]

    def _walk(self, folder: str) -> Sequence[Mapping[str, Any]]:
        entries: list[Mapping[str, Any]] = []
        waiting = [folder]
        while waiting:
            try:
                inside = self._fs.ls(waiting.pop(), detail=True)
            except FileNotFoundError:
                # Never made, or removed while we walk.
                continue
            entries += inside
            waiting += [entry["name"] for entry in inside if entry["type"] == "directory"]
        return entries

    def delete(self, key: str) -> None:
        """Delete a blob; a missing one is no error."""
        try:
            self._run("delete", key, lambda: self._fs.rm_file(self._base + key))
        except BackendError as exc:
            if exc.problem is not BackendProblem.NOT_FOUND:
                raise

    def _run(self, verb: str, key: str, call: Callable[[], _T]) -> _T:
        try:
            with self._turn:
                return call()
        except self._failures as exc:
            raise translate(exc, Attempt(self._location, verb, key, self._secrets, self._remote)) from exc


def _is_hidden(name: str) -> bool:
    """Whether a name is that of a folder, or of a file that is just being written."""
    return name.endswith("/") or name.rpartition("/")[2].startswith(TEMPORARY_PREFIX)


def _modified(info: Mapping[str, Any]) -> float | None:
    """Return when a listed blob was written, as far as its file system says, which all do in words of their own."""
    for name in _TIMES:
        match info.get(name):
            case datetime() as when:
                return when.replace(tzinfo=when.tzinfo or UTC).timestamp()
            case int() | float() as seconds:
                return float(seconds)
            case str(text):
                with suppress(ValueError):
                    return datetime.fromisoformat(text).timestamp()
    return None


def _import_failure(path: str) -> type[BaseException]:
    module, _, name = path.partition(":")
    found: type[BaseException] = getattr(importlib.import_module(module), name)
    return found


def _missing_package(name: str, scheme: Scheme) -> MissingExtraError | ConfigError:
    if scheme.extra is not None:
        return MissingExtraError(name, scheme.extra)
    if scheme is S3:
        hint = "install dver again: pip install --force-reinstall dver"
    else:
        hint = f"install the package that brings {name}:// to fsspec"
    return ConfigError(f"{name}:// remotes need a package that is not installed", hint=hint)
