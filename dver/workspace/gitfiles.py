"""The files in a work tree that tell git what to do, to which dver adds lines: read whole, and replaced whole."""

import stat
from pathlib import Path

from dver.errors import PathError
from dver.fileio import write_atomically


def read_git_file(path: Path) -> bytes:
    """Return the content of a file, or nothing where there is none; PathError if it cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as exc:
        raise PathError(str(path), f"cannot be read: {exc.strerror}") from exc


def write_git_file(path: Path, data: bytes) -> None:
    """Give a file another content and leave its permissions; PathError if it cannot be written."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else None
        write_atomically(path, data)
        if mode is not None:
            path.chmod(mode)
    except OSError as exc:
        raise PathError(str(path), f"cannot be written: {exc.strerror}") from exc
