"""Whether a recorded step is stale, and whether an earlier run would serve for it.

What a repro did is there to be looked at. A preview does nothing, so what the steps before would make is foreseen as
far as it can be: of a step that an earlier run would serve for, the versions of its outputs are known.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from dver.errors import PathError
from dver.objects.ids import format_version, parse_version
from dver.objects.pointer import Pointer
from dver.operations.datasets import encode_path, read_pointer_or_problem
from dver.operations.descriptions import repeatable_descriptions
from dver.operations.reading import open_manifest
from dver.operations.repro_plan import ReproPlan
from dver.operations.run_aside import check_replaceable
from dver.operations.run_cache import Reason, cache_key, look_up
from dver.operations.run_environment import present_image
from dver.operations.run_inputs import CODE, ENV, Adding, Files, part_version, resolve_inputs
from dver.operations.run_outputs import check_restorable
from dver.operations.run_plan import RunOptions, RunRequest, plan_run, prepare_run
from dver.operations.staleness import (
    compare,
    dataset_of,
    declared_inputs,
    declared_outputs,
    param_sources,
    present_observed,
    present_params,
)
from dver.progress import Progress
from dver.records.record import Artifact, Record
from dver.repo import Repo


@dataclass(frozen=True, slots=True)
class Staleness:
    """Why a step is stale.

    Attributes:
        reasons: which inputs and parameters are not what they were.
        remade: the inputs that steps before it would make anew.
        outputs: those that are not as the step left them.
    """

    reasons: tuple[Reason, ...] = ()
    remade: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


@dataclass(slots=True)
class Foreseen:
    """What the datasets would be that the steps of a preview make.

    Attributes:
        remade: those that would be other versions than now, or may be.
        known: the versions of those that an earlier run made.
    """

    remade: set[str] = field(default_factory=set)
    known: dict[str, str] = field(default_factory=dict)

    def has(self, artifact: Artifact) -> bool:
        """Whether an artifact is of a dataset that would be made."""
        return dataset_of(artifact) in self.remade or dataset_of(artifact) in self.known

    def note(self, step: Record, hit: Record | None) -> None:
        """Take in that a step would be run, or served by `hit`."""
        made = {} if hit is None else {artifact.path: artifact.version for artifact in hit.outputs}
        for artifact in declared_outputs(step):
            if artifact.path in made:
                self.known[artifact.path] = made[artifact.path]
            else:
                self.remade.add(artifact.path)

    def version(self, repo: Repo, artifact: Artifact) -> str | None:
        """Return the version that an artifact would have in a known version of its dataset; None for none.

        Raises:
            DverError: the manifest is out of reach.
        """
        version = self.known[dataset_of(artifact)]
        if not artifact.dataset or version == artifact.dataset_version:
            return artifact.version if artifact.dataset else version
        manifest = open_manifest(repo, parse_version(version, artifact.dataset), artifact.dataset)
        try:
            return part_version(manifest, encode_path(artifact.path[len(artifact.dataset) + 1 :]), artifact.path)
        except PathError:
            return None


def find_staleness(
    repo: Repo, plan: ReproPlan, step: Record, foreseen: Foreseen, progress: Progress
) -> Staleness | None:
    """Return why a step is stale, or None.

    Raises:
        DverError: an input or parameter cannot be used as it is; the hint says what helps.
    """
    settled = [artifact for artifact in declared_inputs(step) if not foreseen.has(artifact)]
    paths = [artifact.path for artifact in settled]
    found = resolve_inputs(repo, paths, Files(), Adding(is_option=False), progress, recorded=settled)
    versions: dict[str, str | None] = {artifact.path: artifact.version for artifact in found.artifacts}
    versions.update(present_observed(repo, step, {*foreseen.remade, *foreseen.known}))
    versions.update(
        (artifact.path, foreseen.version(repo, artifact))
        for artifact in step.inputs
        if dataset_of(artifact) in foreseen.known
    )
    reasons = tuple(compare(step, versions, present_params(repo, param_sources(step))))
    remade = tuple(artifact.path for artifact in step.inputs if dataset_of(artifact) in foreseen.remade)
    outputs = tuple(
        artifact.path
        # What a later run made is for that one to look after.
        for artifact in own_outputs(plan, step)
        if not _is_here(repo, artifact.path, artifact.version)
    )
    return Staleness(reasons, remade, outputs) if reasons or remade or outputs else None


def own_outputs(plan: ReproPlan, step: Record) -> Iterator[Artifact]:
    """Yield the outputs of a step that no later run made."""
    return (artifact for artifact in declared_outputs(step) if plan.makers.get(artifact.path) == step.id)


def find_hit(repo: Repo, step: Record, env: Mapping[str, str], foreseen: Foreseen, progress: Progress) -> Record | None:
    """Return the run that would serve for a stale step, as far as that can be told before the steps before it are done.

    Raises:
        DverError: what carrying it out would raise.
    """
    wanted = request_of(step, env)
    ahead = [artifact for artifact in step.inputs if foreseen.has(artifact)]
    if not ahead:
        return plan_run(repo, wanted, RunOptions(dry_run=True), progress=progress).decision.hit
    if any(artifact.observed or dataset_of(artifact) in foreseen.remade for artifact in ahead):
        return None
    used = [_as_foreseen(repo, artifact, foreseen) for artifact in ahead]
    present = tuple(path for path in wanted.inputs if path not in {artifact.path for artifact in ahead})
    plan = prepare_run(repo, replace(wanted, inputs=present), RunOptions(dry_run=True), progress=progress)
    settled = replace(plan.step, inputs=(*plan.step.inputs, *used))
    find_image = partial(present_image, step.command, repo.root / step.folder, env, shell=step.shell)
    hit = look_up(repo, settled, cache_key(settled, str(repo.root)), find_image).hit
    if hit is None:
        check_replaceable(repo, settled.outputs)
    else:
        check_restorable(repo, hit, progress)
    return hit


def request_of(step: Record, env: Mapping[str, str]) -> RunRequest:
    """Return the request to run a step again."""
    return RunRequest(
        step.command,
        step.folder,
        env,
        name=step.name,
        shell=step.shell,
        inputs=tuple(artifact.path for artifact in declared_inputs(step)),
        code=tuple(artifact.path for artifact in declared_inputs(step) if artifact.kind == CODE),
        env_files=tuple(artifact.path for artifact in declared_inputs(step) if artifact.kind == ENV),
        outputs=tuple(artifact.path for artifact in declared_outputs(step)),
        params=param_sources(step),
        tags=step.tags,
        descriptions=repeatable_descriptions(step),
        observe=step.observed,
    )


def _as_foreseen(repo: Repo, artifact: Artifact, foreseen: Foreseen) -> Artifact:
    version = foreseen.version(repo, artifact)
    if version is None:
        raise PathError(
            artifact.path,
            f"would not be in {artifact.dataset} any more",
            hint="dver run the step anew, with an input that is",
        )
    if not artifact.dataset:
        return Artifact(artifact.path, version)
    return Artifact(artifact.path, version, artifact.dataset, foreseen.known[artifact.dataset])


def _is_here(repo: Repo, path: str, version: str) -> bool:
    """Whether a dataset's pointer names this version, and there is data."""
    pointer = read_pointer_or_problem(repo, path)
    if not isinstance(pointer, Pointer) or format_version(pointer.version) != version:
        return False
    return os.path.lexists(repo.root / path)
