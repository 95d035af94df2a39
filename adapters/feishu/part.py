"""One part of an answer on the screen, whatever it is made of: what all kinds have in common.

Rules of this file:
- ``Row`` is all that a restart needs of a part; a part goes on as the kind it was begun as;
- too many tables are tried once more as code, from then on at once; whatever else is too much is Overfull;
- when the month's calls are used up, a preview counts as shown, and a final waits.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

import msgspec

from adapters.feishu.codes import QuotaUsedUp, Refused
from adapters.feishu.messages import Messages
from adapters.feishu.mode import Mode
from adapters.feishu.render import fenced
from bridge.model import Overfull, Show, Vanished

_TOO_LONG = {200860, 230025}
"""Over 30 KB."""
_CROWDED = {11310, 300305}
"""Too many tables, or elements."""


class Row(msgspec.Struct, array_like=True, omit_defaults=True):
    """What is kept of a part. ``message`` is empty while there is none; of a card that is not sent yet, too."""

    kind: Literal["", "card", "message", "post", "file"] = ""
    message: str = ""
    card: str = ""
    created: int = 0
    """When the card was made, in Unix milliseconds."""
    lost: str = ""
    """The message that was here and is gone: the next one needs another uuid than that one had."""


class Part(ABC):
    """``number`` is the part's in the answer."""

    def __init__(self, number: int, row: Row, messages: Messages, mode: Mode) -> None:
        self.number = number
        self.row = row
        self._messages = messages
        self._mode = mode
        self._fenced = False

    async def show(self, op: Show) -> bool:
        """Bring the part to the screen; True when it is staged. Raises as Surface.show, and MissingScope."""
        if op.final and not (op.text or op.status):
            await self.remove()
            return False
        if self._mode.quiet and not op.final:
            return False
        try:
            return await self._bring_what_fits(op)
        except QuotaUsedUp as limit:
            self._mode.used_up(limit.retry_after)
            if op.final:
                raise
            return False
        except Vanished:
            await self.remove()  # the card is gone, but perhaps not the message that shows it
            raise

    async def remove(self) -> None:
        """Take the part off the screen."""
        if self.row.message:
            await self._messages.delete(self.row.message)
        self.forget()

    def forget(self) -> None:
        """The part is not on the screen any more."""
        self.row.lost = self.row.message or self.row.lost
        self.row.message = self.row.card = ""

    @abstractmethod
    async def _bring(self, op: Show) -> bool:
        """Make the calls; True when it is staged."""

    async def _bring_what_fits(self, op: Show) -> bool:
        try:
            return await self._bring(self._as_fits(op))
        except Refused as refusal:
            if not _is(refusal, _CROWDED | _TOO_LONG):
                raise
            if self._fenced or not _is(refusal, _CROWDED):
                raise Overfull(str(refusal)) from None
        self._fenced = True
        try:
            return await self._bring(self._as_fits(op))
        except Refused as refusal:
            raise (Overfull(str(refusal)) if _is(refusal, _CROWDED | _TOO_LONG) else refusal) from None

    def _as_fits(self, op: Show) -> Show:
        return msgspec.structs.replace(op, text=fenced(op.text)) if self._fenced else op


def _is(refusal: Refused, codes: set[int]) -> bool:
    return refusal.code in codes or refusal.inner in codes
