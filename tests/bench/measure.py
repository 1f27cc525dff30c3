"""Measure commands: wall seconds, CPU seconds and peak memory of the processes that do the work.

CPU counts a command and all its descendants that were waited for; memory is the peak of all of them together.
What was written before is flushed to the disk first, so that no command pays for another's writes.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

Command = tuple[str, ...]

_LAUNCHER = Path(__file__).with_name("launch.py")
_TAIL = 400


@dataclass(frozen=True, slots=True)
class Usage:
    """What commands took.

    Attributes:
        wall: seconds from the first command's start to the last one's end.
        cpu: user and system seconds.
        rss: bytes; the peak of the process and its descendants together.
        others: CPU seconds that the rest of the machine took meanwhile; None where that cannot be known.
        problem: why the commands failed; None if they did not.
    """

    wall: float
    cpu: float
    rss: int
    others: float | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Where one tool works: a repository, a remote and a home of its own, and the environment that says so."""

    root: Path
    environment: Mapping[str, str]

    @property
    def repo(self) -> Path:
        """The git repository."""
        return self.root / "repo"

    @property
    def remote(self) -> Path:
        """The folder that is pushed to."""
        return self.root / "remote"

    @property
    def clone(self) -> Path:
        """Where a second clone of the repository is made."""
        return self.root / "clone"

    def run(self, commands: Sequence[Command]) -> None:
        """Run commands that nobody measures; RuntimeError when one fails."""
        for command in commands:
            done = subprocess.run(
                command, cwd=self.repo, env=dict(self.environment), capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise RuntimeError(f"{' '.join(command)}: {_tail(done.stderr) or done.returncode}")

    def measure(self, commands: Sequence[Command], seconds: float) -> Usage:
        """Run commands and return what they took; they are given up after `seconds`."""
        os.sync()
        answer, errors = self.root / "usage.json", self.root / "stderr.txt"
        answer.unlink(missing_ok=True)
        arguments = [str(answer), str(errors), str(self.repo), json.dumps(commands)]
        with _launched(arguments, self.environment) as launcher:
            try:
                launcher.wait(seconds)
            except subprocess.TimeoutExpired:
                return Usage(seconds, 0.0, 0, None, f"given up after {seconds:g} s")
        if not answer.exists():
            return Usage(0.0, 0.0, 0, None, "could not be started")
        values = json.loads(answer.read_text())
        code = values.pop("code")
        problem = (_tail(errors.read_text(errors="replace")) or f"exit code {code}") if code else None
        return Usage(**values, problem=problem)


@contextmanager
def _launched(arguments: Sequence[str], environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Start the launcher in a session of its own; whatever of it still runs at the end is killed."""
    command = [sys.executable, "-I", "-S", str(_LAUNCHER), *arguments]
    process = subprocess.Popen(command, env=dict(environment), start_new_session=True, stdin=subprocess.DEVNULL)
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _tail(text: str) -> str:
    return " ".join(text.split())[-_TAIL:]
