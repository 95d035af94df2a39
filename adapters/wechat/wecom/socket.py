"""The long connection of a WeCom AI bot: a WebSocket that we open, with callbacks one way and frames the other.

Rules of this file:
- a frame is answered by an ack with its req_id, and replies carry the req_id of their callback. So frames of one req_id
  go one after the other, and their acks are told apart by their order;
- a frame without an ack in five seconds may have arrived. When that happens twice in a row the connection is dead;
- callbacks are handed in one after the other, and acks are read meanwhile. WeCom does not bring them again: one that
  cannot be committed is tried until it can;
- a bot has one connection. Whoever connects as the same bot throws us out: we come back after a minute, not at once,
  or two programs would do nothing else;
- the connection outlives ``run``: answers are finished over it until the process ends.

Source: developer.work.weixin.qq.com/document/path/101463; npm @wecom/aibot-node-sdk 1.0.7.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import aiohttp
import msgspec

from adapters.wechat.wecom.note import Note
from bridge.model import BridgeError, Fatal, Host, RateLimited, Rejected, State, Unreachable, Unsure

log = logging.getLogger(__name__)

SUBSCRIBE, PING = "aibot_subscribe", "ping"
MESSAGE, EVENT = "aibot_msg_callback", "aibot_event_callback"
OPEN = 15.0
"""Seconds for the handshake."""
ACK = 5.0
"""Seconds for an ack."""
BEAT = 30.0
"""Seconds between two pings; after two without a word the connection is dead."""
RECONNECT = 30.0
"""Seconds between two tries that fail, at most."""
RIVAL = 60.0
"""Seconds before we come back after another program has connected as this bot."""
REFUSALS_MOST = 3
"""How often in a row the credentials are refused before only the operator can help: WeCom may have a bad minute."""
SLOW_DOWN = 20.0
"""Seconds to wait where WeCom wants fewer frames: it does not say how long."""
COMMIT_AGAIN = 2.0
"""Seconds before a callback that could not be committed is tried again."""
FRAME_MOST = 4 << 20
"""Bytes of a frame."""
BAD_REQUEST, EXPIRED, NOT_SUBSCRIBED = 846605, 846608, 846609
TOO_OFTEN = frozenset({45009, 45033, 846607})


class Refused(Rejected):
    """WeCom refuses a frame."""

    def __init__(self, errcode: int) -> None:
        super().__init__(f"WeCom refuses it (errcode {errcode})")
        self.errcode = errcode


class Expired(Refused):
    """The stream takes no more updates."""


class BadRequest(Refused):
    """The req_id is not taken (any more)."""


class Frame(NamedTuple):
    """A callback."""

    command: str
    req_id: str
    body: dict[str, Any]


Take = Callable[[Frame], Awaitable[None]]


class Socket:
    """The connection of one bot."""

    def __init__(self, bot: str, bot_id: str, secret: str, ws_url: str, host: Host) -> None:
        self._bot = bot
        self._credentials = {"bot_id": bot_id, "secret": secret}
        self._url = ws_url
        self._host = host
        self.note = Note(host, bot_id, secret)
        self._take: Take | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._ws: aiohttp.ClientWebSocketResponse | None = None
        self._acks: defaultdict[str, deque[asyncio.Future[dict[str, Any]]]] = defaultdict(deque)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._unheard = 0  # frames in a row without an ack
        self._refusals = 0
        self._rival = False

    async def run(self, take: Take) -> None:
        """Hand callbacks in until cancelled; ``take`` returns after the durable commit. Raises Fatal when bot_id and
        secret are not accepted."""
        self._take = take
        if self._keeping is None or self._keeping.done():
            self._keeping = asyncio.create_task(self._keep())
            self._host.at_end(self.close)
        try:
            await asyncio.shield(self._keeping)
        finally:
            self._take = None

    def close(self) -> None:
        """No answer is shown any more."""
        if self._keeping is not None:
            self._keeping.cancel()

    async def open(self) -> aiohttp.ClientWebSocketResponse:
        """A connection that is not subscribed yet. Raises Unreachable."""
        session, proxy = self._host.connection(self._url.replace("ws", "http", 1))  # the schemes that proxies are for
        try:
            async with asyncio.timeout(OPEN):
                return await session.ws_connect(self._url, proxy=proxy, max_msg_size=FRAME_MOST)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unreachable(f"WeCom's long connection cannot be opened ({type(error).__name__})") from None

    async def request(self, command: str, body: Mapping[str, Any], req_id: str = "") -> dict[str, Any]:
        """Send a frame, under a req_id of its own when there is none; the body of its ack.

        Raises Unreachable (nothing was sent), Unsure, RateLimited, Expired, BadRequest and Refused.
        """
        req_id = req_id or f"{command}-{uuid.uuid4().hex}"
        lock = self._locks.get(req_id) or asyncio.Lock()
        self._locks[req_id] = lock
        async with lock:
            if self._ws is None:
                raise Unreachable("not connected to WeCom")
            return await self._exchange(self._ws, command, req_id, body)

    # ------------------------------------------------------------ one connection after the other

    async def _keep(self) -> None:
        while True:
            try:
                await self._connect()
            except Fatal:
                raise
            except BridgeError as error:
                await self._host.failed(error, RECONNECT)

    async def _connect(self) -> None:
        """One connection from its beginning to its end. Raises BridgeError when there was none, or when it ended."""
        self._host.state(State("connecting"))
        ws = await self.open()
        callbacks: asyncio.Queue[Frame] = asyncio.Queue()
        self._unheard, self._rival = 0, False
        reading = asyncio.create_task(self._read(ws, callbacks))
        others = [asyncio.create_task(self._hand_in(callbacks))]
        try:
            await self._subscribe(ws)
            self._ws = ws
            self._host.state(State("connected"))
            others.append(asyncio.create_task(self._beat(ws)))
            reason = await reading
        finally:
            self._ws = None
            for task in (reading, *others):
                task.cancel()
            await asyncio.wait([reading, *others])
            self._abandon()
            await ws.close()
        if self._rival:
            log.warning("bot %s: another program has connected as this bot", self._bot)
            self._host.state(State("standby", "another program has connected as this bot; is an older one running?"))
            await asyncio.sleep(RIVAL)
            return
        raise Unreachable(f"the long connection has ended: {reason}")

    async def _subscribe(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        try:
            await self._exchange(ws, SUBSCRIBE, f"{SUBSCRIBE}-{uuid.uuid4().hex}", self._credentials)
        except Refused as refusal:
            self._refusals += 1
            await self.note.write(refusal.errcode)
            if self._refusals >= REFUSALS_MOST:
                raise Fatal(f"WeCom does not accept bot_id and secret (errcode {refusal.errcode})") from None
            raise
        self._refusals = 0
        await self.note.write(0)

    def _abandon(self) -> None:
        """Nobody hears of these frames any more."""
        for waiting in self._acks.values():
            for future in waiting:
                if not future.done():
                    future.set_exception(Unsure("the long connection was lost before the ack"))
        self._acks.clear()

    # ------------------------------------------------------------ frames out

    async def _exchange(
        self, ws: aiohttp.ClientWebSocketResponse, command: str, req_id: str, body: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        frame = {"cmd": command, "headers": {"req_id": req_id}} | ({} if body is None else {"body": body})
        self._acks[req_id].append(future)
        try:
            await ws.send_str(msgspec.json.encode(frame).decode())
        except (aiohttp.ClientError, ConnectionError):
            self._acks[req_id].remove(future)
            raise Unreachable("the long connection is closed") from None
        try:
            async with asyncio.timeout(ACK):
                found = await future
        except TimeoutError:
            self._unheard += 1
            if self._unheard > 1:
                await ws.close()
            raise Unsure("WeCom has not acknowledged a frame") from None
        self._unheard = 0
        if code := found.get("errcode"):
            raise await self._meaning(ws, int(code), str(found.get("errmsg", "")).lower())
        answer = found.get("body")
        return answer if isinstance(answer, dict) else {}

    @staticmethod
    async def _meaning(ws: aiohttp.ClientWebSocketResponse, code: int, words: str) -> BridgeError:
        if code == NOT_SUBSCRIBED:
            await ws.close()
            return Unreachable("WeCom has forgotten the long connection")
        if code in (EXPIRED, BAD_REQUEST):
            return (Expired if code == EXPIRED else BadRequest)(code)
        if code in TOO_OFTEN or "freq" in words or "limit" in words:
            return RateLimited(SLOW_DOWN, f"WeCom wants fewer frames (errcode {code})")
        return Refused(code)

    async def _beat(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            await asyncio.sleep(BEAT)
            with suppress(BridgeError):  # whoever reads notices, too
                await self._exchange(ws, PING, f"{PING}-{uuid.uuid4().hex}", None)

    # ------------------------------------------------------------ frames in

    async def _read(self, ws: aiohttp.ClientWebSocketResponse, callbacks: asyncio.Queue[Frame]) -> str:
        """Until nothing comes any more; tells why."""
        while True:
            try:
                async with asyncio.timeout(2 * BEAT + ACK):
                    message = await ws.receive()
            except TimeoutError:
                return "WeCom does not answer our pings"
            if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                error = ws.exception()
                return type(error).__name__ if error else f"closed with code {ws.close_code}"
            try:
                frame = msgspec.json.decode(message.data)
                command, req_id, body = frame.get("cmd", ""), frame["headers"]["req_id"], frame.get("body") or {}
            except (ValueError, LookupError, TypeError, AttributeError):
                log.warning("bot %s: a frame cannot be read, and is passed over", self._bot)
                continue
            if command not in (MESSAGE, EVENT):
                self._acknowledged(req_id, frame)
            elif _says_goodbye(body):
                self._rival = True
                return "another program has connected"
            else:
                callbacks.put_nowait(Frame(command, req_id, body))

    def _acknowledged(self, req_id: str, frame: dict[str, Any]) -> None:
        waiting = self._acks.get(req_id)
        if not waiting:
            return
        future = waiting.popleft()
        if not waiting:
            del self._acks[req_id]
        if not future.done():
            future.set_result(frame)

    async def _hand_in(self, callbacks: asyncio.Queue[Frame]) -> None:
        while True:
            frame = await callbacks.get()
            while self._take is not None:
                try:
                    await self._take(frame)
                    break
                except BridgeError as error:
                    log.error("bot %s: a callback is not taken in yet: %s", self._bot, error)
                    await asyncio.sleep(COMMIT_AGAIN)


def _says_goodbye(body: Any) -> bool:
    event = body.get("event") if isinstance(body, dict) else None
    return isinstance(event, dict) and event.get("eventtype") == "disconnected_event"
