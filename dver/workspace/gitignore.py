"""Keeping data out of git: one line for each dataset in the `.gitignore` beside it.

Lines are added and taken away exactly; everything else in the file stays byte for byte.
"""

import os
from pathlib import Path

from dver.workspace.gitfiles import read_git_file, write_git_file

GITIGNORE = ".gitignore"
_SPECIAL = b"\\*?[ \t"


def gitignore_path(dataset: str) -> str:
    """Return the path of the `.gitignore` that is to name a dataset: the one in its own folder."""
    folder = dataset.rpartition("/")[0]
    return f"{folder}/{GITIGNORE}" if folder else GITIGNORE


def ignore_dataset(root: Path, dataset: str) -> bool:
    """Add a dataset to its `.gitignore`; return whether the file changed."""
    path = root / gitignore_path(dataset)
    before = read_git_file(path)
    line = _pattern(dataset)
    if line in before.split(b"\n"):
        return False
    separator = b"\n" if before and not before.endswith(b"\n") else b""
    write_git_file(root, gitignore_path(dataset), before + separator + line + b"\n")
    return True


def unignore_dataset(root: Path, dataset: str) -> bool:
    """Take a dataset out of its `.gitignore`, and the file away if nothing is left; return whether it changed."""
    path = root / gitignore_path(dataset)
    lines = read_git_file(path).split(b"\n")
    kept = [line for line in lines if line != _pattern(dataset)]
    if len(kept) == len(lines):
        return False
    rest = b"\n".join(kept)
    if rest.strip():
        write_git_file(root, gitignore_path(dataset), rest)
    else:
        path.unlink()
    return True


def _pattern(dataset: str) -> bytes:
    """Return the pattern that matches exactly this path and nothing else in the folder."""
    name = os.fsencode(dataset.rpartition("/")[2])
    escaped = b"".join(b"\\" + bytes([byte]) if byte in _SPECIAL else bytes([byte]) for byte in name)
    # A pattern ends at the end of its line, so a line break can only be matched by a wildcard.
    return b"/" + escaped.replace(b"\n", b"?").replace(b"\r", b"?")
