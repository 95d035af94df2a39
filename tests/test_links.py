"""bridge.links: an address for an attachment, as the app and a browser meet it."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import unquote

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

from bridge import incoming
from bridge.links import LASTS, Links, disposition
from bridge.model import Attachment, BridgeError
from bridge.store import Engine, open_engine

PICTURE = Attachment("image", ref="platform-file-7")
DATA = b"\xff\xd8\xff" + bytes(200_000)


class Platform:
    """The bots' adapters: what ``fetch`` brings, and how often it was asked."""

    def __init__(self) -> None:
        self.files: dict[tuple[str, str], bytes | Exception] = {("tg", PICTURE.ref): DATA}
        self.asked = 0
        self.closed = 0
        self.breaks_at: int | None = None

    async def fetch(self, bot: str, what: Attachment) -> AsyncIterator[bytes]:
        self.asked += 1
        try:
            data = self.files[bot, what.ref]
            if isinstance(data, Exception):
                raise data
            for at in range(0, len(data), 50_000):
                if self.breaks_at is not None and at >= self.breaks_at:
                    raise BridgeError("gone")
                yield data[at : at + 50_000]
        finally:
            self.closed += 1


class Site:
    """The bridge's port with /files, and a client for it."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.now = 1_800_000_000.0

    async def start(self, engine: Engine, server: TestServer, app: web.Application) -> None:
        self.engine = engine
        self.links = links = Links(
            engine, "https://bridge.example.com/base", self.platform.fetch, clock=lambda: self.now
        )
        for method in ("GET", "HEAD"):
            app.router.add_route(method, Links.PATH, links.handler)
        await server.start_server()
        self._at = str(server.make_url("")).rstrip("/")

    def local(self, link: str) -> str:
        return link.replace("https://bridge.example.com/base", self._at)

    @asynccontextmanager
    async def get(self, link: str, method: str = "GET") -> AsyncIterator[aiohttp.ClientResponse]:
        async with aiohttp.ClientSession() as session, session.request(method, self.local(link)) as response:
            yield response

    async def status(self, link: str) -> int:
        async with self.get(link) as response:
            return response.status


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    engine = open_engine("sqlite::memory:")
    await engine.start(None)
    app = web.Application()
    server = TestServer(app)
    site = Site(Platform())
    await site.start(engine, server, app)
    yield site
    await server.close()
    await engine.close(0)


async def test_the_app_fetches_a_file_more_than_once(site: Site) -> None:
    link = await site.links.link("tg", PICTURE, "照片 1.jpg", "image/jpeg")
    for _ in range(2):
        async with site.get(link) as response:
            assert response.status == 200
            assert await response.read() == DATA
            assert response.content_type == "image/jpeg"
    assert site.platform.asked == site.platform.closed == 2


async def test_what_a_browser_is_told(site: Site) -> None:
    link = await site.links.link("tg", PICTURE, '合同 "a".html', "text/html")
    for method in ("GET", "HEAD"):
        async with site.get(link, method) as response:
            headers = response.headers
            assert response.status == 200
            assert headers["Content-Disposition"].startswith("attachment; ")
            assert response.content_disposition is not None
            assert response.content_disposition.filename == '合同 "a".html'
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Content-Security-Policy"] == "sandbox"
            assert headers["Cache-Control"] == "private"
            assert "Content-Length" not in headers, "nobody knows it yet"
    assert site.platform.asked == 1, "HEAD does not trouble the platform"


async def test_an_address_tells_its_ending_and_nothing_else(site: Site) -> None:
    link = await site.links.link("tg", PICTURE, "合同&x=1#.pdf", "application/pdf")
    assert link.startswith("https://bridge.example.com/base/files/")
    assert unquote(link.partition("?filename=")[2]) == "合同&x=1#.pdf"
    assert not set(link.partition("?")[2]) & set("&#")
    assert PICTURE.ref not in link
    assert await site.links.link("tg", PICTURE, "合同&x=1#.pdf", "application/pdf") != link


async def test_a_link_outlives_the_process(site: Site) -> None:
    link = await site.links.link("tg", PICTURE, "a.jpg", "image/jpeg")
    again = Links(site.engine, "https://x", site.platform.fetch, clock=lambda: site.now)
    other = await again.link("tg", PICTURE, "b.jpg", "image/jpeg")
    assert await site.status(link) == 200
    assert await site.status(other.replace("https://x", "https://bridge.example.com/base")) == 200


async def test_two_first_links_at_once_have_one_key(site: Site) -> None:
    links = await asyncio.gather(*(site.links.link("tg", PICTURE, "a.jpg", "image/jpeg") for _ in range(2)))
    assert [await site.status(link) for link in links] == [200, 200]


async def test_a_link_expires(site: Site) -> None:
    link = await site.links.link("tg", PICTURE, "a.jpg", "image/jpeg")
    site.now += LASTS - 1
    assert await site.status(link) == 200
    site.now += 1
    assert await site.status(link) == 404


async def test_no_token_can_be_changed(site: Site) -> None:
    link = await site.links.link("tg", PICTURE, "a.jpg", "image/jpeg")
    token = link.partition("/files/")[2].partition("?")[0]
    raw = base64.urlsafe_b64decode(token + "==")
    for at in (0, 15, 16, 20, 21, len(raw) - 1):  # random, expiry, signature
        changed = bytearray(raw)
        changed[at] ^= 1
        other = base64.urlsafe_b64encode(changed).decode().rstrip("=")
        assert await site.status(link.replace(token, other)) == 404, at
    for other in ("x", "ä", token[:-1], token + "AAAA", token[:28], "%00", "-" * 71, "A" * 5000):
        assert await site.status(link.replace(token, other)) == 404, other
    assert site.platform.asked == 0


async def test_a_signature_without_its_row(site: Site) -> None:
    link = await site.links.link("tg", PICTURE, "a.jpg", "image/jpeg")
    raw = base64.urlsafe_b64decode(link.partition("/files/")[2].partition("?")[0] + "==")
    await site.engine.put({f"file:{raw[:16].hex()}": None})
    assert await site.status(link) == 404


@pytest.mark.parametrize("error", [BridgeError("gone"), RuntimeError("https://api/bot123:token/file")])
async def test_a_file_that_the_platform_does_not_give(
    site: Site, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    site.platform.files["tg", PICTURE.ref] = error
    link = await site.links.link("tg", PICTURE, "a.jpg", "image/jpeg")
    async with site.get(link) as response:
        assert response.status == 502
        assert "gone" not in await response.text()
    assert "token" not in caplog.text


async def test_a_bot_that_is_gone_from_the_config(site: Site) -> None:
    assert await site.status(await site.links.link("gone", PICTURE, "a.jpg", "image/jpeg")) == 502


async def test_a_file_that_breaks_off_is_not_taken_for_whole(site: Site) -> None:
    site.platform.breaks_at = 100_000
    link = await site.links.link("tg", PICTURE, "a.jpg", "image/jpeg")
    async with site.get(link) as response:
        with pytest.raises(aiohttp.ClientError):
            await response.read()


async def test_a_file_without_end_stops_at_the_cap(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incoming, "MOST", 120_000)
    link = await site.links.link("tg", PICTURE, "a.jpg", "image/jpeg")
    async with site.get(link) as response:
        with pytest.raises(aiohttp.ClientError):
            await response.read()
    assert site.platform.closed == 1


@given(st.text(min_size=1, max_size=60))
def test_any_name_fits_into_a_header(name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        return  # bridge.sniff gives no such names
    header = disposition(name)
    assert header.isascii() and header.isprintable()
    assert header.count('"') == 2
    assert unquote(header.partition("filename*=UTF-8''")[2]) == name
