"""Pointer files in the working tree: finding, reading and writing them.

The walk leaves out git's and dver's own folders, nested repositories, the data of datasets, and what git ignores,
so its cost follows the size of the code, not of the data.
"""

import errno
import os
from collections.abc import Callable
from pathlib import Path

from dver.errors import PathError, os_hint, unwritable_path
from dver.fileio import IrregularFileError, read_regular
from dver.objects.pointer import (
    MAX_POINTER,
    SUFFIX,
    Pointer,
    checked_dataset_path,
    decode_pointer,
    encode_pointer,
    pointer_path,
)

DVER_DIRECTORY = ".dver"
_PASSED_OVER = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG})
_OWN_DIRECTORIES = (".git", DVER_DIRECTORY)


def read_pointer(root: Path, dataset: str) -> Pointer | None:
    """Return what a dataset's pointer in the working tree says, or None if there is none; a link is none.

    Raises:
        FormatError: the file is no pointer, an unfinished merge left its marks in it, or it stands for a path where no
            data must be written.
    """
    checked_dataset_path(pointer_path(dataset), pointer_path(dataset))
    path = root / pointer_path(dataset)
    try:
        data = read_regular(path, MAX_POINTER + 1)
    except (FileNotFoundError, NotADirectoryError, IrregularFileError):
        return None
    except OSError as exc:
        raise PathError(pointer_path(dataset), f"cannot be read: {exc.strerror}", hint=os_hint(exc)) from exc
    return decode_pointer(data, pointer_path(dataset))


def write_pointer(root: Path, dataset: str, pointer: Pointer) -> None:
    """Write a dataset's pointer into the working tree, whole or not at all."""
    # Deferred: most commands only read pointers.
    from dver.workspace.folders import Folders  # noqa: PLC0415

    try:
        with Folders(os.fsencode(root)) as folders:
            folders.write(os.fsencode(pointer_path(dataset)), encode_pointer(pointer))
    except OSError as exc:
        raise unwritable_path(pointer_path(dataset), exc) from exc


def find_datasets(root: Path, start: str, is_ignored: Callable[[str], bool]) -> list[str]:
    """Return the paths of all datasets that have a pointer at or below the folder `start` ("" for all), in order.

    `is_ignored` says whether git ignores a folder; those are not looked into.
    """
    found: list[str] = []
    # Not one call within the other: what is no dataset may be as deep as it likes.
    waiting = [start]
    while waiting:
        folder = waiting.pop()
        prefix = folder + "/" if folder else ""
        names, directories = _look_into(os.path.join(root, folder))
        found += [prefix + name for name in names]
        for name in directories:
            path = prefix + name
            if name in _OWN_DIRECTORIES or name in names or is_ignored(path + "/"):
                continue
            if not os.path.lexists(os.path.join(root, path, ".git")):
                waiting.append(path)
    return sorted(found)


def _look_into(folder: str) -> tuple[set[str], list[str]]:
    """Return the names that have pointers in a folder, and those of the folders in it."""
    names = set()
    directories = []
    try:
        with os.scandir(folder) as entries:  # a hot loop over many folders
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    directories.append(entry.name)
                elif entry.name.endswith(SUFFIX) and entry.name != SUFFIX and entry.is_file(follow_symlinks=False):
                    names.add(entry.name.removesuffix(SUFFIX))
    except OSError as exc:
        # A pointer that lies too deep for its path to be used is none that git could have.
        if exc.errno not in _PASSED_OVER:
            raise
        return set(), []
    return names, directories
