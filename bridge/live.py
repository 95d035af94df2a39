"""An answer where messages can be changed: it grows on the screen.

Rules of this file, beside those of present.py:
- where a part's first preview is the message that its final text changes (``places``), that Show is a status line or
  its first words, never its final text, unless it can be repeated (``idempotent``): a crash between that call and the
  commit of its id leaves an orphan, not a second answer. Where it is not, a final is a message of its own, and so is a
  file: ``once`` tells the caller to write down that it is about to be sent;
- previews keep their distance (bridge.rhythm), a final goes at once; an unchanged text is shown again only to keep it
  on the screen (``lasts``);
- a part that cannot be changed for ever (``part_lasts``) is ended in time, and the answer goes on in a next one. Its
  end is final: another attempt goes on behind it;
- where a preview is the beginning of the next one (``grows``), nothing is put behind its text;
- an empty answer still ends with one final Show.
"""

from __future__ import annotations

import math

from bridge.answer import Sent
from bridge.markdown import cut, settled
from bridge.model import Button, Caps, Show
from bridge.present import AT_ONCE, Plan, Presenter
from bridge.reasoning import Reasoning
from bridge.rhythm import Rhythm

FIRST_WORDS = 40
"""Characters worth a first preview, and all that it shows."""
FIRST_WAIT = 0.5
"""Seconds that a first preview waits for its first words."""
STATUS_WAIT = 1.0
"""Seconds of silence after which a status line says that the question has arrived."""
WAITING = "…"


class Live(Presenter):
    """``shown`` parts are on the screen already (an earlier attempt at this answer): they are changed, not sent anew;
    and so are ``filed`` of its files."""

    def __init__(
        self,
        caps: Caps,
        now: float,
        *,
        shown: int = 0,
        filed: int = 0,
        owed: str = "",
        sent: Sent = Sent(),  # noqa: B008 - immutable
        anew: str = "",
        buttons: tuple[Button, ...] = (),
    ) -> None:
        super().__init__(caps, filed=filed, owed=owed, sent=sent, anew=anew)
        self._part = sent.parts
        self._done_with = sent
        self._grows = caps.grows
        self._places = caps.places
        self._idempotent = caps.idempotent
        self._interval = caps.interval
        self._silent = caps.interval == math.inf
        self._rhythm = Rhythm(caps)
        self._lasts = caps.lasts
        self._part_lasts = caps.part_lasts
        self._buttons = buttons
        self._there = shown
        self._lost: set[int] = set()
        self._status = ""
        self._reasoning = Reasoning(caps.fits)
        self._visible: Show | None = None  # the current part as it was last delivered
        self._fades = math.inf  # when it has to be shown again
        self._expires = math.inf  # when the current part has to end
        self._start = now
        self._first_token = math.inf
        self._shown_at = -math.inf  # the last preview
        self._next_at = -math.inf  # the next one, by the rhythm
        self._not_before = -math.inf  # any one, after a failure

    # ------------------------------------------------------------ in

    def feed(self, token: str, now: float) -> None:
        super().feed(token, now)
        if token and self._first_token == math.inf:
            self._first_token = now

    def status(self, text: str) -> None:
        self._status = text

    def think(self, token: str) -> None:
        """It stands above the first part."""
        self._reasoning.feed(token)

    @property
    def thinking(self) -> str:
        return self._reasoning.shown

    # ------------------------------------------------------------ out

    @property
    def expecting(self) -> bool:
        return self._visible is None and not self._part and not self._there

    @property
    def sent(self) -> Sent:
        plan = self._flight
        if self._part_lasts == math.inf or plan is None or plan.op.files or not plan.op.final:
            return self._done_with
        return Sent(self._text[: plan.upto], plan.prefix, plan.op.part + 1)

    @property
    def once(self) -> bool:
        plan = self._flight
        if plan is None or not plan.op.final:
            return False
        fresh = plan.op.part >= self._there or plan.op.part in self._lost
        return bool(plan.op.files) or (fresh and not (self._places or self._idempotent))

    def place_first(self) -> None:
        """From now on each part gets a place that can be changed before its final text, however often that takes."""
        self._places = True

    def failed(self, now: float, retry_after: float = 0.0) -> None:
        self._flight = None
        self._not_before = max(self._not_before, now + retry_after)

    def vanished(self) -> None:
        super().vanished()
        self._visible = None
        self._expires = math.inf
        self._lost.add(self._part)

    def wake_at(self) -> float:
        plan = None if self.done or self._closed else self._plan(-math.inf)
        self.resting = (plan is None or plan.op == self._visible) and not self._silent
        if plan is None:
            return self._expires
        due = max(plan.when, self._fades) if plan.op == self._visible else plan.when
        return min(due, self._expires)

    # ------------------------------------------------------------ what the screen should show, and from when

    def _stands(self, op: Show, now: float) -> bool:
        return op == self._visible and now < self._fades

    def _plan(self, now: float) -> Plan | None:
        if not self._caught_up():
            return None
        body = self._body()
        if self._told and self._files[self._filed :]:
            return self._file(self._not_before)
        full = not self._fit(body)
        if now >= self._expires and not full and not self._ended:
            return self._leave()
        fresh = self._visible is None and (self._part >= self._there or self._part in self._lost)
        if full or self._ended:
            if fresh and self._cautious and body.strip():  # a part needs its place on the screen before its final text
                return Plan(AT_ONCE, self._preview("", WAITING))
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
            return Plan(max(first, due, self._not_before), self._preview(text, ""))
        if self._visible is None and not (fresh and self._part == 0):
            return None  # a later part, or one that shows what an earlier process has brought
        if self._visible is not None and self._visible.text:
            return None
        due = max(self._start + STATUS_WAIT, self._next_at, self._not_before)
        return Plan(due, self._preview("", self._status or WAITING))

    def _preview(self, text: str, status: str) -> Show:
        return Show(part=self._part, text=text, status=status, thinking=self._thought(), buttons=self._buttons)

    def _final(self, body: str, full: bool) -> Plan:
        piece = cut(self._left(), self._fit, self._prefix) if full else None
        text, upto, prefix = (
            (piece.shown, self._from + piece.used, piece.prefix) if piece else (body, len(self._text), "")
        )
        op = Show(part=self._part, text=text.strip(), thinking=self._thought(), final=True)
        return Plan(AT_ONCE, op, upto, prefix)

    def _leave(self) -> Plan:
        """End the part at the end of a sentence. Where there is none, all of its text goes into the next one."""
        text, used, prefix = self._settled_piece(self._fit) or ("", 0, self._prefix)
        status = "" if text else self._status or WAITING
        op = Show(part=self._part, text=text.strip(), status=status, thinking=self._thought(), final=True)
        return Plan(AT_ONCE, op, self._from + used, prefix)

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
        plan, self._done_with = self._flight, self.sent
        super()._delivered(now)
        if plan is not None and not plan.op.files:
            if plan.op.final:
                self._visible = None
                self._fades = self._expires = math.inf
                self._next_at = self._not_before = -math.inf
            else:
                if self._visible is None:
                    self._expires = now + self._part_lasts
                self._visible = plan.op
                self._fades = now + self._lasts
                self._shown_at = now
                self._next_at = now + (self._rhythm.shown() if plan.op.text else self._rhythm.wordless())
        self.done = self._ended and (self._closed or (self._told and self._filed >= len(self._files)))

    @property
    def _told(self) -> bool:
        """All of the text is on the screen."""
        return self._ended and self._part >= max(1, self._there) and not self._left().strip()
