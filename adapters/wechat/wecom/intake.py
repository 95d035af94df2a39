"""Takes callbacks in.

Rules of this file:
- a callback is taken in when it is committed; one that is not as documented is passed over;
- the newest message of each chat has the req_id under which an answer goes out when its own is not taken any more;
- a card is pressed once: after a press it shows what was chosen. WeCom allows that for five seconds.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import msgspec

from adapters.wechat.wecom.cards import DONE_KEY, pressed
from adapters.wechat.wecom.events import parse, req_id_of
from adapters.wechat.wecom.socket import Frame, Socket
from bridge.model import BridgeError, Message, Press, Receive

log = logging.getLogger(__name__)

UPDATE = "aibot_respond_update_msg"
CHATS_MOST = 10_000
"""Chats whose newest req_id is remembered."""


class Intake:
    def __init__(self, bot: str, socket: Socket) -> None:
        self._bot = bot
        self._socket = socket
        self._newest: dict[str, str] = {}
        self._updates: set[asyncio.Task[None]] = set()

    def newest(self, chat: str) -> str:
        """The req_id of the newest message there; empty when none is known."""
        return self._newest.get(chat, "")

    async def take(self, frame: Frame, receive: Receive) -> None:
        """Returns after the commit. Raises BridgeError when there was none."""
        try:
            event = parse(self._bot, frame.command, frame.req_id, frame.body, time.time())
        except msgspec.ValidationError as error:  # it names a field, never what is in it
            log.warning("bot %s: a callback is not as documented, and passed over: %s", self._bot, error)
            return
        if event is None or (isinstance(event, Press) and event.key == DONE_KEY):
            return
        if isinstance(event, Message):
            self._remember(event.conversation.chat, req_id_of(event.handle))
        toast = await receive(event)
        if isinstance(event, Press):
            card = pressed(_card_type(frame.body), event.target, toast or "")
            task = asyncio.create_task(self._update(frame.req_id, card))
            self._updates.add(task)
            task.add_done_callback(self._updates.discard)

    async def _update(self, req_id: str, card: dict[str, Any]) -> None:
        try:
            await self._socket.request(UPDATE, {"response_type": "update_template_card", "template_card": card}, req_id)
        except BridgeError as error:
            log.debug("a card stays as it was: %s", error)

    def _remember(self, chat: str, req_id: str) -> None:
        self._newest.pop(chat, None)
        self._newest[chat] = req_id
        if len(self._newest) > CHATS_MOST:
            del self._newest[next(iter(self._newest))]


def _card_type(body: dict[str, Any]) -> str:
    return str(body["event"]["template_card_event"].get("card_type", ""))
