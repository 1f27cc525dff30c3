"""Each call of the S3 backend costs as few requests as it can, counted at the server."""

import pytest

from dver.storage.backend import BlobInfo
from dver.storage.remote import RemoteBackend
from tests.faults.backends.faulty_s3 import FaultyS3

KEY = "packs/ab/one.pack"
PATH = f"/bucket/folder/{KEY}"


@pytest.fixture
def _stored(faulty_s3: FaultyS3) -> None:
    faulty_s3.blobs[f"folder/{KEY}"] = b"0123456789"


def test_write_is_one_put(faulty_s3: FaultyS3, remote: RemoteBackend) -> None:
    remote.write(KEY, [b"01234", bytearray(b"567"), memoryview(b"89")])
    assert faulty_s3.requests == [f"PUT {PATH}"]
    assert faulty_s3.blobs == {f"folder/{KEY}": b"0123456789"}


def test_write_of_a_pack_of_usual_size_is_one_put(faulty_s3: FaultyS3, remote: RemoteBackend) -> None:
    remote.write(KEY, [bytes(40 * 1024 * 1024)])
    assert faulty_s3.requests == [f"PUT {PATH}"]


@pytest.mark.usefixtures("_stored")
def test_read_is_one_get(faulty_s3: FaultyS3, remote: RemoteBackend) -> None:
    assert remote.read(KEY) == b"0123456789"
    assert faulty_s3.requests == [f"GET {PATH}"]


@pytest.mark.usefixtures("_stored")
def test_range_is_one_get(faulty_s3: FaultyS3, remote: RemoteBackend) -> None:
    assert remote.read_range(KEY, 2, 3) == b"234"
    assert faulty_s3.requests == [f"GET {PATH}"]


def test_empty_range_asks_nobody(faulty_s3: FaultyS3, remote: RemoteBackend) -> None:
    assert remote.read_range(KEY, 2, 0) == b""
    assert faulty_s3.requests == []


@pytest.mark.usefixtures("_stored")
def test_size_is_one_head(faulty_s3: FaultyS3, remote: RemoteBackend) -> None:
    assert remote.size(KEY) == 10
    assert faulty_s3.requests == [f"HEAD {PATH}"]


def test_size_of_a_missing_blob_is_one_head(faulty_s3: FaultyS3, remote: RemoteBackend) -> None:
    assert remote.size(KEY) is None
    assert faulty_s3.requests == [f"HEAD {PATH}"]


@pytest.mark.usefixtures("_stored")
def test_delete_is_one_delete(faulty_s3: FaultyS3, remote: RemoteBackend) -> None:
    remote.delete(KEY)
    assert faulty_s3.requests == [f"DELETE {PATH}"]
    assert faulty_s3.blobs == {}


@pytest.mark.parametrize(("keys", "requests"), [(0, 1), (1, 1), (1000, 1), (1001, 2), (2500, 3)])
def test_list_is_one_request_for_each_thousand_keys(
    faulty_s3: FaultyS3, remote: RemoteBackend, keys: int, requests: int
) -> None:
    names = [f"versions/{number:04}" for number in range(keys)]
    faulty_s3.blobs |= {f"folder/{name}": b"x" for name in names}
    faulty_s3.blobs["folder/versions-of-others/0"] = b"no"
    assert [*remote.list("versions/")] == [BlobInfo(name, 1) for name in names]
    assert len(faulty_s3.requests) == requests


def test_nothing_is_remembered_between_lists(faulty_s3: FaultyS3, remote: RemoteBackend) -> None:
    assert [*remote.list("index/")] == []
    faulty_s3.blobs["folder/index/a.idx"] = b"abc"
    assert [*remote.list("index/")] == [BlobInfo("index/a.idx", 3)]


def test_making_a_backend_asks_nobody(faulty_s3: FaultyS3) -> None:
    RemoteBackend(faulty_s3.url, faulty_s3.options)
    assert faulty_s3.requests == []
