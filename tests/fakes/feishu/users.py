"""What people do with the bot, in chats: the acting half of the test's side.

Rules of this file:
- what a person does becomes an event as the platform words it; the test never writes one, except by ``push``;
- a message stands on the screen whether or not the app's permissions let the bot have it;
- ``chat`` everywhere is a chat_id, an unknown one becomes a group; without it, the private chat with ``user``.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tests.fakes.feishu import events
from tests.fakes.feishu.delivery import Deliverer
from tests.fakes.feishu.messages import shown, text_content
from tests.fakes.feishu.rules import Json, new_id
from tests.fakes.feishu.screen import Seen, seen_of
from tests.fakes.feishu.state import USER
from tests.fakes.feishu.things import Chat, File, Message, Reply

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b550000000a49444154789c63f80f000101"
    "0100b138f6140000000049454e44ae426082"
)
"""A PNG of one pixel."""


class Users(Deliverer):
    """The people of the tenant."""

    # ------------------------------------------------------------------ messages

    def say(self, text: str, chat: str = "", user: str = USER, *, mention: bool = False, **more: Any) -> Reply:
        """A person writes a text; ``mention`` puts ``@bot`` before it. ``more`` as in ``push_message``.

        In a group a text without the mention reaches only apps with the permission ``im:message.group_msg``.
        """
        mentions = [events.mention(1, self.open_id, self.app_name, bot=True)] if mention else []
        words = f"{mentions[0]['key']} {text}" if mention else text
        more.setdefault("mentions", mentions)
        return self.push_message("text", text_content(words), chat, user, **more)

    def push_message(
        self,
        message_type: str,
        content: str | Json,
        chat: str = "",
        user: str = USER,
        *,
        mentions: list[Json] | None = None,
        thread: str = "",
        parent: str = "",
        files: dict[str, File] | None = None,
        children: list[Json] | None = None,
        message_id: str = "",
        event_id: str = "",
        create_time: float = 0.0,
        parts: int = 1,
        connection: int = 0,
    ) -> Reply:
        """A person sends a message of any type; ``content`` as the platform's JSON (string or object).

        ``thread``: id of a thread (an unknown one begins with this message); ``parent``: message_id that is replied to;
        ``files``: what is behind the keys in the content; ``children``: items of a merge_forward (see ``item``);
        ``message_id`` and ``event_id``: to say the same thing twice; ``create_time``: seconds, now by default;
        ``parts``, ``connection``: see ``push``.
        """
        place = self._place(chat, user)
        self.person(user)
        text = content if isinstance(content, str) else msgspec.json.encode(content).decode()
        message = Message(message_id or new_id("om_"), place.chat_id, message_type, text, user, self.clock.now())
        message.created = create_time or self.clock.now()
        message.mentions, message.files, message.children = mentions or [], files or {}, children or []
        self._thread_of(message, place, thread, parent)
        self.messages.setdefault(message.message_id, message)
        self.changed()
        event_id = event_id or new_id("")
        if self._reaches(place, message):
            event = {"sender": events.sender(user), "message": self._event_of(message, place)}
            self.push(events.MESSAGE, event, event_id=event_id, parts=parts, connection=connection)
        return Reply(message.message_id, place.chat_id, event_id, message.thread_id)

    def send_image(self, data: bytes = PIXEL, chat: str = "", user: str = USER, **more: Any) -> Reply:
        """A person sends a picture. ``more`` as in ``push_message``."""
        key = new_id("img_v3_")
        return self.push_message("image", {"image_key": key}, chat, user, files={key: File("image", data)}, **more)

    def send_file(
        self, data: bytes, name: str = "a.txt", chat: str = "", user: str = USER, *, kind: str = "file", **more: Any
    ) -> Reply:
        """A person sends a file; ``kind`` is ``file``, ``audio``, ``media`` (a video) or ``sticker``."""
        key = new_id("file_v3_")
        content: Json = {"file_key": key}
        if kind in ("file", "media"):
            content["file_name"] = name
        if kind in ("audio", "media"):
            content["duration"] = 2000
        files = {key: File("file", data, name)}
        if kind == "media":
            content["image_key"] = new_id("img_v3_")
            files[content["image_key"]] = File("image", PIXEL)
        return self.push_message(kind, content, chat, user, files=files, **more)

    def item(self, message_type: str, content: str | Json, user: str = USER) -> Json:
        """A message inside a merged forward, as GET gives it after the forward itself."""
        text = content if isinstance(content, str) else msgspec.json.encode(content).decode()
        message = Message(new_id("om_"), self.p2p(user), message_type, text, user, self.clock.now())
        return shown(self, message)

    def forward(self, items: list[Json], chat: str = "", user: str = USER, **more: Any) -> Reply:
        """A person sends merged messages (of ``item``): the event says only that there are some."""
        message_id = more.pop("message_id", "") or new_id("om_")
        children = [{**item, "upper_message_id": message_id} for item in items]
        words = "Merged and Forwarded Message"
        return self.push_message("merge_forward", words, chat, user, children=children, message_id=message_id, **more)

    def recall(self, message_id: str) -> str:
        """A person withdraws a message; returns the event_id."""
        message = self.messages[message_id]
        message.deleted = True
        self.changed()
        return self.push(events.RECALLED, events.recalled(message_id, message.chat_id, self.clock.now()))

    def react(self, message_id: str, emoji: str = "THUMBSUP", user: str = USER) -> str:
        """A person reacts to a message; returns the event_id."""
        self.messages[message_id].reactions[new_id("")] = (emoji, False)
        self.changed()
        return self.push(events.REACTED, events.reacted(message_id, emoji, self.clock.now(), user=user, app_id=""))

    def read_messages(self, message_ids: list[str], user: str = USER) -> str:
        """A person has read messages of the bot; returns the event_id."""
        return self.push(events.READ, events.read(message_ids, user, self.clock.now()))

    # ------------------------------------------------------------------ comings and goings

    def add_bot(self, chat: str, name: str = "Team", user: str = USER) -> str:
        """Somebody adds the bot to a group (made if unknown); returns the event_id."""
        place = self.chats.get(chat) or self.chats[self.group(name, chat_id=chat)]
        place.member = True
        return self.push(events.ADDED, events.membership(chat, place.name, user))

    def remove_bot(self, chat: str, user: str = USER) -> str:
        """Somebody removes the bot from a group; returns the event_id."""
        self.chats[chat].member = False
        return self.push(events.REMOVED, events.membership(chat, self.chats[chat].name, user))

    def enter(self, user: str = USER) -> str:
        """A person opens the private chat with the bot; returns the event_id."""
        place = self.chats[self.p2p(user)]
        last = [message.message_id for message in self.messages.values() if message.chat_id == place.chat_id][-1:]
        known = last[0] if last and place.entered else ""
        place.entered = True
        return self.push(events.ENTERED, events.entered(place.chat_id, user, known, self.clock.now()))

    # ------------------------------------------------------------------ what they see

    def screen(self, chat: str = "", user: str = USER) -> list[Seen]:
        """The messages of a chat in order, by default the private chat with ``user``; withdrawn ones too."""
        chat_id = chat or self.p2p(user)
        return [seen_of(self, message) for message in self.messages.values() if message.chat_id == chat_id]

    def answers(self, chat: str = "", user: str = USER) -> list[Seen]:
        """What the bot has on the screen of a chat, without what was withdrawn."""
        return [seen for seen in self.screen(chat, user) if seen.from_bot and not seen.deleted]

    def dump(self) -> str:
        lines = [f"{chat.kind} {chat_id}:\n" + "\n".join(f"  {seen!r}" for seen in self.screen(chat_id))
                 for chat_id, chat in list(self.chats.items())[:20]]  # fmt: skip
        return "\n".join((*lines, f"unacked: {self.unacked}", super().dump()))

    # ------------------------------------------------------------------ inside

    def _place(self, chat: str, user: str) -> Chat:
        chat_id = chat or self.p2p(user)
        return self.chats.get(chat_id) or self.chats[self.group(chat_id=chat_id)]

    def _thread_of(self, message: Message, place: Chat, thread: str, parent: str) -> None:
        if parent:
            replied = self.messages[parent]
            message.parent_id, message.root_id = parent, replied.root_id or parent
            thread = thread or replied.thread_id
        if not thread and place.kind == "topic":
            thread = new_id("omt_")
        if not thread:
            return
        message.thread_id = thread
        root = self.threads.setdefault(thread, message.message_id)
        if root != message.message_id and not parent:
            message.parent_id = message.root_id = root

    def _reaches(self, place: Chat, message: Message) -> bool:
        """May the app have this message? The bot is there, and the permission for this kind of message is given."""
        if place.kind == "p2p":
            return "im:message.p2p_msg:readonly" in self.scopes
        asked = any(one["id"]["open_id"] == self.open_id for one in message.mentions)
        one_of = {"im:message.group_msg"} | ({"im:message.group_at_msg:readonly"} if asked else set())
        return place.member and bool(self.scopes & one_of)

    def _event_of(self, message: Message, place: Chat) -> Json:
        """The message in its event; absent ids are absent."""
        body: Json = {
            "message_id": message.message_id,
            "root_id": message.root_id,
            "parent_id": message.parent_id,
            "create_time": events.millis(message.created),
            "update_time": events.millis(message.created),
            "chat_id": place.chat_id,
            "thread_id": message.thread_id,
            "chat_type": "p2p" if place.kind == "p2p" else "group",
            "message_type": message.msg_type,
            "content": message.content,
            "mentions": message.mentions,
        }
        return {name: value for name, value in body.items() if value not in ("", [])}
