"""A command that is killed at any step leaves everything sound, and run again it completes."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import dver
from tests.faults.killing import SCENARIOS


def kill_at_every(steps: int, scenario: str, folder: Path) -> int:
    """Kill a scenario's command at every so many steps, require that all is well after each, and return how many."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.killing", scenario, str(folder), str(steps)],
        env={**os.environ, "PYTHONPATH": str(Path(dver.__file__).parent.parent)},
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    found = re.fullmatch(r"(\d+) kills, 0 failures\n", done.stdout)
    assert found, done.stdout
    return int(found[1])


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_killed_command_leaves_all_sound_and_completes_when_run_again(scenario: str, tmp_path: Path) -> None:
    assert kill_at_every(3, scenario, tmp_path) > 5


@pytest.mark.slow
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_there_is_no_step_at_which_a_kill_does_harm(scenario: str, tmp_path: Path) -> None:
    assert kill_at_every(1, scenario, tmp_path) > 15
