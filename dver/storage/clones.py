"""The repositories that use a store on local disk: each leaves a small file there that says where it is.

Whoever collects garbage asks all of them what they need. A repository has an id, which it keeps in its git directory,
so that another one in its place is told from it. The id says nothing beyond that: a copy of the folder has it too, so
one that is seen elsewhere need not have moved, and every place that was ever written counts until it is forgotten.
Where the store lies in the repository, paths are relative to the store, for the two move together. What is read is
untrusted, and what cannot be read, or should not lie there at all, stands for a repository that cannot be asked.
"""

import json
import os
import re
import secrets
import socket
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dver.errors import BackendError, BackendProblem, unwritable_place
from dver.fileio import make_folder, write_atomically
from dver.objects.ids import checksum
from dver.storage.backend import Backend
from dver.storage.local import LocalBackend

FORMAT = 1
_FOLDER = "clones/"
_NOBODY = ""
_ID_FILE = Path("dver") / "clone"
_ID = re.compile(r"[0-9a-f]{32}")
_MOST_READ = 64 * 1024
# Whoever may only read a store cannot say that it does.
_PASSED_OVER = frozenset({BackendProblem.DENIED, BackendProblem.READ_ONLY})


@dataclass(frozen=True, slots=True)
class Place:
    """Where a repository is: the git directory that its work trees share, and the top of its main work tree."""

    git_dir: Path
    root: Path


@dataclass(frozen=True, slots=True)
class KnownClone:
    """A repository that said that it uses a store.

    Attributes:
        key: the key of its file in the store.
        identity: the id that it keeps.
        place: where it was then; None for a file that cannot be read, or was written by a newer dver.
        host: on which machine.
    """

    key: str
    identity: str
    place: Place | None
    host: str

    @property
    def is_there(self) -> bool:
        """Whether the repository is still where it was."""
        return self.place is not None and _read_id(self.place.git_dir) == self.identity


def register(backend: Backend, place: Place) -> None:
    """Leave word in a store on local disk that a repository uses it, unless that was done before."""
    if not isinstance(backend, LocalBackend):
        return
    identity = identify(place.git_dir)
    store = Path(backend.location)
    shown = _shown(place, store)
    key = f"{_FOLDER}{identity}-{checksum(os.fsencode(shown.git_dir)):016x}.json"
    fields = {
        "format": FORMAT,
        "git_dir": str(shown.git_dir),
        "host": socket.gethostname(),
        "id": identity,
        "root": str(shown.root),
    }
    try:
        size = backend.size(key)
        if size is not None:
            known = _decode(key, backend.read(key) if size <= _MOST_READ else b"", store)
            if known.identity == identity and known.place == _seen(shown, store):
                return
            # Backends keep a blob of the same size.
            backend.delete(key)
        backend.write(key, [json.dumps(fields, sort_keys=True).encode("ascii") + b"\n"])
    except BackendError as exc:
        # Where something else lies in its place, no collector deletes anything: `known_clones` tells of it.
        if exc.problem not in _PASSED_OVER and not _is_obstructed(store, key):
            raise


def identify(git_dir: Path) -> str:
    """Return the id that the repository with this git directory keeps, which is made when it is first asked for."""
    return _read_id(git_dir) or _make_id(git_dir)


def known_clones(backend: Backend) -> list[KnownClone]:
    """Return the repositories that said that they use a store, by key, one for each place that was written."""
    store = Path(backend.location)
    found = [KnownClone(key, _NOBODY, None, "") for key in _strange(store)] if isinstance(backend, LocalBackend) else []
    if not any(clone.key == _FOLDER.rstrip("/") for clone in found):
        for info in backend.list(_FOLDER):
            # What lies in a folder there is not looked at: the folder itself is told of.
            if "/" not in info.key.removeprefix(_FOLDER):
                data = backend.read(info.key) if info.size <= _MOST_READ else b""
                found.append(_decode(info.key, data, store))
    return sorted(found, key=lambda clone: clone.key)


def forget(backend: Backend, clone: KnownClone) -> None:
    """Take the word of a repository out of a store.

    Raises:
        BackendError: in its place lies a folder with something in it.
    """
    path = Path(backend.location) / clone.key
    if not path.is_dir() or path.is_symlink():
        backend.delete(clone.key)
        return
    try:
        path.rmdir()
    except OSError as exc:
        raise BackendError(
            str(path), BackendProblem.OTHER, f"is a folder that cannot be deleted: {exc.strerror}"
        ) from exc


def _strange(store: Path) -> list[str]:
    """Return the keys of what lies where files should, and is none."""
    folder = store / _FOLDER
    try:
        with os.scandir(folder) as entries:
            return [_FOLDER + entry.name for entry in entries if not entry.is_file()]
    except FileNotFoundError:
        # A link that leads nowhere is something else than nothing.
        return [_FOLDER.rstrip("/")] if os.path.lexists(folder) else []
    except NotADirectoryError:
        return [_FOLDER.rstrip("/")]
    except OSError as exc:
        raise BackendError(str(folder), BackendProblem.OTHER, f"cannot be read: {exc.strerror}") from exc


def _is_obstructed(store: Path, key: str) -> bool:
    folder, path = store / _FOLDER.rstrip("/"), store / key
    if not folder.is_dir():
        return os.path.lexists(folder)
    return os.path.lexists(path) and not stat.S_ISREG(path.lstat().st_mode)


def _decode(key: str, data: bytes, store: Path) -> KnownClone:
    try:
        fields: Any = json.loads(data)
    except (ValueError, RecursionError):
        return KnownClone(key, "", None, "")
    match fields:
        case {"format": 1, "git_dir": str(git_dir), "root": str(root), "id": str(identity), "host": str(host)} if (
            _ID.fullmatch(identity) and "\0" not in git_dir + root
        ):
            return KnownClone(key, identity, _seen(Place(Path(git_dir), Path(root)), store), host)
    return KnownClone(key, _NOBODY, None, "")


def _seen(place: Place, store: Path) -> Place:
    """Return where a place is that was written in a store."""
    return Place(*(Path(os.path.normpath(store / path)) for path in (place.git_dir, place.root)))


def _shown(place: Place, store: Path) -> Place:
    """Return a place as it is written: relative to the store where that lies in the repository."""
    if not store.is_relative_to(place.root):
        return place
    return Place(*(Path(os.path.relpath(path, store)) for path in (place.git_dir, place.root)))


def _read_id(git_dir: Path) -> str:
    try:
        with (git_dir / _ID_FILE).open("rb") as file:
            text = file.read(_MOST_READ).decode("ascii", "replace").strip()
    except OSError:
        return ""
    return text if _ID.fullmatch(text) else ""


def _make_id(git_dir: Path) -> str:
    identity = secrets.token_hex(16)
    path = git_dir / _ID_FILE
    try:
        make_folder(path.parent)
        write_atomically(path, identity.encode() + b"\n")
    except OSError as exc:
        raise unwritable_place(path, exc) from exc
    # Another process may have made one at the same moment, and the last one stays.
    return _read_id(git_dir) or identity
