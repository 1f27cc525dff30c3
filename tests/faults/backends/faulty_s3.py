"""A small S3 server on the loopback address that fails on demand and remembers what it was asked.

It keeps one bucket in memory and knows as much of the API as the S3 backend uses: put, get, range, head, delete, list
in pages of a thousand. Faults queue up: each answers one request in place of what would have happened. Or a function
decides, request by request. Listings can be made to lag behind. Signatures are not checked. Tests count its requests,
to hold the promise that each call costs as few as it can.
"""

import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

BUCKET = "bucket"
PAGE = 1000


@dataclass(frozen=True, slots=True)
class S3Failure:
    """An error answer with S3's XML, or with `body` in its place."""

    status: int
    code: str = ""
    message: str = "raw words of the server"
    body: bytes | None = None

    def payload(self) -> bytes:
        """Return the body of the answer."""
        if self.body is not None:
            return self.body
        return f"<Error><Code>{self.code}</Code><Message>{self.message}</Message></Error>".encode()


@dataclass(frozen=True, slots=True)
class Truncated:
    """The right answer's headers, but only the first half of its body; then the connection ends."""


@dataclass(frozen=True, slots=True)
class TooShort:
    """An answer that is whole and well-formed but has fewer bytes than were asked for."""


@dataclass(frozen=True, slots=True)
class Reset:
    """The connection is reset before any answer."""


@dataclass(frozen=True, slots=True)
class TooLong:
    """An answer that is whole and well-formed but has more bytes than were asked for."""


@dataclass(frozen=True, slots=True)
class Flipped:
    """The right answer but for one bit in the middle."""


@dataclass(frozen=True, slots=True)
class Slow:
    """The right answer, but late."""

    seconds: float


@dataclass(frozen=True, slots=True)
class LostAnswer:
    """What was asked for is done, and then the connection is reset before the client hears of it."""


Fault = S3Failure | Truncated | TooShort | TooLong | Flipped | Slow | LostAnswer | Reset
_WITH_BODY = Truncated | TooShort | TooLong | Flipped


@dataclass(frozen=True, slots=True)
class Request:
    """What the server is asked: a method, a key below the remote's folder, or a prefix to list, and which bytes."""

    method: str
    key: str
    is_list: bool = False
    part: str = ""


