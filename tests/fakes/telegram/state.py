"""What the Bot API server remembers: bots, chats, messages, queues of updates, calls.

Rules of this file:
- no HTTP, and nothing that only a person does or sees (that is ``users``);
- every bot sees a world of its own; a chat exists for it from its first event on;
- private chats of a bot share one count of message ids, a supergroup has its own: an id alone names nothing;
- an update is encoded when it happens: what the bot reads later does not change with the message.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

import msgspec

from tests.fakes.telegram.rules import Json, Limit, Window

ON_REQUEST = frozenset({"chat_member", "message_reaction", "message_reaction_count"})
"""Kinds of update that come only when ``allowed_updates`` names them."""


class Draft(msgspec.Struct, frozen=True):
    """A message draft, as the user sees it growing."""

    draft_id: int
    text: str
    entities: list[Json]
    thread: int | None
    can_stop: bool
    keep_on_stop: bool
    until: float


class CallbackAnswer(msgspec.Struct, frozen=True):
    """How the bot answered a press."""

    query: str
    text: str
    alert: bool


class Call(msgspec.Struct):
    """One call to the Bot API. ``status`` is 0 while it runs and when the connection was dropped."""

    time: float
    method: str
    chat: int | None
    body: Json | None
    status: int = 0


class Stored:
    """A message: ``body`` is the Message object as the Bot API gives it."""

    __slots__ = ("body", "edits", "from_bot", "reaction", "user_reactions")

    def __init__(self, body: Json, from_bot: bool) -> None:
        self.body = body
        self.from_bot = from_bot
        self.edits = 0
        self.reaction = ""
        self.user_reactions: dict[int, str] = {}


class Chat:
    """One chat of one bot. ``topics`` holds the root message of each topic; drafts and typing are by topic or 0."""

    __slots__ = ("blocked", "drafts", "ids", "info", "messages", "topics", "typing", "window")

    def __init__(self, info: Json, ids: itertools.count[int]) -> None:
        self.info = info
        self.ids = ids
        self.messages: dict[int, Stored] = {}
        self.topics: dict[int, Json] = {}
        self.drafts: dict[int, Draft] = {}
        self.typing: dict[int, tuple[str, float]] = {}
        self.window = Window()
        self.blocked = False

    def new_message_id(self) -> int:
        return next(number for number in self.ids if number not in self.messages and number not in self.topics)

    def store(self, body: Json, from_bot: bool) -> Stored:
        stored = self.messages[body["message_id"]] = Stored(body, from_bot)
        return stored


class Webhook(msgspec.Struct):
    url: str
    secret: str
    failed_at: int = 0
    failure: str = ""


class Bot:
    """One token. Updates wait in ``updates`` until an offset (or the webhook) confirms them."""

    def __init__(self, token: str, username: str, privacy: bool) -> None:
        self.token = token
        self.id = int(token.partition(":")[0])
        self.user: Json = {"id": self.id, "is_bot": True, "first_name": "My Bot", "username": username}
        self.privacy = privacy
        self.revoked = False
        self.chats: dict[int, Chat] = {}
        self.updates: deque[tuple[int, msgspec.Raw]] = deque()
        self.next_update = 700_000_001
        self.allowed: frozenset[str] | None = None
        self.webhook: Webhook | None = None
        self.window = Window()
        self.queries: set[str] = set()
        self.answers: list[CallbackAnswer] = []
        self.commands: dict[tuple[str, str], list[Json]] = {}
        self.files: dict[str, tuple[str, bytes]] = {}
        self.private_ids = itertools.count(1)
        self._news: asyncio.Future[str] | None = None

    def confirm(self, offset: int) -> None:
        """Forget the updates before ``offset``; a negative one keeps only the last so many."""
        while self.updates and (self.updates[0][0] < offset if offset > 0 else len(self.updates) > -offset > 0):
            self.updates.popleft()

    @property
    def polling(self) -> bool:
        """A getUpdates call (or the webhook) is waiting for something to happen."""
        return self._news is not None and not self._news.done()

    async def news(self, timeout: float | None) -> str:
        """Wait for an update; returns why the wait was ended from outside, else an empty string."""
        self._news = waiting = asyncio.get_running_loop().create_future()
        try:
            return await asyncio.wait_for(waiting, timeout)
        except TimeoutError:
            return ""

    def wake(self, reason: str = "") -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(reason)


class State:
    """The whole memory of the server. ``token`` everywhere: the bot meant, the first one by default."""

    def __init__(
        self,
        *tokens: str,
        clock: Callable[[], float] = time.monotonic,
        history: int | None = None,
        bodies: bool = True,
    ) -> None:
        self.clock = clock
        self.bots: dict[str, Bot] = {}
        self.history: deque[Call] = deque(maxlen=history)
        """The calls so far, the last ``history`` of them; without their parameters when ``bodies`` is off."""
        self.bodies = bodies
        self.counts: Counter[str] = Counter()
        """Calls per method."""
        self.private_limit: Limit | None = None
        self.group_limit: Limit | None = None
        self.bot_limit: Limit | None = None
        self.closing = False
        """The server stops: long polls end at once."""
        self._waiting: list[asyncio.Future[None]] = []
        for token in tokens or ("42:test",):
            self.add_bot(token)

    # -------------------------------------------------------------- bots

    @property
    def token(self) -> str:
        """The first bot's token."""
        return next(iter(self.bots))

    def bot(self, token: str | None = None) -> Bot:
        return self.bots[self.token if token is None else token]

    def add_bot(self, token: str, username: str = "", privacy: bool = False) -> Bot:
        """A further bot. With ``privacy`` it gets from groups only commands, mentions and replies to itself."""
        name = username or ("my_bot" if not self.bots else f"my_bot_{token.partition(':')[0]}")
        bot = self.bots[token] = Bot(token, name, privacy)
        return bot

    def revoke(self, token: str | None = None, revoked: bool = True) -> None:
        """Every call with the token is Unauthorized from now on."""
        self.bot(token).revoked = revoked

    def limit(self, private: Limit | None = None, group: Limit | None = None, per_second: int = 0) -> None:
        """Flood control from now on: by chat, by kind of chat, and over all calls of a bot. Nothing given = none."""
        self.private_limit, self.group_limit = private, group
        self.bot_limit = Limit(per_second, 1.0, 1.0) if per_second else None

    # -------------------------------------------------------------- chats

    def open(self, chat: int, token: str | None = None, **info: Any) -> Chat:
        """The chat, known to the bot from now on (private when its id is positive); ``info`` = more of its fields."""
        bot = self.bot(token)
        known = bot.chats.get(chat)
        if known is None:
            if chat > 0:
                known = Chat({"id": chat, "type": "private", "first_name": f"User {chat}"}, bot.private_ids)
            else:
                known = Chat({"id": chat, "type": "supergroup", "title": f"Group {-chat}"}, itertools.count(1))
            bot.chats[chat] = known
        known.info.update(info)
        return known

    def push(self, update: Json, token: str | None = None) -> int:
        """Queue any update, well-formed or not; its update_id, or 0 when the bot has not asked for this kind."""
        bot = self.bot(token)
        kind = next((name for name in update if name != "update_id"), "")
        if kind and (kind in ON_REQUEST if bot.allowed is None else kind not in bot.allowed):
            return 0
        update_id: int = update.get("update_id", bot.next_update)
        bot.next_update = max(bot.next_update, update_id + 1)
        bot.updates.append((update_id, msgspec.Raw(msgspec.json.encode({"update_id": update_id, **update}))))
        self._meet(update.get(kind), token)
        bot.wake()
        self.changed()
        return update_id

    def _meet(self, event: Any, token: str | None) -> None:
        """The bot knows a chat from its first update on, and the messages in it. Malformed updates teach nothing."""
        if isinstance(event, dict) and "message" in event:  # a callback query
            event = event["message"]
        chat = event.get("chat") if isinstance(event, dict) else None
        if not isinstance(chat, dict) or type(chat.get("id")) is not int:
            return
        known = self.open(chat["id"], token)
        sender, number = event.get("from"), event.get("message_id")
        if isinstance(sender, dict) and type(number) is int and number not in known.messages:
            known.store(event, from_bot=sender.get("id") == self.bot(token).id)

    def changed(self) -> None:
        """Something happened: whoever waits looks again, once per turn of the loop."""
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for future in waiting:
                if not future.done():
                    future.set_result(None)


def user_of(user_id: int) -> Json:
    """The User object of a person."""
    return {"id": user_id, "is_bot": False, "first_name": f"User {user_id}", "language_code": "en"}


def quoted(body: Json) -> Json:
    """A message as it stands in reply_to_message: without the one that it replies to itself."""
    return {key: value for key, value in body.items() if key != "reply_to_message"}
