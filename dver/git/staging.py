"""The index: what the next commit will hold.

It is changed by git's own protocol (create `index.lock`, write, rename), so that neither git nor a second dver loses
what the other staged.
"""

import os
import shutil
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pygit2
from pygit2.enums import FileMode

from dver.errors import GitError, LockedError
from dver.git.objects import is_wanted
from dver.git.translation import translated

_LOCK_PATIENCE = 3.0
_LOCK_PAUSE = 0.05
_NANOSECONDS = 1_000_000_000
# The index has no room for more; git cuts its numbers off likewise.
_SIGNED_32, _UNSIGNED_32 = 0x7FFFFFFF, 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Conflict:
    """The blob ids of an unmerged file's sides; None for a side that does not have the file."""

    base: str | None
    ours: str | None
    theirs: str | None


class _Index(pygit2.Index):
    """An index that can fail to open without a second complaint from its destructor on standard error."""

    def __del__(self) -> None:
        if hasattr(self, "_index"):
            super().__del__()


class _FileEntry(pygit2.IndexEntry):
    """An entry with the stat of its file, without which git takes the file for changed until it has read it again."""

    def __init__(self, path: str, blob: pygit2.Oid, mode: FileMode, found: os.stat_result) -> None:
        super().__init__(path, blob, mode)
        self._found = found

    def _to_c(self) -> Any:
        entry, path = super()._to_c()
        found = self._found
        for time_field, value in ((entry.ctime, found.st_ctime_ns), (entry.mtime, found.st_mtime_ns)):
            time_field.seconds, time_field.nanoseconds = value // _NANOSECONDS & _SIGNED_32, value % _NANOSECONDS
        entry.dev, entry.ino, entry.uid, entry.gid, entry.file_size = (
            number & _UNSIGNED_32 for number in (found.st_dev, found.st_ino, found.st_uid, found.st_gid, found.st_size)
        )
        return entry, path


class StagingArea:
    """The index file of one work tree, at `path`."""

    __slots__ = ("_index", "_repository", "_root", "path")

    def __init__(self, repository: pygit2.Repository, root: Path, path: Path) -> None:
        self._repository = repository
        self._root = root
        self.path = path
        self._index: _Index | None = None

    def is_tracked(self, path: str) -> bool:
        """Return whether the index has `path`, as a file or as a conflict."""
        return path in self.read()

    def tracked_under(self, path: str) -> list[str]:
        """Return what the index has at `path` or, where that is a folder, below it; for "" everything."""
        index = self.read()
        path = path.rstrip("/")
        if not path:
            return list(dict.fromkeys(_index_path_at(index, at) for at in range(len(index))))
        below = os.fsencode(path) + b"/"
        found = [path] if path in index else []
        # The index is sorted by the bytes of the path, so what lies below a folder is one run in it.
        for at in range(_first_at_or_after(index, below), len(index)):
            name = _index_path_at(index, at)
            if not os.fsencode(name).startswith(below):
                break
            if not found or found[-1] != name:
                found.append(name)
        return found

    def files(self, suffix: str) -> dict[str, str]:
        """Return path and blob id of the staged files whose name ends with `suffix`; `.dver` folders are left out."""
        return {
            os.fsdecode(entry.path): str(entry.id)
            for entry in self.read()
            if is_wanted(os.fsencode(entry.path), os.fsencode(suffix))
            and entry.mode in (FileMode.BLOB, FileMode.BLOB_EXECUTABLE)
        }

    def contents(self, suffix: str) -> list[tuple[str, str]]:
        """Return the same as pairs, in which a file in conflict comes once for each side."""
        return [
            (os.fsdecode(entry.path), str(entry.id))
            for entry in self.read()
            if is_wanted(os.fsencode(entry.path), os.fsencode(suffix))
            and entry.mode in (FileMode.BLOB, FileMode.BLOB_EXECUTABLE)
        ]

    def conflicts(self, suffix: str) -> dict[str, Conflict]:
        """Return the sides of the unmerged files whose name ends with `suffix`, by path."""
        found = {}
        for sides in self.read().conflicts or ():
            path = next(os.fsdecode(side.path) for side in sides if side is not None)
            if is_wanted(os.fsencode(path), os.fsencode(suffix)):
                found[path] = Conflict(*(None if side is None else str(side.id) for side in sides))
        return found

    def stage(self, paths: Sequence[str]) -> None:
        """Stage files as they are in the work tree, ignored or not; for files that are gone, stage the removal.

        Raises:
            LockedError: another process holds the index.
        """
        with translated("cannot stage"):
            self._change({path: self._entry(path) for path in paths})

    def untrack(self, paths: Sequence[str]) -> None:
        """Remove files from the index and leave them in the work tree, as `git rm --cached` does."""
        with translated("cannot remove from the index"):
            self._change(dict.fromkeys(paths))

    def read(self) -> pygit2.Index:
        """Return the index as it is now, to be read only."""
        with translated("cannot read the git index"):
            if self._index is None:
                self._index = _Index(str(self.path))
            else:
                self._index.read(force=False)
            return self._index

    def heeds_modes(self) -> bool:
        """Whether executable bits in the work tree mean anything, by `core.filemode`; git sets it by trying."""
        config = self._repository.config
        return "core.filemode" not in config or config.get_bool("core.filemode")

    def ignores_case(self) -> bool:
        """Whether the file system takes names in another case for the same, by `core.ignorecase`."""
        config = self._repository.config
        return "core.ignorecase" in config and config.get_bool("core.ignorecase")

    def _entry(self, path: str) -> pygit2.IndexEntry | None:
        """Return the index entry of a file as it is on disk, its content stored as a blob; None if it is gone."""
        try:
            # Before the content is read, so that a change in between is seen by git.
            found = (self._root / path).lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        mode = found.st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISLNK(mode):
            raise GitError(f"cannot stage {path}: not a file")
        kind = FileMode.LINK if stat.S_ISLNK(mode) else FileMode.BLOB
        if stat.S_ISREG(mode) and mode & stat.S_IXUSR and self.heeds_modes():
            kind = FileMode.BLOB_EXECUTABLE
        return _FileEntry(path, self._repository.create_blob_fromworkdir(path), kind, found)

    def _change(self, changes: Mapping[str, pygit2.IndexEntry | None]) -> None:
        index = self.read()
        if not any(_differs(index, path, entry) for path, entry in changes.items()):
            return
        with _locked_index(Path(os.path.realpath(self.path))) as draft:
            for path, entry in changes.items():
                if _differs(draft, path, entry):
                    _drop(draft, path)
                    if entry is not None:
                        draft.add(entry)


