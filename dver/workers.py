"""Threads to work on, as a value: an executor and how many tasks are worth running on it at once."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Workers:
    """An executor, be it a local pool or a cluster's, and the number of tasks that keep it busy."""

    executor: Executor
    jobs: int

    @property
    def window(self) -> int:
        """How many tasks to have submitted at once, so that none waits for the one who submits."""
        return self.jobs + 2

    def in_order(self, started: Iterable[Future[T]]) -> Iterator[T]:
        """Yield the results of tasks in order, with a bounded number of them under way.

        `started` submits a task each time it is asked for the next one. Where it ends early, by an error or because the
        caller wants no more, tasks that wait are cancelled and those that run are waited for.
        """
        running: deque[Future[T]] = deque()
        try:
            for future in started:
                running.append(future)
                while len(running) > self.window:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            abandon(running)


def abandon(running: Iterable[Future[Any]]) -> None:
    """Cancel tasks and wait for those that run, so that nothing they use is pulled away under them."""
    # All are cancelled before the first is waited for: none is to begin meanwhile.
    begun = [future for future in list(running) if not future.cancel()]
    for future in begun:
        future.exception()
