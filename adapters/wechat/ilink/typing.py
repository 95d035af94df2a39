"""The sign that an answer is being written.

Rules of this file:
- the sign needs a ticket of the user's, which is kept for an hour (the official client: a day) and asked for anew when
  it is refused;
- nobody misses the sign: but for RateLimited, which the bridge wants to know, a fault is a line for whoever debugs;
- the sign is never taken back. It fades by itself (the official client repeats it every 5 s), the bridge gives it only
  until the first words are there, and taking it back would cost a call of the same budget just when they are to go out.

Source: npm @tencent-weixin/openclaw-weixin 2.4.9 (getconfig, sendtyping).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import NamedTuple

from adapters.wechat.ilink.api import Api
from bridge.model import BridgeError, Exhausted, RateLimited, Rejected

log = logging.getLogger(__name__)

TYPING = 1
"""``status``; 2 would take the sign back."""
LASTS = 3600.0
"""Seconds that a ticket is kept."""
TIMEOUT = 10.0


class _Ticket(NamedTuple):
    value: str
    """Empty: this user has none."""
    until: float


class Typing:
    """The sign of one bot. ``clock`` gives seconds."""

    def __init__(self, api: Api, clock: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._clock = clock
        self._tickets: dict[str, _Ticket] = {}

    async def show(self, user: str, token: str) -> None:
        """Give the sign once; ``token`` is that of the question. Raises RateLimited and nothing else."""
        try:
            await self._show(user, token)
        except RateLimited:
            raise
        except BridgeError as error:
            log.debug("no typing: %s", error)

    async def _show(self, user: str, token: str) -> None:
        known = self._tickets.pop(user, None)
        if known is not None and self._clock() < known.until:
            try:
                await self._give(user, known)
            except (Rejected, Exhausted):
                pass  # it may be the ticket that is refused
            else:
                return
        answer = await self._api.call("getconfig", {"ilink_user_id": user, "context_token": token}, timeout=TIMEOUT)
        await self._give(user, _Ticket(str(answer.get("typing_ticket") or ""), self._clock() + LASTS))

    async def _give(self, user: str, ticket: _Ticket) -> None:
        """With a ticket that is taken, and then kept."""
        if ticket.value:
            body = {"ilink_user_id": user, "typing_ticket": ticket.value, "status": TYPING}
            await self._api.call("sendtyping", body, timeout=TIMEOUT)
        self._tickets[user] = ticket
