"""The bot's account, and the calls that belong to no answer.

Rules of this file:
- such a call is drawn from the bot's budget like any other; only the poll is not, because Telegram does not count it;
- what the bot cannot go on without is repeated until it succeeds. The operator is told of the first failure in a row,
  of the tenth and of the hundredth, and /readyz shows the last.
"""

from __future__ import annotations

import asyncio
import logging
import math
from typing import Any

import msgspec

from adapters.telegram.api import Api, NotFound
from adapters.telegram.updates import TgUser
from bridge.model import BridgeError, Fatal, Host, RateLimited, Rejected, State

log = logging.getLogger(__name__)

TIMEOUT = 10.0
"""Seconds for one of these calls."""
BACKOFF = 1.0, 30.0
TOLD = (1, 10, 100)
"""Which failures in a row are logged."""
COMMANDS = {
    "": {"new": "New conversation", "stop": "Stop the answer", "retry": "Ask again", "help": "Help"},
    "zh": {"new": "新对话", "stop": "停止回答", "retry": "重新回答", "help": "帮助"},
}
"""Language -> the menu."""


class Account:
    """``me`` is known after ``connect``."""

    def __init__(self, bot: str, api: Api, host: Host) -> None:
        self.bot = bot
        self.api = api
        self.me = TgUser(0)
        self._host = host
        self._failures = 0

    async def connect(self) -> None:
        """Learn who we are, however long it takes. Raises Fatal when the token or ``api_base`` is wrong."""
        self._host.state(State("connecting"))
        try:
            self.me = msgspec.convert(await self.insist("getMe", {}), TgUser)
        except NotFound as error:
            raise Fatal(str(error)) from None

    async def call(self, method: str, body: dict[str, Any], *, durable: bool = True, within: float = math.inf) -> Any:
        """One call, when the budget has room for it. Raises what Api.call raises, and RateLimited when there will be
        no room ``within`` so many seconds."""
        while wait := await self._host.spend("", durable):
            within -= wait
            if within < 0:
                raise RateLimited(wait, "the bot's own budget has no room for it")
            await asyncio.sleep(wait)
        return await self.api.call(method, body, timeout=TIMEOUT)

    async def insist(self, method: str, body: dict[str, Any]) -> Any:
        """One call, repeated until it succeeds. Raises Fatal, Rejected, and NotFound before we are known."""
        while True:
            try:
                result = await self.call(method, body)
            except (Fatal, Rejected):
                raise
            except BridgeError as error:
                if isinstance(error, NotFound) and not self.me.id:
                    raise
                await self.failed(error)
            else:
                self._failures = 0
                return result

    async def failed(self, error: BridgeError) -> None:
        """A call that the bot needs has failed: say so, and wait until it may be tried again."""
        self._host.state(State("connecting", str(error)))
        if isinstance(error, RateLimited):
            await asyncio.sleep(error.retry_after)
            return
        self._failures += 1
        if self._failures in TOLD:
            log.warning("bot %s: %s (try %d)", self.bot, error, self._failures)
        await asyncio.sleep(BACKOFF[1] if isinstance(error, NotFound) else backoff(self._failures))

    def connected(self, detail: str = "") -> None:
        """All is well; ``detail`` says what is not quite."""
        self._failures = 0
        self._host.state(State("connected", detail or f"@{self.me.username}"))

    async def offer_commands(self) -> None:
        """Set the command menus. Nobody misses them much: a failure is logged, no more."""
        for language, menu in COMMANDS.items():
            commands = [{"command": name, "description": text} for name, text in menu.items()]
            try:
                await self.call("setMyCommands", {"commands": commands, "language_code": language}, durable=False)
            except BridgeError as error:
                log.info("bot %s: the command menu was not set: %s", self.bot, error)


def backoff(failures: int) -> float:
    """Seconds to wait after so many failures in a row."""
    first, most = BACKOFF
    return min(most, first * 2.0 ** min(failures - 1, 10))
