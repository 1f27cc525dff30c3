"""The description of a store, the file `dver-store.json` in it: that it is one, and the sizes of its chunks.

An encrypted store has two: one within, and an open one that says no more than that it is encrypted.
"""

import json

from dver.errors import DAMAGE_HINT, ConfigError, FormatError, IntegrityError, UnsupportedFormatError
from dver.objects.chunker import ChunkerParams
from dver.storage.backend import Backend
from dver.storage.markers import read_if_there

DESCRIPTION_KEY = "dver-store.json"
_FORMAT = 1
_MAX_LENGTH = 64 * 1024


def encode_description(params: ChunkerParams) -> bytes:
    """Return the description of a store with these chunk sizes."""
    description = {"format": _FORMAT, "chunker": params.to_mapping()}
    return json.dumps(description, indent=2, sort_keys=True).encode() + b"\n"


def read_description(backend: Backend, name: str) -> ChunkerParams | None:
    """Return the chunk sizes that a store was made with, or None if there is no store yet; `name` is for messages.

    Raises:
        ConfigError: it says that the store is encrypted, and this is not its plain view.
        UnsupportedFormatError: a newer dver made the store.
    """
    data = read_if_there(backend, DESCRIPTION_KEY)
    return None if data is None else _decode(data, backend, name)


def description_size(backend: Backend, name: str) -> int | None:
    """Return the size of a store's description in bytes, None if it has none, and 0 for one that is damaged.

    An open one is read: to a store that is encrypted, which is not known here, nothing must be done.

    Raises:
        ConfigError: it says that the store is encrypted.
    """
    try:
        data = read_if_there(backend, DESCRIPTION_KEY)
    except IntegrityError:
        # One in an encrypted store that does not open: it is there, and says nothing.
        return 0
    if data is None:
        return None
    try:
        _decode(data, backend, name)
    except UnsupportedFormatError:
        raise
    except FormatError:
        return 0
    return len(data)


def description_problem(backend: Backend, name: str) -> FormatError | IntegrityError | None:
    """Return the error of a store's description that is damaged; None for a sound one, and where there is none."""
    try:
        read_description(backend, name)
    except UnsupportedFormatError:
        raise
    except (FormatError, IntegrityError) as exc:
        return exc
    return None


def remote_of(name: str) -> str:
    """Return what commands know the remote by that messages call `name`; NAME for a store that is called otherwise."""
    words = name.split()
    return words[1] if words[:1] == ["remote"] and len(words) > 1 else "NAME"


def repair_of(name: str) -> str:
    """Return the command that mends the store that messages call `name`."""
    return "dver fsck --repair" if name == "the cache" else f"dver fsck --remote {remote_of(name)} --repair"


def _decode(data: bytes, backend: Backend, name: str) -> ChunkerParams:
    where = f"{backend.location}/{DESCRIPTION_KEY}"
    try:
        fields = json.loads(data) if len(data) <= _MAX_LENGTH else None
    # Brackets within brackets go deeper than Python can follow.
    except (ValueError, RecursionError) as exc:
        raise FormatError(where, "not a store's description", hint=DAMAGE_HINT) from exc
    match fields:
        case {"encryption": _}:
            raise ConfigError(
                f"{name} is encrypted, and the settings do not say so",
                hint=f"dver remote remove {remote_of(name)}, then dver remote add {remote_of(name)} URL --encrypt",
            )
        case {"format": int(version)} if version > _FORMAT:
            raise UnsupportedFormatError(where, version, _FORMAT)
        case {"format": 1, "chunker": dict(chunker)}:
            try:
                return ChunkerParams.from_mapping(chunker, where)
            except FormatError as exc:
                raise FormatError(where, exc.reason, hint=DAMAGE_HINT) from exc
    raise FormatError(where, "not a store's description", hint=DAMAGE_HINT)
