"""The results of a run of the benchmarks: plain records, to JSON and back.

The page is made from these and nothing else. Results of workloads measured at different times can be joined; those of
one workload always come from one run, because only then did all tools meet the same machine.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Sample:
    """One run of one operation. The figures are those of `measure.Usage`."""

    workload: str
    tool: str
    operation: str
    run: int
    wall: float
    cpu: float
    rss: int
    others: float | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class StoreSize:
    """The bytes in a tool's local store after a version was added."""

    workload: str
    tool: str
    run: int
    version: str
    stored: int


@dataclass(frozen=True, slots=True)
class Growth:
    """What an edit added to dver's store, before compression.

    Attributes:
        workload: whose data was edited.
        edit: in words.
        changed: bytes that the edited data has and the data before had not.
        regions: places that were edited within files; a file that is new as a whole has none.
        data: plain bytes of the new chunks.
        nodes: plain bytes of the new manifest nodes.
    """

    workload: str
    edit: str
    changed: int
    regions: int
    data: int
    nodes: int


@dataclass(frozen=True, slots=True)
class Extent:
    """How large a version of a workload is."""

    files: int
    size: int


@dataclass(frozen=True, slots=True)
class Measured:
    """One workload as it was measured.

    Attributes:
        date: the day.
        scale: its size against the full one.
        runs: how often each operation ran.
        extents: version to extent.
    """

    title: str
    date: str
    scale: float
    runs: int
    extents: Mapping[str, Extent]


@dataclass(frozen=True, slots=True)
class Results:
    """All that the page shows. `machine` and `versions` are names to values, in the order in which they are shown."""

    machine: Mapping[str, str]
    versions: Mapping[str, str]
    workloads: Mapping[str, Measured] = field(default_factory=dict)
    samples: Sequence[Sample] = ()
    sizes: Sequence[StoreSize] = ()
    growth: Sequence[Growth] = ()

    def joined(self, newer: "Results") -> "Results":
        """Return these results with the workloads that `newer` has replaced by its own, and its machine."""
        anew = newer.workloads
        return replace(
            newer,
            versions={**self.versions, **newer.versions},
            workloads={**self.workloads, **anew},
            samples=[*(item for item in self.samples if item.workload not in anew), *newer.samples],
            sizes=[*(item for item in self.sizes if item.workload not in anew), *newer.sizes],
            growth=[*(item for item in self.growth if item.workload not in anew), *newer.growth],
        )


def write(path: Path, results: Results) -> None:
    """Write `results` as JSON; the file appears whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.part")
    partial.write_text(json.dumps({"format": FORMAT, **asdict(results)}, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)


def read(path: Path) -> Results:
    """Return the results in `path`; ValueError when it is of another format."""
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if values.get("format") != FORMAT:
        raise ValueError(f"{path} has no benchmark results of format {FORMAT}")
    return Results(
        machine=values["machine"],
        versions=values["versions"],
        workloads={name: _measured(item) for name, item in values["workloads"].items()},
        samples=[Sample(**item) for item in values["samples"]],
        sizes=[StoreSize(**item) for item in values["sizes"]],
        growth=[Growth(**item) for item in values["growth"]],
    )


def _measured(values: dict[str, Any]) -> Measured:
    extents = {version: Extent(**item) for version, item in values.pop("extents").items()}
    return Measured(**values, extents=extents)
