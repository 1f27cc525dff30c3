"""What the failures of storage libraries mean, as one table.

fsspec's file systems, and botocore, aiohttp and the like below them, raise a zoo of exceptions whose messages were not
written for users and may quote URLs with credentials in them. `translate` turns any of them into a `BackendError`:
first by the service's own error code, wherever in the chain of causes it is, then by the exception's class, then by
its errno. Classes are known by name, so that this module imports none of those libraries. Where nothing better is
known, a short excerpt of the message is kept, without queries, user names and the secrets given by the caller.
"""

import errno
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dver.errors import OS_HINTS, BackendError, BackendProblem, os_hint

_DETAIL_LENGTH = 160
_CHAIN_LIMIT = 10

_KEYS = "check the access key and secret: environment, profile, or `dver remote set NAME key … --local`"
_NO_KEYS = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run `dver remote set NAME profile …`"
_RIGHTS = "ask for permission to list, read, write and delete there, or use other credentials"
_BUCKET = "create the bucket, or correct the remote's URL"
_CLOCK = "set this machine's clock, for example by turning on its time synchronization"
_LOGIN = "log in again, then run the command again"
_ADDRESS = "check the network, the remote's URL and its endpoint_url (`dver remote set NAME endpoint_url …`)"
_REGION = "name the right region: `dver remote set NAME region …`"
_FEWER = "wait some minutes, then run the command again; dver config set core.transfer_jobs 4 asks for less at a time"
_LATER = "run the command again later; whoever runs the server may know more"
_AGAIN = "check the network, then run the command again: it goes on where it was"


@dataclass(frozen=True, slots=True)
class Attempt:
    """What was being done when something failed.

    Attributes:
        location: the store's URL or path, without credentials.
        verb: "read", "write" and so on.
        key: what it was done to.
        secrets: texts that no message may contain.
        remote: what the store is called in the settings, for hints.
    """

    location: str
    verb: str
    key: str
    secrets: tuple[str, ...] = ()
    remote: str = "NAME"


@dataclass(frozen=True, slots=True)
class _Meaning:
    problem: BackendProblem
    sentence: str
    hint: str | None = None
    transient: bool = False


_P = BackendProblem
_MISSING = _Meaning(_P.NOT_FOUND, "{key} is not there")
_DENIED = _Meaning(_P.DENIED, "access is denied: cannot {verb} {key}", _RIGHTS)
_NO_BUCKET = _Meaning(_P.NO_BUCKET, "the bucket does not exist", _BUCKET)
_BAD_BUCKET = _Meaning(_P.NO_BUCKET, "the name of the bucket is not valid", "correct the remote's URL")
_BAD_KEY = _Meaning(_P.CREDENTIALS, "the access key is not known there", _KEYS)
_BAD_SECRET = _Meaning(_P.CREDENTIALS, "the secret does not match the access key", _KEYS)
_EXPIRED = _Meaning(_P.CREDENTIALS, "the credentials have expired", _LOGIN)
_SKEW = _Meaning(_P.CLOCK_SKEW, "this machine's clock is too far from the server's", _CLOCK)
_BUSY = _Meaning(_P.THROTTLED, "the server asks for fewer requests", _FEWER, transient=True)
_BROKEN = _Meaning(_P.OTHER, "the server had an internal error", _LATER, transient=True)
_SLOW = _Meaning(_P.TIMEOUT, "the server did not answer in time", _ADDRESS, transient=True)
_OTHER_REGION = _Meaning(_P.ENDPOINT, "the bucket is in another region", _REGION)
_NOT_S3 = _Meaning(_P.ENDPOINT, "the server does not answer as a storage service does", _ADDRESS)
_NOT_S3_NOW = _Meaning(_P.ENDPOINT, _NOT_S3.sentence, _ADDRESS, transient=True)
_SHORT = _Meaning(_P.OTHER, "{key} is shorter than it should be")
_GARBLED = _Meaning(_P.OTHER, "{key} was damaged on its way", _AGAIN, transient=True)
_CUT = _Meaning(_P.OTHER, "the connection broke off", _AGAIN, transient=True)
_CHANGING = _Meaning(_P.OTHER, "what is there changed while dver went through it", transient=True)
_UNREACHABLE = _Meaning(_P.ENDPOINT, "the server cannot be reached", _ADDRESS, transient=True)
_UNTRUSTED = _Meaning(_P.ENDPOINT, "the server's TLS certificate is not accepted", _ADDRESS)
_FULL = _Meaning(_P.NO_SPACE, "no space left to write {key}", OS_HINTS[errno.ENOSPC])
_QUOTA = _Meaning(_P.NO_SPACE, "the quota leaves no space to write {key}", OS_HINTS[errno.ENOSPC])
_TOO_LARGE = _Meaning(_P.NO_SPACE, "{key} is larger than files may be there", OS_HINTS[errno.EFBIG])
_READ_ONLY = _Meaning(_P.READ_ONLY, "the file system is read-only: cannot {verb} {key}", OS_HINTS[errno.EROFS])
_UNABLE = _Meaning(_P.READ_ONLY, "storage of this kind cannot {verb} files", "use another kind of storage")
_NO_CREDENTIALS = _Meaning(_P.CREDENTIALS, "no credentials were found", _NO_KEYS)
_HALF_CREDENTIALS = _Meaning(_P.CREDENTIALS, "only a part of the credentials was found", _KEYS)
_NO_PROFILE = _Meaning(
    _P.CREDENTIALS, "the profile is not in the AWS configuration", "name another one: `dver remote set NAME profile …`"
)
_NO_LOGIN = _Meaning(_P.CREDENTIALS, "the credentials are missing or not accepted", _LOGIN)
_HOST_KEY = _Meaning(
    _P.DENIED, "the server's host key is not the known one", "if that is as it should be, correct the known_hosts file"
)
_NO_REGION = _Meaning(_P.ENDPOINT, "the region is missing or not valid", _REGION)

