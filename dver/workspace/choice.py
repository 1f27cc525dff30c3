"""Which part of a dataset is wanted in the working tree: rules in order, of which the last that matches decides.

A rule is about a path, everything there or what matches a pattern in the syntax of `.gitignore`, relative to that path.
It says what is wanted, not what is here: for that there are the rows of the stat cache. Loads the pattern library only
where there are patterns and a path is asked about, for `dver status` reads choices as well.
"""

import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import dropwhile
from typing import TYPE_CHECKING, TypeAlias

from dver.errors import UsageError
from dver.objects.paths import is_within, is_within_any, parents

if TYPE_CHECKING:
    from pathspec import Pattern

_Matcher: TypeAlias = Callable[[bytes], bool]

_WANTED, _UNWANTED = "+", "-"


@dataclass(frozen=True, slots=True)
class Patterns:
    """What a user asks for in patterns; without any in `include` that is everything."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.include or self.exclude)


NO_PATTERNS = Patterns()


@dataclass(frozen=True, slots=True)
class Rule:
    """Whether something of a dataset is wanted.

    Attributes:
        path: a file or folder of the dataset; b"" for the whole.
        pattern: what there it is about, relative to `path`; "" for everything.
    """

    wanted: bool
    path: bytes
    pattern: str = ""


# Without slots, as what is asked about each path is worked out once.
@dataclass(frozen=True)
class Choice:
    """Which paths of a dataset are wanted. Without any rule none is.

    A command may name thousands of paths, so nothing here compares each rule with each other, or with each path.
    """

    rules: tuple[Rule, ...] = ()

    @classmethod
    def of_paths(cls, paths: Iterable[bytes]) -> "Choice":
        """Return the choice of everything at some paths, and of nothing else."""
        return cls(tuple(Rule(True, path) for path in paths))

    @property
    def is_everything(self) -> bool:
        """Whether it surely leaves nothing out."""
        return bool(self.rules) and self.rules[-1] == Rule(True, b"")

    @property
    def paths(self) -> tuple[bytes, ...]:
        """The paths at which surely everything is wanted."""
        found: list[bytes] = []
        unwanted: set[bytes] = set()
        above_unwanted: set[bytes] = set()
        for rule in reversed(self.rules):
            if not rule.wanted:
                unwanted.add(rule.path)
                above_unwanted.update(parents(rule.path))
            elif not (rule.pattern or rule.path in above_unwanted or is_within_any(rule.path, unwanted)):
                found.append(rule.path)
        return tuple(reversed(found))

    def covers(self, path: bytes) -> bool:
        """Whether a path is wanted."""
        plain, patterned = self._compiled
        last = max((plain[one] for one in (path, *parents(path)) if one in plain), default=(-1, False))
        for at, wanted, matches in patterned:
            if at < last[0]:
                break
            if matches(path):
                return wanted
        return last[1]

    @cached_property
    def _compiled(self) -> tuple[dict[bytes, tuple[int, bool]], tuple[tuple[int, bool, _Matcher], ...]]:
        """The last rule for each path, with its place among the rules, and those with patterns, the last first."""
        numbered = [*enumerate(self.rules)]
        plain = {rule.path: (at, rule.wanted) for at, rule in numbered if not rule.pattern}
        return plain, tuple((at, rule.wanted, _matcher(rule)) for at, rule in reversed(numbered) if rule.pattern)

    def then(self, *rules: Rule) -> "Choice":
        """Return the choice with more rules at its end; those that they leave without effect go."""
        kept: list[Rule] = []
        later: set[Rule] = set()
        decided: set[bytes] = set()
        for at, rule in reversed([*enumerate((*self.rules, *rules))]):
            if rule not in later and not is_within_any(rule.path, decided):
                kept.append(rule)
            if at >= len(self.rules):
                later.add(rule)
                if not rule.pattern:
                    decided.add(rule.path)
        # Where nothing is wanted yet, there is nothing to take back.
        return Choice(tuple(dropwhile(lambda rule: not rule.wanted, reversed(kept))))

    def encode(self) -> str:
        """Return the choice as text, one rule a line."""
        return "\n".join(_encode_rule(rule) for rule in self.rules)

    @classmethod
    def decode(cls, text: str) -> "Choice":
        """Return the choice that `encode` made a text of."""
        return cls(tuple(_decode_rule(line) for line in text.split("\n"))) if text else cls()


def choose(old: Choice | None, asked: Sequence[bytes], patterns: Patterns, *, whole: bool) -> Choice | None:
    """Return the choice after a command, None for everything, given the one before it.

    Args:
        asked: the paths within the dataset that it names; none for the dataset.
        patterns: what it wants of these; without any they are wanted wholly, beside what was wanted before.
        whole: whether a dataset of which nothing is named is to be whole from now on.
    """
    if patterns:
        chosen = Choice.of_paths([b""]) if old is None else old
        for scope in asked or (b"",):
            chosen = chosen.then(*_narrow(scope, patterns))
    elif old is None or (whole and not asked):
        return None
    else:
        chosen = old.then(*(Rule(True, path) for path in asked))
    return None if chosen.is_everything else chosen


def choose_afresh(asked: Sequence[bytes], patterns: Patterns) -> Choice | None:
    """Return the choice after a command, None for everything, where there was none of the dataset before."""
    return choose(Choice(), asked, patterns, whole=not asked)


def check_patterns(include: Sequence[str], exclude: Sequence[str]) -> Patterns:
    """Return patterns as a user gives them.

    Raises:
        UsageError: one cannot be a pattern, or matches nothing whatever there is.
    """
    for pattern in (*include, *exclude):
        if not pattern.strip() or pattern.startswith("#"):
            raise UsageError(
                f"{pattern!r} is no pattern but an empty line or a comment",
                hint="\\#NAME is for names that begin with #",
            )
        if pattern.startswith("!"):
            raise UsageError(
                f"{pattern!r} would turn the pattern around",
                hint="--include and --exclude do that; \\!NAME is for names that begin with !",
            )
        # Of slashes alone, git makes patterns that match nothing, or none at all.
        if _compiled_pattern(pattern).include is None or not pattern.strip().strip("/"):
            raise UsageError(
                f"{pattern!r} is no pattern that anything matches", hint="'*' matches everything in the dataset"
            )
    return Patterns(tuple(include), tuple(exclude))


def _narrow(scope: bytes, patterns: Patterns) -> list[Rule]:
    """Return the rules by which of a path only what fits the patterns is wanted, whatever others say."""
    wanted = [Rule(True, scope, pattern) for pattern in patterns.include] or [Rule(True, scope)]
    return [Rule(False, scope), *wanted, *(Rule(False, scope, pattern) for pattern in patterns.exclude)]


def _matcher(rule: Rule) -> _Matcher:
    """Return what a rule with a pattern matches."""
    top = rule.path
    matches = _compile(rule.pattern)
    start = len(top) + 1 if top else 0

    def fits(path: bytes) -> bool:
        if not is_within(path, top):
            return False
        # Of a file that is named itself, the name is what the pattern is about.
        return matches(path[start:] if len(path) > start else path.rpartition(b"/")[2])

    return fits


def _compile(pattern: str) -> _Matcher:
    compiled = _compiled_pattern(pattern)
    # A pattern by itself needs no look at which of several is the last.
    return lambda path: compiled.match_file(os.fsdecode(path)) is not None


@lru_cache(maxsize=64)
def _compiled_pattern(pattern: str) -> "Pattern":
    # Most choices have no patterns, and the pattern library takes its time to load.
    from pathspec import GitIgnoreSpec  # noqa: PLC0415
    from pathspec.patterns.gitignore import GitIgnorePatternError  # noqa: PLC0415

    try:
        (compiled,) = GitIgnoreSpec.from_lines([pattern]).patterns
    except (GitIgnorePatternError, re.error) as exc:
        raise UsageError(f"{pattern!r} is no pattern: {exc}", hint="the syntax is that of .gitignore") from exc
    return compiled


def _encode_rule(rule: Rule) -> str:
    if rule.wanted and rule.path and not rule.pattern:
        return rule.path.hex()
    return f"{_WANTED if rule.wanted else _UNWANTED}{rule.path.hex()}:{os.fsencode(rule.pattern).hex()}"


def _decode_rule(line: str) -> Rule:
    path, _, pattern = line.lstrip(_WANTED + _UNWANTED).partition(":")
    return Rule(not line.startswith(_UNWANTED), bytes.fromhex(path), os.fsdecode(bytes.fromhex(pattern)))
