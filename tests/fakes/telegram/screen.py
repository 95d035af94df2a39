"""What one message looks like to a person: the plain values that tests compare.

Rules of this file: pure; it reads Message objects as the Bot API words them and changes nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import msgspec

from tests.fakes.telegram.chat import Stored
from tests.fakes.telegram.files import Files
from tests.fakes.telegram.rules import Json

MEDIA = (
    "photo",
    "animation",
    "document",
    "video",
    "audio",
    "voice",
    "video_note",
    "sticker",
    "location",
    "contact",
    "poll",
    "dice",
)
"""What a message may carry beside text; an animation before the document that comes with it."""


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
    media: str = ""
    """What it carries: a field of Message such as ``photo`` or ``location``; empty for text and service messages."""
    file_name: str = ""
    data: bytes = b""
    """The bytes of the file; of a photo those of the largest size."""

    def __repr__(self) -> str:
        file = f", {self.media} {self.file_name!r} of {len(self.data)} bytes" if self.media else ""
        place = f", reply to {self.reply_to}" * bool(self.reply_to) + f", thread {self.thread}" * bool(self.thread)
        who = f"bot, {self.edits} edits" if self.from_bot else "user"
        keys = "".join(f" [{label} -> {data}]" for row in self.buttons for label, data in row)
        return f"#{self.message_id} {who}{place}{file}: {short(self.text)}{keys}"

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


def seen_of(stored: Stored, files: Files) -> Seen:
    """What a message shows now."""
    body = stored.body
    media = next((name for name in MEDIA if name in body), "")
    content = body.get(media, {})
    file = files.get((content[-1] if media == "photo" else content).get("file_id", ""))
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
        media=media,
        file_name=file.name if file else "",
        data=file.data if file else b"",
    )


def short(text: str) -> str:
    """A text for a report, without its middle when long."""
    return repr(text if len(text) <= 120 else f"{text[:60]} … {text[-50:]} ({len(text)} characters)")
