"""A part of an answer as a streaming card.

Rules of this file:
- the card is made first and sent after its id was kept (staged): a crash between the two leaves nothing on the screen,
  and sending it again is told by the uuid;
- while it streams the text only grows: what is on the screen is never made shorter, and a changed layout (buttons, the
  panel of the reasoning) replaces the card with the longer of the two texts;
- streaming ends ten minutes after it was switched on, so it is switched on again before, by whatever is shown then; the
  pump shows an unchanged preview again for that (``Caps.lasts``). Should it have ended all the same, it is switched on
  once more; if that does not help, the card is replaced as a whole from then on;
- the end comes in this order: the text, so that the typing on the screen is right; streaming off, with a new summary,
  because no button works and nobody can forward the card before; the last layout; pictures, which take a while, after
  what is there was kept (staged). Should streaming refuse to end, the last layout ends it;
- what is not known of the screen (after a restart, after a call without an answer) is shown again.

Source: the pages "流式更新卡片", "流式更新文本".
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping

import msgspec

from adapters.feishu import card as cards
from adapters.feishu.codes import MissingScope, Refused
from adapters.feishu.entity import Entity, created
from adapters.feishu.layout import Layout, layout
from adapters.feishu.messages import Calls, Messages
from adapters.feishu.mode import Mode
from adapters.feishu.part import Part, Row
from adapters.feishu.pictures import Pictures
from bridge.model import Gone, Show, Vanished

STREAMS = 600.0
"""Seconds that a card streams after that was switched on."""
REOPEN = 300.0
"""Seconds after which it is switched on anew."""
_CLOSED = {200850, 300309}
_MISFIT = {300301, 300313, 300315}
"""The card has no such element, or not as we think it has."""
_NEVER = -math.inf


class CardPart(Part):
    """``value`` is what every button says beside its key; ``clock`` gives Unix seconds."""

    def __init__(
        self,
        number: int,
        row: Row,
        messages: Messages,
        mode: Mode,
        calls: Calls,
        value: Mapping[str, str],
        pictures: Pictures,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(number, row, messages, mode)
        self._calls = calls
        self._value = value
        self._pictures = pictures
        self._clock = clock
        self._entity = Entity(calls, row.card, row.created, clock) if row.card else None
        self._attempted = bool(row.card)  # to send it, perhaps by an earlier process
        self._streams = True
        self._forget_screen()

    def forget(self) -> None:
        super().forget()
        self._entity, self._attempted, self._streams = None, False, True
        self._forget_screen()

    def _forget_screen(self) -> None:
        self._frame: object = None
        self._texts: dict[str, str] = {}
        self._words = ""  # the Markdown of the last preview
        self._opened = _NEVER  # when streaming was switched on; never, also when it is not known
        self._summary: str | None = None  # with which streaming was ended

    async def _bring(self, op: Show) -> bool:
        if self._entity is None:
            await self._create(op)
            return True
        if not self.row.message:
            await self._send(self._entity)
        if op.final:
            return await self._settle(self._entity, op)
        await self._grow(self._entity, op)
        return False

    # ------------------------------------------------------------ a new card

    async def _create(self, op: Show) -> None:
        target = self._layout(op, streaming=not op.final)
        self._entity = await created(self._calls, target.card, self._clock)
        self.row.card, self.row.created = self._entity.id, self._entity.created
        self._frame, self._texts = target.frame, target.texts
        if op.final:
            self._summary = cards.summary(op)
        else:
            self._opened, self._words = self._clock(), op.text

    async def _send(self, entity: Entity) -> None:
        content = {"type": "card", "data": {"card_id": entity.id}}
        attempted, self._attempted = self._attempted, True
        try:
            self.row.message = await self._messages.send("interactive", content, self.number, entity.id)
        except Gone:
            raise
        except Refused:
            self.forget()
            if attempted:  # it may have arrived then, and a card is sent only once
                raise Vanished from None
            raise

    # ------------------------------------------------------------ while it grows

    async def _grow(self, entity: Entity, op: Show) -> None:
        if self._words.startswith(op.text):
            op = msgspec.structs.replace(op, text=self._words)
        if self._streams and self._clock() - self._opened > REOPEN:
            await self._open(entity)
        target = self._layout(op, streaming=self._streams)
        if target.frame != self._frame or (not self._streams and target.texts != self._texts):
            await self._replace(entity, target)
        for element, text in target.texts.items():
            if self._texts.get(element) != text and not await self._stream(entity, element, text):
                await self._replace(entity, self._layout(op, streaming=False))
                break
        self._words = op.text

    async def _open(self, entity: Entity) -> None:
        try:
            await entity.open()
        except Refused:
            self._streams = False
        else:
            self._opened, self._summary = self._clock(), None

    async def _stream(self, entity: Entity, element: str, text: str) -> bool:
        """False: the card does not stream any more."""
        refused = await self._type(entity, element, text)
        if refused in _CLOSED:
            await self._open(entity)
            refused = await self._type(entity, element, text) if self._streams else refused
        self._streams = not refused
        return self._streams

    async def _type(self, entity: Entity, element: str, text: str) -> int:
        """The code with which the card refuses to stream; 0 when it does not."""
        self._texts.pop(element, None)
        try:
            await entity.stream(element, text)
        except Refused as refusal:
            if refusal.code not in _CLOSED | _MISFIT:
                raise
            return refusal.code
        self._texts[element] = text
        return 0

    # ------------------------------------------------------------ the end

    async def _settle(self, entity: Entity, op: Show) -> bool:
        await self._end_text(entity, op)
        await self._close(entity, cards.summary(op))
        fresh = await self._show_whole(entity, op)
        if fresh and self._pictures.wanted(op):
            return True
        if await self._pictures.bring(op):
            await self._show_whole(entity, op)
        return False

    async def _close(self, entity: Entity, summary: str) -> None:
        if self._summary == summary:
            return
        self._opened, self._summary = _NEVER, None
        try:
            await entity.close(summary)
        except MissingScope:
            raise
        except Refused:
            self._frame = None  # then the layout has to, whatever is on the screen
        else:
            self._summary = summary

    async def _show_whole(self, entity: Entity, op: Show) -> bool:
        """True when something was not there yet."""
        try:
            return await self._replace(entity, self._layout(op, streaming=False))
        except Refused as refusal:
            if not self._pictures.keys:
                raise
            self._pictures.refused(refusal)
            return await self._replace(entity, self._layout(op, streaming=False))

    async def _end_text(self, entity: Entity, op: Show) -> None:
        """What is missing of the text is typed like the rest of it."""
        text = self._layout(op, streaming=True).texts.get(cards.TEXT)
        if not self._streams or self._clock() - self._opened > STREAMS or not text:
            return
        if self._texts.get(cards.TEXT, text) != text:
            await self._type(entity, cards.TEXT, text)  # if it is refused, the layout brings it

    # ------------------------------------------------------------ the whole card

    def _layout(self, op: Show, *, streaming: bool) -> Layout:
        images = self._pictures.keys if op.final and not streaming else {}
        return layout(cards.card(op, self._value, streaming=streaming, images=images))

    async def _replace(self, entity: Entity, target: Layout) -> bool:
        """False: it is there already."""
        if (target.frame, target.texts) == (self._frame, self._texts):
            return False
        self._frame, self._texts = None, {}
        await entity.replace(target.card)
        self._frame, self._texts = target.frame, target.texts
        return True
