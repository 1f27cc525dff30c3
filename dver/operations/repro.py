"""Repro: runs again what is stale, from the records alone.

A step is stale when an input, a parameter or a file of code is not what its record says, or an output is not what it
left. A stale step is run as `dver run` does it, so an earlier run may serve, and what is checked, said and recorded is
the same. What is not stale is passed over. After the first failure nothing is begun any more; what was done until then
stays, and commands that run beside the failed one go on to their end.
"""

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from dver.errors import DverError
from dver.operations.datasets import typed
from dver.operations.repro_crew import Crew, crew
from dver.operations.repro_outputs import MovedAway, Replaced, check_kept, find_remarks, hints_for_repro
from dver.operations.repro_plan import ReproPlan, StepQueue
from dver.operations.repro_stale import Foreseen, Staleness, find_hit, find_staleness, own_outputs, request_of
from dver.operations.run import carry_out_run
from dver.operations.run_command import LineSink
from dver.operations.run_plan import RunPlan, plan_run
from dver.operations.run_publish import RunResult
from dver.operations.run_recover import Recovered, check_recovered, recover_for_run
from dver.operations.staleness import declared_inputs, declared_outputs, lacks_secret
from dver.progress import NO_PROGRESS, Progress
from dver.records.record import Record, State, short_id
from dver.repo import Repo

Remark: TypeAlias = Replaced | MovedAway


@dataclass(frozen=True, slots=True)
class Fresh:
    """A step that is passed over, for all is as its record says."""

    step: Record


@dataclass(frozen=True, slots=True)
class Stale:
    """A step that would be run.

    Attributes:
        hit: the run that would serve instead, as far as that can be told now.
        remarks: what is to be said of its outputs.
    """

    step: Record
    why: Staleness
    hit: Record | None = None
    remarks: tuple[Remark, ...] = ()


@dataclass(frozen=True, slots=True)
class Begun:
    """A step that is about to be run, or restored from an earlier run, and what is to be said of its outputs."""

    step: Record
    plan: RunPlan
    remarks: tuple[Remark, ...] = ()


@dataclass(frozen=True, slots=True)
class Ended:
    """A step that was run or restored."""

    step: Record
    plan: RunPlan
    result: RunResult


Progression: TypeAlias = Recovered | Fresh | Begun | Ended


@dataclass(frozen=True, slots=True)
class Beside:
    """How steps run side by side.

    Attributes:
        jobs: how many commands run at most at a time.
        sink_for: returns what takes the lines that the command of a step writes, in several threads.
    """

    jobs: int
    sink_for: Callable[[Record], LineSink]


def repro(
    repo: Repo,
    plan: ReproPlan,
    env: Mapping[str, str],
    *,
    beside: Beside | None = None,
    progress: Progress = NO_PROGRESS,
) -> Generator[Progression, None, None]:
    """Run again what is stale, and yield how it goes; commands get the environment `env`.

    One after the other, unless told to run steps side by side; then close the iterator if you do not go to its end.
    After a step that failed no other is begun. What killed runs left is cleared away first.

    Raises:
        DverError: a step cannot be run, the hint says what helps; or, after all others, steps need each other.
    """
    yield from recover_for_run(repo, _paths(plan), progress=progress)
    check_kept(repo, plan)
    work = _Work(repo, plan, env, progress)
    yield from work.one_by_one() if beside is None else work.side_by_side(beside)
    if plan.circle is not None and not work.has_failed:
        raise plan.circle


