"""What people do with the bot: they write, send files, open the chat, press buttons.

Rules of this file:
- a method makes the callback and hands it to ``push``; it returns before the bot has it;
- a message is from now, a group's begins with "@Bot ": WeCom pushes no other ones.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Mapping
from itertools import count
from typing import Any, Literal

from tests.fakes.wechat.wecom_rules import Json
from tests.fakes.wechat.wecom_state import Request, State

MESSAGE, EVENT = "aibot_msg_callback", "aibot_event_callback"


class Phone(State):
    """The people's side."""

    def __init__(self) -> None:
        super().__init__()
        self._numbers = count(1)

    @abstractmethod
    def push(self, command: str, req_id: str, body: Json) -> None:
        """Send a callback to the bot, or keep it for when it comes back."""

    @abstractmethod
    def address(self, place: str) -> str:
        """Where a file of ``files`` is fetched."""

    def say(
        self,
        text: str = "",
        *,
        sender: str = "zhangsan",
        group: str = "",
        kind: str = "text",
        body: Mapping[str, Any] | None = None,
        id: str | None = None,
        at: float | None = None,
        bare: bool = False,
    ) -> str:
        """Somebody writes; returns the msgid. ``body`` is laid over the callback's (``{"quote": {...}}``; None takes a
        field away), ``at`` is its create_time (Unix s), ``bare`` leaves the "@Bot " of a group away. The same ``id``
        again is the same message pushed once more.
        """
        msgid = id or f"msg-{next(self._numbers)}"
        content = f"@Bot {text}" if group and kind == "text" and not bare else text
        said = {kind: {"content": content}} if kind in ("text", "voice") else {}
        self._push_from(
            "message", MESSAGE, sender, group, at, {"msgid": msgid, "msgtype": kind, **said, **(body or {})}
        )
        return msgid

    def hold(self, data: bytes, name: str = "") -> dict[str, str]:
        """``{"url", "aeskey"}`` of a file that is served from now on, for the ``body`` of a mixed message or quote."""
        place, key = self.files.hold(data, name, self.now())
        return {"url": self.address(place), "aeskey": key}

    def say_file(
        self,
        kind: str,
        data: bytes,
        name: str = "",
        *,
        sender: str = "zhangsan",
        group: str = "",
        id: str | None = None,
    ) -> str:
        """Somebody sends an "image", "file" or "video"; returns the msgid."""
        return self.say(kind=kind, body={kind: self.hold(data, name)}, sender=sender, group=group, id=id)

    def enter(self, sender: str = "zhangsan") -> str:
        """Somebody opens the chat with the bot for the first time today; returns the msgid."""
        return self._event("enter", sender, "", {"eventtype": "enter_chat"})

    def press(
        self,
        name: str,
        key: str,
        *,
        sender: str = "zhangsan",
        group: str = "",
        selected: Mapping[str, str] | None = None,
    ) -> str:
        """Somebody presses the button ``key`` of the card of this stream id or task_id, with what was ``selected``
        (question_key -> option id) in its menus; returns the msgid. Raises ValueError: there is no such button.
        """
        message = self.with_card(name)
        if message is None or message.card is None or key not in message.keys:
            raise ValueError(f"no button {key} at {name}")
        if message.chat != (group or sender):
            raise ValueError(f"the card of {name} is not in that chat")
        items = [{"question_key": q, "option_ids": {"option_id": [o]}} for q, o in (selected or {}).items()]
        event = {
            "card_type": message.card["card_type"],
            "event_key": key,
            "task_id": message.card["task_id"],
            "selected_items": {"selected_item": items},
        }
        return self._event("press", sender, group, {"eventtype": "template_card_event", "template_card_event": event})

    def _event(self, kind: Literal["enter", "press"], sender: str, group: str, event: Json) -> str:
        msgid = f"event-{next(self._numbers)}"
        body = {"msgid": msgid, "msgtype": "event", "event": event}
        task_id = event.get("template_card_event", {}).get("task_id", "")
        self._push_from(kind, EVENT, sender, group, None, body, task_id)
        return msgid

    def _push_from(
        self,
        kind: Literal["message", "enter", "press"],
        command: str,
        sender: str,
        group: str,
        at: float | None,
        body: Json,
        task_id: str = "",
    ) -> None:
        self.people.add(sender)
        self.groups |= {group} if group else set()
        whole = {
            "create_time": int(time.time() if at is None else at),
            "aibotid": self.bot_id,
            "chattype": "group" if group else "single",
            "chatid": group or None,
            "from": {"userid": sender},
            **body,
        }
        req_id = f"REQ-{next(self._numbers)}"
        self.requests[req_id] = Request(kind, group or sender, self.now(), task_id=task_id)
        self.push(command, req_id, {name: value for name, value in whole.items() if value is not None})
        self.changed()
