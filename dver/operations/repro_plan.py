"""Which recorded steps a repro is about, and in which order.

A step is the latest run that made a dataset; what made its inputs comes before it. There is no other description of a
pipeline than the records. They are walked through without recursion, so a chain may be of any length.
"""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from heapq import heappop, heappush

from dver.errors import DverError, PathError
from dver.objects.ids import format_version
from dver.objects.pointer import Pointer
from dver.operations.datasets import (
    Target,
    decode_path,
    overlap,
    read_pointer_or_problem,
    select,
    typed,
    working_datasets,
)
from dver.operations.lineage import origins
from dver.operations.lineage_source import ArtifactId
from dver.operations.moves import Twin
from dver.operations.reading import open_manifest
from dver.operations.staleness import dataset_of, declared_outputs, used_inputs
from dver.records.record import BLOB_PREFIX, Record, RecordId, short_id, started_at
from dver.repo import Repo


@dataclass(frozen=True, slots=True)
class ReproPlan:
    """What may have to be run again.

    Attributes:
        steps: the runs, each after all that make its inputs.
        makers: for each output of a step, the run that is to make it: the step itself, or a later one. An output that
            came from no run since has none.
        circle: the error for runs that need each other, where there are such; they and what needs them are left out.
    """

    steps: tuple[Record, ...]
    makers: Mapping[str, RecordId]
    circle: DverError | None = None


def plan_repro(repo: Repo, targets: Sequence[str] = (), *, downstream: bool = False) -> ReproPlan:
    """Find the runs that made the datasets at `targets` (relative to the repository; none: all that runs made).

    With `downstream` also all runs that use what those make or are, and so on; and whatever these need.

    Raises:
        PathError: a target is no dataset, or no run made it.
        DverError: steps need each other in a circle, and no other is left.
    """
    graph = _Graph(repo)
    datasets = [dataset for path in targets or ("",) for dataset in _named(graph, path, downstream=downstream)]
    roots = [maker for maker in map(graph.maker, datasets) if maker is not None]
    if downstream:
        roots += graph.users(datasets)
    steps, circle = _in_order(graph, roots)
    if circle is not None and not steps:
        raise circle
    outputs = [artifact.path for step in steps for artifact in declared_outputs(step)]
    makers = {path: maker.id for path in outputs if (maker := graph.maker(path)) is not None}
    return ReproPlan(steps, makers, circle)


class StepQueue:
    """Hands out steps that run side by side, in the order of the plan as far as what they need is done."""

    def __init__(self, plan: ReproPlan) -> None:
        """Take all steps of a plan."""
        self._steps = plan.steps
        places = {step.id: place for place, step in enumerate(plan.steps)}
        self._missing: list[set[int]] = [set() for _ in plan.steps]
        self._users: list[list[int]] = [[] for _ in plan.steps]
        for place, step in enumerate(plan.steps):
            for source in _needed(plan, step):
                if source in places:
                    self._missing[place].add(places[source])
                    self._users[places[source]].append(place)
        self._places = places
        self._ready = [place for place, missing in enumerate(self._missing) if not missing]

    def take(self, busy: Sequence[str]) -> Record | None:
        """Return the next step that needs nothing more and makes nothing in or around `busy`; None for none now."""
        set_back = []
        found = None
        while self._ready and found is None:
            place = heappop(self._ready)
            outputs = [artifact.path for artifact in declared_outputs(self._steps[place])]
            if any(overlap(output, path) for output in outputs for path in busy):
                set_back.append(place)
            else:
                found = self._steps[place]
        for place in set_back:
            heappush(self._ready, place)
        return found

    def done(self, step: Record) -> None:
        """Let the steps that need this one come."""
        place = self._places[step.id]
        for user in self._users[place]:
            self._missing[user].discard(place)
            if not self._missing[user]:
                heappush(self._ready, user)


def _needed(plan: ReproPlan, step: Record) -> set[RecordId]:
    """Return the runs that make what a step uses."""
    used = (dataset_of(one) for one in used_inputs(step) if not one.version.startswith(BLOB_PREFIX))
    return {plan.makers[dataset] for dataset in used if dataset in plan.makers} - {step.id}


class _Graph:
    """The latest runs that made datasets, and what they use of each other."""

    def __init__(self, repo: Repo) -> None:
        self.repo = repo
        self.datasets = working_datasets(repo)
        self._lineage = repo.lineage
        self._makers: dict[str, Record | None] = {}

    def maker(self, dataset: str) -> Record | None:
        """Return the run that is to make a dataset; None for one that came from elsewhere."""
        if dataset not in self._makers:
            latest = self._lineage.latest_producer(dataset)
            is_made = latest is not None and latest.command and any(_made(latest, dataset))
            self._makers[dataset] = latest if is_made else None
        return self._makers[dataset]

    def sources(self, record: Record) -> Iterator[tuple[str, Record]]:
        """Yield the datasets that a run uses and that runs made, with these."""
        for artifact in used_inputs(record):
            maker = None if artifact.version.startswith(BLOB_PREFIX) else self.maker(dataset_of(artifact))
            if maker is not None:
                yield dataset_of(artifact), maker

    def used(self, path: str) -> list[str]:
        """Return those inputs of runs that are at a path, or in the folder there."""
        return [name for name in self._by_input if overlap(name, path) and len(name) >= len(path)]

    @cached_property
    def _by_input(self) -> dict[str, dict[RecordId, Record]]:
        found: dict[str, dict[RecordId, Record]] = {}
        for maker in filter(None, map(self.maker, self.datasets)):
            for artifact in used_inputs(maker):
                found.setdefault(dataset_of(artifact), {})[maker.id] = maker
        return found

    def users(self, inputs: Iterable[str]) -> list[Record]:
        """Return the runs that use datasets or files of git's, or what such runs make."""
        found: dict[RecordId, Record] = {}
        pending = list(inputs)
        while pending:
            for identity, record in self._by_input.get(pending.pop(), {}).items():
                if identity not in found:
                    found[identity] = record
                    pending += [artifact.path for artifact in declared_outputs(record)]
        return list(found.values())