_BY_CODE: Mapping[str, _Meaning] = {
    # S3, https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
    "NoSuchBucket": _NO_BUCKET,
    "InvalidBucketName": _BAD_BUCKET,
    "NoSuchKey": _MISSING,
    "NoSuchVersion": _MISSING,
    "AccessDenied": _DENIED,
    "AllAccessDisabled": _DENIED,
    "AccountProblem": _DENIED,
    "InvalidAccessKeyId": _BAD_KEY,
    "SignatureDoesNotMatch": _BAD_SECRET,
    "InvalidToken": _EXPIRED,
    "ExpiredToken": _EXPIRED,
    "ExpiredTokenException": _EXPIRED,
    "TokenRefreshRequired": _EXPIRED,
    "RequestTimeTooSkewed": _SKEW,
    "RequestExpired": _SKEW,
    "SlowDown": _BUSY,
    "ServiceUnavailable": _BUSY,
    "Throttling": _BUSY,
    "ThrottlingException": _BUSY,
    "RequestLimitExceeded": _BUSY,
    "TooManyRequests": _BUSY,
    "BandwidthLimitExceeded": _BUSY,
    "OperationAborted": _BUSY,
    "InternalError": _BROKEN,
    "RequestTimeout": _SLOW,
    "AuthorizationHeaderMalformed": _OTHER_REGION,
    "IllegalLocationConstraintException": _OTHER_REGION,
    "PermanentRedirect": _OTHER_REGION,
    "TemporaryRedirect": _OTHER_REGION,
    "MethodNotAllowed": _NOT_S3,
    "NotImplemented": _NOT_S3,
    "InvalidRange": _SHORT,
    "BadDigest": _GARBLED,
    "IncompleteBody": _GARBLED,
    "XAmzContentSHA256Mismatch": _GARBLED,
    "QuotaExceeded": _QUOTA,
    "XMinioStorageFull": _FULL,
    # Azure, https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes
    "ContainerNotFound": _NO_BUCKET,
    "BlobNotFound": _MISSING,
    "AuthenticationFailed": _NO_LOGIN,
    "NoAuthenticationInformation": _NO_LOGIN,
    "AuthorizationFailure": _DENIED,
    "AuthorizationPermissionMismatch": _DENIED,
    "ServerBusy": _BUSY,
    "OperationTimedOut": _SLOW,
    # HTTP, where the service said no more than that
    "301": _OTHER_REGION,
    "307": _OTHER_REGION,
    "401": _NO_LOGIN,
    "403": _DENIED,
    "404": _MISSING,
    "405": _NOT_S3,
    "408": _SLOW,
    "409": _BUSY,
    "416": _SHORT,
    "429": _BUSY,
    "500": _BROKEN,
    "501": _NOT_S3,
    "502": _BROKEN,
    "503": _BUSY,
    "504": _SLOW,
    "507": _FULL,
}

