"""The syntax of conditions: reads an expression in SQL, and writes it so that texts are never taken for numbers.

To SQLite every text is greater than every number, and zero in a sum. Here comparisons and sums become calls of
functions that know better; all else is written as it was read. A comparison with COLLATE stays what it is to SQLite,
for no function can see that word.

Only what SQLite has accepted before is read, so what is said here of mistakes is about the few that it cannot tell of,
and about what this reader does not know.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, TypeAlias

from dver.errors import UsageError

Value: TypeAlias = str | int | float | bytes | None

_TOKEN = re.compile(
    r"(?P<space>\s+|--[^\n]*|/\*.*?(?:\*/|\Z))"
    r"|(?P<text>[xX]?'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`(?:[^`]|``)*`|\[[^\]]*\])"
    r"|(?P<open>['\"`\[])"
    r"|(?P<number>0[xX][0-9a-fA-F]+|(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
    r"|(?P<word>[^\W\d][\w$]*)"
    r"|(?P<sign><<|>>|<=|>=|==|<>|!=|\|\||->>|->|.)",
    re.DOTALL,
)
_COMPARISONS = {
    "<": "dver_less",
    "<=": "dver_at_most",
    ">": "dver_more",
    ">=": "dver_at_least",
    "=": "dver_equal",
    "==": "dver_equal",
    "<>": "dver_other",
    "!=": "dver_other",
}
_NUMBER = "dver_number"
_BETWEEN = "dver_between"
_ARITHMETIC = ("+", "-", "*", "/", "%")
_OF_NUMBERS = ("abs", "round", "sign")
# How closely signs and words bind, as SQLite has it.
_OR, _AND, _NOT, _EQUAL, _ORDER, _BITS, _SUM, _PRODUCT, _JOIN, _COLLATE, _SIGN = range(1, 12)
_BINDING = {
    "OR": _OR,
    "AND": _AND,
    **dict.fromkeys(("=", "==", "<>", "!=", "IS", "IN", "LIKE", "GLOB", "MATCH", "REGEXP", "BETWEEN"), _EQUAL),
    **dict.fromkeys(("ISNULL", "NOTNULL", "NOT"), _EQUAL),
    **dict.fromkeys(("<", "<=", ">", ">="), _ORDER),
    **dict.fromkeys(("<<", ">>", "&", "|"), _BITS),
    **dict.fromkeys(("+", "-"), _SUM),
    **dict.fromkeys(("*", "/", "%"), _PRODUCT),
    **dict.fromkeys(("||", "->", "->>"), _JOIN),
    "COLLATE": _COLLATE,
}
_SUBQUERIES = ("SELECT", "VALUES", "WITH")
_SHOWN = 40


class _Token(NamedTuple):
    kind: str
    text: str

    @property
    def key(self) -> str:
        """The text, a word of SQL in capitals."""
        return self.text.upper() if self.kind == "word" else self.text if self.kind == "sign" else ""


_END = _Token("end", "")


def check_quotes(text: str) -> None:
    """Raise UsageError where a quote is not closed."""
    for found in _TOKEN.finditer(text):
        if found.lastgroup == "open":
            raise UsageError(
                f"the condition has a quote that is not closed: {text[found.start() :][:_SHOWN]}",
                hint="texts stand in '…', and a quote within one is doubled: 'it''s'",
            )


def with_types_apart(text: str) -> str:
    """Return an expression that says the same and keeps texts and numbers apart, by calls of `FUNCTIONS`.

    Raises:
        UsageError: it has something that this reader does not know.
    """
    reader = _Reader(text)
    try:
        written = reader.expression(0)
    except RecursionError as exc:
        raise UsageError("the condition cannot be used: it has too many levels") from exc
    reader.expect_end()
    return written


class _Reader:
    """Reads by how closely operators bind, and gives back what it has read as the text to be written."""

    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._at = 0

    def expression(self, least: int) -> str:
        """Read operands and the operators between them that bind at least so closely."""
        left = self._operand()
        while True:
            key = self._next.key
            binding = _BINDING.get(key, 0)
            if not binding or binding < least:
                return left
            left = self._rest(left, key, binding)

    def expect_end(self) -> None:
        """Raise UsageError if there is more."""
        if self._next is not _END:
            raise self._unknown()

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at] if self._at < len(self._tokens) else _END

    def _take(self, *keys: str) -> str:
        """Return the next token, which must be one of these if any are given."""
        token = self._next
        if token is _END or (keys and token.key not in keys):
            raise self._unknown()
        self._at += 1
        return token.text

    def _takes(self, key: str) -> bool:
        if self._next.key != key:
            return False
        self._at += 1
        return True

    def _unknown(self) -> UsageError:
        return UsageError(
            f"the condition cannot be read near {self._next.text!r}" if self._next.text else "the condition ends early",
            hint="comparisons, sums, AND, OR, NOT, CASE and calls of functions can be",
        )

    def _rest(self, left: str, key: str, binding: int) -> str:
        """Read an operator and what follows it."""
        sign = self._take()
        if key in _COMPARISONS:
            right = self.expression(binding + 1)
            if _collates(left) or _collates(right):
                return f"{left} {sign} {right}"
            return f"{_COMPARISONS[key]}({left}, {right})"
        if key in _ARITHMETIC:
            return f"{_number(left)} {sign} {_number(self.expression(binding + 1))}"
        if binding == _EQUAL:
            return self._test(left, key, sign)
        if key == "COLLATE":
            return f"{left} COLLATE {self._take()}"
        return f"{left} {sign} {self.expression(binding + 1)}"

    def _test(self, left: str, key: str, sign: str) -> str:
        """Read the rest of a test that has words, such as IN and BETWEEN."""
        if key in ("ISNULL", "NOTNULL"):
            return f"{left} {sign}"
        negation = ""
        if key == "NOT":
            negation, key = "NOT ", self._next.key
            sign = self._take("NULL", "IN", "LIKE", "GLOB", "MATCH", "REGEXP", "BETWEEN")
            if key == "NULL":
                return f"{left} NOT NULL"
        if key == "BETWEEN":
            low = self.expression(_ORDER)
            self._take("AND")
            high = self.expression(_ORDER)
            if any(map(_collates, (left, low, high))):
                return f"{left} {negation}BETWEEN {low} AND {high}"
            return f"({negation}{_BETWEEN}({left}, {low}, {high}))"
        if key == "IS":
            negation += "NOT " * self._takes("NOT")
            if self._takes("DISTINCT"):
                self._take("FROM")
                negation += "DISTINCT FROM "
            return f"{left} IS {negation}{self.expression(_ORDER)}"
        right = self.expression(_ORDER)
        escape = f" ESCAPE {self.expression(_ORDER)}" if self._takes("ESCAPE") else ""
        return f"{left} {negation}{sign} {right}{escape}"

    def _operand(self) -> str:
        token = self._next
        if token.key == "NOT":
            return f"{self._take()} {self.expression(_NOT)}"
        if token.key in ("-", "+", "~"):
            # A space keeps two minus signs from being a comment.
            return f"{self._take()} {_number(self.expression(_SIGN))}"
        if token.key == "(":
            return self._bracket()
        if token.key == "CASE":
            return self._case()
        if token.key == "CAST":
            return self._cast()
        if token.kind not in ("text", "number", "word"):
            raise self._unknown()
        word = self._take()
        while self._takes("."):
            word += f".{self._take()}"
        return self._call(word) if token.kind == "word" and self._next.key == "(" else word

    def _bracket(self) -> str:
        self._take("(")
        return f"({', '.join(self._list())})"

    def _subquery(self) -> str:
        """Take over a query as it is, up to the end of its bracket: there are no rows that it could be about."""
        words: list[str] = []
        depth = 1
        while depth:
            words.append(self._take())
            depth += {"(": 1, ")": -1}.get(words[-1], 0)
        return " ".join(words[:-1])

    def _call(self, name: str) -> str:
        self._take("(")
        arguments = [] if self._takes(")") else self._list()
        if name.lower() in _OF_NUMBERS:
            arguments = [*map(_number, arguments[:1]), *arguments[1:]]
        return f"{name}({', '.join(arguments)})"

    def _list(self) -> list[str]:
        """Read what stands in a bracket, up to its end."""
        if self._next.key in _SUBQUERIES:
            return [self._subquery()]
        if self._takes(")"):
            return []
        found = [self.expression(0)]
        while self._take(",", ")") == ",":
            found.append(self.expression(0))
        return found

    def _case(self) -> str:
        words = [self._take("CASE")]
        if self._next.key != "WHEN":
            words.append(self.expression(0))
        while self._next.key in ("WHEN", "THEN", "ELSE"):
            words += [self._take(), self.expression(0)]
        return " ".join([*words, self._take("END")])

    def _cast(self) -> str:
        self._take("CAST")
        self._take("(")
        what = self.expression(0)
        self._take("AS")
        words = []
        while self._next.kind == "word":
            words.append(self._take())
        self._take(")")
        return f"CAST({what} AS {' '.join(words)})"


def _tokens(text: str) -> Iterator[_Token]:
    for found in _TOKEN.finditer(text):
        if found.lastgroup not in ("space", None):
            yield _Token(found.lastgroup, found[0])


def _collates(written: str) -> bool:
    return any(token.key == "COLLATE" for token in _tokens(written))


def _number(written: str) -> str:
    return written if re.fullmatch(r"[\d.]+", written) else f"{_NUMBER}({written})"


def number_of(value: Value) -> int | float | None:
    """Return a number, or the one that a text is, such as `1e-3`; None for what is none."""
    if isinstance(value, int | float) or value is None:
        return value
    if isinstance(value, bytes) or not _NUMERAL.fullmatch(value):
        return None
    found = float(value)
    return int(value) if value.lstrip("+-").isdigit() and abs(found) < _EXACT else found


_NUMERAL = re.compile(r"[+-]?(?:\d{1,300}\.?\d{0,300}|\.\d{1,300})(?:[eE][+-]?\d{1,4})?", re.ASCII)
_EXACT = 2**63


def _ordered(low: Value, high: Value, *, may_equal: bool = False) -> bool | None:
    """Whether a value is less than another; None where nobody can say."""
    if isinstance(low, str) and isinstance(high, str):
        return low <= high if may_equal else low < high
    one, other = number_of(low), number_of(high)
    if one is None or other is None:
        return None
    return one <= other if may_equal else one < other


def _equal(one: Value, other: Value) -> bool | None:
    if one is None or other is None:
        return None
    if isinstance(one, str) is isinstance(other, str):
        return one == other
    return number_of(one) == number_of(other) if number_of(one) is not None else False


def _other(one: Value, other: Value) -> bool | None:
    is_equal = _equal(one, other)
    return None if is_equal is None else not is_equal


def _between(value: Value, low: Value, high: Value) -> bool | None:
    above, below = _ordered(low, value, may_equal=True), _ordered(value, high, may_equal=True)
    if above is False or below is False:
        return False
    return None if above is None or below is None else True


FUNCTIONS: Mapping[str, tuple[int, Callable[..., int | float | None]]] = {
    "dver_less": (2, _ordered),
    "dver_at_most": (2, lambda one, other: _ordered(one, other, may_equal=True)),
    "dver_more": (2, lambda one, other: _ordered(other, one)),
    "dver_at_least": (2, lambda one, other: _ordered(other, one, may_equal=True)),
    "dver_equal": (2, _equal),
    "dver_other": (2, _other),
    _BETWEEN: (3, _between),
    _NUMBER: (1, number_of),
}
"""The functions that a written expression calls: how many arguments each takes, and what it does."""
