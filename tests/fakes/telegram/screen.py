"""What one message looks like to a person: the plain values that tests compare.

Rules of this file: pure; it reads Message objects as the Bot API words them and changes nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import msgspec

from tests.fakes.telegram.rules import Json
from tests.fakes.telegram.state import Stored


class Seen(msgspec.Struct, frozen=True):
    """One message on the screen of a chat."""

    message_id: int
    text: str
    """The text, or the caption."""
    entities: list[Json]
    buttons: list[list[tuple[str, str]]]
    """Rows of (label, data); the address or the copied text for other buttons."""
    from_bot: bool
    reply_to: int | None
    thread: int | None
    edits: int
    reaction: str
    """The bot's emoji on it."""

    def button(self, label: str) -> str:
        """The data of the first button whose label contains ``label``."""
        for text, data in itertools.chain.from_iterable(self.buttons):
            if label in text:
                return data
        raise LookupError(f"no button {label!r} on {self}")


def buttons_of(body: Json) -> Iterator[list[tuple[str, str]]]:
    """The rows of the inline keyboard under a message."""
    for row in body.get("reply_markup", {}).get("inline_keyboard", ()):
        yield [(button["text"], _data(button)) for button in row]


def _data(button: Json) -> str:
    if "copy_text" in button:
        return str(button["copy_text"]["text"])
    return str(button.get("callback_data", button.get("url", "")))


def seen_of(stored: Stored) -> Seen:
    """What a message shows now."""
    body = stored.body
    return Seen(
        message_id=body["message_id"],
        text=body.get("text") or body.get("caption", ""),
        entities=body.get("entities") or body.get("caption_entities", []),
        buttons=list(buttons_of(body)),
        from_bot=stored.from_bot,
        reply_to=body.get("reply_to_message", {}).get("message_id"),
        thread=body.get("message_thread_id"),
        edits=stored.edits,
        reaction=stored.reaction,
    )


def short(text: str) -> str:
    """A text for a report, without its middle when long."""
    return repr(text if len(text) <= 120 else f"{text[:60]} … {text[-50:]} ({len(text)} characters)")