_BY_CLASS: Mapping[str, _Meaning] = {
    # botocore
    "NoCredentialsError": _NO_CREDENTIALS,
    "NoAuthTokenError": _NO_CREDENTIALS,
    "PartialCredentialsError": _HALF_CREDENTIALS,
    "CredentialRetrievalError": _NO_LOGIN,
    "TokenRetrievalError": _NO_LOGIN,
    "SSOError": _NO_LOGIN,
    "ProfileNotFound": _NO_PROFILE,
    "NoRegionError": _NO_REGION,
    "InvalidRegionError": _NO_REGION,
    "ParamValidationError": _BAD_BUCKET,
    "ResponseParserError": _NOT_S3_NOW,
    "SSLError": _UNTRUSTED,
    "EndpointConnectionError": _UNREACHABLE,
    "ProxyConnectionError": _UNREACHABLE,
    "ConnectTimeoutError": _SLOW,
    "ReadTimeoutError": _SLOW,
    "ConnectionClosedError": _CUT,
    "IncompleteReadError": _CUT,
    "ResponseStreamingError": _CUT,
    "HTTPClientError": _CUT,
    # aiohttp, urllib3
    "ClientSSLError": _UNTRUSTED,
    "ClientConnectorError": _UNREACHABLE,
    "ClientPayloadError": _CUT,
    "ClientConnectionError": _CUT,
    "NewConnectionError": _UNREACHABLE,
    # Google, Azure, paramiko
    "DefaultCredentialsError": _NO_LOGIN,
    "RefreshError": _NO_LOGIN,
    "ClientAuthenticationError": _NO_LOGIN,
    "ServiceRequestError": _UNREACHABLE,
    "ServiceResponseError": _CUT,
    "ResourceNotFoundError": _MISSING,
    "AuthenticationException": _NO_LOGIN,
    "BadHostKeyException": _HOST_KEY,
    "NoValidConnectionsError": _UNREACHABLE,
    "SSHException": _CUT,
    # Python
    "SSLCertVerificationError": _UNTRUSTED,
    "gaierror": _UNREACHABLE,
    "ConnectionRefusedError": _UNREACHABLE,
    "ConnectionResetError": _CUT,
    "BrokenPipeError": _CUT,
    "ConnectionError": _CUT,
    "EOFError": _CUT,
    "TimeoutError": _SLOW,
    "NotImplementedError": _UNABLE,
    "FileNotFoundError": _MISSING,
}

_RESIZED = "changed size during iteration"

# Classes that stand for many things: they count only where no cause further down says more.
_VAGUE_CLASSES = frozenset({"ConnectionError", "EndpointConnectionError", "HTTPClientError", "SSHException"})

_BY_ERRNO: Mapping[int, _Meaning] = {
    errno.ENOENT: _MISSING,
    errno.EACCES: _Meaning(_P.DENIED, "permission denied: cannot {verb} {key}", OS_HINTS[errno.EACCES]),
    errno.EPERM: _Meaning(_P.DENIED, "not permitted: cannot {verb} {key}", OS_HINTS[errno.EPERM]),
    errno.EROFS: _READ_ONLY,
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _QUOTA,
    errno.EFBIG: _TOO_LARGE,
    errno.ENOTDIR: _Meaning(_P.OTHER, "cannot {verb} {key}: a file is where a folder should be"),
    errno.ENETUNREACH: _UNREACHABLE,
    errno.EHOSTUNREACH: _UNREACHABLE,
    errno.ETIMEDOUT: _SLOW,
}


