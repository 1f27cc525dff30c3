"""Which versions a store has whole, as the markers in it say.

A store is this and more. Who only wants to know what is there needs no more than a backend, and neither packs nor an
index are opened or even loaded for it: a clean `dver status` asks nothing else.
"""

from dver.errors import BackendError, BackendProblem, FormatError
from dver.objects.ids import VersionId, parse_id
from dver.storage.backend import Backend

MAX_SMALL_BLOB = 1 << 20


def version_key(version: VersionId) -> str:
    """Return the key of a version's marker in a store."""
    return f"versions/{version.hex()}"


def read_if_there(backend: Backend, key: str) -> bytes | None:
    """Return a whole blob, which is a small one, or None if there is none.

    Raises:
        FormatError: it is too large for what is kept in such blobs.
    """
    try:
        # Elsewhere asking for the size would be a second round trip.
        if backend.is_local and (backend.size(key) or 0) > MAX_SMALL_BLOB:
            raise FormatError(f"{backend.location}/{key}", "is far too large for what it should be")
        return backend.read(key)
    except BackendError as exc:
        if exc.problem is BackendProblem.NOT_FOUND:
            return None
        raise


class VersionMarkers:
    """The version markers of one store."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    def has_version(self, version: VersionId) -> bool:
        """Whether everything that a version needs is said to be here."""
        # Reading it costs as little as asking for its size, and a service that refuses says why only when read from.
        return read_if_there(self.backend, version_key(version)) is not None

    def versions(self) -> set[VersionId]:
        """Return all versions that are wholly here."""
        names = (info.key.removeprefix("versions/") for info in self.backend.list("versions/"))
        return {VersionId(raw) for name in names if (raw := parse_id(name)) is not None}
