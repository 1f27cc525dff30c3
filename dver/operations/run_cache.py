"""The driver's second half: whether a run was made before, and if not, what is new about this one.

Two runs are the same when their cache keys are: the same command in the same folder of the repository, the same
versions of all inputs, the same parameters and the same output paths. Times and places on a machine are no part of
it. A run is served from the cache only if every version that it made can still be had, if what it was seen to read
beside its inputs is as it was, and if it ran in the container image that the command would run in now, where it ran in
one.
"""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from blake3 import blake3

from dver.errors import BackendError, FormatError
from dver.objects.ids import VERSION_PREFIX, parse_version
from dver.operations.reading import stores_to_read
from dver.operations.run_image import Image
from dver.operations.run_inputs import CODE, ENV, changed_inputs
from dver.progress import NO_PROGRESS
from dver.records.record import Artifact, Record, Scalar, State, started_at
from dver.repo import Repo

_RECENT_FAILURES = 20
KEY_CONTEXT = "dver 2026-11 run cache key v1"


@dataclass(frozen=True, slots=True)
class Step:
    """What a run is, as it may be recorded.

    Attributes:
        name: what the user calls it; "" for no name.
        command: the program and its arguments, or one line for a shell.
        folder: where it runs, relative to the repository.
        outputs: the paths of the datasets that it makes.
        is_repeatable: whether all that decides its result is known, so that a later run can be told to be the same.
        is_observed: whether only a run that was observed may stand in for it.
    """

    name: str
    command: tuple[str, ...]
    shell: bool
    folder: str
    inputs: tuple[Artifact, ...]
    params: Mapping[str, Scalar]
    outputs: tuple[str, ...]
    is_repeatable: bool
    is_observed: bool = False


class ReasonKind(StrEnum):
    """Why a command is run."""

    FORCED = "forced"
    NO_CACHE = "no cache"
    NO_OUTPUTS = "no outputs"
    SECRET = "secret"
    FIRST = "first"
    FAILED = "failed"
    NOT_SERVING = "not serving"
    UNREACHABLE = "unreachable"
    NO_ANSWER = "no answer"
    NOT_OBSERVED = "not observed"
    OBSERVED = "observed"
    COMMAND = "command"
    FOLDER = "folder"
    INPUT = "input"
    CODE = "code"
    ENV = "env"
    IMAGE = "image"
    PARAM = "param"
    OUTPUT = "output"


