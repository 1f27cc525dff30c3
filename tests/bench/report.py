"""The page of the benchmarks, in Markdown, from results alone.

A figure of several runs is their median, with the least and the largest in brackets. Ratios are of medians. A figure
taken while the rest of the machine was busy is marked, and so is one that failed.
"""

from collections.abc import Iterable, Sequence
from statistics import mean, median

from tests.bench import curves, fragments, growth, network
from tests.bench.results import Growth, Measured, Results, Sample
from tests.bench.session import STARTUP_NAME
from tests.bench.tables import cell, figure, peak, sound, table
from tests.bench.tools import Operation
from tests.bench.workloads import WORKLOADS

_MIB = 1 << 20
_OURS = "dver"
_PEERS = ("dvc", "git lfs", "restic", "borg")
_GIT = "git"
_MEMORY = (
    Operation.ADD_V1,
    Operation.STATUS,
    Operation.PUSH,
    Operation.PULL,
    Operation.PUSH_S3,
    Operation.PULL_S3,
    Operation.ADD_V2,
    Operation.DIFF,
    Operation.CHECKOUT_ALL,
)
_LIMITS = (Operation.COPY, Operation.HASH)

_INTRODUCTION = """\
# Benchmarks

How dver does beside DVC, Git LFS, restic and borg on the same data and the same machine, with `cp`, BLAKE3 and plain
git as limits. This page is written by `python -m tests.bench`; no figure in it is typed in.

The suite is run by hand, from a clone and with the test environment of [Contributing](contributing.md):

```
python -m tests.bench --dry-run            # what will take how long, and how much space
python -m tests.bench --dvc PATH/TO/dvc
```

`--quick` is a smoke run on tiny data, `--help` lists the choices. Tools are taken from `PATH`; DVC needs its package
`dvc-s3`. A run that was cut off goes on where it stopped.
"""

_METHOD = """\
## How to read the figures

- Wall seconds: the median of the runs, in brackets the least and the largest. Beneath it, CPU seconds, user and system,
  of the command and its descendants. "dver / fastest" is dver's median over the smallest of those of DVC, Git LFS,
  restic and borg: below 1, dver is quicker.
- Each run starts with a new repository. The tools take turns, in another order in each run. The file system is synced
  before a command and not after it; the page cache is warm.
- To add is to store and to commit: `dver add` and `git commit`; `dvc add`, `git add` of its pointer and `git commit`;
  `git add` through the filter of LFS and `git commit`. Before `status` is measured it has run once. restic and borg
  know no commits: they back up and restore. A status of restic is a backup that stores nothing.
- With Git LFS a diff, log or list is git's own, and knows its pointers; a log of borg is the list of its backups.
- All are as they are by default, borg without encryption; restic always encrypts. DVC copies files between cache and
  working tree.
- Pushed is v1: to a folder on the same disk, where Git LFS makes hard links and copies nothing; to S3, which moto plays
  in the memory of this machine; and over a simulated link of 100 ms there and back and 200 Mbit/s each way to the same
  server. A push of restic is a copy to another of its repositories. A relay before the server counts what passes.
- Pulled is into a clone whose machine never saw the remote: its caches are empty.
- After every checkout and pull all files are compared with the data. A failure or a wrong file is shown in place of a
  time; a dash stands for what a tool has no command for, or was not measured.
- `~`: meanwhile the rest of the machine used more than half a core.
"""


def render(results: Results, folder: str = "benchmarks") -> str:
    """Return the page; `folder` is that of its plots."""
    parts = [_INTRODUCTION, _machine(results), _METHOD]
    timed = [name for name in results.workloads if name in WORKLOADS]
    parts += [_workload(results, name) for name in timed]
    if STARTUP_NAME in results.workloads:
        parts.append(_startup(results))
    if timed:
        parts += [network.section(results, _rivals(results)), _memory(results, timed), _stored(results, timed)]
    if results.growth:
        parts.append(_growth(results))
    if fragments.NAME in results.workloads:
        parts.append(_fragments(results))
    parts.append(curves.section(results, folder, table))
    parts = [part for part in parts if part]
    return "\n".join(parts)


def ratio(ours: Sequence[Sample], others: Iterable[Sequence[Sample]]) -> str:
    """Return our median wall time over the least of the others'; a dash where one side has none."""
    medians = [median(sample.wall for sample in samples) for samples in others if sound(samples)]
    if not medians or not sound(ours) or min(medians) == 0:
        return "–"
    return figure(median(sample.wall for sample in ours) / min(medians))


def _of(results: Results, workload: str, tool: str, operation: str) -> list[Sample]:
    return [
        item for item in results.samples if (item.workload, item.tool, item.operation) == (workload, tool, operation)
    ]


def _rivals(results: Results, workload: str | None = None) -> list[str]:
    """Return the columns: dver and its peers, also those that are not here, and git where it was measured."""
    seen = {sample.tool for sample in results.samples if workload in (None, sample.workload)}
    return [_OURS, *_PEERS, *([_GIT] if workload and _GIT in seen else [])] if results.samples else []


def _heads(results: Results, tools: Sequence[str]) -> list[str]:
    return [tool if tool in results.versions else f"{tool} (not here)" for tool in tools]


