"""What is set aside: blobs that are damaged, moved to `quarantine/` in the same store under the names that they had.

Nothing there counts for the store, and nothing there is ever deleted by dver: what a damaged pack still holds may be
wanted one day. A blob of a name that is there already gets a number behind its name.
"""

import errno
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

from dver.errors import BackendError, BackendProblem, IntegrityError
from dver.fileio import make_folder, sync_directory
from dver.objects.ids import Bytes, PackId, VersionId, parse_id
from dver.storage.backend import Backend, BlobInfo, read_alike
from dver.storage.local import LocalBackend
from dver.storage.open import as_encrypted
from dver.storage.packs import pack_key

QUARANTINE = "quarantine/"
MOST_COPIED = 256 * 1024 * 1024
_PIECE = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class SetAside:
    """A pack in quarantine.

    Attributes:
        key: what it can be read under from `backend`.
        backend: the store's, or a view of it in which an encrypted pack that was moved as it is has its old key.
    """

    key: str
    pack: PackId
    size: int
    backend: Backend


def set_aside(backend: Backend, key: str, folder: str = "") -> str | None:
    """Move a blob into quarantine and return its new key; None, with the blob where it was, if it cannot be read.

    It is there before it is gone from its place. A blob that is gone already has the key that it would have got.
    """
    return _move(backend, key, _free_key(backend, key, folder))


def _move(backend: Backend, key: str, target: str) -> str | None:
    if isinstance(backend, LocalBackend):
        _rename(backend, key, target)
        return target
    size = backend.size(key)
    if size is None:
        return target
    if size > MOST_COPIED:
        return None
    try:
        # What is damaged on its way would be all that is left.
        pieces = [
            read_alike(backend, key, partial(backend.read_range, key, at, min(_PIECE, size - at)))
            for at in range(0, size, _PIECE)
        ]
    except IntegrityError:
        return None
    backend.write(target, pieces)
    backend.delete(key)
    return target


def set_aside_sealed(backend: Backend, key: str) -> str | None:
    """Move an encrypted blob that does not open, as it is and under the name that means nothing; None if it cannot be.

    It lies as if `quarantine/` were a store, for its name is a part of what it is encrypted with; `packs_aside` reads
    from it what opens still.
    """
    crypt = as_encrypted(backend)
    if crypt is None:
        return None
    for master in crypt.keyring.masters.keys:
        stored = master.stored_key(key)
        if crypt.inner.size(stored) is not None:
            return _move(crypt.inner, stored, _first_free(crypt.inner, QUARANTINE + stored))
    return None


def packs_aside(backend: Backend) -> Iterator[SetAside]:
    """Yield the packs in quarantine."""
    for info in backend.list(f"{QUARANTINE}packs/"):
        raw = _id_in(info.key)
        if raw is not None and info.size:
            yield SetAside(info.key, PackId(raw), info.size, backend)
    for key, moved, size in _sealed_aside(backend, "packs/"):
        raw = _id_in(key)
        if raw is not None and size:
            yield SetAside(key, PackId(raw), size, _view(backend, moved))


def versions_aside(backend: Backend) -> set[VersionId]:
    """Return the versions whose markers are in quarantine."""
    plain = (info.key for info in backend.list(f"{QUARANTINE}versions/"))
    sealed = (key for key, _, _ in _sealed_aside(backend, "versions/"))
    return {VersionId(raw) for key in (*plain, *sealed) if (raw := _id_in(key)) is not None}


def sealed_pack(backend: Backend, moved: str, pack: PackId, size: int) -> SetAside:
    """Return a pack that `set_aside_sealed` moved."""
    return SetAside(pack_key(pack), pack, size, _view(backend, moved))


def _id_in(key: str) -> bytes | None:
    return parse_id(key.rpartition("/")[2].partition(".")[0])


def _sealed_aside(backend: Backend, prefix: str) -> Iterator[tuple[str, str, int]]:
    """Yield the key, the key in quarantine, and the size of what was moved as it is from below a prefix."""
    crypt = as_encrypted(backend)
    if crypt is None:
        return
    for info in crypt.inner.list(QUARANTINE + prefix):
        stored = info.key.removeprefix(QUARANTINE).partition(".")[0]
        for master in crypt.keyring.masters.keys:
            key = master.plain_key(stored)
            if key is not None:
                yield key, info.key, master.plain_size(info.size) or 0
                break


def _view(backend: Backend, moved: str) -> Backend:
    crypt = as_encrypted(backend)
    assert crypt is not None
    ring = crypt.keyring
    return type(crypt)(_Moved(crypt.inner, moved), lambda: ring)


class _Moved:
    """A backend in which one blob in quarantine lies where it was, for reading."""

    def __init__(self, inner: Backend, moved: str) -> None:
        self._inner = inner
        self._moved = moved
        self._stored = moved.removeprefix(QUARANTINE).partition(".")[0]
        self.location = inner.location
        self.is_local = inner.is_local

    def _key(self, key: str) -> str:
        return self._moved if key == self._stored else key

    def write(self, key: str, pieces: Sequence[Bytes]) -> None:
        """Store a blob."""
        self._inner.write(key, pieces)

    def read(self, key: str) -> bytes:
        """Return a whole blob."""
        return self._inner.read(self._key(key))

    def read_range(self, key: str, offset: int, length: int) -> bytes:
        """Return a part of a blob."""
        return self._inner.read_range(self._key(key), offset, length)

    def size(self, key: str) -> int | None:
        """Return the size of a blob."""
        return self._inner.size(self._key(key))

    def list(self, prefix: str) -> Iterator[BlobInfo]:
        """Yield blobs."""
        return self._inner.list(prefix)

    def delete(self, key: str) -> None:
        """Delete a blob, but not the one in quarantine."""
        self._inner.delete(key)


def _free_key(backend: Backend, key: str, folder: str) -> str:
    # Packs need no folders of their own here: they are few.
    kind, _, name = key.rpartition("/")
    target = f"{QUARANTINE}{folder}{kind.partition('/')[0]}/{name}" if kind else f"{QUARANTINE}{folder}{name}"
    return _first_free(backend, target)


def _first_free(backend: Backend, target: str) -> str:
    if _is_free(backend, target):
        return target
    return next(one for number in count(2) if _is_free(backend, one := f"{target}.{number}"))


def _is_free(backend: Backend, key: str) -> bool:
    if isinstance(backend, LocalBackend) and (Path(backend.location) / key).is_dir():
        return False
    return backend.size(key) is None


def _rename(backend: LocalBackend, key: str, target: str) -> None:
    """Move a file in a folder, which needs no room and reads nothing."""
    source, goal = Path(backend.location) / key, Path(backend.location) / target
    try:
        make_folder(goal.parent)
        source.replace(goal)
        sync_directory(goal.parent)
        sync_directory(source.parent)
    except FileNotFoundError:
        return
    except OSError as exc:
        problem = BackendProblem.NO_SPACE if exc.errno in (errno.ENOSPC, errno.EDQUOT) else BackendProblem.DENIED
        if exc.errno == errno.EROFS:
            problem = BackendProblem.READ_ONLY
        reason = f"{key} cannot be moved to {target}: {exc.strerror}"
        raise BackendError(
            backend.location, problem, reason, hint="make the folder writable, or free some space"
        ) from exc
    # Files that are held open are known to it by name.
    backend.delete(key)
