"""Whether two stores are one and the same: what lies in one place is no second copy of itself.

Names prove little: a folder has many, by links, mounts and servers. So a small blob is written into the one store and
looked for in the other. Where that may not be, names have to do. What is encrypted counts by where it lies.
"""

import os
import secrets
from contextlib import suppress

from dver.errors import BackendError, BackendProblem
from dver.storage.backend import Backend
from dver.storage.local import LocalBackend
from dver.storage.open import inner_of

_FOLDER = "probe/"
_REFUSED = frozenset({BackendProblem.DENIED, BackendProblem.READ_ONLY})


def are_one(one: Backend, other: Backend) -> bool:
    """Whether two stores lie in one place; a blob is written into the first for a moment.

    Raises:
        BackendError: one of them does not answer.
    """
    here, there = inner_of(one), inner_of(other)
    if are_alike(here, there):
        return True
    key = f"{_FOLDER}{secrets.token_hex(16)}"
    try:
        here.write(key, [b"Is this the same place?\n"])
    except BackendError as exc:
        if exc.problem not in _REFUSED:
            raise
        return False
    try:
        return there.size(key) is not None
    finally:
        with suppress(BackendError):
            here.delete(key)
        if isinstance(here, LocalBackend):
            here.remove_empty_folders(_FOLDER)


def are_alike(one: Backend, other: Backend) -> bool:
    """Whether two stores are one by what they are called, or by the folder that this leads to; nothing is written."""
    here, there = inner_of(one), inner_of(other)
    if isinstance(here, LocalBackend) and isinstance(there, LocalBackend):
        return is_same_folder(here.location, there.location)
    return _plain(here.location) == _plain(there.location)


def is_same_folder(one: str, other: str) -> bool:
    """Whether two paths lead to one folder, be it there yet or not."""
    try:
        return os.path.samefile(one, other)
    except OSError:
        return os.path.realpath(one) == os.path.realpath(other)


def _plain(location: str) -> str:
    scheme, separator, rest = location.partition("://")
    return f"{scheme.lower()}{separator}{os.path.normpath(rest)}"
