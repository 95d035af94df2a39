"""A WeCom (企业微信) AI bot, by its long connection: private chats, groups by a mention, answers that grow.

- in: socket.py brings callbacks, intake.py takes them, events.py makes events of them (pure);
- out: surface.py is one answer, a stream message for each part; render.py and cards.py say what is in it (pure);
- media.py is files, both ways; note.py and probe.py are for ``check --online``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from adapters.wechat.wecom.intake import Intake
from adapters.wechat.wecom.media import fetch
from adapters.wechat.wecom.probe import findings
from adapters.wechat.wecom.render import fits
from adapters.wechat.wecom.socket import Frame, Socket
from adapters.wechat.wecom.surface import AnswerSurface
from bridge.model import AnyEvent, Attachment, Caps, Finding, Host, Message, Rate, Receive, Surface

if TYPE_CHECKING:
    from adapters.wechat.options import Options

CAPS = Caps(
    fits=fits,
    live=True,
    interval=0.5,
    slowest=4.0,
    previews=20,
    grows=True,
    lasts=240.0,  # a stream dies after six minutes without an update
    part_lasts=540.0,  # and after ten in all
    rate=Rate(30, 60),
    inbound=frozenset({"image", "file", "video"}),
    files=frozenset({"image", "file"}),
)


class Door:
    """See bridge.model.Adapter."""

    def __init__(self, name: str, options: Options, host: Host) -> None:
        self._host = host
        self._socket = Socket(name, options.bot_id, options.secret, options.ws_url, host)
        self._intake = Intake(name, self._socket)

    async def run(self, receive: Receive) -> None:
        async def take(frame: Frame) -> None:
            await self._intake.take(frame, receive)

        await self._socket.run(take)

    def caps(self, to: AnyEvent) -> Caps:
        return CAPS

    def answer(self, to: AnyEvent, turn: str, resume: str | None = None) -> Surface:
        return AnswerSurface(self._socket, self._intake.newest, to, turn, resume, self._host.download)

    async def typing(self, to: AnyEvent) -> None:
        """WeCom has no such sign: the first words of a stream are one."""

    def fetch(self, what: Attachment) -> AsyncIterator[bytes]:
        return fetch(self._host.connection, what.ref)

    async def complete(self, message: Message) -> Message:
        return message  # a callback tells everything that a bot may know

    async def probe(self) -> list[Finding]:
        return await findings(self._socket)
