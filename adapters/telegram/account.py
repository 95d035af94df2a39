"""The bot's account, and the calls that belong to no answer.

Rules of this file:
- such a call is drawn from the bot's budget like any other; only the poll is not, because Telegram does not count it;
- what the bot cannot go on without is repeated until it succeeds.
"""

from __future__ import annotations

import logging
import math
from typing import Any

import msgspec

from adapters.telegram.api import Api, NotFound
from adapters.telegram.updates import TgUser
from bridge.model import BridgeError, Fatal, Host, Rejected, State

log = logging.getLogger(__name__)

TIMEOUT = 10.0
"""Seconds for one of these calls."""
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
        await self._host.spend("", durable, within)
        return await self.api.call(method, body, timeout=TIMEOUT)

    async def insist(self, method: str, body: dict[str, Any]) -> Any:
        """One call, repeated until it succeeds. Raises Fatal, Rejected, and NotFound before we are known."""
        while True:
            try:
                return await self.call(method, body)
            except (Fatal, Rejected):
                raise
            except BridgeError as error:
                if isinstance(error, NotFound) and not self.me.id:
                    raise
                await self._host.failed(error)

    def connected(self, detail: str = "") -> None:
        """All is well; ``detail`` says what is not quite."""
        self._host.state(State("connected", detail or f"@{self.me.username}"))

    async def offer_commands(self) -> None:
        """Set the command menus. Nobody misses them much: a failure is logged, no more."""
        for language, menu in COMMANDS.items():
            commands = [{"command": name, "description": text} for name, text in menu.items()]
            try:
                await self.call("setMyCommands", {"commands": commands, "language_code": language}, durable=False)
            except BridgeError as error:
                log.info("bot %s: the command menu was not set: %s", self.bot, error)
