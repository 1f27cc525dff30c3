"""Folders where a store has files, and files where it has folders: on a disk somebody can make such a thing.

Nothing can be read or written there, neither by an audit nor by anybody else, so this is looked at before all else.
"""

from collections.abc import Iterator
from pathlib import Path

from dver.objects.ids import parse_id
from dver.storage.audit_findings import Thing
from dver.storage.backend import Backend
from dver.storage.description import DESCRIPTION_KEY
from dver.storage.local import LocalBackend
from dver.storage.open import inner_of
from dver.storage.quarantine import set_aside

_TOPS = {"index": Thing.INDEX, "packs": Thing.PACK, "versions": Thing.MARKER}
_NO_FILE = "a folder is where a file should be"
_NO_FOLDER = "a file is where a folder should be"


def misplaced(backend: Backend) -> Iterator[tuple[str, Thing, str]]:
    """Yield the keys of what is misplaced in a store in a folder, what that should be, and what is wrong with it."""
    inner = inner_of(backend)
    if not isinstance(inner, LocalBackend):
        return
    root = Path(inner.location)
    if (root / DESCRIPTION_KEY).is_dir():
        yield DESCRIPTION_KEY, Thing.DESCRIPTION, _NO_FILE
    for top, thing in _TOPS.items():
        if (root / top).exists() and not (root / top).is_dir():
            yield top, thing, _NO_FOLDER
    for top in ("index", "versions"):
        yield from ((f"{top}/{name}", _TOPS[top], _NO_FILE) for name in _named(root / top))
    for folder in _folders(root / "packs"):
        yield from ((f"packs/{folder.name}/{name}", Thing.PACK, _NO_FILE) for name in _named(folder))


def _named(place: Path) -> list[str]:
    """Return the folders that have the name of a blob."""
    return sorted(one.name for one in _folders(place) if parse_id(one.name.partition(".")[0]) is not None)


def set_misplaced_aside(backend: Backend, key: str) -> None:
    """Move something misplaced into a folder of its own in quarantine, where it is in the way of nothing."""
    set_aside(inner_of(backend), key, "misplaced/")


def _folders(place: Path) -> Iterator[Path]:
    if place.is_dir():
        yield from (one for one in place.iterdir() if one.is_dir())
