"""What people see: the messages of a chat as plain values that tests compare.

Rules of this file: pure looking; a card shows its current JSON, whatever calls led there.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tests.fakes.feishu.cardtext import summary_of, words_of
from tests.fakes.feishu.content import read
from tests.fakes.feishu.state import State
from tests.fakes.feishu.things import Message


class Seen(msgspec.Struct, frozen=True):
    """One message on the screen of a chat."""

    message_id: str
    from_bot: bool
    kind: str
    """``text``, ``post``, ``interactive``, ``image`` …"""
    text: str
    """What a person reads; of a card its words in order, one line each element, Markdown as in the source with
    entities (``&lt;``) as the characters they stand for. Without labels of buttons, and without closed panels."""
    buttons: list[str] = []
    """Labels."""
    folded: str = ""
    """The words that closed panels hide."""
    fields: list[str] = []
    """Names of the fields that can be filled in."""
    options: list[str] = []
    """Labels of the choices of all menus."""
    images: list[str] = []
    """Keys, of image elements and in the text."""
    mentions: list[str] = []
    """open_ids that were notified by ``<at>``, and ``all``."""
    streaming: bool = False
    """Streaming mode is on, so that the client animates the text and shows "[生成中...]" in lists."""
    summary: str = ""
    """What lists of chats and notifications show of a card."""
    deleted: bool = False
    thread: str = ""
    reply_to: str = ""
    edits: int = 0
    reactions: list[str] = []
    """Emoji types of the bot."""
    card_id: str = ""
    file: str = ""
    """Key of the file or image that the message is."""

    def __repr__(self) -> str:
        who = "bot" if self.from_bot else "user"
        keys = "".join(f" [{label}]" for label in self.buttons)
        state = " (streaming)" * self.streaming + " (deleted)" * self.deleted
        text = self.text if len(self.text) <= 160 else f"{self.text[:90]} … {self.text[-50:]} ({len(self.text)} chars)"
        return f"{self.message_id[:9]} {who} {self.kind}{state}: {text!r}{keys}"


def seen_of(state: State, message: Message) -> Seen:
    """What one message shows now."""
    common: dict[str, Any] = {
        "message_id": message.message_id,
        "from_bot": not message.sender,
        "kind": message.msg_type,
        "deleted": message.deleted,
        "thread": message.thread_id,
        "reply_to": message.parent_id,
        "edits": message.edits,
        "reactions": [emoji for emoji, of_bot in message.reactions.values() if of_bot],
    }
    if message.deleted:
        return Seen(text="", **common)
    card = message.card
    if card is None:
        shown = read(message.msg_type, message.content, message.mentions)
        return Seen(text=shown.text, images=shown.images, mentions=shown.mentions, file=shown.file, **common)
    words = words_of(card.data)
    return Seen(
        text="\n".join(words.lines),
        folded="\n".join(words.folded),
        buttons=words.buttons,
        fields=words.fields,
        options=words.options,
        images=words.images,
        mentions=words.mentions,
        streaming=card.streams(state.clock.now()),
        summary=summary_of(card.data),
        card_id=card.card_id,
        **common,
    )
