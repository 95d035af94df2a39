"""Server-sent events: one open page that follows a transcript.

Rules of this file:
- a page that connects gets the whole state first, so a reconnect needs no memory of what was sent before;
- of each entry only the newest state waits to be sent: a slow reader costs memory for the transcript, not for its
  delay, and one that takes nothing for STUCK seconds is hung up on (its browser comes back);
- HTML goes out once per block, buttons and forms only when they change: what a visitor has typed into a form stays.

Events, each one JSON object: ``{"begin": boot}``, entries, ``{"ready": true}``, then entries as they change.
``boot`` names the life of this process: a page may keep an unfinished answer over a restart, it will be resumed.
"""

from __future__ import annotations

import asyncio
from weakref import WeakKeyDictionary

import msgspec
from aiohttp import web

from adapters.web.screen import Entry, Screen
from bridge.model import Button, File, Form, Source

BEAT = 15.0
"""Seconds of silence after which a comment keeps proxies from closing the stream."""
STUCK = 60.0
RETRY_MS = 1_000
"""How long a browser waits before it connects again."""
HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
}

_encode = msgspec.json.Encoder().encode


class Extra(msgspec.Struct, frozen=True, omit_defaults=True):
    """What hangs under an answer."""

    buttons: tuple[Button, ...] = ()
    form: Form | None = None
    sources: tuple[Source, ...] = ()
    files: tuple[File, ...] = ()


class Question(msgspec.Struct, frozen=True):
    id: str
    after: str
    text: str


class Part(msgspec.Struct, frozen=True, omit_defaults=True):
    """An answer's part. The page keeps the first ``keep`` pieces of its HTML and puts ``html`` behind them."""

    id: str
    keep: int
    html: list[str]
    after: str | None = None
    """The entry above it, when the page does not know this one yet; empty = it is the first."""
    live: bool = False
    status: str = ""
    thinking: str = ""
    extra: Extra | None = None
    """None = as it was."""


class _Sent(msgspec.Struct):
    """What the page already has of a part."""

    age: int
    pieces: int
    extra: Extra


class Stream:
    """A Watcher that writes to one response."""

    def __init__(self, response: web.StreamResponse) -> None:
        self._response = response
        self._dirty: dict[Entry, None] = {}
        self._sent: WeakKeyDictionary[Entry, _Sent] = WeakKeyDictionary()
        self._wake = asyncio.Event()
        self._ended = False

    def mark(self, entry: Entry) -> None:
        self._dirty[entry] = None
        self._wake.set()

    def end(self) -> None:
        self._ended = True
        self._wake.set()

    async def follow(self, screen: Screen, boot: str) -> None:
        """Send the state, then the changes, until ``end`` or until the page is gone (ConnectionError, TimeoutError)."""
        await self._write(f"retry: {RETRY_MS}\n".encode() + _event({"begin": boot}))
        for entry in screen.entries:
            self.mark(entry)
        await self._flush(screen)
        await self._write(_event({"ready": True}))
        while not self._ended:
            try:
                async with asyncio.timeout(BEAT):
                    await self._wake.wait()
            except TimeoutError:
                await self._write(b":\n\n")
            self._wake.clear()
            await self._flush(screen)

    async def _flush(self, screen: Screen) -> None:
        while self._dirty and not self._ended:
            entry = next(iter(self._dirty))
            del self._dirty[entry]
            data = self._event_of(entry, screen)
            if data is not None:
                await self._write(_event(data))

    def _event_of(self, entry: Entry, screen: Screen) -> Question | Part | dict[str, str] | None:
        if entry.gone:
            return {"gone": entry.id}
        sent = self._sent.get(entry)
        if sent is None and entry not in screen.entries:
            return None  # the transcript grew over it before this page saw it
        after = None if sent else screen.before(entry)
        show = entry.show
        if show is None:
            return Question(entry.id, after or "", entry.text)
        growing = entry.growing
        growing.draw(show)
        extra = Extra(show.buttons, show.form, show.sources, show.files)
        keep = sent.pieces if sent and sent.age == growing.age else 0
        same = sent is not None and sent.extra == extra
        self._sent[entry] = _Sent(growing.age, len(growing.done), extra)
        return Part(
            id=entry.id,
            keep=keep,
            html=[*growing.done[keep:], growing.tail],
            after=after,
            live=not show.final,
            status="" if show.text else show.status,
            thinking=show.thinking if show.final else show.thinking[-1000:],
            extra=None if same else extra,
        )

    async def _write(self, data: bytes) -> None:
        async with asyncio.timeout(STUCK):
            await self._response.write(data)


def _event(data: object) -> bytes:
    return b"data: " + _encode(data) + b"\n\n"
