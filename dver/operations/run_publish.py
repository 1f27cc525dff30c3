"""How a run ends: what it made becomes datasets, all of it or nothing, and its record is written last."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dver.errors import DverError, PathError
from dver.objects.ids import format_version
from dver.operations.add import Added
from dver.operations.checkout import CheckoutPlan
from dver.operations.descriptions import describe
from dver.operations.observe_artifacts import Observed, resolve_observed
from dver.operations.observe_traces import Traces
from dver.operations.record import write_record
from dver.operations.run_inputs import changed_inputs
from dver.operations.run_outputs import (
    changed_outputs,
    missing_outputs,
    publish_outputs,
    restore_outputs,
)
from dver.operations.run_params import changed_params
from dver.operations.run_plan import RunPlan
from dver.progress import NO_PROGRESS, Progress
from dver.records.record import Artifact, Environment, Record, RecordId, State
from dver.repo import Repo


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run ended.

    Attributes:
        exit_code: of the command; None where it did not run.
        added: the outputs that were published.
        restored: what was done to bring back the outputs of an earlier run.
        changed_inputs: inputs that changed while the command ran, be it by the command or by somebody else.
        changed_params: parameters of which the same is true; they are in a file.
        missing_outputs: outputs that it did not make.
        left_behind: outputs of a failed run whose files are not what their pointers say.
        leftovers: the folder that what a failed command left was moved to.
        problem: why the outputs could not be stored.
        observed: what the command was seen to do beside what was declared; None where nobody looked.
    """

    record: RecordId
    state: State
    exit_code: int | None = None
    seconds: float = 0.0
    added: tuple[Added, ...] = ()
    restored: CheckoutPlan | None = None
    changed_inputs: tuple[str, ...] = ()
    changed_params: tuple[str, ...] = ()
    missing_outputs: tuple[str, ...] = ()
    left_behind: tuple[str, ...] = ()
    leftovers: Path | None = None
    problem: DverError | None = None
    observed: Observed | None = None

    @property
    def changed(self) -> tuple[str, ...]:
        """All that went in and is not any more what it was."""
        return (*self.changed_inputs, *self.changed_params)


@dataclass(frozen=True, slots=True)
class Changed:
    """What of that which went in is not any more what it was."""

    inputs: tuple[str, ...]
    params: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Execution:
    """How the work of a run went, whatever did it.

    Attributes:
        started: when, as records have it.
        failed: whether it said so itself.
        exit_code: of the command; None where no command ended.
        traces: what was seen where the request says to observe; None where nothing could be.
    """

    started: str
    seconds: float
    environment: Environment
    failed: bool
    exit_code: int | None = None
    traces: Traces | None = None


def publish_run(repo: Repo, plan: RunPlan, execution: Execution, *, progress: Progress = NO_PROGRESS) -> RunResult:
    """Store what came out of a run, all of it or, where something went wrong, nothing; then record the run."""
    step = plan.step
    changed = Changed(
        tuple(changed_inputs(repo, step.inputs, progress)), changed_params(repo.root, plan.request.params, step.params)
    )
    missing = tuple(missing_outputs(repo, step.outputs))
    added: tuple[Added, ...] = ()
    problem = None
    failed = bool(execution.failed or changed.inputs or changed.params or missing)
    if not failed:
        try:
            added = publish_outputs(repo, step.outputs, progress)
        except DverError as exc:
            failed, problem = True, exc
    observed = _observed(repo, plan, execution, progress)
    record = _with_observed(
        _record(plan, State.FAILED if failed else State.COMPLETE, execution.started),
        observed,
        outputs=describe(_made(added), plan.descriptions),
        seconds=round(execution.seconds, 3),
        exit_code=execution.exit_code,
        environment=execution.environment,
        note="" if execution.failed else _why_failed(changed, missing, problem),
    )
    return RunResult(
        write_record(repo, record, stage=repo.settings.add_stage),
        record.state,
        execution.exit_code,
        execution.seconds,
        added=added,
        changed_inputs=changed.inputs,
        changed_params=changed.params,
        missing_outputs=missing if not execution.failed else (),
        left_behind=tuple(changed_outputs(repo, step.outputs, progress)) if failed else (),
        problem=problem,
        observed=observed,
    )


def reuse_run(repo: Repo, plan: RunPlan, hit: Record, started: str, progress: Progress) -> RunResult:
    """Restore what an earlier run made, and record that; `started` is as records have it."""
    restored = restore_outputs(repo, hit, progress)
    outputs = describe([artifact for artifact in hit.outputs if not artifact.observed], plan.descriptions)
    record = _record(plan, State.CACHED, started)
    # What the other run was seen to read is as it was then.
    inputs = (*record.inputs, *(artifact for artifact in hit.inputs if artifact.observed))
    record = replace(record, inputs=inputs, outputs=outputs, reuses=hit.id, observed=hit.observed)
    return RunResult(write_record(repo, record, stage=repo.settings.add_stage), State.CACHED, restored=restored)


def _observed(repo: Repo, plan: RunPlan, execution: Execution, progress: Progress) -> Observed | None:
    """Return what was seen beside what the user said goes in and comes out, files of parameters among it."""
    request = plan.request
    if not request.observe:
        return None
    params = [source.file for source in request.params if source.file]
    inputs = [*(artifact.path for artifact in plan.step.inputs), *params]
    return resolve_observed(repo, execution.traces, inputs, plan.step.outputs, progress)


def _with_observed(record: Record, observed: Observed | None, *, outputs: tuple[Artifact, ...], **known: Any) -> Record:
    """Return a record with what was seen; one of which it is not known what went in never serves again."""
    if observed is None:
        return replace(record, outputs=outputs, **known)
    return replace(
        record,
        inputs=(*record.inputs, *observed.inputs),
        outputs=(*outputs, *observed.outputs),
        key=record.key if observed.is_whole else "",
        observed=observed.is_known,
        **known,
    )


def _why_failed(changed: Changed, missing: Sequence[str], problem: DverError | None) -> str:
    """Return what a record says of a run that failed though its command did not; "" for one that did not fail."""
    if changed.inputs or changed.params:
        return f"failed, for {named_changes(changed.inputs, changed.params)} changed while it ran"
    if missing:
        return f"failed, for it did not make its {_named('output', missing)}"
    if problem is None:
        return ""
    # Other problems may name places on this machine.
    why = f": {problem.message}" if isinstance(problem, PathError) and not os.path.isabs(problem.path) else ""
    return f"failed, for its outputs could not be stored{why}"


def named_changes(inputs: Sequence[str], params: Sequence[str]) -> str:
    """Return inputs and parameters in words."""
    words = [_named(noun, names) for noun, names in (("input", inputs), ("parameter", params)) if names]
    return " and ".join(words)


def _named(noun: str, names: Sequence[str]) -> str:
    return f"{noun}{'s' * (len(names) > 1)} {', '.join(names)}"


def _made(added: Sequence[Added]) -> tuple[Artifact, ...]:
    return tuple(Artifact(one.dataset, format_version(one.pointer.version)) for one in added)


def _record(plan: RunPlan, state: State, started: str) -> Record:
    step = plan.step
    return Record(
        state=state,
        started=started,
        name=step.name,
        command=step.command,
        shell=step.shell,
        folder=step.folder,
        inputs=step.inputs,
        params=step.params,
        commit=plan.commit,
        dirty=plan.dirty,
        tags=plan.tags,
        # A failed run never serves again.
        key="" if state is State.FAILED else plan.key,
    )
