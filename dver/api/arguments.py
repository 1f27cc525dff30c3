"""Checks of the arguments that scripts give: what is of another type is refused by name, before anything is done."""

import os
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time
from typing import TypeAlias

from dver.errors import UsageError

PathLike: TypeAlias = str | os.PathLike[str]

_DATES = "a date, a datetime, or a text such as 2026-11-23 or 2026-11-23T13:00Z"


def check_texts(**given: object) -> None:
    """Refuse arguments that are neither a text nor None."""
    for name, value in given.items():
        if value is not None and not isinstance(value, str):
            raise _wrong(name, value, "a text")


def check_paths(**given: object) -> None:
    """Refuse arguments that are neither a path nor None."""
    for name, value in given.items():
        if value is not None and not _is_path(value):
            raise _wrong(name, value, "a path: a text or a Path")


def check_counts(**given: object) -> None:
    """Refuse arguments that are neither a number from 1 nor None."""
    for name, value in given.items():
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool):
            raise _wrong(name, value, "a whole number")
        if value < 1:
            raise UsageError(f"a {name} of {value} is not possible", hint="1 or more is, and None for all")


def check_mappings(**given: object) -> None:
    """Refuse arguments that are neither a mapping from texts nor None."""
    for name, value in given.items():
        if value is None:
            continue
        if not isinstance(value, Mapping):
            raise _wrong(name, value, "a mapping from names to values")
        odd = next((key for key in value if not isinstance(key, str)), "")
        if odd != "":
            raise UsageError(f"{name}: a name is a text, not {_named(odd)}", hint=f'{name}={{"{odd}": …}}')


def check_tags(tags: object) -> None:
    """Refuse tags that are not texts by their names."""
    check_mappings(tags=tags)
    if isinstance(tags, Mapping) and not all(isinstance(text, str) and key for key, text in tags.items()):
        raise UsageError("the names and values of tags are texts, and a name is not empty", hint='tags={"fold": "3"}')


def paths_of(**given: object) -> list[str]:
    """Return the paths of one argument, which may be one or several."""
    ((name, value),) = given.items()
    several = [value] if _is_path(value) else value
    if not isinstance(several, Iterable) or isinstance(several, bytes):
        raise _wrong(name, value, "a path, or several in a list")
    found = list(several)
    check_paths(**{name: next((one for one in found if not _is_path(one)), None)})
    if None in found:
        raise _wrong(name, None, "a path, or several in a list")
    return [os.fspath(path) for path in found]


def moment(since: object) -> datetime | None:
    """Return a moment with its time zone: without one it is in that of this machine, and a date is its beginning."""
    if isinstance(since, str):
        try:
            since = datetime.fromisoformat(since)
        except ValueError:
            raise _wrong("since", since, _DATES) from None
    elif isinstance(since, date) and not isinstance(since, datetime):
        since = datetime.combine(since, time())
    if since is None:
        return None
    if not isinstance(since, datetime):
        raise _wrong("since", since, _DATES)
    try:
        return since.astimezone()
    except (OverflowError, OSError, ValueError):
        # At either end of the calendar some hours make no difference.
        return since if since.tzinfo is not None else since.replace(tzinfo=UTC)


def _is_path(value: object) -> bool:
    return isinstance(value, str) or (isinstance(value, os.PathLike) and isinstance(os.fspath(value), str))


def _wrong(name: str, value: object, wanted: str) -> UsageError:
    return UsageError(f"{name} is not what it should be: {_named(value)}", hint=f"it is {wanted}")


def _named(value: object) -> str:
    return f"{value!r}, of type {type(value).__name__}"
