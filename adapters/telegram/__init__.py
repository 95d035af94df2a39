"""Telegram: private chats, groups and topics, by long polling or by webhook.

- in: polling.py or webhook.py bring the updates, intake.py takes them, updates.py makes events of them (pure, as are
  schema.py and received.py);
- out: surface.py and draft.py are one answer, with keyboard.py and files.py; render.py makes text of Markdown (pure, as
  are compose.py, page.py, table.py and entity.py);
- api.py makes the calls, account.py those that belong to no answer;
- probe.py is for ``check --online``; rival.py notes for it what ``run`` sees of another program with our token.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import math
import re
from collections.abc import AsyncIterator
from typing import Any, Literal

import msgspec

from adapters.telegram.account import Account
from adapters.telegram.api import Api
from adapters.telegram.draft import DraftSurface
from adapters.telegram.intake import Intake
from adapters.telegram.polling import Polling
from adapters.telegram.probe import findings
from adapters.telegram.render import fits
from adapters.telegram.surface import MessageSurface
from adapters.telegram.updates import GENERAL
from adapters.telegram.webhook import Webhook
from bridge.model import (
    AnyEvent,
    Attachment,
    BridgeError,
    Caps,
    Finding,
    Host,
    Message,
    Rate,
    RateLimited,
    Receive,
    Surface,
)

log = logging.getLogger(__name__)

PRIVATE, GROUP = Rate(60, 60), Rate(18, 60)
"""Calls that a chat bears: one a second in private, 20 a minute in a group, less a margin (bots FAQ, tdlib/td#2592)."""
DRAFT_LASTS = 10.0
"""Seconds: a draft fades after 30 (sendMessageDraft), and any message of the bot in the chat takes it away at once."""
GENERAL_THREAD = 1
"""The General topic of a forum, which only typing may name."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    token: str
    api_base: str = "https://api.telegram.org"
    mode: Literal["polling", "webhook"] = "polling"
    stream: Literal["auto", "draft", "edit", "off"] = "auto"
    calls_per_second: float = 30

    def __repr__(self) -> str:
        return f"Options(api_base={self.api_base!r})"

    def __post_init__(self) -> None:
        number, colon, secret = self.token.partition(":")
        if not (number.isdigit() and colon and len(secret) >= 3):
            raise ValueError("token: is not a bot token (123456:ABC…); get it from @BotFather")
        if not re.match(r"https?://[^/]", self.api_base):
            raise ValueError("api_base: must begin with http:// or https://")

    @property
    def identity(self) -> str:
        """The key that tells one account from another."""
        return "token"

    @property
    def needs_public_url(self) -> bool:
        return self.mode == "webhook"


class Adapter:
    """See bridge.model.Adapter."""

    def __init__(self, name: str, options: Options, host: Host) -> None:
        self._options = options
        self._host = host
        self._api = Api(options.token, options.api_base, *host.connection(options.api_base))
        self._account = Account(name, self._api, host)
        self._intake = Intake(self._account, host)
        self._connection: Polling | Webhook
        if options.mode == "webhook":
            self._connection = Webhook(self._account, self._intake, host, options.token)
        else:
            self._connection = Polling(self._account, self._intake, host)
        quiet = options.stream == "off"
        self._private = Caps(
            fits=fits,
            live=True,
            places=not quiet,
            interval=math.inf if quiet else 1.0,
            rate=PRIVATE,
            bot_rate=Rate(options.calls_per_second, 1.0) if options.calls_per_second else None,
            typing=True,
            inbound=frozenset({"image", "file", "audio", "video"}),
            files=frozenset({"image", "file"}),
        )
        self._group = dataclasses.replace(self._private, rate=GROUP)
        self._draft = dataclasses.replace(self._private, places=False, lasts=DRAFT_LASTS)

    async def run(self, receive: Receive) -> None:
        await self._account.connect()
        menu = asyncio.create_task(self._account.offer_commands())
        try:
            async with self._intake.open(receive):
                await self._connection.run()
        finally:
            menu.cancel()

    def caps(self, to: AnyEvent) -> Caps:
        if to.conversation.kind != "private":
            return self._group
        return self._draft if self._options.stream == "draft" and self._api.drafts else self._private

    def answer(self, to: AnyEvent, turn: str, resume: str | None = None) -> Surface:
        place, fetch = to.conversation, self._host.download
        chat = self._intake.now_at(place.chat)
        if self.caps(to) is self._draft:
            return DraftSurface(self._api, chat, place.thread, turn, resume, fetch)
        # where a group has moved to, the ids of its messages name other ones
        replies = place.kind == "group" and isinstance(to, Message) and chat == place.chat
        return MessageSurface(self._api, chat, place.thread, to.id if replies else "", resume, fetch)

    async def typing(self, to: AnyEvent) -> None:
        place = to.conversation
        action: dict[str, Any] = {"chat_id": int(self._intake.now_at(place.chat)), "action": "typing"}
        if place.thread or to.handle == GENERAL:
            action["message_thread_id"] = int(place.thread or GENERAL_THREAD)
        try:
            await self._api.call("sendChatAction", action)
        except RateLimited:
            raise
        except BridgeError as error:  # nobody misses it
            log.debug("no typing: %s", error)

    def fetch(self, what: Attachment) -> AsyncIterator[bytes]:
        return self._api.open_file(what.ref)

    async def complete(self, message: Message) -> Message:
        return message  # an update tells everything

    async def probe(self) -> list[Finding]:
        return await findings(self._account, self._host, self._options.mode)
