"""Leaving word on a remote which versions this repository names, so that nobody who cleans the remote takes them.

That is done by every push, before it counts on anything that is there. What was said last is remembered beside git's
own files, and the remote is asked only whether it still has it: a push with nothing new to say pays one request.
"""

import json
import os
import socket
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dver.errors import DverError
from dver.fileio import write_atomically
from dver.git.reach import Reach
from dver.objects.ids import VersionId, checksum, parse_id
from dver.operations.roots import collect_roots
from dver.repo import Repo
from dver.storage.clones import identify
from dver.storage.markers import read_if_there
from dver.storage.registrations import (
    Registrant,
    decode_registration,
    encode_registration,
    registrant_id,
)
from dver.storage.store import Store

_FOLDER = Path("dver") / "registered"


@dataclass(frozen=True, slots=True)
class _Said:
    """What is remembered of the last time.

    Attributes:
        names: a checksum of all that leads to versions here.
        key: the file on the remote.
        older: files that it stands in the place of, and that may be there still.
        versions: what it says.
    """

    names: str
    key: str
    older: tuple[str, ...] = ()
    versions: frozenset[VersionId] = frozenset()


def registrant(repo: Repo) -> Registrant:
    """Return what this repository is called."""
    git_dir, host = repo.git.common_dir, socket.gethostname()
    return Registrant(registrant_id(identify(git_dir), f"{host}\0{git_dir}"), repo.git.main_root.name, host)


def is_registered(repo: Repo, store: Store, versions: Collection[VersionId]) -> bool:
    """Whether a remote has word of all that this repository names now, and of some versions besides."""
    said = _recall(_state_path(repo, store))
    return (
        said is not None
        and not said.older
        and said.key.startswith(f"roots/{registrant(repo).id}-")
        and said.names == _names(repo)
        and said.versions.issuperset(versions)
        and store.backend.size(said.key) is not None
    )


def register(repo: Repo, store: Store, versions: Collection[VersionId] = ()) -> None:
    """Leave word on a remote of all that this repository names, and of some versions besides.

    Where not all that it names can be found out, it says so, and what it said before counts on.
    """
    by, path = registrant(repo), _state_path(repo, store)
    said = _recall(path)
    if said is not None and not said.key.startswith(f"roots/{by.id}-"):
        # Another place's, of which this one is a copy.
        said = None
    names = _names(repo)
    found, problem = set(versions), ""
    try:
        found.update(collect_roots(repo).versions)
    except DverError as exc:
        problem = exc.message
        if said is not None:
            found.update(_said_before(store, said.key))
    key, data = encode_registration(by, found, problem)
    older = {said.key, *said.older} - {key} if said is not None else set()
    # First what there is to clean up, should this end in the middle.
    _remember(path, _Said("", key, tuple(sorted(older))))
    store.backend.write(key, [data])
    for one in sorted(older):
        store.backend.delete(one)
    _remember(path, _Said("" if problem else names, key, versions=frozenset(found)))


def _names(repo: Repo) -> str:
    """Return a checksum of all that leads to the versions that a repository names."""
    reach: Reach = repo.git.reach()
    parts = [f"{tip.kind} {tip.name} {tip.target}" for tip in reach.tips()]
    for tree in reach.work_trees:
        with suppress(OSError):
            found = os.stat(tree.git_dir / "index")
            parts.append(f"{tree.git_dir} {found.st_size} {found.st_mtime_ns} {found.st_ino}")
    return f"{checksum(chr(0).join(parts).encode('utf-8', 'surrogateescape')):016x}"


def _said_before(store: Store, key: str) -> frozenset[VersionId]:
    data = read_if_there(store.backend, key)
    return frozenset() if data is None else decode_registration(key, data, key).versions


def _state_path(repo: Repo, store: Store) -> Path:
    place = checksum(os.fsencode(store.backend.location))
    return repo.git.common_dir / _FOLDER / f"{place:016x}.json"


def _recall(path: Path) -> _Said | None:
    try:
        fields: Any = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    match fields:
        case {"names": str(names), "key": str(key), "older": list(older), "versions": list(versions)}:
            known = frozenset(VersionId(raw) for one in versions if (raw := parse_id(str(one))) is not None)
            return _Said(names, key, tuple(map(str, older)), known)
    return None


def _remember(path: Path, said: _Said) -> None:
    # Without it, the next push says the same once more.
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        versions = sorted(version.hex() for version in said.versions)
        fields = {"names": said.names, "key": said.key, "older": said.older, "versions": versions}
        write_atomically(path, json.dumps(fields, sort_keys=True).encode() + b"\n")
