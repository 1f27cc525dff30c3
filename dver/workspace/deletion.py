"""Deleting the files of a dataset, and the folders that this leaves empty.

Everything is named relative to an open folder, so nothing is deleted through a symbolic link that takes the place of
one. A folder is deleted only while it is empty.
"""

import errno
import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path

from dver.workspace.assemble import translated
from dver.workspace.folders import Folders

_IS_FOLDER = frozenset({errno.EISDIR, errno.EPERM, errno.EACCES})


def dataset_folders(root: Path, dataset: str) -> Folders:
    """Return the folders of a dataset of the work tree at `root`."""
    return Folders(os.fsencode(root), os.fsencode(dataset))


def delete_files(folders: Folders, paths: Sequence[bytes], *, check: Callable[[bytes], None] | None = None) -> None:
    """Delete files and empty directories, the last path first, then the directories that this leaves empty.

    Args:
        check: is called with each path right before it goes, and raises what stops the deletion there.
    """
    emptied = set()
    for path in reversed(paths):
        with translated(folders.absolute(path)):
            if check is not None:
                check(path)
            if _delete(folders, path):
                emptied.add(path.rpartition(b"/")[0])
    # Deeper ones first, so that each is looked at when what is below is done.
    for directory in sorted(emptied, reverse=True):
        remove_empty(folders, directory)


def remove_empty(folders: Folders, directory: bytes) -> None:
    """Delete a directory of a dataset and those above it, up to the first that holds something."""
    while directory and remove_directory(folders, directory):
        directory = directory.rpartition(b"/")[0]


def remove_directory(folders: Folders, directory: bytes) -> bool:
    """Delete a directory of a dataset, b"" for its own, if it is empty; return whether it is gone now."""
    folders.forget(directory)
    try:
        place = folders.there(directory)
        if place is None:
            return False
        os.rmdir(place[1], dir_fd=place[0].fd)
    except OSError:
        return False
    return True


def remove_empty_below(folders: Folders) -> None:
    """Delete the directories of a dataset that hold nothing but directories, and its own if that is one."""
    place = folders.there(b"")
    if place is None:
        return
    parent, name = place
    try:
        for _, inner, _, fd in os.fwalk(name, topdown=False, dir_fd=parent.fd):
            for one in inner:
                _rmdir_quietly(one, fd)
        folders.forget(b"")
        _rmdir_quietly(name, parent.fd)
    except OSError:
        # What cannot be looked into is left.
        return


def _rmdir_quietly(name: bytes, fd: int) -> None:
    try:
        os.rmdir(name, dir_fd=fd)
    except OSError:
        return


def _delete(folders: Folders, path: bytes) -> bool:
    """Delete a file, link or empty directory; return whether there was one."""
    try:
        return folders.unlink(path)
    except OSError as exc:
        if exc.errno not in _IS_FOLDER or not _is_directory(folders, path):
            raise
    remove_directory(folders, path)
    return True


def _is_directory(folders: Folders, path: bytes) -> bool:
    place = folders.there(path)
    try:
        return place is not None and stat.S_ISDIR(os.stat(place[1], dir_fd=place[0].fd, follow_symlinks=False).st_mode)
    except OSError:
        return False
