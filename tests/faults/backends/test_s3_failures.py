"""What the S3 backend says when the server, the network or the credentials fail, and what a retry makes of it."""

import socket
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from dver.errors import BackendError, BackendProblem
from dver.storage.backend import Backend
from dver.storage.remote import RemoteBackend
from dver.storage.retry import RetryBackend
from dver.storage.schemes import OptionValue
from tests.faults.backends.faulty_s3 import Fault, FaultyS3, Reset, S3Failure, TooShort, Truncated

KEY = "packs/ab/one.pack"
DATA = b"0123456789" * 100

CALLS: dict[str, Callable[[Backend], object]] = {
    "write": lambda backend: backend.write(KEY, [DATA]),
    "read": lambda backend: backend.read(KEY),
    "range": lambda backend: backend.read_range(KEY, 10, 20),
    "list": lambda backend: [*backend.list("packs/")],
    "delete": lambda backend: backend.delete(KEY),
}


@dataclass
class Patience:
    """A retry around a backend that notes what it says and waits for nothing."""

    remote: RemoteBackend
    notes: list[str] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)

    def backend(self) -> RetryBackend:
        return RetryBackend(self.remote, self.notes.append, wait=self.waits.append, jitter=lambda: 1.0)


@pytest.fixture
def patience(remote: RemoteBackend) -> Patience:
    return Patience(remote)


@pytest.fixture
def _stored(faulty_s3: FaultyS3) -> None:
    faulty_s3.blobs[f"folder/{KEY}"] = DATA


PERMANENT = [
    (404, "NoSuchBucket", BackendProblem.NO_BUCKET),
    (403, "AccessDenied", BackendProblem.DENIED),
    (403, "InvalidAccessKeyId", BackendProblem.CREDENTIALS),
    (403, "SignatureDoesNotMatch", BackendProblem.CREDENTIALS),
    (400, "ExpiredToken", BackendProblem.CREDENTIALS),
    (403, "RequestTimeTooSkewed", BackendProblem.CLOCK_SKEW),
    (405, "MethodNotAllowed", BackendProblem.ENDPOINT),
    (507, "XMinioStorageFull", BackendProblem.NO_SPACE),
]


@pytest.mark.parametrize(("status", "code", "problem"), PERMANENT)
def test_permanent_failures_are_told_apart_with_a_hint(
    faulty_s3: FaultyS3, remote: RemoteBackend, status: int, code: str, problem: BackendProblem
) -> None:
    for call in CALLS.values():
        faulty_s3.fail(S3Failure(status, code))
        with pytest.raises(BackendError) as caught:
            call(remote)
        assert caught.value.problem is problem
        assert not caught.value.transient
        assert caught.value.hint
        assert caught.value.location == "s3://bucket/folder"
        assert "raw words" not in caught.value.message


TRANSIENT = [
    (503, "SlowDown", BackendProblem.THROTTLED),
    (429, "TooManyRequests", BackendProblem.THROTTLED),
    (500, "InternalError", BackendProblem.OTHER),
    (400, "RequestTimeout", BackendProblem.TIMEOUT),
]


@pytest.mark.parametrize(("status", "code", "problem"), TRANSIENT)
def test_failures_that_pass_are_marked_as_transient(
    faulty_s3: FaultyS3, remote: RemoteBackend, status: int, code: str, problem: BackendProblem
) -> None:
    for call in CALLS.values():
        faulty_s3.fail(S3Failure(status, code))
        with pytest.raises(BackendError) as caught:
            call(remote)
        assert caught.value.problem is problem
        assert caught.value.transient


@pytest.mark.usefixtures("_stored")
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("fault", [S3Failure(503, "SlowDown"), S3Failure(502, body=b"<html>")])
def test_a_retry_gets_over_what_passes(faulty_s3: FaultyS3, patience: Patience, call: str, fault: Fault) -> None:
    faulty_s3.fail(fault, times=2)
    CALLS[call](patience.backend())
    assert len(patience.notes) == len(patience.waits) == 2
    assert patience.notes[0].startswith("s3://bucket/folder: ")
    assert patience.notes[0].endswith("; trying again in 0.5 s (2 of 8)")
    assert patience.notes[1].endswith("; trying again in 1.0 s (3 of 8)")


@pytest.mark.usefixtures("_stored")
@pytest.mark.parametrize("call", CALLS)
def test_a_retry_gets_over_reset_connections(faulty_s3: FaultyS3, patience: Patience, call: str) -> None:
    # How often aiohttp opens another connection by itself is its own affair.
    faulty_s3.fail(Reset(), times=4)
    CALLS[call](patience.backend())
    assert patience.notes
    assert all("the connection broke off" in note for note in patience.notes)


def test_a_retry_gives_up_in_the_end(faulty_s3: FaultyS3, patience: Patience) -> None:
    faulty_s3.fail(S3Failure(503, "SlowDown"), times=100)
    with pytest.raises(BackendError) as caught:
        patience.backend().read(KEY)
    assert caught.value.problem is BackendProblem.THROTTLED
    assert patience.waits == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 20.0]


def test_a_retry_does_not_repeat_what_cannot_pass(faulty_s3: FaultyS3, patience: Patience) -> None:
    faulty_s3.fail(S3Failure(403, "AccessDenied"))
    with pytest.raises(BackendError):
        patience.backend().write(KEY, [DATA])
    assert len(faulty_s3.requests) == 1
    assert patience.notes == []


