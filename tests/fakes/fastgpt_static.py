"""Files that an answer links to: a plain web server under /static/, with the faults of the real web.

    url = gpt.publish("报告.pdf", b"%PDF-1.7", content_type="application/pdf")
    gpt.next(Script(text=f"[报告]({url})"))
    ...
    assert gpt.published["报告.pdf"].requests == 1

Rules of this file:
- a page says what is sent, never when; ``hold`` is the one thing a test opens;
- a body without end is sent no faster than the client reads, and ends at 80 MB all the same.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.fakes.fastgpt_http import Body, Connection, Request

if TYPE_CHECKING:
    from tests.fakes.fastgpt import FakeFastGPT

STATIC = "/static/"
ENOUGH = 80 * 1000 * 1000
"""Bytes after which an endless body ends."""
PIECE = 64 * 1024


@dataclass
class Published:
    """A file under /static/, and who asked for it."""

    data: bytes
    content_type: str | None = "application/octet-stream"
    """As the header says, whatever the bytes are; None = no such header."""
    status: int = 200
    redirect: str | None = None
    """Location; the status is 302 unless another 3xx was given."""
    chunked: bool = False
    """No Content-Length."""
    length: int | None = None
    """What the Content-Length says in place of the truth; the connection is closed after the bytes."""
    endless: bool = False
    """``data`` again and again, chunked unless ``length`` is given."""
    hold: asyncio.Event | None = None
    """Nothing is sent before this is set."""
    seen: list[dict[str, str]] = field(default_factory=list)
    """The headers of each request, names in lower case."""
    sent: int = 0
    """Bytes of endless bodies so far, those in socket buffers included."""
    hung_up: bool = False
    """A client went away before the end of its answer."""

    @property
    def requests(self) -> int:
        return len(self.seen)


def static(fake: FakeFastGPT, request: Request, connection: Connection) -> None:
    """Answer a request under /static/."""
    page = fake.published.get(request.path.removeprefix(STATIC))
    if page is None:
        connection.reply(404, b"Not Found", "text/plain", {})
        return
    page.seen.append(request.headers)

    def lost() -> None:
        page.hung_up = True
        fake.changed()

    connection.on_lost = lost

    async def later(opened: asyncio.Event) -> None:
        await opened.wait()
        _send(page, request, connection)

    if page.hold is None:
        _send(page, request, connection)
    else:
        fake.spawn(later(page.hold))


def _send(page: Published, request: Request, connection: Connection) -> None:
    if connection.gone:
        return
    if page.redirect is not None:
        status = page.status if 300 <= page.status < 400 else 302
        connection.reply(status, b"", None, {"Location": page.redirect})
    elif page.endless and request.method == "GET":
        _Flood(page, connection).go_on()
    elif page.chunked and request.method == "GET":
        body = connection.stream(page.status, page.content_type, {}, 0)
        body.write(page.data)
        body.finish("eof")
    else:
        length = len(page.data) if page.length is None else page.length
        connection.head(page.status, page.content_type, {"Content-Length": str(length)})
        if request.method == "GET":
            connection.send(page.data)
        connection.end("eof" if length == len(page.data) else "close")


class _Flood:
    """Sends an endless body, a piece for each turn of the event loop while the client reads."""

    def __init__(self, page: Published, connection: Connection) -> None:
        self._page, self._connection = page, connection
        data = page.data or bytes(1)
        self._piece = data * (PIECE // len(data) + 1)
        self._left = ENOUGH
        self._body: Body | None = None
        if page.length is None:
            self._body = connection.stream(page.status, page.content_type, {}, 0)
        else:
            connection.head(page.status, page.content_type, {"Content-Length": str(page.length)})
        connection.on_room = self.go_on

    def go_on(self) -> None:
        if self._connection.gone or self._connection.full:
            return  # on_room calls again
        piece = self._piece[: self._left]
        self._left -= len(piece)
        self._page.sent += len(piece)
        if self._body is None:
            self._connection.send(piece)
        else:
            self._body.write(piece)
        if self._left:
            asyncio.get_running_loop().call_soon(self.go_on)
        elif self._body is None:
            self._connection.end("close")
        else:
            self._body.finish("eof")
