"""Eight processes at once in one repository, or in clones with one cache, lose nothing and meet no error but a lock."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import dver

MODES = pytest.mark.parametrize("mode", [[], ["--shared"]], ids=["one repository", "one cache"])


def versions_after(seconds: int, folder: Path, mode: list[str]) -> int:
    """Let the processes work for so long, require that nothing was lost, and return how many versions there are."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.crowd", str(folder), str(seconds), *mode],
        env={**os.environ, "PYTHONPATH": str(Path(dver.__file__).parent.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = re.match(r"(\d+) versions are as they were committed", done.stdout)
    assert found, done.stdout
    return int(found[1])


@MODES
def test_eight_processes_at_once_lose_nothing(mode: list[str], tmp_path: Path) -> None:
    assert versions_after(2, tmp_path, mode) > 0


@pytest.mark.slow
@pytest.mark.timeout(1200)
@MODES
def test_eight_processes_at_once_lose_nothing_in_a_minute(mode: list[str], tmp_path: Path) -> None:
    assert versions_after(60, tmp_path, mode) > 8