def translate(exc: BaseException, attempt: Attempt) -> BackendError:
    """Return the `BackendError` that says what `exc` means for `attempt`; the caller raises it from `exc`."""
    chain = list(_chain(exc))
    meaning = _by_code(chain) or _by_class(chain) or _by_errno(chain) or _by_words(chain)
    if meaning is None:
        detail = _detail(exc, attempt.secrets)
        return BackendError(attempt.location, _P.OTHER, f"cannot {attempt.verb} {attempt.key}: {detail}")
    reason = meaning.sentence.format(verb=attempt.verb, key=attempt.key)
    hint = meaning.hint and meaning.hint.replace(" NAME ", f" {attempt.remote} ")
    return BackendError(attempt.location, meaning.problem, reason, transient=meaning.transient, hint=hint)


def translate_os_error(exc: OSError, location: str, verb: str, key: str) -> BackendError:
    """Return the `BackendError` for a failure on a local path, where nothing but the errno counts."""
    meaning = _BY_ERRNO.get(exc.errno or 0)
    if meaning is None:
        reason = f"cannot {verb} {key}: {exc.strerror or type(exc).__name__}"
        return BackendError(location, _P.OTHER, reason, hint=os_hint(exc))
    return BackendError(location, meaning.problem, meaning.sentence.format(verb=verb, key=key), hint=meaning.hint)


def _chain(exc: BaseException) -> Iterator[BaseException]:
    """Yield `exc` and what caused it, outermost first."""
    link: BaseException | None = exc
    for _ in range(_CHAIN_LIMIT):
        if link is None:
            return
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)


def _by_code(chain: Sequence[BaseException]) -> _Meaning | None:
    return next((_BY_CODE[code] for link in chain for code in _codes(link) if code in _BY_CODE), None)


def _codes(exc: BaseException) -> Iterator[str]:
    """Yield the service's error code and then the HTTP status, as far as `exc` has them."""
    response = getattr(exc, "response", None)
    if isinstance(response, Mapping):
        yield str(response.get("Error", {}).get("Code"))
        yield str(response.get("ResponseMetadata", {}).get("HTTPStatusCode"))
    for name in ("error_code", "code", "status_code"):
        value = getattr(exc, name, None)
        if isinstance(value, str | int):
            yield str(value)


def _by_class(chain: Sequence[BaseException]) -> _Meaning | None:
    names = [name for link in chain if (name := _known_class(link)) is not None]
    names.sort(key=_VAGUE_CLASSES.__contains__)
    return _BY_CLASS[names[0]] if names else None


def _known_class(exc: BaseException) -> str | None:
    """Return the most specific of the classes of `exc` that the table knows."""
    return next((kind.__name__ for kind in type(exc).__mro__ if kind.__name__ in _BY_CLASS), None)


def _by_errno(chain: Sequence[BaseException]) -> _Meaning | None:
    numbers = (link.errno or 0 for link in chain if isinstance(link, OSError))
    found = next((_BY_ERRNO[number] for number in numbers if number in _BY_ERRNO), None)
    if found is None and any(isinstance(link, PermissionError) for link in chain):
        # Libraries also raise the class without its errno.
        return _DENIED
    return found


def _by_words(chain: Sequence[BaseException]) -> _Meaning | None:
    # fsspec's file system in memory lists a dictionary that other threads write to, and Python has no class for it.
    changing = any(isinstance(link, RuntimeError) and _RESIZED in str(link) for link in chain)
    return _CHANGING if changing else None


def _detail(exc: BaseException, secrets: Sequence[str]) -> str:
    text = " ".join(str(exc).split())
    text = re.sub(r"(?<=://)[^/\s@]+@", "", text)
    text = re.sub(r"\?\S+", "", text)
    for secret in secrets:
        text = text.replace(secret, "…")
    if len(text) > _DETAIL_LENGTH:
        text = text[:_DETAIL_LENGTH] + "…"
    return text or type(exc).__name__
