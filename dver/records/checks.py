"""What the fields of a lineage record may be: types, forms and paths, looked at before anything is made of them.

Source of the forms: the table of fields in `docs/design/formats.md`.
"""

import math
import re
import sys
from collections.abc import Collection, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from dver.errors import FormatError
from dver.objects.entry import check_path

CONTENT_HASH = re.compile(r"b3:[0-9a-f]{64}")
_VERSION = re.compile(r"b3:[0-9a-f]{64}|git:(?:[0-9a-f]{40}|[0-9a-f]{64})")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z", re.ASCII)
_STRINGS = frozenset((str,))
_NUMBERS = frozenset((int, float))
_SCALARS = frozenset((str, int, float, bool, type(None)))
_RECORD_TYPES = {
    **dict.fromkeys(("name", "folder", "commit", "key", "reuses", "source", "note"), str),
    **dict.fromkeys(("shell", "dirty", "observed"), bool),
    **dict.fromkeys(("command", "inputs", "outputs"), list),
    **dict.fromkeys(("params", "environment", "tags"), dict),
    "exit": int,
}
_ARTIFACT_TYPES = {
    **dict.fromkeys(("path", "version", "dataset", "dataset_version", "kind"), str),
    "observed": bool,
    "props": dict,
}
_ENVIRONMENT_TYPES = dict.fromkeys(("python", "platform", "packages", "image"), str)
_NO_FIELDS: Mapping[str, Any] = {}
# Most records name the same paths again; longer ones are looked at each time, so that little memory is held.
_PATHS_HELD = 1 << 14
_SHORT_PATH = 256


def check_fields(fields: Mapping[str, Any], states: Collection[str], where: str) -> None:
    """Check all fields of a line but the format and the name; `states` are those that a record may have.

    Raises:
        FormatError: one is not what it should be, or names an unsafe path; `where` names the line.
    """
    _Checker(states, where).check_record(fields)


def _is_finite(value: object) -> bool:
    return type(value) is not float or math.isfinite(value)


@lru_cache(maxsize=_PATHS_HELD)
def _is_safe(path: str) -> bool:
    try:
        raw = path.encode("utf-8", "surrogateescape")
        check_path(raw, "")
    except (UnicodeEncodeError, FormatError):
        return False
    return bool(raw)


class _Checker:
    """Looks through the fields of one line, and refuses what is not of its type.

    Types are compared and not asked for: there are no subclasses in what was JSON, and a million lines are to be read
    while a user waits.
    """

    __slots__ = ("_states", "_where")

    def __init__(self, states: Collection[str], where: str) -> None:
        self._states = states
        self._where = where

    def check_record(self, fields: Mapping[str, Any]) -> None:
        """Check all fields but the format and the name."""
        self._check_types(fields, _RECORD_TYPES)
        if fields.get("state") not in self._states:
            raise self._wrong("state")
        self._check_moment(fields.get("started"))
        if not _STRINGS.issuperset(map(type, fields.get("command", ()))):
            raise self._wrong("command")
        if fields.get("folder"):
            self._check_path(fields["folder"])
        for name in ("inputs", "outputs"):
            for artifact in fields.get(name, ()):
                self._check_artifact(artifact)
        self._check_scalars(fields, "params")
        self._check_seconds(fields.get("seconds", 0.0))
        if "environment" in fields:
            self._check_types(fields["environment"], _ENVIRONMENT_TYPES)
        if not _STRINGS.issuperset(map(type, fields.get("tags", _NO_FIELDS).values())):
            raise self._wrong("tags")

    def _check_artifact(self, fields: Any) -> None:
        if type(fields) is not dict:
            raise self._wrong("inputs and outputs")
        self._check_types(fields, _ARTIFACT_TYPES)
        self._check_path(fields.get("path", ""))
        if not _VERSION.fullmatch(fields.get("version", "")):
            raise self._wrong("version")
        dataset = fields.get("dataset")
        if dataset:
            self._check_path(dataset)
            if fields["path"] != dataset and not fields["path"].startswith(dataset + "/"):
                raise self._wrong("dataset")
            if not CONTENT_HASH.fullmatch(fields.get("dataset_version", "")):
                raise self._wrong("dataset_version")
        if "props" in fields:
            self._check_scalars(fields, "props")

    def _check_moment(self, started: Any) -> None:
        try:
            if type(started) is str and _MOMENT.fullmatch(started) and datetime.fromisoformat(started):
                return
        except ValueError:
            pass
        raise self._wrong("started")

    def _check_path(self, path: str) -> None:
        if len(path) <= _SHORT_PATH and _is_safe(path):
            return
        try:
            raw = path.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            raise self._wrong("path") from None
        if not raw:
            raise self._wrong("path")
        check_path(raw, self._where)

    def _check_seconds(self, value: Any) -> None:
        if type(value) not in _NUMBERS or not 0 <= value <= sys.float_info.max:
            raise self._wrong("seconds")

    def _check_scalars(self, fields: Mapping[str, Any], name: str) -> None:
        if name not in fields:
            return
        values = fields[name].values()
        types = set(map(type, values))
        if not types <= _SCALARS or (float in types and not all(map(_is_finite, values))):
            raise self._wrong(name)

    def _check_types(self, fields: Mapping[str, Any], types: Mapping[str, type]) -> None:
        for name, value in fields.items():
            # What has no type here is unknown to this version, or is looked at in another way.
            if type(value) is not types.get(name, type(value)):
                raise self._wrong(name)

    def _wrong(self, name: str) -> FormatError:
        return FormatError(self._where, f"is a lineage record with a wrong field: {name}")
