"""The parameters of a run: values given by hand, and values that are read from a file of settings.

A value is recorded as what it is (text, number, truth value, nothing); a section becomes one parameter for each value
in it, and a list becomes its JSON text. Parameters from a file are named `FILE:KEY`.
"""

import json
import math
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from dver.errors import PathError, UsageError
from dver.lineage.record import Scalar

MAX_FILE = 16 * 1024 * 1024
_HINT = "-p FILE:KEY reads a value from a YAML, TOML or JSON file; -p KEY=VALUE gives one"


@dataclass(frozen=True, slots=True)
class ParamSource:
    """Where a parameter comes from: the dotted `key` of a `file`, or, with no file, the `value` itself."""

    key: str
    file: str = ""
    value: Scalar = None


def parse_param(text: str) -> ParamSource:
    """Return what `FILE:KEY` or `KEY=VALUE` means; whichever of `:` and `=` comes first decides.

    Raises:
        UsageError: it is neither.
    """
    name, equals, value = text.partition("=")
    if equals and ":" not in name:
        if not name:
            raise UsageError(f"-p {text}: the parameter has no name", hint=_HINT)
        return ParamSource(name, value=_parse_value(value))
    file, colon, key = text.rpartition(":")
    if not colon or not file or not key:
        raise UsageError(f"-p {text}: names no parameter", hint=_HINT)
    return ParamSource(key, file)


def given_params(values: Mapping[str, object]) -> tuple[ParamSource, ...]:
    """Return parameters whose values a program gives; a value within a mapping gets a dotted name.

    Raises:
        UsageError: a value cannot be recorded, or a name could be one of a parameter from a file.
    """
    sources: list[ParamSource] = []
    for name, value in values.items():
        try:
            sources += [ParamSource(key, value=found) for key, found in _flatten(str(name), value)]
        except (TypeError, ValueError, RecursionError) as exc:
            raise UsageError(
                f"the parameter {name} cannot be recorded: {exc}",
                hint="a text, a number, a truth value or None can be, and lists and mappings of these",
            ) from exc
    for source in sources:
        if not source.key or ":" in source.key:
            raise UsageError(
                f"{source.key!r} is no name for a parameter", hint="a name is not empty, and has no colon in it"
            )
    return tuple(sources)


def read_params(root: Path, sources: Sequence[ParamSource]) -> dict[str, Scalar]:
    """Return the parameters by name; files are relative to `root`.

    Raises:
        PathError: a file cannot be read, or has no such key.
        UsageError: the same name was given twice with different values.
    """
    documents: dict[str, Any] = {}
    params: dict[str, Scalar] = {}
    for source in sources:
        for name, value in _values(root, source, documents):
            if name in params and not _same(params[name], value):
                raise UsageError(f"the parameter {name} was given twice, with different values")
            params[name] = value
    return params


def _values(root: Path, source: ParamSource, documents: dict[str, Any]) -> Iterator[tuple[str, Scalar]]:
    if not source.file:
        yield source.key, source.value
        return
    if source.file not in documents:
        documents[source.file] = _read_document(root, source.file)
    try:
        found = _look_up(documents[source.file], source.key)
    except KeyError:
        raise PathError(source.file, f"has no value {source.key}", hint=f"keys are dotted: {_HINT}") from None
    try:
        yield from _flatten(f"{source.file}:{source.key}", found)
    except (TypeError, ValueError, RecursionError) as exc:
        raise PathError(source.file, f"{source.key} cannot be recorded as a parameter") from exc


def _parse_value(text: str) -> Scalar:
    """Return the number or word of JSON that a text is, and else the text: nothing of how it was written is lost."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    is_plain = isinstance(value, Scalar) and not isinstance(value, str) and json.dumps(value) == text
    return value if is_plain and not _is_odd(value) else text


def _is_odd(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _same(first: Scalar, second: Scalar) -> bool:
    return type(first) is type(second) and first == second


def _read_document(root: Path, file: str) -> Any:
    reader = _READERS.get(Path(file).suffix.lower())
    if reader is None:
        raise PathError(file, "is no file that parameters can be read from", hint=_HINT)
    try:
        with (root / file).open("rb") as stream:
            data = stream.read(MAX_FILE + 1)
    except OSError as exc:
        raise PathError(file, f"cannot be read: {exc.strerror}") from exc
    if len(data) > MAX_FILE:
        raise PathError(file, f"is larger than a file of parameters may be ({MAX_FILE:,} bytes)")
    try:
        return reader(data.decode())
    except (ValueError, RecursionError) as exc:
        raise PathError(file, f"cannot be read: {' '.join(str(exc).split())}") from exc


def _read_yaml(text: str) -> Any:
    # Deferred: it takes long to load, and most runs have no parameters from such a file.
    import yaml  # noqa: PLC0415

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as exc:
        raise ValueError(str(exc)) from exc


_READERS: Mapping[str, Callable[[str], Any]] = {
    ".yaml": _read_yaml,
    ".yml": _read_yaml,
    ".toml": tomllib.loads,
    ".json": json.loads,
}


def _look_up(document: Any, key: str) -> Any:
    """Return the value of a dotted key; a key that has dots of its own is found too."""
    children = _children(document)
    if key in children:
        return children[key]
    parts = key.split(".")
    for length in range(len(parts) - 1, 0, -1):
        head = ".".join(parts[:length])
        if head in children:
            return _look_up(children[head], ".".join(parts[length:]))
    raise KeyError(key)


def _children(value: Any) -> Mapping[str, Any]:
    if isinstance(value, dict):
        return {str(key): below for key, below in value.items()}
    if isinstance(value, list):
        return {str(at): below for at, below in enumerate(value)}
    return {}


def _flatten(name: str, value: Any) -> Iterator[tuple[str, Scalar]]:
    if isinstance(value, dict):
        for key, below in value.items():
            yield from _flatten(f"{name}.{key}", below)
    elif isinstance(value, list | tuple):
        yield name, json.dumps(value, sort_keys=True, default=_plain)
    elif _is_odd(value) or isinstance(value, date | datetime | time):
        yield name, _plain(value)
    elif isinstance(value, Scalar):
        yield name, value
    else:
        raise TypeError(f"a value of type {type(value).__name__}")


def _plain(value: object) -> str:
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    if isinstance(value, float):
        return str(value)
    raise TypeError(f"a value of type {type(value).__name__}")
