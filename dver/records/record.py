"""Lineage records: one command that ran, what went into it, what came out of it, and in which circumstances.

A record is one line of canonical JSON (RFC 8259; keys sorted, no spaces, ASCII only, empty fields left out), named by
the BLAKE3-256 of that line without the name. `docs/design/formats.md` lists the fields. Paths are relative to the top
of the repository and as dver spells them everywhere: what is not UTF-8 in them is lone surrogates.

Invariant: a record that was decoded has a name that fits its content, and no path in it leads out of the repository.
"""

import json
import math
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, NewType, TypeAlias

from blake3 import blake3

from dver.errors import FormatError, UnsupportedFormatError
from dver.objects.entry import check_path
from dver.objects.ids import VERSION_PREFIX

RecordId = NewType("RecordId", str)
Scalar: TypeAlias = str | int | float | bool | None

FORMAT = 1
MAX_LINE = 4 * 1024 * 1024
BLOB_PREFIX = "git:"
RECORD_CONTEXT = "dver 2026-11 lineage record v1"
DATASET = "dataset"

LINE_ENDS = b"\r\n"
_NAME_MEMBER = b',"id":"' + VERSION_PREFIX.encode()
_DIGITS = 64
_CONTENT_HASH = re.compile(r"b3:[0-9a-f]{64}")
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
# Most records name the same paths again; longer ones are looked at each time, so that little memory is held.
_PATHS_HELD = 1 << 14
_SHORT_PATH = 256


class State(StrEnum):
    """How a run ended, or where else a record comes from."""

    COMPLETE = "complete"
    FAILED = "failed"
    CACHED = "cached"
    IMPORTED = "imported"


_STATES = {state.value: state for state in State}
_STATE_NAMES = tuple(_STATES)


@dataclass(frozen=True, slots=True)
class Artifact:
    """A version of a file or folder that went into a run or came out of it.

    Attributes:
        path: where it was.
        version: `b3:` and the hexadecimal version of data that dver has; `git:` and the id of a blob that git has; or
            `b3:` and the BLAKE3-256 of a file that neither has. For a part of a dataset it is the version that the part
            would have as a dataset.
        dataset: the dataset that it is part of, "" for one that is none.
        dataset_version: the version of that dataset.
        kind: what it is to people: `dataset`, `code`, `env`, `model`, `metrics` or any other word.
        observed: whether it was seen rather than declared.
        props: free properties.
    """

    path: str
    version: str
    dataset: str = ""
    dataset_version: str = ""
    kind: str = DATASET
    observed: bool = False
    props: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Environment:
    """What a run ran on.

    Attributes:
        python: the version of the interpreter that ran; "" where none did.
        platform: operating system and machine, such as `linux-x86_64`.
        packages: the version of the stored list of installed packages; "" for none.
        image: the digest of a container image.
    """

    python: str = ""
    platform: str = ""
    packages: str = ""
    image: str = ""


_ENVIRONMENT_TYPES = dict.fromkeys(Environment.__slots__, str)
_NO_FIELDS: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Record:
    """One run or import.

    Attributes:
        name: what the user calls the step; "" for no name.
        command: the program and its arguments, or one line for a shell; empty for an import, and where a program
            that recorded itself cannot be started again.
        shell: whether `command` is one line for a shell.
        folder: where it ran, relative to the repository; "" for the top.
        params: parameters by name, `FILE:KEY` for those that were read from a file.
        commit: the git commit that was checked out; "" before the first.
        dirty: whether files that git tracks differed from it.
        started: when, in UTC: `2026-11-23T13:00:00.123Z`.
        seconds: how long it took.
        exit_code: of the command; None where none was waited for.
        key: the cache key; "" where the record never serves again.
        reuses: the record whose outputs were restored instead of running.
        source: the URL that imported data came from.
        note: what the user says about it.
        observed: whether the command was watched, so that what it used beside its inputs is among them.
    """

    state: State
    started: str
    name: str = ""
    command: tuple[str, ...] = ()
    shell: bool = False
    folder: str = ""
    inputs: tuple[Artifact, ...] = ()
    outputs: tuple[Artifact, ...] = ()
    params: Mapping[str, Scalar] = field(default_factory=dict)
    commit: str = ""
    dirty: bool = False
    seconds: float = 0.0
    exit_code: int | None = None
    environment: Environment = Environment()
    tags: Mapping[str, str] = field(default_factory=dict)
    key: str = ""
    reuses: str = ""
    source: str = ""
    note: str = ""
    observed: bool = False
    # Of a record that was decoded; working it out again would take as long as decoding.
    _id: str = field(default="", init=False, repr=False, compare=False)

    @property
    def id(self) -> RecordId:
        """The name: `b3:` and the hash of the content."""
        return RecordId(self._id) if self._id else _hash(_canonical(_fields(self)))


def encode_record(record: Record) -> bytes:
    """Return the line of a record, with the newline.

    Raises:
        FormatError: it is longer than `MAX_LINE`, or has a number that JSON cannot have.
    """
    fields = _fields(record)
    try:
        identity = _hash(_canonical(fields))
    except ValueError as exc:
        raise FormatError("the lineage record", "has a number that is not finite") from exc
    line = _canonical({**fields, "id": identity}) + b"\n"
    if len(line) > MAX_LINE:
        raise FormatError(
            "the lineage record", f"is {len(line):,} bytes, and {MAX_LINE:,} are the most that one may have"
        )
    return line


