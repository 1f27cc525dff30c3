"""A relay before a server on this machine: counts what passes, and makes the way as long and as narrow as is asked.

A script of its own, started as `python -I -S relay.py PORT DELAY RATE`: it listens on a free port of 127.0.0.1, which
it prints, and passes everything on to PORT. A line on its standard input is answered with what passed since the line
before, as JSON; the end of the input ends it.

The link is modelled as a wire: bytes of all connections share RATE bytes a second each way, in order, and arrive
DELAY / 2 seconds after they are through. A connection has at most 4 MiB under way in a direction, as much as Linux lets
a sender have by default. To open one costs nothing: the server behind closes it after every request, and a bucket does
not. Lost packets, slow start and encryption are not modelled. RATE 0 is a wire that holds nothing back.
"""

import asyncio
import json
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

HOST = "127.0.0.1"
# What is read at a time, and how many such pieces a connection may have under way.
_PIECE = 1 << 16
_UNDER_WAY = 64
_HEAD_END = b"\r\n\r\n"
_LINE_END = b"\r\n"


@dataclass(slots=True)
class Totals:
    """What passed."""

    requests: int = 0
    sent: int = 0
    received: int = 0

    def taken(self) -> dict[str, int]:
        """Return what passed since this was asked before."""
        values = {"requests": self.requests, "sent": self.sent, "received": self.received}
        self.requests = self.sent = self.received = 0
        return values


@dataclass(slots=True)
class RequestCounter:
    """Counts the requests in what a client sends over one HTTP/1.1 connection."""

    _buffer: bytearray = field(default_factory=bytearray)
    # Of a body: the bytes still to come.
    _left: int = 0
    _is_chunked: bool = False

    def feed(self, data: bytes) -> int:
        """Return how many requests began with these bytes, which follow those fed before."""
        self._buffer += data
        count = 0
        while True:
            skipped = min(self._left, len(self._buffer))
            del self._buffer[:skipped]
            self._left -= skipped
            end = _LINE_END if self._is_chunked else _HEAD_END
            at = self._buffer.find(end)
            if self._left or at < 0:
                return count
            text = bytes(self._buffer[:at])
            del self._buffer[: at + len(end)]
            if self._is_chunked:
                self._enter_chunk(text)
            else:
                self._enter_body(text)
                count += 1

    def _enter_chunk(self, text: bytes) -> None:
        size = int(text.partition(b";")[0] or b"0", 16)
        # After the last chunk comes an empty line, and after any other one ends its data.
        self._is_chunked = size > 0
        self._left = size + len(_LINE_END)

    def _enter_body(self, head: bytes) -> None:
        fields = dict(line.lower().split(b":", 1) for line in head.split(_LINE_END)[1:] if b":" in line)
        self._left = int(fields.get(b"content-length", b"0"))
        self._is_chunked = b"chunked" in fields.get(b"transfer-encoding", b"")


class Wire:
    """One direction of the link, shared by all connections."""

    def __init__(self, delay: float, rate: float) -> None:
        self._delay = delay
        self._rate = rate
        self._free = 0.0

    @property
    def is_ideal(self) -> bool:
        """Whether nothing is held back."""
        return not self._rate and not self._delay

    def arrival(self, now: float, length: int) -> float:
        """Return when `length` bytes arrive that are sent now, after all that was sent before."""
        begin = max(now, self._free)
        self._free = begin + length / self._rate if self._rate else begin
        return self._free + self._delay


class Relay:
    """Passes connections on to a port of this machine."""

    def __init__(self, port: int, delay: float, rate: float) -> None:
        self.totals = Totals()
        # The event loop itself holds a task only as long as something else does.
        self._open: set[asyncio.Task[None] | None] = set()
        self._port = port
        self._up, self._down = Wire(delay / 2, rate), Wire(delay / 2, rate)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass one connection on, until both sides have ended it."""
        task = asyncio.current_task()
        self._open.add(task)
        try:
            await self._pass_on(reader, writer)
        finally:
            self._open.discard(task)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(HOST, self._port, limit=4 * _PIECE)
        except OSError:
            writer.close()
            return
        counter = RequestCounter()

        def going(data: bytes) -> None:
            self.totals.requests += counter.feed(data)
            self.totals.sent += len(data)

        def coming(data: bytes) -> None:
            self.totals.received += len(data)

        pumps = (_pump(reader, far_writer, self._up, going), _pump(far_reader, writer, self._down, coming))
        # Cancelled is what is open when all ends, and that is no failure.
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*pumps, return_exceptions=True)
        for end in (writer, far_writer):
            end.close()


async def _pump(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, wire: Wire, note: Callable[[bytes], None]
) -> None:
    """Carry bytes one way over the wire until they end, and tell the far side that they did."""
    if wire.is_ideal:
        while data := await reader.read(_PIECE):
            note(data)
            writer.write(data)
            await writer.drain()
    else:
        await _carry(reader, writer, wire, note)
    if writer.can_write_eof():
        writer.write_eof()


async def _carry(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, wire: Wire, note: Callable[[bytes], None]
) -> None:
    clock = asyncio.get_running_loop().time
    under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_UNDER_WAY)

    async def deliver() -> None:
        while True:
            due, data = await under_way.get()
            await asyncio.sleep(due - clock())
            if not data:
                return
            writer.write(data)
            await writer.drain()

    delivery = asyncio.create_task(deliver())
    try:
        while data := await reader.read(_PIECE):
            note(data)
            # When nothing is delivered any more, the queue stays full.
            entry = asyncio.create_task(under_way.put((wire.arrival(clock(), len(data)), data)))
            await asyncio.wait((entry, delivery), return_when=asyncio.FIRST_COMPLETED)
            if delivery.done():
                entry.cancel()
                break
        else:
            await under_way.put((wire.arrival(clock(), 0), b""))
        await delivery
    finally:
        delivery.cancel()


async def _run(port: int, delay: float, rate: float) -> None:
    relay = Relay(port, delay, rate)
    server = await asyncio.start_server(relay.serve, HOST, 0, limit=4 * _PIECE)
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()

    def answer() -> None:
        for _ in sys.stdin:
            _say(json.dumps(relay.totals.taken()))
        loop.call_soon_threadsafe(ended.set)

    _say(str(server.sockets[0].getsockname()[1]))
    threading.Thread(target=answer, daemon=True).start()
    async with server:
        await ended.wait()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(_run(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])))
