"""Events by the long connection: a WebSocket that we open, and Feishu pushes on.

Rules of this file:
- an event is acknowledged after its commit and within three seconds, or Feishu brings it again (after 15 s, 5 min, 1 h
  and 6 h). A commit that takes longer is not broken off: the event is refused, and the store knows it when it comes
  again;
- every event is acknowledged, also one that is not for us or cannot be read: a refusal would only repeat it;
- events are handed in one after the other in the order of their frames; their commits may overlap;
- Feishu may end a connection at any time, and does. The next try comes at a random moment, and tries that fail come
  ever less often;
- up to 50 programs may be connected for one app, and each event goes to *one* of them. A program that was left running
  elsewhere takes messages that we never see: nothing tells us, so the log names each of our connections. Feishu's
  console counts them.

Source: ``ws`` in lark-oapi and @larksuiteoapi/node-sdk, pages "使用长连接接收事件", "事件概述".
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from contextlib import suppress
from typing import NamedTuple

import aiohttp
import msgspec

from adapters.feishu.account import Account
from adapters.feishu.endpoint import Settings, endpoint, refused
from adapters.feishu.frames import DATA, Fragments, Frame, ack, decode, ping
from adapters.feishu.intake import Intake, event_id, read_json
from adapters.feishu.schema import read
from bridge.model import BridgeError, Fatal, Host, State, Unreachable

log = logging.getLogger(__name__)

WITHIN = 2.5
"""Seconds for a commit: Feishu waits three."""
OPEN = 15.0
"""Seconds for the handshake."""
RECONNECT = 30.0
"""Seconds between two tries that fail, at most."""
CLOSE = 2.0
"""Seconds for the goodbye."""
FRAME_MOST = 8 << 20
"""Bytes of a frame."""
HEARTBEAT = 20.0
"""Seconds between the WebSocket's own pings, as lark-oapi has them: they find a dead network in half a minute."""
SILENCE = 10.0
"""Seconds beyond two of our pings after which a service that says nothing counts as dead."""
STEADY = 60.0
"""Seconds after which a connection counts as one that works: the tries before it are forgotten."""


