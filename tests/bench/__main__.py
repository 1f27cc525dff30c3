"""`python -m tests.bench`: the arguments, what is run in which order, and where its results go."""

import argparse
import hashlib
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import dver
from tests.bench import backup, curves, fragments, growth, machine, plan, report, results, scale, tools, workloads
from tests.bench.results import Entry, Extent, Results, Subject
from tests.bench.session import (
    STARTUP_NAME,
    Findings,
    Settings,
    make_sandbox,
    measure_run,
    measure_startup,
    talk,
)
from tests.bench.tools import STARTUP, Operation, Tool

_PAGE = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"
_SCRATCH = Path(tempfile.gettempdir()) / "dver-bench"
_SERIES = (scale.FILES, scale.BYTES, scale.INDEX)
_NAMES = (STARTUP_NAME, growth.NAME, *workloads.WORKLOADS, fragments.NAME, *_SERIES)
_QUICK_SCALE = 0.002
# The repository in which start-up is measured has a hundred files.
_STARTUP_SCALE = 0.002
_STARTUP_RUNS = 5
_PLACES, _QUICK_PLACES = 50, 2
_GIB = 1 << 30
# What the series take at their largest is no measure for the others.
_SERIES_SECONDS = 6 * 3600.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, or render what was measured; return the exit code."""
    options = _parse(arguments)
    if options.report:
        log = results.read(options.results)
        if not log:
            talk(f"no results in {options.results}")
            return 1
        _write_page(options, results.select(log, log[-1].machine, log[-1].subject.scale, _order(log)))
        return 0
    if options.quick:
        options.scale, options.runs = _QUICK_SCALE, 1
    options.work.mkdir(parents=True, exist_ok=True)
    bench = _Bench(options)
    bench.announce()
    if options.dry_run:
        return 0
    failed = False
    for name in options.only:
        talk(f"== {name}")
        try:
            bench.measure(name)
        except RuntimeError as error:
            talk(f"{name} was not measured: {error}")
            failed = True
        bench.write_page()
    talk(f"results: {options.results}\npage: {options.output}")
    return 1 if failed or any(sample.problem for sample in bench.found().samples) else 0


class _Bench:
    """The tools that are here, and what was measured with them."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._settings = Settings(
            options.work, Path(options.lfs), options.runs, options.timeout, frozenset(options.skip), options.keep
        )
        sandbox = make_sandbox(self._settings)
        self._tools, self._versions = _present_tools(options, sandbox.environment)
        shutil.rmtree(sandbox.root)
        self._machine = machine.describe(options.work)
        self._build = _build()
        self._log = results.read(options.results)

    def announce(self) -> None:
        """Say what will take how long, and how much space."""
        talk(f"tools: {', '.join(self._versions)}")
        names = [tool.name for tool in self._tools if tool.store]
        total = 0.0
        for name in self._options.only:
            took, room = self._estimate(name, names)
            total += took
            talk(f"{name:10} about {took:6.0f} min, {room:6.1f} GiB at once")
        free = shutil.disk_usage(self._options.work).free / _GIB
        talk(f"{'in all':10} about {total:6.0f} min at most, on two cores; {free:.0f} GiB are free")

    def _estimate(self, name: str, names: Sequence[str]) -> tuple[float, float]:
        options = self._options
        if name in plan.SIZES:
            size = plan.scaled(plan.SIZES[name], options.scale)
            operations = [item for item in workloads.WORKLOADS[name].operations if item not in options.skip]
            chosen = [tool.name for tool in self._tools if tool.name in names and (not tool.only or name in tool.only)]
            return plan.minutes(size, chosen, operations, options.runs), plan.gigabytes(size, operations)
        if name in _SERIES:
            found = scale.steps(name, options.scale)
            return sum(step.minutes for step in found), max(step.room for step in found) / _GIB
        if name == fragments.NAME:
            return 1 + 12 * options.scale, 5 * options.scale
        return 3.0, 1.0

    def measure(self, name: str) -> None:
        """Measure one workload; what is known is written after each run of a tool."""
        if name == STARTUP_NAME:
            self._measure_startup()
        elif name in workloads.WORKLOADS:
            self._measure_workload(workloads.WORKLOADS[name])
        elif self._ours() is None:
            talk("dver is not among the tools")
        elif name in _SERIES:
            for step in scale.steps(name, self._options.scale):
                self._measure_step(step)
        else:
            self._measure_alone(name)

    def _ours(self) -> Tool | None:
        return next((tool for tool in self._tools if tool.name == "dver"), None)

    def _measure_startup(self) -> None:
        data = workloads.prepare(workloads.WORKLOADS["small"], self._options.data, _STARTUP_SCALE)
        settings = replace(self._settings, runs=_STARTUP_RUNS * self._options.runs)
        subject = Subject(STARTUP_NAME, "Start-up", self._options.scale, data.extents)
        timed = [tool for tool in self._tools if any(item in tool.commands for item in STARTUP)]
        if not any(self._is_missing(subject, tool, settings.runs - 1) for tool in timed):
            talk("measured before; --again measures anew")
            return
        # All take turns, so that none can be left out alone for having been measured before.
        for tool, found in measure_startup(self._tools, data, settings).items():
            self._keep(replace(self._entry(subject, tool), run=settings.runs - 1), found)

    def _measure_workload(self, workload: workloads.Workload) -> None:
        options = self._options
        chosen = [tool for tool in self._tools if not tool.only or workload.name in tool.only]
        chosen = [tool for tool in chosen if any(item in tool.commands for item in workload.operations)]
        subject = Subject(workload.name, workload.title, options.scale)
        missing = [(run, tool) for run, tool in _turns(chosen, options.runs) if self._is_missing(subject, tool, run)]
        if not missing:
            talk("measured before; --again measures anew")
            return
        self._require(plan.gigabytes(plan.scaled(plan.SIZES[workload.name], options.scale), workload.operations))
        data = workloads.prepare(workload, options.data, options.scale)
        subject = replace(subject, extents=data.extents)
        for run, tool in missing:
            found = measure_run(data, workload.operations, tool, self._settings, run)
            self._keep(replace(self._entry(subject, tool.name), run=run), found)

    def _measure_step(self, step: scale.Step) -> None:
        subject = Subject(step.name, step.title, self._options.scale)
        tool = self._ours()
        assert tool is not None
        if not self._is_missing(subject, tool, 0):
            talk(f"{step.name}: measured before")
            return
        self._require(step.room / _GIB)
        settings = replace(self._settings, seconds=max(self._settings.seconds, _SERIES_SECONDS))
        if step.series == scale.FILES:
            # The same data as that of the workload, and kept with it.
            part = step.size / 1_000_000
            data = replace(workloads.prepare(workloads.WORKLOADS["million"], self._options.data, part), name=step.name)
            found, extent = measure_run(data, scale.OPERATIONS[scale.FILES], tool, settings, 0), data.extents["v1"]
        else:
            measure = scale.measure_bytes if step.series == scale.BYTES else scale.measure_index
            found, extent = measure(step, settings)
        self._keep(self._entry(replace(subject, extents={"v1": extent}), tool.name), found)

    def _measure_alone(self, name: str) -> None:
        """Measure what only dver does, once."""
        tool = self._ours()
        assert tool is not None
        title = growth.TITLE if name == growth.NAME else fragments.TITLE
        subject = Subject(name, title, self._options.scale)
        if not self._is_missing(subject, tool, 0):
            talk("measured before; --again measures anew")
            return
        extents: dict[str, Extent] = {}
        if name == growth.NAME:
            sandbox = make_sandbox(self._settings)
            places = _QUICK_PLACES if self._options.quick else _PLACES
            found = Findings(growth=list(growth.measure_growth(sandbox, self._options.scale, places)))
            shutil.rmtree(sandbox.root)
        else:
            found, extents["v1"] = fragments.measure_fragments(self._options.scale, self._settings)
        self._keep(self._entry(replace(subject, extents=extents), tool.name), found)

    def _require(self, room: float) -> None:
        free = shutil.disk_usage(self._options.work).free / _GIB
        if free < room:
            raise RuntimeError(f"it needs about {room:.1f} GiB at once, and {free:.1f} GiB are free")

    def _is_missing(self, subject: Subject, tool: Tool, run: int) -> bool:
        entry = self._entry(subject, tool.name)
        return self._options.again or run not in results.known_runs(self._log, entry)

    def _entry(self, subject: Subject, tool: str) -> Entry:
        build = self._build if tool == "dver" else ""
        today = datetime.now(UTC).date().isoformat()
        return Entry(self._machine, subject, tool, self._versions[tool], build, 0, today)

    def _keep(self, entry: Entry, found: Findings) -> None:
        entry = replace(entry, samples=found.samples, sizes=found.sizes, growth=found.growth)
        self._log.append(entry)
        results.append(self._options.results, entry)

    def found(self) -> Results:
        """Return what the page shows."""
        return results.select(self._log, self._machine, self._options.scale, _order(self._log))

    def write_page(self) -> None:
        """Write the page, and its plots."""
        _write_page(self._options, self.found())


