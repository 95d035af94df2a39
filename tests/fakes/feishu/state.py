"""What the open platform remembers, and the switches a test can set on it.

Rules of this file:
- no HTTP and no rules of single calls; whoever changes something says ``changed()``, so that ``until`` looks again;
- every time is the platform's own (``clock``), never the system's.
"""

from __future__ import annotations

import itertools

from tests.fakes.changes import Changes
from tests.fakes.feishu.clock import Clock
from tests.fakes.feishu.events import EVENTS
from tests.fakes.feishu.rules import Window, new_id
from tests.fakes.feishu.things import Ack, Call, Card, Chat, File, Message

USER = "ou_7d8a6e6df7621556ce0d21922b676706"
"""The person who speaks when a test names none."""
APP_ID = "cli_a1b2c3d4e5f60718"
APP_SECRET = "Yb2nR7dQ5sTf0kXw9cVh3mLj8pZa1eGu"
SCOPES = frozenset(
    {
        "cardkit:card:write",
        "contact:contact.base:readonly",
        "contact:user.base:readonly",
        "im:chat:readonly",
        "im:message.group_at_msg:readonly",
        "im:message.p2p_msg:readonly",
        "im:message.reactions:write_only",
        "im:message:readonly",
        "im:message:send_as_bot",
        "im:resource",
    }
)
"""The permissions a new app has here: those of the fact sheet, section 4, and the optional ones for names, quoted
messages and reactions."""


class State(Changes):
    """The memory of one tenant with one app."""

    def __init__(self, app_id: str = APP_ID, app_secret: str = APP_SECRET) -> None:
        super().__init__()
        self.app_id, self.app_secret = app_id, app_secret
        self.app_name = "Helper"
        self.open_id = "ou_84aad35d084aa403a838cf73ee18467a"
        """The bot's own."""
        self.clock = Clock()

        # What the operator has set in the console.
        self.bot_enabled = True
        self.scopes: set[str] = set(SCOPES)
        self.subscribed: set[str] = set(EVENTS)
        """Event types that reach the app; without ``card.action.trigger`` a press shows 200340."""
        self.verification_token = "v3rT0kenOfTheApp"
        self.encrypt_key = ""
        """Set it to encrypt and sign what the webhook gets."""
        self.webhook_url = ""
        """Set it to deliver by HTTP instead of the long connection."""
        self.header_case = "canonical"
        """Of the webhook's headers: ``canonical`` or ``lower``, as a proxy may make them."""

        # Limits. Those marked "unverified" have two readings in the documents; both can be set.
        self.api_limits: tuple[tuple[int, float], ...] = ((50, 1.0), (1000, 60.0))
        """Calls of each API in the tenant; () for none."""
        self.chat_limits: tuple[tuple[int, float], ...] = ((5, 1.0),)
        """Messages to one chat."""
        self.card_limits: tuple[tuple[int, float], ...] = ((10, 1.0),)
        """Operations on one card."""
        self.streaming_exempt = True
        """Unverified: one page says that streaming frees a card from ``card_limits``; False counts it all the same."""
        self.limited_status = 429
        """HTTP status of 99991400: 429 or 400, both are seen."""
        self.tables_most = 5
        """Tables in a card; unverified: reports say 3 to 6."""
        self.tables_in_one = 4
        """Tables in one markdown element."""
        self.table_code = 300305
        """Code of CardKit's own calls for too many tables; unverified: 300305 or 11310."""
        self.quota: int | None = None
        """Calls that are left this month; tokens cost nothing."""
        self.token_life = 7200
        """Seconds of a new tenant token."""
        self.at_all_allowed = True
        """False: the group's owner forbids ``<at id=all>``, and the whole card fails."""
        self.press_blocks = True
        """A card that waits for the answer to a press refuses changes (200810)."""

        self.people: dict[str, str] = {USER: "Ann"}
        """open_id -> name."""
        self.chats: dict[str, Chat] = {}
        self.messages: dict[str, Message] = {}
        self.threads: dict[str, str] = {}
        """thread_id -> message_id of its root."""
        self.cards: dict[str, Card] = {}
        self.files: dict[str, File] = {}
        """What the bot has uploaded."""
        self.uuids: dict[str, tuple[float, str]] = {}
        """uuid of a send -> (when, message_id)."""
        self.tokens: dict[str, float] = {}
        """tenant token -> when it ends."""
        self.windows: dict[str, Window] = {}
        """API or chat -> what was let through."""
        self.presses: dict[str, tuple[float, int, str]] = {}
        """token of an answered press -> (until when, uses left, message_id)."""

        self.calls: list[Call] = []
        self.acks: list[Ack] = []
        self.complaints: list[str] = []
        """What a client did against the protocol. Empty for a good one."""
        self.numbers = itertools.count(7_355_372_766_134_157_313)

    # ------------------------------------------------------------------ people and chats

    def person(self, open_id: str, name: str = "") -> str:
        """Make a person known to the tenant (or rename them); returns the open_id."""
        self.people[open_id] = name or self.people.get(open_id, f"User {open_id[3:9]}")
        return open_id

    def p2p(self, user: str = USER) -> str:
        """The chat_id of the private chat with a person."""
        for chat in self.chats.values():
            if chat.user == user:
                return chat.chat_id
        chat_id = new_id("oc_")
        self.person(user)
        self.chats[chat_id] = Chat(chat_id, "p2p", "", user=user)
        return chat_id

    def group(self, name: str = "Team", *, topics: bool = False, chat_id: str = "") -> str:
        """The chat_id of a new group with the bot in it; ``topics``: a topic group, all messages are in threads."""
        chat_id = chat_id or new_id("oc_")
        self.chats[chat_id] = Chat(chat_id, "topic" if topics else "group", name)
        return chat_id

    # ------------------------------------------------------------------ looking back

    def called(self, part: str = "", method: str = "") -> list[Call]:
        """The calls so far whose path holds ``part`` (``"/content"``, ``"/reply"``), in order."""
        return [call for call in self.calls if part in call.path and method in ("", call.method)]

    def dump(self) -> str:
        """What there is to see, as text, for the message of a failed test."""
        calls = (f"{call.method} {call.path} -> {call.status} {call.code}" for call in self.calls[-12:])
        return "\n".join(("last calls:", *calls, f"acks: {len(self.acks)}; complaints: {self.complaints}"))

    def spend(self, what: str, limits: tuple[tuple[int, float], ...]) -> float:
        """Count one use of ``what``; the seconds to wait where a limit is reached, else 0."""
        if not limits:
            return 0.0
        return self.windows.setdefault(what, Window()).spend(limits, self.clock.now())

    def new_number(self) -> str:
        """An id of digits, as cards have."""
        return str(next(self.numbers))
