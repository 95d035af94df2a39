"""What a test does: people write, the phone logs in and out, and the next sends go wrong.

Rules of this file:
- nothing here looks at what the bot does; each act is one call, and the bot is told of it at once.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Literal

from tests.fakes.wechat import boxes
from tests.fakes.wechat.things import (
    DIRTY,
    IMAGE,
    LOGIN,
    ME,
    MESSAGE,
    READY,
    ROOM,
    ROOM_MEMBER,
    TEXT,
    URL_LINK,
    File,
    Link,
    Room,
    Said,
    new_id,
)
from tests.fakes.wechat.world import World


class People(World):
    """The acting half of the fake gateway."""

    # ------------------------------------------------------------------ people

    def person(self, contact_id: str, name: str = "") -> str:
        """Make a contact known (or rename it); returns its id."""
        known = self.memory.people.get(contact_id, contact_id.capitalize())
        self.memory.people[contact_id] = name or known
        return contact_id

    def room(self, room_id: str = ROOM, topic: str = "", members: Sequence[str] = ()) -> str:
        """Make a room known, with the bot in it; returns its id."""
        room = self.memory.rooms.setdefault(room_id, Room(topic or room_id, [ME]))
        room.members.extend(self.person(who) for who in members if who not in room.members)
        return room_id

    def alias(self, name: str, *, room: str = ROOM, contact: str = ME) -> None:
        """Name a contact otherwise in a room."""
        self.memory.aliases[room, contact] = name
        self.emit(DIRTY, payloadId=room, payloadType=ROOM_MEMBER)

    def say(
        self,
        text: str,
        *,
        sender: str = "alice",
        room: str = "",
        mentions: Sequence[str] = (),
        kind: int = TEXT,
        id: str | None = None,
        at: float | None = None,
    ) -> str:
        """Somebody writes to the bot, or into a room. ``kind``: the message type; ``at``: Unix seconds.

        Returns the message id. Sender and room are made when they are not there yet.
        """
        self.person(sender)
        place = self.room(room, members=[sender]) if room else ME
        said = Said(place, sender, text, tuple(mentions), kind, id or new_id(), time.time() if at is None else at)
        return self.add(said)

    def say_file(
        self,
        name: str,
        data: bytes,
        *,
        sender: str = "alice",
        room: str = "",
        kind: int = IMAGE,
        box: boxes.Kind = "base64",
        url: str = "",
    ) -> str:
        """Somebody sends a file. ``box``: how the puppet has it; a base64 of more than 20 KB goes by UUID all the same.

        Returns the message id.
        """
        message_id = new_id()
        self.memory.files[message_id] = File(name, data, box, url)
        return self.say("", sender=sender, room=room, kind=kind, id=message_id)

    def say_link(self, title: str, url: str, description: str = "", *, sender: str = "alice", room: str = "") -> str:
        """Somebody shares a page. Returns the message id."""
        message_id = new_id()
        self.memory.links[message_id] = Link(title, url, description)
        return self.say("", sender=sender, room=room, kind=URL_LINK, id=message_id)

    def resend(self, message_id: str) -> None:
        """The bot is told of a message once more."""
        self.emit(MESSAGE, messageId=message_id)

    # ------------------------------------------------------------------ the phone

    def login(self) -> None:
        """The phone has confirmed."""
        assert not self.logged_in, "must logout first before login again!"
        self.logged_in = self.running = True
        self.scanned = None
        self.emit(LOGIN, contactId=ME)
        self.emit(READY, data="ready")

    # ------------------------------------------------------------------ faults

    def fail(self, times: int, message: str = "puppet failed") -> None:
        """The next ``times`` sends throw in the puppet."""
        self.faults.failures, self.faults.message = times, message

    def fault(self, kind: Literal["drop_before", "drop_after"]) -> None:
        """The connections die at the next send: before it has happened, or after, so that nobody hears of it."""
        self.faults.cut = kind
