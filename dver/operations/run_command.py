"""The executor: runs commands, and passes on to them what asks dver to end.

A command that runs alone has the streams that dver itself was given. One that runs beside others gets no input, and
its output comes line by line to whoever puts the lines together. What is typed at a terminal, such as Ctrl-C, reaches
commands from there; all else that asks dver to end it passes on. Either way it waits for their answer, so that it can
record how they ended.
"""

import errno
import fcntl
import os
import selectors
import shlex
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TypeAlias

from dver.errors import CommandNotStartedError, DverError, PathError

SHELL = "/bin/sh"
SIGNAL_BASE = 128
NOT_EXECUTABLE = 126
NOT_FOUND = 127

_SENT = (signal.SIGTERM, signal.SIGHUP)
_TYPED = (signal.SIGINT, signal.SIGQUIT)
_TERMINAL = "/dev/tty"
_LINE_LETTERS = frozenset(" \t|&;<>$`")
_PIECE_BYTES = 65536
_LONGEST_LINE = 1 << 20
# How often to see whether a command has ended whose pipes others hold open.
_LOOK_EVERY_SECONDS = 0.2

LineSink: TypeAlias = Callable[[bytes, bool], None]
"""Takes a line of output without its end, and whether it is one of standard error; must not raise."""


@dataclass(frozen=True, slots=True)
class Exit:
    """How a command ended; `exit_code` is 128 and the number of the signal that killed it, as in a shell."""

    exit_code: int
    seconds: float


class Relay:
    """Passes signals on to the commands that run, also those that came while one was being started.

    Attributes:
        received: the signals that asked dver to end, in order.
    """

    def __init__(self) -> None:
        self.received: list[int] = []
        self._passed_on: list[int] = []
        self._processes: list[subprocess.Popen[bytes]] = []

    def interrupted(self, number: int, _frame: FrameType | None) -> None:
        """Take note of a signal that is typed, as Ctrl-C is; send it on unless a terminal sends it to the commands."""
        if _is_in_foreground():
            self.received.append(number)
        else:
            self.pass_on(number, None)

    def pass_on(self, number: int, _frame: FrameType | None) -> None:
        """Send a signal to all commands."""
        self.received.append(number)
        self._passed_on.append(number)
        for process in list(self._processes):
            process.send_signal(number)

    def attach(self, process: "subprocess.Popen[bytes]") -> None:
        """Send from now on to this process too, first of all what came before."""
        self._processes.append(process)
        for number in self._passed_on:
            process.send_signal(number)

    def detach(self, process: "subprocess.Popen[bytes]") -> None:
        """Send no more to a process that has ended."""
        self._processes.remove(process)


@dataclass(frozen=True, slots=True)
class Attachment:
    """What a command is attached to beside its own work.

    Attributes:
        relay: what passes signals on to it; None for one of its own.
        sink: gets its output line by line; None to let it have the streams of dver.
        held: the number of an open file that it is to inherit.
        on_start: is told the number of its process.
    """

    relay: Relay | None = None
    sink: LineSink | None = None
    held: int | None = None
    on_start: Callable[[int], None] | None = None


_ALONE = Attachment()


def run_command(
    command: Sequence[str],
    folder: Path,
    env: Mapping[str, str],
    *,
    shell: bool = False,
    attachment: Attachment = _ALONE,
) -> Exit:
    """Run a command in a folder and wait for its end, whatever that is.

    Args:
        command: the program and its arguments; with `shell` one line for `/bin/sh`.
        folder: where it runs.
        env: its environment.
        attachment: what else it has to do with; with a relay, this may be called in any thread.

    Raises:
        CommandNotStartedError: there is no such program, or it cannot be executed; the hint says what may help.
        DverError: it could not be started for another reason.
    """
    words = [SHELL, "-c", command[0]] if shell else list(command)
    if attachment.relay is not None:
        return _run(words, folder, env, attachment, attachment.relay)
    with signals_passed_on() as relay:
        return _run(words, folder, env, attachment, relay)


