"""No bytes make a parser crash, hang or take much memory; all that is raised is a DverError."""

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

import dver
from dver.errors import DverError, FormatError
from tests.fuzz import hammer as hammering
from tests.fuzz.hammer import TARGETS, HangError, hammer
from tests.fuzz.target import Target

FEW = 400
A_MILLION = 1_000_000
ROOT = Path(dver.__file__).parent.parent


def run_hammer(*arguments: str, seconds: int) -> "subprocess.CompletedProcess[str]":
    """Throw inputs at parsers in a process that has little memory."""
    return subprocess.run(
        [sys.executable, "-m", "tests.fuzz.hammer", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
    )


@pytest.mark.parametrize("name", TARGETS)
def test_there_are_good_inputs_to_start_from(name: str) -> None:
    target = TARGETS[name]
    accepted = 0
    for seed in target.seeds:
        # Some are good only in their place, such as the nodes within a tree.
        with suppress(DverError):
            target.parse(seed)
            target.parse(target.mend(seed))
            accepted += 1
    assert accepted


def test_thousands_of_hostile_inputs_do_no_harm() -> None:
    # Another seed each time would find more, and fail for whoever did nothing wrong.
    done = run_hammer("--all", "--inputs", str(FEW * len(TARGETS)), seconds=110)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == len(TARGETS)


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", TARGETS)
def test_a_million_hostile_inputs_do_no_harm(name: str) -> None:
    seed = os.environ.get("DVER_TEST_SEED") or str(Random().randrange(1 << 32))
    count = -(-A_MILLION // len(TARGETS))
    done = run_hammer(name, "--inputs", str(count), "--seed", seed, seconds=7000)
    assert done.returncode == 0, f"seed {seed}\n{done.stderr}"


def _crash(_data: bytes) -> None:
    raise KeyError


def _hang(_data: bytes) -> None:
    while True:
        pass


def _refuse(_data: bytes) -> None:
    raise FormatError("here", "no")


@pytest.mark.parametrize(("parse", "fault"), [(_crash, KeyError), (_hang, HangError)])
def test_a_fault_is_found(
    parse: Callable[[bytes], None],
    fault: type[Exception],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(hammering, "SECONDS", 0.1)
    with pytest.raises(fault):
        hammer(Target(parse, [b"seed"]), 3, Random(0))
    assert "the input was: b" in capsys.readouterr().err


def test_a_refusal_is_no_fault() -> None:
    assert hammer(Target(_refuse, [b"seed"]), 3, Random(0)) == 0


def test_memory_is_limited() -> None:
    swell = "from tests.fuzz.hammer import limit_memory; limit_memory(); bytearray(200 << 20); bytearray(300 << 20)"
    done = subprocess.run([sys.executable, "-c", swell], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "MemoryError" in done.stderr
