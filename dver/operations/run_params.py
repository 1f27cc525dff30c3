"""The parameters of a run: values given by hand, and values that are read from a file of settings.

A value is recorded as what it is (text, number, truth value, nothing), and a section becomes one parameter for each
value in it. What JSON has no single value for is recorded as text that begins with the mark of its type:
`!list [1, 2]`, in JSON; `!float inf`, also `-inf` and `nan`; `!date 2026-01-02`, `!datetime …` and `!time …`, in ISO
8601. A text that itself begins with such a mark is recorded behind `!text `, so that no two values are recorded as the
same, within lists too. Parameters from a file are named `FILE:KEY`.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from dver.errors import DverError, PathError, UsageError
from dver.operations.param_files import PARAM_HINT, SMALLER_HINT, ParamFiles
from dver.operations.param_limits import Amount, TooMuchError
from dver.operations.run_secrets import mask
from dver.records.record import VALUE_MARK, Scalar


@dataclass(frozen=True, slots=True)
class ParamSource:
    """Where a parameter comes from: the dotted `key` of a `file`, or, with None for it, the `value` as recorded."""

    key: str
    file: str | None = None
    value: Scalar = None


def parse_param(text: str) -> ParamSource:
    """Return what `FILE:KEY` or `KEY=VALUE` means; whichever of `:` and `=` comes first decides.

    Raises:
        UsageError: it is neither.
    """
    name, equals, value = text.partition("=")
    if equals and ":" not in name:
        if not name:
            raise UsageError(f"-p {text}: the parameter has no name", hint=PARAM_HINT)
        return ParamSource(name, value=parse_value(value))
    file, colon, key = text.rpartition(":")
    if not colon or not file or not key:
        raise UsageError(f"-p {text}: names no parameter", hint=PARAM_HINT)
    return ParamSource(key, file)


def given_params(values: Mapping[str, object], noun: str = "parameter") -> tuple[ParamSource, ...]:
    """Return parameters whose values a program gives; a value within a mapping gets a dotted name.

    `noun` says in errors what they are.

    Raises:
        UsageError: a value cannot be recorded, or a name could be one of a parameter from a file.
    """
    sources: list[ParamSource] = []
    for name, value in values.items():
        try:
            sources += [ParamSource(key, value=found) for key, found in _flatten(str(name), value)]
        except (TypeError, ValueError, RecursionError) as exc:
            raise UsageError(
                f"the {noun} {name} cannot be recorded: {exc}",
                hint="a text, a number, a truth value or None can be, and lists and mappings of these",
            ) from exc
    for source in sources:
        if not source.key or ":" in source.key:
            raise UsageError(
                f"{source.key!r} is no name for a {noun}", hint="a name is not empty, and has no colon in it"
            )
    return tuple(sources)


def read_params(root: Path, sources: Sequence[ParamSource]) -> dict[str, Scalar]:
    """Return the parameters by name; files are relative to `root`.

    Raises:
        PathError: a file cannot be read, has no such key, or has more values than may be.
        UsageError: the same name was given twice with different values.
    """
    return collect_params(ParamFiles(root), sources)


def collect_params(files: ParamFiles, sources: Sequence[ParamSource], *, lenient: bool = False) -> dict[str, Scalar]:
    """Return the parameters by name as `read_params` does; if `lenient`, without those that are not to be had."""
    params: dict[str, Scalar] = {}
    amount = Amount()
    for source in sources:
        try:
            _collect(files, source, params, amount)
        except DverError:
            if not lenient:
                raise
    return params


def _collect(files: ParamFiles, source: ParamSource, params: dict[str, Scalar], amount: Amount) -> None:
    for name, value in _values(files, source):
        if source.file is not None:
            try:
                amount.add(1, len(name) + (len(value) if isinstance(value, str) else 0))
            except TooMuchError as exc:
                raise PathError(
                    source.file, f"has more parameters than a run can have: {exc}", hint=SMALLER_HINT
                ) from exc
        if name in params and not _same(params[name], value):
            raise UsageError(
                f"the parameter {name} was given twice, with different values",
                hint=f"leave one of them out; to try several values, make a run for each, with one {name}",
            )
        params[name] = value


def changed_params(root: Path, sources: Sequence[ParamSource], before: Mapping[str, Scalar]) -> tuple[str, ...]:
    """Return the names of those parameters from files that have not the values any more that were recorded `before`."""
    files = dict.fromkeys(source.file for source in sources if source.file is not None)
    changed: list[str] = []
    for file in files:
        now: Mapping[str, Scalar] = {}
        with suppress(PathError):
            now = mask((), read_params(root, [source for source in sources if source.file == file]), {}).params
        names = dict.fromkeys([*(name for name in before if name.startswith(f"{file}:")), *now])
        changed += [name for name in names if not (name in before and name in now and _same(before[name], now[name]))]
    return tuple(changed)


def _values(files: ParamFiles, source: ParamSource) -> Iterator[tuple[str, Scalar]]:
    file = source.file
    if file is None:
        yield source.key, source.value
        return
    found = files.value(file, source.key)
    try:
        yield from _flatten(f"{file}:{source.key}", found)
    except (TypeError, ValueError, RecursionError) as exc:
        raise PathError(file, f"{source.key} cannot be recorded as a parameter") from exc


def parse_value(text: str) -> Scalar:
    """Return the number or word of JSON that a text is, and else the text: nothing of how it was written is lost."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return _plain_text(text)
    is_plain = isinstance(value, Scalar) and not isinstance(value, str) and json.dumps(value) == text
    return value if is_plain and not _is_odd(value) else _plain_text(text)


def _is_odd(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _same(first: Scalar, second: Scalar) -> bool:
    return type(first) is type(second) and first == second


def _flatten(name: str, value: Any) -> Iterator[tuple[str, Scalar]]:
    if isinstance(value, dict):
        for key, below in value.items():
            yield from _flatten(f"{name}.{key}", below)
    elif isinstance(value, list | tuple):
        yield name, f"!list {json.dumps(_in_list(value), sort_keys=True)}"
    else:
        yield name, _recorded(value)


def _in_list(value: Any) -> Any:
    """Return a value as it stands in the JSON of a list, which tells lists, sections and odd numbers by itself."""
    if isinstance(value, dict):
        return {key: _in_list(below) for key, below in value.items()}
    if isinstance(value, list | tuple):
        return [_in_list(below) for below in value]
    return value if isinstance(value, float) else _recorded(value)


def _recorded(value: object) -> Scalar:
    if isinstance(value, str):
        return _plain_text(value)
    if isinstance(value, float) and _is_odd(value):
        return f"!float {float(value)}"
    if isinstance(value, date | datetime | time):
        return f"!{_moment(value)} {value.isoformat()}"
    if isinstance(value, Scalar):
        return value
    raise TypeError(f"a value of type {type(value).__name__}")


def _moment(value: date | datetime | time) -> str:
    # A datetime is a date too.
    return "datetime" if isinstance(value, datetime) else "date" if isinstance(value, date) else "time"


def _plain_text(text: str) -> str:
    return f"!text {text}" if VALUE_MARK.match(text) else text
