"""A command that is killed at any request to a bucket leaves all sound there and here, and run again it completes.

They are killed by a program that can be run by hand: `python -m tests.faults.killing_requests --help`.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import dver
from tests.faults.killing_requests import SCENARIOS

FEWEST = 5


def kill(folder: Path, *scenarios: str, most: int = 0) -> int:
    """Kill commands of scenarios, require that all is well after each kill, and return how many kills."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.killing_requests", f"--most={most}", str(folder), *scenarios],
        env={**os.environ, "PYTHONPATH": str(Path(dver.__file__).parent.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = re.fullmatch(r"(\d+) kills, 0 failures\n", done.stdout)
    assert found, done.stdout
    return int(found[1])


def test_a_command_that_is_killed_at_a_request_leaves_all_sound_and_completes(tmp_path: Path) -> None:
    assert kill(tmp_path, "push", "gc --remote, sweeping", most=1) == 2


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_there_is_no_request_at_which_a_kill_does_harm(scenario: str, tmp_path: Path) -> None:
    assert kill(tmp_path, scenario) > FEWEST
