"""The one HTTP client of the process.

Rules of this file:
- one aiohttp session, and so one pool of connections, for everything that goes out; httpx clients are thin views of it,
  and closing one of them closes nothing: ``Wire.close`` does;
- which proxy an address takes is decided here, never by a library's ``trust_env`` (aiohttp's reads netrc in a thread on
  each request): the configured one, else the environment's as it was at the start, minus NO_PROXY and this machine;
- no limit on the whole of a request: a stream may last half an hour. Reads are limited by ``TIMEOUT`` unless the
  caller sets his own;
- ``not_sent`` is true only when it is certain.

httpx-aiohttp 0.2.0 reports a refused connection and a lost one alike, as ``ConnectTimeout``; its pool ends at 100
connections unless it is given a session of one's own. Both are why this file exists.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import aiohttp_socks
import httpx
from aiohttp.client_proto import ResponseHandler
from httpx_aiohttp import AiohttpTransport

from bridge.config import is_proxy
from bridge.model import BridgeError

CONNECT = 10.0
"""Seconds to connect, name look-up and TLS included."""

TIMEOUT = httpx.Timeout(60.0, connect=CONNECT, pool=None)
"""What a client of the Wire waits when the caller says nothing: for each read, not for the whole."""

_NOT_SENT = (
    aiohttp.ClientConnectorError,  # name look-up, refusal, TLS, and all that a SOCKS proxy does wrong
    aiohttp.ConnectionTimeoutError,
    aiohttp.ClientHttpProxyError,  # the proxy did not open the tunnel
)


class UnsupportedProxy(BridgeError):
    """This kind of proxy is not supported."""


FAILURES = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, aiohttp.ClientError, UnsupportedProxy)
"""What a request can raise. httpx-aiohttp lets aiohttp's own errors through where it knows no name for them: a server
that does not speak HTTP is one."""


def not_sent(error: BaseException) -> bool:
    """True when no byte of the request can have left; everything else is "perhaps sent".

    Only a connector's own error proves it, wherever in the chain of causes it is. aiohttp repeats GET, HEAD, PUT and
    DELETE once by itself, and follows redirects when told to: about those it tells only of the last try.
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, (UnsupportedProxy, *_NOT_SENT)):
            return True
        seen = seen.__cause__
    return False


class Wire:
    """The connections of the process. Built within a running event loop; ``close`` it once, at the end."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        # httpx writes each address into the log, and on some platforms a token is part of it.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        self.session = session_on(aiohttp.TCPConnector(limit=0, ttl_dns_cache=60, ssl=tls()))
        self._socks: dict[str, aiohttp.ClientSession] = {}
        self._environment = Environment(environ)
        self._transports: dict[str | None, AiohttpTransport] = {}

    def client(self, proxy: str = "") -> httpx.AsyncClient:
        """An httpx client on the shared connections. Raises UnsupportedProxy."""
        if proxy:
            _checked(proxy)
        return httpx.AsyncClient(transport=_Transport(self, proxy), timeout=TIMEOUT)

    def proxy_for(self, url: str, proxy: str = "") -> str | None:
        """The proxy for an address: ``proxy`` if there is one, else the environment's. Raises UnsupportedProxy."""
        found = proxy or self._environment.proxy_for(url)
        return _checked(found) if found else None

    def connection(self, url: str, proxy: str = "") -> tuple[aiohttp.ClientSession, str | None]:
        """For callers with a protocol of their own: the session for an address, and the ``proxy=`` of each request."""
        return self._through(self.proxy_for(url, proxy))

    def _through(self, proxy: str | None) -> tuple[aiohttp.ClientSession, str | None]:
        """aiohttp speaks to HTTP proxies itself; SOCKS is a matter of the connector, and so of a session."""
        if proxy is None or not proxy.startswith("socks"):
            return self.session, proxy
        if proxy not in self._socks:
            # the proxy looks names up, which curl calls socks5h and SOCKS 4a: here they may be unknown, and unchecked
            url = proxy.replace("socks5h:", "socks5:")
            self._socks[proxy] = session_on(_SocksConnector.from_url(url, rdns=True, limit=0, ssl=tls()))
        return self._socks[proxy], None

    def transport(self, proxy: str | None) -> AiohttpTransport:
        """The transport through a proxy, or the direct one: as many as there are proxies."""
        transport = self._transports.get(proxy)
        if transport is None:
            session, http_proxy = self._through(proxy)
            through = None
            if http_proxy:
                # httpx takes user and password out of the address, and the transport then makes an aiohttp.BasicAuth
                # of them, which is deprecated; aiohttp reads them from the address by itself.
                through = httpx.Proxy(http_proxy)
                through.url, through.auth = httpx.URL(http_proxy), None
            transport = AiohttpTransport(
                verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),  # not used: the session has its own
                client=session,
                proxy=through,
            )
            self._transports[proxy] = transport
        return transport

    async def close(self) -> None:
        for session in (self.session, *self._socks.values()):
            await session.close()

    async def __aenter__(self) -> Wire:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class _SocksConnector(aiohttp_socks.ProxyConnector):
    """Fails as every other connector does: its own errors are Exceptions of many kinds, asyncio.IncompleteReadError
    among them, and all of them come before the connection is handed over."""

    async def _wrap_create_connection(self, *args: Any, **kwargs: Any) -> tuple[asyncio.Transport, ResponseHandler]:
        try:
            return await super()._wrap_create_connection(*args, **kwargs)
        except Exception as error:
            reason = OSError(None, f"{type(error).__name__}: {error}")
            raise aiohttp.ClientProxyConnectionError(kwargs["req"].connection_key, reason) from error


