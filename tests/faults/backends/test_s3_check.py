"""`check_backend` against a failing S3 server says in words what is wrong."""

import pytest

from dver.storage.check import check_backend
from dver.storage.remote import RemoteBackend
from tests.faults.backends.faulty_s3 import FaultyS3, S3Failure


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (404, "NoSuchBucket", ("bucket does not exist", "create the bucket")),
        (403, "AccessDenied", ("access is denied", "permission")),
        (403, "InvalidAccessKeyId", ("access key is not known", "check the access key")),
        (403, "RequestTimeTooSkewed", ("clock", "set this machine's clock")),
        (405, "", ("does not answer as a storage service", "endpoint_url")),
        (404, "", ("there is no such place", "endpoint_url")),
    ],
)
def test_the_first_step_tells_what_is_wrong_and_what_helps(
    faulty_s3: FaultyS3, remote: RemoteBackend, status: int, code: str, words: tuple[str, str]
) -> None:
    faulty_s3.fail(S3Failure(status, code, body=None if code else b"<html>"), times=2)
    (step,) = check_backend(remote)
    assert (step.name, step.ok) == ("write", False)
    assert all(word in step.detail for word in words)


def test_a_place_that_may_be_written_but_not_read(faulty_s3: FaultyS3, remote: RemoteBackend) -> None:
    class OnlyWrites(RemoteBackend):
        def read(self, key: str) -> bytes:
            faulty_s3.fail(S3Failure(403, "AccessDenied"))
            return super().read(key)

    steps = check_backend(OnlyWrites(faulty_s3.url, faulty_s3.options))
    assert [(step.name, step.ok) for step in steps] == [("write", True), ("read", False)]
    assert "cannot read probe/" in steps[-1].detail
    assert faulty_s3.blobs == {}


def test_missing_credentials(faulty_s3: FaultyS3) -> None:
    (step,) = check_backend(RemoteBackend(faulty_s3.url, {"endpoint_url": faulty_s3.endpoint_url}))
    assert "no credentials were found" in step.detail
