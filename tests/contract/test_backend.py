"""What every backend promises, checked on each of them: local folder, memory, with a retry around it, and S3 over HTTP,
plain and encrypted.

A `Place` opens any number of backends on one location, so that tests can also look from another process's side.
"""

import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from dver.errors import BackendError, BackendProblem
from dver.progress import NO_TASK
from dver.storage.backend import Backend, BlobInfo, settle
from dver.storage.check import check_backend
from dver.storage.local import LocalBackend
from dver.storage.remote import RemoteBackend
from dver.storage.retry import RetryBackend
from dver.storage.selftest import Result, try_out
from dver.storage.selftest_trials import Scratch
from tests.encryption import encrypted
from tests.servers.s3 import S3Server

KEY = "packs/4f/one.pack"
ODD_FOLDERS = ["plain", "with space", "trailing/", "two/levels//", "ünïcödé/資料", "plus+and=%20&more", "#hash"]


@dataclass(frozen=True, slots=True)
class Place:
    """A location that is empty at first; `open` makes a backend on it, or on a folder below it.

    Attributes:
        page: how many blobs are listed at most in one answer, where that is limited.
    """

    make: Callable[[str], Backend]
    page: int = 1000

    def open(self, folder: str = "store") -> Backend:
        return self.make(folder)


def _memory_place() -> Callable[[str], Backend]:
    root = f"memory://{uuid.uuid4().hex}"
    return lambda folder: RemoteBackend(f"{root}/{folder}", {})


def _retry_place() -> Callable[[str], Backend]:
    inner = _memory_place()
    return lambda folder: RetryBackend(inner(folder), lambda _note: None, wait=lambda _seconds: None)


def _s3_place(server: S3Server, bucket: str) -> Callable[[str], Backend]:
    options = {
        "endpoint_url": server.endpoint_url,
        "region": server.region,
        "key": server.key,
        "secret": server.secret,
    }
    # Without waits: a range that comes back too short is tried again.
    return lambda folder: RetryBackend(
        RemoteBackend(f"s3://{bucket}/{folder}", options), lambda _note: None, wait=lambda _seconds: None
    )


_S3 = [pytest.param(name, marks=pytest.mark.s3) for name in ("s3", "encrypted-s3")]


@pytest.fixture(params=["local", "memory", "retry", "encrypted-local", "encrypted-memory", *_S3])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """An empty location of each kind."""
    kind = str(request.param).removeprefix("encrypted-")
    make = _make(request, kind, tmp_path)
    page = request.getfixturevalue("s3_server").page if kind == "s3" else 1000
    return Place(make if request.param == kind else lambda folder: encrypted(make(folder)), page)


def _make(request: pytest.FixtureRequest, kind: str, folder: Path) -> Callable[[str], Backend]:
    if kind == "s3":
        return _s3_place(request.getfixturevalue("s3_server"), request.getfixturevalue("s3_bucket"))
    if kind == "local":
        return lambda below: LocalBackend(folder / below)
    return _memory_place() if kind == "memory" else _retry_place()


@pytest.fixture
def backend(place: Place) -> Iterator[Backend]:
    """A backend of each kind on an empty location."""
    opened = place.open()
    yield opened
    if isinstance(opened, LocalBackend):
        opened.close()


def test_what_was_written_is_read(backend: Backend) -> None:
    backend.write(KEY, [b"some bytes"])
    assert backend.read(KEY) == b"some bytes"
    assert backend.size(KEY) == 10


def test_what_is_there_and_what_is_not_can_be_settled(backend: Backend) -> None:
    settle(backend, KEY)
    backend.write(KEY, [b"x"])
    settle(backend, KEY)
    assert backend.read(KEY) == b"x"
    backend.delete(KEY)
    settle(backend, KEY)
    assert backend.size(KEY) is None


def test_an_empty_blob_is_a_blob(backend: Backend) -> None:
    nothing: list[list[bytes]] = [[], [b""], [b"", b""]]
    for pieces in nothing:
        backend.write(KEY, pieces)
        assert backend.read(KEY) == b""
        assert backend.size(KEY) == 0
        assert [*backend.list("packs/")] == [BlobInfo(KEY, 0)]


