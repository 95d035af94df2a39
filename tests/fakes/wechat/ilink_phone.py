"""The user's side of iLink: what the person writes, and what stands on the phone.

Rules of this file:
- a person's message is delivered until the client confirms it; ``again`` is the platform's own duplicate;
- every message has a ``context_token`` of its own; a duplicate has the one of the message;
- the two ways to write an ``aes_key`` alternate, so that a client meets both.
"""

from __future__ import annotations

import secrets
import time
from typing import Literal

from tests.fakes.wechat.ilink_cdn import wire_keys
from tests.fakes.wechat.ilink_rules import FIELDS, FILE, FINISHED, IMAGE, TEXT, USER, VIDEO, VOICE, Json
from tests.fakes.wechat.ilink_state import Context, State

Kind = Literal["image", "voice", "file", "video"]
TYPES: dict[Kind, int] = {"image": IMAGE, "voice": VOICE, "file": FILE, "video": VIDEO}
SILK = 6
"""``encode_type`` of the voice that WeChat records."""


class Phone(State):
    """What people do and see."""

    def say(
        self,
        text: str = "",
        *,
        items: list[Json] | None = None,
        sender: str = State.user,
        created: float | None = None,
    ) -> str:
        """Write to the bot: a text, or these items. ``created``: Unix seconds. The id of the message."""
        number = len(self.incoming) + 1
        token = f"ctx-{number}"
        self.contexts[token] = Context(sender)
        return self._deliver(
            {
                "from_user_id": sender,
                "to_user_id": self.bot_id,
                "client_id": f"phone-{number}",
                "create_time_ms": int((time.time() if created is None else created) * 1000),
                "session_id": "",
                "message_type": USER,
                "message_state": FINISHED,
                "item_list": [text_item(text)] if items is None else items,
                "context_token": token,
            }
        )

    def say_media(self, kind: Kind, data: bytes, name: str = "", text: str = "") -> str:
        """Send a file; ``text`` is the transcription of a voice, and else a text beside the file. The message's id."""
        items = [self.media_item(kind, data, name, text)]
        if text and kind != "voice":
            items.insert(0, text_item(text))
        return self.say(items=items)

    def media_item(self, kind: Kind, data: bytes, name: str = "", transcript: str = "") -> Json:
        """An item for ``say``; its data is put on the CDN."""
        key = secrets.token_bytes(16)
        parameter = self.cdn.keep(data, key)
        media: Json = {"encrypt_query_param": parameter, "aes_key": self._wire_key(key), "encrypt_type": 1}
        if self.full_urls:
            media["full_url"] = self.cdn_url("download", encrypted_query_param=parameter)
        content: Json = {"media": media}
        match kind:
            case "image":
                content |= {"aeskey": key.hex(), "mid_size": len(data)}
            case "voice":
                content |= {"encode_type": SILK, "playtime": 1000, "text": transcript}
            case "file":
                content |= {"file_name": name, "len": str(len(data))}
            case "video":
                content["video_size"] = len(data)
        return {"type": TYPES[kind], FIELDS[TYPES[kind]]: content}

    def again(self, *, new_id: bool = False) -> str:
        """Deliver the last message once more, as the platform does at times: under its own id or a new one."""
        message = dict(self.incoming[-1])
        if new_id:
            del message["message_id"]
        return self._deliver(message)

    def screen(self, user: str = State.user) -> list[str]:
        """What this person sees of the bot, in order: texts, and files as ``[file NAME]`` or ``[image]``."""
        return [message.seen for message in self.sent if message.to == user]

    def _deliver(self, message: Json) -> str:
        message = {"message_id": next(self.ids), **message, "seq": len(self.incoming) + 1}
        self.incoming.append(message)
        self.changed()
        return str(message["message_id"])

    def _wire_key(self, key: bytes) -> str:
        self._keys_handed_out += 1
        return wire_keys(key)[self._keys_handed_out % 2]


def text_item(text: str) -> Json:
    return {"type": TEXT, "text_item": {"text": text}}
