"""Plots of growth as SVG: both axes logarithmic, so that a power of the size is a straight line.

Drawn without any library. A plot has its own background and follows the reader's preference for light or dark, also
where it is shown as an image. Lines are told apart by colour, by the shape of their marks, and by name.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

Point = tuple[float, float]

_WIDTH, _HEIGHT = 720, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 78, 236, 48, 52
# Told apart by people who see no red or green, too; the second of each pair is for a dark background.
_COLOURS = (
    ("#0072b2", "#56b4e9"),
    ("#d55e00", "#ff9a4d"),
    ("#00795c", "#2fc79b"),
    ("#a0467c", "#e79bc6"),
    ("#6b5b00", "#e6cf3c"),
    ("#444444", "#bbbbbb"),
)
_MARKS = ("circle", "square", "diamond")


@dataclass(frozen=True, slots=True)
class Plot:
    """What to draw.

    Attributes:
        name: the file's, without its ending.
        title: above the plot.
        x, y: what the axes are.
        lines: name to points, at least one of them with all values above zero.
        x_label, y_label: a value of an axis in words.
    """

    name: str
    title: str
    x: str
    y: str
    lines: Mapping[str, Sequence[Point]]
    x_label: Callable[[float], str]
    y_label: Callable[[float], str]


def exponent(points: Sequence[Point]) -> float | None:
    """Return the power of x that y grows with, fitted by least squares to the logarithms; None for fewer than two."""
    logs = [(math.log(x), math.log(y)) for x, y in points if x > 0 and y > 0]
    if len({x for x, _ in logs}) < 2:
        return None
    mean_x, mean_y = (sum(values) / len(logs) for values in zip(*logs, strict=True))
    slope: float = sum((x - mean_x) * (y - mean_y) for x, y in logs) / sum((x - mean_x) ** 2 for x, _ in logs)
    return slope


def draw(plot: Plot) -> str:
    """Return the SVG."""
    x_axis = _Axis([x for line in plot.lines.values() for x, _ in line], _LEFT, _WIDTH - _RIGHT)
    y_axis = _Axis([y for line in plot.lines.values() for _, y in line], _HEIGHT - _BOTTOM, _TOP)
    parts = [_head(plot), *_grid(plot, x_axis, y_axis)]
    names = _spread({name: y_axis.at(line[-1][1]) for name, line in plot.lines.items()})
    for number, (name, line) in enumerate(plot.lines.items()):
        parts += _line(number, name, [(x_axis.at(x), y_axis.at(y)) for x, y in line], names[name])
    return "\n".join([*parts, "</svg>", ""])


class _Axis:
    """A logarithmic axis over whole decades, from a place in the picture to another."""

    def __init__(self, values: Sequence[float], begin: float, end: float) -> None:
        self.low = math.floor(math.log10(min(values)) + 1e-9)
        self.high = max(self.low + 1, math.ceil(math.log10(max(values)) - 1e-9))
        self._begin, self._end = begin, end

    def at(self, value: float) -> float:
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return self._begin + share * (self._end - self._begin)

    def ticks(self) -> list[float]:
        return [10.0**power for power in range(self.low, self.high + 1)]


def _head(plot: Plot) -> str:
    light = "".join(f".s{number}{{--c:{colour}}}" for number, (colour, _) in enumerate(_COLOURS))
    dark = "".join(f".s{number}{{--c:{colour}}}" for number, (_, colour) in enumerate(_COLOURS))
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" role="img">
<title>{escape(plot.title)}</title>
<style>
svg{{--back:#ffffff;--text:#24292f;--grid:#d8dee4;font:13px sans-serif}}
{light}
@media (prefers-color-scheme: dark){{svg{{--back:#1c2128;--text:#e6edf3;--grid:#444c56}}{dark}}}
.back{{fill:var(--back)}} text{{fill:var(--text)}} .grid{{stroke:var(--grid);fill:none}}
.line{{stroke:var(--c);stroke-width:2;fill:none}} .mark{{fill:var(--c)}} .lead{{stroke:var(--c);fill:none;opacity:.5}}
</style>
<rect class="back" width="{_WIDTH}" height="{_HEIGHT}" rx="6"/>
<text x="{_LEFT}" y="26" font-size="15" font-weight="600">{escape(plot.title)}</text>"""


def _grid(plot: Plot, x_axis: _Axis, y_axis: _Axis) -> list[str]:
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    parts = []
    for value in x_axis.ticks():
        at = x_axis.at(value)
        parts.append(f'<path class="grid" d="M{at:.1f} {_TOP}V{bottom}"/>')
        parts.append(f'<text x="{at:.1f}" y="{bottom + 18}" text-anchor="middle">{escape(plot.x_label(value))}</text>')
    for value in y_axis.ticks():
        at = y_axis.at(value)
        parts.append(f'<path class="grid" d="M{_LEFT} {at:.1f}H{right}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{escape(plot.y_label(value))}</text>')
    middle = (_TOP + bottom) / 2
    parts.append(f'<text x="{(_LEFT + right) / 2}" y="{_HEIGHT - 12}" text-anchor="middle">{escape(plot.x)}</text>')
    parts.append(f'<text transform="translate(18 {middle}) rotate(-90)" text-anchor="middle">{escape(plot.y)}</text>')
    return parts


def _line(number: int, name: str, places: Sequence[Point], name_at: float) -> list[str]:
    style = f"s{number % len(_COLOURS)}"
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    (last_x, last_y), text_x = places[-1], _WIDTH - _RIGHT + 22
    return [
        f'<g class="{style}"><path class="line" d="M{path}"/>',
        *(_mark(number, x, y) for x, y in places),
        f'<path class="lead" d="M{last_x:.1f} {last_y:.1f}L{text_x - 4} {name_at:.1f}"/></g>',
        f'<text x="{text_x}" y="{name_at + 4:.1f}">{escape(name)}</text>',
    ]


def _mark(number: int, x: float, y: float) -> str:
    shape = _MARKS[number % len(_MARKS)]
    if shape == "circle":
        return f'<circle class="mark" cx="{x:.1f}" cy="{y:.1f}" r="4"/>'
    turned = f' transform="rotate(45 {x:.1f} {y:.1f})"' if shape == "diamond" else ""
    return f'<rect class="mark" x="{x - 3.5:.1f}" y="{y - 3.5:.1f}" width="7" height="7"{turned}/>'


def _spread(wanted: Mapping[str, float], gap: float = 18.0) -> dict[str, float]:
    """Return a place for each name, as near as may be to where its line ends, and none upon another."""
    places: dict[str, float] = {}
    lowest = _TOP - gap
    for name in sorted(wanted, key=lambda name: wanted[name]):
        lowest = places[name] = max(wanted[name], lowest + gap)
    over = max(0.0, max(places.values()) - (_HEIGHT - _BOTTOM))
    return {name: place - over for name, place in places.items()}
