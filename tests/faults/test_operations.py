"""A command that is killed at any step leaves everything sound, and run again it completes; also when the power goes.

They are killed by a program that can be run by hand: `python -m tests.faults.killing --help`.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import dver
from tests.faults.killing import ALL

WAYS = 4


def kill(folder: Path, *scenarios: str, most: int = 0, cuts: int = 0) -> tuple[int, int]:
    """Kill commands of scenarios, require that all is well after each kill, and return how many kills and cuts."""
    options = [f"--most={most}", f"--cuts={cuts}"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.killing", *options, str(folder), *scenarios],
        env={**os.environ, "PYTHONPATH": str(Path(dver.__file__).parent.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = re.fullmatch(r"(\d+) kills, (\d+) power cuts, 0 failures\n", done.stdout)
    assert found, done.stdout
    return int(found[1]), int(found[2])


def test_a_killed_command_leaves_all_sound_and_completes_when_run_again(tmp_path: Path) -> None:
    assert kill(tmp_path, most=1) == (len(ALL), 0)


def test_a_power_cut_takes_nothing_that_was_promised(tmp_path: Path) -> None:
    # At a step, and at the end of the run after that.
    assert kill(tmp_path, "first add", "checkout", "gc", "fsck --repair", most=1, cuts=1) == (4, 8)


def fewest(scenario: str) -> int:
    """Return how many steps a command takes at least; to add or remove a key takes few."""
    return 4 if scenario in ("remote key add", "remote key remove") else 15


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("scenario", ALL)
def test_there_is_no_step_at_which_a_kill_does_harm(scenario: str, tmp_path: Path) -> None:
    assert kill(tmp_path, scenario)[0] > fewest(scenario)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("scenario", ALL)
def test_there_is_no_step_at_which_a_power_cut_does_harm(scenario: str, tmp_path: Path) -> None:
    kills, cuts = kill(tmp_path, scenario, cuts=WAYS)
    assert cuts > kills > fewest(scenario)
