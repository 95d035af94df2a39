"""What people see of a bot, and what a test may know of its calls: the looking half of the test's side.

Rules of this file:
- ``screen``, ``drafts`` and ``typing`` show what a client shows now, whatever calls led there;
- nothing is changed by looking; ``token`` everywhere: the bot meant, the first one by default.
"""

from __future__ import annotations

import itertools

from tests.fakes.telegram.chat import Draft
from tests.fakes.telegram.rules import Json
from tests.fakes.telegram.screen import Seen, seen_of, short
from tests.fakes.telegram.state import CallbackAnswer, State


class Watch(State):
    """The state, looked at."""

    def screen(self, chat: int = 1, token: str | None = None) -> list[Seen]:
        """The messages of a chat in order; deleted ones are absent."""
        known = self.bot(token).chats.get(chat)
        files = self.bot(token).files
        return [seen_of(known.messages[key], files) for key in sorted(known.messages)] if known else []

    def drafts(self, chat: int = 1, token: str | None = None) -> list[Draft]:
        """The drafts that are still shown."""
        known = self.bot(token).chats.get(chat)
        now = self.clock()
        return [draft for draft in known.drafts.values() if draft.until > now] if known else []

    def typing(self, chat: int = 1, thread: int | None = None, token: str | None = None) -> str:
        """The action shown under the bot's name (``typing``), or an empty string."""
        known = self.bot(token).chats.get(chat)
        action, until = known.typing.get(thread or 0, ("", 0.0)) if known else ("", 0.0)
        return action if until > self.clock() else ""

    def unconfirmed(self, token: str | None = None) -> int:
        """How many updates the bot has not confirmed yet."""
        return len(self.bot(token).updates)

    def polling(self, token: str | None = None) -> bool:
        """Is the bot waiting in a long poll right now?"""
        return self.bot(token).polling

    def answers(self, token: str | None = None) -> list[CallbackAnswer]:
        """The answers to presses, oldest first."""
        return self.bot(token).answers

    def commands(self, language: str = "", scope: str = "default", token: str | None = None) -> list[Json]:
        """The menu set by setMyCommands."""
        return self.bot(token).commands.get((scope, language), [])

    def dump(self, chat: int | None = None, token: str | None = None) -> str:
        """Screens (of the first twenty chats), drafts and calls as text, for the message of a failed test."""
        bot = self.bot(token)
        lines: list[str] = []
        for chat_id in itertools.islice(bot.chats, 20) if chat is None else (chat,):
            lines.append(f"chat {chat_id}:")
            lines.extend(f"  {seen!r}" for seen in self.screen(chat_id, token))
            lines.extend(f"  draft {draft.draft_id}: {short(draft.text)}" for draft in self.drafts(chat_id, token))
            if action := self.typing(chat_id, token=token):
                lines.append(f"  {action} …")
        lines.append(f"unconfirmed updates: {len(bot.updates)}; calls: {dict(self.counts)}")
        lines.append("last calls: " + ", ".join(f"{call.method} {call.status}" for call in list(self.history)[-10:]))
        return "\n".join(lines)
