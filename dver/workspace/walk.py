"""Walking the files of a dataset, in the order in which a manifest lists them.

Names are bytes. What is in a subdirectory is visited where the subdirectory's name with a `/` at its end belongs, and
an empty one where its plain name does, which makes the full paths come in byte order. Symbolic links are never
followed. Files that `.dverignore` names are left out.
"""

import errno
import os
import stat
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from enum import IntEnum
from functools import partial
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

from dver.errors import PathError, os_hint
from dver.objects.paths import MAX_DEPTH
from dver.workspace.ignore import IGNORE_FILE, IgnoreRules

_Listing: TypeAlias = "list[tuple[bytes, os.DirEntry[bytes], bool]]"

BLOCK_FILES = 20_000
_FEW_NAMES = 16
_SHOWN = 200
_HIGHER = "move it up, or name a folder above it in .dverignore"
_IGNORE_NAME = os.fsencode(IGNORE_FILE)


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


class Block(NamedTuple):
    """Some neighbours among the files of a folder: names in order, and their stats."""

    names: Sequence[bytes]
    stats: Sequence[os.stat_result]


class Folder:
    """A directory of a dataset: the start of the paths in it, what they are, and which directories hold more.

    A directory is among the files if there is nothing in it. Of a folder with very many files, not all stats are in
    memory at the same time.

    Attributes:
        folders: the names of directories with something in them, in order.
        size: the number of files.
    """

    def __init__(self, directory: bytes, prefix: bytes, names: Sequence[bytes], folders: Sequence[bytes]) -> None:
        """Take the names of its files, and of its folders, in order."""
        self.prefix = prefix
        self.folders = folders
        self.size = len(names)
        self._directory = directory
        self._names = names
        self._only: Block | None = None

    @classmethod
    def of_file(cls, found: os.stat_result) -> "Folder":
        """Return what stands for a dataset that is no directory."""
        folder = cls(b"", b"", [b""], [])
        folder._only = Block([b""], [found])
        return folder

    def blocks(self, first: int = 0, end: int | None = None) -> Iterator[Block]:
        """Yield its files in order, or those of the blocks from a first one up to, but without, another.

        What is gone is left out. A folder without files has one block.

        Raises:
            PathError: they cannot be looked at.
        """
        if self._only is None and len(self._names) <= BLOCK_FILES:
            self._only = _look_at(self._directory, self._names)
        if self._only is not None:
            yield from [self._only][first:end]
            return
        for start in range(0, len(self._names), BLOCK_FILES)[first:end]:
            yield _look_at(self._directory, self._names[start : start + BLOCK_FILES])


class Seen(NamedTuple):
    """A directory of a dataset that somebody has looked at: what holds more, and whether it has ignore rules."""

    folders: Sequence[bytes]
    has_rules: bool


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


def walk_folders(
    root: bytes, ignore: IgnoreRules, seen: Mapping[bytes, Seen] = MappingProxyType({})
) -> Iterator[Folder | bytes]:
    """Yield the same as `walk_dataset`, directory by directory and in no order, for half of the time.

    Of directories that were `seen`, by prefix, the prefix is all that is yielded. Raises what `walk_dataset` raises.
    """
    top = os.lstat(root)
    if not stat.S_ISDIR(top.st_mode):
        yield Folder.of_file(top)
    elif not (yield from _walk_folders(root, b"", ignore, seen)):
        yield Folder(root, b"", [], [])


def _walk_folders(
    directory: bytes, prefix: bytes, outer: IgnoreRules, seen: Mapping[bytes, Seen]
) -> Generator[Folder | bytes, None, bool]:
    """Yield a directory after those in it; return whether there is anything in it."""
    _check_depth(directory, prefix)
    looked: dict[bytes, bool] = {}
    known = seen.get(prefix)
    if known is not None:
        rules = outer.entering(prefix, directory) if known.has_rules else outer
        for name in known.folders:
            looked[name] = yield from _walk_folders(directory + b"/" + name, prefix + name + b"/", rules, seen)
        if all(looked.values()):
            yield prefix
            return True
    listing = list_folder(directory, prefix, outer)
    if listing is None:
        return False
    for name in listing.directories:
        if name not in looked:
            path = directory + b"/" + name
            looked[name] = yield from _walk_folders(path, prefix + name + b"/", listing.rules, seen)
    yield listing.folder({name for name in listing.directories if looked[name]})
    return True


