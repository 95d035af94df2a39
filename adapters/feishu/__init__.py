"""Feishu and Lark: private chats, groups, topics, by long connection or by webhook.

- in: connection.py or webhook.py bring the events, intake.py takes them, events.py makes the bridge's events of them
  (pure, as are schema.py, content.py and frames.py); lookup.py asks for what an event only names;
- out: surface.py chooses how an answer is shown: as a streaming card, or as plain messages where the app may not;
  card.py and render.py make cards of Markdown (pure);
- api.py makes the calls, token.py keeps their token, codes.py says what a refusal means, account.py is for calls that
  belong to no answer;
- lark.py takes the wire formats out of lark-oapi, without its six seconds of import;
- probe.py is for ``check --online``.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import AsyncIterator, Mapping

from adapters.feishu.account import Account
from adapters.feishu.api import Api
from adapters.feishu.connection import LongConnection
from adapters.feishu.intake import Intake
from adapters.feishu.lookup import Lookup
from adapters.feishu.messages import Place
from adapters.feishu.mode import Mode
from adapters.feishu.options import Options
from adapters.feishu.probe import findings
from adapters.feishu.render import fits
from adapters.feishu.spacing import Spacing
from adapters.feishu.surface import AnswerSurface
from adapters.feishu.webhook import Webhook
from bridge.model import AnyEvent, Attachment, Caps, Finding, Host, Message, Rate, Receive, Surface

__all__ = ["Adapter", "Options"]

CARD = Rate(10, 1)
"""Operations that a card bears ("流式更新卡片")."""
TENANT = Rate(48, 3)
"""Calls of the bot: an API bears 50 a second and 1000 a minute for the whole company, and most calls are of one API."""
LASTS = 240.0
"""Seconds: streaming is switched on again by whatever is shown, and has to be within ten minutes."""


class Adapter:
    """See bridge.model.Adapter."""

    def __init__(self, name: str, options: Options, host: Host) -> None:
        self._options = options
        self._host = host
        self._api = Api(options.app_id, options.app_secret, options.origin, *host.connection(options.origin))
        self._account = Account(name, self._api, host)
        self._intake = Intake(self._account)
        self._lookup = Lookup(self._account)
        self._mode = Mode(name, options.stream, options.console)
        self._spacing = Spacing()
        self._connection: LongConnection | Webhook
        if options.mode == "webhook":
            self._connection = Webhook(
                self._account, self._intake, host, options.verification_token, options.encrypt_key
            )
        else:
            self._connection = LongConnection(
                self._account, self._intake, host, options.app_id, options.app_secret, options.origin
            )
        card = Caps(
            fits=fits,
            live=True,
            interval=0.3,
            slowest=3.0,
            previews=25,
            grows=True,
            lasts=LASTS,
            idempotent=True,
            rate=CARD,
            rate_of="answer",
            bot_rate=TENANT,
            inbound=frozenset({"image", "file", "audio", "video"}),
            files=frozenset({"file"}),
        )
        self._caps: Mapping[str, Caps] = {
            "card": card,
            "edit": dataclasses.replace(card, interval=1.5, slowest=5.0, grows=False, lasts=math.inf),
            "off": dataclasses.replace(card, interval=math.inf, places=False),
        }

    async def run(self, receive: Receive) -> None:
        await self._account.connect()
        try:
            async with self._intake.open(receive):
                await self._account.while_accepted(self._connection.run())
        finally:
            await self._api.close()

    def caps(self, to: AnyEvent) -> Caps:
        return self._caps["off" if self._mode.quiet else self._mode.name]

    def answer(self, to: AnyEvent, turn: str, resume: str | None = None) -> Surface:
        chat = to.conversation
        place = Place(chat.chat, to.id if isinstance(to, Message) else "", in_thread=bool(chat.thread))
        value = {"g": "1" if chat.kind == "group" else "", "t": chat.thread}
        return AnswerSurface(self._api, self._mode, self._spacing, place, value, turn, resume, self._host.download)

    async def typing(self, to: AnyEvent) -> None:
        """Feishu has no such sign."""

    def fetch(self, what: Attachment) -> AsyncIterator[bytes]:
        message, key, kind = what.ref.split("/")
        return self._api.open_file(message, key, kind)

    async def complete(self, message: Message) -> Message:
        return await self._lookup.complete(message)

    async def probe(self) -> list[Finding]:
        return await findings(self._account, self._host, self._options)
