"""A list that may be longer than memory: what is added goes to a temporary file, and is read back in the same order.

Items are tuples of plain values. They are written many at a time, so one costs little more than it would in a list. A
short list stays in memory. The file has no name, so nothing is left behind by a process that is killed. For one thread.
"""

import marshal
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from dver.errors import DverError

_AT_ONCE = 1024
_IN_MEMORY = 1024 * 1024
_LENGTH_BYTES = 4
# Later versions of the format look for equal values, which takes time and memory.
_MARSHAL_VERSION = 2


def no_room(folder: Path | None, exc: OSError) -> DverError:
    """Return the error of a temporary file that cannot be written in `folder`, or where such files go."""
    where = folder or tempfile.gettempdir()
    return DverError(f"{where}: cannot be written: {exc.strerror}", hint="free some space there")


class Spool:
    """The list: add to it, then read it, as often as wanted. Use it as a context manager where its end is known."""

    def __init__(self, folder: Path | None = None) -> None:
        """Begin an empty list, with its temporary file in `folder`."""
        self._folder = folder
        self._recent: list[tuple[Any, ...]] = []
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY, dir=None if folder is None else str(folder))  # noqa: SIM115
        self._length = 0
        self._finalizer = weakref.finalize(self, self._file.close)

    def __enter__(self) -> "Spool":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._finalizer()

    def __len__(self) -> int:
        return self._length

    def append(self, item: tuple[Any, ...]) -> None:
        """Add an item at the end."""
        self._recent.append(item)
        self._length += 1
        if len(self._recent) >= _AT_ONCE:
            self._spill()

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        """Yield all items, which must not become more meanwhile."""
        at = 0
        while True:
            self._file.seek(at)
            length = int.from_bytes(self._file.read(_LENGTH_BYTES))
            if not length:
                break
            yield from marshal.loads(self._file.read(length))
            at += _LENGTH_BYTES + length
        yield from self._recent

    def _spill(self) -> None:
        written = marshal.dumps(self._recent, _MARSHAL_VERSION)
        try:
            self._file.seek(0, 2)
            self._file.write(len(written).to_bytes(_LENGTH_BYTES) + written)
        except OSError as exc:
            raise no_room(self._folder, exc) from exc
        self._recent.clear()
