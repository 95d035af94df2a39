"""WeCom's server for AI bots on the loopback: one bot, its people and groups, WebSocket and files on one port.

    async with WeCom() as wecom:                       # bot_id "bot-1", secret "s3cret", address wecom.url
        wecom.say("hi")
        await wecom.until(lambda: wecom.screen() == ["Hello"])

``wecom_rules`` (checks), ``wecom_files`` (both directions) <- ``wecom_state`` (memory, clock, switches) <-
``wecom_phone`` (what people do) · ``wecom_calls`` (the bot's commands). The methods of state and phone are the test's
side of this class.

Rules of this file:
- connections and scripted faults only. A frame is noted, then met by a fault, the subscription, the command;
- one connection holds the bot: the next subscription throws it out, as ``rival`` does.

Source: developer.work.weixin.qq.com/document/path/101463; fact sheet, section 5 (frames measured with wecom-aibot-sdk).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Literal, Self, get_args
from urllib.parse import quote

import msgspec
from aiohttp import WSMsgType, web

from tests.fakes.wechat.wecom_calls import COMMANDS, chat_of
from tests.fakes.wechat.wecom_phone import EVENT, Phone
from tests.fakes.wechat.wecom_rules import BAD_SECRET, MALFORMED, NOT_SUBSCRIBED, Json, Refused
from tests.fakes.wechat.wecom_state import Frame

Broken = Literal["drop_before", "drop_after", "no_ack"]
"""The connection ends before a frame is carried out or after it; it is carried out, and no ack comes."""

SUBSCRIBE, PING = "aibot_subscribe", "ping"
THROWN_OUT = {"msgtype": "event", "event": {"eventtype": "disconnected_event"}}


class Fault(msgspec.Struct):
    """What goes wrong, ``times`` more times: one of ``Broken``, or else this errcode."""

    command: str
    times: int
    kind: Broken | None = None
    errcode: int = 0
    errmsg: str = ""


class Link:
    """A connection: frames leave it in the order in which they were put."""

    def __init__(self, socket: web.WebSocketResponse, request: web.Request) -> None:
        self.socket, self._transport = socket, request.transport
        self.cut = False
        self._queue: asyncio.Queue[Json | None] = asyncio.Queue()

    def put(self, frame: Json) -> None:
        self._queue.put_nowait(frame)

    def close(self) -> None:
        """End it, after what was put before."""
        self._queue.put_nowait(None)

    def abort(self) -> None:
        """Cut it, with what was put before and what came and is not read yet."""
        self.cut = True
        if self._transport is not None:
            self._transport.abort()

    async def write(self) -> None:
        """Send what is put, until it is to end."""
        with suppress(ConnectionError):
            while (frame := await self._queue.get()) is not None:
                await self.socket.send_str(msgspec.json.encode(frame).decode())
            await self.socket.close()


class WeCom(Phone):
    """The server. ``async with WeCom() as wecom``."""

    def __init__(self) -> None:
        super().__init__()
        self.port = 0
        self._faults: list[Fault] = []
        self._runner: web.AppRunner | None = None
        self._links: set[Link] = set()
        self._live: Link | None = None
        self._rival = False
        self._kept: list[tuple[str, str, Json]] = []

    async def __aenter__(self) -> Self:
        await self.restart()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()

    @property
    def url(self) -> str:
        """The address for the bot."""
        return f"ws://127.0.0.1:{self.port}"

    @property
    def connected(self) -> bool:
        """Whether the bot is subscribed now."""
        return self._live is not None

    async def kill(self) -> None:
        """Cut all connections and listen no more."""
        runner, self._runner = self._runner, None
        if runner is None:
            return
        for link in list(self._links):
            self._cut(link)
        await runner.cleanup()
        self.changed()

    async def restart(self) -> None:
        """Listen again, at the same address."""
        app = web.Application()
        app.router.add_get("/", self._talk)
        app.router.add_get("/file/{place}", self._serve_file)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]

    # -------------------------------------------------------------- faults

    def fail(self, command: str, errcode: int, times: int = 1, errmsg: str = "scripted") -> None:
        """The next frames of ``command`` are refused with this errcode."""
        if not errcode:
            raise ValueError("errcode 0 is no failure")
        self._script(Fault(command, times, errcode=errcode, errmsg=errmsg))

    def fault(self, command: str, kind: Broken, times: int = 1) -> None:
        """The next frames of ``command`` go wrong in this way."""
        if kind not in get_args(Broken):
            raise ValueError(f"no such fault: {kind}")
        self._script(Fault(command, times, kind))

    def _script(self, fault: Fault) -> None:
        if fault.command not in {SUBSCRIBE, PING, *COMMANDS}:
            raise ValueError(f"no such command: {fault.command}")
        self._faults.append(fault)

    def _next_fault(self, command: str) -> Fault | None:
        fault = next((fault for fault in self._faults if fault.command == command), None)
        if fault is not None:
            fault.times -= 1
            if fault.times <= 0:
                self._faults.remove(fault)
        return fault

    def rival(self) -> None:
        """Another program subscribes as this bot: it gets what is said, until the bot subscribes again."""
        self._throw_out()
        self._rival = True
        self.changed()

    # -------------------------------------------------------------- to the bot

    def push(self, command: str, req_id: str, body: Json) -> None:
        if self._live is not None:
            self.requests[req_id].connection = self.connections
            self._live.put({"cmd": command, "headers": {"req_id": req_id}, "body": body})
        elif self.keeps and not self._rival:
            self._kept.append((command, req_id, body))

    def address(self, place: str) -> str:
        return f"http://127.0.0.1:{self.port}/file/{place}"

    def _throw_out(self) -> None:
        if self._live is not None:
            body = {**THROWN_OUT, "aibotid": self.bot_id, "msgid": f"thrown-out-{self.connections}"}
            self._live.put({"cmd": EVENT, "headers": {"req_id": f"OUT-{self.connections}"}, "body": body})
            self._live.close()
            self._live = None

    # -------------------------------------------------------------- from the bot

    async def _talk(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(max_msg_size=0, timeout=1.0)
        await socket.prepare(request)
        link = Link(socket, request)
        self._links.add(link)
        writer = asyncio.create_task(link.write())
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT and not link.cut:
                    self._take(link, message.data)
        finally:
            writer.cancel()
            self._links.discard(link)
            self._forget(link)
        return socket

    def _cut(self, link: Link) -> None:
        link.abort()
        self._forget(link)

    def _forget(self, link: Link) -> None:
        if self._live is link:
            self._live = None
        self.changed()

    def _take(self, link: Link, data: str) -> None:
        try:
            frame = msgspec.json.decode(data, type=Json)
            command, req_id = str(frame["cmd"]), str(frame["headers"]["req_id"])
        except (msgspec.DecodeError, KeyError, TypeError):
            self.complaints.append("a frame that is not one")
            return self._cut(link)
        body = frame.get("body") or {}
        self.frames.append(Frame(self.now(), command, chat_of(self, command, req_id, body), req_id, body))
        fault = self._next_fault(command)
        if fault is not None and fault.kind == "drop_before":
            self._cut(link)
        else:
            ack = self._answer(link, command, req_id, body, fault)
            if fault is not None and fault.kind == "drop_after":
                self._cut(link)
            elif fault is None or fault.kind != "no_ack":
                link.put({"headers": {"req_id": req_id}, **ack})
        if command == SUBSCRIBE and self._live is link:
            self._push_kept()
        self.changed()

    def _answer(self, link: Link, command: str, req_id: str, body: Json, fault: Fault | None) -> Json:
        try:
            if fault is not None and fault.errcode:
                raise Refused(fault.errcode, fault.errmsg)
            answer = self._carry_out(link, command, req_id, body)
        except Refused as refused:
            if refused.errcode == MALFORMED and fault is None:
                self.complaints.append(f"{command}: {refused.errmsg}")
            return {"errcode": refused.errcode, "errmsg": refused.errmsg}
        except Exception as error:  # a bug of the fake: no test may take it for the platform's trouble
            self.complaints.append(f"the fake itself failed at {command}: {error!r}")
            raise
        return {"errcode": 0, "errmsg": "ok", **({"body": answer} if answer else {})}

    def _carry_out(self, link: Link, command: str, req_id: str, body: Json) -> Json:
        if command == SUBSCRIBE:
            self._subscribe(link, body)
            return {}
        if self._live is not link:
            raise Refused(NOT_SUBSCRIBED, "aibot websocket not subscribed")
        if command == PING:
            return {}
        if command not in COMMANDS:
            raise Refused(MALFORMED, "no such command")
        return COMMANDS[command](self, req_id, body)

    def _subscribe(self, link: Link, body: Json) -> None:
        if (body.get("bot_id"), body.get("secret")) != (self.bot_id, self.secret):
            raise Refused(BAD_SECRET, "invalid bot_id or secret")
        if self._live is not link:
            self._throw_out()
        self._live, self._rival = link, False
        self.connections += 1

    def _push_kept(self) -> None:
        kept, self._kept = self._kept, []
        for command, req_id, body in kept:
            self.requests[req_id].at = self.now()
            self.push(command, req_id, body)

    async def _serve_file(self, request: web.Request) -> web.Response:
        held = self.files.served(request.match_info["place"], self.now())
        if held is None:
            return web.Response(status=403)
        headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(held.name)}"} if held.name else {}
        return web.Response(body=held.data, headers=headers, content_type="application/octet-stream")
