"""One HTTP reply of an app, sans-IO: status, headers and the bytes of the body in, pieces out.

Rules of this file:
- pure: no clock, no asyncio, no HTTP library;
- what was asked for says nothing about what comes: the status, the content type and the first character of the body
  decide whether it is a stream, one JSON answer, or a page;
- what is kept of a body is bounded, and none of it is logged.
"""

from __future__ import annotations

from collections.abc import Mapping

from bridge import faults
from bridge.events import Events, decoded
from bridge.faults import UpstreamError
from bridge.pieces import Piece
from bridge.sse import LIMIT, Reader, TooLong

ERROR_BODY = 64 * 1024
"""Bytes that are read of an error reply."""

_HEAD = 1000
"""Bytes that are kept of a stream of unknown type, in case it turns out to be a plain message."""

_BOM = b"\xef\xbb\xbf"


class Reply:
    """Reads one reply. ``feed`` the chunks as they come, then ``end`` once; after a broken connection ``rest``."""

    def __init__(self, status: int = 200, headers: Mapping[str, str] | None = None, now: float = 0.0) -> None:
        """``headers`` with names in lower case; ``now`` in Unix seconds, to understand the dates in them."""
        self.events = Events()
        self.full = False
        """No more bytes are wanted."""
        self._status, self._headers, self._now = status, headers or {}, now
        self._ok = 200 <= status < 300
        stream = self._ok and self._headers.get("content-type", "").startswith("text/event-stream")
        self._body: bytearray | None = None if stream else bytearray()
        """A body that is no stream, or not known to be one yet."""
        self._undecided = self._ok and not stream
        self._head: bytes | None = None
        """How a stream began that did not say it was one."""
        self._reader = Reader()

    def feed(self, chunk: bytes) -> list[Piece]:
        """The pieces that these bytes complete."""
        out: list[Piece] = []
        try:
            if self._body is not None:
                chunk = self._gather(self._body, chunk)
            elif self._head is not None and len(self._head) < _HEAD and not self.events.understood:
                self._head += chunk
            if chunk:
                self.events.feed(self._reader.feed(chunk), out)
        except TooLong as error:
            self._fail(UpstreamError("protocol", str(error)))
        if self.events.fault:
            self.full = True
        return out

    def end(self) -> list[Piece]:
        """The body is over: what is left, with Sources and Done unless ``events.fault`` is set."""
        if self.events.fault:
            return self.rest()
        out: list[Piece] = []
        if self._body or not self._ok:
            self._whole(bytes(self._body or b"").removeprefix(_BOM), out)
        self.events.feed(self._reader.end(), out)
        if self._head and not self.events.understood:
            self._fail(faults.of_response(self._status, self._headers, self._head, self._now))
        return out + self.events.end()

    def rest(self) -> list[Piece]:
        """The end of the text that came, when nothing more will come."""
        return self.events.rest()

    def _gather(self, body: bytearray, chunk: bytes) -> bytes:
        """Adds to a body that is no stream; when it turns out to be one, returns all of it."""
        body += chunk
        if not self._ok:
            self.full = len(body) >= ERROR_BODY
        elif len(body) > LIMIT:
            raise TooLong
        elif self._undecided and (start := bytes(body.removeprefix(_BOM).lstrip()[:1])):
            self._undecided = False
            if start not in (b"{", b"[", b"<"):
                self._body = None
                self._head = bytes(body)
                return bytes(body)
        return b""

    def _whole(self, body: bytes, out: list[Piece]) -> None:
        """A body that is one JSON text, or an error, or (seen behind gateways) a JSON text on each line."""
        if self._ok:
            payload = decoded(body.decode("utf-8", "replace"))
            if isinstance(payload, dict) and "choices" in payload:
                self.events.whole(payload, out)
                return
            if payload is None and body.lstrip().startswith(b"{"):
                self.events.feed([("", line.decode("utf-8", "replace")) for line in body.splitlines()], out)
                if out or self.events.complete:
                    return
        self._fail(faults.of_response(self._status, self._headers, body, self._now))

    def _fail(self, fault: UpstreamError) -> None:
        self.events.fault = self.events.fault or fault
