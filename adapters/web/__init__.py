"""The web chat: a page of our own on the bridge's port.

Rules of this package:
- who may come in and who is who is decided first (visitor.py), then the request is looked at (site.py);
- a POST is answered after the durable commit; the page makes the message's id, so a POST repeated after a lost reply is
  deduplicated by the core;
- an answer goes into the visitor's transcript (screen.py) and from there to all of their open pages (stream.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from adapters.web.screen import Screens
from adapters.web.site import Site
from adapters.web.visitor import Options
from bridge.model import AnyEvent, Attachment, Caps, Finding, Host, Message, Receive, Rejected, Show, Shown, State

__all__ = ["Adapter", "Options"]

PART = 100_000
"""Characters of one part of an answer."""
INTERVAL = 0.15
"""Seconds between two previews: the eye sees no more."""


class Adapter:
    """One web bot."""

    def __init__(self, name: str, options: Options, host: Host) -> None:
        self._host = host
        self._screens = Screens(host)
        self._site = Site(name, options, host, self._screens)
        self._caps = Caps(fits=lambda text: len(text) <= PART, live=True, interval=INTERVAL)

    async def run(self, receive: Receive) -> None:
        await self._site.open(receive)
        self._host.state(State("connected"))
        try:
            await asyncio.Event().wait()
        finally:
            self._site.close()

    def caps(self, to: AnyEvent) -> Caps:
        return self._caps

    def answer(self, to: AnyEvent, turn: str, resume: str | None = None) -> Answer:
        return Answer(self._screens, to, turn, int(resume) if resume else 0)

    async def typing(self, to: AnyEvent) -> None:
        """Not in ``caps``: the page has a status line."""

    async def complete(self, message: Message) -> Message:
        return message

    async def probe(self) -> list[Finding]:
        return []  # there is no account

    def fetch(self, what: Attachment) -> AsyncIterator[bytes]:
        raise Rejected("The web page takes no files.")


class Answer:
    """A Surface: the parts of one answer in its visitor's transcript. ``ref`` is how many parts there are."""

    def __init__(self, screens: Screens, to: AnyEvent, turn: str, parts: int) -> None:
        self._screens = screens
        self._to = to
        self._turn = turn
        self._parts = parts

    async def show(self, op: Show) -> Shown:
        to = self._to
        async with self._screens.use(to.conversation.chat) as screen:
            if isinstance(to, Message):
                screen.ask(to.id, to.text)  # a crash may have come between the commit and the transcript
            screen.put(to.id, self._turn, op)
            if op.final:
                await screen.save()
        self._parts = max(self._parts, op.part + 1)
        return Shown(str(self._parts), tuple(f"{self._turn}.{part}" for part in range(self._parts)))
