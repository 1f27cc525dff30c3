"""The part of the page on growth with size: its plots and its table, from results alone."""

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from tests.bench import scale
from tests.bench.plot import Plot, Point, draw, exponent
from tests.bench.results import Results, Sample

_MIB = 1 << 20
_AXES = {scale.FILES: "files", scale.BYTES: "bytes in one file", scale.INDEX: "chunks in the index"}
_HEADINGS = {
    scale.FILES: "With the number of files",
    scale.BYTES: "With the size of a file",
    scale.INDEX: "With the size of the index",
}
_NAMES = {"add v1": "add", "push to a folder": "push", "checkout into an empty tree": "checkout"}
_INDEX_NAMES = {**_NAMES, "add v1": "first add", "add v2": "later add"}
TableMaker = Callable[[Sequence[str], Sequence[Sequence[str]]], str]
_UNITS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))

_INTRODUCTION = """\
## Growth with size

dver alone. The exponent is the power of the size that the time grows with, fitted to the logarithms of all sizes: 1 is
in proportion. What a command costs at any size, such as the start of Python, makes it smaller; so the exponent between
the two largest sizes stands beside it. The index is made up: it lists chunks of packs that do not exist, beside a small
dataset that does. There an add is of 1 MiB, and the first one meets the index for the first time on this machine.

"""


def series_of(results: Results, series: str) -> dict[str, list[tuple[float, list[Sample]]]]:
    """Return for each operation its samples by size, in order of size."""
    found: dict[str, list[tuple[float, list[Sample]]]] = {}
    names = [name for name in results.workloads if name.startswith(f"{series}-")]
    for name in sorted(names, key=lambda name: int(name.rpartition("-")[2])):
        for operation in scale.OPERATIONS[series]:
            samples = [
                item
                for item in results.samples
                if (item.workload, item.operation) == (name, operation) and not item.problem
            ]
            if samples and operation != "init":
                size = float(name.rpartition("-")[2])
                found.setdefault(_named(series, operation), []).append((size, samples))
    return found


def plots(results: Results) -> list[Plot]:
    """Return the plots that there are results for."""
    made = []
    for series, x in _AXES.items():
        found = series_of(results, series)
        if not found:
            continue
        times = {
            name: [(size, median(item.wall for item in items)) for size, items in line] for name, line in found.items()
        }
        memory = {
            name: [(size, max(item.rss for item in items) / _MIB) for size, items in line]
            for name, line in found.items()
        }
        heading = _HEADINGS[series].removeprefix("With ")
        made.append(_plot(f"{series}-time", f"Seconds by {heading}", (x, "seconds"), times))
        made.append(_plot(f"{series}-memory", f"Peak memory by {heading}", (x, "MiB"), memory))
    return made


def write(results: Results, folder: Path) -> None:
    """Write the plots as `<folder>/<name>.svg`."""
    for plot in plots(results):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{plot.name}.svg").write_text(draw(plot), encoding="utf-8")


def section(results: Results, folder: str, table: TableMaker) -> str:
    """Return the part of the page; empty where nothing was measured. `folder` is that of the plots, from the page."""
    parts = []
    for series, axis in _AXES.items():
        found = series_of(results, series)
        if not found:
            continue
        sizes = sorted({size for line in found.values() for size, _ in line})
        header = ["operation", *(f"{_short(size)}" for size in sizes), "exponent", "of the last step"]
        rows = [_row(name, line, sizes) for name, line in found.items()]
        dates = {results.workloads[name].date for name in results.workloads if name.startswith(f"{series}-")}
        images = "\n\n".join(
            f"![{kind} of dver's operations against {axis}]({folder}/{series}-{file}.svg)"
            for kind, file in (("Seconds", "time"), ("Peak memory", "memory"))
        )
        days = ", ".join(sorted(dates))
        text = f"### {_HEADINGS[series]}\n\nSeconds, and MiB of memory, by {axis}. {days}.\n\n"
        parts.append(text + table(header, rows) + f"\n{images}\n")
    return _INTRODUCTION + "\n".join(parts) if parts else ""


def _row(name: str, line: Sequence[tuple[float, list[Sample]]], sizes: Sequence[float]) -> list[str]:
    cells = {
        size: f"{_figure(median(i.wall for i in items))}<br>{max(i.rss for i in items) / _MIB:,.0f} MiB"
        for size, items in line
    }
    points: list[Point] = [(size, median(item.wall for item in items)) for size, items in line]
    return [name, *(cells.get(size, "–") for size in sizes), _power(points), _power(points[-2:])]


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _power(points: Sequence[Point]) -> str:
    power = exponent(points)
    return "–" if power is None else f"{power:.2f}"


def _plot(name: str, title: str, axes: tuple[str, str], lines: dict[str, list[Point]]) -> Plot:
    # The exponent stands beside the name.
    named = {f"{key} (x^{power})" if (power := _power(line)) != "–" else key: line for key, line in lines.items()}
    return Plot(name, title, axes[0], axes[1], named, _short, lambda value: f"{value:g}")


def _named(series: str, operation: str) -> str:
    names = _INDEX_NAMES if series == scale.INDEX else _NAMES
    return names.get(operation, operation.partition(",")[0])


def _short(value: float) -> str:
    return next((f"{value / unit:.3g} {letter}" for unit, letter in _UNITS if value >= unit), f"{value:g}")