class _Transport(httpx.AsyncBaseTransport):
    """Sends each request on the transport of its proxy. It owns nothing, so its ``aclose`` is httpx's empty one."""

    def __init__(self, wire: Wire, proxy: str) -> None:
        self._wire = wire
        self._proxy = proxy

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        proxy = self._wire.proxy_for(str(request.url), self._proxy)
        return await self._wire.transport(proxy).handle_async_request(request)


class Environment:
    """HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, in capitals or not, read once."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        def read(name: str) -> str:
            return environ.get(name) or environ.get(name.upper()) or ""

        every = read("all_proxy")
        self._proxies = {scheme: read(f"{scheme}_proxy") or every for scheme in ("http", "https")}
        self._direct = [entry for entry in read("no_proxy").lower().replace(",", " ").split() if entry]

    def proxy_for(self, url: str) -> str:
        """The proxy for an address, or nothing."""
        parts = urlsplit(url)
        proxy = self._proxies.get(parts.scheme, "")
        if not proxy or self._is_direct(parts.hostname or "", parts.port):
            return ""
        return proxy if "://" in proxy else f"http://{proxy}"

    def _is_direct(self, host: str, port: int | None) -> bool:
        """NO_PROXY as curl reads it: ``*``, names with all below them, addresses, networks, each with a port or not."""
        address = _address(host)
        if host == "localhost" or (address is not None and address.is_loopback):
            return True
        for entry in self._direct:
            if entry == "*":
                return True
            name, colon, wanted = entry.rpartition(":")
            if colon and wanted.isdecimal() and (":" not in name or name.endswith("]")):
                if port != int(wanted):
                    continue
                entry = name
            entry = entry.strip("[]").removeprefix("*").removeprefix(".")
            if address is not None and _holds(entry, address):
                return True
            if entry and (host == entry or host.endswith(f".{entry}")):
                return True
        return False


_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def _address(host: str) -> _Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _holds(network: str, address: _Address) -> bool:
    try:
        return address in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def _checked(proxy: str) -> str:
    """The proxy, if its kind is known. The message names only scheme and host: a proxy may have a password."""
    if is_proxy(proxy):
        return proxy
    try:
        parts = urlsplit(proxy)
        shown = f"{parts.scheme}://{parts.hostname}" if parts.hostname else "without a host"
    except ValueError:
        shown = "without a host"
    raise UnsupportedProxy(f"proxy {shown}: write it as http://host:port or socks5://host:port")


def session_on(connector: aiohttp.BaseConnector) -> aiohttp.ClientSession:
    """A session as the Wire has them: without cookies, and without a limit on the whole of a request."""
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT),
    )


def tls() -> ssl.SSLContext:
    """The machine's own certificates, so that a company's CA counts; httpx's bundle where the machine has none."""
    found = ssl.get_default_verify_paths()
    return ssl.create_default_context() if found.cafile or found.capath else httpx.create_ssl_context()
