"""A process that has dver imported, and forks itself for each command: it spares tests most of what a start costs.

`warm_dver` starts it where a pytest process first needs it; a fixture ends it with the session. A command gets the
whole of what a new process would get: arguments, folder, environment, umask, and its three streams as descriptors. What
only a new interpreter looks at cannot be given: where an environment has other values of such variables than the
server has, `serves` says no, and dver has to be started as users do.

This file is also the program of the server. It imports and forks, and does nothing else: so it has no threads, and
nothing of any command is left in it for the next.
"""

import atexit
import gc
import importlib
import json
import os
import pkgutil
import select
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import pygit2
from pygit2.enums import ConfigLevel, Option

import dver
from dver.cli.main import main

_READ_AT_START = ("PYTHON", "LC_", "LANG", "LD_", "DYLD_", "MALLOC_", "GLIBC_", "SSL_", "OPENSSL_", "TZ")
_CHUNK = 1 << 16
_STREAMS = 3
# What Python ends with where the last of the output cannot be written.
_OUTPUT_LOST = 120


class WarmDver:
    """The tests' side: starts the server, and runs commands by it, several at once where threads ask for them."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Start the server with this environment, and wait until it has imported everything."""
        self._read_at_start = _read_at_start(environment)
        self._control, theirs = socket.socketpair()
        with theirs:
            # All three are pipes, as the streams of the commands: Python asks what they are when it starts.
            self._server = subprocess.Popen(
                [sys.executable, "-P", __file__, str(theirs.fileno())],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=[theirs.fileno()],
            )
        if not self._control.recv(1):
            raise RuntimeError(f"the warm dver did not start: {self._server.communicate()[1].decode()}")

    def serves(self, environment: Mapping[str, str]) -> bool:
        """Return whether a command with this environment would be what it is in a process of its own."""
        return _read_at_start(environment) == self._read_at_start

    def run(
        self, arguments: Sequence[str], cwd: Path, environment: Mapping[str, str], stdin: bytes, seconds: float
    ) -> "subprocess.CompletedProcess[bytes]":
        """Run dver in a fork of the server, and return how it ended and all that it wrote."""
        command = ["dver", *arguments]
        reply, theirs = socket.socketpair()
        with ExitStack() as stack:
            stack.enter_context(reply)
            (to_read, feed), (out, to_out), (err, to_err) = [os.pipe() for _ in range(_STREAMS)]
            for mine in (out, err):
                stack.callback(os.close, mine)
            socket.send_fds(self._control, [b"\0"], [theirs.fileno(), to_read, to_out, to_err])
            theirs.close()
            for given in (to_read, to_out, to_err):
                os.close(given)
            reply.sendall(json.dumps([command, str(cwd), dict(environment), _umask()]).encode())
            reply.shutdown(socket.SHUT_WR)
            collected = {reply.fileno(): bytearray(), out: bytearray(), err: bytearray()}
            in_time = _exchange(feed, stdin, collected, time.monotonic() + seconds)
            # First the id of the process, then how it ended.
            numbers = [int(line) for line in collected[reply.fileno()].splitlines()]
            if not in_time:
                os.kill(numbers[0], signal.SIGKILL)
                raise subprocess.TimeoutExpired(command, seconds)
        code = os.waitstatus_to_exitcode(numbers[1])
        return subprocess.CompletedProcess(command, code, bytes(collected[out]), bytes(collected[err]))

    def stop(self) -> None:
        """End the server."""
        self._control.close()
        self._server.communicate()


@cache
def warm_dver() -> WarmDver:
    """Return the server of this process, started when it is first asked for."""
    return WarmDver(os.environ)


def stop_warm_dver() -> None:
    """End the server of this process if there is one."""
    if warm_dver.cache_info().currsize:
        warm_dver().stop()
        warm_dver.cache_clear()


def _read_at_start(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(_READ_AT_START)}


