"""Leaving word on a remote which versions this repository names, so that nobody who cleans the remote takes them.

That is done by every push, before it counts on anything that is there. What was said last is remembered beside git's
own files, and the remote is asked only whether it still has it: a push with nothing new to say pays one request.
"""

import json
import os
import socket
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dver.errors import BackendError, BackendProblem, DverError, IntegrityError
from dver.fileio import write_atomically
from dver.git.reach import Reach
from dver.objects.ids import VersionId, checksum, parse_id
from dver.operations.roots import collect_roots
from dver.repo import Repo
from dver.storage.backend import settle
from dver.storage.clones import identify
from dver.storage.condemned import GcFolder
from dver.storage.registrations import (
    Registrant,
    decode_registration,
    encode_registration,
    registrant_id,
)
from dver.storage.store import Store

NOT_PERMITTED = frozenset({BackendProblem.DENIED, BackendProblem.READ_ONLY})
_FOLDER = Path("dver") / "registered"
_MACHINE_ID = Path("/etc/machine-id")


@dataclass(frozen=True, slots=True)
class Word:
    """What was said just now.

    Attributes:
        key: the file on the remote.
        names: a checksum of all that leads to versions here; "" where not all that it leads to could be found out.
    """

    key: str
    names: str


@dataclass(frozen=True, slots=True)
class _Said:
    """What is remembered of the last time.

    Attributes:
        names: as of the `Word`; "" as long as a sweep may be at work that does not know it.
        key: the file on the remote.
        size: of that file in bytes.
        older: files that it stands in the place of, and that may be there still.
        versions: what it says.
    """

    names: str
    key: str
    size: int
    older: tuple[str, ...] = ()
    versions: frozenset[VersionId] = frozenset()


def registrant(repo: Repo) -> Registrant:
    """Return what this repository is called."""
    git_dir, host = repo.git.common_dir, socket.gethostname()
    # Copies of machines may agree in all but one of these.
    place = f"{host}\0{git_dir}\0{_machine_id()}\0{os.stat(git_dir).st_ino}"
    return Registrant(registrant_id(identify(git_dir), place), repo.git.main_root.name, host)


def own_files(repo: Repo, store: Store) -> frozenset[str]:
    """Return the keys of what this repository remembers to have said: others with its id may be those of a copy."""
    said = _recall_own(repo, store)
    return frozenset() if said is None else frozenset({said.key, *said.older})


def is_registered(repo: Repo, store: Store, versions: Collection[VersionId]) -> bool:
    """Whether a remote has word of all that this repository names now, and of some versions besides.

    If so, every sweep that has not ended knows of it.
    """
    said = _recall_own(repo, store)
    return (
        said is not None
        and not said.older
        and said.names == _names(repo)
        and said.versions.issuperset(versions)
        and store.backend.size(said.key) == said.size
    )


def register(repo: Repo, store: Store, versions: Collection[VersionId] = ()) -> Word | None:
    """Leave word on a remote of all that this repository names, and of some versions besides.

    Where not all that it names can be found out, it says so, and what it said before counts on.

    Raises:
        BackendError: it cannot be said. Where that is not permitted, the hint says what must be.

    Returns:
        what was said, or None if that was no news, and every sweep knows of it. Otherwise sweeps may be at work that do
        not, so it counts as not said until somebody looked and saw none, as `register_and_look` does.
    """
    path, said = _state_path(repo, store), _recall_own(repo, store)
    # What changes while all is collected is news to the next one who asks.
    names = _names(repo)
    found, problem = _collect(repo, store, versions, said)
    if problem:
        names = ""
    by = registrant(repo)
    key, data = encode_registration(by, found, problem)
    new = _Said(names, key, len(data), versions=frozenset(found))
    older = set() if said is None else {said.key, *said.older} - {key}
    there = _read(store, key) if said is not None and said.key == key else None
    if there == data and said is not None and said.names and names and not older:
        _remember(path, new)
        return None
    spare = None
    if there is not None and there != data:
        spare = encode_registration(by, found, "its file was damaged and is being written anew")
        older.add(spare[0])
    # First what there is to clean up, should this end in the middle.
    _remember(path, _Said("", key, len(data), tuple(sorted(older))))
    if there == data:
        # Whoever wrote it may have been killed before that was durable.
        settle(store.backend, key)
    else:
        _write_over(store, key, data, spare)
    for one in sorted(older):
        store.backend.delete(one)
    _remember(path, replace(new, names=""))
    return Word(key, names)


