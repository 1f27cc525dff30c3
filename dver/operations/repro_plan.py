"""Which recorded steps a repro is about, and in which order.

A step is the latest run that made a dataset; what made its inputs comes before it. There is no other description of a
pipeline than the records. They are walked through without recursion, so a chain may be of any length.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from dver.errors import DverError, PathError
from dver.operations.datasets import select, typed, working_datasets
from dver.operations.run_register import overlap
from dver.operations.staleness import dataset_of, declared_outputs, used_inputs
from dver.records.record import BLOB_PREFIX, Record, RecordId
from dver.repo import Repo


@dataclass(frozen=True, slots=True)
class ReproPlan:
    """What may have to be run again.

    Attributes:
        steps: the runs, each after all that make its inputs.
        makers: for each output of a step, the run that is to make it: the step itself, or a later one. An output that
            came from no run since has none.
    """

    steps: tuple[Record, ...]
    makers: Mapping[str, RecordId]


def plan_repro(repo: Repo, targets: Sequence[str] = (), *, downstream: bool = False) -> ReproPlan:
    """Find the runs that made the datasets at `targets` (relative to the repository; none: all that runs made).

    With `downstream` also all runs that use what those make or are, and so on; and whatever these need.

    Raises:
        PathError: a target is no dataset, or no run made it.
        DverError: steps need each other in a circle.
    """
    graph = _Graph(repo)
    datasets = [dataset for path in targets or ("",) for dataset in _named(graph, path, downstream=downstream)]
    roots = [maker for maker in map(graph.maker, datasets) if maker is not None]
    if downstream:
        roots += graph.users(datasets)
    steps = tuple(_in_order(graph, roots))
    outputs = [artifact.path for step in steps for artifact in declared_outputs(step)]
    makers = {path: maker.id for path in outputs if (maker := graph.maker(path)) is not None}
    return ReproPlan(steps, makers)


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

    def users(self, datasets: Iterable[str]) -> list[Record]:
        """Return the runs that use datasets, or what such runs make."""
        by_input: dict[str, dict[RecordId, Record]] = {}
        for maker in filter(None, map(self.maker, self.datasets)):
            for artifact in used_inputs(maker):
                by_input.setdefault(dataset_of(artifact), {})[maker.id] = maker
        found: dict[RecordId, Record] = {}
        pending = list(datasets)
        while pending:
            for identity, record in by_input.get(pending.pop(), {}).items():
                if identity not in found:
                    found[identity] = record
                    pending += [artifact.path for artifact in declared_outputs(record)]
        return list(found.values())


def _made(record: Record, dataset: str) -> Iterator[bool]:
    return (artifact.path == dataset for artifact in declared_outputs(record))


def _named(graph: _Graph, path: str, *, downstream: bool) -> list[str]:
    """Return the datasets that a target means; those that no run made only where that is asked for."""
    if not path:
        return graph.datasets
    # A dataset that is gone, pointer and all, can be made anew too.
    if path not in graph.datasets and graph.maker(path) is not None:
        return [path]
    found = [target.dataset for target in select(graph.datasets, [path])]
    if not any(map(graph.maker, found)) and not (downstream and graph.users(found)):
        reason = "was made by no run, and no run used it" if downstream else "was made by no run"
        raise PathError(path, reason, hint=f"dver run -o {typed(path)} -- COMMAND records how it is made")
    return found


def _in_order(graph: _Graph, roots: Iterable[Record]) -> Iterable[Record]:
    """Return runs and all that led to them, each after what it uses; DverError for a circle."""
    done: dict[RecordId, Record] = {}
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
                raise _circle(graph, [trail[identity][0] for identity in ids[ids.index(source.id) :]])
            else:
                trail[source.id] = (source, graph.sources(source))
    return done.values()


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
