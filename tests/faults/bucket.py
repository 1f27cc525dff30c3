"""A bucket on a server in a process of its own, which kills whoever asks, at one of the requests that he makes.

He dies before the request is carried out, or when it was and he has heard nothing of it. What he asked for at the same
time on other connections is not carried out. The bucket itself lives on, and can be put back to what it was.
"""

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import TypeAlias

from tests.faults.backends.faulty_s3 import Fault, LostAnswer, Request, Reset, running_faulty_s3
from tests.faults.steps import Step

Blobs: TypeAlias = dict[str, bytes]
CHANGES = ("PUT", "DELETE", "POST")


@dataclass(slots=True)
class Death:
    """Who is to die at which point.

    A request that changes something is two points: before it is carried out, and after. One that only reads is one, for
    what comes of it is the same.

    Attributes:
        pid: the process; 0 for none.
        number: of the point, counted from 1; 0 for none.
        passed: all points so far.
    """

    pid: int = 0
    number: int = 0
    is_dead: bool = False
    passed: list[Step] = field(default_factory=list)

    def __call__(self, request: Request) -> Fault | None:
        """Take note of a request and return what happens to it."""
        if self.is_dead:
            return Reset()
        kind = "list" if request.is_list else request.method
        for when in ("before", "after") if kind in CHANGES else ("before",):
            self.passed.append(Step(f"{when} {kind}", request.key.partition("/")[0]))
            if len(self.passed) == self.number:
                self.is_dead = True
                os.kill(self.pid, signal.SIGKILL)
                return LostAnswer() if when == "after" else Reset()
        return None


@dataclass(frozen=True, slots=True)
class Bucket:
    """The bucket, as those see it who were forked from whoever started it; one at a time speaks to it.

    Attributes:
        url: of the folder of a remote.
        options: of the remote.
    """

    connection: Connection
    url: str
    options: Mapping[str, str]

    def blobs(self) -> Blobs:
        """Return all that is in it."""
        found = self._ask("blobs")
        assert isinstance(found, dict)
        return found

    def restore(self, blobs: Blobs) -> None:
        """Let it be as it was."""
        self._ask("restore", blobs)

    def watch(self, number: int = 0) -> None:
        """Count points from now on, and kill this process at one of them; 0 stands for none."""
        self._ask("watch", Death(os.getpid(), number))

    def passed(self) -> list[Step]:
        """Return the points since they are counted."""
        found = self._ask("passed")
        assert isinstance(found, list)
        return found

    def _ask(self, what: str, about: object = None) -> object:
        self.connection.send((what, about))
        return self.connection.recv()


@contextmanager
def running_bucket() -> Iterator[Bucket]:
    """Start the server; to be done before this process has any thread."""
    ours, its = Pipe()
    pid = os.fork()
    if pid == 0:
        try:
            ours.close()
            _serve(its)
        finally:
            os._exit(0)
    its.close()
    url, options = ours.recv()
    try:
        yield Bucket(ours, url, options)
    finally:
        ours.close()
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _serve(connection: Connection) -> None:
    with running_faulty_s3() as server:
        connection.send((server.url, server.options))
        death = server.decide = Death()
        while True:
            what, about = connection.recv()
            answer: object = None
            with server.lock:
                if what == "blobs":
                    answer = dict(server.blobs)
                elif what == "restore":
                    server.blobs.clear()
                    server.blobs.update(about)
                elif what == "passed":
                    answer = death.passed
                else:
                    death = server.decide = about
            connection.send(answer)
