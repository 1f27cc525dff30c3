"""Whatever two people do, and wherever their commands are killed, committed versions stay readable, byte for byte."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import dver


def steps_of(*arguments: str) -> int:
    """Run the machine, require that its model held, and return how many steps it took."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.property.histories", *arguments],
        env={**os.environ, "PYTHONPATH": str(Path(dver.__file__).parent.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = re.match(r"(\d+) steps", done.stdout)
    assert found, done.stdout
    return int(found[1])


def test_what_was_committed_stays_readable() -> None:
    assert steps_of("4", "15") > 20


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("remote", [[], ["--remote", "memory://"]], ids=["folder", "memory"])
def test_what_was_committed_stays_readable_in_long_histories(remote: list[str]) -> None:
    assert steps_of("20", "60", "--minutes", "10", *remote) > 100