def test_pieces_of_all_types_are_put_together_in_order(backend: Backend) -> None:
    backend.write(KEY, [b"one ", bytearray(b"two "), b"", memoryview(b"__three__")[2:7]])
    assert backend.read(KEY) == b"one two three"


def test_very_many_pieces_are_put_together(backend: Backend) -> None:
    pieces = [number.to_bytes(3, "big") for number in range(5000)]
    backend.write(KEY, pieces)
    assert backend.read(KEY) == b"".join(pieces)


def test_a_large_blob_comes_back_whole(backend: Backend) -> None:
    block = bytes(range(256)) * 4096
    backend.write(KEY, [block] * 40)
    assert backend.size(KEY) == 40 * 2**20
    assert backend.read(KEY) == block * 40
    assert backend.read_range(KEY, 39 * 2**20 + 1, 3) == b"\x01\x02\x03"


def test_a_blob_larger_than_an_upload_part_comes_back_whole(backend: Backend) -> None:
    block = bytes(range(256)) * 4096
    backend.write(KEY, [block] * 65)
    assert backend.size(KEY) == 65 * 2**20
    assert backend.read_range(KEY, 64 * 2**20 + 5, 2) == b"\x05\x06"
    assert backend.read_range(KEY, 32 * 2**20 - 1, 2) == b"\xff\x00"


def test_writing_again_is_harmless(backend: Backend) -> None:
    for _ in range(2):
        backend.write(KEY, [b"the same"])
    assert backend.read(KEY) == b"the same"
    assert [*backend.list("packs/")] == [BlobInfo(KEY, 8)]


def test_writing_another_length_replaces_the_blob(backend: Backend) -> None:
    backend.write(KEY, [b"first"])
    assert backend.read_range(KEY, 0, 5) == b"first"
    backend.write(KEY, [b"another one"])
    assert backend.read(KEY) == b"another one"
    assert backend.read_range(KEY, 0, 7) == b"another"


def test_ranges_within_a_blob_are_exact(backend: Backend) -> None:
    backend.write(KEY, [b"0123456789"])
    for offset, length in [(0, 10), (0, 1), (3, 4), (9, 1), (5, 5), (0, 0), (4, 0), (10, 0)]:
        assert backend.read_range(KEY, offset, length) == b"0123456789"[offset : offset + length]


def test_ranges_beyond_the_end_are_failures(backend: Backend) -> None:
    backend.write(KEY, [b"012"])
    for offset, length in [(0, 4), (2, 2), (3, 1), (100, 5)]:
        with pytest.raises(BackendError) as caught:
            backend.read_range(KEY, offset, length)
        assert caught.value.problem is BackendProblem.OTHER
        assert KEY in caught.value.message


def test_a_missing_blob_is_told_as_not_found(backend: Backend) -> None:
    backend.write("packs/4f/other.pack", [b"x"])
    assert backend.size(KEY) is None
    calls: list[Callable[[], object]] = [lambda: backend.read(KEY), lambda: backend.read_range(KEY, 0, 1)]
    for call in calls:
        with pytest.raises(BackendError) as caught:
            call()
        assert caught.value.problem is BackendProblem.NOT_FOUND
        assert not caught.value.transient
        assert KEY in caught.value.message
        assert caught.value.location == backend.location


def test_an_empty_place_has_nothing_and_says_so_quietly(backend: Backend) -> None:
    assert backend.size(KEY) is None
    assert [*backend.list("packs/")] == []
    backend.delete(KEY)
    with pytest.raises(BackendError) as caught:
        backend.read(KEY)
    assert caught.value.problem is BackendProblem.NOT_FOUND


def test_a_folder_is_no_blob(backend: Backend) -> None:
    backend.write(KEY, [b"x"])
    assert backend.size("packs/4f") is None
    assert backend.size("packs") is None


def test_list_gives_what_is_below_the_prefix_and_nothing_else(backend: Backend) -> None:
    blobs = {"packs/4f/a.pack": 1, "packs/4f/b.pack": 2, "packs/a0/c.pack": 3, "packs-old/d.pack": 4, "top": 5}
    for key, size in blobs.items():
        backend.write(key, [bytes(size)])
    assert {info.key: info.size for info in backend.list("packs/")} == dict([*blobs.items()][:3])
    assert [*backend.list("packs/a0/")] == [BlobInfo("packs/a0/c.pack", 3)]
    assert [*backend.list("pack/")] == []
    assert {info.key: info.size for info in backend.list("")} == blobs


