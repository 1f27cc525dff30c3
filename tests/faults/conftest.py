"""Fixtures for what disks and permissions do to commands."""

from collections.abc import Iterator
from pathlib import Path

import pygit2
import pygit2.enums
import pytest

from tests.faults.disks import SmallDisk, mounted_small_disk, place_of_mine


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A small file system, where this user may mount one."""
    with mounted_small_disk(tmp_path / "disk") as disk:
        yield disk


@pytest.fixture
def mine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder, with a home in it, that belongs to a user who may not do everything."""
    with place_of_mine() as folder:
        (folder / "home").mkdir()
        (folder / "home/.gitconfig").write_text("[user]\n\tname = A Tester\n\temail = tester@example.org\n")
        monkeypatch.setenv("HOME", str(folder / "home"))
        monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "home/.cache"))
        monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(folder / "home/.gitconfig"))
        pygit2.settings.search_path[pygit2.enums.ConfigLevel.GLOBAL] = str(folder / "home")
        yield folder
