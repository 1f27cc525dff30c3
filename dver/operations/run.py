"""Run: a command with its inputs and outputs, as a step of lineage.

A driver finds what goes in and decides whether the same was done before; an executor runs the command; a publisher
stores what came out and writes the record, which comes last. The working tree is not locked while the command runs, so
it may call dver itself. A run that failed, left an output out or changed an input publishes nothing: pointers and data
stay what they were.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from dver.errors import DverError, UsageError
from dver.objects.ids import format_version
from dver.operations.add import Added
from dver.operations.checkout import CheckoutPlan
from dver.operations.record import now, write_record
from dver.operations.run_aside import check_replaceable, claimed, outputs_aside
from dver.operations.run_cache import Decision, Reason, ReasonKind, Step, cache_key, look_up
from dver.operations.run_command import run_command
from dver.operations.run_environment import find_environment
from dver.operations.run_inputs import Adding, changed_inputs, resolve_inputs
from dver.operations.run_outputs import (
    changed_outputs,
    check_outputs,
    missing_outputs,
    publish_outputs,
    restore_outputs,
)
from dver.operations.run_params import ParamSource, read_params
from dver.operations.run_secrets import mask
from dver.progress import NO_PROGRESS, Progress
from dver.records.record import Artifact, Environment, Record, RecordId, State
from dver.repo import LINEAGE_FILE, Repo


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What a user asks to be run. Paths are relative to the repository.

    Attributes:
        command: the program and its arguments; with `shell` one line for a shell.
        folder: where it runs.
        env: the environment that it gets.
        inputs: datasets, paths within some, and files that git tracks.
        code: files that git tracks, as inputs.
    """

    command: tuple[str, ...]
    folder: str
    env: Mapping[str, str]
    name: str = ""
    shell: bool = False
    inputs: tuple[str, ...] = ()
    code: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    params: tuple[ParamSource, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How to run.

    Attributes:
        force: run the command even if the same was done before.
        no_cache: the same, and let no later run be served from this one.
        add_inputs: add inputs that are not datasets yet, or were changed since.
        dry_run: only find out what would be done.
    """

    force: bool = False
    no_cache: bool = False
    add_inputs: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What a run is about to do.

    Attributes:
        decision: whether the command must run, and why.
        key: its cache key; "" where it is neither served from the cache nor serves others.
        dirty: whether files that git tracks differed from the commit.
        masked: what looked like secrets, and is not recorded.
        added: inputs that were added.
        to_add: inputs that would be, were this not a dry run.
    """

    request: RunRequest
    step: Step
    decision: Decision
    key: str
    commit: str
    dirty: bool
    tags: Mapping[str, str]
    masked: tuple[str, ...] = ()
    added: tuple[Added, ...] = ()
    to_add: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run ended.

    Attributes:
        exit_code: of the command; None where it did not run.
        added: the outputs that were published.
        restored: what was done to bring back the outputs of an earlier run.
        changed_inputs: inputs that the command changed.
        missing_outputs: outputs that it did not make.
        left_behind: outputs of a failed run whose files are not what their pointers say.
        leftovers: the folder that what a failed command left was moved to.
        problem: why the outputs could not be stored.
    """

    record: RecordId
    state: State
    exit_code: int | None = None
    seconds: float = 0.0
    added: tuple[Added, ...] = ()
    restored: CheckoutPlan | None = None
    changed_inputs: tuple[str, ...] = ()
    missing_outputs: tuple[str, ...] = ()
    left_behind: tuple[str, ...] = ()
    leftovers: Path | None = None
    problem: DverError | None = None


def plan_run(
    repo: Repo, request: RunRequest, options: RunOptions = RunOptions(), *, progress: Progress = NO_PROGRESS
) -> RunPlan:
    """Find what goes into a run, and decide whether the command must run.

    Inputs are added where `options` say so; nothing else is changed.

    Raises:
        PathError: an input or output cannot be used; the hint names what helps.
        UsageError: the request makes no sense.
        DataLossError: the command would have to run, and data in its way is stored nowhere.
    """
    _check_request(request)
    plan = prepare_run(repo, request, options, progress=progress)
    step = plan.step
    serves = step.outputs and step.is_repeatable and not options.no_cache
    key = cache_key(step, str(repo.root)) if serves else ""
    decision = _decide(repo, step, key, options)
    if decision.hit is None:
        check_replaceable(repo, step.outputs)
    return replace(plan, decision=decision, key=key)


def prepare_run(
    repo: Repo, request: RunRequest, options: RunOptions = RunOptions(), *, progress: Progress = NO_PROGRESS
) -> RunPlan:
    """Find what goes into a run and check what is to come out of it, without a look at earlier runs.

    The plan is that of a run that is neither served from the cache nor serves others; its command may be empty. Changes
    and raises what `plan_run` does.
    """
    outputs = tuple(dict.fromkeys(request.outputs))
    check_outputs(repo, outputs, [*request.inputs, *request.code])
    params = read_params(repo.root, request.params)
    masked = mask(request.command, params, request.tags, name=request.name)
    commit = repo.git.head_commit() or ""
    dirty = repo.git.is_dirty(besides=(LINEAGE_FILE,))
    adding = Adding(options.add_inputs, pretend=options.dry_run)
    inputs = resolve_inputs(repo, request.inputs, request.code, adding, progress)
    step = Step(
        name=masked.name,
        command=masked.command,
        shell=request.shell,
        folder=request.folder,
        inputs=inputs.artifacts,
        params=masked.params,
        outputs=outputs,
        is_repeatable=not masked.decides,
    )
    return RunPlan(
        request,
        step,
        Decision(None),
        "",
        commit,
        dirty,
        tags=masked.tags,
        masked=masked.found,
        added=inputs.added,
        to_add=inputs.to_add,
    )


def carry_out_run(repo: Repo, plan: RunPlan, *, progress: Progress = NO_PROGRESS) -> RunResult:
    """Run the command or restore what an earlier run made, and record it.

    Raises:
        DverError: the command could not be started, or earlier outputs could not be restored. Nothing was recorded.
    """
    started = now()
    with claimed(repo, plan.step.outputs):
        if plan.decision.hit is not None:
            return _reuse(repo, plan, plan.decision.hit, started, progress)
        return _run(repo, plan, started, progress)


def _run(repo: Repo, plan: RunPlan, started: str, progress: Progress) -> RunResult:
    request = plan.request
    folder = repo.root / request.folder
    with outputs_aside(repo, plan.step.outputs) as aside:
        ended = run_command(request.command, folder, request.env, shell=request.shell)
        aside.drop_untouched()
        environment = find_environment(repo, request.command, folder, request.env, shell=request.shell)
        outcome = Outcome(started, ended.seconds, environment, failed=ended.exit_code != 0, exit_code=ended.exit_code)
        result = publish_run(repo, plan, outcome, progress=progress)
        if result.state is State.COMPLETE:
            aside.accept()
    return replace(result, left_behind=(), leftovers=aside.leftovers)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the work of a run went, whatever did it.

    Attributes:
        started: when, as records have it.
        failed: whether it said so itself.
        exit_code: of the command; None where no command ended.
    """

    started: str
    seconds: float
    environment: Environment
    failed: bool
    exit_code: int | None = None


def publish_run(repo: Repo, plan: RunPlan, outcome: Outcome, *, progress: Progress = NO_PROGRESS) -> RunResult:
    """Store what came out of a run, all of it or, where something went wrong, nothing; then record the run."""
    step = plan.step
    changed = tuple(changed_inputs(repo, step.inputs, progress))
    missing = tuple(missing_outputs(repo, step.outputs))
    added: tuple[Added, ...] = ()
    problem = None
    failed = bool(outcome.failed or changed or missing)
    if not failed:
        try:
            added = publish_outputs(repo, step.outputs, progress)
        except DverError as exc:
            failed, problem = True, exc
    record = replace(
        _record(plan, State.FAILED if failed else State.COMPLETE, outcome.started),
        outputs=tuple(Artifact(one.dataset, format_version(one.pointer.version)) for one in added),
        seconds=round(outcome.seconds, 3),
        exit_code=outcome.exit_code,
        environment=outcome.environment,
    )
    return RunResult(
        write_record(repo, record, stage=repo.settings.add_stage),
        record.state,
        outcome.exit_code,
        outcome.seconds,
        added=added,
        changed_inputs=changed,
        missing_outputs=missing if not outcome.failed else (),
        left_behind=tuple(changed_outputs(repo, step.outputs, progress)) if failed else (),
        problem=problem,
    )


def _check_request(request: RunRequest) -> None:
    if not request.command or not request.command[0]:
        raise UsageError("there is no command to run", hint="dver run -d INPUT -o OUTPUT -- COMMAND ARGUMENT …")
    if request.shell and len(request.command) > 1:
        raise UsageError(
            "with --shell, the whole line is one argument", hint="dver run --shell -- 'sort data/raw.csv | uniq > out'"
        )


def _decide(repo: Repo, step: Step, key: str, options: RunOptions) -> Decision:
    if options.force:
        return Decision(None, (Reason(ReasonKind.FORCED),))
    if options.no_cache:
        return Decision(None, (Reason(ReasonKind.NO_CACHE),))
    return look_up(repo, step, key)


def _reuse(repo: Repo, plan: RunPlan, hit: Record, started: str, progress: Progress) -> RunResult:
    restored = restore_outputs(repo, hit, progress)
    record = replace(_record(plan, State.CACHED, started), outputs=hit.outputs, reuses=hit.id)
    return RunResult(write_record(repo, record, stage=repo.settings.add_stage), State.CACHED, restored=restored)


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
