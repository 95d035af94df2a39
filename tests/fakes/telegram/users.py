"""What people do with a bot: the acting half of the test's side of the fake Bot API.

Rules of this file:
- what a person does becomes an update as the platform words it; the test never writes one, except by ``push``;
- a message of a person stands on the screen whether or not privacy lets the bot have it;
- ``token`` everywhere: the bot meant, the first one by default.
"""

from __future__ import annotations

import itertools
import time
from typing import Any
from urllib.parse import urlsplit

from tests.fakes.telegram.chat import ANONYMOUS_ADMIN, CHANNEL_BOT, Chat, info_of
from tests.fakes.telegram.files import Upload, mime_of
from tests.fakes.telegram.items import AlbumItem, Item
from tests.fakes.telegram.params import quote_of
from tests.fakes.telegram.peers import Peers, person
from tests.fakes.telegram.rules import MAX_TEXT, Json, found, utf16
from tests.fakes.telegram.screen import buttons_of
from tests.fakes.telegram.state import Bot


class Users(Peers):
    """The chats, with people in them."""

    # -------------------------------------------------------------- messages

    def say(
        self,
        text: str,
        chat: int = 1,
        user: int | Json | None = None,
        token: str | None = None,
        thread: int | None = None,
        entities: list[Json] | None = None,
        reply_to: int | None = None,
        quote: str = "",
        as_chat: int | None = None,
        **extra: Any,
    ) -> Json:
        """A user sends a message; returns it. ``extra`` are further fields of the Message object (via_bot, …).

        In a private chat the user is the chat; in groups user 1 by default. Entities are found as the platform does,
        unless given. A message that privacy keeps from the bot is on the screen, but no update. ``quote`` is the part
        of the message ``reply_to`` that is replied to. ``as_chat`` writes as a chat: the group itself (an anonymous
        admin) or a channel. In a channel it is a post, and nobody's name is on it.
        """
        if utf16(text) > MAX_TEXT:
            raise ValueError("a client sends a text of more than 4096 UTF-16 units as several messages")
        known = self.open(chat, token)
        if known.moved_to:
            raise ValueError(f"nobody can write here: the group is {known.moved_to} now")
        body: Json = {
            "message_id": known.new_message_id(),
            **_author(known, user, as_chat),
            "chat": known.info,
            "date": int(time.time()),
        }
        if thread is not None:
            body |= self._in_topic(known, thread, token)
        if reply_to is not None:
            replied = known.messages[reply_to].body
            body |= known.reply(replied) | ({"quote": quote_of(replied, quote)} if quote else {})
        if text:
            body["text"] = text
            if marks := found(text) if entities is None else entities:
                body["entities"] = marks
        if marks := found(extra.get("caption", "")) if entities is None or text else entities:
            body["caption_entities"] = marks
        body |= extra
        known.store(body, from_bot=False)
        self._deliver(known, "channel_post" if known.kind == "channel" else "message", body, token)
        return body

    def send(self, item: Item, chat: int = 1, caption: str = "", token: str | None = None, **message: Any) -> Json:
        """A user sends a file, a place, a contact …; returns the message. ``message`` as in ``say``."""
        if utf16(caption) > 1024:
            raise ValueError("a client sends no caption of more than 1024 UTF-16 units")
        if caption:
            message["caption"] = caption
        return self.say("", chat, token=token, **message, **item.fields(self.bot(token).files))

    def album(
        self, items: list[AlbumItem], chat: int = 1, caption: str = "", token: str | None = None, **message: Any
    ) -> list[Json]:
        """A user sends two to ten files at once: a message each, one ``media_group_id``; the first has the caption."""
        if not 2 <= len(items) <= 10:
            raise ValueError("an album is two to ten files")
        bot = self.bot(token)
        bot.albums += 1
        group = str(13_000_000_000_000_000 + bot.albums)
        return [
            self.send(item, chat, "" if at else caption, token, media_group_id=group, **message)
            for at, item in enumerate(items)
        ]

    def edit(self, chat: int, message_id: int, text: str, token: str | None = None) -> Json:
        """A user edits the text (or the caption) of a message of theirs: an edited_message, or edited_channel_post."""
        known = self.bot(token).chats[chat]
        stored = known.messages[message_id]
        field, marked = ("text", "entities") if "text" in stored.body else ("caption", "caption_entities")
        stored.body |= {field: text, "edit_date": int(time.time())}
        stored.body.pop(marked, None)
        if marks := found(text):
            stored.body[marked] = marks
        stored.edits += 1
        kind = "edited_channel_post" if known.kind == "channel" else "edited_message"
        self._deliver(known, kind, stored.body, token)
        return stored.body

    def _in_topic(self, known: Chat, thread: int, token: str | None) -> Json:
        """The fields of a message in a topic; there are none in the General one."""
        self.topic(known.info["id"], thread, token=token)
        if thread not in known.topics:
            return {}
        fields: Json = {"message_thread_id": thread, "is_topic_message": True}
        return fields if known.kind == "private" else {**fields, "reply_to_message": known.topics[thread]}

    def _deliver(self, known: Chat, kind: str, body: Json, token: str | None) -> None:
        bot = self.bot(token)
        if known.kind in ("private", "channel") or not bot.privacy or _meant(body, bot):
            self.push({kind: body}, token)
        else:
            self.changed()

    # -------------------------------------------------------------- files

    def file(self, data: bytes, path: str = "", token: str | None = None) -> str:
        """Put a file on the server; its file_id, for a field of a message in ``say`` or for a call of the bot."""
        return str(self.bot(token).files.keep("", data, path=path)["file_id"])

    def page(self, url: str, data: bytes, mime: str = "") -> None:
        """What the platform finds at an address that the bot sends as a file."""
        name = urlsplit(url).path.rpartition("/")[2]
        self.pages[url] = Upload(data, name, mime or mime_of(name))

    # -------------------------------------------------------------- presses and reactions

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
            "from": person(user, chat),
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
        who = person(user, chat)
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


def _author(known: Chat, user: int | Json | None, as_chat: int | None) -> Json:
    """Who a message is from, as the fields of it."""
    chat = int(known.info["id"])
    if known.kind == "channel":
        return {"sender_chat": known.info}
    if as_chat is None:
        return {"from": person(user, chat)}
    if as_chat == chat:
        return {"from": ANONYMOUS_ADMIN, "sender_chat": known.info}
    return {"from": CHANNEL_BOT, "sender_chat": info_of(as_chat, "channel")}


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
