"""What garbage collections leave word of in a store that several machines write to, in its folder `gc/`.

There are no locks in such a store, so what is about to be deleted is told in files that come up and go whole: *lists*
of what nothing names, *sweeps* that have begun to delete what lists condemn, *rescues* of pushes that count on what is
in a list, and the *lease* of whoever cleans. Their names tell them apart, so that one listing says whether anything is
going on.

`docs/design/formats.md` has the form, and `docs/design/invariants.md` says why nothing is lost. What is read is
untrusted; what cannot be read stops whoever has to know what it says.
"""

import calendar
import json
import re
import secrets
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import IntEnum
from typing import Any

from dver.errors import FormatError, UnsupportedFormatError
from dver.objects.ids import PackId, VersionId, format_version, parse_id, parse_version
from dver.processes import ProcessName
from dver.storage.backend import Backend, BlobInfo, check_keys, read_alike

FORMAT = 1
FOLDER = "gc/"
# A list of a million versions and as many packs is shorter.
MAX_FILE = 1 << 28
# Pushes that take longer upload anew what is swept meanwhile.
RESCUE_SECONDS = 24 * 3600.0

_NAME = re.compile(r"(?P<name>\d{8}T\d{6}Z-[0-9a-f]{16})\.(?P<kind>[a-z]+)\.json")
_STAMP = "%Y%m%dT%H%M%SZ"
_TIME = "%Y-%m-%dT%H:%M:%SZ"


class Phase(IntEnum):
    """How far a sweep is: it has begun, all of its version markers are gone, or it has ended."""

    BEGUN = 0
    UNMARKED = 1
    SWEPT = 2


_PHASES = {"sweep": Phase.BEGUN, "unmarked": Phase.UNMARKED, "swept": Phase.SWEPT}


@dataclass(frozen=True, slots=True)
class CondemnedVersion:
    """A version that nothing names; files and bytes of it, None where they are not known."""

    version: VersionId
    files: int | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True)
class CondemnedPack:
    """A pack that is to be deleted or packed anew: its size, and how many bytes that frees."""

    pack: PackId
    size: int
    garbage: int


@dataclass(frozen=True, slots=True)
class CondemnedList:
    """What one garbage collection found that nothing names.

    Attributes:
        name: what it is called, which begins with when it was made.
        by: who made it, for people.
        due: when it may be swept, in seconds since 1970 by the clock of the store.
    """

    name: str
    by: str
    due: float
    versions: tuple[CondemnedVersion, ...]
    packs: tuple[CondemnedPack, ...]

    @property
    def condemned(self) -> "Condemned":
        """What a sweep of it may take."""
        return Condemned(frozenset(one.version for one in self.versions), frozenset(one.pack for one in self.packs))

    @property
    def day(self) -> str:
        """The day on which it was made, for people."""
        return f"{self.name[:4]}-{self.name[4:6]}-{self.name[6:8]}"

    @property
    def garbage(self) -> int:
        """How many bytes a sweep of all of it frees."""
        return sum(one.garbage for one in self.packs)


