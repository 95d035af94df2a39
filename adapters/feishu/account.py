"""The app's account, and the calls that belong to no answer.

Rules of this file:
- such a call is drawn from the bot's budget like any other. Only the token call is not, because Feishu does not count
  it, nor is the first: a hold of the budget, which outlives a restart, must not keep the bot from receiving;
- what the bot cannot go on without is repeated until it succeeds;
- an app that the console says is not in use yet is told, and run all the same: the console saves the long connection
  only while one is open, which is before the first version is published, and an administrator may enable it later.

Source: page "获取机器人信息".
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Coroutine, Mapping
from typing import Any

import msgspec

from adapters.feishu.api import Api
from adapters.feishu.codes import UNAVAILABLE_FIX
from adapters.feishu.schema import read
from bridge.model import BridgeError, Fatal, Host, RateLimited, State, Unsure

log = logging.getLogger(__name__)

TIMEOUT = 10.0
"""Seconds for one of these calls."""
INFO = "/open-apis/bot/v3/info"
STOPPED: Mapping[int, str] = {
    0: "is not installed yet",
    1: "was disabled by the company",
    3: "is installed, but not enabled yet",
    5: "has no valid license any more",
    6: "is stopped: the company's plan has ended",
}
"""``activate_status`` of an app that does not work. 2 works, 4 too (a newer version waits); others are not known."""


class Info(msgspec.Struct, frozen=True):
    """What bot/v3/info tells of us."""

    open_id: str
    app_name: str = ""
    activate_status: int = 2


class Account:
    """``open_id`` (the bot's own, by which it is mentioned) and ``name`` are known after ``connect``."""

    def __init__(self, bot: str, api: Api, host: Host) -> None:
        self.bot = bot
        self.api = api
        self.open_id = ""
        self.name = ""
        self._host = host

    async def connect(self) -> None:
        """Learn who we are, however long it takes; where Feishu takes no calls just now, what we were before will do.
        Raises Fatal when the credentials are wrong, or the app has no bot."""
        self._host.state(State("connecting"))
        info = None
        while info is None:
            try:
                info = info_of(await self.api.call("GET", INFO, timeout=TIMEOUT))
                await self._host.save(self._key, msgspec.json.encode(info))
            except Fatal:
                raise
            except BridgeError as error:
                info = await self._before() if isinstance(error, RateLimited) else None
                if info is None:
                    await self._host.failed(error)
        self.open_id, self.name = info.open_id, info.app_name
        if info.activate_status in STOPPED:
            log.warning("bot %s: the app %s: %s", self.bot, STOPPED[info.activate_status], UNAVAILABLE_FIX)

    async def while_accepted(self, work: Coroutine[Any, Any, None]) -> None:
        """Do ``work`` until it ends. Raises what it raises, and Fatal, which breaks it off, as soon as Feishu does not
        take the credentials any more."""
        working, refused = asyncio.create_task(work), asyncio.create_task(self.api.refused())
        try:
            await asyncio.wait([working, refused], return_when=asyncio.FIRST_COMPLETED)
            if refused.done():
                raise refused.result()
            await working
        finally:
            working.cancel()
            refused.cancel()
            await asyncio.gather(working, refused, return_exceptions=True)

    async def _before(self) -> Info | None:
        saved = await self._host.load(self._key)
        return msgspec.json.decode(saved, type=Info) if saved else None

    @property
    def _key(self) -> str:
        return f"identity:{self.api.app_id}"

    async def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        *,
        durable: bool = True,
        within: float = math.inf,
    ) -> dict[str, Any]:
        """One call, when the budget has room for it. Raises what Api.call raises, and RateLimited when there will be
        no room ``within`` so many seconds."""
        await self._host.spend("", durable, within)
        return await self.api.call(method, path, body, query, timeout=TIMEOUT)

    def connected(self, detail: str = "") -> None:
        """All is well; ``detail`` says what is not quite."""
        self._host.state(State("connected", detail or self.name))


def info_of(answer: Mapping[str, Any]) -> Info:
    """Who we are, from the answer of bot/v3/info. Raises Unsure when it is another one."""
    try:
        info = read(answer.get("bot"), Info)
    except msgspec.ValidationError:
        raise Unsure("Feishu does not say who the bot is") from None
    if not info.open_id:
        raise Unsure("Feishu does not say who the bot is")
    return info
