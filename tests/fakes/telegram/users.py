"""What people do with a bot, and what they see: the test's side of the fake Bot API.

Rules of this file:
- what a person does becomes an update as the platform words it; the test never writes one, except by ``push``;
- ``screen``, ``drafts`` and ``typing`` show what a client shows now, whatever calls led there;
- ``token`` everywhere: the bot meant, the first one by default.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from typing import Any, TypeVar

from tests.fakes.telegram.rules import MAX_TEXT, Json, found, utf16
from tests.fakes.telegram.screen import Seen, buttons_of, seen_of, short
from tests.fakes.telegram.state import Bot, CallbackAnswer, Draft, State, quoted, user_of

T = TypeVar("T")


class Users(State):
    """The state, with people in it."""

    # -------------------------------------------------------------- what people do

    def topic(
        self, chat: int, thread: int, name: str = "Topic", by_bot: bool = False, token: str | None = None
    ) -> None:
        """Open a forum topic. In groups its first message is what every message in it that is no reply replies to."""
        bot, known = self.bot(token), self.open(chat, token)
        if chat < 0:
            known.info["is_forum"] = True
        known.topics.setdefault(
            thread,
            {
                "message_id": thread,
                "from": bot.user if by_bot else _who(None, chat),
                "chat": known.info,
                "date": int(time.time()),
                "message_thread_id": thread,
                "is_topic_message": True,
                "forum_topic_created": {"name": name, "icon_color": 7322096},
            },
        )

    def block(self, chat: int, blocked: bool = True, token: str | None = None) -> None:
        """The user blocks the bot (or the group throws it out): a my_chat_member update, and 403 from now on."""
        bot, known = self.bot(token), self.open(chat, token)
        known.blocked = blocked
        inside: Json = {"status": "member", "user": bot.user}
        outside: Json = {"status": "kicked", "user": bot.user, "until_date": 0}
        change = {
            "chat": known.info,
            "from": _who(None, chat),
            "date": int(time.time()),
            "old_chat_member": inside if blocked else outside,
            "new_chat_member": outside if blocked else inside,
        }
        self.push({"my_chat_member": change}, token)

    def file(self, data: bytes, path: str = "", token: str | None = None) -> str:
        """Put a file on the server; the file_id is for a photo, document or voice in ``say``."""
        files = self.bot(token).files
        file_id = f"file{len(files) + 1}"
        files[file_id] = (path or f"documents/{file_id}.bin", data)
        return file_id

    def say(
        self,
        text: str,
        chat: int = 1,
        user: int | Json | None = None,
        token: str | None = None,
        thread: int | None = None,
        entities: list[Json] | None = None,
        reply_to: int | None = None,
        **extra: Any,
    ) -> Json:
        """A user sends a message; returns it. ``extra`` are further fields of the Message object (photo, caption, …).

        In a private chat the user is the chat; in groups user 1 by default. Entities are found as the platform does,
        unless given. A message that privacy keeps from the bot is on the screen, but no update.
        """
        if utf16(text) > MAX_TEXT:
            raise ValueError("a client sends a text of more than 4096 UTF-16 units as several messages")
        bot, known = self.bot(token), self.open(chat, token)
        body: Json = {
            "message_id": known.new_message_id(),
            "from": _who(user, chat),
            "chat": known.info,
            "date": int(time.time()),
        }
        if thread is not None:
            self.topic(chat, thread, token=token)
            body |= {"message_thread_id": thread, "is_topic_message": True}
            if chat < 0:
                body["reply_to_message"] = known.topics[thread]
        if reply_to is not None:
            body["reply_to_message"] = quoted(known.messages[reply_to].body)
        if text:
            body["text"] = text
            if marks := found(text) if entities is None else entities:
                body["entities"] = marks
        if marks := found(extra.get("caption", "")):
            body["caption_entities"] = marks
        body |= extra
        known.store(body, from_bot=False)
        if chat > 0 or not bot.privacy or _meant(body, bot):
            self.push({"message": body}, token)
        else:
            self.changed()
        return body

    def edit(self, chat: int, message_id: int, text: str, token: str | None = None) -> Json:
        """A user edits a message of theirs: an edited_message update."""
        stored = self.bot(token).chats[chat].messages[message_id]
        stored.body |= {"text": text, "edit_date": int(time.time())}
        stored.body.pop("entities", None)
        if marks := found(text):
            stored.body["entities"] = marks
        stored.edits += 1
        self.push({"edited_message": stored.body}, token)
        return stored.body

    def press(
        self,
        chat: int,
        message_id: int,
        data: str,
        user: int | Json | None = None,
        token: str | None = None,
        stale: bool = False,
    ) -> Json:
        """A user presses a button; returns the callback query. ``stale``: the client still shows an old keyboard."""
        bot = self.bot(token)
        known = bot.chats[chat]
        stored = known.messages.get(message_id)
        shown = {key for row in buttons_of(stored.body) for _, key in row} if stored else set()
        if data not in shown and not stale:
            raise LookupError(f"no button {data!r} on message {message_id}\n{self.dump(chat, token)}")
        query: Json = {
            "id": str(4_000_000_000 + len(bot.queries)),
            "from": _who(user, chat),
            "message": stored.body if stored else {"message_id": message_id, "chat": known.info, "date": 0},
            "chat_instance": str(-chat),
            "data": data,
        }
        bot.queries.add(query["id"])
        self.push({"callback_query": query}, token)
        return query

    def react(
        self, chat: int, message_id: int, emoji: str, user: int | Json | None = None, token: str | None = None
    ) -> int:
        """A user puts an emoji on a message (empty: takes it off); 0 when the bot has not asked for reactions."""
        who = _who(user, chat)
        known = self.bot(token).chats[chat]
        reactions = known.messages[message_id].user_reactions
        before, reactions[who["id"]] = reactions.get(who["id"], ""), emoji
        change = {
            "chat": known.info,
            "message_id": message_id,
            "user": who,
            "date": int(time.time()),
            "old_reaction": [{"type": "emoji", "emoji": before}] if before else [],
            "new_reaction": [{"type": "emoji", "emoji": emoji}] if emoji else [],
        }
        return self.push({"message_reaction": change}, token)

    def stop_draft(self, chat: int, thread: int | None = None, token: str | None = None) -> int:
        """A user presses the native stop button of a draft."""
        known = self.bot(token).chats[chat]
        draft = next((draft for draft in self.drafts(chat, token) if draft.thread == thread), None)
        if draft is None or not draft.can_stop:
            raise LookupError(f"no draft that can be stopped\n{self.dump(chat, token)}")
        if not draft.keep_on_stop:
            del known.drafts[thread or 0]
        change: Json = {"chat": known.info, "draft_id": draft.draft_id}
        if thread:
            change["message_thread_id"] = thread
        return self.push({"stopped_message_generation": change}, token)

    # -------------------------------------------------------------- what people see

    def screen(self, chat: int = 1, token: str | None = None) -> list[Seen]:
        """The messages of a chat in order; deleted ones are absent."""
        known = self.bot(token).chats.get(chat)
        return [seen_of(known.messages[key]) for key in sorted(known.messages)] if known else []

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
            for seen in self.screen(chat_id, token):
                who = f"bot, {seen.edits} edits" if seen.from_bot else "user"
                keys = "".join(f" [{label} -> {data}]" for row in seen.buttons for label, data in row)
                lines.append(f"  #{seen.message_id} {who}: {short(seen.text)}{keys}")
            lines.extend(f"  draft {draft.draft_id}: {short(draft.text)}" for draft in self.drafts(chat_id, token))
            if action := self.typing(chat_id, token=token):
                lines.append(f"  {action} …")
        lines.append(f"unconfirmed updates: {len(bot.updates)}; calls: {dict(self.counts)}")
        lines.append("last calls: " + ", ".join(f"{call.method} {call.status}" for call in list(self.history)[-10:]))
        return "\n".join(lines)

    async def until(self, predicate: Callable[[], T], timeout: float = 10.0) -> T:
        """Wait until ``predicate()`` is true after some change, and return its value.

        Raises TimeoutError with a dump of the screens after ``timeout`` seconds.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout
        while not (value := predicate()):
            future = loop.create_future()
            self._waiting.append(future)
            try:
                await asyncio.wait_for(future, end - loop.time())
            except TimeoutError:
                screens = "\n".join(self.dump(token=token) for token in self.bots)
                raise TimeoutError(f"not within {timeout:g} s:\n{screens}") from None
        return value


def _who(user: int | Json | None, chat: int) -> Json:
    """Who acts: in a private chat the user is the chat, in groups user 1 by default."""
    return user if isinstance(user, dict) else user_of(user or max(chat, 1))


def _meant(body: Json, bot: Bot) -> bool:
    """Does privacy let this message of a group through to the bot?"""
    if body.get("reply_to_message", {}).get("from", {}).get("id") == bot.id:
        return True
    text: str = body.get("text") or body.get("caption", "")
    data = text.encode("utf-16-le")
    name = "@" + bot.user["username"].lower()
    for mark in itertools.chain(body.get("entities", ()), body.get("caption_entities", ())):
        word = data[2 * mark["offset"] : 2 * (mark["offset"] + mark["length"])].decode("utf-16-le").lower()
        command = mark["type"] == "bot_command" and ("@" not in word or word.endswith(name))
        if command or word == name or mark.get("user", {}).get("id") == bot.id:
            return True
    return False
