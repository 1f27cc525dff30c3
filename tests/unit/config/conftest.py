"""A `.dver` folder for the tests of `dver.config`."""

from pathlib import Path

import pytest


@pytest.fixture
def dver_dir(tmp_path: Path) -> Path:
    """An empty `.dver` folder."""
    folder = tmp_path / ".dver"
    folder.mkdir()
    return folder
