"""The long connection: where a client asks for an address, and the socket behind it.

Rules of this file:
- an address holds a ticket for one connection; a refused handshake says why in its ``handshake-*`` headers;
- at most fifty connections;
- a client that breaks the protocol is not cut off: it is written down in ``complaints``.

Source: fact sheet 5 and 6.2.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import secrets
from collections.abc import Coroutine
from typing import Any
from urllib.parse import urlencode

import aiohttp
import msgspec
from aiohttp import web

from tests.fakes.feishu.codec import CONTROL, DATA, BadFrame, Frame, decode, encode
from tests.fakes.feishu.rules import Json, Refused, new_id
from tests.fakes.feishu.state import State
from tests.fakes.feishu.things import Ack

CONNECTIONS_MOST = 50
SERVICE = 33554678
WRONG_SECRET, TOO_MANY = 1000040344, 1000040350


class Connection:
    """One open socket. ``number`` counts from 1."""

    def __init__(self, number: int, socket: web.WebSocketResponse, request: web.BaseRequest) -> None:
        self.number, self.pings = number, 0
        self.sent: dict[str, Frame] = {}
        self._socket, self._request = socket, request
        self._outbox: asyncio.Queue[Frame] = asyncio.Queue()
        # Below 2**53: the Node client reads numbers as floats, and would echo a larger one changed.
        self._log_ids = itertools.count(secrets.randbelow(2**52))

    def deliver(self, mark: str, kind: str, payload: bytes, parts: int, now: float) -> None:
        """Send a payload in so many frames. ``mark`` becomes their ``message_id``, by which the ack is known."""
        size = -(-len(payload) // parts)
        for seq in range(parts):
            headers = {
                "type": kind,
                "message_id": mark,
                "trace_id": new_id(""),
                "sum": str(parts),
                "seq": str(seq),
                "timestamp": str(int(now * 1000)),
            }
            part = payload[seq * size : (seq + 1) * size]
            frame = Frame(secrets.randbelow(2**40), next(self._log_ids), SERVICE, DATA, list(headers.items()), part)
            self.sent[mark] = frame
            self.send(frame)

    def send(self, frame: Frame) -> None:
        self._outbox.put_nowait(frame)

    async def write(self) -> None:
        """Send what waits in the outbox, for as long as the socket lives."""
        try:
            while True:
                await self._socket.send_bytes(encode(await self._outbox.get()))
        except ConnectionError:
            pass

    def drop(self) -> None:
        """End it without a word."""
        if self._request.transport is not None:
            self._request.transport.abort()

    async def close(self) -> None:
        """End it as the protocol has it."""
        await self._socket.close()


class Gateway(State):
    """Sockets of clients."""

    port: int = 0

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.client_config: Json = {
            "ReconnectCount": -1,
            "ReconnectInterval": 1,
            "ReconnectNonce": 1,
            "PingInterval": 120,
        }
        """Seconds, as the endpoint and every pong give them; the platform's own are 120, 30 and 120."""
        self.connections: list[Connection] = []
        self.pings = 0
        self._numbers = itertools.count(1)
        self._tickets: set[str] = set()
        self._refusals: list[dict[str, str]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something until it, or the platform, ends."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def end_tasks(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # ------------------------------------------------------------------ the test's side

    def drop_connections(self, *, clean: bool = False) -> int:
        """End all sockets, without a word or (``clean``) with a close frame; returns how many there were."""
        gone, self.connections = self.connections, []
        for connection in gone:
            if clean:
                self.spawn(connection.close())
            else:
                connection.drop()
        self.changed()
        return len(gone)

    def refuse_handshake(self, status: int, msg: str, autherrcode: int = 0, *, times: int = 1) -> None:
        """Refuse the next sockets: 403, or 514 with ``autherrcode`` (1000040350: too many connections)."""
        headers = {"handshake-status": str(status), "handshake-msg": msg}
        if autherrcode:
            headers["handshake-autherrcode"] = str(autherrcode)
        self._refusals += [headers] * times

    async def connected(self, count: int = 1, timeout: float = 10.0) -> None:
        """Wait until so many clients are connected."""
        await self.until(lambda: len(self.connections) >= count, timeout)

    # ------------------------------------------------------------------ the client's side

    def endpoint(self, body: Json) -> Json:
        """POST /callback/ws/endpoint: the fields of the answer. Raises Refused."""
        if body.get("AppID") != self.app_id or body.get("AppSecret") != self.app_secret:
            raise Refused(WRONG_SECRET, "app_id or app_secret is invalid", 200)
        ticket = secrets.token_hex(16)
        self._tickets.add(ticket)
        # device_id and service_id do not come first: one client parses the whole address as if it were the query.
        query = {
            "fpid": "493",
            "aid": "552564",
            "device_id": self.new_number(),
            "access_key": secrets.token_hex(16),
            "service_id": str(SERVICE),
            "ticket": ticket,
        }
        url = f"ws://127.0.0.1:{self.port}/ws/v2?{urlencode(query)}"
        return {"data": {"URL": url, "ClientConfig": self.client_config}}

    async def serve_socket(self, request: web.BaseRequest) -> web.StreamResponse:
        """GET /ws/v2"""
        refusal = self._refusal(request.query.get("ticket", ""))
        if refusal:
            self.changed()
            return web.Response(status=403, headers=refusal)
        socket = web.WebSocketResponse(max_msg_size=16 * 1024 * 1024)
        await socket.prepare(request)
        connection = Connection(next(self._numbers), socket, request)
        self.connections.append(connection)
        self.changed()
        writer = asyncio.create_task(connection.write())
        try:
            async for message in socket:
                if message.type is aiohttp.WSMsgType.BINARY:
                    self._frame(connection, message.data)
                else:
                    self.complaints.append(f"a {message.type.name} message")
        finally:
            writer.cancel()
            if connection in self.connections:
                self.connections.remove(connection)
            self.changed()
        return socket

    def _refusal(self, ticket: str) -> dict[str, str]:
        if self._refusals:
            return self._refusals.pop(0)
        if ticket not in self._tickets:
            code = "1000040343"  # not documented: what a used ticket gets
            return {"handshake-status": "514", "handshake-msg": "invalid ticket", "handshake-autherrcode": code}
        self._tickets.discard(ticket)
        if len(self.connections) >= CONNECTIONS_MOST:
            words = "the number of connections exceeded the limit"
            return {"handshake-status": "514", "handshake-msg": words, "handshake-autherrcode": str(TOO_MANY)}
        return {}

    def _frame(self, connection: Connection, data: bytes) -> None:
        try:
            frame = decode(data)
        except (BadFrame, UnicodeDecodeError) as error:
            self.complaints.append(f"no frame: {error}")
            return
        if frame.service != SERVICE:
            self.complaints.append(f"service {frame.service} in a frame, not the service_id of the address")
        if frame.method == CONTROL:
            self._control(connection, frame)
        else:
            self._acknowledged(connection, frame)

    def _control(self, connection: Connection, frame: Frame) -> None:
        if frame.header("type") != "ping":
            self.complaints.append(f"a control frame of type {frame.header('type')!r}")
            return
        connection.pings += 1
        self.pings += 1
        config = msgspec.json.encode(self.client_config)
        connection.send(Frame(0, 0, SERVICE, CONTROL, [("type", "pong")], config))
        self.changed()

    def _acknowledged(self, connection: Connection, frame: Frame) -> None:
        mark = frame.header("message_id")
        sent = connection.sent.get(mark)
        if sent is None:
            self.complaints.append(f"an ack for nothing: {mark!r}")
            return
        if (frame.log_id, frame.seq_id) != (sent.log_id, sent.seq_id) and frame.header("sum") == "1":
            self.complaints.append("an ack that does not echo SeqID and LogID")
        try:
            answer = msgspec.json.decode(frame.payload, type=Json)
            data = msgspec.json.decode(base64.b64decode(answer["data"])) if answer.get("data") else None
        except (msgspec.DecodeError, ValueError) as error:
            self.complaints.append(f"an ack that cannot be read: {error}")
            return
        code, took = answer.get("code") or 0, frame.header("biz_rt")
        if code == 200 and not took.removeprefix("-").isdigit():  # the Node client subtracts the wrong way round
            self.complaints.append("an ack without biz_rt")
        ack = Ack(self.clock.now(), self.event_of(mark), code, data, took, connection.number)
        self.took(mark, ack)

    # ------------------------------------------------------------------ delivery

    def event_of(self, mark: str) -> str:
        raise NotImplementedError

    def took(self, mark: str, ack: Ack) -> None:
        raise NotImplementedError