def _machine(results: Results) -> str:
    # What only starts Python is no tool.
    versions = [(name, version) for name, version in results.versions.items() if not name.startswith("python")]
    facts = [*results.machine.items(), *versions]
    return "## Machine and versions\n\n" + "".join(f"- {name}: {value}\n" for name, value in facts)


def _caption(measured: Measured) -> str:
    runs = f"{measured.runs} run{'s' if measured.runs > 1 else ''}, {measured.date}"
    if measured.builds:
        runs += f", dver's sources {' and '.join(measured.builds)}"
    return runs if measured.scale == 1 else f"{runs}, at {measured.scale:g} of the full size"


def _workload(results: Results, name: str) -> str:
    measured = results.workloads[name]
    tools = _rivals(results, name)
    rows = []
    for operation in Operation:
        found = {tool: _of(results, name, tool, operation) for tool in tools}
        if any(found.values()):
            compared = ratio(found.get(_OURS, []), [found[tool] for tool in _PEERS])
            rows.append([operation.value, *(cell(samples) for samples in found.values()), compared])
    extents = "; ".join(
        f"{version}: {extent.files:,} file{'s' if extent.files > 1 else ''}, {figure(extent.size / _MIB)} MiB"
        for version, extent in measured.extents.items()
    )
    text = f"## {measured.title}\n\n{extents}. {_caption(measured)}. Seconds.\n\n"
    head = ("operation", *_heads(results, tools), "dver / fastest")
    return text + table(head, rows) + _limits(results, name)


def _limits(results: Results, name: str) -> str:
    found = [item for item in results.samples if item.workload == name and item.operation in _LIMITS]
    said = []
    for tool, operation in dict.fromkeys((item.tool, item.operation) for item in found):
        taken = cell(_of(results, name, tool, operation)).replace("<br>", ", ")
        said.append(f"`{tool}` (to {operation}): {taken}")
    return f"\nTo compare with, on v1: {'; '.join(said)}.{_share(results, name)}\n" if said else ""


def _share(results: Results, name: str) -> str:
    """Say how an add compares with what a durable, verified copy takes at least."""
    groups = [[item for item in results.samples if (item.workload, item.operation) == (name, op)] for op in _LIMITS]
    added = _of(results, name, _OURS, Operation.ADD_V1)
    if not all(sound(samples) for samples in (*groups, added)):
        return ""
    both = sum(median(sample.wall for sample in samples) for samples in groups)
    return (
        f" dver adds v1 at {100 * both / median(sample.wall for sample in added):.0f} % of the speed of both together."
    )


def _startup(results: Results) -> str:
    rivals = _rivals(results)
    rows = []
    for operation in (Operation.VERSION, Operation.STATUS_SMALL):
        found = {tool: _of(results, STARTUP_NAME, tool, operation) for tool in rivals}
        compared = ratio(found.get(_OURS, []), [found[tool] for tool in rivals if tool != _OURS])
        rows.append([operation.value, *(cell(samples, 1000) for samples in found.values()), compared])
    text = f"## Start-up\n\nMilliseconds. {_caption(results.workloads[STARTUP_NAME])}.\n\n"
    text += table(("operation", *_heads(results, rivals), "dver / fastest"), rows)
    imports = [item for item in results.samples if (item.workload, item.operation) == (STARTUP_NAME, Operation.IMPORT)]
    limits = [
        (f"`{tool}`", cell(_of(results, STARTUP_NAME, tool, Operation.IMPORT), 1000))
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
                rows.append([f"{name}: {operation.value}", *(peak(samples) for samples in found)])
    text = "## Memory\n\nMiB; the largest peak of all runs, of a command's processes together.\n\n"
    return text + table(("operation", *_heads(results, tools)), rows)


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
    return text + table(("version", *_heads(results, tools)), rows)


def _stored_after(results: Results, workload: str, tool: str, version: str) -> float | None:
    found = [
        item.stored for item in results.sizes if (item.workload, item.tool, item.version) == (workload, tool, version)
    ]
    return median(found) / _MIB if found else None


def _difference(new: float | None, old: float | None) -> float | None:
    return None if new is None or old is None else new - old


def _fragments(results: Results) -> str:
    measured = results.workloads[fragments.NAME]
    size = measured.extents["v1"].size / _MIB
    found = {
        name: [item for item in results.samples if item.tool == name] for name in (fragments.FRESH, fragments.EDITED)
    }
    speeds = {name: size / median(item.wall for item in items) for name, items in found.items() if sound(items)}
    rows = [[name, cell(items), figure(speeds[name]) if name in speeds else "–"] for name, items in found.items()]
    text = f"## {measured.title}\n\nA checkout into an empty tree. {_caption(measured)}.\n\n"
    text += table(("the file", "seconds", "MiB/s"), rows)
    if len(speeds) < len(found):
        return text
    share = 100 * speeds[fragments.EDITED] / speeds[fragments.FRESH]
    return f"{text}\nThat is {share:.0f} % of the speed of the file that was added once.\n"


def _growth(results: Results) -> str:
    rows = []
    for workload, edit in dict.fromkeys((item.workload, item.edit) for item in results.growth):
        rows.append(_growth_row([item for item in results.growth if (item.workload, item.edit) == (workload, edit)]))
    header = ("edit", "changed", "regions", "new in chunks", "largest", "allowed", "places within", "new in manifest")
    text = f"""\
## Growth by an edit

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
