"""Server-sent events, sans-IO: bytes in, ``(event, data)`` pairs out.

Rules of this file:
- lines end at CR, LF or CRLF and at nothing else: U+2028 and U+0085 are text (JSON does not escape them);
- any split of the bytes gives the same events, also inside a character and between CR and LF;
- nothing is lost at the end: the last line and the last event count without their line ends;
- a line that starts with ``{`` or ``[`` is data: some servers forget the ``data:``;
- what has not become an event is bounded, whatever the server sends.
"""

from __future__ import annotations

from bridge.model import BridgeError

LIMIT = 32 * 1024 * 1024
"""Bytes of one event. FastGPT sends every quoted passage of an answer on one line: 1.5 MB were seen, its own limit
of a whole response is 20 MB."""

_BOM = b"\xef\xbb\xbf"


class TooLong(BridgeError):
    """An event of the stream is too long."""


class Reader:
    """Splits one stream. ``feed`` the chunks as they come, then call ``end`` once."""

    __slots__ = ("_cr", "_data", "_event", "_limit", "_rest", "_size", "_start")

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._rest: list[bytes] = []
        """Pieces of the line that has not ended yet: joined once, so that a long line costs linear time."""
        self._data: list[bytes] = []
        self._event = b""
        self._size = 0
        """Bytes held in ``_rest`` and ``_data``."""
        self._cr = False
        """The last byte was a CR: an LF that follows belongs to it."""
        self._start = True

    def feed(self, chunk: bytes) -> list[tuple[str, str]]:
        """The events that these bytes complete. Raises TooLong."""
        if self._cr and chunk:
            self._cr = False
            chunk = chunk.removeprefix(b"\n")
        if b"\r" in chunk:
            self._cr = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = chunk.split(b"\n")
        rest = lines.pop()
        if lines and self._rest:
            self._rest.append(lines[0])
            lines[0] = b"".join(self._rest)
            self._rest = []
        events = self._take(lines) if lines else []
        if rest:
            self._rest.append(rest)
            self._size += len(rest)
            if self._size > self._limit:
                raise TooLong
        return events

    def end(self) -> list[tuple[str, str]]:
        """The bytes are over: the event that still lacks its line ends, if any."""
        last, self._rest = b"".join(self._rest), []
        return self._take([last, b""])

    def _take(self, lines: list[bytes]) -> list[tuple[str, str]]:
        """Reads whole lines. Afterwards only ``_data`` is held."""
        if self._start:
            self._start = False
            lines[0] = lines[0].removeprefix(_BOM)
        events: list[tuple[str, str]] = []
        event, data = self._event, self._data
        for line in lines:
            if not line:
                if data:
                    body = data[0] if len(data) == 1 else b"\n".join(data)
                    events.append((event.decode("utf-8", "replace"), body.decode("utf-8", "replace")))
                    data.clear()
                event = b""
            elif line.startswith(b"data: "):
                data.append(line[6:])
            elif line[0] in b"{[":
                data.append(line)
            elif line[0] != 0x3A:  # a colon opens a comment
                field, _, value = line.partition(b":")
                value = value.removeprefix(b" ")
                if field == b"data":
                    data.append(value)
                elif field == b"event":
                    event = value
        self._event = event
        self._size = sum(map(len, data)) if data else 0
        if self._size > self._limit:
            raise TooLong
        return events
