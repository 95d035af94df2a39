"""One answer on Feishu's screen: for each part a streaming card, a message or a file.

Rules of this file:
- a new part is what the bot may use now (``Mode``); a part that is on the screen goes on as it was begun, also after a
  restart;
- where a permission turns out to be missing, the part is begun anew as the next simpler kind, and the answer comes
  whole;
- after each call ``Shown.ref`` holds what the next process needs: the parts, and the pictures that were uploaded.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import msgspec

from adapters.feishu.api import Api
from adapters.feishu.codes import MissingScope
from adapters.feishu.files import Files
from adapters.feishu.message import MessagePart, PostPart
from adapters.feishu.messages import Calls, Messages, Place
from adapters.feishu.mode import Ability, Mode
from adapters.feishu.part import Part, Row
from adapters.feishu.pictures import Fetch, Pictures
from adapters.feishu.spacing import Spacing
from adapters.feishu.streaming import CardPart
from bridge.model import BridgeError, Show, Shown


class Ref(msgspec.Struct, omit_defaults=True):
    """``Shown.ref``, as JSON."""

    parts: list[Row] = []
    pictures: dict[str, str] = {}
    """Address -> image key."""


class AnswerSurface:
    """``value`` is what every button says beside its key, so that a press can be told where it was; ``turn`` seeds the
    uuids; ``fetch`` is ``Host.download``; ``clock`` gives Unix seconds."""

    def __init__(
        self,
        api: Api,
        mode: Mode,
        spacing: Spacing,
        place: Place,
        value: Mapping[str, str],
        turn: str,
        resume: str | None,
        fetch: Fetch,
        clock: Callable[[], float] = time.time,
    ) -> None:
        ref = msgspec.json.decode(resume, type=Ref) if resume else Ref()
        self._mode = mode
        self._value = value
        self._clock = clock
        self._calls = Calls(api)
        self._messages = Messages(self._calls, spacing, place, turn)
        self._pictures = Pictures(self._calls, mode, fetch, ref.pictures)
        self._files = Files(self._calls, self._messages, mode, fetch)
        self._rows = ref.parts
        self._parts: dict[int, Part] = {}

    async def show(self, op: Show) -> Shown:
        """See bridge.model.Surface."""
        self._calls.made = 0
        self._rows += [Row() for _ in range(op.part + 1 - len(self._rows))]
        staged = False
        try:
            if op.files:
                await self._files.show(op.files[0], self._rows[op.part], op.part)
            else:
                staged = await self._bring(op)
        except BridgeError as error:
            error.calls = self._calls.made
            raise
        ref = msgspec.json.encode(Ref(self._rows, self._pictures.keys)).decode()
        return Shown(ref, tuple(row.message for row in self._rows if row.message), self._calls.made, staged)

    async def _bring(self, op: Show) -> bool:
        while True:
            part = self._part(op)
            try:
                return await part.show(op)
            except MissingScope as refusal:
                ability = _lacking(part)
                if ability is None:
                    raise
                self._mode.without(ability, refusal)
                await part.remove()

    def _part(self, op: Show) -> Part:
        """The part, as it was begun; one that is not on the screen begins as what the bot may use now."""
        number, row = op.part, self._rows[op.part]
        if row.kind == "file" and (op.text or op.status):  # of an earlier attempt; it stays where it is
            row.message = ""
        if not (row.message or row.card) and row.kind != self._mode.kind:
            row.kind = self._mode.kind
            self._parts.pop(number, None)
        if number not in self._parts:
            self._parts[number] = self._made(number, row)
        return self._parts[number]

    def _made(self, number: int, row: Row) -> Part:
        if row.kind == "card":
            return CardPart(
                number, row, self._messages, self._mode, self._calls, self._value, self._pictures, self._clock
            )
        if row.kind == "message":
            return MessagePart(number, row, self._messages, self._mode, self._value, self._pictures)
        return PostPart(number, row, self._messages, self._mode)


def _lacking(part: Part) -> Ability | None:
    """What a part cannot do when a permission is missing; None: nothing simpler is left."""
    if isinstance(part, CardPart):
        return "cards"
    if isinstance(part, MessagePart):
        return "edits" if part.row.message else "interactive"
    return None
