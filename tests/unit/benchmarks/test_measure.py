"""Measuring commands: what is counted, and what happens when one fails or does not end."""

import os
import sys
from pathlib import Path

import pytest

from tests.bench.measure import Sandbox


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    """A sandbox with an empty repository folder."""
    (tmp_path / "repo").mkdir()
    return Sandbox(tmp_path, {"PATH": os.environ["PATH"]})


def test_memory_is_that_of_the_command_and_not_of_the_suite(sandbox: Sandbox) -> None:
    ballast = bytearray(os.urandom(1)) * (200 << 20)
    small = sandbox.measure([("true",)], 60)
    large = sandbox.measure([(sys.executable, "-c", "bytearray(b'x') * (100 << 20)")], 60)
    assert small.problem is None
    assert small.rss < 100 << 20 < large.rss < len(ballast)


def test_failing_command_is_a_problem_with_its_message_and_ends_the_operation(sandbox: Sandbox) -> None:
    fails = (sys.executable, "-c", "import sys; sys.exit('out of cheese')")
    assert sandbox.measure([fails, ("touch", "later")], 60).problem == "out of cheese"
    assert not (sandbox.repo / "later").exists()


def test_missing_program_is_a_problem(sandbox: Sandbox) -> None:
    assert sandbox.measure([("no-such-program",)], 60).problem == "could not be started"


def test_command_that_does_not_end_is_given_up(sandbox: Sandbox) -> None:
    assert sandbox.measure([("sleep", "60")], 0.5).problem == "given up after 0.5 s"
