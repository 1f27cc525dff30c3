"""An S3 server for one run of a tool, and the ways to it: one that only counts, and one that is a slow link.

The server is moto, in memory and in a process of its own, the same that the tests use. It says how many requests and
bytes a tool needs, and not how fast a bucket would be. Every process ends with its standard input, and so with the
suite, however that ends.
"""

import http.client
import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.results import Traffic

BUCKET = "bench"
# The simulated link: seconds there and back, and bytes a second each way.
LINK_DELAY = 0.1
LINK_RATE = 200e6 / 8

_HOST = "127.0.0.1"
_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Way:
    """A way to the server.

    Attributes:
        port: where it begins, on this machine.
        rate: bytes a second each way; None where nothing holds them back.
    """

    port: int
    rate: float | None
    _process: subprocess.Popen[str]

    @property
    def url(self) -> str:
        """The endpoint that a tool is given."""
        return f"http://{_HOST}:{self.port}"

    def traffic(self) -> Traffic:
        """Return what passed since this was asked before."""
        return Traffic(**json.loads(_ask(self._process)), rate=self.rate)


@dataclass(frozen=True, slots=True)
class Cloud:
    """A running server with an empty bucket."""

    plain: Way
    link: Way


def is_available() -> bool:
    """Return whether the server is installed."""
    return importlib.util.find_spec("moto") is not None


@contextmanager
def running() -> Iterator[Cloud]:
    """Start a server and the ways to it, and end them all."""
    with ExitStack() as stack:
        server = stack.enter_context(_started("-m", "tests.bench.s3server", cwd=_ROOT))
        port = int(_said(server))
        connection = http.client.HTTPConnection(_HOST, port, timeout=60)
        connection.request("PUT", f"/{BUCKET}")
        if connection.getresponse().status != http.client.OK:
            raise RuntimeError("the S3 server does not make a bucket")
        connection.close()
        yield Cloud(stack.enter_context(way(port)), stack.enter_context(way(port, LINK_DELAY, LINK_RATE)))


@contextmanager
def way(port: int, delay: float = 0.0, rate: float | None = None) -> Iterator[Way]:
    """Start a relay to a port of this machine, and end it."""
    script = str(Path(__file__).with_name("relay.py"))
    with _started("-I", "-S", script, str(port), str(delay), str(rate or 0)) as process:
        yield Way(int(_said(process)), rate, process)


@contextmanager
def _started(*arguments: str, cwd: Path | None = None) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, *arguments], cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    try:
        yield process
    finally:
        # The end of its input ends it.
        process.communicate()


def _ask(process: subprocess.Popen[str]) -> str:
    assert process.stdin is not None
    process.stdin.write("\n")
    return _said(process)


def _said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError("a server ended before its time")
    return line
