"""Runs of items of one width in temporary files. Whoever writes a run has sorted it, and merges runs when reading them.

The files have no names, so nothing is left behind by a process that is killed.
"""

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from dver.database import batches
from dver.spool import no_room

_AT_ONCE = 4096


def write_run(items: Iterable[bytes], folder: Path | None) -> IO[bytes]:
    """Write items to a temporary file in `folder`, or where such files go; DverError where that cannot be written."""
    try:
        file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        try:
            for batch in batches(items, _AT_ONCE):
                file.write(b"".join(batch))
            file.flush()
        except BaseException:
            file.close()
            raise
    except OSError as exc:
        raise no_room(folder, exc) from exc
    return file


def read_run(file: IO[bytes], width: int) -> Iterator[bytes]:
    """Yield the items of `width` bytes in a file; others may read it meanwhile."""
    at = 0
    while True:
        file.seek(at)
        data = file.read(_AT_ONCE * width)
        if not data:
            return
        at += len(data)
        yield from (data[start : start + width] for start in range(0, len(data), width))