def _index_path_at(index: pygit2.Index, at: int) -> str:
    return os.fsdecode(index[at].path)


def _first_at_or_after(index: pygit2.Index, wanted: bytes) -> int:
    low, high = 0, len(index)
    while low < high:
        middle = (low + high) // 2
        if os.fsencode(index[middle].path) < wanted:
            low = middle + 1
        else:
            high = middle
    return low


def _differs(index: pygit2.Index, path: str, entry: pygit2.IndexEntry | None) -> bool:
    if entry is None:
        return path in index
    try:
        return index[path] != entry
    except KeyError:
        return True


def _drop(index: pygit2.Index, path: str) -> None:
    """Remove a path in all stages: 0, or the sides of a conflict."""
    for level in range(4):
        with suppress(OSError):
            index.remove(path, level)


@contextmanager
def _locked_index(path: Path) -> Iterator[pygit2.Index]:
    """Yield a copy of the index to change; on leaving it replaces the index, unless an error came."""
    lock, draft = Path(f"{path}.lock"), Path(f"{path}.lock.draft")
    _take(lock)
    try:
        draft.unlink(missing_ok=True)
        existed = path.exists()
        if existed:
            shutil.copyfile(path, draft)
        index = _Index(str(draft))
        yield index
        index.write()
        if existed:
            # git re-reads files that are not older than the index. Keeping its time keeps that true of all entries.
            shutil.copystat(path, draft)
        draft.replace(lock)
        lock.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        lock.unlink(missing_ok=True)
        raise


def _take(lock: Path) -> None:
    deadline = time.monotonic() + _LOCK_PATIENCE
    while True:
        try:
            os.close(os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        except FileExistsError as exc:
            if time.monotonic() >= deadline:
                raise LockedError(
                    f"another git process is changing the index ({lock} exists)",
                    hint="wait until it ends; if no git command is running, delete that file",
                ) from exc
            time.sleep(_LOCK_PAUSE)
        else:
            return
