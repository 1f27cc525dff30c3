"""The page of the benchmarks, in Markdown, from results alone.

A figure of several runs is their median, with the least and the largest in brackets. Ratios are of medians. A figure
taken while the rest of the machine was busy is marked, and so is one that failed.
"""

from collections.abc import Iterable, Sequence
from statistics import mean, median

from tests.bench import growth
from tests.bench.results import Growth, Measured, Results, Sample
from tests.bench.session import STARTUP_NAME
from tests.bench.tools import Operation

_MIB = 1 << 20
_OURS = "dver"
_PEERS = ("dvc", "git lfs")
_MEMORY = (Operation.ADD_V1, Operation.STATUS, Operation.PUSH, Operation.ADD_V2, Operation.CHECKOUT_ALL)
_LIMITS = (Operation.COPY, Operation.HASH)
# Of one core, while a command ran: more says that something else was at work.
_BUSY = 0.5
# The kernel counts such CPU time in hundredths of a second: of what is shorter than this, nothing can be said.
_CLOCK = 0.1

_INTRODUCTION = """\
# Benchmarks

How dver does beside DVC and Git LFS on the same data and the same machine. This page is written by
`python -m tests.bench`; no figure in it is typed in.

The suite is run by hand, from a clone and with the test environment of [Contributing](contributing.md):

```
python -m tests.bench --dvc PATH/TO/dvc
```

`--quick` is a smoke run on tiny data, `--help` lists the choices. Git LFS is taken from `PATH`.
"""

_METHOD = """\
## How to read the figures

- Wall seconds: the median of the runs, in brackets the least and the largest. Beneath it, CPU seconds, user and system,
  of the command and its descendants. "dver / fastest" is dver's median over the smaller of the others': below 1, dver
  is quicker.
- Each run starts with a new repository. The tools take turns, in another order in each run. The file system is synced
  before a command and not after it; the page cache is warm.
- To add is to store and to commit: `dver add` and `git commit`; `dvc add`, `git add` of its pointer and `git commit`;
  `git add` through the filter of LFS and `git commit`. Before `status` is measured it has run once.
- DVC and Git LFS are as they are by default; DVC copies files between cache and working tree.
- Pushed is v1, to a folder on the same disk; there Git LFS makes hard links and copies nothing.
- After every checkout all files are compared with the data. A failure or a wrong file is shown in place of a time.
- `~`: meanwhile the rest of the machine used more than half a core.
"""


def render(results: Results) -> str:
    """Return the page."""
    parts = [_INTRODUCTION, _machine(results), _METHOD]
    timed = [name for name in results.workloads if name not in (STARTUP_NAME, growth.NAME)]
    parts += [_workload(results, name) for name in timed]
    if STARTUP_NAME in results.workloads:
        parts.append(_startup(results))
    if timed:
        parts += [_memory(results, timed), _stored(results, timed)]
    if results.growth:
        parts.append(_growth(results))
    return "\n".join(parts)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table whose first column is text and whose others are figures."""
    lines = [header, ["---", *("---:" for _ in header[1:])], *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def figure(value: float) -> str:
    """Return a number with three significant digits, but none behind the point from 100 on."""
    if value >= 100:
        return f"{value:,.0f}"
    if value >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def ratio(ours: Sequence[Sample], others: Iterable[Sequence[Sample]]) -> str:
    """Return our median wall time over the least of the others'; a dash where one side has none."""
    medians = [median(sample.wall for sample in samples) for samples in others if _sound(samples)]
    if not medians or not _sound(ours) or min(medians) == 0:
        return "–"
    return figure(median(sample.wall for sample in ours) / min(medians))


def _sound(samples: Sequence[Sample]) -> bool:
    return bool(samples) and not any(sample.problem for sample in samples)


def _cell(samples: Sequence[Sample], scale: float = 1.0) -> str:
    if not samples:
        return "–"
    problem = next((sample.problem for sample in samples if sample.problem), None)
    if problem:
        return f"failed: {problem[:80]}"
    walls = [sample.wall * scale for sample in samples]
    busy = median((sample.others or 0.0) / max(sample.wall, _CLOCK) for sample in samples) > _BUSY
    spread = f" ({figure(min(walls))}–{figure(max(walls))})" if len(walls) > 1 else ""
    cpu = figure(median(sample.cpu * scale for sample in samples))
    return f"{figure(median(walls))}{'~' if busy else ''}{spread}<br>CPU {cpu}"


def _peak(samples: Sequence[Sample]) -> str:
    return figure(max(sample.rss for sample in samples) / _MIB) if _sound(samples) else "–"


def _of(results: Results, workload: str, tool: str, operation: str) -> list[Sample]:
    return [
        item for item in results.samples if (item.workload, item.tool, item.operation) == (workload, tool, operation)
    ]


def _rivals(results: Results) -> list[str]:
    present = {sample.tool for sample in results.samples}
    return [tool for tool in (_OURS, *_PEERS) if tool in present]


def _machine(results: Results) -> str:
    facts = [*results.machine.items(), *results.versions.items()]
    return "## Machine and versions\n\n" + "".join(f"- {name}: {value}\n" for name, value in facts)


def _caption(measured: Measured) -> str:
    runs = f"{measured.runs} run{'s' if measured.runs > 1 else ''}, {measured.date}"
    return runs if measured.scale == 1 else f"{runs}, at {measured.scale:g} of the full size"


