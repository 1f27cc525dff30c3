"""The types of options that choose among records: dates, names with values, texts, and how far to go."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

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
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no date: 2026-11-23, 2026-11-23T13:00 and 2026-11-23T13:00Z are", param, ctx)
        try:
            # Where no time zone is given, that of the user is meant.
            return moment.astimezone()
        except (OverflowError, OSError, ValueError):
            # At either end of the calendar some hours make no difference.
            return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


class Count(click.IntRange):
    """A whole number from 1; what else is given is refused with what the option is for."""

    def __init__(self, option: str, hint: str) -> None:
        super().__init__(min=1)
        self._option = option
        self._hint = hint

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return int(super().convert(value, param, ctx))
        except click.BadParameter as exc:
            raise UsageError(f"{self._option} takes a whole number from 1, not {value!r}", hint=self._hint) from exc


TAG = _Pair("tag")
PROPERTY = _Pair("property")
DATE = _Date()
DEPTH = Count("--depth", "without --depth the lineage is followed to its end")
COUNT = Count("--limit", "without --limit all that fit are listed")


def unique(pairs: Sequence[tuple[str, str]], kind: click.ParamType[tuple[str, str]]) -> dict[str, str]:
    """Return names with their values; UsageError where one is asked for twice, which nothing could fit."""
    found = dict(pairs)
    if len(found) < len(pairs):
        option = "--tag" if kind is TAG else "--prop"
        raise UsageError(f"a {kind.name} has one value, and {option} asks for two of the same one")
    return found


def refuse_empty(word: str | None, what: str, *, hint: str) -> None:
    """Raise UsageError for a word that is empty, as that of a variable without a value is."""
    if word == "":
        raise UsageError(f"{what} is empty", hint=hint)
