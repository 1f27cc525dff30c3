"""What trials of a store's place left behind that were killed before they could delete it.

All trials are made in folders of random names within one. What is older than a day, by the times that the place gives
its blobs, is nobody's any more: no trial takes as long. Younger ones may be at work.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dver.errors import DverError
from dver.storage.backend import Backend, BlobInfo
from dver.storage.selftest_trials import FOLDER, Scratch

_OLD_SECONDS = 24 * 3600.0
_RUN = re.compile(rf"{FOLDER}[0-9a-f]{{16}}/")


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What was found of other trials: folders, and keys of blobs.

    Attributes:
        removed: those that were older than a day, and are gone.
        kept: the others, be it that they are younger or that the place tells no times.
        left: what of the old ones could not be deleted.
    """

    removed: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


def remove_leftovers(scratch: Scratch) -> Leftovers:
    """Delete what other trials left behind; to be called while something of this one is there, to tell the time by.

    Raises:
        DverError: it cannot be listed.
    """
    runs: dict[str, list[tuple[Backend, BlobInfo]]] = {}
    for view in dict.fromkeys((scratch.backend, scratch.place)):
        for info in view.list(FOLDER):
            found = _RUN.match(info.key)
            if found is not None:
                runs.setdefault(found[0], []).append((view, info))
    now = _newest(runs.pop(scratch.folder, ()))
    removed, kept, left = [], [], []
    for folder, blobs in sorted(runs.items()):
        written = _newest(blobs)
        if now is None or written is None or now - written <= _OLD_SECONDS:
            kept.append(folder)
            continue
        failed = list(_delete(blobs))
        left += failed
        if not failed:
            removed.append(folder)
    return Leftovers(tuple(removed), tuple(kept), tuple(left))


def _newest(blobs: Sequence[tuple[Backend, BlobInfo]]) -> float | None:
    """Return when the last of some blobs was written; None if that is not told of all."""
    times = [info.modified for _, info in blobs]
    known = [time for time in times if time is not None]
    return max(known) if known and len(known) == len(times) else None


def _delete(blobs: Sequence[tuple[Backend, BlobInfo]]) -> Iterator[str]:
    """Delete blobs, and yield the keys of what could not be."""
    for view, info in blobs:
        try:
            view.delete(info.key)
        except DverError:
            yield info.key
