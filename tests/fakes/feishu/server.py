"""The open platform on the loopback: HTTP in, HTTP out.

Rules of this file:
- a call is written down, then met by a fault, and at last by ``rest``; secrets are not written down;
- a client that hangs up does not stop its call: like the platform, it may be carried out all the same.
"""

from __future__ import annotations

import asyncio
from typing import Any, Self

import msgspec
from aiohttp import web

from tests.fakes.feishu import directory, events, messages
from tests.fakes.feishu.faults import Fault, Faults
from tests.fakes.feishu.rest import TOKEN_PATH, Request, Route, carry_out, check_token, route_of
from tests.fakes.feishu.rules import MB, Json, Refused, invalid, new_id
from tests.fakes.feishu.things import Call, File

BAD_GATEWAY = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>openresty</body>\r\n</html>\r\n"
ENDPOINT, SOCKET = "/callback/ws/endpoint", "/ws/v2"
SECRETS = ("AppSecret", "app_secret")


class OpenPlatform(Faults):
    """A Feishu tenant with one app. ``async with OpenPlatform() as platform``; the address is ``platform.url``."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._runner: web.ServerRunner | None = None
        self._clients: set[Any] = set()

    @property
    def url(self) -> str:
        """What a client takes for the domain."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def tcp_connections(self) -> int:
        """How many TCP connections clients have opened so far."""
        return len(self._clients)

    async def up(self) -> None:
        """Listen; after ``down`` on the port of before, with all that was there."""
        self._runner = web.ServerRunner(
            web.Server(self._serve, request_factory=_request, access_log=None), shutdown_timeout=0.2
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, backlog=2048).start()
        self.port = self._runner.addresses[0][1]

    async def down(self) -> None:
        """An outage: nobody listens, and all connections have ended. What is due meanwhile stays due."""
        self.drop_connections()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Self:
        await self.up()
        return self

    async def __aexit__(self, *_: object) -> None:
        for fault in self.faults:
            if fault.gate is not None:
                fault.gate.set()
        await self.down()
        self.clock.stop()
        await self.end_tasks()
        await self.end_deliveries()

    # ------------------------------------------------------------------ one call

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.transport is not None:
            self._clients.add(request.transport.get_extra_info("peername"))
        if request.path == SOCKET:
            return await self.serve_socket(request)
        try:
            asked = await _decoded(request)
        except Refused as refused:
            return _answer(refused.status, refused.body())
        call = self._note(request, asked)
        fault = self.fault_of(call)
        if fault is not None and fault.gate is not None:
            self.changed()
            await fault.gate.wait()
        if fault is not None and fault.kind in ("drop_before", "500", "502"):
            return self._broken(request, call, fault)
        try:
            response = self._answered(request, call, asked, fault)
        except Exception as error:  # a bug of the fake: no test may take it for the platform's trouble
            self.complaints.append(f"the fake itself failed at {call.method} {call.path}: {error!r}")
            raise
        if fault is not None and fault.kind == "drop_after":
            return self._broken(request, call, fault)
        self.changed()
        return response

    def _note(self, request: web.BaseRequest, asked: Request) -> Call:
        body = {name: "…" if name in SECRETS else value for name, value in asked.body.items()}
        body |= {name: f"{len(file.data)} bytes" for name, file in asked.files.items()}
        call = Call(
            self.clock.now(),
            request.method,
            request.path,
            asked.query,
            body,
            request.headers.get("User-Agent", ""),
            request.headers.get("Content-Type", ""),
        )
        try:
            check_token(self, request.headers.get("Authorization", ""))
            call.authorized = True
        except Refused:
            call.authorized = False
        self.calls.append(call)
        return call

    def _broken(self, request: web.BaseRequest, call: Call, fault: Fault) -> web.Response:
        """An answer that is none of the API's, or a connection that ends without any."""
        self.changed()
        match fault.kind:
            case "500":
                call.status = 500
                return web.Response(status=500, text="Internal Server Error")
            case "502":
                call.status = 502
                return web.Response(status=502, text=BAD_GATEWAY, content_type="text/html")
        call.status = 0
        if request.transport is not None:
            request.transport.abort()
        return web.Response()  # reaches nobody

    def _answered(self, request: web.BaseRequest, call: Call, asked: Request, fault: Fault | None) -> web.Response:
        headers: dict[str, str] = {}
        try:
            if fault is not None and fault.kind == "code":
                raise Refused(fault.code, fault.msg, fault.status, fault.headers)
            result = self._result(request, asked)
        except Refused as refused:
            call.status, call.code, headers = refused.status, refused.code, refused.headers
            return _answer(refused.status, refused.body(), headers)
        call.status = 200
        if isinstance(result, web.Response):
            call.status = result.status
            return result
        return _answer(200, {"code": 0, "msg": "ok" if "/bot/" in call.path else "success", **result})

    def _result(self, request: web.BaseRequest, asked: Request) -> Json | web.Response:
        """The fields of the answer, or another response. Raises Refused."""
        if request.path == ENDPOINT and request.method == "POST":
            return self.endpoint(asked.body)
        if request.path == TOKEN_PATH and request.method == "POST":
            return directory.tenant_token(self, asked)
        found = route_of(request.method, request.path)
        if found is None:
            return web.Response(status=404, text="404 page not found")
        route, asked.parts = found
        result = carry_out(self, route, request.headers.get("Authorization", ""), asked)
        if isinstance(result, File):
            return web.Response(body=result.data, content_type="application/octet-stream")
        self._after(route, asked)
        fields: Json = result
        return fields

    def _after(self, route: Route, asked: Request) -> None:
        """The bot's own reaction comes back to it as an event."""
        if route.handler is messages.react:
            emoji = asked.body["reaction_type"]["emoji_type"]
            message_id = asked.parts["message_id"]
            event = events.reacted(message_id, emoji, self.clock.now(), user="", app_id=self.app_id)
            self.push(events.REACTED, event)


async def _decoded(request: web.BaseRequest) -> Request:
    """A call's parts. Raises Refused for a body that is no JSON object."""
    query = dict(request.query)
    if request.headers.get("Content-Type", "").startswith("multipart/"):
        fields: Json = {}
        files: dict[str, File] = {}
        for name, field in (await request.post()).items():
            if isinstance(field, web.FileField):
                with field.file as file:
                    files[name] = File("file", file.read(), field.filename)
            else:
                fields[name] = field
        return Request({}, query, fields, files)
    text = await request.read()
    try:
        return Request({}, query, msgspec.json.decode(text, type=Json) if text else {}, {})
    except msgspec.DecodeError as error:
        raise invalid(f"the body is no JSON object: {error}") from None


def _request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
    """A request that may carry a file; aiohttp's own limit is 1 MB."""
    return web.BaseRequest(
        message, payload, protocol, writer, task, asyncio.get_running_loop(), client_max_size=64 * MB
    )


def _answer(status: int, body: Json, headers: dict[str, str] | None = None) -> web.Response:
    common = {"Content-Type": "application/json; charset=utf-8", "X-Tt-Logid": new_id("")}
    return web.Response(status=status, body=msgspec.json.encode(body), headers={**common, **(headers or {})})
