"""A wechaty gateway whose every answer the test decides."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Any, TypeVar

from adapters.wechat.wechaty.client import Gateway, PuppetError
from adapters.wechat.wechaty.schema import WxContact, WxLink, WxMember, WxMessage, WxRoom
from bridge.model import Conversation, Message, User

BOT = "wx"
ROOM = "r1@chatroom"

T = TypeVar("T")


class Shelf(Gateway):
    """Answers from what a test has put there, and counts what it is asked for."""

    def __init__(self) -> None:
        super().__init__("127.0.0.1:9", "token")
        self.messages: dict[str, WxMessage] = {}
        self.links: dict[str, WxLink] = {}
        self.names: dict[str, str] = {}
        """Of contacts and of rooms, by id."""
        self.members: dict[tuple[str, str], WxMember] = {}
        self.refusals: Counter[str] = Counter()
        """How often it fails to tell of an id yet."""
        self.gates: dict[str, asyncio.Event] = {}
        """It does not tell of an id before its gate is open."""
        self.asked: list[str] = []
        self._asked = asyncio.Event()

    def put(self, text: str, id: str, **fields: Any) -> str:
        """Put a message of Alice there; its id."""
        given = {"type": 7, "from_id": "alice", "timestamp": time.time(), **fields}
        self.messages[id] = WxMessage(id, text=text, **given)
        return id

    async def until_asked(self, what: str, times: int = 1) -> None:
        async with asyncio.timeout(5):
            while self.asked.count(what) < times:
                self._asked.clear()
                await self._asked.wait()

    async def message(self, message_id: str) -> WxMessage:
        await self._ask(message_id)
        return self._there(self.messages.get(message_id))

    async def contact(self, contact_id: str) -> WxContact:
        await self._ask(contact_id)
        return WxContact(contact_id, self._there(self.names.get(contact_id)))

    async def room(self, room_id: str) -> WxRoom:
        await self._ask(room_id)
        return WxRoom(room_id, self._there(self.names.get(room_id)))

    async def member(self, room_id: str, contact_id: str) -> WxMember:
        await self._ask(f"{room_id} {contact_id}")
        return self._there(self.members.get((room_id, contact_id)))

    async def link(self, message_id: str) -> WxLink:
        await self._ask(f"link {message_id}")
        return self._there(self.links.get(message_id))

    async def _ask(self, what: str) -> None:
        self.asked.append(what)
        self._asked.set()
        if self.refusals[what]:
            self.refusals[what] -= 1
            raise PuppetError
        if what in self.gates:
            await self.gates[what].wait()

    @staticmethod
    def _there(found: T | None) -> T:
        if found is None:
            raise PuppetError
        return found


def question(chat: str = "alice", kind: str = "private", *, name: str = "") -> Message:
    """A message of Alice, as an event."""
    place = Conversation(BOT, chat, kind)  # type: ignore[arg-type]
    return Message(id="m1", conversation=place, user=User("alice", name), at=time.time(), text="hi")
