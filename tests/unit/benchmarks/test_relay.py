"""The simulated link: requests counted whatever way their bytes come, and bytes that take the time they should."""

import http.client
import http.server
import threading
from collections.abc import Iterator

import pytest

from tests.bench.cloud import way
from tests.bench.relay import RequestCounter, Wire

_STREAM = (
    b"PUT /a HTTP/1.1\r\nContent-Length: 20\r\n\r\nGET / HTTP/1.1\r\n\r\n12"
    b"POST /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\n\r\n"
    b"GET /c HTTP/1.1\r\nHost: here\r\n\r\n"
)


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_requests_are_counted_and_what_looks_like_one_in_a_body_is_not(size: int) -> None:
    counter = RequestCounter()
    assert sum(counter.feed(_STREAM[at : at + size]) for at in range(0, len(_STREAM), size)) == 3


def test_bytes_of_all_connections_share_the_wire_and_arrive_after_the_delay() -> None:
    wire = Wire(0.05, 1000.0)
    assert wire.arrival(10.0, 500) == pytest.approx(10.55)
    assert wire.arrival(10.0, 500) == pytest.approx(11.05)
    assert wire.arrival(20.0, 0) == pytest.approx(20.05)


@pytest.fixture
def server() -> Iterator[int]:
    """The port of a server that sends back what it is sent."""

    class Echo(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    try:
        yield running.server_port
    finally:
        running.shutdown()
        thread.join()
        running.server_close()


@pytest.mark.parametrize(("delay", "rate"), [(0.0, None), (0.01, 50e6)])
def test_relay_passes_all_on_and_tells_once_what_passed(server: int, delay: float, rate: float | None) -> None:
    body = bytes(range(256)) * 2000
    with way(server, delay, rate) as relay:
        connection = http.client.HTTPConnection("127.0.0.1", relay.port, timeout=20)
        for _ in range(2):
            connection.request("POST", "/", body)
            assert connection.getresponse().read() == body
        connection.close()
        traffic = relay.traffic()
        assert (traffic.requests, traffic.rate) == (2, rate)
        assert min(traffic.sent, traffic.received) > 2 * len(body)
        assert relay.traffic().sent == 0
