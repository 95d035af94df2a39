"""A gateway's messages -> events. Pure: one message in, one event or nothing out.

Rules of this file:
- own messages come back from the gateway and are no events, else the bot would answer itself. Neither are messages of
  nobody, nor a room's notes and payments;
- in a room the bot is meant when its id is among the mentions, else when "@name" stands in the text (many puppets leave
  the ids out), else when one of its messages is quoted. What stands inside a quote mentions nobody;
- WeChat quotes by text: the quoted message's id is not known, so the quote carries its words;
- what cannot be read becomes an attachment with a name in plain words, so that the sender is told. The ``text`` of such
  a message is the puppet's raw XML and never shown.

Sources: the puppets' message types and user-modules/message.ts of wechaty (a recall names its message in ``text``),
wechaty-puppet-wechat4u (quotes; a recall as XML).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from adapters.wechat.mention import mentioned, unmentioned
from adapters.wechat.wechaty.schema import Type, WxLink, WxMessage
from bridge.model import Attachment, Conversation, Message, Quote, Recalled, User

_DASHES = re.compile(r"」\r?\n(?:- ){5,}-[ \t]*(?:\r?\n|\Z)")
"""Between a quoted message and the answer to it."""
_COLON = re.compile("[：:]")
_RECALLED_XML = re.compile(r"<newmsgid>\s*([^<\s]+)\s*</newmsgid>")

_FILES: dict[int, Literal["image", "file", "audio", "video"]] = {
    Type.IMAGE: "image",
    Type.ATTACHMENT: "file",
    Type.AUDIO: "audio",
    Type.VIDEO: "video",
}
_UNREADABLE: dict[int, str] = {
    Type.CONTACT: "contact card",
    Type.CHAT_HISTORY: "chat history",
    Type.EMOTICON: "sticker",
    Type.LOCATION: "location",
    Type.MINI_PROGRAM: "mini program",
    Type.TRANSFER: "money transfer",
    Type.RED_ENVELOPE: "red envelope",
    Type.URL: "link",
    Type.POST: "post",
}
_NAMES: dict[int, str] = {Type.AUDIO: "voice message", Type.VIDEO: "video"}
"""What a file is called that has no name, where the user has to be told which one was left out."""


OFFICIAL = "gh_"
"""Official accounts: what they send is for everybody, and some answer by themselves."""
SERVICES = ("weixin", "fmessage", "newsapp", "medianote", "floatbottle", "notifymessage")
"""Accounts of WeChat's own."""


def parse(
    bot: str, me: str, names: Sequence[str], message: WxMessage, link: WxLink | None = None
) -> Message | Recalled | None:
    """The event in a message for the bot ``bot``; None when it holds nothing for it.

    ``me`` is the bot's own contact id, ``names`` how it may be written in this room (own name, room alias), ``link``
    what a message of type 14 points to.
    """
    if message.from_id in ("", me, *SERVICES) or message.from_id.startswith(OFFICIAL) or _system(message):
        return None
    if message.type == Type.RECALLED:
        return _recalled(bot, message)
    text, attachments = _content(message, link)
    text, quotes = _unquoted(text, names)
    addressed = (
        not message.room_id or me in message.mention_ids or mentioned(text, names) or any(quote.own for quote in quotes)
    )
    return Message(
        id=message.id,
        conversation=_conversation(bot, message),
        user=User(message.from_id),
        at=message.timestamp,
        text=unmentioned(text, names) if message.room_id else text.strip(),
        addressed=addressed,
        attachments=attachments,
        quotes=quotes,
    )


def _conversation(bot: str, message: WxMessage) -> Conversation:
    if message.room_id:
        return Conversation(bot=bot, chat=message.room_id, kind="group")
    return Conversation(bot=bot, chat=message.from_id, kind="private")


def _system(message: WxMessage) -> bool:
    """What WeChat shows in grey, between the messages."""
    match message.type:
        case Type.GROUP_NOTE:
            return True
        case Type.TRANSFER | Type.RED_ENVELOPE:
            return bool(message.room_id)
        case Type.UNKNOWN:
            return not _words(message.text)
    return False


def _recalled(bot: str, message: WxMessage) -> Recalled | None:
    target = _recalled_id(message.text)
    if not target:
        return None
    return Recalled(
        id=message.id,
        conversation=_conversation(bot, message),
        user=User(message.from_id),
        at=message.timestamp,
        target=target,
    )


def _recalled_id(text: str) -> str:
    """A recall's text is the id of the message, or XML that holds it; anything else names none."""
    if found := _RECALLED_XML.search(text):
        return found[1]
    text = text.strip()
    return "" if not text.isascii() or "<" in text or len(text.split()) != 1 else text


# ------------------------------------------------------------------ content


def _content(message: WxMessage, link: WxLink | None) -> tuple[str, tuple[Attachment, ...]]:
    """The words of a message, and what else it brings."""
    if message.type == Type.TEXT:
        return message.text, ()
    if kind := _FILES.get(message.type):
        name = message.filename or _NAMES.get(message.type, "")
        ref = f"{message.id}/{'image' if kind == 'image' else 'file'}"
        return "", (Attachment(kind=kind, ref=ref, name=name),)
    if message.type == Type.URL and link and link.url:
        return "\n".join(filter(None, (link.title, link.url))), ()
    if (message.type == Type.POST or message.type not in _UNREADABLE) and (words := _words(message.text)):
        return words, ()
    name = _UNREADABLE.get(message.type, "unknown message")
    return "", (Attachment(kind="sticker", ref=f"{message.id}/file", name=name),)


def _words(text: str) -> str:
    """The text of a message of an unknown type, unless it is markup."""
    return "" if text.lstrip().startswith("<") else text.strip()


def _unquoted(text: str, names: Sequence[str]) -> tuple[str, tuple[Quote, ...]]:
    """``「Alice：quoted」``, a line of dashes and the answer -> the answer, and the quote."""
    dashes = _DASHES.search(text) if text.startswith("「") else None
    if not dashes:
        return text, ()
    quoted = text[1 : dashes.start()]
    colon = _COLON.search(quoted)
    name, said = (quoted[: colon.start()], quoted[colon.end() :]) if colon else ("", quoted)
    return text[dashes.end() :], (Quote(id="", text=said.strip(), own=bool(name) and name.strip() in names),)
