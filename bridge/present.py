"""What to show when: tokens and the clock in, Show operations out. What both kinds of screen have in common.

Rules of this file, of live.py and of segments.py (sans-IO, as h11 does it): no clock, no asyncio, no platform.

The caller's loop: ``next(now)`` gives an operation or None. The operation counts as delivered when ``next`` is called
again, unless ``failed`` was called in between. After None, nothing happens before ``wake_at()`` or another feed.

Laws, each a property in tests/test_live.py and tests/test_segments.py:
- no text is lost or doubled over the parts and ``rest()``; every Show fits; nothing comes after the last final;
- every part ends final;
- files come after the text, each a part of its own;
- it terminates under any pattern of failures.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

from bridge.answer import Sent
from bridge.markdown import Cut, Fits, closed, cut
from bridge.model import Caps, File, Show

AT_ONCE = -math.inf
LEAST = 200
"""Characters that a platform must take in one part: below it a text is refused for what it says, not for its size."""


ENDS = tuple("。！？….!?：:；;」）)\n")
"""What a sentence, a list item or a line ends with."""


class Plan(NamedTuple):
    """What to show next and from when; delivered, a final moves the beginning of the next part to ``upto``."""

    when: float
    op: Show
    upto: int = 0
    prefix: str = ""


class Presenter(ABC):
    """One answer on its way to one screen. ``filed`` of its files are there already: an earlier attempt at it. ``owed``
    is the rest of an answer before it, which comes first. What that attempt has ``sent`` stays as it is; ``anew`` says
    that the answer begins once more behind it."""

    def __init__(
        self,
        caps: Caps,
        *,
        filed: int = 0,
        owed: str = "",
        sent: Sent = Sent(),  # noqa: B008 - immutable
        anew: str = "",
    ) -> None:
        self._fits: Callable[[str], bool] = caps.fits
        self._filed = filed
        self._files: tuple[File, ...] = ()
        self._chunks: list[str] = []
        self._text = f"{closed(owed).rstrip()}\n\n" if owed else ""
        self._lead = len(self._text)
        self._sent = sent  # until the text is beyond it
        self._anew = anew
        self._from = 0  # where the current part begins in the text
        self._prefix = ""  # what re-opens a fence or repeats a table head in the current part
        self._part = 0
        self._ended = False
        self._closed = False  # the platform takes no more
        self._flight: Plan | None = None
        self.done = False
        """Everything that may be shown was delivered."""
        self.resting = False
        """After ``wake_at``: what there is to show is on the screen, and the next token is news."""

    # ------------------------------------------------------------ in

    def feed(self, token: str, now: float) -> None:
        if token:
            self._chunks.append(token)

    def status(self, text: str) -> None:  # noqa: B027 - most screens have no room for it
        """What to say while there is no text yet."""

    def think(self, token: str) -> None:  # noqa: B027 - the same
        """More of the reasoning."""

    @property
    def thinking(self) -> str:
        """The end of the reasoning, as it is shown."""
        return ""

    def end(self, note: str = "", files: tuple[File, ...] = ()) -> None:
        """The answer is whole; ``note`` is a last paragraph of the bridge's own."""
        self._files = files
        text = self._whole()
        if note:
            self._text = f"{closed(text)}\n\n{note}" if text.strip() else note
        self._ended = True

    def enough(self) -> None:
        """No more files, but one that is on its way."""
        self._files = self._files[: self._filed + bool(self._flight and self._flight.op.files)]

    # ------------------------------------------------------------ out

    @property
    def text(self) -> str:
        """The whole answer so far."""
        return self._whole()[self._lead :]

    @property
    def sent(self) -> Sent:
        """What is out of our hands once the operation handed out has arrived."""
        return Sent()

    def rest(self) -> str:
        """The end of the text that the platform did not allow."""
        return self._body() if self.done and self._left().strip() else ""

    def next(self, now: float) -> Show | None:
        self._delivered(now)
        plan = None if self.done or self._closed else self._plan(now)
        if plan is None or now < plan.when or self._stands(plan.op, now):
            return None
        self._flight = plan
        return plan.op

    @property
    @abstractmethod
    def expecting(self) -> bool:
        """Does the user see nothing that tells of more to come? Then the platform's own sign is due."""

    @property
    @abstractmethod
    def once(self) -> bool:
        """The operation handed out leaves something that cannot be changed any more: sent twice, it is there twice."""

    @property
    def again(self) -> bool:
        """The operation handed out may have been sent by an earlier process."""
        return False

    @property
    def urgent(self) -> bool:
        """The operation handed out is one that the user waits for, no preview that could be left out."""
        return self._flight is not None and self._flight.when == AT_ONCE and not self._flight.op.files

    @abstractmethod
    def failed(self, now: float, retry_after: float = 0.0) -> None:
        """The operation was not delivered. A preview waits so long; holding back a final is the caller's business."""

    def place_first(self) -> None:  # noqa: B027 - there need not be a place
        """The operation may have arrived. It is not sent blindly again, where something can be done about that."""

    def vanished(self) -> None:
        """The operation was not delivered, because somebody has deleted the part: it is begun anew."""
        self._flight = None

    def overfull(self) -> bool:
        """The operation was not delivered, because its text is more than the platform takes: this part and the next
        ones get less. False when there is no less."""
        most = len(self._flight.op.text) * 3 // 4 if self._flight else 0
        if most < LEAST:
            return False
        fits, self._flight = self._fits, None
        self._fits = lambda text: len(text) <= most and fits(text)
        return True

    def exhausted(self) -> None:
        """The operation was not delivered, because the platform takes no more for this question: all that is left is
        the rest."""
        self._flight = None
        self._closed = True

    @abstractmethod
    def wake_at(self) -> float:
        """When ``next`` may have something without another feed; inf = not before a feed or the end."""

    # ------------------------------------------------------------ state

    @abstractmethod
    def _plan(self, now: float) -> Plan | None:
        """What the screen should show next, and from when."""

    def _stands(self, op: Show, now: float) -> bool:
        """Is that on the screen already?"""
        return False

    def _file(self, when: float) -> Plan:
        """The next file."""
        op = Show(part=self._part + self._filed, files=(self._files[self._filed],), final=True)
        return Plan(when, op, len(self._text))

    def _delivered(self, now: float) -> None:
        """The operation in flight, if any, has arrived."""
        plan, self._flight = self._flight, None
        if plan is None:
            return
        if plan.op.files:
            self._filed += 1
        elif plan.op.final:
            self._from, self._prefix = plan.upto, plan.prefix
            self._part += 1

    def _caught_up(self) -> bool:
        """Is the text beyond what an earlier attempt has sent?"""
        before, text = self._sent, self._whole()
        if not before.text:
            return True
        if text.startswith(before.text):
            self._from, self._prefix = len(before.text), before.prefix
        elif self._ended or not before.text.startswith(text):
            self._from, self._prefix = self._lead, f"{self._anew}\n\n" if self._anew else ""
        else:
            return False
        self._sent = Sent()
        return True

    def _whole(self) -> str:
        if self._chunks:
            self._text += "".join(self._chunks)
            self._chunks.clear()
        return self._text

    def _left(self) -> str:
        """The text behind the parts that are done."""
        return self._whole()[self._from :]

    def _settled_piece(self, fits: Fits) -> Cut | None:
        """What can be shown for good of a text that still grows: up to the end of a sentence, never into a block."""
        left = self._left()
        whole = self._prefix + left
        piece = cut(left, lambda text: len(text) < len(whole) and fits(text), self._prefix)
        if piece is None or piece.prefix or not (piece.shown.endswith(ENDS) or left[piece.used - 1] == "\n"):
            return None
        return piece

    def _body(self) -> str:
        """The current part's text; without one, only what re-opens a fence would be left."""
        raw = self._left()
        return self._prefix + raw if raw.strip() else raw
