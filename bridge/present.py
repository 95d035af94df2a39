"""What to show when: tokens and the clock in, Show operations out.

Rules of this file (sans-IO, as h11 does it): no clock, no asyncio, no platform.

The caller's loop: ``next(now)`` gives an operation or None. The operation counts as delivered when ``next`` is called
again, unless ``failed`` was called in between. After None, nothing happens before ``wake_at()`` or another feed.

Laws, each a property in tests/test_present.py:
- no text is lost or doubled over the parts and ``rest()``; every Show fits; nothing comes after the last final;
- every part ends final. Where parts can be changed (live), the first Show of a part is a status line or its first
  words, never its final text: a crash between that call and the commit of its id leaves an orphan, not a second answer.
  Where they cannot, a part is one Show;
- ``interval`` binds previews of a part, a final goes at once; an unchanged text is not shown again;
- the send budget is kept, and ``rest()`` is what it did not allow;
- an empty answer still ends with one final Show;
- it terminates under any pattern of failures.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from bridge.markdown import closed, cut, settled
from bridge.model import Button, Caps, Show

FIRST_WORDS = 40
"""Characters worth a first preview, and all that it shows."""
FIRST_WAIT = 0.5
"""Seconds that a first preview waits for its first words."""
STATUS_WAIT = 1.0
"""Seconds of silence after which a status line says that the question has arrived."""
SEGMENT = 120
"""Characters worth a message of their own where messages cannot be changed; doubles with each one sent."""
WAITING = "…"
SENTENCE_ENDS = tuple("。！？….!?：:；;")
AT_ONCE = -math.inf


class _Plan(NamedTuple):
    """What to show next and from when; delivered, a final moves the beginning of the next part to ``upto``."""

    when: float
    op: Show
    upto: int = 0
    prefix: str = ""


class Presenter:
    """One answer on its way to one screen.

    ``shown`` parts are on the screen already (an earlier attempt at this answer): they are changed, not sent anew.
    """

    def __init__(self, caps: Caps, now: float, *, shown: int = 0, buttons: tuple[Button, ...] = ()) -> None:
        self._fits: Callable[[str], bool] = caps.fits
        self._live = caps.live
        self._interval = caps.interval
        self._sends = math.inf if caps.sends is None else caps.sends
        self._buttons = buttons
        self._there = shown
        self._lost: set[int] = set()
        self._chunks: list[str] = []
        self._text = ""
        self._from = 0  # where the current part begins in the text
        self._prefix = ""  # what re-opens a fence or repeats a table head in the current part
        self._part = 0
        self._status = ""
        self._ended = False
        self.done = False
        """Everything that may be shown was delivered."""
        self._visible: Show | None = None  # the current part as it was last delivered
        self._flight: _Plan | None = None
        self._frozen: _Plan | None = None  # a segment that may have arrived is sent again as it was
        self._start = now
        self._first_token = math.inf
        self._not_before = -math.inf

    # ------------------------------------------------------------ in

    def feed(self, token: str, now: float) -> None:
        if token:
            self._chunks.append(token)
            if self._first_token == math.inf:
                self._first_token = now

    def status(self, text: str) -> None:
        """What to say while there is no text yet."""
        self._status = text

    def end(self, note: str = "") -> None:
        """The answer is whole; ``note`` is a last paragraph of the bridge's own."""
        text = self._whole()
        if note:
            self._text = f"{closed(text)}\n\n{note}" if text.strip() else note
        self._ended = True

    # ------------------------------------------------------------ out

    @property
    def text(self) -> str:
        """The whole answer so far."""
        return self._whole()

    def rest(self) -> str:
        """The end of the text that the send budget did not allow."""
        return self._body() if self.done else ""

    def next(self, now: float) -> Show | None:
        self._delivered(now)
        if self.done:
            return None
        plan = self._plan()
        if plan is None or now < plan.when or plan.op == self._visible:
            return None
        self._flight = plan
        return plan.op

    @property
    def urgent(self) -> bool:
        """The operation handed out is one that the user waits for, no preview that could be left out."""
        return self._flight is not None and self._flight.when == AT_ONCE

    def failed(self, now: float, retry_after: float = 0.0) -> None:
        """The operation was not delivered. A preview waits so long; holding back a final is the caller's business."""
        if not self._live:
            self._frozen = self._flight
        self._flight = None
        self._not_before = max(self._not_before, now + retry_after)

    def vanished(self) -> None:
        """The operation was not delivered, because somebody has deleted the part: it is begun anew."""
        self._flight = self._visible = None
        self._lost.add(self._part)

    def wake_at(self) -> float:
        """When ``next`` may have something without another feed; inf = not before a feed or the end."""
        plan = None if self.done else self._plan()
        return math.inf if plan is None or plan.op == self._visible else plan.when

    # ------------------------------------------------------------ what the screen should show, and from when

    def _plan(self) -> _Plan | None:
        if not self._live:
            return self._frozen or self._segment()
        body = self._body()
        full = not self._fits(body)
        fresh = self._visible is None and (self._part >= self._there or self._part in self._lost)
        if full or self._ended:
            if fresh and body.strip():  # a part needs its place on the screen before its final text
                return _Plan(AT_ONCE, self._preview("", WAITING))
            return self._final(body, full)
        text = settled(body).strip()
        if text:
            first = self._first_token + FIRST_WAIT if fresh and len(body) < FIRST_WORDS else AT_ONCE
            if fresh:  # should this call be the only one to arrive, it must not look like the answer
                text = f"{text[:FIRST_WORDS].rstrip()}…"
            return _Plan(max(first, self._not_before), self._preview(text, ""))
        if self._part if self._visible is None else self._visible.text:
            return None
        return _Plan(max(self._start + STATUS_WAIT, self._not_before), self._preview("", self._status or WAITING))

    def _segment(self) -> _Plan | None:
        """The next message where messages cannot be changed."""
        body = self._body()
        if self._ended:
            return self._final(body, not self._fits(body))
        if self._sends - self._part <= 1 or len(body) < SEGMENT * 2**self._part:
            return None
        plan = self._final(body, full=True, fits=lambda piece: len(piece) < len(body) and self._fits(piece))
        return plan if plan.op.text.endswith(SENTENCE_ENDS) or self._text[plan.upto - 1] == "\n" else None

    def _preview(self, text: str, status: str) -> Show:
        return Show(part=self._part, text=text, status=status, buttons=self._buttons)

    def _final(self, body: str, full: bool, fits: Callable[[str], bool] | None = None) -> _Plan:
        piece = cut(self._text[self._from :], fits or self._fits, self._prefix) if full else None
        if piece is None:
            return _Plan(AT_ONCE, Show(part=self._part, text=body.strip(), final=True), len(self._text))
        show = Show(part=self._part, text=piece.shown.strip(), final=True)
        return _Plan(AT_ONCE, show, self._from + piece.used, piece.prefix)

    # ------------------------------------------------------------ state

    def _delivered(self, now: float) -> None:
        """The operation in flight, if any, has arrived."""
        plan, self._flight = self._flight, None
        if plan is not None:
            self._frozen = None
            if plan.op.final:
                self._from, self._prefix = plan.upto, plan.prefix
                self._part += 1
                self._visible = None
                self._not_before = -math.inf
            else:
                self._visible = plan.op
                self._not_before = max(self._not_before, now + self._interval)
        nothing_left = self._ended and not self._text[self._from :].strip()
        self.done = self._part >= self._sends or (self._part >= max(1, self._there) and nothing_left)

    def _whole(self) -> str:
        if self._chunks:
            self._text += "".join(self._chunks)
            self._chunks.clear()
        return self._text

    def _body(self) -> str:
        """The current part's text; without one, only what re-opens a fence would be left."""
        raw = self._whole()[self._from :]
        return self._prefix + raw if raw.strip() else raw