def decode_record(line: bytes, where: str) -> Record:
    """Return the record of a line; `where` names the line, for errors.

    Raises:
        FormatError: it is no record, was changed since it was written, or names an unsafe path.
        UnsupportedFormatError: a later version of dver wrote it.
    """
    return _make_record(read_fields(line, where))


def read_fields(line: bytes, where: str) -> dict[str, Any]:
    """Return what a line says, as JSON, once it is certain that it is a record; raises what `decode_record` does."""
    if len(line) > MAX_LINE:
        raise FormatError(where, "is too long for a lineage record")
    try:
        fields: dict[str, Any] = _decode_json(line.decode("ascii"))
    except (ValueError, RecursionError) as exc:
        raise FormatError(where, "is not JSON") from exc
    found = fields.get("format") if isinstance(fields, dict) else None
    if type(found) is not int:
        raise FormatError(where, "is not a lineage record")
    if found != FORMAT:
        raise UnsupportedFormatError(where, found, FORMAT)
    _check_name(line, fields.get("id"), where)
    _Checker(where).check_record(fields)
    return fields


def _check_name(line: bytes, claimed: object, where: str) -> None:
    """Refuse a line whose name is not the hash of what is left when the name is cut out of it."""
    head, _, tail = line.rstrip(LINE_ENDS).partition(_NAME_MEMBER)
    digits, rest = tail[:_DIGITS], tail[_DIGITS:]
    name = _hash(head + rest[1:])
    if rest[:1] != b'"' or name.encode() != VERSION_PREFIX.encode() + digits or name != claimed:
        raise FormatError(where, "was changed since it was written: its name does not fit its content")


def scalar_text(value: Scalar) -> str:
    """Return a parameter or property for people: a text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def parse_record_id(text: str) -> RecordId | None:
    """Return the id that a text is, or None."""
    return RecordId(text) if _CONTENT_HASH.fullmatch(text) else None


def _fields(record: Record) -> dict[str, Any]:
    """Return what a record's line says but its name; what is empty is left out."""
    environment = record.environment
    fields = {
        "state": record.state.value,
        "started": record.started,
        "name": record.name,
        "command": list(record.command),
        "shell": record.shell,
        "folder": record.folder,
        "inputs": [_artifact_fields(artifact) for artifact in record.inputs],
        "outputs": [_artifact_fields(artifact) for artifact in record.outputs],
        "params": dict(record.params),
        "commit": record.commit,
        "dirty": record.dirty,
        "seconds": record.seconds,
        "environment": _filled({name: getattr(environment, name) for name in Environment.__slots__}),
        "tags": dict(record.tags),
        "key": record.key,
        "reuses": record.reuses,
        "source": record.source,
        "note": record.note,
        "observed": record.observed,
    }
    return {"format": FORMAT, **_filled(fields), **({} if record.exit_code is None else {"exit": record.exit_code})}


def _artifact_fields(artifact: Artifact) -> dict[str, Any]:
    fields = {name: getattr(artifact, name) for name in Artifact.__slots__}
    return _filled({**fields, "props": dict(artifact.props)})


def _filled(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}


def _canonical(fields: Mapping[str, Any]) -> bytes:
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode("ascii")


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


_decode_json = json.JSONDecoder(parse_constant=_refuse_constant).decode


def _is_finite(value: Scalar) -> bool:
    return type(value) is not float or math.isfinite(value)


def _hash(text: bytes) -> RecordId:
    return RecordId(VERSION_PREFIX + blake3(text, derive_key_context=RECORD_CONTEXT).hexdigest())


def _make_record(fields: Mapping[str, Any]) -> Record:
    record = Record(
        state=_STATES[fields["state"]],
        started=fields["started"],
        name=fields.get("name", ""),
        command=tuple(fields.get("command", ())),
        shell=fields.get("shell", False),
        folder=fields.get("folder", ""),
        inputs=tuple([_make_artifact(artifact) for artifact in fields.get("inputs", ())]),
        outputs=tuple([_make_artifact(artifact) for artifact in fields.get("outputs", ())]),
        params=fields.get("params", {}),
        commit=fields.get("commit", ""),
        dirty=fields.get("dirty", False),
        seconds=fields.get("seconds", 0.0),
        exit_code=fields.get("exit"),
        environment=Environment(*[fields.get("environment", {}).get(name, "") for name in Environment.__slots__]),
        tags=fields.get("tags", {}),
        key=fields.get("key", ""),
        reuses=fields.get("reuses", ""),
        source=fields.get("source", ""),
        note=fields.get("note", ""),
        observed=fields.get("observed", False),
    )
    object.__setattr__(record, "_id", fields["id"])
    return record


def _make_artifact(fields: Mapping[str, Any]) -> Artifact:
    dataset = fields.get("dataset", "")
    return Artifact(
        path=fields["path"],
        version=fields["version"],
        dataset=dataset,
        dataset_version=fields["dataset_version"] if dataset else "",
        kind=fields.get("kind", ""),
        observed=fields.get("observed", False),
        props=fields.get("props", {}),
    )


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

    __slots__ = ("_where",)

    def __init__(self, where: str) -> None:
        self._where = where

    def check_record(self, fields: Mapping[str, Any]) -> None:
        """Check all fields but the format and the name."""
        self._check_types(fields, _RECORD_TYPES)
        if fields.get("state") not in _STATE_NAMES:
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
        if fields.get("dataset"):
            self._check_path(fields["dataset"])
            if not _CONTENT_HASH.fullmatch(fields.get("dataset_version", "")):
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
