"""One question that came in several messages: an album, a long text that the client has cut, a message and its quote.

Rules of this file:
- pure; the messages are those that wait in one lane, so they are of one conversation, and of one person where that is
  what a lane is;
- commands are never a piece of something;
- platforms do not say how many pieces come: ``QUIET`` seconds without another one are the end;
- where the operator wants it (``debounce``), messages that follow each other within so many seconds are one, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from bridge.model import Attachment, Message, Quote

QUIET = 1.0
"""Seconds to wait for the next piece."""
AT_ONCE = 3.0
"""Seconds, by the platform's clock, within which a client sends the pieces of a text that it cut."""
FULL = 4096
"""Where clients cut a text that has no better place (UTF-16 units): nothing was there between the pieces."""
CLOCK = 1.0
"""Seconds that a platform's clock jumps by: some tell whole seconds."""
QUOTE_MOST = 2000
"""Characters of a quoted message that go along with the question."""
FORWARD_MOST = 30_000
"""The same of messages that were passed on: they are the question."""


def waits(message: Message) -> bool:
    """May more of this message be on its way?"""
    return bool(message.group) or message.cut


def pieces(first: Message, following: Iterable[Message], debounce: float = 0.0) -> list[Message]:
    """The messages that belong to ``first``, itself among them, as they were sent."""
    found = [first]
    for message in following:
        if message.user.id != first.user.id:
            continue
        if first.group:
            if message.group == first.group:
                found.append(message)
        elif not (_goes_on(found[-1], message) or _soon(found[-1], message, debounce)):
            break
        else:
            found.append(message)
    if first.group and all(piece.id.isdecimal() for piece in found):
        found.sort(key=lambda piece: int(piece.id))  # several connections may bring them in any order
    return found


def _goes_on(last: Message, message: Message) -> bool:
    plain = message.text and not message.text.startswith("/") and not message.group and not message.attachments
    return last.cut and bool(plain) and 0 <= message.at - last.at <= AT_ONCE


def _soon(last: Message, message: Message, debounce: float) -> bool:
    within = 0 <= message.at - last.at <= debounce + CLOCK
    return bool(debounce) and within and not message.text.startswith("/")


def joined(found: Sequence[Message]) -> Message:
    """The pieces as one message, in the place of the first that was written to the bot."""
    if len(found) == 1:
        return found[0]
    text = ""
    for piece in found:
        if piece.text:
            text += piece.text if _runs_on(piece) else f"{piece.text}\n"
    attachments: list[Attachment] = []
    quotes: list[Quote] = []
    for piece in found:
        attachments += piece.attachments
        quotes += piece.quotes
    head = next((piece for piece in found if piece.addressed), found[0])
    return msgspec.structs.replace(
        head,
        text=text.strip(),
        attachments=tuple(attachments),
        quotes=tuple(quotes),
        addressed=any(piece.addressed for piece in found),
        cut=False,
    )


def _runs_on(piece: Message) -> bool:
    return piece.cut and len(piece.text.encode("utf-16-le", "surrogatepass")) // 2 == FULL


def in_words(message: Message) -> str:
    """The question for a memory that holds words only."""
    text, attachments = with_quotes(message)
    return text or ", ".join(f"[{attachment.name or attachment.kind}]" for attachment in attachments)


def with_quotes(message: Message) -> tuple[str, tuple[Attachment, ...]]:
    """What the question says and brings, the messages that it replies to included.

    The bot's own answers are in the app's memory of the conversation; what others wrote is not.
    """
    quoted: list[str] = []
    attachments = message.attachments
    for quote in message.quotes:
        if not quote.own:
            attachments += quote.attachments
            most = FORWARD_MOST if quote.id == message.id else QUOTE_MOST
            text = quote.text.strip()
            text = text if len(text) <= most else f"{text[:most]}…"
            if text:
                quoted.append("\n".join(f"> {line}" for line in text.splitlines()))
    return "\n\n".join(filter(None, [*quoted, message.text])), attachments
