"""What a Python program does to files, noted while it does it; this text also runs inside of observed programs.

There it is a file of its own in a Python that may be old and knows nothing of dver, so it uses the standard library
only, and little of that. It never raises and never says anything, whatever a program does: what it cannot note, it
leaves out. The places that it notes are absolute and without symbolic links.
"""

from __future__ import annotations

import os
import stat
import sys
import time
from _thread import get_ident
from collections.abc import Callable
from contextlib import suppress
from typing import Any

READ = "R"
WRITTEN = "W"
# Opened for both, which many programs do that only read.
UPDATED = "U"
REMOVED = "D"
LISTED = "L"

END = b"\0"
HOOK_MODULE = "sitecustomize"
_NO_FOLDER = -1
_OPEN_FILE = "/proc/self/fd/{:d}"
_MOST_KNOWN = 200_000
_WRITING = os.O_WRONLY | os.O_RDWR
_CACHE_FOLDER = "__pycache__"
_COMPILED = (".pyc", ".pyo")
_TROUBLE = (OSError, ValueError, TypeError, AttributeError, LookupError, RuntimeError, MemoryError)


class Watch:
    """Turns what the auditing of Python tells into marks of places, each mark of a place once."""

    def __init__(self, root: str, note: Callable[[str, int, str], object]) -> None:
        """Heed what is below the folder `root`; `note` gets a mark, when that was in nanoseconds, and the place."""
        self._below = os.path.join(root, "")
        self._note = note
        self._known: set[tuple[object, ...]] = set()
        self._busy: set[int] = set()

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        """Take one event; what is not about files is passed over."""
        hear = _EVENTS.get(event)
        thread = get_ident()
        if hear is None or thread in self._busy:
            return
        # What is done here is audited too.
        self._busy.add(thread)
        try:
            hear(self, *args)
        except _TROUBLE:
            pass
        finally:
            self._busy.discard(thread)

    def opened(self, path: Any, mode: Any, flags: Any) -> None:
        """Note that a file is about to be opened; flags count where they say more than the mode."""
        flags = flags or 0
        is_both = flags & os.O_RDWR
        if not flags & _WRITING and isinstance(mode, str):
            is_both = "+" in mode
            flags |= os.O_WRONLY if set(mode) & set("wax+") else 0
            flags |= os.O_TRUNC if "w" in mode else 0
        if not flags & _WRITING:
            self.note(READ, path)
        elif is_both and not flags & os.O_TRUNC:
            self.note(UPDATED, path)
        else:
            self.note(WRITTEN, path)

    def renamed(self, source: Any, target: Any, source_folder: int = _NO_FOLDER, folder: int = _NO_FOLDER) -> None:
        """Note that a file or folder is about to get another name."""
        self.note(REMOVED, source, source_folder, follow=False)
        self.note(WRITTEN, target, folder, follow=False)

    def linked(self, _source: Any, target: Any, *folders: int) -> None:
        """Note that a link is about to be made."""
        self.note(WRITTEN, target, folders[-1] if folders else _NO_FOLDER, follow=False)

    def removed(self, path: Any, folder: int = _NO_FOLDER) -> None:
        """Note that a file is about to be removed."""
        self.note(REMOVED, path, folder, follow=False)

    def listed(self, path: Any = None) -> None:
        """Note that the names in a folder are about to be read."""
        self.note(LISTED, "." if path is None else path)

    def updated(self, path: Any, *_more: Any) -> None:
        """Note that something is about to be changed that may be read as well."""
        self.note(UPDATED, path)

    def note(self, mark: str, path: Any, folder: int = _NO_FOLDER, *, follow: bool = True) -> None:
        """Note a mark of a place, unless that was done before, there is nothing to mark, or it is not heeded.

        Args:
            path: as the program gave it: text, bytes, or something with a path; a number is an open folder.
            folder: what a relative path is below, as an open folder.
            follow: whether it is about what a link points to.
        """
        if isinstance(path, int):
            if mark != LISTED:
                return
            path = os.readlink(_OPEN_FILE.format(path))
        path = os.fsdecode(path)
        if not os.path.isabs(path):
            start = os.getcwd() if folder == _NO_FOLDER else os.readlink(_OPEN_FILE.format(folder))
            path = os.path.join(start, path)
        if (mark, path, follow) in self._known:
            return
        if len(self._known) > _MOST_KNOWN:
            self._known.clear()
        self._known.add((mark, path, follow))
        when = time.monotonic_ns()
        if mark == READ:
            path = source_of(path, getattr(sys, "pycache_prefix", None))
        place = _real(path, follow=follow)
        if place.startswith(self._below):
            self._note_place(mark, when, place)

    def _note_place(self, mark: str, when: int, place: str) -> None:
        if mark == REMOVED:
            if os.path.lexists(place):
                self._note(mark, when, place)
            return
        try:
            is_file = stat.S_ISREG(os.stat(place).st_mode)
        except OSError:
            # There is nothing to be read, or something is being made.
            if mark in (UPDATED, WRITTEN):
                self._note(WRITTEN, when, place)
            return
        if is_file or mark in (LISTED, WRITTEN):
            self._note(mark, when, place)


_EVENTS: dict[str, Callable[..., None]] = {
    "open": Watch.opened,
    "os.rename": Watch.renamed,
    "os.remove": Watch.removed,
    "os.link": Watch.linked,
    "os.symlink": Watch.linked,
    "os.truncate": Watch.updated,
    "os.listdir": Watch.listed,
    "os.scandir": Watch.listed,
    "sqlite3.connect": Watch.updated,
}


class Log:
    """Appends what is noted to files in a folder, one for each process."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def __call__(self, mark: str, when: int, place: str) -> None:
        """Append a line. Nothing is kept open, for a program may close what it did not open."""
        self._append(b"%s %d %s" % (mark.encode(), when, os.fsencode(place)) + END)

    def begin(self) -> None:
        """Say that this process is observed."""
        self._append(b"")

    def _append(self, line: bytes) -> None:
        path = os.path.join(self._folder, str(os.getpid()))
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(file, line)
        finally:
            os.close(file)


def begin(root: str, log: str, hooks: str) -> None:
    """Note in the folder `log` what this process does below `root` from now on.

    The folder `hooks`, from which Python was made to load this, steps aside for what it would have loaded else.
    """
    watch = Watch(root, Log(log))
    sys.addaudithook(watch)
    with suppress(*_TROUBLE):
        Log(log).begin()
    sys.path[:] = [place for place in sys.path if place != hooks]
    ours = sys.modules.pop(HOOK_MODULE)
    try:
        __import__(HOOK_MODULE)
    except ImportError as exc:
        if exc.name != HOOK_MODULE:
            raise
    finally:
        # The machinery that is loading ours looks for it there.
        sys.modules.setdefault(HOOK_MODULE, ours)


def source_of(path: str, prefix: str | None = None) -> str:
    """Return the Python file that a compiled one was made from, or the path as it is; `prefix` is where Python puts
    compiled files that are not beside their sources."""
    folder, name = os.path.split(path)
    if not name.endswith(_COMPILED):
        return path
    if prefix and folder.startswith(prefix.rstrip(os.sep) + os.sep):
        folder = folder[len(prefix.rstrip(os.sep)) :]
    elif os.path.basename(folder) == _CACHE_FOLDER:
        folder = os.path.dirname(folder)
    else:
        return path
    return os.path.join(folder, name.partition(".")[0] + ".py")


def _real(path: str, *, follow: bool) -> str:
    if follow:
        return os.path.realpath(path)
    folder, name = os.path.split(os.path.normpath(path))
    return os.path.join(os.path.realpath(folder), name)