@dataclass(frozen=True, slots=True)
class Condemned:
    """What a sweep may take because of one list: it touches no other version and no other pack."""

    versions: frozenset[VersionId] = frozenset()
    packs: frozenset[PackId] = frozenset()


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has a lease: `by` for people, and the process, where its system tells what that is called."""

    by: str
    process: ProcessName | None = None


@dataclass(frozen=True, slots=True)
class GcFolder:
    """What lies in the folder at one time, by name; `modified` has the times that the store gives, where it does."""

    lists: tuple[str, ...] = ()
    sweeps: Mapping[str, Phase] = field(default_factory=dict)
    rescues: tuple[str, ...] = ()
    leases: tuple[str, ...] = ()
    modified: Mapping[str, float] = field(default_factory=dict)

    @property
    def running(self) -> tuple[str, ...]:
        """The sweeps that have not ended; the process may have."""
        return tuple(name for name, phase in self.sweeps.items() if phase < Phase.SWEPT)


def new_name(now: float) -> str:
    """Return a name that nobody else has."""
    return f"{time.strftime(_STAMP, time.gmtime(now))}-{secrets.token_hex(8)}"


def gc_key(name: str, kind: str) -> str:
    """Return the key of a file: a `list`, a `lease`, a `rescue`, or a `sweep` and how far that is."""
    return f"{FOLDER}{name}.{kind}.json"


def read_folder(backend: Backend) -> GcFolder:
    """Return what lies in the folder; this is one listing.

    Raises:
        ConfigError: the store is encrypted, and has had other keys since it was opened.
    """
    found = folder_among(backend.list(FOLDER))
    check_keys(backend)
    return found


def folder_among(blobs: Iterable[BlobInfo]) -> GcFolder:
    """Return what of some blobs lies in the folder."""
    kinds: dict[str, list[str]] = {"list": [], "rescue": [], "lease": []}
    sweeps: dict[str, Phase] = {}
    modified: dict[str, float] = {}
    for info in blobs:
        if not info.key.startswith(FOLDER):
            continue
        found = _NAME.fullmatch(info.key.removeprefix(FOLDER))
        kind = found["kind"] if found is not None else ""
        if found is None or kind not in {*kinds, *_PHASES}:
            continue
        if info.modified is not None:
            modified[info.key] = info.modified
        if kind in kinds:
            kinds[kind].append(found["name"])
        else:
            sweeps[found["name"]] = max(_PHASES[kind], sweeps.get(found["name"], Phase.BEGUN))
    return GcFolder(
        lists=tuple(sorted(kinds["list"])),
        sweeps=dict(sorted(sweeps.items())),
        rescues=tuple(sorted(kinds["rescue"])),
        leases=tuple(sorted(kinds["lease"])),
        modified=modified,
    )


def write_list(backend: Backend, found: CondemnedList) -> None:
    """Leave word of what nothing names."""
    fields = {
        "by": found.by,
        "due": _text_time(found.due),
        "format": FORMAT,
        "packs": [{"garbage": one.garbage, "pack": one.pack.hex(), "size": one.size} for one in found.packs],
        "versions": [
            {"files": one.files, "size": one.size, "version": format_version(one.version)} for one in found.versions
        ],
    }
    backend.write(gc_key(found.name, "list"), [_encode(fields)])


def read_list(backend: Backend, name: str) -> CondemnedList:
    """Return a list.

    Raises:
        FormatError: it is damaged, or a newer dver wrote it.
        BackendError: it is gone, or cannot be read.
    """
    key = gc_key(name, "list")
    fields, where = _read(backend, key)
    try:
        return CondemnedList(
            name,
            str(fields["by"]),
            _parse_time(fields["due"]),
            tuple(
                CondemnedVersion(_version(one["version"], where), _count(one["files"]), _count(one["size"]))
                for one in fields["versions"]
            ),
            tuple(
                CondemnedPack(_pack(one["pack"]), _natural(one["size"]), _natural(one["garbage"]))
                for one in fields["packs"]
            ),
        )
    except (KeyError, TypeError, ValueError) as exc:
        raise FormatError(where, "not a list of garbage", hint=_damaged_hint(key)) from exc


def write_sweep(backend: Backend, name: str, condemned: Mapping[str, Condemned]) -> None:
    """Say that from now on nobody must count on what is in some lists; `condemned` has it by their names."""
    fields = {
        "format": FORMAT,
        "lists": {
            one: {
                "packs": sorted(pack.hex() for pack in what.packs),
                "versions": sorted(format_version(version) for version in what.versions),
            }
            for one, what in condemned.items()
        },
    }
    backend.write(gc_key(name, "sweep"), [_encode(fields)])


def read_sweep(backend: Backend, name: str) -> dict[str, Condemned]:
    """Return what a sweep may take, by the lists that this was in.

    Raises:
        FormatError: it is damaged, or a newer dver wrote it.
        BackendError: it is gone, or cannot be read.
    """
    key = gc_key(name, "sweep")
    fields, where = _read(backend, key)
    try:
        return {
            str(one): Condemned(
                frozenset(_version(text, where) for text in what["versions"]),
                frozenset(_pack(text) for text in what["packs"]),
            )
            for one, what in fields["lists"].items()
        }
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise FormatError(where, "not a sweep", hint=_damaged_hint(key)) from exc


def note_phase(backend: Backend, name: str, phase: Phase, **fields: object) -> None:
    """Say how far a sweep is, and with `fields` what it did."""
    kind = next(kind for kind, one in _PHASES.items() if one is phase)
    backend.write(gc_key(name, kind), [_encode({"format": FORMAT, **fields})])


def delete_sweep(backend: Backend, name: str) -> None:
    """Delete all that is said of a sweep that has ended; that it has is what goes last."""
    for kind in _PHASES:
        backend.delete(gc_key(name, kind))


def write_rescue(backend: Backend, name: str, lists: Collection[str], by: str) -> None:
    """Say that a push may count on what is in some lists."""
    backend.write(gc_key(name, "rescue"), [_encode({"by": by, "format": FORMAT, "lists": sorted(lists)})])


def read_rescue(backend: Backend, name: str) -> frozenset[str]:
    """Return the lists that a push may count on.

    Raises:
        FormatError: it is damaged, or a newer dver wrote it.
        BackendError: it is gone, or cannot be read.
    """
    key = gc_key(name, "rescue")
    fields, where = _read(backend, key)
    match fields.get("lists"):
        case list(lists) if all(isinstance(one, str) for one in lists):
            return frozenset(lists)
    raise FormatError(where, "not a rescue", hint=_damaged_hint(key))


def write_lease(backend: Backend, name: str, holder: Holder) -> None:
    """Say who cleans the store; writing it again renews it."""
    fields: dict[str, object] = {"by": holder.by, "format": FORMAT}
    if holder.process is not None:
        fields["process"] = asdict(holder.process)
    backend.write(gc_key(name, "lease"), [_encode(fields)])


def read_lease(backend: Backend, name: str) -> Holder:
    """Return who cleans the store.

    Raises:
        FormatError: it is damaged, or a newer dver wrote it.
        BackendError: it is gone, or cannot be read.
    """
    fields, _ = _read(backend, gc_key(name, "lease"))
    return Holder(str(fields.get("by", "")), _process(fields.get("process")))


def packs_going(backend: Backend, folder: GcFolder) -> set[PackId]:
    """Return the packs that sweeps which have not ended may delete."""
    return packs_of(read_sweep(backend, name) for name in folder.running)


def versions_of(sweeps: Iterable[Mapping[str, Condemned]]) -> set[VersionId]:
    """Return the versions that some sweeps may delete."""
    return {version for lists in sweeps for one in lists.values() for version in one.versions}


def packs_of(sweeps: Iterable[Mapping[str, Condemned]]) -> set[PackId]:
    """Return the packs that some sweeps may delete."""
    return {pack for lists in sweeps for one in lists.values() for pack in one.packs}


def _encode(fields: Mapping[str, object]) -> bytes:
    return json.dumps(fields, indent=1, sort_keys=True).encode("ascii") + b"\n"


def _read(backend: Backend, key: str) -> tuple[dict[str, Any], str]:
    where = f"{backend.location}/{key}"
    # These files have no checksum.
    data = read_alike(backend, key, lambda: backend.read(key))
    try:
        fields: Any = json.loads(data) if len(data) <= MAX_FILE else None
    except (ValueError, RecursionError) as exc:
        raise FormatError(where, "cannot be read", hint=_damaged_hint(key)) from exc
    match fields:
        case {"format": int(found)} if found > FORMAT:
            raise UnsupportedFormatError(where, found, FORMAT)
        case {"format": 1}:
            return fields, where
    raise FormatError(where, "not what dver writes there", hint=_damaged_hint(key))


def _damaged_hint(key: str) -> str:
    return f"delete {key} there if nobody knows better; dver gc --remote NAME makes such lists anew"


def _text_time(when: float) -> str:
    """Return a time as it is written in lists, in UTC and to the second."""
    return time.strftime(_TIME, time.gmtime(when))


def _parse_time(text: str) -> float:
    return float(calendar.timegm(time.strptime(text, _TIME)))


def _pack(text: object) -> PackId:
    raw = parse_id(text) if isinstance(text, str) else None
    if raw is None:
        raise ValueError(text)
    return PackId(raw)


def _version(text: object, where: str) -> VersionId:
    if not isinstance(text, str):
        raise TypeError(text)
    return parse_version(text, where)


def _process(fields: object) -> ProcessName | None:
    """Return what a process is called; None where nobody knows, as in what an older dver wrote."""
    match fields:
        case {
            "boot": str(boot),
            "host": str(host),
            "namespaces": [int(pids), int(times)],
            "pid": int(pid),
            "started": int(started),
        }:
            return ProcessName(boot, host, (pids, times), pid, started)
    return None


def _natural(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(value)
    return value


def _count(value: object) -> int | None:
    return None if value is None else _natural(value)
