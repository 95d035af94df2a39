"""What to show when: tokens and the clock in, Show operations out.

Rules of this file (sans-IO, as h11 does it): no clock, no asyncio, no platform.

The caller's loop: ``next(now)`` gives an operation or None. The operation counts as delivered when ``next`` is called
again, unless ``failed`` was called in between. After None, nothing happens before ``wake_at()`` or another feed.

Laws, each a property in tests/test_present.py:
- no text is lost or doubled over the parts and ``rest()``; every Show fits; nothing comes after the last final;
- every part ends final. Where a part's first preview is the message that its final text changes (``places``), that
  Show is a status line or its first words, never its final text, unless it can be repeated (``idempotent``): a crash
  between that call and the commit of its id leaves an orphan, not a second answer. Where it is not, a final is a
  message of its own, and so is a file: ``once`` tells the caller to write down that it is about to be sent. Where parts
  cannot be changed, a part is one Show;
- previews keep their distance (bridge.rhythm), a final goes at once; an unchanged text is shown again only to keep it
  on the screen (``lasts``);
- where a preview is the beginning of the next one (``grows``), nothing is put behind its text;
- files come after the text, each a part of its own;
- the send budget is kept, and ``rest()`` is what it did not allow;
- an empty answer still ends with one final Show;
- it terminates under any pattern of failures.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from bridge.markdown import closed, cut, settled
from bridge.model import Button, Caps, File, Show
from bridge.reasoning import Reasoning
from bridge.rhythm import Rhythm

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
LEAST = 200
"""Characters that a platform must take in one part: below it a text is refused for what it says, not for its size."""


class _Plan(NamedTuple):
    """What to show next and from when; delivered, a final moves the beginning of the next part to ``upto``."""

    when: float
    op: Show
    upto: int = 0
    prefix: str = ""


class Presenter:
    """One answer on its way to one screen.

    ``shown`` parts are on the screen already (an earlier attempt at this answer): they are changed, not sent anew; and
    so are ``filed`` of its files.
    """

    def __init__(
        self, caps: Caps, now: float, *, shown: int = 0, filed: int = 0, buttons: tuple[Button, ...] = ()
    ) -> None:
        self._fits: Callable[[str], bool] = caps.fits
        self._grows = caps.grows
        self._live = caps.live
        self._places = caps.places
        self._idempotent = caps.idempotent
        self._interval = caps.interval
        self._silent = caps.interval == math.inf
        self._rhythm = Rhythm(caps)
        self._lasts = caps.lasts
        self._sends = math.inf if caps.sends is None else caps.sends
        self._buttons = buttons
        self._there = shown
        self._filed = filed
        self._files: tuple[File, ...] = ()
        self._lost: set[int] = set()
        self._chunks: list[str] = []
        self._text = ""
        self._from = 0  # where the current part begins in the text
        self._prefix = ""  # what re-opens a fence or repeats a table head in the current part
        self._part = 0
        self._status = ""
        self._reasoning = Reasoning(caps.fits)
        self._ended = False
        self.done = False
        """Everything that may be shown was delivered."""
        self._visible: Show | None = None  # the current part as it was last delivered
        self._fades = math.inf  # when it has to be shown again
        self.resting = False
        """After ``wake_at``: what there is to show is on the screen, and the next token is news."""
        self._flight: _Plan | None = None
        self._frozen: _Plan | None = None  # a segment that may have arrived is sent again as it was
        self._start = now
        self._first_token = math.inf
        self._shown_at = -math.inf  # the last preview
        self._next_at = -math.inf  # the next one, by the rhythm
        self._not_before = -math.inf  # any one, after a failure

    # ------------------------------------------------------------ in

    def feed(self, token: str, now: float) -> None:
        if token:
            self._chunks.append(token)
            if self._first_token == math.inf:
                self._first_token = now

    def status(self, text: str) -> None:
        """What to say while there is no text yet."""
        self._status = text

    def think(self, token: str) -> None:
        """More of the reasoning; it stands above the first part."""
        self._reasoning.feed(token)

    @property
    def thinking(self) -> str:
        """The end of the reasoning, as it is shown."""
        return self._reasoning.shown

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
        return self._whole()

    def rest(self) -> str:
        """The end of the text that the send budget did not allow."""
        return self._body() if self.done else ""

    def next(self, now: float) -> Show | None:
        self._delivered(now)
        if self.done:
            return None
        plan = self._plan()
        if plan is None or now < plan.when or (plan.op == self._visible and now < self._fades):
            return None
        self._flight = plan
        return plan.op

    @property
    def blank(self) -> bool:
        """Nothing of the answer is on the screen."""
        return self._visible is None and not self._part and not self._there

    @property
    def once(self) -> bool:
        """The operation handed out leaves something that cannot be changed any more: sent twice, it is there twice."""
        plan = self._flight
        if plan is None or not plan.op.final:
            return False
        fresh = plan.op.part >= self._there or plan.op.part in self._lost
        return bool(plan.op.files) or not self._live or (fresh and not (self._places or self._idempotent))

    def place_first(self) -> None:
        """The operation may have arrived. It is not sent blindly again: from now on each part gets a place that can be
        changed before its final text, however often that takes."""
        self._places = self._live

    @property
    def urgent(self) -> bool:
        """The operation handed out is one that the user waits for, no preview that could be left out."""
        return self._flight is not None and self._flight.when == AT_ONCE and not self._flight.op.files

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

    def overfull(self) -> bool:
        """The operation was not delivered, because its text is more than the platform takes: this part and the next
        ones get less. False when there is no less."""
        most = len(self._flight.op.text) * 3 // 4 if self._flight else 0
        if most < LEAST:
            return False
        fits, self._flight = self._fits, None
        self._fits = lambda text: len(text) <= most and fits(text)
        return True

    def wake_at(self) -> float:
        """When ``next`` may have something without another feed; inf = not before a feed or the end."""
        plan = None if self.done else self._plan()
        self.resting = (plan is None or plan.op == self._visible) and not self._silent
        if plan is None:
            return math.inf
        return max(plan.when, self._fades) if plan.op == self._visible else plan.when

    # ------------------------------------------------------------ what the screen should show, and from when

    def _plan(self) -> _Plan | None:
        body = self._body()
        if self._told and self._files[self._filed :]:
            file = self._files[self._filed]
            op = Show(part=self._part + self._filed, files=(file,), final=True)
            return _Plan(self._not_before, op, len(self._text))
        if not self._live:
            return self._frozen or self._segment()
        full = not self._fit(body)
        fresh = self._visible is None and (self._part >= self._there or self._part in self._lost)
        if full or self._ended:
            if fresh and self._cautious and body.strip():  # a part needs its place on the screen before its final text
                return _Plan(AT_ONCE, self._preview("", WAITING))
            return self._final(body, full)
        if self._silent:
            return None
        text = settled(body).strip()
        if text:
            if not self._fit(text):
                return None  # what closes a fence is too long: the rest of the part comes with its end
            first = self._first_token + FIRST_WAIT if fresh and len(body) < FIRST_WORDS else AT_ONCE
            if fresh and self._cautious:  # should this call be the only one to arrive, it must not look like the answer
                text = text[:FIRST_WORDS].rstrip() + ("" if self._grows else "…")
            wordless = self._visible is not None and not self._visible.text
            due = self._shown_at + self._interval if wordless else self._next_at
            return _Plan(max(first, due, self._not_before), self._preview(text, ""))
        if self._visible is None and not (fresh and self._part == 0):
            return None  # a later part, or one that shows what an earlier process has brought
        if self._visible is not None and self._visible.text:
            return None
        due = max(self._start + STATUS_WAIT, self._next_at, self._not_before)
        return _Plan(due, self._preview("", self._status or WAITING))

    def _segment(self) -> _Plan | None:
        """The next message where messages cannot be changed."""
        body = self._body()
        if self._ended:
            return self._final(body, not self._fit(body))
        if self._sends - self._part <= 1 or len(body) < SEGMENT * 2**self._part:
            return None
        plan = self._final(body, full=True, fits=lambda piece: len(piece) < len(body) and self._fits(piece))
        return plan if plan.op.text.endswith(SENTENCE_ENDS) or self._text[plan.upto - 1] == "\n" else None

    def _preview(self, text: str, status: str) -> Show:
        return Show(part=self._part, text=text, status=status, thinking=self._thought(), buttons=self._buttons)

    def _final(self, body: str, full: bool, fits: Callable[[str], bool] | None = None) -> _Plan:
        piece = cut(self._text[self._from :], fits or self._fit, self._prefix) if full else None
        text, upto, prefix = (
            (piece.shown, self._from + piece.used, piece.prefix) if piece else (body, len(self._text), "")
        )
        return _Plan(
            AT_ONCE, Show(part=self._part, text=text.strip(), thinking=self._thought(), final=True), upto, prefix
        )

    def _thought(self) -> str:
        return "" if self._part else self._reasoning.shown

    def _fit(self, text: str) -> bool:
        """Does the text fit into the current part, beside the reasoning?"""
        return self._fits(self._reasoning.quoted + text if not self._part else text)

    @property
    def _cautious(self) -> bool:
        return self._places and not self._idempotent

    # ------------------------------------------------------------ state

    def _delivered(self, now: float) -> None:
        """The operation in flight, if any, has arrived."""
        plan, self._flight = self._flight, None
        if plan is not None:
            self._frozen = None
            if plan.op.files:
                self._filed += 1
            elif plan.op.final:
                self._from, self._prefix = plan.upto, plan.prefix
                self._part += 1
                self._visible = None
                self._fades = math.inf
                self._next_at = self._not_before = -math.inf
            else:
                self._visible = plan.op
                self._fades = now + self._lasts
                self._shown_at = now
                self._next_at = now + (self._rhythm.shown() if plan.op.text else self._rhythm.wordless())
        used_up = self._part + self._filed >= self._sends
        self.done = used_up or (self._told and self._filed >= len(self._files))

    @property
    def _told(self) -> bool:
        """All of the text is on the screen."""
        return self._ended and self._part >= max(1, self._there) and not self._whole()[self._from :].strip()

    def _whole(self) -> str:
        if self._chunks:
            self._text += "".join(self._chunks)
            self._chunks.clear()
        return self._text

    def _body(self) -> str:
        """The current part's text; without one, only what re-opens a fence would be left."""
        raw = self._whole()[self._from :]
        return self._prefix + raw if raw.strip() else raw