def _made(record: Record, dataset: str) -> Iterator[bool]:
    return (artifact.path == dataset for artifact in declared_outputs(record))


def _named(graph: _Graph, path: str, *, downstream: bool) -> list[str]:
    """Return the datasets that a target means; those that no run made only where that is asked for.

    Where it is, files of git's that runs used are named too.
    """
    if not path:
        return graph.datasets
    # A dataset that is gone, pointer and all, can be made anew too.
    if path not in graph.datasets and graph.maker(path) is not None:
        return [path]
    try:
        targets = select(graph.datasets, [path])
    except PathError:
        files = graph.used(path)
        if not files:
            raise
        if not downstream:
            raise PathError(
                path, "is no dataset", hint=f"dver repro --downstream {typed(path)} is about what is made with it"
            ) from None
        return files
    found = [target.dataset for target in targets]
    if downstream:
        found = list(dict.fromkeys([*found, *graph.used(path)]))
    if any(map(graph.maker, found)):
        _check_parts(graph.repo, targets)
    elif not (downstream and graph.users(found)):
        raise _unmade(graph.repo, path, found, downstream=downstream)
    return found


def _check_parts(repo: Repo, targets: Iterable[Target]) -> None:
    """Refuse a path within a dataset that is neither here nor in the version that its pointer names."""
    for target in targets:
        path = f"{target.dataset}/{decode_path(target.part)}"
        pointer = read_pointer_or_problem(repo, target.dataset)
        if not target.part or os.path.lexists(repo.root / path) or not isinstance(pointer, Pointer):
            continue
        # What cannot be found out is no reason to refuse.
        with suppress(DverError):
            manifest = open_manifest(repo, pointer.version, target.dataset)
            if next(iter(manifest.entries(target.part)), None) is None:
                break
    else:
        return
    raise PathError(path, f"is not in {target.dataset}", hint=f"dver ls {typed(target.dataset)} lists what is in it")


def _unmade(repo: Repo, path: str, datasets: Sequence[str], *, downstream: bool) -> PathError:
    """Return the error for a target that no run made, though one may have made it elsewhere."""
    name = typed(path)
    record = f"dver run -o {name} -- COMMAND records how it is made"
    for dataset in datasets:
        twin = _moved_from(repo, dataset)
        if twin is not None:
            old, run = twin.artifact.path, short_id(twin.record.id)
            hint = f"dver mv {typed(dataset)} {typed(old)} moves it back; {record}"
            return PathError(dataset, f"was made as {old}, by run {run}, and moved", hint=hint)
    reason = "was made by no run, and no run used it" if downstream else "was made by no run"
    return PathError(path, reason, hint=record)


def _moved_from(repo: Repo, dataset: str) -> Twin | None:
    """Return where the version of a dataset was made, the last time, if that was elsewhere and it was moved here."""
    pointer = read_pointer_or_problem(repo, dataset)
    if not isinstance(pointer, Pointer):
        return None
    moved = origins(repo, ArtifactId(dataset, format_version(pointer.version))).moved
    return max((twin for twin in moved if twin.record.command), key=lambda twin: started_at(twin.record), default=None)


def _in_order(graph: _Graph, roots: Iterable[Record]) -> tuple[tuple[Record, ...], DverError | None]:
    """Return runs and all that led to them, each after what it uses.

    Those that need each other in a circle, and those that need these, are left out, and the error for the first circle
    is returned.
    """
    done: dict[RecordId, Record] = {}
    left_out: set[RecordId] = set()
    circle: DverError | None = None
    for root in roots:
        trail = {} if root.id in done else {root.id: (root, graph.sources(root))}
        while trail:
            record, further = next(reversed(trail.values()))
            source = next((maker for _, maker in further if maker.id not in done), None)
            if source is None:
                trail.popitem()
                done[record.id] = record
            elif source.id in trail:
                ids = list(trail)
                inside = ids[ids.index(source.id) :]
                circle = circle or _circle(graph, [trail[identity][0] for identity in inside])
                left_out.update(inside)
            else:
                trail[source.id] = (source, graph.sources(source))
    if circle is not None:
        left_out = _and_users(graph, done.values(), left_out)
    return tuple(record for identity, record in done.items() if identity not in left_out), circle


def _and_users(graph: _Graph, records: Collection[Record], wanted: Collection[RecordId]) -> set[RecordId]:
    """Return those runs that are wanted, and those that need them."""
    users: dict[RecordId, list[RecordId]] = {}
    for record in records:
        for _, source in graph.sources(record):
            users.setdefault(source.id, []).append(record.id)
    found = set(wanted)
    pending = list(wanted)
    while pending:
        new = [user for user in users.get(pending.pop(), ()) if user not in found]
        found.update(new)
        pending += new
    return found


def _circle(graph: _Graph, records: Sequence[Record]) -> DverError:
    """Return the error for runs each of which uses what the next one makes, and the last what the first makes."""
    following = [*records[1:], records[0]]
    used = [
        next(dataset for dataset, maker in graph.sources(record) if maker.id == source.id)
        for record, source in zip(records, following, strict=True)
    ]
    names = [used[0], *reversed(used)]
    return DverError(
        f"these need each other in a circle: {' made '.join(names)}",
        hint="dver run with an output of another name ends it; dver lineage PATH shows the runs",
    )
