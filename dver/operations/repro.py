"""Repro: runs again what is stale, from the records alone.

A step is stale when an input, a parameter or a file of code is not what its record says, or an output is not what it
left. A stale step is run as `dver run` does it, so an earlier run may serve, and what is checked, said and recorded is
the same. What is not stale is passed over. After the first failure nothing is begun any more; what was done until then
stays, and commands that run beside the failed one go on to their end.
"""

import os
from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from dver.errors import DverError
from dver.objects.ids import VERSION_PREFIX, format_version
from dver.objects.pointer import Pointer
from dver.operations.datasets import read_pointer_or_problem, typed
from dver.operations.descriptions import repeatable_descriptions
from dver.operations.repro_crew import Crew, crew
from dver.operations.repro_plan import ReproPlan, StepQueue
from dver.operations.run import carry_out_run
from dver.operations.run_cache import Reason
from dver.operations.run_command import LineSink
from dver.operations.run_inputs import ENV, Adding, Files, resolve_inputs
from dver.operations.run_plan import RunOptions, RunPlan, RunRequest, plan_run
from dver.operations.run_publish import RunResult
from dver.operations.run_recover import Recovered, check_recovered, recover_for_run
from dver.operations.run_secrets import MASK
from dver.operations.staleness import (
    compare,
    dataset_of,
    declared_inputs,
    declared_outputs,
    param_sources,
    present_observed,
    present_params,
)
from dver.progress import NO_PROGRESS, Progress
from dver.records.record import Record, State
from dver.repo import Repo

_RUN_DIGITS = 10


@dataclass(frozen=True, slots=True)
class Fresh:
    """A step that is passed over, for all is as its record says."""

    step: Record


@dataclass(frozen=True, slots=True)
class Stale:
    """A step that would be run.

    Attributes:
        reasons: which inputs and parameters are not what they were.
        remade: the inputs that steps before it would make anew.
        outputs: those that are not as the step left them.
        hit: the run that would serve instead, as far as that can be told now.
    """

    step: Record
    reasons: tuple[Reason, ...] = ()
    remade: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    hit: Record | None = None


@dataclass(frozen=True, slots=True)
class Begun:
    """A step that is about to be run, or restored from an earlier run."""

    step: Record
    plan: RunPlan


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
        DverError: a step cannot be run; the hint says what helps.
    """
    yield from recover_for_run(repo, _paths(plan), progress=progress)
    work = _Work(repo, plan, env, progress)
    yield from work.one_by_one() if beside is None else work.side_by_side(beside)


class _Work:
    """What a repro does with the steps of its plan."""

    def __init__(self, repo: Repo, plan: ReproPlan, env: Mapping[str, str], progress: Progress) -> None:
        self._repo = repo
        self._plan = plan
        self._env = env
        self._progress = progress
        self._has_failed = False
        self._problem: DverError | None = None

    def one_by_one(self) -> Iterator[Progression]:
        for step in self._plan.steps:
            run_plan = self._look(step)
            if run_plan is None:
                yield Fresh(step)
                continue
            yield Begun(step, run_plan)
            result = carry_out_run(self._repo, run_plan, progress=self._progress)
            yield Ended(step, run_plan, result)
            if result.state is State.FAILED:
                return

    def side_by_side(self, beside: Beside) -> Iterator[Progression]:
        queue = StepQueue(self._plan)
        with crew(self._repo, beside.jobs) as team:
            while True:
                is_ending = self._has_failed or self._problem is not None or team.is_told_to_end
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
        run_plan = self._look(step)
        if run_plan is None:
            queue.done(step)
            yield Fresh(step)
            return
        yield Begun(step, run_plan)
        if run_plan.decision.hit is None:
            team.start(step, run_plan, beside.sink_for(step))
            return
        result = carry_out_run(self._repo, run_plan, progress=self._progress)
        queue.done(step)
        yield Ended(step, run_plan, result)

    def _end_one(self, team: Crew, queue: StepQueue) -> Iterator[Progression]:
        step, run_plan, result = team.finish_one(self._progress)
        if result.state is State.FAILED:
            self._has_failed = True
        else:
            queue.done(step)
        yield Ended(step, run_plan, result)

    def _look(self, step: Record) -> RunPlan | None:
        """Return what is to be done about a step; None if nothing is."""
        if _look(self._repo, self._plan, step, (), self._progress) is None:
            return None
        _check_repeatable(self._plan, step)
        return plan_run(self._repo, _request(step, self._env), progress=self._progress)


def preview_repro(
    repo: Repo, plan: ReproPlan, env: Mapping[str, str], *, progress: Progress = NO_PROGRESS
) -> Iterator[Fresh | Stale]:
    """Yield what `repro` would do, and do nothing; raises what that does."""
    check_recovered(repo, _paths(plan))
    remade: set[str] = set()
    for step in plan.steps:
        stale = _look(repo, plan, step, remade, progress)
        if stale is None:
            yield Fresh(step)
            continue
        _check_repeatable(plan, step)
        hit = None
        if not stale.remade:
            run_plan = plan_run(repo, _request(step, env), RunOptions(dry_run=True), progress=progress)
            hit = run_plan.decision.hit
        remade.update(_remade(repo, step, hit))
        yield Stale(step, stale.reasons, stale.remade, stale.outputs, hit)


def _look(repo: Repo, plan: ReproPlan, step: Record, remade: Collection[str], progress: Progress) -> Stale | None:
    """Return why a step is stale, or None; `remade` are the datasets that steps before it would make anew."""
    settled = [artifact for artifact in declared_inputs(step) if dataset_of(artifact) not in remade]
    found = resolve_inputs(repo, [artifact.path for artifact in settled], Files(), Adding(), progress)
    versions: dict[str, str | None] = {artifact.path: artifact.version for artifact in found.artifacts}
    versions.update(present_observed(repo, step, remade))
    reasons = tuple(compare(step, versions, present_params(repo, param_sources(step))))
    inputs = tuple(artifact.path for artifact in step.inputs if dataset_of(artifact) in remade)
    outputs = tuple(
        artifact.path
        for artifact in declared_outputs(step)
        # What a later run made is for that one to look after.
        if plan.makers.get(artifact.path) == step.id and not _is_here(repo, artifact.path, artifact.version)
    )
    return Stale(step, reasons, inputs, outputs) if reasons or inputs or outputs else None


def _paths(plan: ReproPlan) -> list[str]:
    """Return what the steps of a plan use and make."""
    return [one.path for step in plan.steps for one in (*declared_inputs(step), *declared_outputs(step))]


def _is_here(repo: Repo, path: str, version: str) -> bool:
    """Whether a dataset's pointer names this version, and there is data."""
    pointer = read_pointer_or_problem(repo, path)
    if not isinstance(pointer, Pointer) or format_version(pointer.version) != version:
        return False
    return os.path.lexists(repo.root / path)