@dataclass(slots=True)
class FaultyS3:
    """The running server, as a test sees it.

    Attributes:
        faults: what happens to the next requests.
        decide: says what happens to a request, where nothing waits in `faults`.
        injected: how many requests met a fault.
        unlisted: keys that are there, and missing in listings.
        ghosts: keys that are listed with these sizes, and not there.
    """

    endpoint_url: str
    blobs: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    faults: deque[Fault] = field(default_factory=deque)
    decide: Callable[[Request], Fault | None] = lambda _request: None
    injected: int = 0
    unlisted: set[str] = field(default_factory=set)
    ghosts: dict[str, int] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fail(self, fault: Fault, *, times: int = 1) -> None:
        """Answer the next `times` requests with `fault`."""
        self.faults.extend([fault] * times)

    def recover(self) -> None:
        """Be a good server from now on."""
        self.faults.clear()
        self.unlisted.clear()
        self.ghosts.clear()
        self.decide = lambda _request: None

    @property
    def url(self) -> str:
        """The URL of a folder in the bucket."""
        return f"s3://{BUCKET}/folder"

    @property
    def options(self) -> dict[str, str]:
        """Options for a remote at `url`."""
        return {"endpoint_url": self.endpoint_url, "region": "us-east-1", "key": "a-key", "secret": "a-secret"}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: ClassVar[FaultyS3]

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        fault = self._begin()
        if isinstance(fault, S3Failure | Reset):
            return
        self.state.blobs[self._key()] = body
        self._end(fault, 200, {"ETag": '"0"'})

    def do_GET(self) -> None:
        fault = self._begin()
        if isinstance(fault, S3Failure | Reset):
            return
        if isinstance(fault, LostAnswer):
            self._reset()
            return
        if "list-type" in self.path:
            page_fault = fault if isinstance(fault, Truncated) else None
            self._answer(200, self._page(), {"Content-Type": "application/xml"}, page_fault)
            return
        body = self.state.blobs.get(self._key())
        if body is None:
            self._answer(404, S3Failure(404, "NoSuchKey").payload())
            return
        status, headers = 200, {}
        if "Range" in self.headers:
            first, last = (int(part) for part in self.headers["Range"].removeprefix("bytes=").split("-"))
            if first >= len(body):
                self._answer(416, S3Failure(416, "InvalidRange").payload())
                return
            headers = {"Content-Range": f"bytes {first}-{min(last, len(body) - 1)}/{len(body)}"}
            status, body = 206, body[first : last + 1]
        self._answer(status, _altered(body, fault), headers, fault)

    def do_HEAD(self) -> None:
        fault = self._begin()
        if not isinstance(fault, S3Failure | Reset):
            body = self.state.blobs.get(self._key())
            self._answer(404 if body is None else 200, body or b"")

    def do_DELETE(self) -> None:
        fault = self._begin()
        if not isinstance(fault, S3Failure | Reset):
            self.state.blobs.pop(self._key(), None)
            self._end(fault, 204)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._begin()
        self._answer(501, S3Failure(501, "NotImplemented").payload())

    def _begin(self) -> Fault | None:
        with self.state.lock:
            self.state.requests.append(f"{self.command} {unquote(self.path)}")
            fault = self.state.faults.popleft() if self.state.faults else self.state.decide(self._request())
            self.state.injected += fault is not None
        if isinstance(fault, Slow):
            time.sleep(fault.seconds)
        if isinstance(fault, S3Failure):
            self._answer(fault.status, fault.payload(), {"Content-Type": "application/xml"})
        if isinstance(fault, Reset):
            self._reset()
        return fault

    def _reset(self) -> None:
        # Closing with this option on sends a reset instead of an orderly end.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def _end(self, fault: Fault | None, status: int, headers: dict[str, str] | None = None) -> None:
        if isinstance(fault, _WITH_BODY | LostAnswer):
            # There is no body that could be damaged.
            self._reset()
        else:
            self._answer(status, b"", headers)

    def _request(self) -> Request:
        if "list-type" in self.path:
            prefix = parse_qs(urlsplit(self.path).query).get("prefix", [""])[0]
            return Request(self.command, prefix.removeprefix("folder/"), is_list=True)
        return Request(self.command, self._key().removeprefix("folder/"), part=self.headers.get("Range", ""))

    def _key(self) -> str:
        return unquote(urlsplit(self.path).path).removeprefix(f"/{BUCKET}/")

    def _page(self) -> bytes:
        query = parse_qs(urlsplit(self.path).query)
        prefix, after = query.get("prefix", [""])[0], query.get("continuation-token", [""])[0]
        sizes = {key: len(body) for key, body in [*self.state.blobs.items()] if key not in self.state.unlisted}
        sizes = self.state.ghosts | sizes
        keys = sorted(key for key in sizes if key.startswith(prefix) and key > after)
        rows = "".join(f"<Contents><Key>{escape(key)}</Key><Size>{sizes[key]}</Size></Contents>" for key in keys[:PAGE])
        more = len(keys) > PAGE
        token = f"<NextContinuationToken>{escape(keys[PAGE - 1])}</NextContinuationToken>" if more else ""
        return (
            f"<ListBucketResult><IsTruncated>{str(more).lower()}</IsTruncated>{token}{rows}</ListBucketResult>"
        ).encode()

    def _answer(
        self, status: int, body: bytes, headers: dict[str, str] | None = None, fault: Fault | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if isinstance(fault, Truncated):
            self.close_connection = True
            body = body[: len(body) // 2]
        if self.command != "HEAD":
            self.wfile.write(body)

    def finish(self) -> None:
        try:
            super().finish()
        except OSError:
            # The client is gone, or a fault closed the connection already.
            self.rfile.close()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the requests are in `FaultyS3.requests`."""


def _altered(body: bytes, fault: Fault | None) -> bytes:
    if isinstance(fault, TooShort):
        return body[:-1]
    if isinstance(fault, TooLong):
        return body + b"?"
    if isinstance(fault, Flipped) and body:
        middle = len(body) // 2
        return body[:middle] + bytes([body[middle] ^ 0x10]) + body[middle + 1 :]
    return body


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: connections break here on purpose."""


@contextmanager
def running_faulty_s3() -> Iterator[FaultyS3]:
    """Start the server on a free port and stop it afterwards."""

    class Handler(_Handler):
        pass

    server = _Server(("127.0.0.1", 0), Handler)
    state = FaultyS3(f"http://127.0.0.1:{server.server_address[1]}")
    Handler.state = state
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
