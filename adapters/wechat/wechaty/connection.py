"""The event stream of the gateway: who is logged in, and what comes.

Rules of this file:
- we attach to a puppet as it runs: it tells at once who is logged in, or what is to be scanned. Only a puppet that
  tells neither is started; a restart would log out whoever is logged in;
- a gateway has one event stream. While another program has it we say so and try again: it may be ``login``, which
  leaves soon;
- what happens while we are not attached is lost, so the tries after a failure are never far apart;
- nothing is sent while nobody is logged in (``check``): an answer waits, and goes out when ``connected`` is told.

Source: ``server/event-stream-manager`` of wechaty-puppet-service 1.19.9, ``schemas/event`` of wechaty-puppet 1.20.2.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Literal, NamedTuple

from adapters.wechat.wechaty import note
from adapters.wechat.wechaty.client import Gateway, Happened
from adapters.wechat.wechaty.intake import Intake
from adapters.wechat.wechaty.lookup import Lookup
from bridge.model import BridgeError, Fatal, Host, Receive, State, Unreachable

log = logging.getLogger(__name__)

SILENCE = 2.0
"""Seconds for a puppet that runs to tell who is logged in: it does so at once."""
LOGGING_IN = 60.0
"""The same where somebody was about to scan, or has logged out: the next code comes by itself."""
RETRY_MOST = 5.0
"""Seconds between two tries to attach."""
PROGRESS = {3: "scanned: confirm the login on the phone", 4: "confirmed: WeChat logs in"}
"""``status`` of a scan, where there is nothing to scan (any more)."""


class Connection:
    """Hands the messages of one account in. ``me`` is its id; it is known from the first login on."""

    def __init__(self, bot: str, gateway: Gateway, lookup: Lookup, host: Host) -> None:
        self.me = ""
        self.name = ""
        self.logged_in = False
        self._bot = bot
        self._gateway = gateway
        self._lookup = lookup
        self._host = host
        self._intake = Intake(bot, gateway, lookup)
        self._logging_in = False
        self._told: State | None = None

    def check(self) -> None:
        """Raises Unreachable while nothing can be sent."""
        if not self.logged_in:
            raise Unreachable("the gateway is away, or nobody is logged in to WeChat there")

    async def run(self, receive: Receive) -> None:
        """Stay attached until cancelled. Raises Fatal when the gateway refuses our token."""
        self._host.state(State("connecting"))
        async with self._intake.open(receive):
            while True:
                try:
                    await self._attend()
                except Fatal:
                    raise
                except BridgeError as error:
                    if self._told is not None:
                        await self._note("away")
                    self._told = None
                    await self._host.failed(error, most=RETRY_MOST)

    async def _attend(self) -> None:
        """One event stream, to its end. Raises a BridgeError that says how it ended."""
        patience = LOGGING_IN if self._logging_in else SILENCE
        try:
            async with aclosing(attached(self._gateway, patience)) as stream:
                async for happened in stream:
                    await self._on(happened)
        except BridgeError:
            self.logged_in = False  # not when we end ourselves: answers are still finished
            raise
        self.logged_in = False
        raise Unreachable("the gateway has ended the event stream")

    async def _on(self, happened: Happened) -> None:
        payload = happened.payload
        match happened.kind:
            case "message":
                self._on_message(str(payload.get("messageId", "")))
            case "login":
                await self._on_login(str(payload.get("contactId", "")))
            case "logout":
                log.warning("bot %s: logged out of WeChat", self._bot)
                await self._login_needed("logged out of WeChat: a code to scan will come")
            case "scan":
                code = code_of(payload)
                await self._login_needed(code.detail, code.link)
            case "dirty":  # an alias, a name: what it was is asked for again
                self._lookup.forget(str(payload.get("payloadId", "")))
            case "error":
                log.warning("bot %s: the puppet reports an error: %s", self._bot, _first_line(payload))
            case "heartbeat" if self._told is None:
                self._tell(State("connecting", "the puppet has not said yet who is logged in"))

    def _on_message(self, message_id: str) -> None:
        if self.me:
            self._intake.take(self.me, self.name, message_id)
        else:  # perhaps our own: nobody can tell
            log.warning("bot %s: message %s is dropped: it came before the login", self._bot, message_id)

    async def _on_login(self, me: str) -> None:
        self.me, self.logged_in, self._logging_in = me, True, False
        self.name = await self._lookup.name(me)
        if self._tell(State("connected", self.name or me)):
            log.info("bot %s: logged in to WeChat as %s", self._bot, self.name or me)
            await self._note("connected")

    async def _login_needed(self, detail: str, link: str = "") -> None:
        self.logged_in, self._logging_in = False, True
        if self._tell(State("login_needed", detail, link)):
            await self._note("login_needed", link)

    def _tell(self, state: State) -> bool:
        """Tell what is new; puppets repeat themselves."""
        new = state != self._told
        if new:
            self._told = state
            self._host.state(state)
        return new

    async def _note(self, state: Literal["connected", "login_needed", "away"], link: str = "") -> None:
        name = self.name if state == "connected" else ""
        await note.save(self._host, note.Note(state, time.time(), link, name))


class Code(NamedTuple):
    """What a scan event asks for: what to draw as QR code (perhaps nothing), and the words to it."""

    link: str
    detail: str


def code_of(scan: dict[str, Any]) -> Code:
    """From the payload of a scan event: ``{qrcode, status}``."""
    link = str(scan.get("qrcode") or "")
    if progress := PROGRESS.get(scan.get("status", 0)):
        return Code("", progress)
    return Code(link, f"scan with WeChat: {link}" if link else "the code has run out: another will come")


async def attached(gateway: Gateway, patience: float) -> AsyncGenerator[Happened, None]:
    """What happens at the gateway, until it ends the stream. The puppet is started when it does not tell within
    ``patience`` seconds who is logged in or what is to be scanned. Raises what Gateway.events and start raise."""
    starting = [asyncio.create_task(_start(gateway, patience))]
    async with aclosing(gateway.events()) as stream:
        upcoming = asyncio.create_task(anext(stream, None))
        try:
            while True:
                # not one after the other: some puppets have started only when somebody has scanned
                await asyncio.wait([upcoming, *starting], return_when=asyncio.FIRST_COMPLETED)
                if not upcoming.done():
                    starting.pop().result()
                    continue
                happened = upcoming.result()
                if happened is None:
                    return
                if happened.kind in ("login", "scan", "logout"):
                    await _end(*starting)
                    starting.clear()
                if happened.kind == "logout":
                    starting.append(asyncio.create_task(_start(gateway, LOGGING_IN)))
                yield happened
                upcoming = asyncio.create_task(anext(stream, None))
        finally:
            await _end(upcoming, *starting)


async def _start(gateway: Gateway, patience: float) -> None:
    await asyncio.sleep(patience)
    log.info("the gateway does not say who is logged in: its puppet is started")
    await gateway.start()


async def _end(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _first_line(payload: dict[str, Any]) -> str:
    """What fits into a log line of an error event."""
    return str(payload.get("data", "")).partition("\n")[0][:200]
