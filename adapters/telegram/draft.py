"""One answer in a private chat: a draft that grows, with Telegram's own stop button, then a message.

Rules of this file:
- a draft has no message id and fades in 30 s: it is only ever a preview, and the final text is a message of its own,
  even if it is the same;
- a part that has its message is changed in place: it was sent before a restart;
- a draft cannot carry a keyboard; the stop button is its ``can_stop``;
- a server that has no drafts, or refuses them here, gets messages from then on (``Api.drafts``); and so does an answer
  whose final text may or may not have arrived: it begins a message that can be changed.

Source: Bot API 10.3, sendMessageDraft, stopped_message_generation.
"""

from __future__ import annotations

import hashlib
import logging
from typing import Any

import msgspec

from adapters.telegram.api import Api, NotFound
from adapters.telegram.compose import composed
from adapters.telegram.files import Fetch
from adapters.telegram.surface import MessageSurface
from bridge.model import Gone, Rejected, Show, Unsure

log = logging.getLogger(__name__)

WAITING = "…"


class DraftSurface(MessageSurface):
    """As MessageSurface; ``turn`` seeds the draft ids. They stand in ``Shown.ids`` as ``draft:{id}``."""

    def __init__(self, api: Api, chat: str, thread: str, turn: str, resume: str | None, fetch: Fetch) -> None:
        super().__init__(api, chat, thread, "", resume, fetch)
        self._turn = turn
        self._drafted: list[str] = []
        self._unsure = False

    def _shown(self) -> tuple[str, ...]:
        return (*super()._shown(), *self._drafted)

    async def _bring(self, op: Show) -> int:
        if op.final or self._ids[op.part] or self._unsure or not self._api.drafts:
            try:
                return await super()._bring(op)
            except Unsure:
                self._unsure = True
                raise
        number = draft_id(self._turn, op.part)
        try:
            await self._api.call("sendMessageDraft", self._draft(op) | {"draft_id": number})
        except Gone:
            raise
        except (NotFound, Rejected) as refusal:
            if isinstance(refusal, Rejected) and "TEXTDRAFT" not in str(refusal).upper() and not op.plain:
                raise  # of the text, perhaps: it comes again plain
            reason = "the server does not know them" if isinstance(refusal, NotFound) else refusal
            log.warning("drafts are refused (%s): answers are shown as messages from now on", reason)
            self._api.drafts = False
            return 1 + await super()._bring(op)
        name = f"draft:{number}"
        if name not in self._drafted:
            self._drafted.append(name)
        return 1

    def _draft(self, op: Show) -> dict[str, Any]:
        body = composed(msgspec.structs.replace(op, buttons=())) or {"text": WAITING}
        if any(button.role == "stop" for button in op.buttons):
            body |= {"can_stop": True, "keep_on_stop": True}
        return body | self._place()


def draft_id(turn: str, part: int) -> int:
    """The same for the same part of the same turn, also after a restart: positive, 31 bits."""
    digest = hashlib.sha256(f"{turn}\n{part}".encode()).digest()
    return int.from_bytes(digest[:4], "big") & 0x7FFFFFFF or 1
