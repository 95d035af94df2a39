"""Calls to iLink: what a server receives, what failures mean, and what they never say."""

from __future__ import annotations

import asyncio
import base64
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from adapters.wechat.ilink.api import SLOW_DOWN, Api, Credentials, LoginNeeded, TimedOut
from bridge.model import BridgeError, Exhausted, RateLimited, Rejected, Unreachable, Unsure
from bridge.wire import Wire
from tests.rawserver import Connection, serve

TOKEN = "tok-SeCrEt"
TEXT = "a private question"
LOGIN = Credentials(TOKEN, "abc@im.bot", "u1@im.wechat", "")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def saying(body: str, status: int = 200, headers: dict[str, str] | None = None) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(text=body, status=status, headers=headers)

    return handler


@dataclass
class Server:
    """Answers every call in one way, and keeps what it was asked."""

    handler: Handler = field(default_factory=lambda: saying("{}"))
    requests: list[web.Request] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        self.bodies.append(await request.json() if request.method == "POST" else None)
        return await self.handler(request)


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    async with Wire({}) as made:
        yield made


@asynccontextmanager
async def served(server: Server) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", server.answer)
    async with TestServer(app) as running:
        yield str(running.make_url("")).rstrip("/")


async def failure(api: Api, timeout: float = 10) -> BridgeError:
    """What a call that carries the token and a text raises."""
    api.credentials = LOGIN
    with pytest.raises(BridgeError) as caught:
        await api.call("sendmessage", {"msg": TEXT}, timeout=timeout)
    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert TOKEN not in told
    assert TEXT not in told
    return caught.value


# ------------------------------------------------------------------ what goes out


async def test_a_call_carries_the_login_and_the_headers_of_the_protocol(wire: Wire) -> None:
    server = Server()
    async with served(server) as url:
        api = Api(wire.connection, f"{url}/")
        api.credentials = LOGIN
        await api.call("msg/notifystart", {"a": 1}, timeout=10)
        await api.call("msg/notifystart", {}, timeout=10)
    request, second = server.requests
    assert (request.method, request.path) == ("POST", "/ilink/bot/msg/notifystart")
    assert request.headers["Authorization"] == f"Bearer {TOKEN}"
    assert request.headers["AuthorizationType"] == "ilink_bot_token"
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["iLink-App-Id"] == "bot"
    assert request.headers["iLink-App-ClientVersion"] == str(2 << 16 | 4 << 8 | 9)
    uin = request.headers["X-WECHAT-UIN"]
    assert 0 <= int(base64.b64decode(uin)) < 2**32
    assert uin != second.headers["X-WECHAT-UIN"]
    body = server.bodies[0]
    assert body["a"] == 1
    assert body["base_info"] == {"channel_version": "2.4.9", "bot_agent": "fastgpt-bridge/1"}


async def test_calls_go_to_the_server_of_the_login(wire: Wire) -> None:
    configured, named = Server(), Server()
    async with served(configured) as url, served(named) as other:
        api = Api(wire.connection, url)
        api.credentials = Credentials(TOKEN, "abc@im.bot", "u1@im.wechat", other)
        await api.call("getconfig", {}, timeout=10)
    assert (len(configured.requests), len(named.requests)) == (0, 1)


async def test_nobodys_token_is_shown_without_a_login_or_by_get(wire: Wire) -> None:
    server = Server()
    async with served(server) as url:
        api = Api(wire.connection, url)
        await api.call("get_bot_qrcode?bot_type=3", {}, timeout=10)
        api.credentials = LOGIN
        await api.get("get_qrcode_status", {"qrcode": "a/b&c"}, timeout=10)
    qrcode, status = server.requests
    assert dict(qrcode.query) == {"bot_type": "3"}
    assert dict(status.query) == {"qrcode": "a/b&c"}
    assert (status.method, status.path) == ("GET", "/ilink/bot/get_qrcode_status")
    assert not {"Authorization", "AuthorizationType"} & set(status.headers)
    assert "Authorization" not in qrcode.headers


# ------------------------------------------------------------------ what comes back