def register_and_look(
    repo: Repo, store: Store, versions: Collection[VersionId], look: Callable[[], GcFolder]
) -> GcFolder | None:
    """Leave word on a remote, and then look which sweeps may not know of it.

    Args:
        look: returns what is in `gc/` there now.

    Returns:
        what was seen then, or None if what was said is no news to any sweep.

    Raises:
        BackendError: it cannot be said. Where that is not permitted, the hint says what must be.
    """
    word = register(repo, store, versions)
    if word is None:
        return None
    folder = look()
    if not folder.running:
        _confirm(repo, store, word)
    return folder


def _confirm(repo: Repo, store: Store, word: Word) -> None:
    """Take note that no sweep was at work after something was said: whoever begins one from then on reads it."""
    said = _recall_own(repo, store)
    # Another process may have said something else meanwhile.
    if said is not None and said.key == word.key:
        _remember(_state_path(repo, store), replace(said, names=word.names))


def _collect(
    repo: Repo, store: Store, versions: Collection[VersionId], said: _Said | None
) -> tuple[set[VersionId], str]:
    """Return what to say, and why that may not be all."""
    found = set(versions)
    try:
        found.update(collect_roots(repo).versions)
    except DverError as exc:
        for key in () if said is None else (said.key, *said.older):
            found.update(_said_before(store, key))
        return found, exc.message
    return found, ""


def _machine_id() -> str:
    try:
        return _MACHINE_ID.read_text("ascii", "replace").strip()
    except OSError:
        return ""


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
    data = _read(store, key)
    return frozenset() if data is None else decode_registration(key, data, f"{store.backend.location}/{key}").versions


def _read(store: Store, key: str) -> bytes | None:
    try:
        return store.backend.read(key)
    except BackendError as exc:
        if exc.problem is BackendProblem.NOT_FOUND:
            return None
        raise
    except IntegrityError:
        # An encrypted store answers so.
        return b""


def _write(store: Store, key: str, data: bytes) -> None:
    try:
        store.backend.write(key, [data])
    except BackendError as exc:
        if exc.problem not in NOT_PERMITTED:
            raise
        needed = f"whoever is to count on what is in {store.name} has to be allowed to write in roots/ and gc/ there"
        hint = f"{exc.hint}: {needed}" if exc.hint else needed
        raise BackendError(exc.location, exc.problem, exc.reason, hint=hint) from exc


def _write_over(store: Store, key: str, data: bytes, spare: tuple[str, bytes] | None) -> None:
    """Write a file; where it is damaged, a spare one is there in the meantime."""
    if spare is not None:
        _write(store, *spare)
        # A folder keeps what is there if it is as long.
        store.backend.delete(key)
    _write(store, key, data)


def _recall_own(repo: Repo, store: Store) -> _Said | None:
    said = _recall(_state_path(repo, store))
    # A copy of a repository remembers what the other place said.
    return said if said is not None and said.key.startswith(f"roots/{registrant(repo).id}-") else None


def _state_path(repo: Repo, store: Store) -> Path:
    place = checksum(os.fsencode(store.backend.location))
    return repo.git.common_dir / _FOLDER / f"{place:016x}.json"


def _recall(path: Path) -> _Said | None:
    try:
        fields: Any = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    match fields:
        case {
            "names": str(names),
            "key": str(key),
            "size": int(size),
            "older": list(older),
            "versions": list(versions),
        }:
            known = frozenset(VersionId(raw) for one in versions if (raw := parse_id(str(one))) is not None)
            return _Said(names, key, size, tuple(map(str, older)), known)
    return None


def _remember(path: Path, said: _Said) -> None:
    # Without it, the next push says the same once more.
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        versions = sorted(version.hex() for version in said.versions)
        fields = {
            "names": said.names,
            "key": said.key,
            "size": said.size,
            "older": said.older,
            "versions": versions,
        }
        write_atomically(path, json.dumps(fields, sort_keys=True).encode() + b"\n")
