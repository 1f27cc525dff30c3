"""Telling git how pointers merge and are shown: one block of lines at the start of `.gitattributes`.

The block comes first because later lines count more, so that nothing a user wrote is overruled; everything else in the
file stays byte for byte.
"""

import os
import stat
from pathlib import Path

from dver.errors import PathError
from dver.workspace.gitfiles import read_git_file, write_git_file

GITATTRIBUTES = ".gitattributes"
_PATTERN = b"*.dver"
_WANTED = {b"merge=dver", b"diff=dver"}
_BLOCK = (
    b"# Datasets merge file by file and show what changed in them, where `dver install` was run.\n"
    b"*.dver merge=dver diff=dver\n"
)
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def check_attributes(root: Path) -> None:
    """Raise PathError if the file cannot be changed."""
    path = root / GITATTRIBUTES
    if path.is_symlink() or not stat.S_ISREG(path.lstat().st_mode if path.exists() else stat.S_IFREG):
        raise PathError(str(path), "is not a file, and git reads no other", hint="put a file in its place")
    if not os.access(root, os.W_OK | os.X_OK):
        raise PathError(str(root), "cannot be written to", hint="chmod u+w makes it writable for its owner")
    read_git_file(path)


def add_attributes(root: Path) -> bool:
    """Add the block unless lines to the same end are there; return whether the file changed."""
    path = root / GITATTRIBUTES
    text = read_git_file(path)
    if any(_is_enough(line) for line in text.splitlines()):
        return False
    start = len(_BYTE_ORDER_MARK) if text.startswith(_BYTE_ORDER_MARK) else 0
    write_git_file(root, GITATTRIBUTES, text[:start] + _BLOCK + text[start:])
    return True


def remove_attributes(root: Path) -> bool:
    """Take the block out, and the file away if nothing is left; return whether it changed."""
    path = root / GITATTRIBUTES
    text = read_git_file(path)
    if _BLOCK not in text:
        return False
    rest = text.replace(_BLOCK, b"", 1)
    if rest:
        write_git_file(root, GITATTRIBUTES, rest)
    else:
        path.unlink()
    return True


def _is_enough(line: bytes) -> bool:
    words = line.split()
    return bool(words) and words[0] == _PATTERN and set(words) >= _WANTED
