"""A workbench for the tests of `dver.git`."""

from pathlib import Path

import pytest

from tests.commands import GitCommand
from tests.unit.git.workbench import Workbench


@pytest.fixture
def bench(git_repo: Path, run_git: GitCommand, monkeypatch: pytest.MonkeyPatch) -> Workbench:
    """A workbench on a fresh repository with no commit."""
    return Workbench(git_repo, run_git.at(git_repo), monkeypatch.setenv)
