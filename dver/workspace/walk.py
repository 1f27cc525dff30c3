"""Walking the files of a dataset, in the order in which a manifest lists them.

Names are bytes. A directory's names are visited as if those of subdirectories ended in `/`, which makes the full
paths come in byte order. Symbolic links are never followed. Files that `.dverignore` names are left out.
"""

import os
import stat
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

from dver.errors import PathError
from dver.workspace.ignore import IgnoreRules


class FileType(IntEnum):
    """What a path in the working tree is."""

    FILE = 0
    LINK = 2
    DIRECTORY = 3
    OTHER = 4


class WalkItem(NamedTuple):
    """A path relative to the dataset, what it is, and its stat. DIRECTORY means one with nothing in it."""

    path: bytes
    type: FileType
    stat: os.stat_result


def file_type(found: os.stat_result) -> FileType:
    """Return the type of a file from its lstat."""
    mode = found.st_mode
    if stat.S_ISREG(mode):
        return FileType.FILE
    if stat.S_ISLNK(mode):
        return FileType.LINK
    if stat.S_ISDIR(mode):
        return FileType.DIRECTORY
    return FileType.OTHER


def is_executable(found: os.stat_result) -> bool:
    """Whether a regular file has its owner's executable bit, the only permission that dver keeps."""
    return bool(found.st_mode & stat.S_IXUSR)


def walk_dataset(root: bytes, ignore: IgnoreRules) -> Iterator[WalkItem]:
    """Yield everything below the directory `root`, or `root` itself (with an empty path) if it is no directory.

    What disappears meanwhile is passed over.

    Raises:
        FileNotFoundError, NotADirectoryError: there is no `root`.
        PathError: a directory cannot be read.
    """
    top = os.lstat(root)
    if stat.S_ISDIR(top.st_mode):
        yield from _walk_directory(root, b"", ignore)
    else:
        yield WalkItem(b"", file_type(top), top)


def _walk_directory(directory: bytes, prefix: bytes, ignore: IgnoreRules) -> Iterator[WalkItem]:
    rules = ignore.entering(prefix, directory)
    for _, entry, is_directory in _sorted_entries(directory):
        path = prefix + entry.name
        if rules.matches(path, is_directory=is_directory):
            continue
        if is_directory:
            yield from _walk_subdirectory(entry, path, rules)
            continue
        try:
            found = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        yield WalkItem(path, file_type(found), found)


def _walk_subdirectory(entry: os.DirEntry[bytes], path: bytes, rules: IgnoreRules) -> Iterator[WalkItem]:
    below = _walk_directory(entry.path, path + b"/", rules)
    first = next(below, None)
    if first is not None:
        yield first
        yield from below
    elif not _sorted_entries(entry.path):
        yield WalkItem(path, FileType.DIRECTORY, entry.stat(follow_symlinks=False))


def _sorted_entries(directory: bytes) -> list[tuple[bytes, "os.DirEntry[bytes]", bool]]:
    entries = []
    try:
        with os.scandir(directory) as found:
            for entry in found:
                is_directory = entry.is_dir(follow_symlinks=False)
                entries.append((entry.name + b"/" if is_directory else entry.name, entry, is_directory))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as exc:
        raise PathError(os.fsdecode(directory), f"cannot be read: {exc.strerror}") from exc
    entries.sort(key=lambda item: item[0])
    return entries
