"""Fetches the files that an answer names by their addresses. Anyone can write an address into an answer.

Rules of this file (DESIGN 2.4):
- only public addresses are fetched, and those that the operator allows (bridge.addresses). A name is looked up once,
  all that it stands for must pass, and the connection goes to exactly what was checked; Host and the name in the
  certificate stay the host's;
- redirects are followed by hand, and each is checked like the first;
- through a proxy it is the proxy that looks names up: only what the address itself shows can be refused here. Whoever
  configures a proxy relies on its rules for the rest;
- no cookies and no credentials are sent, not even those that the address holds;
- AT_ONCE files are on their way at once, for all bots: each is held in memory, and once only;
- an address may be signed, and is a secret then: messages name its host alone.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable
from email.message import Message as Headers
from io import BytesIO
from urllib.parse import unquote

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from bridge.addresses import Guard
from bridge.model import BridgeError, Download, File, TooBig
from bridge.sniff import HEAD, sniff
from bridge.wire import FAILURES, Wire, session_on, tls

TOTAL = 60.0
"""Seconds for one file, redirects included."""
AT_ONCE = 4
REDIRECTS = 5
PIECE = 1 << 16

_HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "fastgpt-bridge"}
_MOVED = frozenset({301, 302, 303, 307, 308})

Resolve = Callable[[str], Awaitable[list[str]]]
"""Host name -> its addresses. Raises OSError."""


class Downloads:
    """For ``Host.download``. ``app_hosts`` and ``allow_private`` are those of bridge.addresses.Guard. Built within a
    running event loop; ``close`` it before the Wire."""

    def __init__(
        self,
        wire: Wire,
        app_hosts: Iterable[str] = (),
        allow_private: Iterable[str] = (),
        *,
        resolve: Resolve | None = None,
    ) -> None:
        self._wire = wire
        self._guard = Guard(app_hosts, allow_private)
        self._resolver = _Resolver(self._guard, resolve or _look_up)
        self._direct: aiohttp.ClientSession | None = None
        self._gate = asyncio.Semaphore(AT_ONCE)

    async def fetch(self, file: File, most: int, proxy: str = "") -> Download:
        """Fetch a file of at most ``most`` bytes; ``proxy`` is the bot's own.

        Raises TooBig; NotPublic; another BridgeError when it cannot be fetched.
        """
        try:
            async with self._gate, asyncio.timeout(TOTAL):
                return await self._follow(file, most, proxy)
        except TimeoutError:
            raise BridgeError(f"{_shown(file.url)}: no file within {TOTAL:.0f} s") from None

    async def close(self) -> None:
        if self._direct is not None:
            await self._direct.close()

    async def _follow(self, file: File, most: int, proxy: str) -> Download:
        url = _parsed(file.url)
        for _ in range(1 + REDIRECTS):
            try:
                session, through = self._session(url, proxy)
                async with session.get(url, headers=_HEADERS, allow_redirects=False, proxy=through) as response:
                    location = response.headers.get("Location")
                    if response.status in _MOVED and location:
                        url = url.join(_parsed(location))
                        continue
                    if response.status != 200:
                        raise BridgeError(f"{_shown(url)}: HTTP {response.status}")
                    data = await _read(response, most)
                    name = _name(url, response.headers.get("Content-Disposition", ""), file.name)
                    kind = sniff(data[:HEAD], name, response.headers.get("Content-Type", ""))
                    return Download(data, kind.name, kind.mime)
            except BridgeError:
                raise
            except (*FAILURES, OSError, ValueError) as error:
                raise BridgeError(f"{_shown(url)}: {type(error).__name__}") from None
        raise BridgeError(f"{_shown(file.url)}: more than {REDIRECTS} redirects")

    def _session(self, url: URL, proxy: str) -> tuple[aiohttp.ClientSession, str | None]:
        """The session for a checked address, and its ``proxy=``. Raises NotPublic."""
        if url.scheme not in ("http", "https") or not url.raw_host or url.port is None:
            raise BridgeError("only http:// and https:// addresses can be fetched")
        proxied = self._wire.proxy_for(str(url), proxy) is not None
        self._guard.check_host(url.raw_host, url.port, proxied=proxied)
        if proxied:
            return self._wire.connection(str(url), proxy)
        if self._direct is None:
            connector = aiohttp.TCPConnector(
                resolver=self._resolver, use_dns_cache=False, force_close=True, limit=0, ssl=tls()
            )
            self._direct = session_on(connector)
        return self._direct, None


class _Resolver(AbstractResolver):
    """Looks a name up and lets nothing through that was not checked: aiohttp connects to what this returns."""

    def __init__(self, guard: Guard, resolve: Resolve) -> None:
        self._guard = guard
        self._resolve = resolve

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._resolve(host)
        self._guard.check_found(host, port, found)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in found
        ]

    async def close(self) -> None:
        pass


async def _look_up(host: str) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(row[4][0]) for row in found]


async def _read(response: aiohttp.ClientResponse, most: int) -> bytes:
    if (response.content_length or 0) > most:
        raise TooBig
    data = BytesIO()
    async for piece in response.content.iter_chunked(PIECE):
        if data.tell() + len(piece) > most:
            raise TooBig
        data.write(piece)
    return data.getvalue()  # its own buffer, and no copy of it


def _parsed(text: str) -> URL:
    """An address, or the relative one of a redirect. Its escapes stay as they are, for they may be signed; user and
    password are left out."""
    try:
        url = URL(text, encoded=text.isascii() and text.isprintable() and " " not in text)
        return url.with_user(None) if url.absolute else url
    except ValueError:
        raise BridgeError("what is given as an address is none") from None


def _shown(url: URL | str) -> str:
    try:
        return URL(url).host or "the address"
    except ValueError:
        return "the address"


def _name(url: URL, disposition: str, given: str) -> str:
    """What the server calls the file, else the address, else the answer."""
    last = unquote(url.raw_path.rpartition("/")[2])
    return _told(disposition) or (last if "." in last else "") or url.query.get("filename") or given or last


def _told(disposition: str) -> str:
    """The name in a Content-Disposition; empty where there is none, or none that can be read."""
    headers = Headers()
    try:
        headers["Content-Disposition"] = disposition.replace("\n", " ").replace("\r", " ")
        return headers.get_filename() or ""
    except Exception:  # a stranger has written it, and the parser fails in many ways: a TypeError is one
        return ""
