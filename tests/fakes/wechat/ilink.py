"""Tencent's iLink bot channel on the loopback: one bot, its one user, the API and the CDN under one address.

    async with Ilink() as ilink:                       # token "tok-1", address ilink.url, CDN ilink.url + "/c2c"
        ilink.say("hi")
        await ilink.until(lambda: ilink.screen() == ["Hello"])

``ilink_rules`` (checks), ``ilink_cdn`` (files) <- ``ilink_state`` (memory, switches, ``until``) <- ``ilink_phone``
(what the user does and sees), ``ilink_login`` (QR codes) · ``ilink_calls`` (the calls of a bot). The methods of state,
phone and login are the test's side of this class.

Rules of this file:
- HTTP and scripted faults only. A call is noted, then met by a fault, the checks of all calls, the token, the call;
- a client that hangs up does not stop its call: like the platform, it may be carried out all the same.

Source: fact sheet, section 4; docs/protocol.md of @tencent-weixin/openclaw-weixin 2.4.9.
"""

from __future__ import annotations

import asyncio
import math
from typing import Any, Literal, Self, get_args

import msgspec
from aiohttp import web

from tests.fakes.wechat.ilink_calls import CALLS
from tests.fakes.wechat.ilink_cdn import NotServed
from tests.fakes.wechat.ilink_login import Login
from tests.fakes.wechat.ilink_phone import Phone
from tests.fakes.wechat.ilink_rules import MALFORMED, STALE, Json, Refused, check_base_info, check_headers, need

Broken = Literal["drop_before", "drop_after", "502", "hang"]
"""A connection that ends without an answer, before the call was carried out or after it; the page of a gateway; a call
that is neither carried out nor answered."""

BOT, CDN = "/ilink/bot/", "/c2c/"
QR_CODE, QR_STATUS = "get_bot_qrcode", "get_qrcode_status"
PATHS = {*CALLS, QR_CODE, QR_STATUS, "upload", "download"}
BAD_GATEWAY = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>nginx</body>\r\n</html>\r\n"
MAX_BODY = 101 * 1024 * 1024
"""Bytes: a file of 100 MB, encrypted."""


class Fault(msgspec.Struct):
    """What goes wrong, ``times`` more times: one of ``Broken``, or else an answer with this ret or HTTP status."""

    path: str
    times: int
    kind: Broken | None = None
    ret: int = 0
    status: int = 200


