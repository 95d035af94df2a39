"""A wechaty gateway in the test's own process: ``wechaty.Puppet`` by gRPC, as the Node gateway speaks it.

    async with PuppetGateway() as gateway:      # gateway.endpoint and gateway.token are what a client needs
        await gateway.until(lambda: gateway.listening)
        gateway.say("hi")                       # Alice writes to the bot
        await gateway.until(gateway.screen)
        assert gateway.screen() == ["Hello"]

Rules of this file:
- the server and its life; what it answers is in ``service``, what a test does in ``people``;
- whatever was sent stays known when the gateway is killed; uploads and the puppet's state die with it.
"""

from __future__ import annotations

import socket
import ssl
from types import TracebackType
from typing import Self

from grpclib.protocol import H2Protocol
from grpclib.server import Server

from tests.fakes.wechat.people import People
from tests.fakes.wechat.service import Service


class PuppetGateway(People):
    """The gateway: ``people`` steer it, ``watch`` shows what the bot has done. ``port`` 0: any that is free."""

    token = "test-token"

    def __init__(self, port: int = 0, *, logged_in: bool = True, tls: ssl.SSLContext | None = None) -> None:
        super().__init__()
        self._port, self._tls = port, tls
        self._server: _Server | None = None
        self.logged_in = logged_in

    @property
    def endpoint(self) -> str:
        """host:port; the same after a restart."""
        return f"127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        await self.restart(logged_in=self.logged_in)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.kill()

    async def restart(self, *, logged_in: bool = True) -> None:
        """Come (back) up. Not logged in, the puppet waits for a client's Start."""
        await self.kill()
        self.logged_in = self.running = logged_in
        self.scanned = None
        self.uploads.clear()
        self._server = _Server([Service(self, self.token, lambda: self.endpoint, self._cut)])
        self._port = await self._server.listen(self._port, self._tls)

    async def kill(self) -> None:
        """Be gone at once: every connection dies, and new ones are refused."""
        server, self._server = self._server, None
        if server:
            server.close()
            server.cut()
            await server.wait_closed()

    def _cut(self) -> None:
        if self._server:
            self._server.cut()


class _Server(Server):
    """grpclib's server, which can lose its connections."""

    _protocols: list[H2Protocol]

    async def listen(self, port: int, tls: ssl.SSLContext | None) -> int:
        """Start; gives the port."""
        self._protocols = []
        # With the protocol named: asyncio lets no small write wait (TCP_NODELAY) only where it is.
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", port))
        await self.start(sock=sock, ssl=tls)
        return int(sock.getsockname()[1])

    def _protocol_factory(self) -> H2Protocol:
        protocol = super()._protocol_factory()
        self._protocols.append(protocol)
        return protocol

    def cut(self) -> None:
        for protocol in self._protocols:
            if connection := getattr(protocol, "connection", None):  # absent until the first byte can flow
                connection.close()
        self._protocols.clear()
