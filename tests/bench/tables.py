"""Tables of the page in Markdown, and figures as its cells show them."""

from collections.abc import Iterable, Sequence
from statistics import median

from tests.bench.results import Sample

_MIB = 1 << 20
# Of one core, while a command ran: more says that something else was at work.
_BUSY = 0.5
# The kernel counts such CPU time in hundredths of a second: of what is shorter than this, nothing can be said.
_CLOCK = 0.1


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


def sound(samples: Sequence[Sample]) -> bool:
    """Return whether there are samples, and none failed."""
    return bool(samples) and not any(sample.problem for sample in samples)


def cell(samples: Sequence[Sample], scale: float = 1.0) -> str:
    """Return the median wall seconds, with their spread and the CPU seconds, or why there are none."""
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


def peak(samples: Sequence[Sample]) -> str:
    """Return the largest memory, in MiB."""
    return figure(max(sample.rss for sample in samples) / _MIB) if sound(samples) else "–"
