"""Threads to work on, as a value: an executor and how many tasks are worth running on it at once.

Threads are made by the first task, and what makes them is loaded with it: many commands have none to run.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

ASKED_AT_ONCE = 16
"""How many small questions to have under way at once to a place where each is a round trip."""

T = TypeVar("T")


class Workers:
    """An executor, be it a local pool or a cluster's, and the number of tasks that keep it busy.

    Use it as a context manager where its end is known.
    """

    def __init__(self, executor: "Executor | None", jobs: int, *, name: str = "dver") -> None:
        """Take an executor, which is the caller's to end; None stands for `jobs` threads of its own, called `name`."""
        self.jobs = jobs
        self._name = name
        self._given = executor

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_about: object) -> None:
        self.close()

    @cached_property
    def executor(self) -> "Executor":
        """What runs tasks."""
        if self._given is not None:
            return self._given
        # Deferred: it takes as long to import as a clean `dver status` takes to look at its files.
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415

        return ThreadPoolExecutor(self.jobs, thread_name_prefix=self._name)

    def close(self) -> None:
        """Cancel what waits, and end the threads that were made here."""
        if self._given is None and "executor" in self.__dict__:
            self.executor.shutdown(wait=True, cancel_futures=True)

    @property
    def window(self) -> int:
        """How many tasks to have submitted at once, so that none waits for the one who submits."""
        return self.jobs + 2

    def in_order(self, started: "Iterable[Future[T]]") -> Iterator[T]:
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


def abandon(running: "Iterable[Future[Any]]") -> None:
    """Cancel tasks and wait for those that run, so that nothing they use is pulled away under them."""
    # All are cancelled before the first is waited for: none is to begin meanwhile.
    begun = [future for future in list(running) if not future.cancel()]
    for future in begun:
        future.exception()