class _Work:
    """What a repro does with the steps of its plan."""

    def __init__(self, repo: Repo, plan: ReproPlan, env: Mapping[str, str], progress: Progress) -> None:
        self._repo = repo
        self._plan = plan
        self._env = env
        self._progress = progress
        self.has_failed = False
        self._problem: DverError | None = None

    def one_by_one(self) -> Iterator[Progression]:
        for step in self._plan.steps:
            begun = self._look(step)
            if begun is None:
                yield Fresh(step)
                continue
            yield begun
            with hints_for_repro(self._repo, step):
                result = carry_out_run(self._repo, begun.plan, progress=self._progress)
            yield Ended(step, begun.plan, result)
            if result.state is State.FAILED:
                self.has_failed = True
                return

    def side_by_side(self, beside: Beside) -> Iterator[Progression]:
        queue = StepQueue(self._plan)
        with crew(self._repo, beside.jobs) as team:
            while True:
                is_ending = self.has_failed or self._problem is not None or team.is_told_to_end
                step = queue.take(team.outputs) if team.has_room and not is_ending else None
                if step is None and team.is_idle:
                    break
                try:
                    yield from self._begin(step, team, queue, beside) if step else self._end_one(team, queue)
                except DverError as exc:
                    # What runs goes on to its end, and the first problem is what is told.
                    self._problem = self._problem or exc
            if self._problem is not None:
                raise self._problem

    def _begin(self, step: Record, team: Crew, queue: StepQueue, beside: Beside) -> Iterator[Progression]:
        begun = self._look(step)
        if begun is None:
            queue.done(step)
            yield Fresh(step)
            return
        yield begun
        with hints_for_repro(self._repo, step):
            if begun.plan.decision.hit is None:
                team.start(step, begun.plan, beside.sink_for(step))
                return
            result = carry_out_run(self._repo, begun.plan, progress=self._progress)
        queue.done(step)
        yield Ended(step, begun.plan, result)

    def _end_one(self, team: Crew, queue: StepQueue) -> Iterator[Progression]:
        step, run_plan, result = team.finish_one(self._progress)
        if result.state is State.FAILED:
            self.has_failed = True
        else:
            queue.done(step)
        yield Ended(step, run_plan, result)

    def _look(self, step: Record) -> Begun | None:
        """Return what is to be done about a step; None if nothing is."""
        if find_staleness(self._repo, self._plan, step, Foreseen(), self._progress) is None:
            return None
        _check_repeatable(self._plan, step)
        remarks = find_remarks(self._repo, self._plan, step)
        with hints_for_repro(self._repo, step):
            return Begun(step, plan_run(self._repo, request_of(step, self._env), progress=self._progress), remarks)


def preview_repro(
    repo: Repo, plan: ReproPlan, env: Mapping[str, str], *, progress: Progress = NO_PROGRESS
) -> Iterator[Fresh | Stale]:
    """Yield what `repro` would do, and do nothing; raises what that does."""
    check_recovered(repo, _paths(plan))
    check_kept(repo, plan)
    foreseen = Foreseen()
    for step in plan.steps:
        why = find_staleness(repo, plan, step, foreseen, progress)
        if why is None:
            yield Fresh(step)
            continue
        _check_repeatable(plan, step)
        with hints_for_repro(repo, step):
            hit = find_hit(repo, step, env, foreseen, progress)
        foreseen.note(step, hit)
        yield Stale(step, why, hit, find_remarks(repo, plan, step))
    if plan.circle is not None:
        raise plan.circle


def _paths(plan: ReproPlan) -> list[str]:
    """Return what the steps of a plan use and make."""
    return [one.path for step in plan.steps for one in (*declared_inputs(step), *declared_outputs(step))]


def _check_repeatable(plan: ReproPlan, step: Record) -> None:
    """Raise DverError for a run that cannot be repeated, or whose repetition would undo a later one."""
    name = short_id(step.id)
    overtaken = [artifact.path for artifact in declared_outputs(step) if plan.makers.get(artifact.path) != step.id]
    if overtaken:
        own = " ".join(f"-o {typed(artifact.path)}" for artifact in own_outputs(plan, step))
        raise DverError(
            f"run {name} is stale, but would overwrite {overtaken[0]}, which came from elsewhere since",
            hint=f"dver run {own} -- COMMAND, for a command that makes only that",
        )
    if lacks_secret(step):
        raise DverError(
            f"run {name} cannot be repeated: a secret in it was masked when it was recorded",
            hint="dver run it anew; dver repro can repeat a command that takes its secrets from the environment",
        )