_OF_KIND = {CODE: ReasonKind.CODE, ENV: ReasonKind.ENV}


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that is new about a run.

    Attributes:
        name: the input, parameter, output, image or record that it is about.
        old: its version or value before.
        new: the same now.
        appeared: whether there was nothing of that name before.
        vanished: whether there is nothing of that name any more.
    """

    kind: ReasonKind
    name: str = ""
    old: Scalar = None
    new: Scalar = None
    appeared: bool = False
    vanished: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """The record that a run is served from, or the reasons why the command must run."""

    hit: Record | None
    reasons: tuple[Reason, ...] = ()


def cache_key(step: Step, root: str) -> str:
    """Return the key of a step; `root` is the top of the repository on this machine."""
    # No argument holds a NUL, so nothing can be taken for the place of the repository.
    fields = {
        "command": relocated(step.command, root, "\0root"),
        "shell": step.shell,
        "folder": step.folder,
        "inputs": sorted([artifact.path, artifact.version] for artifact in step.inputs),
        "params": dict(step.params),
        "outputs": sorted(step.outputs),
    }
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return VERSION_PREFIX + blake3(text.encode("ascii"), derive_key_context=KEY_CONTEXT).hexdigest()


def relocated(command: Sequence[str], root: str, place: str) -> list[str]:
    """Return the words of a command with `place` wherever they name the folder `root`, or what is in it."""
    # Not where it is only the beginning of a longer name.
    named = re.compile(re.escape(root) + r"(?![\w.-])")
    return [named.sub(lambda _: place, word) for word in command]


def look_up(repo: Repo, step: Step, key: str, find_image: Callable[[], Image | None] = lambda: None) -> Decision:
    """Return the latest record with that key whose outputs can all be had, or what is new about the step.

    `find_image` tells the container image that the command would run in now, None where that is not known. If it is,
    and known of any record, only those of the same image serve.
    """
    if not (step.outputs and step.is_repeatable):
        return Decision(None, (Reason(ReasonKind.SECRET if step.outputs else ReasonKind.NO_OUTPUTS),))
    # A record is anybody's work, and data is written where its outputs say.
    candidates = [
        record
        for record in repo.lineage.by_key(key)
        if sorted(_paths(_declared(record.outputs))) == sorted(step.outputs)
    ]
    # Asked only if it matters, for that starts a program.
    image = find_image() if any(record.environment.image for record in candidates) else None
    if image is not None:
        old = next(record.environment.image for record in candidates if record.environment.image)
        candidates = [record for record in candidates if record.environment.image in image.aliases]
        if not candidates:
            return Decision(None, (Reason(ReasonKind.IMAGE, image.name, old, image.digest),))
    watched = [record for record in candidates if record.observed or not step.is_observed]
    if candidates and not watched:
        return Decision(None, (Reason(ReasonKind.NOT_OBSERVED, candidates[0].id),))
    return _first_serving(repo, watched) or Decision(None, _explain(repo, step))


def _first_serving(repo: Repo, candidates: Sequence[Record]) -> Decision | None:
    """Return the first record whose outputs can be had, or why none of them serves; None where there are none."""
    fitting: Record | None = None
    reasons: tuple[Reason, ...] = ()
    for record in candidates:
        changed = _changed_since(repo, record)
        if changed:
            reasons = reasons or changed
            continue
        fitting = fitting or record
        try:
            if all(_is_available(repo, artifact) for artifact in _declared(record.outputs)):
                return Decision(record)
        except BackendError as exc:
            # A remote that does not answer costs a run, which is better than no result.
            return Decision(None, (Reason(ReasonKind.NO_ANSWER, record.id, new=exc.message),))
    if fitting is not None:
        return Decision(None, (Reason(ReasonKind.UNREACHABLE, fitting.id),))
    return Decision(None, reasons) if reasons else None


def _changed_since(repo: Repo, record: Record) -> tuple[Reason, ...]:
    """Return what is not as it was of all that a run was seen to use."""
    seen = [artifact for artifact in record.inputs if artifact.observed]
    changed = changed_inputs(repo, seen, NO_PROGRESS) if seen else []
    return tuple(Reason(ReasonKind.OBSERVED, path, vanished=not os.path.lexists(repo.root / path)) for path in changed)


def _is_available(repo: Repo, artifact: Artifact) -> bool:
    try:
        version = parse_version(artifact.version, artifact.path)
        return any(store.has_version(version) for store in stores_to_read(repo))
    except FormatError:
        return False


def _explain(repo: Repo, step: Step) -> tuple[Reason, ...]:
    failed = _latest(repo, step, (State.FAILED,)) if step.name else _latest_like(repo, step)
    before = _latest(repo, step, (State.COMPLETE, State.CACHED)) if step.name else None
    if before is None:
        made = [repo.lineage.latest_producer(path) for path in step.outputs]
        before = max((record for record in made if record and record.command), key=started_at, default=None)
    if before is None:
        return (Reason(ReasonKind.FIRST) if failed is None else Reason(ReasonKind.FAILED, failed.id),)
    reasons = tuple(_compare(before, step))
    if failed is not None and started_at(failed) > started_at(before) and not any(_compare(failed, step)):
        # The same was tried before, which is no reason by itself: without a failure, this would be the reason too.
        return (*reasons, Reason(ReasonKind.FAILED, failed.id))
    return reasons or (Reason(ReasonKind.NOT_SERVING, before.id),)


def _latest(repo: Repo, step: Step, states: Sequence[State]) -> Record | None:
    found = [record for state in states for record in repo.lineage.records(name=step.name, state=state, limit=1)]
    return max(found, key=started_at, default=None)


def _latest_like(repo: Repo, step: Step) -> Record | None:
    """Return the latest of the last failures that was of this command; nothing else tells of which step it was."""
    # A failed run made nothing, by which one without a name could be found.
    recent = repo.lineage.records(state=State.FAILED, limit=_RECENT_FAILURES)
    alike = [one for one in recent if (one.name, one.command, one.folder) == ("", step.command, step.folder)]
    return max(alike, key=started_at, default=None)


def _compare(before: Record, step: Step) -> Iterator[Reason]:
    """Yield what differs between a record and a step."""
    if (before.command, before.shell) != (step.command, step.shell):
        yield Reason(ReasonKind.COMMAND)
    if before.folder != step.folder:
        yield Reason(ReasonKind.FOLDER, old=before.folder, new=step.folder)
    yield from _compare_inputs(before.inputs, step.inputs)
    yield from _compare_maps(ReasonKind.PARAM, before.params, step.params)
    if before.state is not State.FAILED:
        old_outputs: dict[str, Scalar] = dict.fromkeys(_paths(_declared(before.outputs)))
        yield from _compare_maps(ReasonKind.OUTPUT, old_outputs, dict.fromkeys(step.outputs))


def input_reason(kind: str) -> ReasonKind:
    """Return which reason it is that an input of this kind is not what it was."""
    return _OF_KIND.get(kind, ReasonKind.INPUT)


def _compare_inputs(before: Sequence[Artifact], now: Sequence[Artifact]) -> Iterator[Reason]:
    kinds = {artifact.path: artifact.kind for artifact in (*before, *now)}
    old: dict[str, Scalar] = {artifact.path: artifact.version for artifact in before if not artifact.observed}
    new: dict[str, Scalar] = {artifact.path: artifact.version for artifact in now}
    for reason in _compare_maps(ReasonKind.INPUT, old, new):
        yield replace(reason, kind=input_reason(kinds[reason.name]))


def _compare_maps(kind: ReasonKind, old: Mapping[str, Scalar], new: Mapping[str, Scalar]) -> Iterator[Reason]:
    for name in dict.fromkeys((*old, *new)):
        if name not in old:
            yield Reason(kind, name, new=new[name], appeared=True)
        elif name not in new:
            yield Reason(kind, name, old=old[name], vanished=True)
        elif type(old[name]) is not type(new[name]) or old[name] != new[name]:
            yield Reason(kind, name, old[name], new[name])


def _declared(artifacts: Sequence[Artifact]) -> list[Artifact]:
    return [artifact for artifact in artifacts if not artifact.observed]


def _paths(artifacts: Sequence[Artifact]) -> list[str]:
    return [artifact.path for artifact in artifacts]
