"""iLink: Tencent's own bot channel for personal WeChat. One person, no groups, about ten messages for each of theirs.

- in: polling.py brings the messages, intake.py takes them, events.py makes messages of them (pure);
- out: surface.py is one answer, with files.py; contexts.py knows what an answer may go out under; typing.py is the sign
  that one is being written;
- media.py is the CDN, both ways;
- api.py makes the calls, account.py is the login, login.py gets one, probe.py is for ``check --online``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING

from adapters.wechat.ilink.account import Account
from adapters.wechat.ilink.api import Api
from adapters.wechat.ilink.contexts import Contexts
from adapters.wechat.ilink.events import token
from adapters.wechat.ilink.intake import Intake
from adapters.wechat.ilink.login import login
from adapters.wechat.ilink.media import Cdn
from adapters.wechat.ilink.polling import Polling
from adapters.wechat.ilink.probe import findings
from adapters.wechat.ilink.surface import AnswerSurface
from adapters.wechat.ilink.typing import Typing
from adapters.wechat.plain import fits
from bridge.model import AnyEvent, Attachment, Caps, Finding, Host, Message, Rate, Receive, Surface

if TYPE_CHECKING:
    from adapters.wechat.options import Options

TEXT_MOST = 1800
"""UTF-16 units of a message: WeChat cuts silently at about 2000 (hermes #16411, microclaw #399)."""
SENDS = 10
"""Messages for each of the user's (Tencent/openclaw-weixin #81, #202)."""
WINDOW = 24 * 3600.0
"""Seconds after the user's message in which an answer is delivered (#204)."""

CAPS = Caps(
    fits=fits(TEXT_MOST, fences=True),
    live=False,
    rate=Rate(3, 3),
    sends=SENDS,
    window=WINDOW,
    buttons=False,
    typing=True,
    inbound=frozenset({"image", "file", "video"}),
    files=frozenset({"image", "file"}),
)


class Door:
    """See bridge.model.Adapter and Login."""

    def __init__(self, name: str, options: Options, host: Host) -> None:
        self._name = name
        self._host = host
        self._api = Api(host.connection, options.base_url)
        self._account = Account(name, self._api, host)
        self._contexts = Contexts(host)
        self._cdn = Cdn(host.connection, options.cdn_url)
        self._typing = Typing(self._api)

    async def run(self, receive: Receive) -> None:
        await self._account.connect()
        intake = Intake(self._name, self._contexts, receive)
        await Polling(self._account, intake.take, self._host).run()

    def caps(self, to: AnyEvent) -> Caps:
        return CAPS

    def answer(self, to: AnyEvent, turn: str, resume: str | None = None) -> Surface:
        user = to.conversation.chat
        return AnswerSurface(
            self._api, self._contexts, self._cdn, user, token(to.handle), turn, resume, self._host.download
        )

    async def typing(self, to: AnyEvent) -> None:
        await self._typing.show(to.conversation.chat, token(to.handle))

    def fetch(self, what: Attachment) -> AsyncIterator[bytes]:
        return self._cdn.download(what.ref)

    async def complete(self, message: Message) -> Message:
        return message  # a message tells everything that iLink knows

    async def probe(self) -> list[Finding]:
        return await findings(self._account, self._api)

    async def login(self, qr: Callable[[str], Awaitable[None]], ask: Callable[[str], Awaitable[str]]) -> None:
        await login(self._api, self._account, qr, ask)