class LongConnection:
    """Brings events to the intake. ``domain`` is the platform's address, without a path."""

    def __init__(self, account: Account, intake: Intake, host: Host, app_id: str, app_secret: str, domain: str) -> None:
        self._account = account
        self._intake = intake
        self._host = host
        self._app_id = app_id
        self._app_secret = app_secret
        self._domain = domain
        self._settings = Settings()
        self._fragments = Fragments()
        self._takes: set[asyncio.Task[_Taken]] = set()
        self._answers: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Stay connected until cancelled. Raises Fatal when the credentials are wrong, or the app may not connect."""
        try:
            while True:
                try:
                    await self._connect()
                except Fatal:
                    raise
                except BridgeError as error:
                    await self._host.failed(error, min(RECONNECT, self._settings.reconnect))
        finally:
            await self._end()

    # ------------------------------------------------------------ one connection after the other

    async def _connect(self) -> None:
        """One connection, from the call for its address to the pause after its end. Raises BridgeError when there was
        none, or none that lasted."""
        session, proxy = self._host.connection(self._domain)
        found = await endpoint(session, proxy, self._domain, self._app_id, self._app_secret)
        self._settings = found.settings
        async with await self._open(found.url) as socket:
            began = time.monotonic()
            log.info("bot %s: connected to Feishu as %s", self._account.bot, found.connection)
            self._account.connected()
            reason = await self._serve(socket, found.service)
        lasted = time.monotonic() - began
        reason = f"the long connection {found.connection} has ended after {lasted:.0f} s: {reason}"
        log.info("bot %s: %s", self._account.bot, reason)
        self._host.state(State("connecting", reason))
        await asyncio.sleep(random.uniform(0.0, self._settings.nonce))  # noqa: S311
        if lasted < STEADY:
            raise Unreachable(reason)

    async def _open(self, url: str) -> aiohttp.ClientWebSocketResponse:
        session, proxy = self._host.connection(url.replace("ws", "http", 1))  # the schemes that proxies are set for
        try:
            async with asyncio.timeout(OPEN):
                return await session.ws_connect(
                    url,
                    proxy=proxy,
                    heartbeat=HEARTBEAT,
                    max_msg_size=FRAME_MOST,
                    timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE),
                )
        except aiohttp.WSServerHandshakeError as error:
            raise refused(error) from None
        except (aiohttp.ClientError, TimeoutError) as error:  # which may quote the address
            raise Unreachable(f"the long connection cannot be opened ({type(error).__name__})") from None

    async def _end(self) -> None:
        """What has not come to its end by now is broken off: nobody waits for it any more."""
        tasks = [*self._takes, *self._answers]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    # ------------------------------------------------------------ frames

    async def _serve(self, socket: aiohttp.ClientWebSocketResponse, service: int) -> str:
        """Take in what comes until nothing comes any more; tells why. What was begun is finished and acknowledged
        before the connection is closed, also when we are cancelled."""
        pinging = asyncio.create_task(self._ping(socket, service))
        try:
            return await self._read(socket)
        finally:
            pinging.cancel()
            await asyncio.wait([pinging, *self._answers], timeout=WITHIN)

    async def _ping(self, socket: aiohttp.ClientWebSocketResponse, service: int) -> None:
        with suppress(aiohttp.ClientError, ConnectionError):  # whoever reads notices, too
            while True:
                await socket.send_bytes(ping(service))
                await asyncio.sleep(self._settings.ping)

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> str:
        while True:
            try:
                async with asyncio.timeout(2 * self._settings.ping + SILENCE):  # its own counts the heartbeat's pongs
                    message = await socket.receive()
            except TimeoutError:
                return "Feishu does not answer our pings"
            if message.type is aiohttp.WSMsgType.BINARY:
                self._on_frame(socket, message.data)
            elif message.type is not aiohttp.WSMsgType.TEXT:
                error = socket.exception()
                return type(error).__name__ if error else f"closed with code {socket.close_code}"

    def _on_frame(self, socket: aiohttp.ClientWebSocketResponse, data: bytes) -> None:
        try:
            frame = decode(data)
            payload = self._fragments.add(frame, time.monotonic()) if frame.method == DATA else None
        except ValueError as error:
            log.error("bot %s: a frame cannot be read and is skipped: %s", self._account.bot, error)
            return
        if frame.method != DATA:
            self._on_control(frame)
        elif payload is not None:
            take = asyncio.create_task(self._take(payload))
            self._takes.add(take)
            take.add_done_callback(self._takes.discard)
            answer = asyncio.create_task(self._answer(socket, frame, take))
            self._answers.add(answer)
            answer.add_done_callback(self._answers.discard)

    def _on_control(self, frame: Frame) -> None:
        """A pong may bring new settings. Those that cannot be read change nothing."""
        if frame.headers.get("type") == "pong" and frame.payload:
            with suppress(ValueError, RecursionError):
                self._settings = read(msgspec.json.decode(frame.payload), Settings)

    async def _answer(self, socket: aiohttp.ClientWebSocketResponse, frame: Frame, take: asyncio.Task[_Taken]) -> None:
        """Acknowledge an event when it is taken in, or refuse it when that takes too long."""
        began = time.monotonic()
        await asyncio.wait([take], timeout=WITHIN)
        if take.done() and not take.cancelled():
            taken = take.result()
        else:
            log.error("bot %s: an event was not taken in within %s s", self._account.bot, WITHIN)
            taken = REFUSED
        took = round(1000 * (time.monotonic() - began))
        with suppress(aiohttp.ClientError, ConnectionError):  # Feishu brings it again
            await socket.send_bytes(ack(frame, taken.code, taken.data, took))

    async def _take(self, payload: bytes) -> _Taken:
        """Take an event in; never raises."""
        try:
            event = read_json(payload)
        except ValueError as error:
            log.error("bot %s: an event cannot be read and is skipped: %s", self._account.bot, error)
            return _Taken(200)
        try:
            callback = await self._intake.take(event)
        except BridgeError as error:
            log.error("bot %s: event %s not taken in: %s", self._account.bot, event_id(event), error)
            return REFUSED
        return _Taken(200, None if callback is None else msgspec.json.encode(callback))


class _Taken(NamedTuple):
    """What came of an event: the code of the acknowledgement, and the JSON that answers a card callback."""

    code: int
    data: bytes | None = None


REFUSED = _Taken(500)