class Listing:
    """What is in a directory whose paths begin with `prefix`, without what is left out.

    Attributes:
        rules: those in force for what is in it.
        has_rules: whether it has some of its own.
        directories: the names of the directories in it, empty or not, in order.
    """

    def __init__(
        self,
        directory: bytes,
        prefix: bytes,
        outer: IgnoreRules,
        names: Sequence[bytes],
        directories: Collection[bytes],
    ) -> None:
        """Take all names in the directory, and which of them are directories; `outer` are the rules around it."""
        self.has_rules = _IGNORE_NAME in names
        self.rules = outer.entering(prefix, directory) if self.has_rules else outer
        if self.rules:
            matches = self.rules.matches
            names = [name for name in names if not matches(prefix + name, is_directory=name in directories)]
            directories = {*directories}.intersection(names)
        self.directories = sorted(directories)
        self._directory = directory
        self._prefix = prefix
        self._names = names

    def folder(self, filled: Collection[bytes]) -> Folder:
        """Return all that a scan asks for; `filled` are the directories that are not empty."""
        names = [name for name in self._names if name not in filled] if filled else self._names
        return Folder(self._directory, self._prefix, sorted(names), sorted(filled))


def list_folder(directory: bytes, prefix: bytes, outer: IgnoreRules) -> Listing | None:
    """Return what is in a directory, or None if there is nothing; `outer` are the rules around it.

    Raises:
        PathError: it cannot be read.
    """
    names = []
    directories = set()
    try:
        with os.scandir(directory) as found:
            for entry in found:
                names.append(entry.name)
                if entry.is_dir(follow_symlinks=False):
                    directories.add(entry.name)
    except OSError as exc:
        _check_gone(directory, exc)
    return Listing(directory, prefix, outer, names, directories) if names else None


def is_filled(directory: bytes) -> bool:
    """Whether there is anything in a directory. PathError if it cannot be read."""
    return bool(_entries(directory))


def _look_at(directory: bytes, names: Sequence[bytes]) -> Block:
    try:
        if len(names) < _FEW_NAMES:
            return _look_at_each(os.lstat, directory + b"/", names)
        # Names from an open directory are found sooner than whole paths.
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            return _look_at_each(partial(os.stat, dir_fd=fd, follow_symlinks=False), b"", names)
        finally:
            os.close(fd)
    except OSError as exc:
        _check_gone(directory, exc)
        return Block([], [])


def _look_at_each(look: Callable[[bytes], os.stat_result], before: bytes, names: Sequence[bytes]) -> Block:
    """Look at names, with something before each; those that are gone are left out."""
    paths = [before + name for name in names] if before else names
    try:
        return Block(names, list(map(look, paths)))
    except FileNotFoundError:
        there, stats = [], []
        for name, path in zip(names, paths, strict=True):
            with suppress(FileNotFoundError):
                stats.append(look(path))
                there.append(name)
        return Block(there, stats)


def _walk_directory(directory: bytes, prefix: bytes, ignore: IgnoreRules, entries: _Listing) -> Iterator[WalkItem]:
    _check_depth(directory, prefix)
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
        except OSError as exc:
            _check_gone(entry.path, exc)
            continue
        yield WalkItem(path, file_type(found), found)


def _check_depth(directory: bytes, prefix: bytes) -> None:
    """Refuse what no version can hold before Python can follow no further."""
    if prefix.count(b"/") >= MAX_DEPTH:
        raise PathError(
            _beginning(directory), f"lies deeper than the {MAX_DEPTH} folders that a version can hold", hint=_HIGHER
        )


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
    except OSError as exc:
        _check_gone(directory, exc)
        return []


def _check_gone(directory: bytes, exc: OSError) -> None:
    """Take what is gone for what never was; PathError if it is there and cannot be read."""
    if exc.errno == errno.ENAMETOOLONG:
        raise PathError(_beginning(directory), "is longer than paths can be on this machine", hint=_HIGHER) from exc
    if not isinstance(exc, FileNotFoundError | NotADirectoryError):
        raise PathError(os.fsdecode(directory), f"cannot be read: {exc.strerror}", hint=os_hint(exc)) from exc


def _beginning(path: bytes) -> str:
    text = os.fsdecode(path)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