def _workload(results: Results, name: str) -> str:
    measured = results.workloads[name]
    tools = _rivals(results)
    rows = []
    for operation in Operation:
        found = {tool: _of(results, name, tool, operation) for tool in tools}
        if any(found.values()):
            compared = ratio(found.get(_OURS, []), [samples for tool, samples in found.items() if tool != _OURS])
            rows.append([operation.value, *(_cell(samples) for samples in found.values()), compared])
    extents = "; ".join(
        f"{version}: {extent.files:,} file{'s' if extent.files > 1 else ''}, {figure(extent.size / _MIB)} MiB"
        for version, extent in measured.extents.items()
    )
    text = f"## {measured.title}\n\n{extents}. {_caption(measured)}. Seconds.\n\n"
    return text + table(("operation", *tools, "dver / fastest"), rows) + _limits(results, name)


def _limits(results: Results, name: str) -> str:
    found = [item for item in results.samples if item.workload == name and item.operation in _LIMITS]
    said = []
    for tool, operation in dict.fromkeys((item.tool, item.operation) for item in found):
        cell = _cell(_of(results, name, tool, operation)).replace("<br>", ", ")
        said.append(f"`{tool}` (to {operation}): {cell}")
    return f"\nTo compare with, on v1: {'; '.join(said)}.\n" if said else ""


def _startup(results: Results) -> str:
    rivals = _rivals(results)
    rows = []
    for operation in (Operation.VERSION, Operation.STATUS_SMALL):
        found = {tool: _of(results, STARTUP_NAME, tool, operation) for tool in rivals}
        compared = ratio(found.get(_OURS, []), [samples for tool, samples in found.items() if tool != _OURS])
        rows.append([operation.value, *(_cell(samples, 1000) for samples in found.values()), compared])
    text = f"## Start-up\n\nMilliseconds. {_caption(results.workloads[STARTUP_NAME])}.\n\n"
    text += table(("operation", *rivals, "dver / fastest"), rows)
    imports = [item for item in results.samples if (item.workload, item.operation) == (STARTUP_NAME, Operation.IMPORT)]
    limits = [
        (f"`{tool}`", _cell(_of(results, STARTUP_NAME, tool, Operation.IMPORT), 1000))
        for tool in dict.fromkeys(item.tool for item in imports)
    ]
    return text + ("\n" + table(("of which Python takes", "milliseconds"), limits) if limits else "")


def _memory(results: Results, workloads: Sequence[str]) -> str:
    tools = _rivals(results)
    rows = []
    for name in workloads:
        for operation in _MEMORY:
            found = [_of(results, name, tool, operation) for tool in tools]
            if any(found):
                rows.append([f"{name}: {operation.value}", *(_peak(samples) for samples in found)])
    text = "## Memory\n\nMiB; the largest peak of all runs, of the largest process of the command.\n\n"
    return text + table(("operation", *tools), rows)


def _stored(results: Results, workloads: Sequence[str]) -> str:
    tools = _rivals(results)
    rows = []
    for name in workloads:
        first = [_stored_after(results, name, tool, "v1") for tool in tools]
        second = [_stored_after(results, name, tool, "v2") for tool in tools]
        added = [_difference(new, old) for new, old in zip(second, first, strict=True)]
        for label, values in (("v1", first), ("v2 on top", added)):
            if any(value is not None for value in values):
                rows.append([f"{name}: {label}", *("–" if value is None else figure(value) for value in values)])
    text = "## Bytes stored\n\nMiB in the local store, as they lie on disk (compressed where the tool does so).\n\n"
    return text + table(("version", *tools), rows)


def _stored_after(results: Results, workload: str, tool: str, version: str) -> float | None:
    found = [
        item.stored for item in results.sizes if (item.workload, item.tool, item.version) == (workload, tool, version)
    ]
    return median(found) / _MIB if found else None


def _difference(new: float | None, old: float | None) -> float | None:
    return None if new is None or old is None else new - old


def _growth(results: Results) -> str:
    rows = []
    for workload, edit in dict.fromkeys((item.workload, item.edit) for item in results.growth):
        rows.append(_growth_row([item for item in results.growth if (item.workload, item.edit) == (workload, edit)]))
    header = ("edit", "changed", "regions", "new in chunks", "largest", "allowed", "places within", "new in manifest")
    text = f"""\
## Growth

KiB that dver's store grew by, before compression: the mean of several places of the edit, and the largest. Allowed are
{growth.FACTOR:g} × the changed bytes, be they new or gone, and one average chunk of {growth.AVERAGE_CHUNK // 1024} KiB
on each side of an edited region; a file that is new as a whole has no sides. Chunks differ in length, so that single
places lie above and below the mean.

"""
    return text + table(header, rows)


def _growth_row(items: Sequence[Growth]) -> list[str]:
    within = sum(item.data <= growth.bound(item.changed, item.regions) for item in items)
    return [
        f"{items[0].workload}: {items[0].edit}",
        _kib(items[0].changed),
        f"{items[0].regions:,}",
        _kib(mean(item.data for item in items)),
        _kib(max(item.data for item in items)),
        _kib(growth.bound(items[0].changed, items[0].regions)),
        f"{within} of {len(items)}",
        _kib(mean(item.nodes for item in items)),
    ]


def _kib(value: float) -> str:
    return figure(value / 1024)
