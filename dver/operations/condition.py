"""Conditions in SQL: one expression that a user gives, asked about one thing after another.

SQLite evaluates it, over columns that are the facts of one thing, and there is nothing else that it could read: no
table is there, only functions of the list below may be called, and an expression that takes too long is given up.

A text is never taken for a number: see `condition_syntax`.

Invariant: what was accepted is one expression. It fits between parentheses and between the words of a CASE alike, and
what closes the one early breaks the other.
"""

import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Generic, TypeAlias, TypeVar

from dver.errors import UsageError
from dver.operations.condition_syntax import FUNCTIONS, check_quotes, with_types_apart

T = TypeVar("T")
Value: TypeAlias = str | int | float | None

_FUNCTIONS = frozenset(
    {
        *("abs", "max", "min", "round", "sign"),
        *("glob", "instr", "length", "like", "lower", "ltrim", "replace", "rtrim", "substr", "substring", "trim"),
        *("unicode", "upper", "date", "datetime", "julianday", "strftime", "time", "unixepoch"),
        *("coalesce", "ifnull", "iif", "nullif", "typeof"),
    }
)
_LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: 8 * 1024 * 1024,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 64 * 1024,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 1000,
}
# So many steps of SQLite's machine take about a second; a sensible condition takes some dozens.
_STEPS = 100_000
_MOST_PAUSES = 200
_LARGEST = (1 << 63) - 1
_MISSING_COLUMN = re.compile(r"no such column: (.*)", re.DOTALL)
_MISSING_FUNCTION = re.compile(r"no such function: (.*)|not authorized to use function: (.*)", re.DOTALL)
_NEAR = re.compile(r"near \"(.*)\": syntax error", re.DOTALL)


class Condition(Generic[T]):
    """An expression over the facts of one thing of a kind."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        text: str,
        columns: Mapping[str, Callable[[T], object]],
        functions: Mapping[str, Callable[[T, str], object]],
    ) -> None:
        """Take what `opened_condition` takes, and a connection to an empty database."""
        self._columns = columns
        self._functions = functions
        self._facts: list[Callable[[T], object]] = []
        self._thing: T | None = None
        self._pauses = 0
        self._connection = connection
        for limit, most in _LIMITS.items():
            self._connection.setlimit(limit, most)
        for name in functions:
            self._connection.create_function(name, 1, self._function(name))
        for name, (count, function) in FUNCTIONS.items():
            self._connection.create_function(name, count, function, deterministic=True)
        self._connection.set_progress_handler(self._pause, _STEPS)
        self._connection.set_authorizer(self._authorize)
        self._question = self._check(text)

    def holds(self, thing: T) -> bool:
        """Whether the expression is true of a thing.

        Raises:
            UsageError: it cannot be worked out.
        """
        self._thing = thing
        self._pauses = 0
        values = [_value(fact(thing)) for fact in self._facts]
        try:
            [(found,)] = self._connection.execute(self._question, values).fetchall()
        except (sqlite3.Error, ValueError) as exc:
            raise self._refusal(exc, "") from exc
        return found is not None

    def _check(self, text: str) -> str:
        """Return the query that asks whether the expression is true."""
        check_quotes(text)
        nothing = ", ".join(f"NULL AS {name}" for name in self._columns)
        self._facts = [column for name, column in self._columns.items() if name in text.lower()]
        given = ", ".join(f"? AS {name}" for name in self._columns if name in text.lower()) or "1"
        # A comment at the end of the text must not swallow what follows.
        for form in (f"SELECT ({text}\n) FROM", f"SELECT CASE WHEN {text}\nTHEN 1 END FROM"):
            self._try(form, nothing, text)
        cases = f"SELECT CASE WHEN {with_types_apart(text)} THEN 1 END FROM"
        self._try(cases, nothing, text)
        return f"{cases} (SELECT {given})"

    def _try(self, question: str, nothing: str, text: str) -> None:
        try:
            # Without a row there is nothing to be worked out, and so nothing but the form can be wrong.
            self._connection.execute(f"{question} (SELECT {nothing}) WHERE FALSE").fetchall()
        except (sqlite3.Error, ValueError) as exc:
            raise self._refusal(exc, text) from exc

    def _function(self, name: str) -> Callable[[object], Value]:
        function = self._functions[name]

        def call(argument: object) -> Value:
            assert self._thing is not None
            return _value(function(self._thing, argument)) if isinstance(argument, str) else None

        return call

    def _pause(self) -> bool:
        self._pauses += 1
        return self._pauses > _MOST_PAUSES

    def _authorize(self, action: int, _first: str | None, second: str | None, *_where: str | None) -> int:
        if action == sqlite3.SQLITE_SELECT or (action == sqlite3.SQLITE_FUNCTION and self._is_known(second)):
            return sqlite3.SQLITE_OK
        return sqlite3.SQLITE_DENY

    def _is_known(self, function: str | None) -> bool:
        return function is not None and function.lower() in (_FUNCTIONS | self._functions.keys() | FUNCTIONS.keys())

    def _refusal(self, exc: Exception, text: str) -> UsageError:
        """Return the error for a condition that SQLite did not take."""
        said = str(exc)
        columns = f"the columns are {', '.join(self._columns)}"
        calls = " and ".join(f"{name}('…')" for name in self._functions)
        if found := _MISSING_COLUMN.fullmatch(said):
            return UsageError(
                f"the condition names {found[1]!r}, which is no column", hint=f"{columns}; texts stand in '…'"
            )
        if found := _MISSING_FUNCTION.fullmatch(said):
            return UsageError(
                f"the condition calls {found[1] or found[2]}, which it may not",
                hint=f"{calls}, and SQLite's functions of texts, numbers and times",
            )
        if (found := _NEAR.fullmatch(said)) and found[1] in text:
            return UsageError(f"the condition cannot be read near {found[1]!r}", hint=columns)
        reason = next((words for start, words in _SAYINGS.items() if said.startswith(start)), said)
        return UsageError(f"the condition cannot be used: {reason}", hint=f"{columns}; {calls}")


@contextmanager
def opened_condition(
    text: str | None,
    columns: Mapping[str, Callable[[T], object]],
    functions: Mapping[str, Callable[[T, str], object]],
) -> Iterator[Condition[T] | None]:
    """Yield the condition of an expression, to be asked within the context; None for no expression.

    It may name `columns`, and call `functions` of one text besides those of SQLite.

    Raises:
        UsageError: it is no such expression.
    """
    if text is None:
        yield None
        return
    with closing(sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)) as connection:
        yield Condition(connection, text, columns, functions)


_SAYINGS = {
    "incomplete input": "it ends too early",
    "near ": "it ends too early",
    "Incorrect number of bindings": "it has a gap to be filled in, such as ?, and nothing for it",
    "'utf-8' codec": "it has bytes that are no text",
    "interrupted": "it takes too long",
    "not authorized": "it may only compare columns and call functions",
    "string or blob too big": "a text becomes too long",
    "the query contains a null character": "it has a NUL",
}


def _value(found: object) -> Value:
    """Return a fact as SQLite takes it: texts with stray bytes as the JSON output has them."""
    if isinstance(found, str):
        return _text(found)
    if isinstance(found, int):
        # A larger one is as good as the number that is next to it.
        return int(found) if -_LARGEST <= found <= _LARGEST else float(min(max(found, -(10**300)), 10**300))
    return found if isinstance(found, float) else None


def _text(text: str) -> str:
    if text.isascii():
        return text
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode("utf-8")
