"""A crew: commands that run side by side, each in a thread of its own.

Only the commands are in the threads; whoever leads the crew does all else in one thread, so nothing that is opened is
shared. A signal that asks dver to end goes to all commands, and as nothing is begun any more the crew comes to its end;
then the signal is raised again.
"""

import signal
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass

from dver.operations.run import StartedRun, started_run
from dver.operations.run_command import Exit, LineSink, Relay, signals_passed_on
from dver.operations.run_plan import RunPlan
from dver.operations.run_publish import RunResult
from dver.progress import Progress
from dver.records.record import Record, State
from dver.repo import Repo


@dataclass(frozen=True, slots=True)
class _Job:
    step: Record
    plan: RunPlan
    run: StartedRun
    context: AbstractContextManager[StartedRun]


class Crew:
    """Runs the commands of steps."""

    def __init__(self, repo: Repo, jobs: int, relay: Relay, pool: ThreadPoolExecutor) -> None:
        self._repo = repo
        self._jobs = jobs
        self._relay = relay
        self._pool = pool
        self._at_work: dict[Future[Exit], _Job] = {}
        self._has_failed = False

    @property
    def is_told_to_end(self) -> bool:
        """Whether a signal asked dver to end."""
        return bool(self._relay.received)

    @property
    def has_room(self) -> bool:
        """Whether one more command may run."""
        return len(self._at_work) < self._jobs

    @property
    def is_idle(self) -> bool:
        """Whether no command runs, nor is there one to be finished."""
        return not self._at_work

    @property
    def outputs(self) -> list[str]:
        """What is being made."""
        return [path for job in self._at_work.values() for path in job.plan.step.outputs]

    def start(self, step: Record, plan: RunPlan, sink: LineSink) -> None:
        """Set the outputs of a step aside and start its command, whose output goes to `sink` from another thread."""
        context = started_run(self._repo, plan)
        run = context.__enter__()
        self._at_work[self._pool.submit(run.execute, self._relay, sink)] = _Job(step, plan, run, context)

    def finish_one(self, progress: Progress) -> tuple[Record, RunPlan, RunResult]:
        """Wait for a command to end, publish what it made, and record it.

        Raises:
            DverError: the command could not be started, or what it made could not be recorded.
        """
        future = next(iter(wait(self._at_work, return_when=FIRST_COMPLETED).done))
        job = self._at_work.pop(future)
        with ExitStack() as stack:
            stack.push(job.context.__exit__)
            job.run.finish(future.result(), progress)
        self._has_failed |= job.run.result.state is State.FAILED
        return job.step, job.plan, job.run.result

    def abandon(self) -> None:
        """End what still runs, and let its outputs be as they were."""
        if self._at_work:
            self._relay.pass_on(signal.SIGTERM, None)
        with ExitStack() as stack:
            for job in self._at_work.values():
                stack.push(job.context.__exit__)
            wait(self._at_work)
        self._at_work.clear()

    def obey(self) -> None:
        """End as a signal asked to, unless a command failed, for then that says how dver ends."""
        if self._relay.received and not self._has_failed:
            signal.raise_signal(self._relay.received[0])


@contextmanager
def crew(repo: Repo, jobs: int) -> Iterator[Crew]:
    """Return a crew that has at most so many commands at work; in the end none of them is left."""
    with signals_passed_on() as relay, ThreadPoolExecutor(jobs, thread_name_prefix="dver-run") as pool:
        made = Crew(repo, jobs, relay, pool)
        try:
            yield made
        finally:
            made.abandon()
    made.obey()
