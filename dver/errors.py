"""The one tree of errors that dver raises.

    DverError
    ├── UsageError              the request itself makes no sense
    ├── ConfigError             a setting is missing, unknown or malformed
    ├── NotARepositoryError     no git repository, or dver is not set up in it
    ├── GitError                git refused or its data cannot be read
    ├── PathError               a path that cannot be used as asked
    ├── FormatError             bytes that are not what they should be
    │   └── UnsupportedFormatError   … because a newer dver wrote them
    ├── IntegrityError          bytes that do not match their checksum or id
    ├── NotFoundError           something named that is not there
    │   ├── ObjectNotFoundError      a chunk or manifest node
    │   └── VersionNotFoundError     a dataset version
    ├── BackendError            storage answered with a failure
    ├── MissingExtraError       a URL needs an optional package
    ├── UnstableFileError       a file changed while it was read
    ├── DataLossError           going on would lose data that is stored nowhere else
    ├── CommandNotStartedError  a command that is not found, or cannot be executed
    └── LockedError             another process is in the way

Facts are fields, so that a caller can act on them without reading the message. `hint` is one sentence that names
the command or setting that helps. Messages hold no secrets: options are never part of them, and credentials
inside a URL are taken out by `redact_url`. This module imports nothing of dver.
"""

import errno
import os
from collections.abc import Mapping, Sequence
from enum import StrEnum
from urllib.parse import urlsplit, urlunsplit

_SPACE = "free some space there, then run the command again"
_RIGHTS = "change the permissions there, then run the command again"
_DESCRIPTORS = "let more files be open, as by ulimit -n 1024, then run the command again"
OS_HINTS: Mapping[int, str] = {
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
    errno.EFBIG: "raise the file size limit",
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EROFS: "make it writable, or use another place",
    errno.EMFILE: _DESCRIPTORS,
    errno.ENFILE: _DESCRIPTORS,
    errno.EIO: "the disk may be failing: save what is on it",
}
"""What helps when the operating system refuses, by errno."""

DAMAGE_HINT = "dver fsck --repair, with --remote NAME for a remote, brings back what other places still have"
"""What helps where something that is stored is damaged."""


class DverError(Exception):
    """Base of every error that dver raises on purpose.

    Attributes:
        message: what happened, in one sentence without a full stop.
        hint: what helps, naming a command where there is one.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(DverError):
    """The request itself makes no sense; the command line exits with 2."""


class ConfigError(DverError):
    """A setting is missing, unknown or malformed."""


class NotARepositoryError(DverError):
    """There is no git repository here, or dver is not set up in it."""


class GitError(DverError):
    """git refused, or its data cannot be read."""


class PathError(DverError):
    """A path cannot be used as asked. `path` is as the user gave it."""

    def __init__(self, path: str, reason: str, *, hint: str | None = None) -> None:
        super().__init__(f"{path}: {reason}", hint=hint)
        self.path = path
        self.reason = reason


class FormatError(DverError):
    """Bytes are not in the format they should be in. `where` names the file or object."""

    def __init__(self, where: str, reason: str, *, hint: str | None = None) -> None:
        super().__init__(f"{where}: {reason}", hint=hint)
        self.where = where
        self.reason = reason


class UnsupportedFormatError(FormatError):
    """A format version that this dver does not know; a newer one wrote it."""

    def __init__(self, where: str, found: int, supported: int) -> None:
        super().__init__(
            where,
            f"written in format {found}, and this dver reads up to format {supported}",
            hint="upgrade dver: pip install --upgrade dver",
        )
        self.found = found
        self.supported = supported


class IntegrityError(DverError):
    """Stored bytes do not match their checksum or id. `where` names the place."""

    def __init__(self, where: str, reason: str, *, hint: str | None = None) -> None:
        super().__init__(f"{where}: {reason}", hint=hint)
        self.where = where
        self.reason = reason


class NotFoundError(DverError):
    """Something that was named is not there."""


class ObjectNotFoundError(NotFoundError):
    """A chunk or manifest node is in none of the places looked at.

    Attributes:
        object_id: 32 bytes.
        where: the store's name or URL.
    """

    def __init__(self, object_id: bytes, where: str, *, hint: str | None = None) -> None:
        super().__init__(f"object {object_id.hex()[:16]}… is not in {where}", hint=hint)
        self.object_id = object_id
        self.where = where


class VersionNotFoundError(NotFoundError):
    """A dataset version is not in the places looked at.

    Attributes:
        version: 32 bytes.
        dataset: the dataset's path, or "" when unknown.
        where: the store's name or URL.
    """

    def __init__(self, version: bytes, dataset: str, where: str, *, hint: str | None = None) -> None:
        of = f" of {dataset}" if dataset else ""
        super().__init__(f"version b3:{version.hex()[:12]}…{of} is not in {where}", hint=hint)
        self.version = version
        self.dataset = dataset
        self.where = where


class BackendProblem(StrEnum):
    """What kind of failure storage answered with."""

    NO_BUCKET = "no such bucket"
    DENIED = "access denied"
    ENDPOINT = "endpoint not reachable"
    CLOCK_SKEW = "clock skew"
    CREDENTIALS = "no valid credentials"
    THROTTLED = "throttled"
    TIMEOUT = "timed out"
    NO_SPACE = "no space left"
    READ_ONLY = "read-only"
    NOT_FOUND = "not found"
    OTHER = "failed"


class BackendError(DverError):
    """Storage answered with a failure.

    Attributes:
        location: store URL or path, without credentials.
        problem: the kind of failure.
        transient: whether trying again later may succeed.
    """

    def __init__(
        self,
        location: str,
        problem: BackendProblem,
        reason: str,
        *,
        transient: bool = False,
        hint: str | None = None,
    ) -> None:
        super().__init__(f"{location}: {reason}", hint=hint)
        self.location = location
        self.problem = problem
        self.reason = reason
        self.transient = transient


class MissingExtraError(DverError):
    """A URL's scheme needs an optional package that is not installed."""

    def __init__(self, scheme: str, extra: str) -> None:
        super().__init__(
            f"{scheme}:// remotes need packages that are not installed",
            hint=f"pip install 'dver[{extra}]'",
        )
        self.scheme = scheme
        self.extra = extra


