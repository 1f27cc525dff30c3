"""The results of the benchmarks: a log of plain records, to JSON and back, and what of it makes a page.

An entry is one run of one tool on one workload: what is measured together, and what is measured again after an
interruption. Entries are appended to a file of JSON lines as they come. A page is made of entries of one machine and
scale, for each tool of its latest version, and for each run of the latest entry; the rest of the log is left alone.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

FORMAT = 2


@dataclass(frozen=True, slots=True)
class Traffic:
    """What a command sent over the network.

    Attributes:
        requests: HTTP requests, or 0 where another protocol was spoken.
        sent: bytes to the server, headers included.
        received: bytes from it.
        rate: bytes a second that the link lets through each way; None where nothing holds them back.
    """

    requests: int
    sent: int
    received: int
    rate: float | None


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
    traffic: Traffic | None = None


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
class Subject:
    """What is measured: a workload at a scale.

    Attributes:
        scale: its size against the full one.
        extents: version to extent.
    """

    workload: str
    title: str
    scale: float
    extents: Mapping[str, Extent] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """One run of one tool on one workload.

    Attributes:
        machine: names to values.
        version: what the tool says.
        build: what tells two states of one version apart; empty for a released program.
        date: the day.
    """

    machine: Mapping[str, str]
    subject: Subject
    tool: str
    version: str
    build: str
    run: int
    date: str
    samples: Sequence[Sample] = ()
    sizes: Sequence[StoreSize] = ()
    growth: Sequence[Growth] = ()


@dataclass(frozen=True, slots=True)
class Measured:
    """One workload as it was measured.

    Attributes:
        date: the day, or the first and the last one.
        scale: its size against the full one.
        runs: how often each operation ran, with the tool that had most runs.
        extents: version to extent.
        builds: the states of dver that were measured.
    """

    title: str
    date: str
    scale: float
    runs: int
    extents: Mapping[str, Extent]
    builds: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Results:
    """All that a page shows. `machine` and `versions` are names to values, in the order in which they are shown."""

    machine: Mapping[str, str]
    versions: Mapping[str, str]
    workloads: Mapping[str, Measured] = field(default_factory=dict)
    samples: Sequence[Sample] = ()
    sizes: Sequence[StoreSize] = ()
    growth: Sequence[Growth] = ()


def append(path: Path, entry: Entry) -> None:
    """Add an entry to the log; what was cut off at its end by a crash stays a line of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps({"format": FORMAT, **asdict(entry)}).encode() + b"\n"
    with path.open("a+b") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            line = line if file.read(1) == b"\n" else b"\n" + line
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def read(path: Path) -> list[Entry]:
    """Return the entries of a log, none where there is no file; a line that was cut off is passed over.

    ValueError when an entry is of another format.
    """
    if not path.exists():
        return []
    return [_entry(values, path) for values in _lines(path)]


def _lines(path: Path) -> Iterator[Any]:
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            continue


def _entry(values: Any, path: Path) -> Entry:
    if not isinstance(values, dict) or values.pop("format", None) != FORMAT:
        raise ValueError(f"{path} has no benchmark results of format {FORMAT}; name another file")
    subject = values.pop("subject")
    extents = {version: Extent(**item) for version, item in subject.pop("extents").items()}
    return Entry(
        subject=Subject(**subject, extents=extents),
        samples=[_sample(item) for item in values.pop("samples")],
        sizes=[StoreSize(**item) for item in values.pop("sizes")],
        growth=[Growth(**item) for item in values.pop("growth")],
        **values,
    )


def _sample(values: dict[str, Any]) -> Sample:
    traffic = values.pop("traffic")
    return Sample(**values, traffic=None if traffic is None else Traffic(**traffic))


def select(entries: Sequence[Entry], machine: Mapping[str, str], scale: float, order: Sequence[str] = ()) -> Results:
    """Return what a page shows of a log: see the module. Workloads named in `order` come first, and in that order."""
    ours = [entry for entry in entries if entry.machine == machine and entry.subject.scale == scale]
    versions = {entry.tool: entry.version for entry in ours}
    builds = {(entry.subject.workload, entry.tool): entry.build for entry in ours}
    latest = {
        (entry.subject.workload, entry.tool, entry.run): entry
        for entry in ours
        if versions[entry.tool] == entry.version and builds[entry.subject.workload, entry.tool] == entry.build
    }
    names = dict.fromkeys(name for name, _, _ in latest)
    ranked = sorted(names, key=lambda name: order.index(name) if name in order else len(order))
    groups = {name: [entry for key, entry in latest.items() if key[0] == name] for name in ranked}
    kept = [entry for group in groups.values() for entry in group]
    return Results(
        machine,
        versions,
        workloads={name: _measured(group) for name, group in groups.items()},
        samples=[sample for entry in kept for sample in entry.samples],
        sizes=[size for entry in kept for size in entry.sizes],
        growth=[growth for entry in kept for growth in entry.growth],
    )


def _measured(group: Sequence[Entry]) -> Measured:
    days = sorted({entry.date for entry in group})
    date = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    subject = group[-1].subject
    builds = tuple(dict.fromkeys(entry.build for entry in group if entry.build))
    return Measured(subject.title, date, subject.scale, 1 + max(entry.run for entry in group), subject.extents, builds)


def known_runs(entries: Iterable[Entry], like: Entry) -> set[int]:
    """Return the runs of a log that measured what `like` would measure, on this machine."""
    return {
        entry.run
        for entry in entries
        if (entry.machine, entry.tool, entry.version, entry.build)
        == (like.machine, like.tool, like.version, like.build)
        and (entry.subject.workload, entry.subject.scale) == (like.subject.workload, like.subject.scale)
    }
