"""A command that is killed at any step leaves everything sound, and run again it completes; also when the power goes.

Each scenario is a program of its own, which can be run by hand: `python -m tests.faults.killing --help`.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import dver
from tests.faults.scenarios import SCENARIOS

FEW_STEPS = 6
WAYS = 4


def kill(scenario: str, folder: Path, *, most: int = 0, cuts: int = 0) -> tuple[int, int]:
    """Kill a scenario's command, require that all is well after each kill, and return how many kills and cuts."""
    command = [sys.executable, "-m", "tests.faults.killing", scenario, str(folder), f"--most={most}", f"--cuts={cuts}"]
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": str(Path(dver.__file__).parent.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = re.fullmatch(r"(\d+) kills, (\d+) power cuts, 0 failures\n", done.stdout)
    assert found, done.stdout
    return int(found[1]), int(found[2])


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_killed_command_leaves_all_sound_and_completes_when_run_again(scenario: str, tmp_path: Path) -> None:
    assert kill(scenario, tmp_path, most=FEW_STEPS) == (FEW_STEPS, 0)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_power_cut_takes_nothing_that_was_promised(scenario: str, tmp_path: Path) -> None:
    kills, cuts = kill(scenario, tmp_path, most=2, cuts=1)
    assert (kills, cuts) == (2, 5)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_there_is_no_step_at_which_a_kill_does_harm(scenario: str, tmp_path: Path) -> None:
    assert kill(scenario, tmp_path)[0] > 15


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_there_is_no_step_at_which_a_power_cut_does_harm(scenario: str, tmp_path: Path) -> None:
    kills, cuts = kill(scenario, tmp_path, cuts=WAYS)
    assert cuts > kills > 15
