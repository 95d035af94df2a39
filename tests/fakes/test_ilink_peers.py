"""An iLink client from PyPI that nobody here wrote, weixin-ilink-client, lives here: login, texts, files, the end.

It speaks to https addresses only, and to Tencent's host for the QR code: its requests are sent on to the fake as they
are, by ``Onwards``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from weixin_ilink_client import (
    ApiError,
    AsyncWeixinIlinkClient,
    InboundMessage,
    MediaKind,
    QrLoginManager,
    QrStatus,
    SessionPausedError,
    WeixinCredentials,
)
from weixin_ilink_client.protocol import IlinkTransport

from tests.fakes.wechat.ilink import Ilink

SILK = b"\x02#!SILK_V3 sound"
ELSEWHERE = "idc.weixin.test"


class Onwards(httpx.AsyncHTTPTransport):
    """Sends every request to the fake; the ``Host`` that it names stays."""

    def __init__(self, ilink: Ilink) -> None:
        super().__init__(verify=False)  # plain http: loading CAs costs time
        self._url = httpx.URL(ilink.url)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.url = request.url.copy_with(scheme=self._url.scheme, host=self._url.host, port=self._url.port)
        return await super().handle_async_request(request)


@pytest.fixture
async def ilink() -> AsyncIterator[Ilink]:
    async with Ilink() as server:
        server.baseurl = "https://api.weixin.test"
        yield server


@pytest.fixture
async def transport(ilink: Ilink) -> AsyncIterator[IlinkTransport]:
    async with httpx.AsyncClient(transport=Onwards(ilink), trust_env=False) as http:
        yield IlinkTransport(http_client=http)


@pytest.fixture
async def peer(ilink: Ilink, transport: IlinkTransport) -> AsyncIterator[AsyncWeixinIlinkClient]:
    credentials = WeixinCredentials(ilink.bot_id, ilink.token, ilink.address, ilink.user)
    async with AsyncWeixinIlinkClient(credentials, transport=transport) as client:
        yield client


async def received(peer: AsyncWeixinIlinkClient) -> list[InboundMessage]:
    """What one poll brings, confirmed, and its contexts remembered as the library's own loop does."""
    batch = await peer.poll_updates()
    for message in batch.messages:
        await peer.state_store.set_context_token(batch.account_id, message.from_user_id, message.context_token)
    await peer.commit_update_batch(batch)
    return list(batch.messages)


@asynccontextmanager
async def echoing(peer: AsyncWeixinIlinkClient) -> AsyncIterator[None]:
    """The library's own loop, with a handler that answers each message."""

    async def answer(message: InboundMessage) -> None:
        await peer.send_text(message.from_user_id, f"heard: {message.text}")

    loop = asyncio.create_task(peer.run(answer))
    try:
        yield
    finally:
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)


async def test_it_logs_in_by_qr_code(ilink: Ilink, transport: IlinkTransport) -> None:
    login = QrLoginManager(transport=transport)
    ilink.expiring = 1
    session = await login.start(local_tokens=["old"])
    assert (await login.poll(session)).status is QrStatus.EXPIRED
    await login.refresh(session)
    ilink.scan = "need_verifycode"
    assert (await login.poll(session)).status is QrStatus.NEED_VERIFY_CODE
    login.submit_verify_code(session, "1")
    assert (await login.poll(session)).status is QrStatus.NEED_VERIFY_CODE
    login.submit_verify_code(session, ilink.verify_code)
    assert (await login.poll(session)).status is QrStatus.SCANNED
    ilink.scan, ilink.redirect_host = "scaned_but_redirect", ELSEWHERE
    assert (await login.poll(session)).status is QrStatus.SCANNED_REDIRECT
    assert session.current_base_url == f"https://{ELSEWHERE}"
    assert (await login.poll(session)).status is QrStatus.SCANNED
    confirmed = await login.poll(session)
    assert confirmed.credentials == WeixinCredentials(ilink.bot_id, ilink.token, ilink.baseurl, ilink.user)
    ilink.scan = "binded_redirect"
    assert (await login.poll(session)).already_connected
    ilink.scan = "verify_code_blocked"
    assert (await login.poll(session)).status is QrStatus.VERIFY_CODE_BLOCKED
    async with AsyncWeixinIlinkClient(confirmed.credentials, transport=transport):
        pass
    assert [path for path, _ in ilink.calls[-2:]] == ["msg/notifystart", "msg/notifystop"]
    assert ilink.complaints == []


async def test_it_answers_each_message_once(ilink: Ilink, peer: AsyncWeixinIlinkClient) -> None:
    async with echoing(peer):
        ilink.say("hello 你好")
        await ilink.until(lambda: ilink.screen() == ["heard: hello 你好"])
        ilink.again()
        ilink.say("more")
        await ilink.until(lambda: ilink.screen()[1:] == ["heard: more"])
        ilink.again(new_id=True)
        await ilink.until(lambda: ilink.screen()[2:] == ["heard: more"])
        await ilink.until(lambda: ilink.unconfirmed() == 0)
    assert ilink.complaints == []


async def test_it_shows_that_it_types(ilink: Ilink, peer: AsyncWeixinIlinkClient) -> None:
    ilink.say("hi")
    await received(peer)
    for typing in (True, True, False):
        await peer.set_typing(ilink.user, typing)
    assert ilink.typing == [1, 1, 2] and ilink.complaints == []
    assert sum(path == "getconfig" for path, _ in ilink.calls) == 1


@pytest.mark.parametrize("full_urls", [True, False])
async def test_files_go_both_ways(ilink: Ilink, peer: AsyncWeixinIlinkClient, full_urls: bool) -> None:
    ilink.full_urls = full_urls
    for data in (b"one", b"x" * 16):
        ilink.say_media("file", data, "plan.pdf")
        ilink.say_media("image", data)
        ilink.say_media("voice", data, text="spoken")
        ilink.say_media("video", data)
    messages = await received(peer)
    files = [await peer.download_media(message.items[0]) for message in messages]
    assert [file.content for file in files] == [b"one"] * 4 + [b"x" * 16] * 4
    assert files[0].file_name == "plan.pdf" and messages[2].text == "spoken"
    for kind in (MediaKind.FILE, MediaKind.IMAGE, MediaKind.VIDEO):
        await peer.send_media(ilink.user, kind.value.encode(), kind=kind, file_name="out.pdf", caption=f"a {kind}")
    await peer.send_voice(ilink.user, SILK, duration_ms=100)
    assert ilink.screen() == ["a file", "[file out.pdf]", "a image", "[image]", "a video", "[video]", "[voice]"]
    assert [sent.data for sent in ilink.sent if sent.data] == [b"file", b"image", b"video", SILK]
    assert ilink.complaints == []


async def test_it_learns_of_the_budget_and_of_the_end(ilink: Ilink, peer: AsyncWeixinIlinkClient) -> None:
    ilink.budget = 1
    ilink.say("hi")
    await received(peer)
    await peer.send_text(ilink.user, "a")
    with pytest.raises(ApiError) as used_up:
        await peer.send_text(ilink.user, "b")
    assert used_up.value.code == -2
    waiting = asyncio.create_task(peer.poll_updates())
    await ilink.until(lambda: ilink.unconfirmed() == 0)
    ilink.expire()
    with pytest.raises(SessionPausedError):
        await waiting
    with pytest.raises(ApiError) as ended:
        await peer.transport.notify_start(peer.credentials)
    assert ended.value.code == -14
    ilink.renew(ilink.token)  # so that it can say goodbye
    assert ilink.screen() == ["a"] and ilink.complaints == []
