"""Chats and who is in them: topics, memberships, linked channels, groups that become supergroups.

Rules of this file:
- what happens to a chat becomes updates as the platform words them, in the platform's order;
- ``token`` everywhere: the bot meant, the first one by default.

Source: Bot API 10, objects Message (service messages), ChatMemberUpdated, MessageOriginChannel.
"""

from __future__ import annotations

import time
from typing import Any

from tests.fakes.telegram.chat import ANONYMOUS_ADMIN, GENERAL_TOPIC, TELEGRAM, Chat, Status, info_of, user_of
from tests.fakes.telegram.rules import Json, found
from tests.fakes.telegram.watch import Watch

RIGHTS = (
    "can_be_edited can_manage_chat can_delete_messages can_manage_video_chats can_restrict_members can_promote_members "
    "can_change_info can_invite_users can_post_stories can_edit_stories can_delete_stories"
)


class Peers(Watch):
    """The chats that a bot meets."""

    def topic(
        self, chat: int, thread: int, name: str = "Topic", by_bot: bool = False, token: str | None = None
    ) -> None:
        """Open a forum topic. In groups its first message is what every message in it that is no reply replies to.

        Thread 1 of a group makes it a forum with its General topic only: messages there carry no thread.
        """
        bot, known = self.bot(token), self.open(chat, token)
        if chat < 0:
            known.info["is_forum"] = True
        if chat < 0 and thread == GENERAL_TOPIC:
            return
        known.topics.setdefault(
            thread,
            {
                "message_id": thread,
                "from": bot.user if by_bot else person(None, chat),
                "chat": known.info,
                "date": int(time.time()),
                "message_thread_id": thread,
                "is_topic_message": True,
                "forum_topic_created": {"name": name, "icon_color": 7322096},
            },
        )

    # -------------------------------------------------------------- who is in them

    def block(self, chat: int, blocked: bool = True, token: str | None = None) -> None:
        """The user blocks the bot (or the group throws it out): a my_chat_member update, and 403 from now on."""
        self._become(self.open(chat, token), "kicked" if blocked else "member", person(None, chat), token)

    def member(
        self, chat: int, status: Status, user: int | Json | None = None, token: str | None = None, **info: Any
    ) -> None:
        """A user adds the bot to a chat, promotes it or throws it out: a my_chat_member update.

        A chat that the bot has not met was "left"; ``info`` as in ``open``. A group that it is added to says so in a
        service message too.
        """
        met = chat in self.bot(token).chats
        known = self.open(chat, token, **info)
        if not met:
            known.status = "left"
        outside = known.blocked
        self._become(known, status, person(user, chat), token)
        if outside and not known.blocked and known.kind in ("group", "supergroup"):
            self.joined(chat, self.bot(token).user, user=user, token=token)

    def _become(self, known: Chat, status: Status, by: Json, token: str | None) -> None:
        user = self.bot(token).user
        change = {
            "chat": known.info,
            "from": by,
            "date": int(time.time()),
            "old_chat_member": _membership(known.status, user),
            "new_chat_member": _membership(status, user),
        }
        known.status = status
        self.push({"my_chat_member": change}, token)

    def joined(
        self, chat: int, member: int | Json = 2, user: int | Json | None = None, token: str | None = None
    ) -> Json:
        """Somebody comes into a group, added by ``user``; the service message."""
        members = [person(member, chat)]
        return self._service(self.open(chat, token), token, {"new_chat_members": members}, person(user, chat))

    # -------------------------------------------------------------- what becomes of them

    def migrate(self, chat: int, token: str | None = None) -> int:
        """A basic group becomes a supergroup; its new id. The two service messages come, the old messages do not."""
        old = self.bot(token).chats[chat]
        if old.kind != "group":
            raise ValueError(f"only a basic group is upgraded: open({chat}, type='group')")
        new = self.open(-1_001_000_000_000 + chat, token, title=old.info["title"])
        old.moved_to = int(new.info["id"])
        self._service(old, token, {"migrate_to_chat_id": old.moved_to}, person(None, chat))
        self._service(new, token, {"migrate_from_chat_id": chat}, ANONYMOUS_ADMIN, new.info)
        return old.moved_to

    def linked_post(self, text: str, group: int, channel: int, signature: str = "", token: str | None = None) -> Json:
        """The linked channel posts: the automatic forward in the discussion group, whose replies are the comments.

        The post itself is ``say`` in the channel; the bot gets it only when it is there too.
        """
        known, origin = self.open(group, token), info_of(channel, "channel")
        forward: Json = {"type": "channel", "chat": origin, "message_id": 1, "date": int(time.time())}
        content: Json = {"forward_origin": forward, "is_automatic_forward": True, "text": text}
        if signature:
            content["author_signature"] = forward["author_signature"] = signature
        if marks := found(text):
            content["entities"] = marks
        return self._service(known, token, content, TELEGRAM, origin)

    def _service(self, known: Chat, token: str | None, content: Json, sender: Json, as_chat: Any = None) -> Json:
        """A message that the platform writes by itself; privacy does not hold it back."""
        body: Json = {"message_id": known.new_message_id(), "from": sender}
        if as_chat:
            body["sender_chat"] = as_chat
        body |= {"chat": known.info, "date": int(time.time()), **content}
        known.store(body, from_bot=False)
        self.push({"message": body}, token)
        return body


def _membership(status: Status, user: Json) -> Json:
    """A ChatMember object."""
    member: Json = {"status": status, "user": user}
    match status:
        case "kicked":
            member["until_date"] = 0
        case "administrator":
            member |= dict.fromkeys(RIGHTS.split(), True) | {"is_anonymous": False}
    return member


def person(user: int | Json | None, chat: int) -> Json:
    """Who acts: in a private chat the user is the chat, in groups user 1 by default."""
    return user if isinstance(user, dict) else user_of(user or max(chat, 1))