@contextmanager
def signals_passed_on() -> Iterator[Relay]:
    """Let signals that ask dver to end go to commands instead, for as long as the context lasts."""
    relay = Relay()
    previous = {}
    with suppress(ValueError):  # not in the main thread, where signals are none of ours
        # A handler of dver's own and not SIG_IGN, which the command would inherit.
        previous[signal.SIGINT] = signal.signal(signal.SIGINT, relay.interrupted)
        for number in (*_SENT, *_TYPED[1:]):
            # One that is ignored, as under nohup, stays so.
            if signal.getsignal(number) is not signal.SIG_IGN:
                previous[number] = signal.signal(number, relay.interrupted if number in _TYPED else relay.pass_on)
    try:
        yield relay
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _is_in_foreground() -> bool:
    """Whether this process is in the group that its terminal sends Ctrl-C to, and so are the commands."""
    try:
        terminal = os.open(_TERMINAL, os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


def _run(words: list[str], folder: Path, env: Mapping[str, str], attachment: Attachment, relay: Relay) -> Exit:
    sink = attachment.sink
    began = time.monotonic()
    try:
        process = subprocess.Popen(
            words,
            cwd=folder,
            env=dict(env),
            stdin=None if sink is None else subprocess.DEVNULL,
            stdout=None if sink is None else subprocess.PIPE,
            stderr=None if sink is None else subprocess.PIPE,
            pass_fds=() if attachment.held is None else (attachment.held,),
        )
    except (OSError, ValueError) as exc:
        raise _not_started(words[0], folder, exc) from exc
    with process:
        relay.attach(process)
        try:
            if attachment.on_start is not None:
                attachment.on_start(process.pid)
            if sink is not None:
                _read_lines(process, sink)
            code = process.wait()
        finally:
            relay.detach(process)
    return Exit(code if code >= 0 else SIGNAL_BASE - code, time.monotonic() - began)


def _read_lines(process: "subprocess.Popen[bytes]", sink: LineSink) -> None:
    """Hand on what a process writes until it ends, whoever else holds its pipes open or keeps on writing."""
    assert process.stdout is not None
    assert process.stderr is not None
    with selectors.DefaultSelector() as selector:
        for stream in (process.stdout, process.stderr):
            os.set_blocking(stream.fileno(), False)
            selector.register(stream, selectors.EVENT_READ, _Lines(sink, is_error=stream is process.stderr))
        has_ended, next_look = False, 0.0
        while selector.get_map():
            ready = selector.select(_LOOK_EVERY_SECONDS)
            for key, _ in ready:
                if not key.data.take(os.read(key.fd, _PIECE_BYTES)):
                    selector.unregister(key.fileobj)
            if ready and time.monotonic() < next_look:
                continue
            next_look = time.monotonic() + _LOOK_EVERY_SECONDS
            # What it had its output go through may need a moment longer than itself.
            if has_ended or (process.poll() is not None and not ready):
                break
            has_ended = process.poll() is not None
        for key in selector.get_map().values():
            _take_rest(key.fd, key.data)


def _take_rest(pipe: int, lines: "_Lines") -> None:
    """Hand on what is in a pipe now, and nothing that comes later."""
    (left,) = struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, struct.pack("i", 0)))
    while left > 0:
        piece = os.read(pipe, min(left, _PIECE_BYTES))
        left -= len(piece)
        lines.take(piece)
    lines.take(b"")


class _Lines:
    """Cuts what comes in pieces into lines."""

    def __init__(self, sink: LineSink, *, is_error: bool) -> None:
        self._sink = sink
        self._is_error = is_error
        self._rest = b""

    def take(self, piece: bytes) -> bool:
        """Hand on the lines that a piece completes; return False for the end, which completes all."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        if self._rest and (not piece or len(self._rest) > _LONGEST_LINE):
            lines.append(self._rest)
            self._rest = b""
        for line in lines:
            # Of a line that is written over and over, as a progress bar is, the last state is what one would see.
            self._sink(line.rstrip(b"\r").rpartition(b"\r")[2], self._is_error)
        return bool(piece)


def _not_started(program: str, folder: Path, exc: OSError | ValueError) -> DverError:
    if isinstance(exc, ValueError):
        return DverError(f"the command cannot be run: {exc}")
    if not folder.is_dir():
        return PathError(str(folder), "there is no such folder to run the command in")
    name = shlex.quote(program)
    if isinstance(exc, FileNotFoundError):
        return CommandNotStartedError(
            program, "command not found", exit_code=NOT_FOUND, hint=_not_found_hint(program, folder)
        )
    reason, hint = f"cannot be run: {exc.strerror}", None
    if exc.errno == errno.EACCES:
        reason, hint = "cannot be executed", f"chmod +x {name}, or name its interpreter first"
        if (folder / program).is_dir():
            reason, hint = "is a folder", "the command begins with a program; what it is to work on comes after that"
    elif exc.errno == errno.ENOEXEC:
        reason, hint = "is in no format that can be executed", "its first line must be such as #!/bin/sh"
    return CommandNotStartedError(program, reason, exit_code=NOT_EXECUTABLE, hint=hint)


def _not_found_hint(program: str, folder: Path) -> str:
    if os.path.exists(folder / program):
        if os.sep in program:
            return "it is there, so the interpreter that its first line names is not"
        return f"a file here is run as ./{shlex.quote(program)}"
    if _LINE_LETTERS & set(program):
        return "dver run --shell takes a line for the shell as one argument"
    return "the command stands after the options of dver run, behind --"
