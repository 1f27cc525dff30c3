"""What a command was seen to do to files of the repository, put together from single events.

An observer yields events in any order, each with its time; what counts is which came first at a path. What a run wrote
before it read is no input. The files of git and of dver themselves, what Python compiled, and virtual environments are
nobody's data, and left out.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from dver.objects.pointer import SUFFIX
from dver.operations.observe_hook import LISTED, READ, REMOVED, UPDATED, WRITTEN, source_of

_OWN_FOLDERS = frozenset((".git", ".dver", "__pycache__"))
_OWN_NAMES = frozenset((".gitignore", ".gitattributes", ".gitmodules", ".dverignore"))
_OWN_ENDS = (".pyc", ".pyo", SUFFIX)
_VENV_MARK = "pyvenv.cfg"
# The clock of a file system is the kernel's, which moves in steps and lags behind the one that is asked here.
_STEP = 50_000_000


class Event(NamedTuple):
    """A mark of a place (absolute, without symbolic links), and a number that is higher for what came later."""

    mark: str
    when: int
    place: str


@dataclass(frozen=True, slots=True)
class Traces:
    """What was done, by path relative to the repository, sorted.

    Attributes:
        read: files that were read as they were before the command.
        listed: folders whose names were read.
        written: files, or folders that were moved here, which the command made or changed.
        changed: those of them, and of what it removed, that it may have read before.
        removed: what was there before and is not any more.
    """

    read: tuple[str, ...] = ()
    listed: tuple[str, ...] = ()
    written: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


def gather(events: Iterable[Event], root: Path, began: int) -> Traces:
    """Return what events amount to; `began` is when the command was started, in nanoseconds since 1970."""
    gathering = _Gathering(root, began)
    for event in sorted(events, key=lambda event: event.when):
        gathering.take(event)
    return gathering.traces()


class _Gathering:
    """Takes events in the order of time."""

    def __init__(self, root: Path, began: int) -> None:
        self._root = str(root)
        self._began = began - _STEP
        self._scope = _Scope(self._root)
        self._read: dict[str, int] = {}
        self._listed: dict[str, int] = {}
        self._written: dict[str, int] = {}
        self._removed: dict[str, int] = {}

    def take(self, event: Event) -> None:
        place = source_of(event.place) if event.mark in (READ, UPDATED) else event.place
        path = self._scope.path_of(place)
        if path is None:
            return
        if event.mark in (READ, UPDATED):
            self._read.setdefault(path, event.when)
        if event.mark in (WRITTEN, UPDATED) and self._is_new(path):
            self._written.setdefault(path, event.when)
        if event.mark == LISTED:
            self._listed.setdefault(path, event.when)
        if event.mark == REMOVED:
            self._removed.setdefault(path, event.when)

    def traces(self) -> Traces:
        read = [path for path, when in self._read.items() if not self._was_written(path, when)]
        touched = {path for path in read if self._was_written(path, None) or path in self._removed}
        gone = [
            path
            for path, when in self._removed.items()
            if not self._was_written(path, when) and not self._is_there(path)
        ]
        return Traces(
            read=tuple(sorted(path for path in read if path not in touched and self._is_there(path))),
            listed=tuple(sorted(path for path, when in self._listed.items() if not self._was_written(path, when))),
            written=tuple(sorted(filter(self._is_there, self._written))),
            changed=tuple(sorted(touched)),
            removed=tuple(sorted(gone)),
        )

    def _was_written(self, path: str, before: int | None) -> bool:
        """Whether the command made or changed this, or a folder around it, in the first place; None: at all."""
        while path:
            when = self._written.get(path)
            if when is not None and (before is None or when < before):
                return True
            path = os.path.dirname(path)
        return False

    def _is_new(self, path: str) -> bool:
        """Whether something was done to it since the command began; what is gone counts."""
        try:
            return os.lstat(os.path.join(self._root, path)).st_ctime_ns >= self._began
        except OSError:
            return True

    def _is_there(self, path: str) -> bool:
        return os.path.lexists(os.path.join(self._root, path))


class _Scope:
    """Knows what counts."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._folders: dict[str, bool] = {"": True}

    def path_of(self, place: str) -> str | None:
        """Return the path of a place, relative to the repository; None for what does not count."""
        if not place.startswith(self._root + os.sep):
            return None
        path = place[len(self._root) + 1 :]
        folder, name = os.path.split(path)
        if not name or name in _OWN_NAMES or name in _OWN_FOLDERS or name.endswith(_OWN_ENDS):
            return None
        return path if self._counts(folder) else None

    def _counts(self, folder: str) -> bool:
        known = self._folders.get(folder)
        if known is None:
            above, name = os.path.split(folder)
            is_own = name in _OWN_FOLDERS or os.path.lexists(os.path.join(self._root, folder, _VENV_MARK))
            known = self._folders[folder] = not is_own and self._counts(above)
        return known
