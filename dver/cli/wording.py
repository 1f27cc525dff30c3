"""How sizes, counts, times, paths and tables are put for people, and paths for programs.

A path may hold any byte but NUL. What would break a line, move a cursor or be no text at all is shown as an escape, so
that output stays one line a path, whatever the files are called.
"""

import time
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dver.spool import Spool

_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_STEP = 1024
_ONE_DIGIT = 10
_SURROGATES = range(0xDC80, 0xDD00)
_SURROGATE_OFFSET = 0xDC00
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_SHORT_DIGITS = 12
# Some scripts need these between letters; the other marks that do not show could make one name look like another.
_JOINERS = "\u200c\u200d"
_BAD_CATEGORIES = ("Cc", "Cf", "Cs", "Zl", "Zp")
# A wider cell takes the room it needs and moves nothing on other lines.
_MOST_COLUMNS = 60


def size_text(size: int) -> str:
    """Return a number of bytes as people say it, such as "1.2 GiB"."""
    if size < _STEP:
        return count_text(size, "byte")
    value = float(size)
    units = iter(_UNITS)
    unit = ""
    while _rounded(value) >= _STEP:
        value /= _STEP
        unit = next(units)
    rounded = _rounded(value)
    return f"{rounded:.1f} {unit}" if rounded < _ONE_DIGIT else f"{rounded:.0f} {unit}"


def count_text(count: int, noun: str) -> str:
    """Return a count with its noun, such as "1 file" or "1,204 files"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def moment_text(when: float) -> str:
    """Return a time in seconds since 1970 for people, such as "2026-07-01 09:30 UTC"."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(when))


def moment_json(when: float) -> str:
    """Return a time in seconds since 1970 for JSON."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(when))


def version_text(version: bytes) -> str:
    """Return the short form of a version."""
    return f"b3:{version.hex()[:_SHORT_DIGITS]}…"


def escape_text(text: str) -> str:
    """Return text on one line: control characters and bytes that are not UTF-8 become escapes such as `\\xff`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape(letter) for letter in text)


def path_text(path: str) -> str:
    """Return a path for people: as it is, or in double quotes with escapes where it holds what would mislead."""
    escaped = escape_text(path)
    if escaped == path and '"' not in path and path and all(part == part.strip() for part in path.split("/")):
        return path
    doubled = path.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escape_text(doubled)}"'


def path_json(path: str) -> str:
    """Return a path for JSON, which holds any text but no stray bytes: these become `\\xff` and the like."""
    if path.isascii():
        return path
    return "".join(_escape(letter) if ord(letter) in _SURROGATES else letter for letter in path)


def text_json(text: str) -> str:
    """Return text for JSON that others read: the same as `path_json`, and what no encoding has becomes an escape."""
    return "".join(_escape(letter) if unicodedata.category(letter) == "Cs" else letter for letter in text)


def table_lines(rows: "Collection[Sequence[str]] | Spool", align: str) -> Iterator[str]:
    """Yield rows as lines of aligned columns; `align` has one of `<` and `>` for each. Empty columns are left out."""
    widths = _column_widths(rows, len(align))
    for row in rows:
        cells = zip(row, widths, align, strict=True)
        yield "  ".join(_pad(cell, width, side) for cell, width, side in cells if width is not None).rstrip(" ")


def _column_widths(rows: Iterable[Sequence[str]], columns: int) -> list[int | None]:
    """Return the widths to which columns are filled up, None for those that are empty."""
    seen: list[set[int]] = [set() for _ in range(columns)]
    for row in rows:
        for widths, cell in zip(seen, row, strict=True):
            widths.add(_width(cell))
    return [
        max((width for width in widths if width <= _MOST_COLUMNS), default=0) if any(widths) else None
        for widths in seen
    ]


def _rounded(value: float) -> float:
    return round(value, 1) if value < _ONE_DIGIT else round(value)


def _escape(letter: str) -> str:
    code = ord(letter)
    if code in _SURROGATES:
        return f"\\x{code - _SURROGATE_OFFSET:02x}"
    if letter in _JOINERS or unicodedata.category(letter) not in _BAD_CATEGORIES:
        return letter
    return _NAMED.get(letter) or letter.encode("unicode_escape", "surrogatepass").decode()


def _pad(cell: str, width: int, side: str) -> str:
    space = " " * (width - _width(cell))
    return space + cell if side == ">" else cell + space


def _width(text: str) -> int:
    """Return the columns that text takes on a terminal; East Asian letters take two, combining marks none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )
