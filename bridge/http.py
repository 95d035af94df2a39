"""The one port: health, metrics, and what the adapters serve.

Rules of this file:
- without a token, only this very machine is let in: the peer address *and* the Host header are loopback, no forwarding
  header is present, and Origin is absent or the same (DESIGN 2.4). A page in a browser can reach 127.0.0.1, and a
  reverse proxy makes the whole world local;
- tokens are compared in constant time.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import socket
import time
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import HttpVersion11, web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from bridge.model import BridgeError, Handler, State

BODY_MOST = 1 << 20
_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "Via")


class BotState(msgspec.Struct, omit_defaults=False):
    """A bot's row on /readyz. ``since`` is Unix seconds."""

    state: str
    since: float
    detail: str = ""


def local(request: web.Request) -> bool:
    """Does the request come from this machine itself?"""
    if request.version < HttpVersion11:
        return False  # nginx's proxy_pass, which sends 1.0 and hides the rest: Host is ours, and nothing is forwarded
    if any(name in request.headers for name in _FORWARDED):
        return False
    peer = request.transport.get_extra_info("peername") if request.transport else None
    if not peer or not _loopback(str(peer[0])) or not _loopback(_host(request.headers.get("Host", ""))):
        return False
    origin = request.headers.get("Origin")
    return origin is None or origin.partition("://")[2] == request.headers.get("Host")


def bearer(request: web.Request, token: str) -> bool:
    """Does the request carry ``Authorization: Bearer token``?"""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    key = given.strip().encode(errors="surrogateescape")  # as it came: a header may hold any byte
    return bool(token) and scheme.lower() == "bearer" and hmac.compare_digest(key, token.encode())


def _host(header: str) -> str:
    return header[1:].partition("]")[0] if header.startswith("[") else header.partition(":")[0]


def _loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Server:
    """Serves until closed. ``healthy`` says whether the store writes."""

    def __init__(self, admin_token: str, healthy: Callable[[], Awaitable[bool]]) -> None:
        self._admin_token = admin_token
        self._healthy = healthy
        self._socket: socket.socket | None = None
        self._states: dict[str, BotState] = {}
        self.settled = asyncio.Event()
        """Every bot has got beyond its first attempt to connect."""
        self.app = web.Application(client_max_size=BODY_MOST)
        for path, handler in (("/healthz", self._health), ("/readyz", self._ready), ("/metrics", self._metrics)):
            self.app.router.add_get(path, handler)
        self._runner = web.AppRunner(self.app, access_log=None, handle_signals=False, shutdown_timeout=1.0)

    def listen(self, host: str, port: int) -> int:
        """Take the port (0 = any) and give its number; whoever connects waits until ``serve``."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._socket = socket.create_server((host, port), family=family, backlog=1024)
        except OSError as error:
            reason = (error.strerror or str(error)).partition(" (while ")[0]  # which names the address once more
            raise BridgeError(f"cannot listen on {host}:{port}: {reason}") from None
        return int(self._socket.getsockname()[1])

    async def serve(self) -> None:
        assert self._socket is not None
        await self._runner.setup()
        await web.SockSite(self._runner, self._socket, backlog=1024).start()

    async def close(self) -> None:
        await self._runner.cleanup()
        if self._socket is not None:
            self._socket.close()

    def route(self, method: str, path: str, handler: Handler) -> None:
        self.app.router.add_route(method, path, handler)

    def state(self, bot: str, state: State) -> bool:
        """Note where a bot stands; True when that is news."""
        before = self._states.get(bot)
        if before is not None and (before.state, before.detail) == (state.state, state.detail):
            return False
        since = before.since if before is not None and before.state == state.state else time.time()
        self._states[bot] = BotState(state.state, since, state.detail)
        if all(row.state != "connecting" or row.detail for row in self._states.values()):
            self.settled.set()
        return True

    async def ready(self) -> bool:
        return await self._healthy() and all(bot.state != "failed" for bot in self._states.values())

    # ------------------------------------------------------------ handlers

    def _trusted(self, request: web.Request) -> bool:
        return bearer(request, self._admin_token) if self._admin_token else local(request)

    async def _health(self, request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _ready(self, request: web.Request) -> web.Response:
        ready = await self.ready()
        body: dict[str, object] = {"ready": ready}
        if self._trusted(request):
            body["bots"] = self._states
        return web.Response(
            body=msgspec.json.encode(body), status=200 if ready else 503, content_type="application/json"
        )

    async def _metrics(self, request: web.Request) -> web.Response:
        if not self._trusted(request):
            raise web.HTTPUnauthorized
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})
