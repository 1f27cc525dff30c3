"""`.dverignore`: which files are no part of any dataset, in gitignore syntax.

Such a file counts for its own directory and everything below, from the repository's root down. The last pattern
that matches decides, and a deeper file overrules one above, as in git. Settings that list patterns have the same
syntax.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dver.errors import ConfigError

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

IGNORE_FILE = ".dverignore"
_IGNORE_NAME = os.fsencode(IGNORE_FILE)


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
        with open(path, encoding="utf-8", errors="surrogateescape") as file:  # bytes paths
            lines = file.read().splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as exc:
        raise ConfigError(f"{os.fsdecode(path)}: cannot be read: {exc.strerror}") from exc
    return _compile(lines, os.fsdecode(path))


def _compile(lines: Sequence[str], where: str) -> "GitIgnoreSpec":
    # Most repositories have no patterns, and the pattern library takes its time to load.
    from pathspec import GitIgnoreSpec  # noqa: PLC0415
    from pathspec.patterns.gitignore import GitIgnorePatternError  # noqa: PLC0415

    try:
        return GitIgnoreSpec.from_lines(lines)
    except GitIgnorePatternError as exc:
        raise ConfigError(f"{where}: {exc}", hint="the syntax is that of .gitignore") from exc
