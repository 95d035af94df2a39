"""What an event did not tell: names, and the messages that were quoted or passed on.

Rules of this file:
- nobody waits long for it, and no failure leaves it: what cannot be had stays empty;
- a permission that is missing is told once, and asked for again after an hour: it may have been granted. Where Feishu
  does not answer, or wants fewer calls, nobody waits for the same a minute long;
- names are kept for a day, quotes are not kept: their texts belong to the store.

Source: pages "获取单个用户信息", "获取群信息", "获取指定消息的内容".
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from urllib.parse import quote as url_quote

import msgspec

from adapters.feishu.account import Account
from adapters.feishu.codes import PUBLISH, MissingScope
from adapters.feishu.content import Said, content_of, forwarded, mentions_of
from adapters.feishu.schema import FsItem, read
from bridge.model import BridgeError, Conversation, Message, Quote, Rejected, Unsure, User

log = logging.getLogger(__name__)

PATIENCE = 10.0
"""Seconds for one look-up of a message."""
NAME_PATIENCE = 3.0
"""Seconds for one of a name: an answer does without."""
ROOM = 3.0
"""Seconds of these to wait until the budget has room for the call."""
PAUSE = 60.0
"""Seconds without look-ups of a kind after one that failed."""
KNOWN, UNKNOWN = 24 * 3600.0, 3600.0
"""Seconds for which a name is kept, and for which it is not asked for again when there is none or we may not."""
MOST = 5_000
"""Names of each kind."""

Clock = Callable[[], float]
_T = TypeVar("_T")


class _Person(msgspec.Struct, frozen=True):
    name: str = ""


class _Contact(msgspec.Struct, frozen=True):
    user: _Person = _Person()


class _Chat(msgspec.Struct, frozen=True):
    name: str = ""


class _Fetched(msgspec.Struct, frozen=True):
    """The message itself is the first; the others are those within a merged forward."""

    items: tuple[dict[str, Any], ...] = ()


class Lookup:
    """The look-ups of one bot. ``clock`` counts seconds."""

    def __init__(self, account: Account, clock: Clock = time.monotonic) -> None:
        self._account = account
        self._users = _Names(self._user, clock)
        self._chats = _Names(self._chat, clock)
        self._contact = _Source(account, "the names of users", NAME_PATIENCE, clock)
        self._groups = _Source(account, "the names of groups", NAME_PATIENCE, clock)
        self._messages = _Source(account, "quoted and forwarded messages", PATIENCE, clock, level=logging.WARNING)

    async def complete(self, message: Message) -> Message:
        """The message with the name of its user and of its group, and with what its bare quotes say."""
        user, place, quotes = await asyncio.gather(
            self._named(message.user),
            self._placed(message.conversation),
            asyncio.gather(*map(self._quoted, message.quotes)),
        )
        return msgspec.structs.replace(message, user=user, conversation=place, quotes=tuple(quotes))

    async def _named(self, user: User) -> User:
        if user.name or not user.id:
            return user
        return msgspec.structs.replace(user, name=await self._users.of(user.id))

    async def _placed(self, place: Conversation) -> Conversation:
        if place.name or place.kind == "private":
            return place
        return msgspec.structs.replace(place, name=await self._chats.of(place.chat))

    async def _user(self, open_id: str) -> str:
        path = f"/open-apis/contact/v3/users/{url_quote(open_id, safe='')}"
        return (await self._contact.get(path, _Contact, {"user_id_type": "open_id"})).user.name

    async def _chat(self, chat_id: str) -> str:
        return (await self._groups.get(f"/open-apis/im/v1/chats/{url_quote(chat_id, safe='')}", _Chat)).name

    async def _quoted(self, quote: Quote) -> Quote:
        if not quote.bare:
            return quote
        try:
            found = await self._messages.get(f"/open-apis/im/v1/messages/{url_quote(quote.id, safe='')}", _Fetched)
        except BridgeError as error:
            log.debug("bot %s: a quoted message is not known: %s", self._account.bot, error)
            return quote
        said = _said(found.items, quote.id, self._account.api.app_id)
        return msgspec.structs.replace(quote, text=said.text, attachments=said.attachments)


class _Source:
    """Calls of one kind, which bring ``what``. While a permission for them is missing, or Feishu has trouble with them,
    they are not made. ``patience`` in seconds; ``level`` is the log's for a missing permission."""

    def __init__(
        self, account: Account, what: str, patience: float, clock: Clock, *, level: int = logging.INFO
    ) -> None:
        self._account = account
        self._what = what
        self._patience = patience
        self._clock = clock
        self._level = level
        self._told = False
        self._closed_until = -math.inf

    async def get(self, path: str, kind: type[_T], query: dict[str, str] | None = None) -> _T:
        """``data`` of the answer. Raises a BridgeError."""
        if self._clock() < self._closed_until:
            raise BridgeError("it could not be asked for a while ago")
        try:
            async with asyncio.timeout(self._patience):
                answer = await self._account.call("GET", path, query=query, durable=False, within=ROOM)
        except MissingScope as error:
            self._tell(error)
            self._close(UNKNOWN)
            raise
        except Rejected:
            raise
        except BridgeError:
            self._close(PAUSE)
            raise
        except TimeoutError:
            self._close(PAUSE)
            raise Unsure(f"Feishu did not answer within {self._patience:.0f} s") from None
        try:
            return read(answer.get("data") or {}, kind)
        except msgspec.ValidationError:
            raise Unsure("Feishu did not answer as expected") from None

    def _close(self, seconds: float) -> None:
        self._closed_until = self._clock() + seconds

    def _tell(self, error: MissingScope) -> None:
        if not self._told:
            log.log(self._level, "bot %s: %s are not looked up: %s; %s", self._account.bot, self._what, error, PUBLISH)
        self._told = True


