"""What whoever cleans a remote, or pushes to it, reads of others: what they name, and what is to be deleted."""

import json

from dver.objects.ids import PackId, VersionId, checksum
from dver.storage.condemned import (
    Condemned,
    CondemnedList,
    CondemnedPack,
    CondemnedVersion,
    gc_key,
    read_folder,
    read_list,
    read_rescue,
    read_sweep,
    write_list,
    write_rescue,
    write_sweep,
)
from dver.storage.registrations import Registrant, encode_registration, registrant_id, registrations
from tests.fuzz.files import MemoryBackend
from tests.fuzz.formats import JSON_WORDS
from tests.fuzz.target import Target

_NAME = "20261123T130000Z-00112233445566ff"
_VERSION, _PACK = VersionId(bytes(32)), PackId(bytes(range(32)))
_BY = Registrant(registrant_id("00" * 16, "a place"), "project", "host")
_WORDS = (b'"' + b"00" * 32 + b'"', b'"b3:' + b"00" * 32 + b'"', b'"9999-12-31T23:59:59Z"', b'"lists"', b'"versions"')


def _seeds() -> dict[str, bytes]:
    backend = MemoryBackend()
    versions, packs = (CondemnedVersion(_VERSION, 1, None),), (CondemnedPack(_PACK, 3000, 7),)
    write_list(backend, CondemnedList(_NAME, "ann", 1e9, versions, packs))
    write_sweep(backend, _NAME, {"a list": Condemned(frozenset({_VERSION}), frozenset({_PACK}))})
    write_rescue(backend, _NAME, ["a list"], "ann")
    return {key.split(".")[1]: data for key, data in backend.blobs.items()}


_SEEDS = _seeds()


def _serving(kind: str, data: bytes) -> MemoryBackend:
    backend = MemoryBackend()
    backend.blobs = {gc_key(_NAME, kind): data, "gc/" + data[:60].decode("latin-1"): data}
    read_folder(backend)
    return backend


def _parse_list(data: bytes) -> None:
    found = read_list(_serving("list", data), _NAME)
    assert found.garbage == sum(pack.garbage for pack in found.packs)
    assert len(found.condemned.packs) <= len(found.packs)


def _parse_sweep(data: bytes) -> None:
    lists = read_sweep(_serving("sweep", data), _NAME)
    assert all(len(pack) == len(_PACK) for one in lists.values() for pack in one.packs)


def _parse_rescue(data: bytes) -> None:
    assert all(isinstance(name, str) for name in read_rescue(_serving("rescue", data), _NAME))


def _parse_registration(data: bytes) -> None:
    backend = MemoryBackend()
    backend.blobs = {f"roots/{_BY.id}-{checksum(data):016x}.json": data, "roots/" + data[:60].decode("latin-1"): data}
    known = registrations(backend)
    # Whatever it is: it is said to be there, or it would not be in anybody's way.
    assert len(known) == len(backend.blobs)
    assert all(one.problem or one.by.id for one in known)


def _mend(data: bytes) -> bytes:
    """Let what is JSON still be of a known format."""
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError):
        return data
    return json.dumps({**fields, "format": 1}).encode() if isinstance(fields, dict) else data


TARGETS = {
    "gc-list": Target(_parse_list, [_SEEDS["list"]], (*JSON_WORDS, *_WORDS), _mend),
    "gc-sweep": Target(_parse_sweep, [_SEEDS["sweep"]], (*JSON_WORDS, *_WORDS), _mend),
    "gc-rescue": Target(_parse_rescue, [_SEEDS["rescue"]], (*JSON_WORDS, *_WORDS), _mend),
    "registration": Target(
        _parse_registration, [encode_registration(_BY, [_VERSION])[1]], (*JSON_WORDS, *_WORDS), _mend
    ),
}
