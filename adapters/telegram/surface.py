"""One answer as Telegram messages: a message a part, changed in place while it grows.

Rules of this file:
- an edit without a keyboard removes it, so the buttons go with every call;
- "message is not modified" means that the screen is right;
- a message that the user has deleted in the meantime is begun anew, from its first words.
"""

from __future__ import annotations

from typing import Any

from adapters.telegram.api import Api
from adapters.telegram.render import Entity, render
from bridge.model import Button, Rejected, Show, Shown, Vanished


class MessageSurface:
    """``resume`` is the comma-separated message ids of the parts."""

    def __init__(self, api: Api, chat: str, thread: str, reply_to: str, resume: str | None) -> None:
        self._api = api
        self._chat = int(chat)
        self._thread = thread
        self._reply_to = reply_to
        self._ids = [int(part) for part in resume.split(",")] if resume else []

    async def show(self, op: Show) -> Shown:
        self._ids += [0] * (op.part + 1 - len(self._ids))
        text, entities = render(op.text) if op.text else (op.status, [])
        text = text or op.text  # Markdown that shows nothing, such as a link definition
        calls = 1
        if not text:
            calls = await self._remove(op.part)
        elif self._ids[op.part]:
            await self._edit(op.part, content(text, entities, op))
        else:
            self._ids[op.part] = await self._send(content(text, entities, op))
        shown = [str(number) for number in self._ids]
        return Shown(",".join(shown), tuple(number for number in shown if number != "0"), calls)

    async def _send(self, body: dict[str, Any]) -> int:
        body |= {"chat_id": self._chat}
        if self._thread:
            body["message_thread_id"] = int(self._thread)
        if self._reply_to:
            body["reply_parameters"] = {"message_id": int(self._reply_to), "allow_sending_without_reply": True}
        message = await self._api.call("sendMessage", body)
        return int(message["message_id"])

    async def _edit(self, part: int, body: dict[str, Any]) -> None:
        body |= {"chat_id": self._chat, "message_id": self._ids[part]}
        try:
            await self._api.call("editMessageText", body)
        except Rejected as refusal:
            reason = str(refusal).lower()
            if "message to edit not found" in reason or "message_id_invalid" in reason:
                self._ids[part] = 0
                raise Vanished from None
            if "not modified" not in reason:
                raise

    async def _remove(self, part: int) -> int:
        number, self._ids[part] = self._ids[part], 0
        if not number:
            return 0
        try:
            await self._api.call("deleteMessage", {"chat_id": self._chat, "message_id": number})
        except Rejected as refusal:
            if "not found" not in str(refusal).lower():
                raise
        return 1


def content(text: str, entities: list[Entity], op: Show) -> dict[str, Any]:
    """The parameters that sendMessage and editMessageText share."""
    body: dict[str, Any] = {"text": text, "link_preview_options": {"is_disabled": True}}
    if entities and not op.plain:
        body["entities"] = [as_json(entity) for entity in entities]
    if op.buttons:
        body["reply_markup"] = {"inline_keyboard": [[as_button(button)] for button in op.buttons]}
    return body


def as_json(entity: Entity) -> dict[str, Any]:
    value: dict[str, Any] = {"type": entity.type, "offset": entity.offset, "length": entity.length}
    if entity.url:
        value["url"] = entity.url
    if entity.language:
        value["language"] = entity.language
    return value


def as_button(button: Button) -> dict[str, str]:
    return {"text": button.label, "url" if button.role == "link" else "callback_data": button.key}
