"""Walking the files of a dataset, in the order in which a manifest lists them.

Names are bytes. What is in a subdirectory is visited where the subdirectory's name with a `/` at its end belongs, and
an empty one where its plain name does, which makes the full paths come in byte order. Symbolic links are never
followed. Files that `.dverignore` names are left out.
"""

import os
import stat
from collections.abc import Generator, Iterator, Sequence
from enum import IntEnum
from typing import NamedTuple, TypeAlias

from dver.errors import PathError
from dver.workspace.ignore import IgnoreRules

_Listing: TypeAlias = "list[tuple[bytes, os.DirEntry[bytes], bool]]"


class FileType(IntEnum):
    """What a path in the working tree is."""

    FILE = 0
    LINK = 2
    DIRECTORY = 3
    OTHER = 4


_TYPES = {stat.S_IFREG: FileType.FILE, stat.S_IFLNK: FileType.LINK, stat.S_IFDIR: FileType.DIRECTORY}


class WalkItem(NamedTuple):
    """A path relative to the dataset, what it is, and its stat. DIRECTORY means one with nothing in it."""

    path: bytes
    type: FileType
    stat: os.stat_result


class Folder(NamedTuple):
    """A directory of a dataset: the start of the paths in it, what they are, and which directories hold more.

    `files` has names and stats; a directory is among them if there is nothing in it.
    """

    prefix: bytes
    files: Sequence[tuple[bytes, os.stat_result]]
    folders: Sequence[bytes]

    def items(self) -> Iterator[WalkItem]:
        """Yield what `walk_dataset` would, in no order."""
        for name, found in self.files:
            yield WalkItem(self.prefix + name, file_type(found), found)


def file_type(found: os.stat_result) -> FileType:
    """Return the type of a file from its lstat."""
    return _TYPES.get(stat.S_IFMT(found.st_mode), FileType.OTHER)


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
        yield from _walk_directory(root, b"", ignore, _sorted_entries(root))
    else:
        yield WalkItem(b"", file_type(top), top)


def walk_part(root: bytes, part: bytes, ignore: IgnoreRules) -> Iterator[WalkItem]:
    """Yield those of `walk_dataset` that are at the path `part` of the dataset, or below it.

    Raises what that raises, also where there is nothing at `part`.
    """
    directory, prefix, rules = root, b"", ignore
    for name in part.split(b"/"):
        rules = rules.entering(prefix, directory)
        directory = directory + b"/" + name
        found = os.lstat(directory)
        is_directory = stat.S_ISDIR(found.st_mode)
        if rules.matches(prefix + name, is_directory=is_directory):
            return
        prefix += name + b"/"
    listing = _sorted_entries(directory) if is_directory else []
    if listing:
        yield from _walk_directory(directory, prefix, rules, listing)
    else:
        yield WalkItem(part, file_type(found), found)


def walk_folders(root: bytes, ignore: IgnoreRules) -> Iterator[Folder]:
    """Yield the same as `walk_dataset`, directory by directory and in no order, for half of the time.

    Raises what that raises.
    """
    top = os.lstat(root)
    if stat.S_ISDIR(top.st_mode):
        if not (yield from _walk_folders(root, b"", ignore)):
            yield Folder(b"", [], [])
    else:
        yield Folder(b"", [(b"", top)], [])


def _walk_folders(directory: bytes, prefix: bytes, outer: IgnoreRules) -> Generator[Folder, None, bool]:
    """Yield a directory after those in it; return whether there is anything in it."""
    entries = _entries(directory)
    if not entries:
        return False
    rules = outer.entering(prefix, directory)
    files, folders = [], []
    for entry in entries:
        name, is_directory = entry.name, entry.is_dir(follow_symlinks=False)
        if rules and rules.matches(prefix + name, is_directory=is_directory):
            continue
        if is_directory and (yield from _walk_folders(entry.path, prefix + name + b"/", rules)):
            folders.append(name)
            continue
        try:
            files.append((name, entry.stat(follow_symlinks=False)))
        except FileNotFoundError:
            continue
    yield Folder(prefix, files, folders)
    return True


def _walk_directory(directory: bytes, prefix: bytes, ignore: IgnoreRules, entries: _Listing) -> Iterator[WalkItem]:
    rules = ignore.entering(prefix, directory)
    listings: dict[bytes, _Listing] = {}
    for key, entry, is_directory in entries:
        path = prefix + entry.name
        if is_directory and key.endswith(b"/"):
            if entry.name in listings:
                yield from _walk_directory(entry.path, path + b"/", rules, listings.pop(entry.name))
            continue
        if rules.matches(path, is_directory=is_directory):
            continue
        if is_directory and (listing := _sorted_entries(entry.path)):
            listings[entry.name] = listing
            continue
        try:
            found = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        yield WalkItem(path, file_type(found), found)


def _sorted_entries(directory: bytes) -> _Listing:
    """Return what is in a directory as (place in the order, entry, whether it is a directory), sorted.

    A subdirectory is there twice: with its plain name for the case that it is empty, and with a `/` for what is in it.
    """
    entries = []
    for entry in _entries(directory):
        is_directory = entry.is_dir(follow_symlinks=False)
        entries.append((entry.name, entry, is_directory))
        if is_directory:
            entries.append((entry.name + b"/", entry, is_directory))
    entries.sort(key=lambda item: item[0])
    return entries


def _entries(directory: bytes) -> "list[os.DirEntry[bytes]]":
    try:
        with os.scandir(directory) as found:
            return list(found)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as exc:
        raise PathError(os.fsdecode(directory), f"cannot be read: {exc.strerror}") from exc