def _turns(chosen: Sequence[Tool], runs: int) -> list[tuple[int, Tool]]:
    """Return the runs in order: the tools take turns, beginning with another in each run."""
    return [(run, chosen[(place + run) % len(chosen)]) for run in range(runs) for place in range(len(chosen))]


def _build() -> str:
    """Return what tells this state of dver's sources from others of the same version."""
    digest = hashlib.sha256()
    folder = Path(dver.__file__).parent
    for path in sorted(folder.rglob("*.py")):
        digest.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:10]


def _order(log: Sequence[Entry]) -> list[str]:
    """Return workloads in the order of the page: those that are always there, then sizes from small to large."""
    others = {entry.subject.workload for entry in log} - {*_NAMES}
    return [*workloads.WORKLOADS, STARTUP_NAME, growth.NAME, fragments.NAME, *sorted(others)]


def _present_tools(options: argparse.Namespace, environment: Mapping[str, str]) -> tuple[list[Tool], dict[str, str]]:
    known = [
        tools.dver(),
        tools.dvc(options.dvc),
        tools.lfs(options.lfs),
        backup.restic(options.restic),
        backup.borg(options.borg),
        tools.git(),
        *tools.limits(),
    ]
    present, versions = [], {}
    for tool in known:
        if options.tools and tool.name not in options.tools:
            continue
        version = tool.version(environment)
        if version is None:
            talk(f"not here, left out: {tool.name}")
            continue
        present.append(tool)
        versions[tool.name] = version
    return present, versions