@pytest.mark.usefixtures("_stored")
@pytest.mark.parametrize("call", ["read", "range"])
def test_a_body_that_ends_early_is_never_returned(
    faulty_s3: FaultyS3, remote: RemoteBackend, patience: Patience, call: str
) -> None:
    faulty_s3.fail(Truncated(), times=2)
    with pytest.raises(BackendError, match="broke off") as caught:
        CALLS[call](remote)
    assert caught.value.transient
    expected = {"read": DATA, "range": DATA[10:30]}
    assert CALLS[call](patience.backend()) == expected[call]
    assert len(patience.notes) == 1


@pytest.mark.usefixtures("_stored")
def test_a_range_with_too_few_bytes_is_a_failure_that_may_pass(
    faulty_s3: FaultyS3, remote: RemoteBackend, patience: Patience
) -> None:
    faulty_s3.fail(TooShort(), times=2)
    with pytest.raises(BackendError, match="gave 19 bytes at 10, where 20 should be"):
        remote.read_range(KEY, 10, 20)
    assert patience.backend().read_range(KEY, 10, 20) == DATA[10:30]


@pytest.mark.usefixtures("_stored")
def test_a_range_beyond_the_end_is_not_tried_again(faulty_s3: FaultyS3, patience: Patience) -> None:
    with pytest.raises(BackendError, match="shorter than it should be"):
        patience.backend().read_range(KEY, len(DATA), 1)
    assert len(faulty_s3.requests) == 1


def test_refused_look_ups_are_no_missing_blobs(faulty_s3: FaultyS3, remote: RemoteBackend) -> None:
    faulty_s3.fail(S3Failure(403, "AccessDenied"))
    with pytest.raises(BackendError) as caught:
        remote.size(KEY)
    assert caught.value.problem is BackendProblem.DENIED


@pytest.mark.parametrize(
    ("status", "body"), [(200, b"not XML at all"), (404, b"<html>Welcome!</html>"), (405, b""), (404, b"Welcome!")]
)
def test_a_server_that_is_not_s3_fails_in_words_on_list(
    faulty_s3: FaultyS3, remote: RemoteBackend, status: int, body: bytes
) -> None:
    faulty_s3.fail(S3Failure(status, body=body))
    with pytest.raises(BackendError) as caught:
        [*remote.list("packs/")]
    assert "Welcome" not in caught.value.message


def test_nothing_listening_is_told_with_the_setting_to_check() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        options = {"endpoint_url": f"http://127.0.0.1:{held.getsockname()[1]}", "key": "k", "secret": "s"}
        with pytest.raises(BackendError) as caught:
            RemoteBackend("s3://bucket", options).read(KEY)
    assert caught.value.problem is BackendProblem.ENDPOINT
    assert caught.value.transient
    assert caught.value.hint is not None
    assert "endpoint_url" in caught.value.hint


def test_an_endpoint_that_is_no_url_fails_in_words() -> None:
    with pytest.raises(BackendError, match=r"^s3://bucket: "):
        RemoteBackend("s3://bucket", {"endpoint_url": "nonsense", "key": "k", "secret": "s"}).read(KEY)


def test_missing_credentials_are_told_with_what_to_set(faulty_s3: FaultyS3) -> None:
    with pytest.raises(BackendError) as caught:
        RemoteBackend(faulty_s3.url, {"endpoint_url": faulty_s3.endpoint_url}).read(KEY)
    assert caught.value.problem is BackendProblem.CREDENTIALS
    assert caught.value.hint is not None
    assert "AWS_ACCESS_KEY_ID" in caught.value.hint
    assert faulty_s3.requests == []


@pytest.mark.parametrize("options", [{"key": "only-this"}, {"profile": "nowhere"}])
def test_unusable_credentials_are_told_as_such(faulty_s3: FaultyS3, options: dict[str, str]) -> None:
    with pytest.raises(BackendError) as caught:
        RemoteBackend(faulty_s3.url, {"endpoint_url": faulty_s3.endpoint_url, **options}).read(KEY)
    assert caught.value.problem is BackendProblem.CREDENTIALS


def test_anonymous_access_needs_no_credentials(faulty_s3: FaultyS3) -> None:
    faulty_s3.blobs[f"folder/{KEY}"] = DATA
    options: dict[str, OptionValue] = {"endpoint_url": faulty_s3.endpoint_url, "anonymous": True}
    assert RemoteBackend(faulty_s3.url, options).read(KEY) == DATA


def test_a_bucket_name_that_cannot_be_is_told_as_such(faulty_s3: FaultyS3) -> None:
    with pytest.raises(BackendError) as caught:
        RemoteBackend("s3://not a bucket/x", faulty_s3.options).read(KEY)
    assert caught.value.problem is BackendProblem.NO_BUCKET


def test_unknown_failures_show_a_short_excerpt_without_secrets(faulty_s3: FaultyS3, remote: RemoteBackend) -> None:
    words = "it hurts a-secret " + "very " * 200
    faulty_s3.fail(S3Failure(418, "Teapot", words))
    with pytest.raises(BackendError) as caught:
        remote.read(KEY)
    assert "it hurts" in caught.value.message
    assert "a-secret" not in caught.value.message
    assert len(caught.value.message) < 300
