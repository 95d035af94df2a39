"""An official account (公众号): whoever follows it can ask, in private.

- in: callback.py takes WeChat's calls, crypto.py and xml.py open them, events.py makes messages of them (all pure);
- out: callback.py responds with what is ready in time; surface.py sends the rest, with media.py;
- api.py makes the calls, probe.py is for ``check --online``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from functools import lru_cache
from typing import TYPE_CHECKING

from adapters.wechat.mp import media
from adapters.wechat.mp.api import Api, Unverified
from adapters.wechat.mp.callback import Callback
from adapters.wechat.mp.probe import findings
from adapters.wechat.mp.surface import AnswerSurface
from adapters.wechat.plain import plain
from bridge.model import (
    AnyEvent,
    Attachment,
    BridgeError,
    Caps,
    Fatal,
    Finding,
    Host,
    Message,
    Rate,
    RateLimited,
    Receive,
    State,
    Surface,
)

if TYPE_CHECKING:
    from adapters.wechat.options import Options

log = logging.getLogger(__name__)

TEXT_MOST = 2048
"""Bytes of a message."""
SENDS = 5
"""Messages for each of the user's; the response is one of ours, too."""
WINDOW = 48 * 3600.0 - 600.0
"""Seconds after the user's message in which an answer is taken; WeChat's clock may be another."""


@lru_cache(maxsize=16)  # the Presenter asks about the same text more than once
def fits(text: str) -> bool:
    """Does the message for a Markdown text take at most 2048 bytes?"""
    return len(text) <= 2 * TEXT_MOST and len(plain(text).encode()) <= TEXT_MOST


VERIFIED = Caps(
    fits=fits,
    live=False,
    rate=Rate(5, 5.0),
    sends=SENDS,
    window=WINDOW,
    buttons=False,
    typing=True,
    inbound=frozenset({"image"}),
    files=frozenset({"image"}),
)
UNVERIFIED = Caps(fits=fits, live=False, sends=1, buttons=False, inbound=frozenset({"image"}))


class Door:
    """See bridge.model.Adapter."""

    def __init__(self, name: str, options: Options, host: Host) -> None:
        self._name = name
        self._host = host
        self._verified = options.verified
        self._api: Api | None = None
        if options.app_secret:
            self._api = Api(host.connection, options.api_base, options.app_id, options.app_secret)
        self._callback = Callback(name, host, options.token, options.aes_key, options.app_id, verified=options.verified)
        self._types = options.verified

    async def run(self, receive: Receive) -> None:
        self._host.state(State("connected"))
        serving = asyncio.create_task(self._callback.run(receive))
        try:
            if self._verified and self._api:
                await self._try(self._api)
            await serving
        finally:
            serving.cancel()
            await asyncio.wait([serving])

    async def _try(self, api: Api) -> None:
        """Until the credentials are taken; messages are taken in meanwhile. Raises Fatal when they never will be."""
        while True:
            try:
                await api.token()
                self._host.state(State("connected"))
                return
            except Fatal:
                raise
            except BridgeError as error:
                await self._host.failed(error)

    def caps(self, to: AnyEvent) -> Caps:
        return VERIFIED if self._verified else UNVERIFIED

    def answer(self, to: AnyEvent, turn: str, resume: str | None = None) -> Surface:
        api = self._api if self._verified else None
        return AnswerSurface(api, to.conversation.chat, turn, resume, self._host.download)

    async def typing(self, to: AnyEvent) -> None:
        """Nobody misses the sign: but for RateLimited, a fault is a line for whoever debugs."""
        if not self._types or self._api is None:
            return
        try:
            await self._api.call("message/custom/typing", {"touser": to.conversation.chat, "command": "Typing"})
        except RateLimited:
            raise
        except Unverified:
            self._types = False
        except BridgeError as error:
            log.debug("no typing: %s", error)

    def fetch(self, what: Attachment) -> AsyncIterator[bytes]:
        return media.fetch(what, self._host.download)

    async def complete(self, message: Message) -> Message:
        return message  # an account learns no more than the message

    async def probe(self) -> list[Finding]:
        return await findings(self._name, self._host, self._api, verified=self._verified)
