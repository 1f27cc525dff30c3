"""The part of the page on what passed over the network, from results alone."""

from collections.abc import Sequence

from tests.bench.results import Results, Sample
from tests.bench.tables import figure, table
from tests.bench.tools import NETWORK

_MIB = 1 << 20
_TEXT = """\
## Requests and bytes

HTTP requests, MiB sent and MiB received, of the pushes and pulls over S3; over the slow link also how much of it was
used, in the direction in which more went.

"""


def section(results: Results, tools: Sequence[str]) -> str:
    """Return the part of the page; empty where nothing was measured."""
    rows = []
    for name in results.workloads:
        for operation in NETWORK:
            found = [_of(results, name, tool, operation) for tool in tools]
            if any(found):
                rows.append([f"{name}: {operation}", *(_cell(sample) for sample in found)])
    return _TEXT + table(("operation", *tools), rows) if rows else ""


def _of(results: Results, workload: str, tool: str, operation: str) -> Sample | None:
    return next(
        (
            item
            for item in results.samples
            if (item.workload, item.tool, item.operation) == (workload, tool, operation)
            and item.traffic is not None
            and not item.problem
        ),
        None,
    )


def _cell(sample: Sample | None) -> str:
    traffic = sample.traffic if sample else None
    if sample is None or traffic is None:
        return "–"
    text = f"{traffic.requests:,}<br>{figure(traffic.sent / _MIB)} / {figure(traffic.received / _MIB)}"
    if traffic.rate is None or not sample.wall:
        return text
    share = max(traffic.sent, traffic.received) / (traffic.rate * sample.wall)
    return f"{text}<br>{100 * share:.0f} % of the link"