class _Names:
    """Names by id, those asked for last. ``find`` brings one, or raises a BridgeError."""

    def __init__(self, find: Callable[[str], Awaitable[str]], clock: Clock) -> None:
        self._find = find
        self._clock = clock
        self._kept: OrderedDict[str, tuple[float, str]] = OrderedDict()
        """Each with the time until which it holds."""
        self._asked: dict[str, asyncio.Task[str]] = {}

    async def of(self, key: str) -> str:
        """The name, or nothing. Whoever asks for one that is being asked for waits for the same call."""
        until, name = self._kept.get(key, (-math.inf, ""))
        if self._clock() < until:
            self._kept.move_to_end(key)
            return name
        task = self._asked.get(key)
        if task is None:
            task = self._asked[key] = asyncio.create_task(self._found(key))
            task.add_done_callback(lambda _: self._asked.pop(key))
        return await asyncio.shield(task)

    async def _found(self, key: str) -> str:
        try:
            name = await self._find(key)
        except MissingScope:
            return ""
        except Rejected as refusal:
            log.debug("a name is not told: %s", refusal)
            name = ""
        except BridgeError as error:
            log.debug("a name is not known yet: %s", error)
            return ""
        self._kept[key] = self._clock() + (KNOWN if name else UNKNOWN), name
        self._kept.move_to_end(key)
        if len(self._kept) > MOST:
            self._kept.popitem(last=False)
        return name


def _said(items: tuple[dict[str, Any], ...], message_id: str, app_id: str) -> Said:
    """What a fetched message says. Nothing for our own cards: the platform does not tell what is in them."""
    for raw in items:
        if raw.get("message_id") != message_id or raw.get("deleted"):
            continue
        try:
            item = read(raw, FsItem)
        except msgspec.ValidationError:
            break
        if item.msg_type == "merge_forward":
            return forwarded(items, message_id)
        if item.msg_type == "interactive" and item.sender.id == app_id:
            break
        return content_of(item.msg_type, item.body.content, mentions_of(item.mentions), message_id)
    return Said("")
