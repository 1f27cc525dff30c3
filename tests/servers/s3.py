"""Fixtures for tests that talk to an S3 API over HTTP.

By default moto's threaded server answers, started once a session on a free port of 127.0.0.1. The environment
variables `DVER_TEST_S3_ENDPOINT`, `_KEY`, `_SECRET` and `_REGION` name another endpoint instead; the same tests then
run against that one (`tests/servers/swift.py` sets them). A test gets a fresh bucket and leaves nothing behind.

Tests that request one of these fixtures carry the `s3` marker without asking for it; a parameter that looks its
fixture up by name at run time has to be marked by hand (`pytest.param("s3", marks=pytest.mark.s3)`).
"""

import logging
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import botocore.session
import pytest
import s3fs
from botocore.loaders import JSONFileLoader
from moto.server import ThreadedMotoServer

_HOST = "127.0.0.1"
_DEFAULT_REGION = "us-east-1"
# Small, so that little is to be written before there is a second page.
_MOTO_PAGE = 100
_ENDPOINT_VARIABLE = "DVER_TEST_S3_ENDPOINT"


@dataclass(frozen=True, slots=True)
class S3Server:
    """An S3 endpoint and the credentials that may create buckets there.

    Attributes:
        page: how many keys it lists at most in one answer.
    """

    endpoint_url: str
    key: str
    secret: str = field(repr=False)
    region: str
    page: int = 1000

    def environment(self) -> dict[str, str]:
        """Return the standard variables that let a dver subprocess use this endpoint."""
        return {
            "AWS_ENDPOINT_URL_S3": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_DEFAULT_REGION": self.region,
        }

    def filesystem(self) -> s3fs.S3FileSystem:
        """Return a file system of its own, with no listing remembered from another test."""
        return s3fs.S3FileSystem(
            endpoint_url=self.endpoint_url,
            key=self.key,
            secret=self.secret,
            client_kwargs={"region_name": self.region},
            use_listings_cache=False,
            skip_instance_cache=True,
        )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that needs an S3 server, so that `-m s3` selects exactly these."""
    for item in items:
        if "s3_server" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.s3)


@pytest.fixture(scope="session", autouse=True)
def _service_models_read_once() -> Iterator[None]:
    """Tests open a client each, and most of the time that takes goes into reading the same JSON again."""
    with pytest.MonkeyPatch.context() as patch:
        read = cache(JSONFileLoader().load_file)
        patch.setattr(JSONFileLoader, "load_file", lambda _self, path: read(path))
        yield


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """An S3 endpoint for the whole session: the one that the environment names, or else moto's."""
    endpoint = os.environ.get(_ENDPOINT_VARIABLE)
    if endpoint is not None:
        yield S3Server(
            endpoint_url=endpoint,
            key=os.environ["DVER_TEST_S3_KEY"],
            secret=os.environ["DVER_TEST_S3_SECRET"],
            region=os.environ.get("DVER_TEST_S3_REGION", _DEFAULT_REGION),
        )
        return
    # Set before the first request: werkzeug logs each one to stderr unless a level is there already.
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = ThreadedMotoServer(ip_address=_HOST, port=0, verbose=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", str(_MOTO_PAGE))
        server.start()
        try:
            _, port = server.get_host_and_port()
            url = f"http://{_HOST}:{port}"
            yield S3Server(url, key="tester", secret="testing", region=_DEFAULT_REGION, page=_MOTO_PAGE)
        finally:
            server.stop()


@pytest.fixture(scope="session")
def s3_client(s3_server: S3Server) -> Any:
    """A plain S3 client that owes nothing to the code under test."""
    return botocore.session.Session().create_client(
        "s3",
        endpoint_url=s3_server.endpoint_url,
        aws_access_key_id=s3_server.key,
        aws_secret_access_key=s3_server.secret,
        region_name=s3_server.region,
    )


@pytest.fixture
def s3_bucket(s3_server: S3Server, s3_client: Any) -> Iterator[str]:
    """The name of a fresh bucket, removed afterwards with everything in it."""
    name = f"dver-test-{uuid.uuid4().hex[:16]}"
    # us-east-1 is the one region that must not be named when a bucket is created.
    place = {} if s3_server.region == _DEFAULT_REGION else {"LocationConstraint": s3_server.region}
    s3_client.create_bucket(Bucket=name, **({"CreateBucketConfiguration": place} if place else {}))
    try:
        yield name
    finally:
        _remove_bucket(s3_client, name)


def _remove_bucket(client: Any, name: str) -> None:
    try:
        _empty_bucket(client, name)
        client.delete_bucket(Bucket=name)
    except client.exceptions.NoSuchBucket:
        # A test may remove its bucket, to see what dver says without one.
        return


def _empty_bucket(client: Any, name: str) -> None:
    # A test that kills an upload leaves its parts behind; a bucket with such parts cannot be deleted.
    for page in client.get_paginator("list_multipart_uploads").paginate(Bucket=name):
        for upload in page.get("Uploads", []):
            client.abort_multipart_upload(Bucket=name, Key=upload["Key"], UploadId=upload["UploadId"])
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=name):
        keys = [{"Key": entry["Key"]} for entry in page.get("Contents", [])]
        if keys:
            client.delete_objects(Bucket=name, Delete={"Objects": keys, "Quiet": True})
