"""Reading working files so that what is read is one state of the file, never a mix of two.

A file's stat is taken before and after; if it changed in between, the file is read again, a few times, then
refused. A file written within the last clock tick is given time to settle first, as a write in the same tick leaves
the same stat; one that does not settle is not read.
"""

import os
import stat
import time
from collections.abc import Callable
from typing import TypeVar

from dver.errors import PathError, UnstableFileError, os_hint
from dver.workspace.statcache import clock_tick

ATTEMPTS = 3
_OPEN_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

T = TypeVar("T")


def read_stably(path: bytes, shown: str, read: Callable[[int, os.stat_result], T]) -> tuple[T, os.stat_result, int]:
    """Call `read` with an open file and its stat; return its result, the stat, and when the reading began (ns).

    `read` may return anything; it is called again when the file changed meanwhile, and must raise `EOFError` when the
    file is shorter than its stat says. `shown` is the path for errors.

    Raises:
        UnstableFileError: the file changed on every attempt.
        PathError: it cannot be read, or is no regular file any more.
    """
    for _ in range(ATTEMPTS):
        try:
            fd = os.open(path, _OPEN_FLAGS)
        except FileNotFoundError as exc:
            raise UnstableFileError(shown) from exc
        except OSError as exc:
            raise PathError(shown, f"cannot be read: {exc.strerror}", hint=os_hint(exc)) from exc
        try:
            before = _settled_stat(fd)
            if before is None:
                continue
            if not stat.S_ISREG(before.st_mode):
                raise UnstableFileError(shown)
            began = time.time_ns()
            result = read(fd, before)
            if same_stat(before, os.fstat(fd)):
                return result, before, began
        except EOFError:
            continue
        except OSError as exc:
            raise PathError(shown, f"cannot be read: {exc.strerror}", hint=os_hint(exc)) from exc
        finally:
            os.close(fd)
    raise UnstableFileError(shown)


def read_whole(fd: int, found: os.stat_result) -> bytes:
    """Return all of a file; fits `read_stably`."""
    return read_at(fd, 0, found.st_size)


def read_at(fd: int, offset: int, length: int) -> bytes:
    """Return exactly `length` bytes from `offset`; EOFError where the file has fewer."""
    data = os.pread(fd, length, offset)
    if len(data) < length:
        pieces = [data]
        missing = length - len(data)
        while missing:
            more = os.pread(fd, missing, offset + length - missing)
            if not more:
                raise EOFError
            pieces.append(more)
            missing -= len(more)
        data = b"".join(pieces)
    return data


def read_link(path: bytes) -> bytes:
    """Return the target of a symbolic link; UnstableFileError if it is none any more."""
    try:
        return os.readlink(path)
    except OSError as exc:
        raise UnstableFileError(os.fsdecode(path)) from exc


def same_stat(first: os.stat_result, second: os.stat_result) -> bool:
    """Whether two stats of a file give no sign of a change between them."""
    return (
        first.st_mtime_ns == second.st_mtime_ns
        and first.st_size == second.st_size
        and first.st_ctime_ns == second.st_ctime_ns
        and first.st_ino == second.st_ino
    )


def _settled_stat(fd: int) -> os.stat_result | None:
    """Return the stat once it is older than a clock tick; None if the file changed again while waiting for that."""
    found = os.fstat(fd)
    wait = _unsettled_ns(found)
    if wait:
        time.sleep(wait / 1e9 + 0.001)
        again = os.fstat(fd)
        return again if same_stat(found, again) else None
    return found


def _unsettled_ns(found: os.stat_result) -> int:
    """Return for how long a write could still leave this very stat; times in the future need no wait."""
    tick = clock_tick(found.st_mtime_ns, found.st_ctime_ns)
    age = time.time_ns() - max(found.st_mtime_ns, found.st_ctime_ns)
    return tick - age + 1 if 0 <= age <= tick else 0
