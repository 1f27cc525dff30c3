"""The single trials of a store's place: each stands for one promise of `dver.storage.backend.Backend`.

Everything is written below one folder of a random name, where no store looks. A trial returns what it saw in words, or
raises: a `DverError` where the place refuses, a `BrokenPromiseError` where it answers other than it should.
"""

import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeVar

from dver.errors import BackendError, BackendProblem, DverError
from dver.objects.ids import Bytes
from dver.progress import Task
from dver.storage.backend import Backend, Dated
from dver.storage.check import BrokenPromiseError, expect

_T = TypeVar("_T")
_R = TypeVar("_R")

# Of all trials, each in a folder of its own: so those that were left behind can be listed.
FOLDER = "dver-test/"
LARGE = 24 * 1024 * 1024
MORE_THAN_A_PAGE = 1003
_THREADS = 8
_SMALL = 10_000
_BLOCK = 1024 * 1024
_DIFFERENCE_SECONDS = 300
_HEX = "0123456789abcdef" * 4
# As stores, collectors and encrypted stores make them.
_NAMES = (
    "dver-store.json",
    f"packs/4f/{_HEX}.pack",
    f"index/{_HEX}.idx",
    f"versions/{_HEX}",
    f"clones/{_HEX[:32]}-{_HEX[:16]}.json",
    "gc/20300102T030405Z-0123456789abcdef.json",
    f"quarantine/packs/{_HEX}.pack",
    f"packs/0v/{'0123456789abcdefghijklmnopqrstuv' * 6}",
)


@dataclass(slots=True)
class Scratch:
    """A folder of a backend to try things in.

    Attributes:
        place: what holds the blobs in the end, without the encryption that `backend` may have around it.
        folder: its name, ending in `/`.
        written: the keys of what was written.
    """

    backend: Backend
    place: Backend
    task: Task
    folder: str = field(default_factory=lambda: f"{FOLDER}{secrets.token_hex(8)}/")
    written: set[str] = field(default_factory=set)

    def write(self, name: str, pieces: Sequence[Bytes]) -> str:
        """Write a blob and return its key."""
        key = self.folder + name
        self.written.add(key)
        self.backend.write(key, pieces)
        self.task.advance(bytes=sum(len(piece) for piece in pieces))
        return key

    def clean(self) -> tuple[str, ...]:
        """Delete all that was written, and return the keys of what could not be."""
        if not self.written:
            return ()
        found = set(self.written)
        with suppress(DverError):
            found.update(self._listed())
        keys = {key for key in _in_threads(self._cannot_delete, sorted(found)) if key is not None}
        with suppress(DverError):
            # A listing may lag behind; what cannot be read any more is gone.
            keys.update(key for key in self._listed() if self.backend.size(key) is not None)
        return tuple(sorted(keys))

    def _listed(self) -> list[str]:
        return [info.key for info in self.backend.list(self.folder)]

    def _cannot_delete(self, key: str) -> str | None:
        try:
            self.backend.delete(key)
        except DverError:
            return key
        return None


def _connect(scratch: Scratch) -> str:
    expect(not [*scratch.backend.list(scratch.folder)], "a folder that was never made is not empty")
    return "an empty folder is listed as empty"


def _write(scratch: Scratch) -> str:
    data = secrets.token_bytes(_SMALL)
    key = scratch.write("write", [data[:10], bytearray(data[10:100]), memoryview(data)[100:]])
    _expect_content(scratch.backend, key, data)
    return f"{_SMALL:,} bytes came back as they were written, at once"


def _empty(scratch: Scratch) -> str:
    _expect_content(scratch.backend, scratch.write("empty", []), b"")
    return "a blob without bytes is a blob"


def _names(scratch: Scratch) -> str:
    for number, name in enumerate(_NAMES):
        scratch.write(name, [b"%d" % number])
    for number, name in enumerate(_NAMES):
        _expect_content(scratch.backend, scratch.folder + name, b"%d" % number)
    return f"names of all {len(_NAMES)} kinds that dver uses"


