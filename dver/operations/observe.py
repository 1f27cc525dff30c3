"""Observe: sees which files of the repository a command reads and writes, whatever it was said to.

Python programs are observed from within, which needs nothing to be installed, and all others with strace. Neither
changes what a command does or how it ends; what was seen is known when it has ended.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from dver.errors import NotFoundError, unwritable_place
from dver.operations.observe_python import hooked, is_shut, listening, read_logs
from dver.operations.observe_strace import find_strace, read_log, straced, works
from dver.operations.observe_traces import Traces, gather
from dver.operations.run_command import SHELL
from dver.operations.run_environment import find_interpreter

_LOG = "calls"
_INSTALL = "apt-get install strace, or that of another system, brings it"


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A command with what it takes to observe it.

    Attributes:
        command: the program and its arguments, or with `shell` one line for a shell.
    """

    command: tuple[str, ...]
    env: Mapping[str, str]
    shell: bool


class Observation:
    """A command that is observed.

    Attributes:
        wrapped: what is to be run in its stead.
    """

    def __init__(self, root: Path, scratch: Path, wrapped: Wrapped, folder: Path, strace: str) -> None:
        self.wrapped = wrapped
        self._root = root
        self._scratch = scratch
        self._folder = folder
        self._strace = strace
        self._began = time.time_ns()

    def traces(self) -> Traces | None:
        """Return what was seen once the command has ended; None where nothing could be seen."""
        if self._strace:
            events = read_log(self._scratch / _LOG, os.path.realpath(self._folder)) or None
        else:
            events = read_logs(self._scratch)
        return None if events is None else gather(events, self._root, self._began)


class BlockObserver:
    """Observes what this process does below a folder from now on, in all its threads."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._began = time.time_ns()
        self._ending = ExitStack()
        self._events = self._ending.enter_context(listening(root))

    def stop(self) -> Traces:
        """Observe nothing more, and return what was seen."""
        self._ending.close()
        return gather(self._events, self._root, self._began)


def check_observable(command: Sequence[str], folder: Path, env: Mapping[str, str], *, shell: bool) -> None:
    """Raise NotFoundError if a command needs strace to be observed, and that is not there or not allowed to work."""
    if not needs_strace(command, folder, env, shell=shell):
        return
    strace = find_strace(env)
    if strace is None:
        raise NotFoundError(f"strace, which it takes to observe {_what(command, shell)}, is not on PATH", hint=_INSTALL)
    with tempfile.TemporaryDirectory() as scratch:
        if not works(strace, env, Path(scratch)):
            raise NotFoundError(
                f"strace, which it takes to observe {_what(command, shell)}, does not work here",
                hint="a container must be allowed to trace: docker run --cap-add=SYS_PTRACE",
            )


def needs_strace(command: Sequence[str], folder: Path, env: Mapping[str, str], *, shell: bool) -> bool:
    """Whether a command cannot be observed from within: it is not Python, or a Python that loads no hook."""
    interpreter = None if shell else find_interpreter(command, folder, env, shell=False)
    if interpreter is None:
        return True
    # The options of a script that Python runs are its own.
    return Path(interpreter).name == Path(command[0]).name and is_shut(command)


@contextmanager
def observing(
    root: Path, scratch: Path, command: Sequence[str], folder: Path, env: Mapping[str, str], *, shell: bool
) -> Iterator[Observation]:
    """Make ready to observe what a command that is about to be run in `folder` does below `root`.

    The folder `scratch`, which is not there yet, is there as long as this goes on.
    """
    try:
        scratch.mkdir()
    except OSError as exc:
        raise unwritable_place(scratch, exc) from exc
    try:
        strace = (find_strace(env) or "") if needs_strace(command, folder, env, shell=shell) else ""
        if strace:
            wrapped = _with_strace(strace, scratch, command, folder, env, shell=shell)
        else:
            wrapped = Wrapped(tuple(command), hooked(env, root, scratch), shell)
        yield Observation(root, scratch, wrapped, folder, strace)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _with_strace(
    strace: str, scratch: Path, command: Sequence[str], folder: Path, env: Mapping[str, str], *, shell: bool
) -> Wrapped:
    words = [SHELL, "-c", command[0]] if shell else list(command)
    program = words[0]
    found = os.access(folder / program, os.X_OK) if os.sep in program else shutil.which(program, path=env.get("PATH"))
    if not found:
        # It cannot be started, which is said best of the command itself.
        return Wrapped(tuple(command), env, shell)
    return Wrapped(tuple(straced(strace, scratch / _LOG, words)), env, False)


def _what(command: Sequence[str], shell: bool) -> str:
    return "a line for the shell" if shell else Path(command[0]).name