def _remade(repo: Repo, step: Record, hit: Record | None) -> Iterator[str]:
    """Yield the outputs that will be other versions than now, or may be."""
    known = {} if hit is None else {artifact.path: artifact.version for artifact in hit.outputs}
    for artifact in declared_outputs(step):
        if artifact.path not in known or not _is_here(repo, artifact.path, known[artifact.path]):
            yield artifact.path


def _check_repeatable(plan: ReproPlan, step: Record) -> None:
    """Raise DverError for a run that cannot be repeated, or whose repetition would undo a later one."""
    name = step.id.removeprefix(VERSION_PREFIX)[:_RUN_DIGITS]
    overtaken = [artifact.path for artifact in declared_outputs(step) if plan.makers.get(artifact.path) != step.id]
    if overtaken:
        own = " ".join(f"-o {typed(path)}" for path, maker in plan.makers.items() if maker == step.id)
        raise DverError(
            f"run {name} is stale, but would overwrite {overtaken[0]}, which came from elsewhere since",
            hint=f"dver run {own} -- COMMAND, for a command that makes only that",
        )
    by_hand = [source.value for source in param_sources(step) if not source.file]
    # A run in which nothing was masked has a key, unless it was run without the cache.
    if not step.key and any(MASK in text for text in (*step.command, *by_hand) if isinstance(text, str)):
        raise DverError(
            f"run {name} cannot be repeated: a secret in it was masked when it was recorded",
            hint="dver run it anew; dver repro can repeat a command that takes its secrets from the environment",
        )


def _request(step: Record, env: Mapping[str, str]) -> RunRequest:
    return RunRequest(
        step.command,
        step.folder,
        env,
        name=step.name,
        shell=step.shell,
        inputs=tuple(artifact.path for artifact in declared_inputs(step)),
        env_files=tuple(artifact.path for artifact in declared_inputs(step) if artifact.kind == ENV),
        outputs=tuple(artifact.path for artifact in declared_outputs(step)),
        params=param_sources(step),
        tags=step.tags,
        descriptions=repeatable_descriptions(step),
        observe=step.observed,
    )