def _ranges(scratch: Scratch) -> str:
    data = secrets.token_bytes(_SMALL)
    key = scratch.write("ranges", [data])
    for offset, length in [(0, 1), (0, _SMALL), (17, 4000), (_SMALL - 1, 1), (5, 0)]:
        part = scratch.backend.read_range(key, offset, length)
        expect(part == data[offset : offset + length], f"{length:,} bytes from {offset:,} on are not those asked for")
    try:
        scratch.backend.read_range(key, _SMALL - 5, 10)
    except BackendError:
        return "exactly the part that is asked for; beyond the end is an error"
    raise BrokenPromiseError("a part beyond the end was made up")


def _missing(scratch: Scratch) -> str:
    key = scratch.folder + "packs/missing"
    expect(scratch.backend.size(key) is None, "it tells a size of what is not there")
    scratch.backend.delete(key)
    try:
        scratch.backend.read(key)
    except BackendError as exc:
        if exc.problem is BackendProblem.NOT_FOUND:
            return "what is not there is told as such"
        raise
    raise BrokenPromiseError("it gave something for what is not there")


def _overwrite(scratch: Scratch) -> str:
    for data in (b"the same", b"the same", b"another length", b"short"):
        key = scratch.write("overwrite", [data])
        _expect_content(scratch.backend, key, data)
    return "written again it is the same, and another length takes its place at once"


def _list(scratch: Scratch) -> str:
    sizes = {scratch.write(f"list/{name}", [bytes(size)]): size for size, name in enumerate(("a", "b/c", "b/d"))}
    scratch.write("list-of-others", [b"x"])
    found = {info.key: info.size for info in scratch.backend.list(scratch.folder + "list/")}
    expect(found == sizes, _difference(sizes, found))
    gone = scratch.folder + "list/b/c"
    scratch.backend.delete(gone)
    names = {info.key for info in scratch.backend.list(scratch.folder + "list/")}
    expect(gone not in names, "what was deleted is still listed; dver takes it for stored until that ends")
    return "shows what was just written, with sizes, and not what was just deleted"


