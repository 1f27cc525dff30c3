"""The executor: a command in the foreground, with the streams and signals that dver itself was given.

What asks dver to end is passed on to the command, so that dver can record how it ended. Ctrl-C reaches both from the
terminal; dver waits for the command's answer to it.
"""

import errno
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from dver.errors import DverError, NotFoundError, PathError

SHELL = "/bin/sh"
SIGNAL_BASE = 128

_PASSED_ON = (signal.SIGTERM, signal.SIGHUP)
_LINE_LETTERS = frozenset(" \t|&;<>$`")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended; `exit_code` is 128 and the number of the signal that killed it, as in a shell."""

    exit_code: int
    seconds: float


def run_command(command: Sequence[str], folder: Path, env: Mapping[str, str], *, shell: bool = False) -> Ended:
    """Run a command in a folder and wait for its end, whatever that is.

    Args:
        command: the program and its arguments; with `shell` one line for `/bin/sh`.
        folder: where it runs.
        env: its environment.

    Raises:
        DverError: it could not be started; the hint says what may help.
    """
    words = [SHELL, "-c", command[0]] if shell else list(command)
    with _signals_passed_on() as relay:
        began = time.monotonic()
        try:
            process = subprocess.Popen(words, cwd=folder, env=dict(env))
        except (OSError, ValueError) as exc:
            raise _not_started(words[0], folder, exc) from exc
        with process:
            relay.attach(process)
            code = process.wait()
        seconds = time.monotonic() - began
    return Ended(code if code >= 0 else SIGNAL_BASE - code, seconds)


class _Relay:
    """Passes signals on to a process, also those that came while it was being started."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._pending: list[int] = []

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        if self._process is None:
            self._pending.append(number)
        else:
            self._process.send_signal(number)

    def attach(self, process: "subprocess.Popen[bytes]") -> None:
        """Send from now on to this process, first of all what came before."""
        self._process = process
        for number in self._pending:
            process.send_signal(number)


@contextmanager
def _signals_passed_on() -> Iterator[_Relay]:
    relay = _Relay()
    previous = {}
    with suppress(ValueError):  # not in the main thread, where signals are none of ours
        # A handler of dver's own and not SIG_IGN, which the command would inherit.
        previous[signal.SIGINT] = signal.signal(signal.SIGINT, _leave_to_the_command)
        for number in _PASSED_ON:
            # One that is ignored, as under nohup, stays so.
            if signal.getsignal(number) is not signal.SIG_IGN:
                previous[number] = signal.signal(number, relay)
    try:
        yield relay
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _leave_to_the_command(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: the terminal sends the interrupt to the command as well."""


def _not_started(program: str, folder: Path, exc: OSError | ValueError) -> DverError:
    if isinstance(exc, ValueError):
        return DverError(f"the command cannot be run: {exc}")
    if not folder.is_dir():
        return PathError(str(folder), "there is no such folder to run the command in")
    name = shlex.quote(program)
    if isinstance(exc, FileNotFoundError):
        return NotFoundError(f"{program}: command not found", hint=_not_found_hint(program, folder))
    if exc.errno == errno.EACCES:
        return PathError(program, "cannot be executed", hint=f"chmod +x {name}, or name its interpreter first")
    if exc.errno == errno.ENOEXEC:
        return PathError(
            program, "is in no format that can be executed", hint="its first line must be such as #!/bin/sh"
        )
    return PathError(program, f"cannot be run: {exc.strerror}")


def _not_found_hint(program: str, folder: Path) -> str:
    if os.path.exists(folder / program):
        if os.sep in program:
            return "it is there, so the interpreter that its first line names is not"
        return f"a file here is run as ./{shlex.quote(program)}"
    if _LINE_LETTERS & set(program):
        return "dver run --shell takes a line for the shell as one argument"
    return "the command stands after the options of dver run, behind --"
