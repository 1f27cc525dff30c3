"""Run the `dver` and `git` commands in subprocesses, as a user does, and say how they ended.

The fixtures `run_dver` and `run_git` in `tests/conftest.py` give tests these objects. Output is decoded with
surrogate escapes, so that a file name that is not UTF-8 comes back as it went out.
"""

import io
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import dver
from tests.warm import warm_dver

_ENCODING = "utf-8"
_ERRORS = "surrogateescape"

# Less than the limit of a whole test: the message then names the command that hung.
_COMMAND_SECONDS = 110


@dataclass(frozen=True, slots=True)
class CommandResult:
    """How one run of a command ended."""

    command: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str

    def __str__(self) -> str:
        return f"{' '.join(self.command)} -> {self.returncode}\nstdout:\n{self.stdout}\nstderr:\n{self.stderr}"


@dataclass(frozen=True, slots=True)
class DverCommand:
    """The dver command, with a default folder and environment.

    Attributes:
        command: how dver is started.
        cwd: where it runs unless a call says otherwise.
        environment: variables on top of the test's own, for every run.
        warm: whether a run may be a fork of a process that has dver imported, which costs a fraction of a start.
    """

    command: tuple[str, ...]
    cwd: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    warm: bool = False

    def __call__(
        self, *arguments: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None, stdin: str = ""
    ) -> CommandResult:
        """Run dver with `arguments` and return how it ended, whatever that is."""
        words = [str(word) for word in arguments]
        environment = {**self.environment, **(env or {})}
        if self.warm and warm_dver().serves(whole := {**os.environ, **environment}):
            done = warm_dver().run(words, cwd or self.cwd, whole, stdin.encode(_ENCODING, _ERRORS), _COMMAND_SECONDS)
            return CommandResult(tuple(done.args), done.returncode, _text(done.stdout), _text(done.stderr))
        return run_command([*self.command, *words], cwd or self.cwd, environment, stdin)

    def ok(
        self, *arguments: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None, stdin: str = ""
    ) -> str:
        """Run dver, require exit code 0 and return its standard output."""
        result = self(*arguments, cwd=cwd, env=env, stdin=stdin)
        assert result.returncode == 0, str(result)
        return result.stdout

    def fails(
        self, code: int, *arguments: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> str:
        """Run dver, require exactly this exit code and no traceback, and return its standard error."""
        result = self(*arguments, cwd=cwd, env=env)
        assert result.returncode == code, str(result)
        assert "Traceback" not in result.stderr, str(result)
        return result.stderr

    def at(self, cwd: Path, env: Mapping[str, str] | None = None) -> "DverCommand":
        """Return the same command for another folder, with `env` added to the environment of each run."""
        return replace(self, cwd=cwd, environment={**self.environment, **(env or {})})


@dataclass(frozen=True, slots=True)
class GitCommand:
    """Real git, with a default folder."""

    cwd: Path

    def __call__(self, *arguments: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
        """Run git, require exit code 0 and return its standard output."""
        result = self.run(*arguments, cwd=cwd, env=env)
        assert result.returncode == 0, str(result)
        return result.stdout

    def run(
        self, *arguments: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> CommandResult:
        """Run git and return how it ended, whatever that is."""
        return run_command(["git", *map(str, arguments)], cwd or self.cwd, env or {})

    def fails(self, *arguments: str | Path, env: Mapping[str, str] | None = None) -> str:
        """Run git, require that it fails without a traceback, and return all that it and its hooks said."""
        result = self.run(*arguments, env=env)
        assert result.returncode != 0, str(result)
        assert "Traceback" not in result.stderr, str(result)
        return result.stdout + result.stderr

    def at(self, cwd: Path) -> "GitCommand":
        """Return git for another folder."""
        return GitCommand(cwd)


def installed_dver(cwd: Path, *, warm: bool = False) -> DverCommand:
    """Return the console script of this Python's environment, or `python -m dver` where there is none.

    With `warm` for tests of what commands do, and not of how they start, load modules, take memory or meet signals.
    """
    script = Path(sys.executable).with_name("dver")
    if script.exists():
        return DverCommand((str(script),), cwd, warm=warm)
    # -P: the package that the tests import, never a folder named dver in the place where the command runs.
    package_root = str(Path(dver.__file__).parent.parent)
    return DverCommand((sys.executable, "-P", "-m", "dver"), cwd, {"PYTHONPATH": package_root}, warm)


def run_command(command: Sequence[str], cwd: Path, environment: Mapping[str, str], stdin: str = "") -> CommandResult:
    """Run a command, with `environment` on top of the test's own, and return how it ended, whatever that is."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **environment},
        input=stdin,
        capture_output=True,
        encoding=_ENCODING,
        errors=_ERRORS,
        timeout=_COMMAND_SECONDS,
        check=False,
    )
    return CommandResult(tuple(command), done.returncode, done.stdout, done.stderr)


def _text(output: bytes) -> str:
    # Ends of lines as in `run_command`.
    return io.TextIOWrapper(io.BytesIO(output), _ENCODING, _ERRORS).read()
