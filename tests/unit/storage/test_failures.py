"""The table of what library exceptions mean: which fact decides, and what never shows."""

import errno
import socket

import aiohttp
import pytest
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
    ProfileNotFound,
)
from fsspec.exceptions import FSTimeoutError

from dver.errors import BackendError, BackendProblem
from dver.storage.failures import Attempt, translate, translate_os_error

ATTEMPT = Attempt("s3://bucket/x", "read", "packs/aa/one", secrets=("hunter2",))


def client_error(code: str, status: int) -> ClientError:
    response = {"Error": {"Code": code, "Message": "raw words"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "GetObject")


def caused(exc: BaseException, cause: BaseException) -> BaseException:
    exc.__cause__ = cause
    return exc


def while_handling(exc: BaseException, context: BaseException) -> BaseException:
    exc.__context__ = context
    return exc


class HttpError(Exception):
    """As gcsfs has it: the status as a number."""

    code = 503


class AzureLikeError(Exception):
    """As azure.core has it: the service's code and the status."""

    error_code = "ContainerNotFound"
    status_code = 404


@pytest.mark.parametrize(
    ("exc", "problem", "transient"),
    [
        (caused(PermissionError("x"), client_error("RequestTimeTooSkewed", 403)), BackendProblem.CLOCK_SKEW, False),
        (caused(FileNotFoundError("x"), client_error("NoSuchBucket", 404)), BackendProblem.NO_BUCKET, False),
        (while_handling(FileNotFoundError("x"), client_error("404", 404)), BackendProblem.NOT_FOUND, False),
        (caused(OSError("x"), client_error("NeverHeardOf", 503)), BackendProblem.THROTTLED, True),
        (caused(OSError("x"), client_error("NeverHeardOf", 403)), BackendProblem.DENIED, False),
        (HttpError("x"), BackendProblem.THROTTLED, True),
        (RuntimeError("dictionary changed size during iteration"), BackendProblem.OTHER, True),
        (RuntimeError("never heard of"), BackendProblem.OTHER, False),
        (AzureLikeError("x"), BackendProblem.NO_BUCKET, False),
        (NoCredentialsError(), BackendProblem.CREDENTIALS, False),
        (ProfileNotFound(profile="p"), BackendProblem.CREDENTIALS, False),
        (ConnectTimeoutError(endpoint_url="http://x"), BackendProblem.TIMEOUT, True),
        (EndpointConnectionError(endpoint_url="http://x"), BackendProblem.ENDPOINT, True),
        (
            caused(EndpointConnectionError(endpoint_url="http://x"), aiohttp.ClientOSError(errno.ECONNRESET, "x")),
            BackendProblem.OTHER,
            True,
        ),
        (HTTPClientError(error="x"), BackendProblem.OTHER, True),
        (aiohttp.ClientPayloadError("x"), BackendProblem.OTHER, True),
        (FSTimeoutError(), BackendProblem.TIMEOUT, True),
        (TimeoutError(errno.ETIMEDOUT, "x"), BackendProblem.TIMEOUT, True),
        (ConnectionRefusedError(errno.ECONNREFUSED, "x"), BackendProblem.ENDPOINT, True),
        (ConnectionResetError(errno.ECONNRESET, "x"), BackendProblem.OTHER, True),
        (caused(ConnectionError("x"), socket.gaierror(-2, "x")), BackendProblem.ENDPOINT, True),
        (EOFError(), BackendProblem.OTHER, True),
        (NotImplementedError(), BackendProblem.READ_ONLY, False),
        (FileNotFoundError("x"), BackendProblem.NOT_FOUND, False),
        (PermissionError("x"), BackendProblem.DENIED, False),
        (PermissionError(errno.EACCES, "x"), BackendProblem.DENIED, False),
        (OSError(errno.ENOSPC, "x"), BackendProblem.NO_SPACE, False),
        (OSError(errno.EROFS, "x"), BackendProblem.READ_ONLY, False),
        (OSError(errno.EHOSTUNREACH, "x"), BackendProblem.ENDPOINT, True),
        (ValueError("x"), BackendProblem.OTHER, False),
    ],
)
def test_the_most_telling_fact_decides(exc: BaseException, problem: BackendProblem, transient: bool) -> None:
    error = translate(exc, ATTEMPT)
    assert isinstance(error, BackendError)
    assert (error.problem, error.transient) == (problem, transient)
    assert error.location == "s3://bucket/x"
    assert "raw words" not in error.message


def test_a_context_that_was_set_aside_does_not_count() -> None:
    exc = while_handling(ValueError("odd"), client_error("NoSuchBucket", 404))
    exc.__suppress_context__ = True
    assert translate(exc, ATTEMPT).problem is BackendProblem.OTHER


def test_causes_in_a_circle_end() -> None:
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    assert translate(one, ATTEMPT).problem is BackendProblem.OTHER


def test_what_is_unknown_is_quoted_without_secrets_queries_and_users() -> None:
    exc = ValueError("password hunter2\n  at https://me:pw@host/path?sig=abc&x=1 is wrong")
    message = translate(exc, ATTEMPT).message
    assert message == "s3://bucket/x: cannot read packs/aa/one: password … at https://host/path is wrong"


def test_long_words_are_cut_and_silence_is_named() -> None:
    assert len(translate(ValueError("long " * 500), ATTEMPT).message) < 250
    assert translate(ValueError(), ATTEMPT).message.endswith("cannot read packs/aa/one: ValueError")


def test_local_failures_go_by_their_number_alone() -> None:
    error = translate_os_error(OSError(errno.EDQUOT, "x"), "/store", "write", "packs/a")
    assert error.problem is BackendProblem.NO_SPACE
    assert error.message == "/store: the quota leaves no space to write packs/a"
    odd = translate_os_error(OSError("no number"), "/store", "write", "packs/a")
    assert odd.message == "/store: cannot write packs/a: OSError"
