"""`python -m tests.bench`: the arguments, what is run in which order, and where its results go."""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from tests.bench import growth, machine, measure, report, results, tools, workloads
from tests.bench.results import Measured, Results
from tests.bench.session import (
    STARTUP_NAME,
    Findings,
    Settings,
    make_sandbox,
    measure_startup,
    measure_workload,
    talk,
)
from tests.bench.tools import Operation

_PAGE = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"
_SCRATCH = Path(tempfile.gettempdir()) / "dver-bench"
_NAMES = (STARTUP_NAME, growth.NAME, *workloads.WORKLOADS)
_QUICK_SCALE = 0.005
# The repository in which start-up is measured has a hundred files.
_STARTUP_SCALE = 0.002
_STARTUP_RUNS = 5
_PLACES = 50


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, or render what was measured; return the exit code."""
    options = _parse(arguments)
    if options.report:
        _write_page(options.output or _PAGE, results.read(options.report))
        return 0
    if options.quick:
        options.scale, options.runs = _QUICK_SCALE, 1
    page = options.output or (_PAGE if options.scale == 1 else options.json.with_suffix(".md"))
    options.work.mkdir(parents=True, exist_ok=True)
    bench = _Bench(options)
    failed = False
    for name in options.workloads:
        talk(f"== {name}")
        try:
            bench.measure(name)
        except RuntimeError as error:
            talk(f"{name} was not measured: {error}")
            failed = True
        _write_page(page, bench.results)
    talk(f"results: {options.json}\npage: {page}")
    return 1 if failed or any(sample.problem for sample in bench.results.samples) else 0


class _Bench:
    """The tools that are here, and what was measured with them."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._settings = Settings(
            options.work, Path(options.lfs), options.runs, options.timeout, frozenset(options.skip)
        )
        sandbox = make_sandbox(self._settings)
        self._tools, versions = _present_tools(options, sandbox)
        shutil.rmtree(sandbox.root)
        self.results = Results(machine.describe(options.work), versions)
        if options.append and options.json.exists():
            self.results = results.read(options.json).joined(self.results)

    def measure(self, name: str) -> None:
        """Measure one workload; what is known is written after each step."""
        options = self._options
        if name == STARTUP_NAME:
            data = workloads.prepare(workloads.WORKLOADS["small"], options.data, _STARTUP_SCALE)
            settings = replace(self._settings, runs=_STARTUP_RUNS * options.runs)
            found = measure_startup(self._tools, data, settings)
            self._keep(name, self._measured("Start-up", settings.runs, data.extents, 1.0), found)
        elif name == growth.NAME:
            self._measure_growth()
        else:
            workload = workloads.WORKLOADS[name]
            data = workloads.prepare(workload, options.data, options.scale)
            measured = self._measured(workload.title, options.runs, data.extents, options.scale)
            for found in measure_workload(data, workload.operations, self._tools, self._settings):
                self._keep(name, measured, found)

    def _measure_growth(self) -> None:
        if not any(tool.name == "dver" for tool in self._tools):
            return
        sandbox = make_sandbox(self._settings)
        found = Findings(growth=list(growth.measure_growth(sandbox, self._options.scale, _PLACES)))
        shutil.rmtree(sandbox.root)
        self._keep(growth.NAME, self._measured(growth.TITLE, 1, {}, self._options.scale), found)

    def _measured(self, title: str, runs: int, extents: dict[str, results.Extent], scale: float) -> Measured:
        return Measured(title, datetime.now(UTC).date().isoformat(), scale, runs, extents)

    def _keep(self, name: str, measured: Measured, found: Findings) -> None:
        newer = replace(
            self.results, workloads={name: measured}, samples=found.samples, sizes=found.sizes, growth=found.growth
        )
        self.results = self.results.joined(newer)
        results.write(self._options.json, self.results)


def _present_tools(options: argparse.Namespace, sandbox: measure.Sandbox) -> tuple[list[tools.Tool], dict[str, str]]:
    known = [tools.dver(), tools.dvc(options.dvc), tools.lfs(options.lfs), *tools.limits()]
    chosen = [tool for tool in known if not options.tools or tool.name in options.tools]
    present, versions = [], {}
    for tool in chosen:
        version = tool.version(sandbox.environment)
        if version is None:
            talk(f"not here, left out: {tool.name}")
            continue
        present.append(tool)
        if not tool.name.startswith("python"):
            versions[tool.name] = version
    return present, versions


def _write_page(path: Path, found: Results) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(report.render(found), encoding="utf-8")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure dver beside its peers.")
    add = parser.add_argument
    add("--workloads", type=_workload_names, default=list(_NAMES), help=f"of {', '.join(_NAMES)}; by comma")
    add("--tools", type=_split, default=[], help="only these: dver, dvc, git lfs, cp -r, b3sum …; by comma")
    add("--skip", type=_operations, default=[], help="operations to leave out, such as PUSH,PUSH_AGAIN")
    add("--runs", type=int, default=3, help="runs of each operation (%(default)s)")
    add("--scale", type=float, default=1.0, help="size of the data against the full one")
    add("--quick", action="store_true", help=f"a smoke run: scale {_QUICK_SCALE:g}, one run")
    add("--timeout", type=float, default=1800.0, help="seconds after which a command is given up (%(default)g)")
    add("--dvc", type=_program, default="dvc", help="the dvc program; from PATH unless given")
    add("--lfs", type=_program, default="git-lfs", help="the git-lfs program; from PATH unless given")
    add("--data", type=Path, default=_SCRATCH / "data", help="where data is made and kept (%(default)s)")
    add("--work", type=Path, default=_SCRATCH / "work", help="where repositories are made (%(default)s)")
    add("--json", type=Path, default=_SCRATCH / "results.json", help="the results (%(default)s)")
    add("--append", action="store_true", help="keep the other workloads' results that are in --json")
    add("--output", type=Path, help="the page; docs/benchmarks.md for the full size, else beside --json")
    add("--report", type=Path, metavar="RESULTS", help="only write the page, from these results")
    options = parser.parse_args(arguments)
    for folder in ("data", "work", "json"):
        setattr(options, folder, getattr(options, folder).resolve())
    return options


def _program(text: str) -> str:
    """Return the absolute path of a program, because commands run elsewhere; its name where there is none."""
    found = shutil.which(text)
    return str(Path(found).absolute()) if found else text


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
