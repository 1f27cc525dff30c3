"""Conditions in SQL: what they find, and that they can be nothing but one expression over the facts."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from dver.errors import UsageError
from dver.operations.condition import Condition, opened_condition

Thing = dict[str, object]
COLUMNS = {
    name: (lambda thing, name=name: thing.get(name)) for name in ("name", "seconds", "dirty", "exit_code", "note")
}
THING: Thing = {
    "name": "train",
    "seconds": 2.5,
    "dirty": True,
    "exit_code": None,
    "note": "it's",
    "of": {
        "lr": 0.1,
        "n": 3,
        "on": True,
        "none": None,
        "text": "é\udcff",
        "big": 1 << 70,
        "odd": "\ud800",
        "word": "adam",
        "typed": "1e-3",
    },
}


@contextmanager
def opened(text: str) -> Iterator[Condition[Thing]]:
    with opened_condition(text, COLUMNS, {"param": lambda thing, name: thing["of"].get(name)}) as condition:
        assert condition is not None
        yield condition


def holds(text: str) -> bool:
    with opened(text) as condition:
        return condition.holds(THING)


@pytest.mark.parametrize(
    "text",
    [
        "1",
        "name = 'train'",
        'name = "train"',
        "NAME LIKE 'TR%' AND Seconds BETWEEN 2 AND 3",
        "exit_code IS NULL",
        "dirty",
        "note = 'it''s'",
        "param('lr') > 0.05",
        "param('n') IN (1, 2, 3)",
        "param('on') = 1",
        "param('none') IS NULL AND param('missing') IS NULL",
        "param(1) IS NULL",
        "param('text') = 'é\\xff'",
        "param('odd') = '?'",
        "param('big') > 1e20",
        "CASE name WHEN 'train' THEN 1 ELSE 0 END",
        "upper(substr(name, 1, 1)) = 'T' AND round(seconds) = 3",
        "(SELECT max(seconds, 1)) > 2",
        "seconds > 1 -- and so on",
        "name /* what it is called */ = 'train'",
        "name = 'train'\n",
        "param('word') = 'adam' AND param('word') > 'abc' AND param('word') LIKE 'AD%' AND param('word') IS NOT NULL",
        "param('word') <> 5 AND NOT param('word') = 5",
        "param('typed') = 0.001 AND param('typed') < 0.5 AND param('typed') BETWEEN 0.0001 AND 1",
        "param('typed') = '1e-3' AND param('typed') * 1000 = 1",
        "param('lr') NOT BETWEEN 1 AND 2 AND param('n') NOT IN (1, 2) AND param('n') NOT NULL",
        "name = 'TRAIN' COLLATE NOCASE",
        "param('n') IS DISTINCT FROM 4 AND param('n') ISNULL = 0",
        "- param('n') = -3 AND param('n') - -3 = 6 AND +param('n') & 1 AND ~param('n') < 0 AND 'a' || 1 = 'a1'",
        "name LIKE 'tr!%' ESCAPE '!' OR CAST(seconds AS INTEGER) = 2",
        "CASE WHEN seconds < 3 THEN name END = 'train' AND 0x10 = 16 AND .5 < 1",
        "max(seconds, param('n')) >= 3 AND iif(seconds >= 2.5, 1, 0) AND coalesce(exit_code, 1) == 1",
        "(((seconds > 1))) AND (seconds < 1 OR seconds > 2) AND seconds <> 1 OR 0",
    ],
)
def test_a_condition_that_is_true(text: str) -> None:
    assert holds(text)


@pytest.mark.parametrize(
    "text",
    [
        *("0", "NULL", "name = 'test'", "exit_code = 0", "exit_code <> 0", "NOT dirty", "param('missing') > 0"),
        *("param('word') > 0.5", "0.5 < param('word')", "param('word') < 0.5", "NOT param('word') > 0.5"),
        *("param('word') BETWEEN 0 AND 1", "param('word') NOT BETWEEN 0 AND 1", "param('word') * 2 < 1"),
        *("-param('word') < 1", "abs(param('word')) < 1", "coalesce(param('word'), 1) > 0", "(param('word')) >= 0"),
        *("param('word') <= param('lr')", "max(param('word'), 1) > 0", "param('word') = 0", "seconds < 'a'"),
        *("name > 0", "CASE WHEN 1 THEN param('word') END > 0", "param('lr') > 'a'", "NOT seconds BETWEEN 1 AND 3"),
    ],
)
def test_a_condition_that_is_false_or_unknown(text: str) -> None:
    assert not holds(text)


def test_things_are_asked_about_one_after_another() -> None:
    with opened("seconds > 2") as slow:
        assert [slow.holds({"seconds": seconds}) for seconds in (1, 3, None, 2.5)] == [False, True, False, True]


def test_no_text_is_no_condition() -> None:
    with opened_condition(None, COLUMNS, {}) as condition:
        assert condition is None


def test_a_condition_holds_nothing_open_once_its_context_is_left() -> None:
    with opened("seconds > 2") as condition:
        pass
    with pytest.raises(UsageError) as caught:
        condition.holds(THING)
    assert isinstance(caught.value.__cause__, sqlite3.ProgrammingError)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("nme = 'x'", "names 'nme', which is no column"),
        ("name = train", "names 'train', which is no column"),
        ("foo(1)", "calls foo, which it may not"),
        ("count(*)", "calls count, which it may not"),
        ("load_extension('x')", "calls load_extension, which it may not"),
        ("randomblob(10)", "calls randomblob, which it may not"),
        ("name ==== 1", "cannot be read near '=='"),
        ("commit = 'a'", "cannot be read near 'commit'"),
        ("name = ", "ends too early"),
        ("(1", "ends too early"),
        ("1 /* and", "ends too early"),
        ("'a", "a quote that is not closed: 'a$"),
        ("name = 'it's'", "a quote that is not closed: '$"),
        ('name = "a', "a quote that is not closed"),
        ("(seconds, 1) < (2, 3)", "cannot be used"),
        ("name = " + "NOT " * 900 + "1", "cannot be used"),
        ("", "cannot be read|ends too early"),
        ("1; DROP TABLE x", "near ';'"),
        ("1) OR (1", "near '\\)'"),
        ("1 THEN 2 WHEN 3", "near 'THEN'"),
        ("1 AS x", "near 'AS'"),
        ("1, 2", "cannot be used"),
        ("1 FROM sqlite_master", "near 'FROM'"),
        ("SELECT 1", "near 'SELECT'"),
        ("DELETE FROM x", "near 'DELETE'"),
        ("PRAGMA user_version", "near"),
        ("(SELECT 1 FROM sqlite_master)", "may only compare columns"),
        ("(SELECT name FROM pragma_database_list)", "cannot be used"),
        ("(WITH RECURSIVE t(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM t) SELECT x FROM t)", "may only compare"),
        ("?", "gap to be filled in"),
        (":name = 1", "gap to be filled in"),
        ("name = '\0'", "has a NUL"),
        ("name = '\udcff'", "bytes that are no text"),
    ],
)
def test_all_else_is_refused(text: str, reason: str) -> None:
    with pytest.raises(UsageError) as caught:
        holds(text)
    assert re.search(reason, caught.value.message)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("abs(-9223372036854775807 - 1)", "integer overflow"),
        (f"length({'replace(' * 12}name{', name, name || name || name || name)' * 12}) > 0", "too long"),
    ],
)
def test_what_cannot_be_worked_out_is_an_error(text: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        holds(text)


def test_what_takes_too_long_is_given_up() -> None:
    digits = " UNION ALL ".join(f"SELECT {digit} AS d" for digit in range(10))
    many = ", ".join(f"({digits}) AS t{number}" for number in range(9))
    with pytest.raises(UsageError, match="takes too long"):
        holds(f"EXISTS (SELECT 1 FROM {many} WHERE t0.d + t8.d > 100)")
