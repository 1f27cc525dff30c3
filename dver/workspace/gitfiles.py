"""The files in a work tree that tell git what to do, to which dver adds lines: read whole, and replaced whole."""

import os
import stat
from pathlib import Path

from dver.errors import PathError, os_hint, unwritable_path
from dver.fileio import IrregularFileError, read_regular
from dver.workspace.folders import Folders

MAX_GIT_FILE = 64 * 1024 * 1024


def read_git_file(path: Path) -> bytes:
    """Return the content of a file, or nothing where there is none; PathError if it cannot be read, or is a link."""
    try:
        data = read_regular(path, MAX_GIT_FILE + 1)
    except FileNotFoundError:
        return b""
    except IrregularFileError as exc:
        # A clone may bring a link to anything.
        raise PathError(str(path), "is not a file, and git reads no other", hint="put a file in its place") from exc
    except OSError as exc:
        raise PathError(str(path), f"cannot be read: {exc.strerror}", hint=os_hint(exc)) from exc
    if len(data) > MAX_GIT_FILE:
        raise PathError(str(path), "is far too large for such a file", hint="move it away")
    return data


def write_git_file(root: Path, name: str, data: bytes) -> None:
    """Give a file of the work tree at `root` another content and leave its permissions.

    Raises:
        PathError: it cannot be written, or a symbolic link leads to it.
    """
    path = root / name
    try:
        mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else None
        with Folders(os.fsencode(root)) as folders:
            folders.write(os.fsencode(name), data, mode=mode)
    except OSError as exc:
        raise unwritable_path(path, exc) from exc