class UnstableFileError(DverError):
    """A file changed each time it was read, so no consistent copy could be stored."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"{path}: changed while it was being read",
            hint="wait until nothing writes to it, then run the command again",
        )
        self.path = path


class DataLossError(DverError):
    """Going on would overwrite or delete data that is stored nowhere. Nothing was touched.

    Attributes:
        paths: the files in danger, relative to the repository.
    """

    def __init__(self, message: str, paths: Sequence[str], *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.paths = tuple(paths)


class CommandNotStartedError(DverError):
    """A command could not be started.

    Attributes:
        program: what was to be started, as the user gave it.
        exit_code: what a shell ends with where it cannot start a command: 127 for one that is not found, else 126.
    """

    def __init__(self, program: str, reason: str, *, exit_code: int, hint: str | None = None) -> None:
        super().__init__(f"{program}: {reason}", hint=hint)
        self.program = program
        self.reason = reason
        self.exit_code = exit_code


class LockedError(DverError):
    """Another process holds the lock and did not let go in time."""


def os_hint(exc: OSError) -> str | None:
    """Return what helps where the operating system refused something; None where nobody knows."""
    return OS_HINTS.get(exc.errno or 0)


def unwritable_place(place: str | os.PathLike[str], exc: OSError) -> BackendError:
    """Return the error of a place where dver keeps what is its own, and which cannot be written."""
    reason = f"cannot be written: {exc.strerror}"
    return BackendError(os.fspath(place), BackendProblem.OTHER, reason, hint=os_hint(exc))


def unwritable_path(path: str | os.PathLike[str], exc: OSError) -> PathError:
    """Return the error of a file or folder of the user's that cannot be written."""
    return PathError(os.fspath(path), f"cannot be written: {exc.strerror}", hint=os_hint(exc))


def first_of(names: Sequence[str], most: int) -> str:
    """Return the first names and how many more there are, as in "a, b and 7 more"."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def and_more(count: int) -> str:
    """Return what follows in a message the one of `count` things that it names: " (and 7 more)", or nothing."""
    return f" (and {count - 1:,} more)" if count > 1 else ""


def redact_url(url: str) -> str:
    """Return `url` without user names, passwords and query, fit for messages and files."""
    parts = urlsplit(url)
    if not parts.scheme or ("@" not in parts.netloc and not parts.query):
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=""))
