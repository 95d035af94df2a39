"""Who the bot is: the login that ``fastgpt-bridge login`` leaves in the store.

Rules of this file:
- a login is made by another process, on the same store: whoever waits for one looks there;
- a login that has ended is no error but a state, which /readyz shows and only the operator can end. It is tried again
  once an hour all the same: the official client pauses for as long, and -14 may have been theirs to put right.

Source: npm @tencent-weixin/openclaw-weixin 2.4.9; its issues #69 and #8 (a login elsewhere ends this one).
"""

from __future__ import annotations

import asyncio
import logging
import math
import time

import msgspec

from adapters.wechat.ilink.api import Api, Credentials
from bridge.model import Host, State

log = logging.getLogger(__name__)

KEY = "credentials"
LOOK = 2.0
"""Seconds between two looks into the store."""
AGAIN = 3600.0
"""Seconds after which a login that has ended is tried again."""


class Account:
    """``api.credentials`` are there after ``connect``."""

    def __init__(self, bot: str, api: Api, host: Host) -> None:
        self.bot = bot
        self.api = api
        self._host = host

    @property
    def fix(self) -> str:
        """What the operator does when a login is needed."""
        return f"run: fastgpt-bridge login {self.bot}"

    @property
    def bot_id(self) -> str:
        """``xxx@im.bot``; empty while nobody is logged in."""
        return self.api.credentials.bot_id if self.api.credentials else ""

    async def stored(self) -> Credentials | None:
        """The last login, if there was one."""
        row = await self._host.load(KEY)
        return msgspec.json.decode(row, type=Credentials) if row else None

    async def keep(self, credentials: Credentials) -> None:
        """Make this the bot's login, for whoever runs on the store. It is durable on return."""
        self.api.credentials = msgspec.structs.replace(credentials, at=time.time())
        await self._host.save(KEY, msgspec.json.encode(self.api.credentials))

    async def connect(self) -> None:
        """Take the login from the store, however long it takes until there is one."""
        self._host.state(State("connecting"))
        self.api.credentials = await self.stored()
        if self.api.credentials is None:
            self._tell("nobody is logged in")
            self.api.credentials = await self._news(None, math.inf)

    async def expired(self) -> None:
        """WeChat has ended the login: wait for another one, or until this one may be tried again."""
        self._tell("WeChat has ended the login, perhaps because another program has logged in")
        self.api.credentials = await self._news(self.api.credentials, AGAIN)

    async def _news(self, known: Credentials | None, within: float) -> Credentials | None:
        """The stored login, as soon as it is not the ``known`` one, at the latest ``within`` so many seconds."""
        until = time.monotonic() + within
        while True:
            found = await self.stored()
            if found != known or time.monotonic() > until:
                return found
            await asyncio.sleep(LOOK)

    def _tell(self, reason: str) -> None:
        log.warning("bot %s: %s; %s", self.bot, reason, self.fix)
        self._host.state(State("login_needed", f"{reason}; {self.fix}"))
