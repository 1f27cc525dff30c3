"""Pointer files in the working tree: finding, reading and writing them.

The walk leaves out git's and dver's own folders, nested repositories, the data of datasets, and what git ignores,
so its cost follows the size of the code, not of the data.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from dver.errors import PathError
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
_OWN_DIRECTORIES = (".git", DVER_DIRECTORY)


def read_pointer(root: Path, dataset: str) -> Pointer | None:
    """Return what a dataset's pointer in the working tree says, or None if there is none.

    Raises:
        FormatError: the file is no pointer, an unfinished merge left its marks in it, or it stands for a path where no
            data must be written.
    """
    checked_dataset_path(pointer_path(dataset), pointer_path(dataset))
    path = root / pointer_path(dataset)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_POINTER + 1)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except OSError as exc:
        raise PathError(pointer_path(dataset), f"cannot be read: {exc.strerror}") from exc
    return decode_pointer(data, pointer_path(dataset))


def write_pointer(root: Path, dataset: str, pointer: Pointer) -> None:
    """Write a dataset's pointer into the working tree, whole or not at all."""
    # Deferred: most commands only read pointers.
    from dver.workspace.folders import Folders  # noqa: PLC0415

    try:
        with Folders(os.fsencode(root)) as folders:
            folders.write(os.fsencode(pointer_path(dataset)), encode_pointer(pointer))
    except OSError as exc:
        raise PathError(pointer_path(dataset), f"cannot be written: {exc.strerror}") from exc


def find_datasets(root: Path, start: str, is_ignored: Callable[[str], bool]) -> list[str]:
    """Return the paths of all datasets that have a pointer at or below the folder `start` ("" for all), in order.

    `is_ignored` says whether git ignores a folder; those are not looked into.
    """
    return sorted(_walk(os.fspath(root), start, is_ignored))


def _walk(root: str, folder: str, is_ignored: Callable[[str], bool]) -> Iterator[str]:
    directories = []
    names = set()
    try:
        with os.scandir(os.path.join(root, folder)) as entries:  # a hot loop over many folders
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    directories.append(entry.name)
                elif entry.name.endswith(SUFFIX) and entry.name != SUFFIX and entry.is_file(follow_symlinks=False):
                    names.add(entry.name.removesuffix(SUFFIX))
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    prefix = folder + "/" if folder else ""
    for name in names:
        yield prefix + name
    for name in directories:
        path = prefix + name
        if name in _OWN_DIRECTORIES or name in names or is_ignored(path + "/"):
            continue
        if not os.path.lexists(os.path.join(root, path, ".git")):
            yield from _walk(root, path, is_ignored)