def _umask() -> int:
    # There is no way to ask but to set one; what another thread makes in between is as usual.
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _exchange(feed: int, stdin: bytes, collected: Mapping[int, bytearray], deadline: float) -> bool:
    """Write and close `feed`, and collect what each descriptor gives to its end; return False where time runs out."""
    left = memoryview(stdin)
    with selectors.DefaultSelector() as selector, os.fdopen(feed, "wb", 0) as pipe:
        for source in collected:
            selector.register(source, selectors.EVENT_READ)
        selector.register(pipe, selectors.EVENT_WRITE)
        while selector.get_map():
            ready = selector.select(deadline - time.monotonic())
            if not ready:
                return False
            for key, _ in ready:
                if key.fileobj is pipe:
                    left = _fed(pipe.fileno(), left)
                    is_over = not left
                else:
                    piece = os.read(key.fd, _CHUNK)
                    collected[key.fd].extend(piece)
                    is_over = not piece
                if is_over:
                    selector.unregister(key.fileobj)
                    if key.fileobj is pipe:
                        pipe.close()
    return True


def _fed(pipe: int, left: memoryview) -> memoryview:
    # A pipe that is ready takes this many bytes without making the writer wait.
    try:
        return left[os.write(pipe, left[: select.PIPE_BUF]) :]
    except BrokenPipeError:
        return left[:0]


def _serve(control: socket.socket) -> None:
    """Fork for each order, and report each process's id and how it ended, until the tests' side is closed."""
    interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    ended, wake = socket.socketpair()
    for end in (ended, wake):
        end.setblocking(False)
    signal.set_wakeup_fd(wake.fileno())
    replies: dict[int, socket.socket] = {}
    control.send(b"\0")
    while True:
        ready, _, _ = select.select([control, ended], [], [])
        if ended in ready:
            ended.recv(_CHUNK)
            _report_ended(replies)
        if control not in ready:
            continue
        order, descriptors, _, _ = socket.recv_fds(control, 1, 1 + _STREAMS)
        if not order:
            return
        reply, streams = socket.socket(fileno=descriptors[0]), descriptors[1:]
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, interrupt)
            for other in (control, ended, wake, *replies.values()):
                other.close()
            _become_dver(reply, streams)
        replies[pid] = reply
        reply.sendall(b"%d\n" % pid)
        for stream in streams:
            os.close(stream)


def _report_ended(replies: dict[int, socket.socket]) -> None:
    while replies:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        with replies.pop(pid) as reply, suppress(OSError):
            reply.sendall(b"%d\n" % status)


def _become_dver(reply: socket.socket, streams: Sequence[int]) -> NoReturn:
    """Take over what the order says, run the command, and end as Python would end it."""
    with reply, reply.makefile("rb") as order:
        arguments, folder, environment, mask = json.load(order)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.umask(mask)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    _look_for_git_configuration()
    sys.argv = arguments
    code = main()
    # Not by sys.exit, which would take all apart that is imported.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
    except OSError:
        code = _OUTPUT_LOST
    os._exit(code)


def _look_for_git_configuration() -> None:
    # libgit2 did so when it was loaded, in the home of that time. NULL makes it do so anew.
    anew: Any = None
    pygit2.option(Option.SET_HOMEDIR, anew)
    for level in (ConfigLevel.GLOBAL, ConfigLevel.XDG, ConfigLevel.SYSTEM, ConfigLevel.PROGRAMDATA):
        pygit2.settings.search_path[level] = anew


def _import_all() -> None:
    for module in pkgutil.walk_packages(dver.__path__, "dver."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    # What is there stays: no process looks for garbage in it, which would copy its memory.
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    _import_all()
    if threading.active_count() != 1:
        sys.exit(f"an import started a thread, which no fork would have: {threading.enumerate()}")
    with socket.socket(fileno=int(sys.argv[1])) as given:
        _serve(given)