def _write_page(options: argparse.Namespace, found: Results) -> None:
    page: Path = options.output
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(report.render(found, page.stem), encoding="utf-8")
    curves.write(found, page.with_suffix(""))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure dver beside its peers.")
    add = parser.add_argument
    add("--only", type=_workload_names, default=list(_NAMES), help=f"of {', '.join(_NAMES)}; by comma")
    add("--tools", type=_split, default=[], help="only these: dver, dvc, git lfs, restic, borg, git, cp -r …; by comma")
    add("--skip", type=_operations, default=[], help="operations to leave out, such as PUSH_LINK,PULL_LINK")
    add(
        "--runs",
        type=_positive,
        default=3,
        help="runs of each operation (%(default)s); the network is used in the first",
    )
    add("--scale", type=float, default=1.0, help="size of the data against the full one")
    add("--quick", action="store_true", help=f"a smoke run: scale {_QUICK_SCALE:g}, one run")
    add("--dry-run", action="store_true", help="only say what will take how long")
    add("--again", action="store_true", help="measure anew what the results have already")
    add("--keep", action="store_true", help="leave the last repository of each kind in --work")
    add("--timeout", type=float, default=1800.0, help="seconds after which a command is given up (%(default)g)")
    for name in ("dvc", "git-lfs", "restic", "borg"):
        add(
            f"--{name.removeprefix('git-')}",
            type=_program,
            default=_program(name),
            help=f"the {name} program; from PATH unless given",
        )
    add("--data", type=Path, default=_SCRATCH / "data", help="where data is made and kept (%(default)s)")
    add("--work", type=Path, default=_SCRATCH / "work", help="where repositories are made (%(default)s)")
    add("--results", type=Path, default=_SCRATCH / "results.jsonl", help="the results, added to (%(default)s)")
    add("--output", type=Path, help="the page; docs/benchmarks.md for the full size, else beside --results")
    add("--report", action="store_true", help="only write the page, from --results")
    options = parser.parse_args(arguments)
    for folder in ("data", "work", "results"):
        setattr(options, folder, getattr(options, folder).resolve())
    is_full = options.scale == 1 and not options.quick and not options.report
    options.output = options.output or (_PAGE if is_full else options.results.with_suffix(".md"))
    return options


def _program(text: str) -> str:
    """Return the absolute path of a program, because commands run elsewhere; its name where there is none."""
    found = shutil.which(text)
    return str(Path(found).absolute()) if found else text


def _positive(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError("a number from 1 on")
    return int(text)


def _split(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _workload_names(text: str) -> list[str]:
    unknown = [name for name in _split(text) if name not in _NAMES]
    if unknown:
        raise argparse.ArgumentTypeError(f"no workload {unknown[0]}; there are {', '.join(_NAMES)}")
    return _split(text)


def _operations(text: str) -> list[Operation]:
    try:
        return [Operation[name] for name in _split(text)]
    except KeyError as error:
        names = ", ".join(item.name for item in Operation)
        raise argparse.ArgumentTypeError(f"no operation {error}; there are {names}") from None


if __name__ == "__main__":
    sys.exit(main())
