"""Parts of an answer where the app may not use streaming cards: messages that are edited, and plain ones.

Rules of this file:
- an interactive message is changed as a whole; where answers do not grow (``stream: off``, or edits are refused) only
  its final state is shown;
- a plain message is sent once, when its part is final: what it says cannot be changed.

Source: Server API, im/v1 messages: patch ("更新应用发送的消息卡片"); 14 days, 5 calls a second for each message.
"""

from __future__ import annotations

from collections.abc import Mapping

from adapters.feishu.card import card, message
from adapters.feishu.codes import Refused
from adapters.feishu.messages import Messages, dumped
from adapters.feishu.mode import Mode
from adapters.feishu.part import Part, Row
from adapters.feishu.pictures import Pictures
from bridge.model import Show


class MessagePart(Part):
    """``value`` is what every button says beside its key."""

    def __init__(
        self, number: int, row: Row, messages: Messages, mode: Mode, value: Mapping[str, str], pictures: Pictures
    ) -> None:
        super().__init__(number, row, messages, mode)
        self._value = value
        self._pictures = pictures
        self._shown = ""  # what is on the screen; empty, too, when it is not known

    def forget(self) -> None:
        self._shown = ""
        super().forget()

    async def _bring(self, op: Show) -> bool:
        if not op.final:
            if self._mode.name != "off":
                await self._put(op)
            return False
        if await self._put_whole(op) and self._pictures.wanted(op):
            return True
        if await self._pictures.bring(op):
            await self._put_whole(op)
        return False

    async def _put_whole(self, op: Show) -> bool:
        try:
            return await self._put(op)
        except Refused as refusal:
            if not self._pictures.keys:
                raise
            self._pictures.refused(refusal)
            return await self._put(op)

    async def _put(self, op: Show) -> bool:
        """False: it is there already."""
        images = self._pictures.keys if op.final else {}
        content = card(op, self._value, streaming=False, images=images)
        text = dumped(content)
        if text == self._shown:
            return False
        self._shown = ""
        if self.row.message:
            await self._messages.change(self.row.message, content)
        else:
            self.row.message = await self._messages.send("interactive", content, self.number, self.row.lost)
        self._shown = text
        return True


class PostPart(Part):
    """Formatted words without buttons."""

    async def _bring(self, op: Show) -> bool:
        if op.final and not self.row.message:
            kind, content = message(op)
            self.row.message = await self._messages.send(kind, content, self.number, self.row.lost)
        return False