def test_list_gives_more_than_a_page(place: Place, backend: Backend) -> None:
    keys = [f"versions/{number:05}" for number in range(place.page + 3)]
    with ThreadPoolExecutor(8) as pool:
        for _ in pool.map(lambda key: backend.write(key, [b"v"]), keys):
            pass
    assert sorted(info.key for info in backend.list("versions/")) == keys


def test_delete_removes_and_may_be_repeated(backend: Backend) -> None:
    backend.write(KEY, [b"x"])
    assert backend.read_range(KEY, 0, 1) == b"x"
    for _ in range(2):
        backend.delete(KEY)
    assert backend.size(KEY) is None
    assert [*backend.list("packs/")] == []
    with pytest.raises(BackendError) as caught:
        backend.read_range(KEY, 0, 1)
    assert caught.value.problem is BackendProblem.NOT_FOUND


def test_another_backend_sees_each_change_at_once(place: Place) -> None:
    one, other = place.open(), place.open()
    assert [*other.list("packs/")] == []
    assert other.size(KEY) is None
    one.write(KEY, [b"new"])
    assert other.size(KEY) == 3
    assert other.read(KEY) == b"new"
    assert [*other.list("packs/")] == [BlobInfo(KEY, 3)]
    one.delete(KEY)
    assert other.size(KEY) is None
    assert [*other.list("packs/")] == []


def test_many_writers_and_readers_do_not_disturb_each_other(backend: Backend) -> None:
    def work(number: int) -> None:
        # Four threads share each key, and all write the same under it.
        key, data = f"packs/{number % 4:02}/x.pack", bytes([number % 4]) * 50_000
        for offset in range(0, 50_000, 10_000):
            backend.write(key, [data[:25_000], data[25_000:]])
            assert backend.read_range(key, offset, 10_000) == data[:10_000]
            assert backend.read(key) == data
            assert backend.size(key) == len(data)

    with ThreadPoolExecutor(16) as pool:
        for _ in pool.map(work, range(16)):
            pass
    assert {info.key: info.size for info in backend.list("packs/")} == {
        f"packs/{n:02}/x.pack": 50_000 for n in range(4)
    }


def test_a_reader_sees_a_blob_whole_or_not_at_all(place: Place) -> None:
    writer, reader = place.open(), place.open()
    sizes = [1_000_000, 2_000_000]
    done = threading.Event()

    def write() -> None:
        for round_number in range(6):
            writer.write(KEY, [bytes(sizes[round_number % 2])])
        done.set()

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        while not done.is_set() and not writing.done():
            if reader.size(KEY) is not None:
                assert len(reader.read(KEY)) in sizes
        writing.result()
    assert {info.size for info in reader.list("packs/")} == {2_000_000}


@pytest.mark.parametrize("folder", ODD_FOLDERS)
def test_odd_folder_names_work_as_any(place: Place, folder: str) -> None:
    backend, outside = place.open(folder), place.open("store")
    backend.write(KEY, [b"odd"])
    assert backend.read(KEY) == b"odd"
    assert backend.read_range(KEY, 1, 2) == b"dd"
    assert backend.size(KEY) == 3
    assert [*backend.list("packs/")] == [BlobInfo(KEY, 3)]
    assert [*outside.list("packs/")] == []
    backend.delete(KEY)
    assert [*backend.list("packs/")] == []


def test_the_check_passes_and_leaves_nothing(backend: Backend) -> None:
    backend.write(KEY, [b"x"])
    steps = check_backend(backend)
    assert [(step.name, step.ok) for step in steps] == [
        (name, True) for name in ("write", "read", "range", "list", "delete")
    ]
    assert all(step.detail and step.seconds >= 0 for step in steps)
    assert [*backend.list("")] == [BlobInfo(KEY, 1)]


def test_trying_it_out_finds_nothing_wrong_and_leaves_nothing(backend: Backend) -> None:
    backend.write(KEY, [b"x"])
    scratch = Scratch(backend, backend, NO_TASK)
    trials = try_out(scratch, quick=True)
    assert [trial for trial in trials if trial.result is not Result.OK] == []
    assert scratch.clean() == ()
    assert [*backend.list("")] == [BlobInfo(KEY, 1)]
