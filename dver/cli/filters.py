"""The types of options that choose among records: dates, and names with values."""

from collections.abc import Sequence
from datetime import datetime

import click

from dver.errors import UsageError


class _Pair(click.ParamType[tuple[str, str]]):
    def __init__(self, name: str) -> None:
        self.name = name

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        key, equals, text = value.partition("=")
        if not key or not equals:
            self.fail(f"{value!r} is no {self.name}: KEY=VALUE is one", param, ctx)
        return key, text


class _Date(click.ParamType[datetime]):
    name = "date"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            # Where no time zone is given, that of the user is meant.
            return datetime.fromisoformat(value).astimezone()
        except (ValueError, OverflowError, OSError):
            self.fail(f"{value!r} is no date: 2026-11-23, 2026-11-23T13:00 and 2026-11-23T13:00Z are", param, ctx)


TAG = _Pair("tag")
PROPERTY = _Pair("property")
DATE = _Date()


def unique(pairs: Sequence[tuple[str, str]], kind: click.ParamType[tuple[str, str]]) -> dict[str, str]:
    """Return names with their values; UsageError where one is asked for twice, which nothing could fit."""
    found = dict(pairs)
    if len(found) < len(pairs):
        option = "--tag" if kind is TAG else "--prop"
        raise UsageError(f"a {kind.name} has one value, and {option} asks for two of the same one")
    return found
