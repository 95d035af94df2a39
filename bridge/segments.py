"""An answer where messages cannot be changed (WeChat): it comes in a few of them.

Rules of this file, beside those of present.py:
- a part is one Show, and once it is out it stays: ``sent`` is what a restart must know of it. Another attempt at the
  answer that begins with the same words goes on behind them; one that does not begins anew, and says so;
- a message goes out when a paragraph or sentence is over and there is enough for one: more each time, because the user
  waits for the first and reads the others. Nothing is cut within a code block or a table but what is too long for one
  message;
- of a limited number of messages (``Caps.sends``), the last waits for the end and carries all that is left. What does
  not fit is ``rest()``, and the message says how to get it;
- so it is with what comes after ``until``, or when the platform takes no more;
- until ``reply_until`` the request that brought the question waits for its response: only a whole answer goes out.
  Where there is no other message, what is there goes out just before;
- the rest of an earlier answer (``owed``) comes first, in messages of its own;
- what may have arrived is sent again as it was.
"""

from __future__ import annotations

import math

from bridge.answer import Sent, Tried
from bridge.markdown import cut
from bridge.model import Caps, Show
from bridge.present import AT_ONCE, Plan, Presenter

SEGMENT = 120
"""Characters worth a message of their own; doubles with each one sent."""
LOOK = 0.5
"""Seconds between two looks at a growing text."""
BEFORE = 0.4
"""Seconds before ``reply_until`` at which a response that is the only message goes out as it is."""
IDLE = 3.0
"""Seconds without more text after which less is worth a message."""


class Segments(Presenter):
    """``parts`` and ``filed`` files are with the user already, and stand for the text ``sent`` (an earlier attempt at
    this answer); ``tried`` is a message that may be. ``until`` is when the platform stops taking messages, ``more``
    says how to get the rest, ``anew`` that the answer begins once more."""

    def __init__(
        self,
        caps: Caps,
        *,
        parts: int = 0,
        filed: int = 0,
        sent: Sent = Sent(),  # noqa: B008 - immutable
        tried: Tried | None = None,
        owed: str = "",
        reply_until: float = -math.inf,
        until: float = math.inf,
        more: str = "",
        anew: str = "",
    ) -> None:
        super().__init__(caps, filed=filed, owed=owed, sent=sent, anew=anew)
        self._sends = math.inf if caps.sends is None else caps.sends
        self._part = parts
        self._tried = tried
        self._reply_until = reply_until
        self._until = until
        self._more = more
        self._frozen: Plan | None = None  # it may have arrived
        self._grew = self._looked = self._not_before = -math.inf

    def feed(self, token: str, now: float) -> None:
        super().feed(token, now)
        self._grew = now

    @property
    def sent(self) -> Sent:
        plan = self._flight
        if self._tried is not None:
            return self._tried.sent
        if self._sent.text:
            return self._sent
        if plan is None or plan.op.files:
            return Sent(self._text[: self._from], self._prefix)
        return Sent(self._text[: plan.upto], plan.prefix)

    def next(self, now: float) -> Show | None:
        self._looked = now
        if now >= self._until:
            self._delivered(now)
            self.exhausted()
        return super().next(now)

    @property
    def expecting(self) -> bool:
        return not (self._ended or self._closed)

    @property
    def once(self) -> bool:
        return self._flight is not None

    @property
    def again(self) -> bool:
        return self._tried is not None

    def failed(self, now: float, retry_after: float = 0.0) -> None:
        self._flight = None
        self._not_before = now + retry_after

    def place_first(self) -> None:
        """It is sent again as it was."""
        if self._flight and not self._flight.op.files:
            self._frozen = self._flight

    def overfull(self) -> bool:
        self._frozen = self._tried = None  # a refusal says that it is not there
        return super().overfull()

    def exhausted(self) -> None:
        self._frozen = None
        super().exhausted()

    def wake_at(self) -> float:
        """A look now and then while the text grows: a ring for each token would cost more than all of this."""
        if self.done or self._closed:
            self.resting = False
            return math.inf
        if plan := self._plan(self._looked):
            self.resting = False
            return plan.when
        self.resting = self._looked - self._grew > IDLE
        look = math.inf if self.resting else self._looked + LOOK
        due = (at for at in (self._reply_until - BEFORE, self._reply_until) if at > self._looked)
        return min([look, *due])

    # ------------------------------------------------------------ what to send next

    def _plan(self, now: float) -> Plan | None:
        if self._frozen is not None:
            return self._frozen
        if self._tried is not None:
            return Plan(AT_ONCE, Show(part=self._part, text=self._tried.text, final=True))
        if not self._caught_up():
            return None
        left = self._left()
        if not left.strip():
            return self._file(self._not_before) if self._ended and self._files[self._filed :] else None
        last = self._sends - self._part - self._filed <= 1
        if now < self._reply_until and not self._ended:
            only = last and now >= self._reply_until - BEFORE
            return self._early(f"\n\n{self._more}") if only else None
        if self._from < self._lead and not last:
            return self._piece(self._text[self._from : self._lead])
        if self._ended or last:
            return self._end(last) if self._ended else None
        if not self._fits(self._prefix + left):
            return self._piece(left)
        enough = SEGMENT if now - self._grew >= IDLE else SEGMENT * 2**self._part
        return self._early() if len(left) >= enough else None

    def _end(self, last: bool) -> Plan:
        left, note = self._left(), f"\n\n{self._more}"
        whole = not last or self._fits(self._prefix + left)
        piece = None if whole else cut(left, lambda text: self._fits(text + note), self._prefix)
        if piece is None:
            return self._piece(left)
        return self._message(piece.shown + note, piece.used, piece.prefix)

    def _piece(self, text: str) -> Plan:
        """As much of the text as one message holds."""
        piece = cut(text, self._fits, self._prefix)
        if piece is None:
            return self._message(self._prefix + text, len(text), "")
        return self._message(piece.shown, piece.used, piece.prefix)

    def _early(self, note: str = "") -> Plan | None:
        """What can be sent of a text that still grows, and ``note`` behind it."""
        piece = self._settled_piece(lambda text: self._fits(text + note))
        return self._message(piece.shown + note, piece.used, "") if piece else None

    def _message(self, text: str, used: int, prefix: str) -> Plan:
        op = Show(part=self._part, text=text.strip(), final=True)
        return Plan(AT_ONCE, op, self._from + used, prefix)

    # ------------------------------------------------------------ state

    def _delivered(self, now: float) -> None:
        delivered = self._flight is not None
        super()._delivered(now)
        if delivered:
            self._frozen = None
            if self._tried is not None:
                self._sent, self._tried = self._tried.sent, None
        used_up = self._closed or self._part + self._filed >= self._sends
        told = self._caught_up() and not self._left().strip() and self._filed >= len(self._files)
        self.done = self._ended and (used_up or told)
