"""Which versions a store has whole, as the markers in it say.

A store is this and more. Who only wants to know what is there needs no more than a backend, and neither packs nor an
index are opened or even loaded for it: a clean `dver status` asks nothing else.
"""

from collections.abc import Iterable, Iterator, Sequence

from dver.errors import BackendError, BackendProblem, FormatError, IntegrityError
from dver.objects.ids import VersionId, parse_id
from dver.storage.backend import Backend, BlobInfo
from dver.workers import ASKED_AT_ONCE, Workers

MAX_SMALL_BLOB = 1 << 20
# A request for each is cheaper than to list a thousand markers of others, and several are under way at once.
MOST_ASKED = 256


def version_key(version: VersionId) -> str:
    """Return the key of a version's marker in a store."""
    return f"versions/{version.hex()}"


def markers_among(blobs: Iterable[BlobInfo]) -> dict[VersionId, int]:
    """Return those of some blobs that are markers: the versions that they mark, and their sizes in bytes."""
    marked = {}
    for info in blobs:
        raw = parse_id(info.key.removeprefix("versions/"))
        if raw is not None and info.key == version_key(VersionId(raw)):
            marked[VersionId(raw)] = info.size
    return marked


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
        return self._marker_size(version) is not None

    def versions(self) -> set[VersionId]:
        """Return all versions that are wholly here."""
        return set(markers_among(self.backend.list("versions/")))

    def marker_sizes(self, versions: Sequence[VersionId]) -> dict[VersionId, int]:
        """Return those of `versions` that are marked here, and the sizes of their markers in bytes.

        Each is asked for, or all are listed where they are many.
        """
        unique = list(dict.fromkeys(versions))
        if len(unique) > MOST_ASKED:
            listed = markers_among(self.backend.list("versions/"))
            return {version: listed[version] for version in unique if version in listed}
        # The first alone: whoever is refused is so once.
        alone = len(unique) if self.backend.is_local else 1
        sizes = [*map(self._sound_marker_size, unique[:alone])]
        if len(unique) > alone:
            sizes += self._ask_at_once(unique[alone:])
        return {version: size for version, size in zip(unique, sizes, strict=True) if size is not None}

    def _marker_size(self, version: VersionId) -> int | None:
        # Reading it costs as little as asking for its size, and a service that refuses says why only when read from.
        data = read_if_there(self.backend, version_key(version))
        return None if data is None else len(data)

    def _sound_marker_size(self, version: VersionId) -> int | None:
        try:
            return self._marker_size(version)
        except IntegrityError:
            # An encrypted store answers so: what does not open marks nothing.
            return None

    def _ask_at_once(self, versions: Sequence[VersionId]) -> Iterator[int | None]:
        with Workers(None, min(len(versions), ASKED_AT_ONCE), name="dver-ask") as workers:
            asked = (workers.executor.submit(self._sound_marker_size, version) for version in versions)
            yield from workers.in_order(asked)
