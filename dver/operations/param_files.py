"""Files of parameters: what is in a YAML, TOML or JSON file, and the values in it by their dotted keys.

Records name such files, and a record is anybody's work; so is the file. All that is read is bounded, in bytes, in
depth, and in how many values it may stand for, nothing is read that lies elsewhere, and a file is read once for all
that is asked of it.
"""

import difflib
import json
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dver.errors import PathError, os_hint
from dver.fileio import read_regular
from dver.operations.param_limits import MAX_DEPTH, MAX_FILE, MAX_KEY, TooMuchError, check_depth, check_tree

PARAM_HINT = "-p FILE:KEY reads a value from a YAML, TOML or JSON file; -p KEY=VALUE gives one"
SMALLER_HINT = "put the parameters into a smaller file of their own, or give them by -p KEY=VALUE"

# These have secrets, and nothing that a run is made with.
_NOT_THERE = (".git", ".dver")
_TOML_TEXT = re.compile(r'"""(?:\\.|[^\\])*?"""|\'\'\'.*?\'\'\'|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|#[^\n]*', re.DOTALL)
_LONG_TOML_KEY = re.compile(rf"(?<![\w-])(?:[\w-]++[ \t]*+\.[ \t]*+){{{MAX_DEPTH}}}")


class ParamFiles:
    """The files of parameters below a folder; each is read once, and what is wrong with one is kept.

    Attributes:
        unreadable: what is wrong with files that are there and cannot be read.
    """

    def __init__(self, root: Path) -> None:
        self.unreadable: dict[str, PathError] = {}
        self._root = root
        self._documents: dict[str, Any] = {}
        # By the value's identity: the documents keep all of them.
        self._children: dict[int, Mapping[str, Any]] = {}

    def value(self, file: str, key: str) -> Any:
        """Return the value of a dotted key.

        Raises:
            PathError: the file cannot be read, or has no such key.
        """
        document = self._document(file)
        try:
            return self._look_up(document, key)
        except KeyError:
            shown = key if len(key) <= MAX_KEY else f"{key[:100]}…"
            raise PathError(file, f"has no value {shown}", hint=f"keys are dotted: {PARAM_HINT}") from None

    def _document(self, file: str) -> Any:
        if file in self.unreadable:
            raise self.unreadable[file]
        if file not in self._documents:
            reader = _READERS.get(Path(file).suffix.lower())
            if reader is None:
                raise PathError(file or ".", "is no file that parameters can be read from", hint=PARAM_HINT)
            try:
                self._documents[file] = _parse(file, read_param_file(self._root, file), reader)
            except FileNotFoundError as exc:
                raise PathError(file, "there is no such file", hint=_missing_hint(self._root, file)) from exc
            except PathError as exc:
                self.unreadable[file] = exc
                raise
        return self._documents[file]

    def _look_up(self, value: Any, key: str) -> Any:
        """Return the value of a dotted key; a key that has dots of its own is found too."""
        if len(key) > MAX_KEY:
            raise KeyError(key)
        children = self._below(value)
        if key in children:
            return children[key]
        parts = key.split(".")
        for length in range(len(parts) - 1, 0, -1):
            head = ".".join(parts[:length])
            if head in children:
                return self._look_up(children[head], ".".join(parts[length:]))
        raise KeyError(key)

    def _below(self, value: Any) -> Mapping[str, Any]:
        if not isinstance(value, dict | list):
            return {}
        known = self._children.get(id(value))
        if known is None:
            pairs = value.items() if isinstance(value, dict) else enumerate(value)
            known = self._children[id(value)] = {str(key): below for key, below in pairs}
        return known


def read_param_file(root: Path, file: str) -> bytes:
    """Return what is in a file below `root`, which may be reached by links if these lead nowhere else.

    Raises:
        FileNotFoundError: there is none.
        PathError: it cannot be read, is no regular file, lies elsewhere or in the folders of git or dver, or is large.
    """
    top = os.path.realpath(root)
    place = os.path.realpath(root / file)
    inside, _, _ = place.removeprefix(top.rstrip(os.sep) + os.sep).partition(os.sep)
    if not place.startswith(top.rstrip(os.sep) + os.sep) or inside in _NOT_THERE:
        hint = "put a file of its own in its place, or give the values by -p KEY=VALUE"
        raise PathError(file, "is not read: it lies, or a link leads, outside of the project's own files", hint=hint)
    try:
        data = read_regular(Path(place), MAX_FILE + 1)
    except NotADirectoryError as exc:
        raise FileNotFoundError(*exc.args) from exc
    except FileNotFoundError:
        raise
    except OSError as exc:
        raise PathError(file, f"cannot be read: {exc.strerror}", hint=os_hint(exc)) from exc
    if len(data) > MAX_FILE:
        raise PathError(file, f"is larger than a file of parameters may be ({MAX_FILE:,} bytes)", hint=SMALLER_HINT)
    return data


def _parse(file: str, data: bytes, reader: Callable[[str], Any]) -> Any:
    try:
        return reader(data.decode())
    except TooMuchError as exc:
        raise PathError(file, f"is more than a file of parameters may be: {exc}", hint=SMALLER_HINT) from exc
    except RecursionError as exc:
        why = f"is more than a file of parameters may be: it is nested more than {MAX_DEPTH} deep"
        raise PathError(file, why, hint=SMALLER_HINT) from exc
    except ValueError as exc:
        raise PathError(file, f"cannot be read: {' '.join(str(exc).split())}") from exc


def _missing_hint(root: Path, file: str) -> str:
    """Name the file of settings beside it whose name is most like that of a missing one."""
    folder = Path(file).parent
    try:
        names = sorted(name for name in os.listdir(root / folder) if Path(name).suffix.lower() in _READERS)
    except OSError:
        names = []
    # Their ends are like one another anyway.
    by_stem = {Path(name).stem: name for name in names}
    like = difflib.get_close_matches(Path(file).stem, by_stem, n=1)
    if like:
        return f"there is {folder / by_stem[like[0]]}"
    return "FILE of -p FILE:KEY is looked for from the folder where dver runs; -p KEY=VALUE gives a value without one"


def _read_yaml(text: str) -> Any:
    # Deferred: it takes long to load, and most runs have no parameters from such a file.
    from dver.operations.param_yaml import parse_yaml  # noqa: PLC0415

    return parse_yaml(text)


def _read_toml(text: str) -> Any:
    # The library's time grows with the square of a key's parts.
    if _LONG_TOML_KEY.search(_TOML_TEXT.sub("t", text)):
        check_depth(MAX_DEPTH + 1)
    document = tomllib.loads(text)
    check_tree(document)
    return document


def _read_json(text: str) -> Any:
    document = json.loads(text)
    check_tree(document)
    return document


_READERS: Mapping[str, Callable[[str], Any]] = {
    ".yaml": _read_yaml,
    ".yml": _read_yaml,
    ".toml": _read_toml,
    ".json": _read_json,
}
