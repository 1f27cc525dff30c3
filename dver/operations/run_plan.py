"""The driver: what a run is asked for, what goes into it, and whether its command must run.

Planning changes nothing but what it is told to: inputs that are to be added, and what a killed run left behind.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from dver.errors import UsageError
from dver.operations.add import Added
from dver.operations.descriptions import Description, mask_descriptions
from dver.operations.observe import check_observable
from dver.operations.run_aside import check_replaceable
from dver.operations.run_cache import Decision, Reason, ReasonKind, Step, cache_key, look_up
from dver.operations.run_environment import present_image
from dver.operations.run_inputs import Adding, Files, resolve_inputs, uncommitted_files
from dver.operations.run_outputs import (
    check_outputs,
    check_restorable,
)
from dver.operations.run_params import ParamSource, read_params
from dver.operations.run_recover import Recovered, check_recovered, recover_for_run
from dver.operations.run_secrets import mask
from dver.progress import NO_PROGRESS, Progress
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
        env_files: files that git tracks and that say what the command runs on, as inputs.
        descriptions: what the outputs are to people.
        observe: whether to see, and to record, which other files the command reads and writes.
    """

    command: tuple[str, ...]
    folder: str
    env: Mapping[str, str]
    name: str = ""
    shell: bool = False
    inputs: tuple[str, ...] = ()
    code: tuple[str, ...] = ()
    env_files: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    params: tuple[ParamSource, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    descriptions: Mapping[str, Description] = field(default_factory=dict)
    observe: bool = False


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
        descriptions: what is said of the outputs, as it may be recorded.
        masked: what looked like secrets, and is not recorded.
        added: inputs that were added.
        to_add: inputs that would be, were this not a dry run.
        recovered: killed runs that were cleared away first.
        uncommitted: files of git's among the inputs that are not as in the last commit, so that git may delete in time
            what the record names.
    """

    request: RunRequest
    step: Step
    decision: Decision
    key: str
    commit: str
    dirty: bool
    tags: Mapping[str, str]
    descriptions: Mapping[str, Description] = field(default_factory=dict)
    masked: tuple[str, ...] = ()
    added: tuple[Added, ...] = ()
    to_add: tuple[str, ...] = ()
    recovered: tuple[Recovered, ...] = ()
    uncommitted: tuple[str, ...] = ()


def plan_run(
    repo: Repo, request: RunRequest, options: RunOptions = RunOptions(), *, progress: Progress = NO_PROGRESS
) -> RunPlan:
    """Find what goes into a run, and decide whether the command must run.

    Inputs are added where `options` say so, and what a killed run left at the paths is cleared away; nothing else is
    changed.

    Raises:
        PathError: an input or output cannot be used; the hint names what helps.
        UsageError: the request makes no sense.
        LockedError: another run is at work on one of the paths.
        DataLossError: the command would have to run, and data in its way is stored nowhere.
    """
    _check_request(request)
    paths = (*request.inputs, *request.outputs)
    recovered: tuple[Recovered, ...] = ()
    if options.dry_run:
        check_recovered(repo, paths)
    else:
        recovered = recover_for_run(repo, paths, request.command, progress=progress)
    plan = prepare_run(repo, request, options, progress=progress)
    step = plan.step
    serves = step.outputs and step.is_repeatable and not options.no_cache
    key = cache_key(step, str(repo.root)) if serves else ""
    decision = _decide(repo, request, step, key, options)
    if decision.hit is None:
        check_replaceable(repo, step.outputs)
        if request.observe:
            check_observable(request.command, repo.root / request.folder, request.env, shell=request.shell)
    elif options.dry_run:
        check_restorable(repo, decision.hit, progress)
    return replace(plan, decision=decision, key=key, recovered=recovered)


def prepare_run(
    repo: Repo, request: RunRequest, options: RunOptions = RunOptions(), *, progress: Progress = NO_PROGRESS
) -> RunPlan:
    """Find what goes into a run and check what is to come out of it, without a look at earlier runs.

    The plan is that of a run that is neither served from the cache nor serves others; its command may be empty. Changes
    and raises what `plan_run` does.
    """
    outputs = tuple(dict.fromkeys(request.outputs))
    files = Files(request.code, request.env_files)
    check_outputs(repo, outputs, [*request.inputs, *files.kinds])
    params = read_params(repo.root, request.params)
    masked = mask(request.command, params, request.tags, name=request.name)
    descriptions, masked_props = mask_descriptions(request.descriptions)
    commit = repo.git.head_commit() or ""
    dirty = repo.git.is_dirty(besides=(LINEAGE_FILE,))
    adding = Adding(options.add_inputs, pretend=options.dry_run)
    inputs = resolve_inputs(repo, request.inputs, files, adding, progress)
    step = Step(
        name=masked.name,
        command=masked.command,
        shell=request.shell,
        folder=request.folder,
        inputs=inputs.artifacts,
        params=masked.params,
        outputs=outputs,
        is_repeatable=not masked.decides,
        is_observed=request.observe,
    )
    return RunPlan(
        request,
        step,
        Decision(None),
        "",
        commit,
        dirty,
        tags=masked.tags,
        descriptions=descriptions,
        masked=(*masked.found, *masked_props),
        added=inputs.added,
        to_add=inputs.to_add,
        uncommitted=uncommitted_files(repo, inputs.artifacts, commit),
    )


def _check_request(request: RunRequest) -> None:
    if not request.command or not request.command[0]:
        raise UsageError("there is no command to run", hint="dver run -d INPUT -o OUTPUT -- COMMAND ARGUMENT …")
    if request.shell and len(request.command) > 1:
        raise UsageError(
            "with --shell, the whole line is one argument", hint="dver run --shell -- 'sort data/raw.csv | uniq > out'"
        )


def _decide(repo: Repo, request: RunRequest, step: Step, key: str, options: RunOptions) -> Decision:
    if options.force:
        return Decision(None, (Reason(ReasonKind.FORCED),))
    if options.no_cache:
        return Decision(None, (Reason(ReasonKind.NO_CACHE),))
    folder = repo.root / request.folder
    find_image = partial(present_image, request.command, folder, request.env, shell=request.shell)
    return look_up(repo, step, key, find_image)
