"""What WeChat posts to an official account -> the bridge's events. Pure.

Rules of this file:
- a user is known by the openid alone: the account learns no names;
- an event of the menu or of following has no id: who, when and what make one, the same in each of WeChat's tries;
- a voice message is the words that WeChat heard, where the account has that switched on.

Source: developers.weixin.qq.com, "接收普通消息", "接收事件推送".
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import msgspec

from bridge.model import Attachment, Conversation, Entered, Message, User

DAY = 86400.0


class Media(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a file of a message is: what ``Attachment.ref`` holds."""

    url: str = ""
    """Its public address, of pictures."""
    media_id: str = ""


def parse(bot: str, fields: Mapping[str, str], now: float | None = None) -> Message | Entered | None:
    """None when there is nothing in it for us. Raises KeyError or ValueError when it is not as documented."""
    user, kind = fields["FromUserName"], fields["MsgType"]
    at = _at(fields["CreateTime"], time.time() if now is None else now)
    conversation, who = Conversation(bot=bot, chat=user, kind="private"), User(user)
    if kind == "event":
        event = fields["Event"]
        id = f"{user}-{fields['CreateTime']}-{event}"
        match event:
            case "subscribe":
                return Entered(id=id, conversation=conversation, user=who, at=at, first=True)
            case "CLICK" if fields.get("EventKey"):
                return Message(id=id, conversation=conversation, user=who, at=at, text=fields["EventKey"])
        return None
    text, attachments = _content(kind, fields)
    return Message(
        id=fields["MsgId"], conversation=conversation, user=who, at=at, text=text, attachments=tuple(attachments)
    )


def _at(stamp: str, now: float) -> float:
    """A clock that is a day off says nothing."""
    at = float(int(stamp))
    return at if abs(now - at) < DAY else now


def _content(kind: str, fields: Mapping[str, str]) -> tuple[str, list[Attachment]]:
    media = Media(fields.get("PicUrl", ""), fields.get("MediaId", ""))
    ref = msgspec.json.encode(media).decode()
    match kind:
        case "text":
            return fields["Content"].strip(), []
        case "voice" if fields.get("Recognition", "").strip():
            return fields["Recognition"].strip(), []
        case "image":
            return "", [Attachment("image", ref, name="image.jpg")]
        case "voice":
            return "", [Attachment("audio", ref, name=f"voice.{fields.get('Format') or 'amr'}")]
        case "video" | "shortvideo":
            return "", [Attachment("video", ref, name="video.mp4")]
        case "link":
            return "\n".join(filter(None, (fields.get("Title", ""), fields.get("Url", "")))), []
        case "location" if fields.get("Label"):
            place = f"{fields['Label']} ({fields.get('Location_X', '')}, {fields.get('Location_Y', '')})"
            return place, []
    return "", [Attachment("sticker", ref, name=kind)]
