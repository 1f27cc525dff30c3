"""Comparing folders as data: every byte, executable bit, link and empty folder."""

import os
from pathlib import Path
from typing import TypeAlias

Snapshot: TypeAlias = dict[bytes, tuple[str, bytes]]


def snapshot(folder: Path) -> Snapshot:
    """Return what a folder holds: by relative path, the kind of each file, link or empty folder, and its content."""
    found: Snapshot = {}
    root = os.fsencode(folder)
    for directory, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = os.path.join(directory, name)
            relative = os.path.relpath(path, root)
            if os.path.islink(path):
                found[relative] = ("link", os.readlink(path))
            elif os.path.isfile(path):
                kind = "executable" if os.lstat(path).st_mode & 0o100 else "file"
                found[relative] = (kind, Path(os.fsdecode(path)).read_bytes())
            elif not os.listdir(path):
                found[relative] = ("empty folder", b"")
    return found
