"""A small HTTP/1.1 server on asyncio transports, for a fake that must control every byte it sends.

Rules of this file:
- handlers are plain calls, never tasks: a handler gets a Request and answers now or later through the Connection;
- one request at a time on a connection (clients do not pipeline); what comes early waits in the buffer;
- a Body can be cut anywhere: pieces of a few bytes, a missing last chunk, a TCP reset;
- nothing is written to a connection whose client is gone.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Literal, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

LIMIT = 20 * 1024 * 1024
"""Largest body of a request, as in the config of the real handlers."""
STORE = "/s3/"
STORE_LIMIT = 100 * 1024 * 1024
"""The same under /s3/: the object store is a server of its own."""

End = Literal["eof", "close", "reset"]
"""How a body ends: in order, by closing the connection without the last chunk, by a TCP reset."""


class Request(NamedTuple):
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes


class Connection(asyncio.Protocol):
    """One client. ``on_lost`` is called when it goes away before its answer is complete."""

    def __init__(self, handler: Callable[[Request, Connection], None], peers: set[Connection]) -> None:
        self._handler = handler
        self._peers = peers
        self._buffer = bytearray()
        self._busy = False
        self._transport: asyncio.Transport | None = None
        self.on_lost: Callable[[], None] | None = None
        self.on_room: Callable[[], None] | None = None
        """Called when a client that was slow to read has caught up."""
        self.full = False
        """More was sent than the client reads; it may wait."""

    @property
    def gone(self) -> bool:
        return self._transport is None or self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._peers.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._peers.discard(self)
        if self.on_lost is not None:
            self.on_lost()

    def pause_writing(self) -> None:
        self.full = True

    def resume_writing(self) -> None:
        self.full = False
        if self.on_room is not None:
            self.on_room()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._busy:
            self._next()

    def _next(self) -> None:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0 or self._transport is None:
            return
        first, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        method, target, _ = first.split(" ", 2)
        size, limit = int(headers.get("content-length", "0")), STORE_LIMIT if target.startswith(STORE) else LIMIT
        if "transfer-encoding" in headers or size > limit:
            self._busy = True
            self.head(413 if size > limit else 411, None, {"Content-Length": "0", "Connection": "close"})
            self.end("close")
            return
        start = end + 4
        if len(self._buffer) < start + size:
            return
        body = bytes(self._buffer[start : start + size])
        del self._buffer[: start + size]
        self._busy = True
        url = urlsplit(target)
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        self._handler(Request(method, unquote(url.path), query, headers, body), self)

    def send(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def head(self, status: int, content_type: str | None, headers: Mapping[str, str]) -> None:
        """Send a status line and headers alone; what follows is the caller's."""
        self.send(_head(status, content_type, headers))

    def reply(self, status: int, body: bytes, content_type: str | None, headers: Mapping[str, str]) -> None:
        """A whole answer with its Content-Length."""
        self.send(_head(status, content_type, {**headers, "Content-Length": str(len(body))}) + body)
        self.end("eof")

    def stream(self, status: int, content_type: str | None, headers: Mapping[str, str], piece: int) -> Body:
        """Send the head of a chunked answer; see Body."""
        self.head(status, content_type, {**headers, "Transfer-Encoding": "chunked"})
        return Body(self, piece)

    def end(self, how: End) -> None:
        """The answer is over: from here on, a lost connection is nobody's business."""
        self.on_lost = self.on_room = None
        transport = self._transport
        if transport is None:
            return
        if how == "eof":
            self._busy = False
            if self._buffer:
                asyncio.get_running_loop().call_soon(self._next)
        elif how == "close":
            transport.close()
        else:
            linger_zero = struct.pack("ii", 1, 0)  # closing now sends RST in place of FIN
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_zero)
            transport.abort()


class Body:
    """A chunked body. With ``piece`` > 0 it leaves in chunks of so many bytes that a client reads one by one."""

    TURNS = 3
    """Turns of the event loop between two pieces: one to send, one to receive, one for the reading task of a client
    on the same loop. Less, and the client's buffer would join the pieces again."""

    def __init__(self, connection: Connection, piece: int) -> None:
        self._connection = connection
        self._piece = piece
        self._queue: deque[bytes] = deque()
        self._end: End | None = None
        self._turn = 0
        self._draining = False

    def write(self, data: bytes) -> None:
        if not data:
            return  # an empty chunk would end the body
        if not self._piece:
            self._connection.send(b"%x\r\n%b\r\n" % (len(data), data))
            return
        self._queue.extend(data[at : at + self._piece] for at in range(0, len(data), self._piece))
        self._start()

    def finish(self, how: End) -> None:
        self._end = how
        if self._piece:
            self._start()
        else:
            self._finish(how)

    def _finish(self, how: End) -> None:
        if how == "eof":
            self._connection.send(b"0\r\n\r\n")
        self._connection.end(how)

    def _start(self) -> None:
        if not self._draining:
            self._draining = True
            self._drain()

    def _drain(self) -> None:
        self._turn += 1
        if self._turn % self.TURNS == 0:
            if self._queue:
                data = self._queue.popleft()
                self._connection.send(b"%x\r\n%b\r\n" % (len(data), data))
            else:
                self._draining = False
                if self._end is not None:
                    self._finish(self._end)
                return
        asyncio.get_running_loop().call_soon(self._drain)


def _head(status: int, content_type: str | None, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
    if content_type is not None:
        lines.append(f"Content-Type: {content_type}")
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
