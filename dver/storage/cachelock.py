"""The lock between those who write to a store on local disk and the one who collects garbage in it.

Whoever stores objects, or counts on objects that are stored already, holds the shared lock from the first of them until
something names them: a pointer, or the stat cache. Whoever deletes holds the exclusive lock, so it meets no half-done
work. Readers take no lock: they look again when a pack is gone. The kernel frees the lock of a process that ends, in
whatever way, so none is ever stale.

A process may take the shared lock several times over, also while it has the exclusive one; but it must not take the
exclusive one while it has a shared one.
Other stores, in buckets and on servers, have no such lock: nothing is deleted there without a time of grace.
"""

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from dver.errors import BackendError, BackendProblem, LockedError
from dver.fileio import make_folder
from dver.progress import NO_PROGRESS
from dver.storage.backend import Backend
from dver.storage.local import LocalBackend
from dver.storage.markers import VersionMarkers

LOCK_NAME = "lock"
WAITING_FOR_GC = "the cache is being cleaned by another dver: waiting"
WAITING_FOR_WRITERS = "another dver is storing data in the cache: waiting"

_POLL_SECONDS = 0.1
# What file systems without such locks answer.
_NO_LOCKS = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})


# The lock files that this process holds for itself alone: for the kernel, a second lock of its own would be in the way.
_held: set[Path] = set()


def lock_path(backend: Backend) -> Path | None:
    """Return the lock file of a store, or None for one that has no lock."""
    return Path(backend.location) / LOCK_NAME if isinstance(backend, LocalBackend) else None


def writing(
    store: VersionMarkers, note: Callable[[str], None] = NO_PROGRESS.note
) -> contextlib.AbstractContextManager[None]:
    """Return a context in which nothing is deleted from a store; see `writing_to`."""
    return writing_to(store.backend, note)


@contextlib.contextmanager
def writing_to(
    backend: Backend,
    note: Callable[[str], None] = NO_PROGRESS.note,
    *,
    patience: float | None = None,
    begins: bool = True,
) -> Iterator[None]:
    """Keep what is in a store from being deleted; while another process deletes, say so once through `note` and wait.

    Where a store has no lock, or is in a place where none can be had, this does nothing. `begins` says that a store
    which is not there yet is about to be made; otherwise no folder appears for one.

    Raises:
        LockedError: another process still deletes after `patience` seconds, unless that is None.
    """
    file = None if lock_path(backend) in _held else _open(backend, begins=begins)
    if file is None:
        yield
        return
    try:
        _take(file, fcntl.LOCK_SH, note, WAITING_FOR_GC, patience)
        yield
    finally:
        os.close(file)


@contextlib.contextmanager
def collecting(
    store: VersionMarkers, note: Callable[[str], None] = NO_PROGRESS.note, *, patience: float | None = None
) -> Iterator[None]:
    """Be the only one at work in a store on local disk, but for readers.

    Args:
        note: told once that another process is waited for.
        patience: how many seconds to wait; None for as long as it takes.

    Raises:
        LockedError: others are still at work after `patience`.
        BackendError: no lock can be had there, so it cannot be known whether others are at work.
    """
    file = _open(store.backend)
    if file is None:
        raise _no_lock(store.backend)
    try:
        if not _take(file, fcntl.LOCK_EX, note, WAITING_FOR_WRITERS, patience):
            raise _no_lock(store.backend)
        path = Path(store.backend.location) / LOCK_NAME
        _held.add(path)
        try:
            yield
        finally:
            _held.discard(path)
    finally:
        os.close(file)


def _open(backend: Backend, *, begins: bool = True) -> int | None:
    path = lock_path(backend)
    if path is None or not (begins or path.parent.is_dir()):
        return None
    for flags in (os.O_RDWR | os.O_CREAT, os.O_RDONLY):
        try:
            # What is stored in there is to survive a power cut.
            make_folder(path.parent)
            return os.open(path, flags | os.O_CLOEXEC, 0o666)
        except OSError:
            # Someone else's file in a shared store, or one that may only be read, which nobody can delete from either.
            continue
    return None


def _take(file: int, how: int, note: Callable[[str], None], waiting: str, patience: float | None = None) -> bool:
    """Take a lock and return whether there are locks in this place at all."""
    deadline = None if patience is None else time.monotonic() + patience
    announced = False
    while True:
        try:
            fcntl.flock(file, how | fcntl.LOCK_NB)
        except BlockingIOError:
            if deadline is not None and time.monotonic() >= deadline:
                raise LockedError(
                    waiting.removesuffix(": waiting"), hint="run the same command again when it has ended"
                ) from None
            if not announced and patience != 0:
                note(waiting)
                announced = True
            time.sleep(_POLL_SECONDS)
        except OSError as exc:
            if exc.errno not in _NO_LOCKS:
                raise
            return False
        else:
            return True


def _no_lock(backend: Backend) -> BackendError:
    return BackendError(
        backend.location,
        BackendProblem.OTHER,
        "cannot be locked, so nobody can tell whether another process is storing data there",
        hint="move the cache to a local disk (dver config set cache.dir PATH), where dver gc can work",
    )
