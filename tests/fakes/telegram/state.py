"""What the Bot API server remembers: bots, chats, messages, queues of updates, calls.

Rules of this file:
- no HTTP, and nothing that only a person does or sees (that is ``peers``, ``users`` and ``watch``);
- every bot sees a world of its own; a chat exists for it from its first event on;
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

from tests.fakes.changes import Changes
from tests.fakes.telegram.chat import Chat, info_of
from tests.fakes.telegram.files import Files, Upload
from tests.fakes.telegram.rules import Json, Limit, Window

ON_REQUEST = frozenset({"chat_member", "message_reaction", "message_reaction_count"})
"""Kinds of update that come only when ``allowed_updates`` names them."""

KINDS = ("private", "group", "supergroup", "channel")


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


class Webhook(msgspec.Struct):
    url: str
    secret: str
    max_connections: int = 40
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
        self.files = Files()
        self.albums = 0
        self.private_ids = itertools.count(1)
        self._news: asyncio.Future[str] | None = None

    def confirm(self, offset: int) -> None:
        """Forget the updates before ``offset``; a negative one keeps only the last so many."""
        while self.updates and (self.updates[0][0] < offset if offset > 0 else len(self.updates) > -offset > 0):
            self.updates.popleft()

    def take(self, update_id: int) -> None:
        """Forget this one update: the webhook has it."""
        self.updates = deque(update for update in self.updates if update[0] != update_id)

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


class State(Changes):
    """The whole memory of the server. ``token`` everywhere: the bot meant, the first one by default."""

    def __init__(
        self,
        *tokens: str,
        clock: Callable[[], float] = time.monotonic,
        history: int | None = None,
        bodies: bool = True,
    ) -> None:
        super().__init__()
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
        self.version = (10, 4)
        """The Bot API that the server speaks: drafts need 9.3, drafts without text 10.0, their stop button 10.3."""
        self.webhook_retry = 0.05
        """Seconds until an update that the webhook did not take is posted again."""
        self.webhook_parallel = 1
        """How many updates are posted at a time, if the bot allows as many; more than one: the newest first."""
        self.missing: set[str] = set()
        """Methods that the server does not know, in lower case."""
        self.pages: dict[str, Upload] = {}
        """What a file's address leads to."""
        self.closing = False
        """The server stops: long polls end at once."""
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
        """The chat, known to the bot from now on; ``info`` = more of its fields.

        A chat with a positive id is private, others are supergroups, unless ``type`` says ``group`` or ``channel``.
        """
        bot = self.bot(token)
        known = bot.chats.get(chat)
        if known is None:
            fields = info_of(chat, info.get("type", ""))
            shared = fields["type"] in ("private", "group")
            known = bot.chats[chat] = Chat(fields, bot.private_ids if shared else itertools.count(1))
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
        bot = self.bot(token)
        known = bot.chats.get(chat["id"])
        if known is None:
            known = self.open(chat["id"], token, **({"type": chat["type"]} if chat.get("type") in KINDS else {}))
        sender, number = event.get("from", event.get("sender_chat")), event.get("message_id")
        if isinstance(sender, dict) and type(number) is int and number not in known.messages:
            known.store(event, from_bot=sender.get("id") == bot.id)
