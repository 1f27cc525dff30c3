"""Threads to work on, as a value: an executor and how many tasks are worth running on it at once."""

from collections.abc import Iterable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Workers:
    """An executor, be it a local pool or a cluster's, and the number of tasks that keep it busy."""

    executor: Executor
    jobs: int

    @property
    def window(self) -> int:
        """How many tasks to have submitted at once, so that none waits for the one who submits."""
        return self.jobs + 2


def abandon(running: Iterable[Future[Any]]) -> None:
    """Cancel tasks and wait for those that run, so that nothing they use is pulled away under them."""
    for future in list(running):
        if not future.cancel():
            future.exception()
