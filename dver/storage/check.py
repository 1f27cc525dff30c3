"""A probe that shows whether a store's place can be used: writes, reads, lists and deletes one small blob.

It asks for each of the rights that dver needs, in the order in which a failure tells most. The probe has a random
name below `probe/`, where no store looks, so that checks never meet each other nor any data.
"""

import os
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from dver.errors import BackendError, BackendProblem
from dver.storage.backend import Backend
from dver.storage.local import LocalBackend
from dver.storage.open import inner_of
from dver.storage.retry import trying_once

_FOLDER = "probe/"
_PROBE_LENGTH = 1024
_RANGE_OFFSET = 100
_RANGE_LENGTH = 200


@dataclass(frozen=True, slots=True)
class CheckStep:
    """One thing that was tried.

    Attributes:
        name: "write", "read", "range", "list" or "delete".
        ok: whether it worked.
        detail: what was done, or what is wrong and what helps.
        seconds: how long it took.
    """

    name: str
    ok: bool
    detail: str
    seconds: float


class BrokenPromiseError(Exception):
    """The place answered, but not as it should; the text says how."""


def check_backend(backend: Backend) -> list[CheckStep]:
    """Try all that dver needs of `backend`, and return the steps up to the first that failed.

    All five steps with `ok` mean that the place can be used. A failure is a step, never an exception. The probe is
    deleted afterwards as far as the place allows.
    """
    key = f"{_FOLDER}{secrets.token_hex(16)}"
    data = secrets.token_bytes(_PROBE_LENGTH)
    steps: list[CheckStep] = []
    place = inner_of(backend)
    is_new = isinstance(place, LocalBackend) and not os.path.isdir(place.location)
    for name, action in _actions(backend, key, data, is_new=is_new).items():
        steps.append(_step(name, action))
        if not steps[-1].ok:
            break
    if not steps[-1].ok:
        with suppress(BackendError), trying_once(place):
            backend.delete(key)
    if isinstance(place, LocalBackend):
        place.remove_empty_folders(_FOLDER)
    return steps


def _actions(backend: Backend, key: str, data: bytes, *, is_new: bool) -> dict[str, Callable[[], str]]:
    def write() -> str:
        backend.write(key, [data])
        return f"wrote {key}; the folder was not there before" if is_new else f"wrote {key}"

    def read() -> str:
        expect(backend.read(key) == data and backend.size(key) == len(data), "what came back is not what was written")
        return f"read {len(data)} bytes back"

    def read_range() -> str:
        part = backend.read_range(key, _RANGE_OFFSET, _RANGE_LENGTH)
        expect(part == data[_RANGE_OFFSET:][:_RANGE_LENGTH], "a part came back that is not the one asked for")
        return f"read {len(part)} bytes from the middle"

    def find() -> str:
        # Not only this probe: another check may run at the same time.
        expect((key, len(data)) in {(info.key, info.size) for info in backend.list(_FOLDER)}, "the list lacks it")
        return "found it in the list"

    def delete() -> str:
        backend.delete(key)
        expect(backend.size(key) is None, "it is still there")
        return "deleted it"

    return {"write": write, "read": read, "range": read_range, "list": find, "delete": delete}


def _step(name: str, action: Callable[[], str]) -> CheckStep:
    start = time.monotonic()
    try:
        detail, ok = action(), True
    except BackendError as exc:
        detail, ok = _explain(name, exc), False
    except BrokenPromiseError as exc:
        detail, ok = f"{exc}; use storage that returns what was written, at once", False
    return CheckStep(name, ok, detail, time.monotonic() - start)


def _explain(name: str, exc: BackendError) -> str:
    if name == "write" and exc.problem is BackendProblem.NOT_FOUND:
        # Nothing was asked for that could be missing, other than the place itself.
        return f"{exc.location}: there is no such place; check the remote's URL and its endpoint_url"
    return f"{exc.message}; {exc.hint}" if exc.hint else exc.message


def expect(condition: bool, otherwise: str) -> None:
    """Raise BrokenPromiseError with a text unless something is as it should be."""
    if not condition:
        raise BrokenPromiseError(otherwise)
