"""`.dverignore`: which files are no part of any dataset, in gitignore syntax.

Such a file counts for its own directory and everything below, from the repository's root down. The last pattern
that matches decides, and a deeper file overrules one above, as in git. Settings that list patterns have the same
syntax. Such files come with datasets and may be anybody's work: only regular files are read, links are passed over as
git passes over those in its place, and no pattern takes longer than its length and that of the path call for.
"""

import errno
import os
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dver.errors import ConfigError, os_hint
from dver.fileio import IrregularFileError, read_regular

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

IGNORE_FILE = ".dverignore"
MAX_IGNORE_FILE = 1 << 20

_IGNORE_NAME = os.fsencode(IGNORE_FILE)

# Parts of the regular expressions that patterns become: what stands for one letter that is no slash, a `*` and such
# letters up to the next, one segment of a path, and `**` between segments or before the first.
_LETTER = r"(?:\\.|[^\\\[\]()|?*+{}/^$.]|\[(?:\^/|\w[\w-]*)\](?![*+]))"
_STAR = re.compile(rf"\[\^/\]\*({_LETTER}+)(?=\[\^/\]\*)")
_SEGMENT = rf"((?:{_LETTER}|\[\^/\][*+]|\(\?>\[\^/\]\*\?{_LETTER}+\))+)"
_STARS = re.compile(rf"\(\?:/\.\+\)\?/{_SEGMENT}(?=\(\?:/\.\+\)\?/)")
_MOST_WILDCARDS = 3
_FIRST_STARS = re.compile(rf"\^\(\?:\.\+/\)\?{_SEGMENT}(?=\(\?:/\.\+\)\?/)")


class IgnoreRules:
    """The rules in force in one directory of a dataset. Without any `.dverignore` they cost nothing."""

    def __init__(self, specs: "tuple[tuple[str, str, GitIgnoreSpec], ...]" = ()) -> None:
        """Take rules as (prefix to put before a path in the dataset, prefix to take off the result, patterns)."""
        self._specs = specs

    def __bool__(self) -> bool:
        """Whether there are any rules."""
        return bool(self._specs)

    @classmethod
    def for_dataset(cls, root: Path, dataset: str) -> "IgnoreRules":
        """Return the rules of all directories from the repository's root down to the one that holds `dataset`."""
        specs = []
        parts = dataset.split("/")
        for depth in range(len(parts)):
            folder = "/".join(parts[:depth])
            spec = _read_spec(os.fsencode(root / folder / IGNORE_FILE))
            if spec is not None:
                specs.append((dataset + "/", folder + "/" if folder else "", spec))
        return cls(tuple(specs))

    def entering(self, prefix: bytes, directory: bytes) -> "IgnoreRules":
        """Return the rules for a directory of the dataset, whose paths begin with `prefix`."""
        spec = _read_spec(os.path.join(directory, _IGNORE_NAME))  # bytes paths
        if spec is None:
            return self
        return IgnoreRules((*self._specs, ("", os.fsdecode(prefix), spec)))

    def matches(self, path: bytes, *, is_directory: bool) -> bool:
        """Whether a path of the dataset is left out."""
        if not self._specs:
            return False
        text = os.fsdecode(path) + ("/" if is_directory else "")
        for before, off, spec in reversed(self._specs):
            include = spec.check_file((before + text).removeprefix(off)).include
            if include is not None:
                return include
        return False


class PathPatterns:
    """The patterns of a setting, for paths from the top of the repository."""

    def __init__(self, patterns: Sequence[str], where: str) -> None:
        """Take the patterns; `where` names the setting.

        Raises:
            ConfigError: one is malformed.
        """
        self._patterns = patterns
        self._spec = _compile(patterns, where) if patterns else None

    def find(self, path: str) -> str | None:
        """Return the pattern that decides on the file at `path`, or None if it does not match."""
        found = self._spec.check_file(path) if self._spec else None
        return self._patterns[found.index] if found and found.include and found.index is not None else None


def _read_spec(path: bytes) -> "GitIgnoreSpec | None":
    try:
        data = read_regular(path, MAX_IGNORE_FILE + 1)
    except (FileNotFoundError, NotADirectoryError, IrregularFileError):
        return None
    except OSError as exc:
        # Where such a path is too long, whoever walks meets the file itself and refuses it.
        if exc.errno == errno.ENAMETOOLONG:
            return None
        raise ConfigError(f"{os.fsdecode(path)}: cannot be read: {exc.strerror}", hint=os_hint(exc)) from exc
    if len(data) > MAX_IGNORE_FILE:
        raise ConfigError(f"{os.fsdecode(path)}: is too large for a file of patterns", hint="move it away")
    return _compile(data.decode("utf-8", "surrogateescape").splitlines(), os.fsdecode(path))


def _compile(lines: Sequence[str], where: str) -> "GitIgnoreSpec":
    # Most repositories have no patterns, and the pattern library takes its time to load.
    from pathspec import GitIgnoreSpec  # noqa: PLC0415
    from pathspec.patterns.gitignore import GitIgnorePatternError  # noqa: PLC0415
    from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern  # noqa: PLC0415

    def pattern(line: str) -> GitIgnoreSpecPattern:
        found = GitIgnoreSpecPattern(line)
        if found.regex is None or "*" not in line:
            return found
        expression = without_retries(found.regex.pattern)
        if _is_costly(expression):
            raise ConfigError(
                f"{where}: a pattern has too many wildcards: {line[:80]!r}", hint="write several patterns"
            )
        return GitIgnoreSpecPattern(re.compile(expression), found.include)

    try:
        with warnings.catch_warnings():
            # Python has plans for brackets within brackets; what they mean here is for the library to keep.
            warnings.simplefilter("ignore", FutureWarning)
            return GitIgnoreSpec.from_lines(lines, pattern)
    # The latter for letters in brackets that are in no order, which the library passes on as they are.
    except (GitIgnorePatternError, re.error) as exc:
        raise ConfigError(f"{where}: {exc}", hint="the syntax is that of .gitignore") from exc


def without_retries(expression: str) -> str:
    """Return the regular expression of a pattern so that it matches the same, and never tries a `*` in vain again.

    Where another `*` follows, the first place at which what is between them fits is as good as any later one, so it is
    kept. Without that, a line of a dozen `*` would take longer than anybody lives on a name that nearly fits.
    """
    expression = _STAR.sub(r"(?>[^/]*?\1)", expression)
    expression = _STARS.sub(r"(?>(?:/.+?)??/\1(?=/))", expression)
    return _FIRST_STARS.sub(r"^(?>(?:.+?/)??\1(?=/))", expression)


def _is_costly(expression: str) -> bool:
    """Whether a pattern would still be tried in too many ways, as it has several `*` around what may be a slash."""
    within = expression.replace("(?>[^/]*?", "").replace("[^/]*", "*").replace("[^/]", "?").split("/")
    return max(part.count("*") for part in within) > _MOST_WILDCARDS or expression.count(".+)?") > _MOST_WILDCARDS
