"""Lineage records: one command that ran, what went into it, what came out of it, and in which circumstances.

A record is one line of canonical JSON (RFC 8259; keys sorted, no spaces, ASCII only, empty fields left out), named by
the BLAKE3-256 of that line without the name. `docs/design/formats.md` lists the fields. Paths are relative to the top
of the repository and as dver spells them everywhere: what is not UTF-8 in them is lone surrogates.

Invariant: a record that was decoded has a name that fits its content, and no path in it leads out of the repository.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NewType, TypeAlias

from blake3 import blake3

from dver.errors import FormatError, UnsupportedFormatError
from dver.objects.ids import VERSION_PREFIX
from dver.records.checks import check_fields

RecordId = NewType("RecordId", str)
Scalar: TypeAlias = str | int | float | bool | None

FORMAT = 1
MAX_LINE = 4 * 1024 * 1024
BLOB_PREFIX = "git:"
VALUE_MARK = re.compile(r"!(?:text|list|float|date|datetime|time) ")
"""How a text begins that stands for a parameter or property of another type, such as a list; `!text ` is for texts."""
RECORD_CONTEXT = "dver 2026-11 lineage record v1"
DATASET = "dataset"
SHORT_DIGITS = 10

LINE_ENDS = b"\r\n"
_NAME_MEMBER = b',"id":"' + VERSION_PREFIX.encode()
_DIGITS = 64


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
    check_fields(fields, _STATE_NAMES, where)
    return fields


def _check_name(line: bytes, claimed: object, where: str) -> None:
    """Refuse a line whose name is not the hash of what is left when the name is cut out of it."""
    head, _, tail = line.rstrip(LINE_ENDS).partition(_NAME_MEMBER)
    digits, rest = tail[:_DIGITS], tail[_DIGITS:]
    name = _hash(head + rest[1:])
    if rest[:1] != b'"' or name.encode() != VERSION_PREFIX.encode() + digits or name != claimed:
        raise FormatError(where, "was changed since it was written: its name does not fit its content")


def scalar_text(value: Scalar) -> str:
    """Return a parameter or property for people: a text as it is, anything else as JSON.

    The mark of what is recorded as text, such as a list, is left out.
    """
    if not isinstance(value, str):
        return json.dumps(value)
    mark = VALUE_MARK.match(value)
    return value if mark is None else value[mark.end() :]


def texts_apart(first: Scalar, second: Scalar) -> tuple[str, str]:
    """Return two different values for people, with their marks if they would look alike without, as 1.5 and "1.5"."""
    plain = scalar_text(first), scalar_text(second)
    if plain[0] != plain[1]:
        return plain
    marked = [
        value if isinstance(value, str) and VALUE_MARK.match(value) else json.dumps(value) for value in (first, second)
    ]
    return marked[0], marked[1]


def short_id(record: str) -> str:
    """Return the beginning of a record's id, as people are shown it and may type it."""
    return record.removeprefix(VERSION_PREFIX)[:SHORT_DIGITS]


def started_at(record: Record) -> datetime:
    """Return when a run started, for comparing: as text, one with a fraction of a second would come too early."""
    return datetime.fromisoformat(record.started)


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
