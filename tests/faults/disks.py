"""A small disk that fills up, and a user who may not do everything."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

_NOBODY = 65534
_LEAST_FREE = 4096


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """A file system of one MiB."""

    folder: Path

    def fill(self, *, but: int = 0) -> None:
        """Leave no room on it, or next to so many bytes."""
        free = os.statvfs(self.folder)
        size = max(0, free.f_bavail * free.f_frsize - but - (_LEAST_FREE if but else 0))
        (self.folder / "filler").write_bytes(bytes(size))

    def free(self) -> None:
        """Make room again."""
        (self.folder / "filler").unlink()


@contextmanager
def mounted_small_disk(folder: Path) -> Iterator[SmallDisk]:
    """Mount a small file system; where this user may not, skip the test."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    try:
        is_mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        is_mounted = False
    if not is_mounted:
        pytest.skip("mounting a file system is not permitted here")
    try:
        yield SmallDisk(folder)
    finally:
        # Something that git left at work may still look at it.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def place_of_mine() -> Iterator[Path]:
    """Make a folder whose permissions count: root, who may do everything, becomes somebody else meanwhile."""
    folder = Path(tempfile.mkdtemp(prefix="dver-test-"))
    is_root = os.geteuid() == 0
    try:
        if is_root:
            os.chown(folder, _NOBODY, _NOBODY)
            os.setegid(_NOBODY)
            os.seteuid(_NOBODY)
        yield folder
    finally:
        if is_root:
            os.seteuid(0)
            os.setegid(0)
        for path in folder.rglob("*"):
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o700)
        shutil.rmtree(folder)
