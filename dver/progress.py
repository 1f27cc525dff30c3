"""How long work tells that it goes on, without knowing who listens.

Operations take a `Progress`; the command line draws it, scripts leave it out and get `NO_PROGRESS`. Calls may come
from any thread and must be cheap: callers report batches, not single chunks.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Task(Protocol):
    """One running piece of work, such as "storing" or "fetching"."""

    def advance(self, *, bytes: int = 0, files: int = 0) -> None:
        """Report work done since the last call."""

    def expect(self, *, bytes: int = 0, files: int = 0) -> None:
        """Raise the totals, when more work comes to light."""


class Progress(Protocol):
    """Where operations report to."""

    def task(self, label: str, *, bytes: int | None = None, files: int | None = None) -> AbstractContextManager[Task]:
        """Open a task; totals are None while unknown. Leaving the context ends it."""

    def note(self, message: str) -> None:
        """Say one line that the user should see now, such as a retry after a failure."""


class _NoTask:
    def advance(self, *, bytes: int = 0, files: int = 0) -> None:
        pass

    def expect(self, *, bytes: int = 0, files: int = 0) -> None:
        pass


NO_TASK: Task = _NoTask()


class _NoProgress:
    @contextmanager
    def task(self, label: str, *, bytes: int | None = None, files: int | None = None) -> Iterator[Task]:
        yield NO_TASK

    def note(self, message: str) -> None:
        pass


NO_PROGRESS: Progress = _NoProgress()
