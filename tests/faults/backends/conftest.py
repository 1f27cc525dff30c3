"""Fixtures for the fault tests of backends."""

from collections.abc import Iterator

import pytest

from dver.storage.remote import RemoteBackend
from tests.faults.backends.faulty_s3 import FaultyS3, running_faulty_s3


@pytest.fixture
def faulty_s3() -> Iterator[FaultyS3]:
    """A small S3 server that fails on demand."""
    with running_faulty_s3() as server:
        yield server


@pytest.fixture
def remote(faulty_s3: FaultyS3) -> RemoteBackend:
    """A backend, without retries, at that server."""
    return RemoteBackend(faulty_s3.url, faulty_s3.options)
