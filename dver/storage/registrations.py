"""The repositories that push to a store, each with the versions that it names: what a garbage collection there keeps.

A repository on another machine cannot be asked, so each leaves word in `roots/` when it pushes. The name of a file has
the id of the repository, a checksum of where this lies, and one of the content. So a copy of a repository does not pass
for the original, nothing is ever overwritten, and to see that a file is there is to know what it says.
"""

import json
import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from dver.errors import BackendError, BackendProblem, FormatError, IntegrityError, LockedError, UnsupportedFormatError
from dver.objects.ids import VersionId, checksum, format_version, parse_version
from dver.storage.backend import Backend, BlobInfo, check_keys

FORMAT = 1
FOLDER = "roots/"
# Some millions of versions.
MAX_FILE = 1 << 28
# The problem of a file that says nothing.
UNREADABLE = "its file cannot be read"
_TRIES = 5
_SHORT = 12

_NAME = re.compile(r"(?P<id>[0-9a-f]{32}-[0-9a-f]{16})-(?P<content>[0-9a-f]{16})\.json")


@dataclass(frozen=True, slots=True)
class Registrant:
    """A repository as others see it.

    Attributes:
        id: its own id and that of its place, joined.
        name: the folder that it lies in, without those above it.
        host: on which machine.
    """

    id: str
    name: str = ""
    host: str = ""


@dataclass(frozen=True, slots=True)
class Registration:
    """What a repository said last.

    Attributes:
        versions: those that it names.
        problem: why these may not be all, or why the file cannot be read; "" where all is well.
        modified: when it was said, by the clock of the store, where that tells.
    """

    key: str
    by: Registrant
    versions: frozenset[VersionId] = frozenset()
    problem: str = ""
    modified: float | None = None


def registrant_id(identity: str, place: str) -> str:
    """Return the id of a repository that keeps an id for itself and lies in a place."""
    return f"{identity}-{checksum(place.encode('utf-8', 'surrogateescape')):016x}"


def short_ids(ids: Collection[str]) -> dict[str, str]:
    """Return how people are shown some ids: their beginning, or all of one that shares this with a copy."""
    sharing = Counter(one[:_SHORT] for one in set(ids))
    return {one: one[:_SHORT] if sharing[one[:_SHORT]] == 1 else one for one in ids}


def encode_registration(by: Registrant, versions: Collection[VersionId], problem: str = "") -> tuple[str, bytes]:
    """Return the key and the content of a repository's file."""
    fields = {
        "format": FORMAT,
        "host": by.host,
        "id": by.id,
        "name": by.name,
        "problem": problem,
        "versions": [format_version(version) for version in sorted(versions)],
    }
    data = json.dumps(fields, sort_keys=True, indent=0).encode("ascii") + b"\n"
    return f"{FOLDER}{by.id}-{checksum(data):016x}.json", data


def registrations(backend: Backend) -> list[Registration]:
    """Return what repositories said, by key; what cannot be read has a `problem`.

    Raises:
        ConfigError: the store is encrypted, and has had other keys since it was opened.
        LockedError: repositories say something new all the time, so what all of them said cannot be told.
        UnsupportedFormatError: a newer dver wrote one of them.
    """
    for attempt in range(_TRIES):
        try:
            found = _read_all(backend)
        except BackendError as exc:
            # What a repository says anew is written before the old goes: the next listing has it.
            if exc.problem is not BackendProblem.NOT_FOUND or attempt == _TRIES - 1:
                raise
        else:
            # What is encrypted with newer keys than are known here was not seen.
            check_keys(backend)
            return found
    raise AssertionError("unreachable")


def _read_all(backend: Backend) -> list[Registration]:
    found = []
    for info in _list_all(backend):
        one = _read(backend, info)
        # From afar it may have been damaged on its way.
        found.append(_read(backend, info) if one.problem == UNREADABLE and not backend.is_local else one)
    return sorted(found, key=lambda one: one.key)


def _read(backend: Backend, info: BlobInfo) -> Registration:
    name = _NAME.fullmatch(info.key.removeprefix(FOLDER))
    try:
        data = backend.read(info.key) if name is not None and info.size <= MAX_FILE else b""
    except IntegrityError:
        # An encrypted store answers so.
        data = b""
    return decode_registration(info.key, data, f"{backend.location}/{info.key}", info.modified)


def _list_all(backend: Backend) -> list[BlobInfo]:
    """Return what is there at one time."""
    before: dict[str, BlobInfo] | None = None
    for _ in range(_TRIES):
        # A listing of a folder may show neither a file that went meanwhile nor the one in its place, which came before
        # that: another listing shows it.
        found = {info.key: info for info in backend.list(FOLDER)}
        if before is not None and found.keys() == before.keys():
            return [*found.values()]
        before = found
    raise LockedError(
        f"repositories say all the time what they need of {backend.location}", hint="run the same command again"
    )


def decode_registration(key: str, data: bytes, where: str, modified: float | None = None) -> Registration:
    """Return what a file says; one that cannot be read has a `problem`.

    Raises:
        UnsupportedFormatError: a newer dver wrote it.
    """
    name = _NAME.fullmatch(key.removeprefix(FOLDER))
    identity = name["id"] if name is not None else key.removeprefix(FOLDER).removesuffix(".json")
    lost = Registration(key, Registrant(identity), problem=UNREADABLE, modified=modified)
    try:
        fields: Any = json.loads(data)
    except (ValueError, RecursionError):
        return lost
    match fields:
        case {"format": int(found)} if found > FORMAT:
            raise UnsupportedFormatError(where, found, FORMAT)
        case {
            "format": 1,
            "host": str(host),
            "id": str(written),
            "name": str(folder),
            "problem": str(problem),
            "versions": list(texts),
        } if written == identity and name is not None and int(name["content"], 16) == checksum(data):
            try:
                versions = frozenset(parse_version(text, where) for text in texts)
            except (FormatError, AttributeError):
                return lost
            return Registration(key, Registrant(identity, folder, host), versions, problem, modified)
    return lost
