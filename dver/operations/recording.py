"""Recording: work that a program does itself, such as a cell of a notebook, as a step of lineage.

It begins and ends as the run of a command does; what is between is the caller's. Nothing is kept open or locked
meanwhile, so the work may take days, start processes, and use dver itself. Earlier runs never stand in for it, and it
never stands in for a later one: what else the program did is not known.
"""

import sys
import time
from dataclasses import dataclass

from dver.errors import DverError
from dver.operations.datasets import typed
from dver.operations.observe import BlockObserver
from dver.operations.record import now
from dver.operations.run_environment import find_environment
from dver.operations.run_plan import RunPlan, RunRequest, prepare_run
from dver.operations.run_publish import Execution, RunResult, named_changes, publish_run
from dver.progress import NO_PROGRESS, Progress
from dver.records.record import State
from dver.repo import Repo


@dataclass(frozen=True, slots=True)
class BegunWork:
    """Work that has begun.

    Attributes:
        started: when, as records have it.
        clock: the same on a clock that nobody sets, in seconds.
        observer: what observes it; None for nothing.
    """

    plan: RunPlan
    started: str
    clock: float
    observer: BlockObserver | None = None


def begin_recording(repo: Repo, request: RunRequest, *, progress: Progress = NO_PROGRESS) -> BegunWork:
    """Find what goes into the work, and check what is to come out of it.

    Raises:
        PathError: an input or output cannot be used; the hint names what helps.
        UsageError: the request makes no sense.
    """
    plan = prepare_run(repo, request, progress=progress)
    observer = BlockObserver(repo.root) if request.observe else None
    return BegunWork(plan, now(), time.monotonic(), observer)


def end_recording(repo: Repo, begun: BegunWork, *, failed: bool, progress: Progress = NO_PROGRESS) -> RunResult:
    """Publish what came out of the work unless it failed, and record it; call it in the process that did the work.

    Raises:
        DverError: the record could not be written.
    """
    seconds = time.monotonic() - begun.clock
    traces = None if begun.observer is None else begun.observer.stop()
    request = begun.plan.request
    folder = repo.root / request.folder
    with repo.storing():
        environment = find_environment(repo, [sys.executable], folder, request.env, shell=False)
        execution = Execution(begun.started, seconds, environment, failed=failed, traces=traces)
        return publish_run(repo, begun.plan, execution, progress=progress)


def failure(result: RunResult) -> DverError | None:
    """Return what went wrong where the work itself did not say so; None if nothing did."""
    if result.state is not State.FAILED:
        return None
    if result.problem is not None:
        return result.problem
    if result.changed:
        what = f"{named_changes(result.changed_inputs, result.changed_params)} changed while the run was at work"
    else:
        what = f"the run did not make its output{'s' * (len(result.missing_outputs) > 1)}"
        what += f" {', '.join(result.missing_outputs)}"
    return DverError(f"{what}; no output was published", hint=restoring_hint(result))


def restoring_hint(result: RunResult) -> str | None:
    """Return what brings back the outputs that failed work has changed, or None."""
    if not result.left_behind:
        return None
    return f"dver checkout --force {' '.join(map(typed, result.left_behind))} brings back the data from before"
