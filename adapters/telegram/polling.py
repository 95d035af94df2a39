"""Updates by long polling.

Rules of this file:
- an update is confirmed (the next ``offset``) only after every event of its batch is committed. The library's own
  Updater confirms what is merely in memory, and a crash loses it;
- no cursor is kept: what is unconfirmed comes again and the store drops what it knows. A stored offset could swallow
  messages, because Telegram starts update ids anew after a quiet week;
- a token has one poller: of two, each takes messages from the other. We cannot end it, so we say it, and go on.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from adapters.telegram.account import Account
from adapters.telegram.api import Conflict
from adapters.telegram.intake import Intake
from adapters.telegram.rival import Rival
from adapters.telegram.updates import ALLOWED
from bridge.model import BridgeError, Fatal, Host, State

log = logging.getLogger(__name__)

POLL = 50
"""Seconds that a poll waits on the server."""
QUIET = 6 * 86400.0
"""Seconds without an update after which the offset is dropped: ids may start anew."""
CONFLICT = 3.0
"""Seconds between two polls while another program takes the messages."""
ALONE = 15.0
"""Seconds of polling undisturbed after which another program counts as gone."""


class Polling:
    """Brings updates to the intake."""

    def __init__(self, account: Account, intake: Intake, host: Host) -> None:
        self._account = account
        self._intake = intake
        self._host = host
        self._rival = Rival(account.bot, host)
        self._well = False
        self._polled = False
        self._since = 0.0
        self._conflicts = 0

    async def run(self) -> None:
        """Poll until cancelled. Raises Fatal when the token is not known any more."""
        offset, heard = 0, time.monotonic()
        while True:
            if time.monotonic() - heard > QUIET:
                offset = 0
            if updates := await self._poll(offset):
                heard = time.monotonic()
                if await self._taken(updates):
                    offset = max(int(update["update_id"]) for update in updates) + 1

    async def _poll(self, offset: int) -> list[dict[str, Any]]:
        """The first poll after a fault does not wait: it tells whether all is well again."""
        body: dict[str, Any] = {"timeout": POLL if self._well else 0, "allowed_updates": list(ALLOWED)}
        if offset:
            body["offset"] = offset
        try:
            updates: list[dict[str, Any]] = await self._account.api.call("getUpdates", body, timeout=POLL + 10.0)
        except Fatal:
            raise
        except Conflict as conflict:
            self._well = False
            await self._conflict(str(conflict))
        except BridgeError as error:
            self._well = False
            await self._host.failed(error)
        else:
            if not self._well:
                self._since = time.monotonic()
            self._well = self._polled = True
            self._conflicts = 0
            if time.monotonic() - self._since > ALONE:
                await self._rival.gone()
            self._account.connected()
            return updates
        return []

    async def _taken(self, updates: list[dict[str, Any]]) -> bool:
        """Hand a batch in. False = not all of it was committed, so nothing may be confirmed: it comes again."""
        results = await asyncio.gather(*map(self._intake.take, updates), return_exceptions=True)
        failed = [result for result in results if isinstance(result, BaseException)]
        if not failed:
            return True
        log.error("bot %s: %d of %d updates not taken in: %s", self._account.bot, len(failed), len(updates), failed[0])
        self._well = False
        await self._host.failed(BridgeError("what came could not be taken in; see the log"))
        return False

    # ------------------------------------------------------------ other programs

    async def _conflict(self, reason: str) -> None:
        self._conflicts += 1
        if "webhook" in reason.lower():
            await self._remove_webhook()
        else:
            detail = "another program polls with this bot's token: each takes messages from the other; stop one of them"
            self._host.state(State("connecting", detail))
            if await self._rival.seen("another program polled with this token"):
                log.error("bot %s: %s", self._account.bot, detail)
        await asyncio.sleep(CONFLICT)

    async def _remove_webhook(self) -> None:
        bot = self._account.bot
        if self._polled:  # else it may be our own, of the days of mode: webhook
            await self._rival.seen("another program set a webhook for this token")
        if self._conflicts == 1:
            log.warning("bot %s: a webhook is set for this token; it is removed, as mode is polling", bot)
        try:
            await self._account.call("deleteWebhook", {"drop_pending_updates": False})
        except BridgeError as error:
            log.warning("bot %s: the webhook was not removed: %s", bot, error)
