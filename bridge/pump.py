"""Joins tokens, Presenter, call budget and Surface: one answer's way onto the screen.

Rules of this file:
- one call in flight, and always the newest text: whatever arrives during a call or a hold goes out with the next one;
- the pump is woken by its own timer, by the first token and by the end, never by each token: at 50 tokens a second that
  is most of what a peer spends;
- an operation that failed is asked for anew, so a final lands however long the platform refuses, and at once when it
  comes back;
- what would be there twice if it was sent twice is written down before it is sent. A file whose sending had no result
  is sent once more and then given up. A text never is: where it cannot be changed it is sent once more, and then kept
  for the user's next message.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable

import msgspec

from bridge.alarm import Alarm, Bell
from bridge.model import (
    BridgeError,
    Caps,
    Exhausted,
    Fatal,
    File,
    Gone,
    Overfull,
    RateLimited,
    Rejected,
    Show,
    Shown,
    Surface,
    Unreachable,
    Unsure,
    Vanished,
)
from bridge.pace import Budget
from bridge.present import Presenter

log = logging.getLogger(__name__)

SOON = 1e-6
BACKOFF = 0.5, 30.0
"""Seconds between tries while a platform cannot be reached: the first, the most."""
UNSURE_MOST = 300.0
"""The most where it was reached, and perhaps counts its calls."""
ONCE_MORE = 5.0
"""Seconds before a message that may have arrived, and cannot be changed, is sent for the last time."""
VANISHED_MOST = 3
"""How often parts of an answer are begun anew: whoever deletes more of them does not want it."""
FILES_MOST = 60.0
"""Seconds for all files of an answer: those that have not begun to be sent by then are left out."""
TYPING = 0.4, 4.5
"""Seconds of silence before the platform's own sign that something is coming, and before it is given again. Where
messages cannot be changed it is given at once."""


class Pump:
    """``kept(op, shown, text so far)`` is awaited after each call, before the next: it commits what a restart needs
    (``shown`` is None when the operation was given up). ``attempting(op, again)`` is awaited before a call that must
    not be made twice, and ``again`` when it may have arrived and is repeated; ``typing`` shows the platform's sign.
    ``back`` ends the pause after a call that failed."""

    def __init__(
        self,
        presenter: Presenter,
        surface: Surface,
        budget: Budget,
        back: Bell,
        chat: str,
        caps: Caps,
        *,
        kept: Callable[[Show, Shown | None, str], Awaitable[None]],
        attempting: Callable[[Show, bool], Awaitable[None]],
        typing: Callable[[], Awaitable[None]],
    ) -> None:
        self._presenter = presenter
        self._surface = surface
        self._budget = budget
        self._back = back
        self._chat = chat
        self._caps = caps
        self._kept = kept
        self._attempting = attempting
        self._typing = typing
        self._alarm = Alarm()
        self._clock = asyncio.get_running_loop().time
        self._type_at = self._clock() + (TYPING[0] if caps.live else 0.0) if caps.typing else math.inf
        self._idle = False  # asleep until something comes
        self._fed = False
        self._parked = False
        self._plain = False
        self._files_until = math.inf
        self._tries = 0
        self._vanished = 0
        self.withdrawn = False
        """Nobody wants this answer any more: what was deleted of it is not begun anew."""
        self._unsure = False  # the last call may have arrived

    @property
    def text(self) -> str:
        return self._presenter.text

    @property
    def thinking(self) -> str:
        return self._presenter.thinking

    def feed(self, token: str) -> None:
        self._presenter.feed(token, self._clock())
        if self._idle or not self._fed:
            self._fed = True
            self._alarm.ring()

    def think(self, token: str) -> None:
        self._presenter.think(token)
        if self._idle:
            self._alarm.ring()

    def status(self, text: str) -> None:
        self._presenter.status(text)
        if self._idle:
            self._alarm.ring()

    def end(self, note: str = "", files: tuple[File, ...] = ()) -> None:
        self._presenter.end(note, files)
        self._alarm.ring()

    def enough(self) -> None:
        self._presenter.enough()
        self._alarm.ring()

    def park(self) -> None:
        """Leave after the call in flight."""
        self._parked = True
        self._alarm.ring()

    async def run(self) -> bool:
        """Until everything is on the screen (True) or the pump was parked (False). Raises Rejected when the platform
        refuses the words even without formatting."""
        presenter = self._presenter
        while True:
            now = self._clock()
            op = presenter.next(now)
            if op is None and presenter.done:
                return True
            if self._parked:
                return False
            if op is None:
                await self._sleep(min(presenter.wake_at(), await self._type(now)))
                continue
            if op.files and self._too_late(now):
                await self._give_up(op)
                continue
            urgent = presenter.urgent
            wait = self._budget.take(self._chat, self._caps, now, durable=urgent)
            if wait <= 0.0:
                wait = await self._show(op)
            if wait > 0.0:
                now = self._clock()
                presenter.failed(now, wait)
                if urgent and wait < math.inf:
                    with self._back.wakes(self._alarm):
                        await self._alarm.sleep(now + wait)

    async def _sleep(self, until: float) -> None:
        self._idle = self._presenter.resting
        await self._alarm.sleep(until)
        self._idle = False

    def _too_late(self, now: float) -> bool:
        """Have the files of this answer had their time? The next question waits behind them."""
        self._files_until = min(self._files_until, now + FILES_MOST)
        return now >= self._files_until

    async def _type(self, now: float) -> float:
        """Give the platform's sign while nothing can be seen; says when it is due again."""
        if not self._presenter.expecting:
            return math.inf
        if now >= self._type_at:
            wait = self._budget.take(self._chat, self._caps, now, durable=False)
            self._type_at = now + (wait or TYPING[1])
            if wait <= 0.0:
                try:
                    await self._typing()
                except RateLimited as limit:
                    self._budget.hold(self._chat, self._clock(), limit.retry_after, whole_bot=limit.whole_bot)
        return self._type_at

    async def _show(self, op: Show) -> float:
        """Make the call. 0 = it arrived, else it did not: seconds to wait before the next."""
        again = self._unsure or self._presenter.again
        if self._plain or again:
            op = msgspec.structs.replace(op, plain=self._plain, again=again)
        try:
            if self._presenter.once:
                await self._attempting(op, False)
            shown = await self._surface.show(op)
            while shown.staged:
                self._spent(shown.calls)
                await self._kept(op, shown, self._presenter.text)
                if self._parked:
                    return SOON
                shown = await self._surface.show(op)
        except BridgeError as error:
            self._spent(error.calls - 1)
            return await self._failed(op, error)
        self._tries, self._unsure = 0, False
        self._spent(shown.calls - 1)
        await self._kept(op, shown, self._presenter.text)
        return 0.0

    def _spent(self, calls: int) -> None:
        """Calls beyond the one that was drawn from the budget."""
        self._budget.spent(self._chat, self._clock(), calls)

    async def _failed(self, op: Show, error: BridgeError) -> float:
        """What to do about a call that did not arrive, as far as we know: seconds to wait before the next."""
        match error:
            case RateLimited():
                self._budget.hold(self._chat, self._clock(), error.retry_after, whole_bot=error.whole_bot)
                return error.retry_after
            case Vanished():
                self._vanished += 1
                if self.withdrawn or self._vanished > VANISHED_MOST:
                    raise Gone(str(error))
                self._presenter.vanished()
                return SOON
            case Exhausted():
                log.warning("chat %s: %s", self._chat, error)
                self._presenter.exhausted()
                return SOON
            case Unreachable() | Unsure() | Fatal():
                return await self._again(op, error)
            case Rejected() if not isinstance(error, Gone):
                return await self._rejected(op, error)
        raise error

    async def _again(self, op: Show, error: BridgeError) -> float:
        """An edit may be repeated at will, and a send that did arrive was only a preview: Unsure needs no more care
        where messages can be changed. Fatal is the operator's to mend; the answer waits for that."""
        if isinstance(error, Unsure) and self._presenter.once:
            if op.files and self._unsure:
                log.warning("chat %s: a file is given up: %s", self._chat, error)
                return await self._give_up(op)
            if op.again and not self._caps.live:  # one time more is all that may be (DESIGN 3.4)
                log.warning("chat %s: a message is kept for the next one: %s", self._chat, error)
                self._presenter.exhausted()
                return SOON
            self._unsure = True
            await self._attempting(op, True)
            self._presenter.place_first()
        self._tries += 1
        if self._tries in (1, 10, 100):
            log.warning("chat %s: %s (try %d)", self._chat, error, self._tries)
        first, most = BACKOFF
        most = most if isinstance(error, Unreachable) else max(most, UNSURE_MOST)
        wait = min(most, first * 2.0 ** min(self._tries - 1, 10))
        return max(wait, ONCE_MORE) if self._unsure and not self._caps.live else wait

    async def _rejected(self, op: Show, error: Rejected) -> float:
        """Less of it, or without formatting. Raises the error when that was refused, too."""
        if isinstance(error, Overfull) and self._presenter.overfull():
            log.warning("chat %s: a part is too big and is cut: %s", self._chat, error)
            return SOON
        if op.files:  # the text has its address
            log.warning("chat %s: the platform rejects a file: %s", self._chat, error)
            return await self._give_up(op)
        if self._plain and (op.final or not op.text):
            raise error
        if self._plain:
            return math.inf  # no more previews; the final may still be taken
        log.warning("chat %s: the platform rejects the formatted text (%s); sent plain", self._chat, error)
        self._plain = True
        return SOON

    async def _give_up(self, op: Show) -> float:
        """Go on without this operation: it counts as delivered."""
        self._tries, self._unsure = 0, False
        await self._kept(op, None, self._presenter.text)
        return 0.0