async def test_an_answer_without_ret_is_a_success_and_its_numbers_are_whole(wire: Wire) -> None:
    async with served(Server(saying('{"message_id": 7600000000000000001}'))) as url:
        answer = await Api(wire.connection, url).call("sendmessage", {}, timeout=10)
    assert answer == {"message_id": 7_600_000_000_000_000_001}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, '{"ret": -14, "errmsg": "session timeout"}', LoginNeeded),
        (200, '{"errcode": -14}', LoginNeeded),
        (200, '{"ret": -1, "errcode": -14}', LoginNeeded),
        (401, '{"ret": -14}', LoginNeeded),
        (200, '{"ret": -2}', Exhausted),
        (200, '{"ret": 0, "errcode": -2}', Exhausted),
        (200, '{"ret": -1}', Rejected),
        (400, '{"errcode": 40001}', Rejected),
        (500, '{"ret": -1}', Unsure),
        (502, "<html>bad gateway</html>", Unsure),
        (404, "not found", Unsure),
        (404, "{}", Unsure),
        (200, "<html>welcome to the hotel</html>", Unsure),
        (200, "[]", Unsure),
        (200, "[" * 100_000, Unsure),
    ],
)
async def test_what_an_answer_means(wire: Wire, status: int, body: str, kind: type[BridgeError]) -> None:
    async with served(Server(saying(body, status))) as url:
        assert type(await failure(Api(wire.connection, url))) is kind


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7.0), ("", SLOW_DOWN), ("tomorrow", SLOW_DOWN), ("inf", SLOW_DOWN)]
)
async def test_too_many_calls(wire: Wire, header: str, seconds: float) -> None:
    async with served(Server(saying("slow down", 429, {"Retry-After": header}))) as url:
        error = await failure(Api(wire.connection, url))
    assert isinstance(error, RateLimited)
    assert error.retry_after == seconds


async def test_what_the_server_says_of_a_refusal_is_not_passed_on(wire: Wire) -> None:
    body = f'{{"ret": -3, "errmsg": "bad request: {TEXT}, token {TOKEN}"}}'
    async with served(Server(saying(body))) as url:
        error = await failure(Api(wire.connection, url))
    assert "-3" in str(error)


async def test_a_redirect_is_not_followed(wire: Wire) -> None:
    elsewhere = Server()
    async with served(elsewhere) as other, served(Server(saying("{}", 307, {"Location": other}))) as url:
        assert isinstance(await failure(Api(wire.connection, url)), Unsure)
    assert elsewhere.requests == []


# ------------------------------------------------------------------ the way there


async def test_a_refused_connection_has_sent_nothing(wire: Wire) -> None:
    error = await failure(Api(wire.connection, f"http://127.0.0.1:{unused_port()}"))
    assert isinstance(error, Unreachable)


async def test_a_connection_that_dies_after_the_request_may_have_sent_it(wire: Wire) -> None:
    async def hang_up(connection: Connection) -> None:
        await connection.request()

    async with serve(hang_up) as server:
        assert type(await failure(Api(wire.connection, server.url))) is Unsure
    assert len(server.requests) == 1  # it was not repeated


async def test_a_server_that_does_not_answer(wire: Wire) -> None:
    async def hold(connection: Connection) -> None:
        await connection.hung_up()

    async with serve(hold) as server:
        async with asyncio.timeout(10):
            assert isinstance(await failure(Api(wire.connection, server.url), timeout=0.1), TimedOut)


def test_credentials_do_not_show_their_token() -> None:
    assert TOKEN not in repr(LOGIN)
    assert "abc@im.bot" in repr(LOGIN)


async def test_a_broken_letter_in_one_message_does_not_keep_the_others(wire: Wire) -> None:
    batch = r'{"ret": 0, "msgs": [{"text": "a\ud83d b", "odd": NaN}, {"text": "and this", "id": 7600000000000000001}]}'
    async with served(Server(saying(batch))) as url:
        answer = await Api(wire.connection, url).call("getupdates", {}, timeout=10)
    first, second = answer["msgs"]
    assert first["text"] == "a? b"
    assert second == {"text": "and this", "id": 7600000000000000001}
