"""One answer as Telegram messages: a message a part, changed in place while it grows.

Rules of this file:
- an edit without a keyboard removes it, so the buttons go with every call;
- "message is not modified" means that the screen is right;
- a message that the user has deleted in the meantime is begun anew, from its first words;
- a group that becomes a supergroup leaves its messages behind: the answer goes on in the new chat, with new messages;
- a file is sent once; one that cannot be had or is refused is left out, for its link stands in the text.
"""

from __future__ import annotations

import re
from typing import Any

from adapters.telegram.api import Api, Moved
from adapters.telegram.compose import composed
from adapters.telegram.files import Fetch, Files
from bridge.model import Rejected, Show, Shown, Vanished

_LOST = re.compile(
    "message to edit not found|message_id_invalid|message can't be edited|no text in the message", re.IGNORECASE
)
"""Why there is nothing to edit; the last: it is a file."""
_STAYS = re.compile("not found|message can't be deleted", re.IGNORECASE)


class MessageSurface:
    """``resume`` is the chat and the message ids of the parts, ``-100123:17,18``; 0 is a part without a message.

    ``fetch`` brings the bytes of a file: ``Host.download``.
    """

    def __init__(self, api: Api, chat: str, thread: str, reply_to: str, resume: str | None, fetch: Fetch) -> None:
        moved, _, ids = (resume or "").rpartition(":")
        self._api = api
        self._chat = int(moved or chat)  # should the ids be of a chat that has moved since, the first call will tell
        self._thread = thread
        self._reply_to = reply_to if self._chat == int(chat) else ""
        self._ids = [int(part) for part in ids.split(",")] if ids else []
        self._files = Files(fetch)

    async def show(self, op: Show) -> Shown:
        """See bridge.model.Surface."""
        self._ids += [0] * (op.part + 1 - len(self._ids))
        try:
            calls = await self._bring(op)
        except Moved as moved:
            self._chat, self._reply_to = moved.chat, ""
            self._ids = [0] * len(self._ids)
            raise Vanished from None
        return Shown(f"{self._chat}:{','.join(map(str, self._ids))}", self._shown(), calls)

    def _shown(self) -> tuple[str, ...]:
        return tuple(str(number) for number in self._ids if number)

    async def _bring(self, op: Show) -> int:
        """Bring the part to the screen; returns the number of calls."""
        if op.files:
            return await self._send_file(op)
        body = composed(op)
        if body is None:
            return await self._remove(op.part)
        body["link_preview_options"] = {"is_disabled": True}
        if self._ids[op.part]:
            await self._edit(op.part, body)
        else:
            self._ids[op.part] = await self._send("sendMessage", body)
        return 1

    async def _send(self, method: str, body: dict[str, Any]) -> int:
        body = body | self._place()
        if self._reply_to:
            body["reply_parameters"] = {"message_id": int(self._reply_to), "allow_sending_without_reply": True}
        message = await self._api.call(method, body)
        return int(message["message_id"])

    def _place(self) -> dict[str, Any]:
        return {"chat_id": self._chat} | ({"message_thread_id": int(self._thread)} if self._thread else {})

    async def _edit(self, part: int, body: dict[str, Any]) -> None:
        try:
            await self._api.call("editMessageText", body | {"chat_id": self._chat, "message_id": self._ids[part]})
        except Rejected as refusal:
            reason = str(refusal)
            if _LOST.search(reason):
                self._ids[part] = 0
                raise Vanished from None
            if "not modified" not in reason:
                raise

    async def _remove(self, part: int) -> int:
        number = self._ids[part]
        if not number:
            return 0
        try:
            await self._api.call("deleteMessage", {"chat_id": self._chat, "message_id": number})
        except Rejected as refusal:
            if not _STAYS.search(str(refusal)):
                raise
        self._ids[part] = 0
        return 1

    async def _send_file(self, op: Show) -> int:
        if self._ids[op.part]:
            return 0
        self._ids[op.part], calls = await self._files.send(op.files[0], self._send)
        return calls