def _whole(scratch: Scratch) -> str:
    """Read a blob again and again while it is replaced by one of another length."""
    contents = {bytes([letter]) * size for letter, size in ((1, _BLOCK // 4), (2, _BLOCK // 2))}
    looks = 0
    with _writing(scratch, [*contents] * 3) as is_done:
        while not is_done():
            with suppress(_NotThereError):
                expect(_read_or_nothing(scratch, "whole") in contents, "a reader saw a part of what was being written")
                looks += 1
    return f"{looks} looks while it was written: whole or not at all"


def _together(scratch: Scratch) -> str:
    def write(number: int) -> None:
        # Two threads share each name, and write the same.
        data = bytes([number % 4]) * _SMALL
        for _ in range(3):
            key = scratch.write(f"together/{number % 4}", [data])
            _expect_content(scratch.backend, key, data)

    for _ in _in_threads(write, range(_THREADS)):
        pass
    return f"{_THREADS} writers at once do not disturb each other"


def _large(scratch: Scratch) -> str:
    block = secrets.token_bytes(_BLOCK)
    count = LARGE // _BLOCK
    # Of blocks that are all alike a missing one would go unnoticed.
    pieces = [number.to_bytes(8, "big") + block[8:] for number in range(count)]
    start = time.monotonic()
    key = scratch.write("large", pieces)
    up = time.monotonic() - start
    start = time.monotonic()
    _expect_content(scratch.backend, key, b"".join(pieces))
    down = time.monotonic() - start
    middle = scratch.backend.read_range(key, 13 * _BLOCK - 8, 16)
    expect(middle == pieces[12][-8:] + pieces[13][:8], "a part from the middle is not the one asked for")
    return f"{count} MiB whole and in parts: {count / up:.1f} MiB/s there, {count / down:.1f} MiB/s back"


def _pages(scratch: Scratch) -> str:
    names = [f"pages/{number:05}" for number in range(MORE_THAN_A_PAGE)]
    keys = {key for key in _in_threads(lambda name: scratch.write(name, [b"x"]), names)}
    found = [info.key for info in scratch.backend.list(scratch.folder + "pages/")]
    expect(len(found) == len(set(found)), "some blobs are listed twice")
    expect(set(found) == keys, f"of {len(keys):,} blobs {len(keys & set(found)):,} are listed")
    return f"{len(keys):,} blobs are all listed"


def _delete(scratch: Scratch) -> str:
    key = scratch.write("delete", [b"x"])
    for _ in range(2):
        scratch.backend.delete(key)
        expect(scratch.backend.size(key) is None, "what was deleted is still there")
    try:
        scratch.backend.read(key)
    except BackendError as exc:
        expect(exc.problem is BackendProblem.NOT_FOUND, exc.message)
        return "gone at once; deleting it again does no harm"
    raise BrokenPromiseError("what was deleted can still be read")


def _clock(scratch: Scratch) -> str:
    if not isinstance(scratch.place, Dated):
        return "nothing is asked about times of storage of this kind"
    key = scratch.folder + "clock"
    before = time.time()
    scratch.place.write(key, [b"x"])
    try:
        changed = scratch.place.modified(key)
    finally:
        scratch.place.delete(key)
    if changed is None:
        return "it does not say when something was written"
    # Some keep whole seconds.
    ahead = min(0.0, changed + 1 - before) or max(0.0, changed - time.time())
    words = f"its clock is {abs(ahead):,.0f} s {'ahead of' if ahead > 0 else 'behind'} this machine's"
    expect(abs(ahead) <= _DIFFERENCE_SECONDS, f"{words}; set the one that is wrong")
    return words if abs(ahead) > 1 else "its clock and this machine's agree"


@dataclass(frozen=True, slots=True)
class Plan:
    """A trial to make; without the `is_first_step` ones no other can be made."""

    name: str
    needed_for: str
    action: Callable[[Scratch], str]
    is_first_step: bool = False
    takes_long: bool = False


_STORING = "push"
PLANS = (
    Plan("connect", "everything", _connect, is_first_step=True),
    Plan("write", _STORING, _write, is_first_step=True),
    Plan("empty", _STORING, _empty),
    Plan("names", _STORING, _names),
    Plan("ranges", "fetch, checkout, status --remote", _ranges),
    Plan("missing", "everything", _missing),
    Plan("overwrite", "fsck --repair", _overwrite),
    Plan("list", "everything", _list),
    Plan("whole", "fetch during a push", _whole),
    Plan("together", "several users at once", _together),
    Plan("large", _STORING, _large, takes_long=True),
    Plan("pages", "large remotes", _pages, takes_long=True),
    Plan("delete", "fsck --repair, remote key reencrypt", _delete),
    Plan("clock", "telling how old something is", _clock),
)


class _NotThereError(Exception):
    """There is no blob yet."""


def _read_or_nothing(scratch: Scratch, name: str) -> bytes:
    try:
        return scratch.backend.read(scratch.folder + name)
    except BackendError as exc:
        if exc.problem is BackendProblem.NOT_FOUND:
            raise _NotThereError from exc
        raise


@contextmanager
def _writing(scratch: Scratch, contents: Sequence[bytes]) -> Iterator[Callable[[], bool]]:
    """Write one content after the other as the blob `whole`; yield what tells whether that is done."""
    end = threading.Event()

    def write() -> None:
        for content in contents:
            if end.is_set():
                return
            scratch.write("whole", [content])

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        try:
            yield writing.done
        finally:
            end.set()
        writing.result()


def _in_threads(action: Callable[[_T], _R], items: Iterable[_T]) -> list[_R]:
    with ThreadPoolExecutor(_THREADS) as pool:
        started = [pool.submit(action, item) for item in items]
        try:
            return [future.result() for future in started]
        finally:
            for future in started:
                future.cancel()


def _expect_content(backend: Backend, key: str, data: bytes) -> None:
    expect(backend.read(key) == data, "what came back is not what was written")
    expect(backend.size(key) == len(data), "it tells another size than was written")


def _difference(sizes: dict[str, int], found: dict[str, int]) -> str:
    if missing := sizes.keys() - found.keys():
        return f"{len(missing)} of {len(sizes)} blobs that were just written are not listed; others would miss them"
    if found.keys() - sizes.keys():
        return "blobs of other folders are listed"
    return "it lists other sizes than were written"