class Ilink(Phone, Login):
    """The server. ``async with Ilink() as ilink``."""

    def __init__(self) -> None:
        super().__init__()
        self._faults: list[Fault] = []
        self._uin = ""
        self._runner: web.ServerRunner | None = None

    async def __aenter__(self) -> Self:
        server = web.Server(self._serve, request_factory=_request, access_log=None)
        self._runner = web.ServerRunner(server, shutdown_timeout=0.2)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.closing = True
        self.changed()
        assert self._runner is not None
        await self._runner.cleanup()

    # -------------------------------------------------------------- faults

    def fail(self, path: str, *, ret: int = 0, status: int = 200, times: int = 1) -> None:
        """The next calls of ``path`` (as in ``calls``) are refused with this ``ret``, or with an HTTP status."""
        if not ret and status == 200:
            raise ValueError("neither a ret nor a status that is a failure")
        self._script(Fault(path, times, ret=ret, status=status))

    def fault(self, path: str, kind: Broken, times: int = 1) -> None:
        """The next calls of ``path`` (as in ``calls``) go wrong in this way."""
        if kind not in get_args(Broken):
            raise ValueError(f"no such fault: {kind}")
        self._script(Fault(path, times, kind))

    def _script(self, fault: Fault) -> None:
        if fault.path not in PATHS:
            raise ValueError(f"no such call: {fault.path}")
        self._faults.append(fault)

    def _next_fault(self, path: str) -> Fault | None:
        fault = next((fault for fault in self._faults if fault.path == path), None)
        if fault is not None:
            fault.times -= 1
            if fault.times <= 0:
                self._faults.remove(fault)
        return fault

    # -------------------------------------------------------------- one call

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        prefix = BOT if request.path.startswith(BOT) else CDN
        path = request.path.removeprefix(prefix)
        if path not in PATHS or (path in ("upload", "download")) != (prefix == CDN):
            return web.Response(status=404)
        data = await request.read()
        body = _decoded(data) if prefix == BOT else {"bytes": len(data)}
        self.calls.append((path, {**request.query, **(body or {})}))
        self.changed()
        fault = self._next_fault(path)
        if fault is not None and fault.kind != "drop_after":
            return await self._broken(request, path, fault)
        try:
            response = self._file(path, request, data) if prefix == CDN else await self._answer(path, request, body)
        except Exception as error:  # a bug of the fake: no test may take it for the platform's trouble
            self.complaints.append(f"the fake itself failed at {path}: {error!r}")
            raise
        self.changed()
        return self._drop(request) if fault is not None else response

    async def _broken(self, request: web.BaseRequest, path: str, fault: Fault) -> web.Response:
        match fault.kind:
            case "hang":
                await self.until(lambda: self.closing, math.inf)
                return self._drop(request)
            case "drop_before":
                return self._drop(request)
            case "502":
                return web.Response(status=502, text=BAD_GATEWAY, content_type="text/html")
        if fault.status != 200:
            return web.Response(status=fault.status)
        return _json(_refusal(path, Refused(fault.ret, "scripted")))

    def _drop(self, request: web.BaseRequest) -> web.Response:
        """End the connection; the response that is returned reaches nobody."""
        if request.transport is not None:
            request.transport.abort()
        return web.Response()

    async def _answer(self, path: str, request: web.BaseRequest, body: Json | None) -> web.Response:
        try:
            return _json({"ret": 0, **await self._carry_out(path, request, body)})
        except Refused as refused:
            if refused.ret == MALFORMED:
                self.complaints.append(f"{path}: {refused.errmsg}")
            return _json(_refusal(path, refused))

    async def _carry_out(self, path: str, request: web.BaseRequest, body: Json | None) -> Json:
        if path == QR_STATUS:
            need(request.method == "GET", "not a GET")
            return await self.get_qrcode_status(request.query, request.host)
        need(body is not None, "the body is not a JSON object")
        assert body is not None
        if path == QR_CODE and request.method == "GET":  # as older clients do
            return self.get_bot_qrcode(request.query, {})
        need(request.method == "POST", "not a POST")
        check_headers(request.headers)
        uin = request.headers["X-WECHAT-UIN"]
        need(uin != self._uin, "X-WECHAT-UIN is not a new one")
        self._uin = uin
        if path == QR_CODE:
            return self.get_bot_qrcode(request.query, body)
        check_base_info(body)
        if self.expired or request.headers.get("Authorization") != f"Bearer {self.token}":
            raise Refused(STALE, "session timeout")
        return await CALLS[path](self, body)

    def _file(self, path: str, request: web.BaseRequest, data: bytes) -> web.Response:
        """The CDN: it asks for no token, and answers without JSON."""
        try:
            if path == "upload" and request.method == "POST":
                return web.Response(headers={"x-encrypted-param": self.cdn.upload(request.query, data)})
            if path == "download" and request.method == "GET":
                found = self.cdn.data(request.query.get("encrypted_query_param", ""))
                return web.Response(body=found, content_type="application/octet-stream")
        except NotServed as refused:
            return web.Response(status=refused.status, headers={"x-error-message": refused.reason})
        return web.Response(status=405)


def _request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
    """A request that may carry a file; aiohttp's own limit is 1 MB."""
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=MAX_BODY)


def _decoded(data: bytes) -> Json | None:
    try:
        return msgspec.json.decode(data, type=Json) if data else {}
    except msgspec.DecodeError:
        return None


def _refusal(path: str, refused: Refused) -> Json:
    """A refusal; ``getupdates`` names the code of an ended login otherwise."""
    name = "errcode" if path == "getupdates" and refused.ret == STALE else "ret"
    return {name: refused.ret, "errmsg": refused.errmsg}


def _json(body: Json) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), content_type="application/json")
