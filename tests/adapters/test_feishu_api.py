"""Calls, uploads, downloads and the token of the open platform: what a server receives, what failures mean, and what
they never say."""

from __future__ import annotations

import asyncio
import logging
import math
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

from adapters.feishu.account import Account
from adapters.feishu.api import DOWNLOAD_MOST, PIECE, TOKEN_PATH, Api
from adapters.feishu.codes import (
    APP_WAIT,
    UNAVAILABLE_FIX,
    Misconfigured,
    MissingScope,
    QuotaUsedUp,
    Refused,
    refusal,
    scopes_in,
)
from adapters.feishu.token import AGAIN, EARLY, Token
from bridge.model import BridgeError, Fatal, Gone, RateLimited, TooBig, Unreachable, Unsure
from bridge.wire import Wire
from tests.adapters.host import Double
from tests.rawserver import Connection, serve

SECRET = "sEcReT0123456789abcdefghijklmnopq"
PATH = "/open-apis/im/v1/messages"
SCOPES = "Access denied. One of the following scopes is required: [im:message.group_msg, im:message].应用尚未开通"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    async with Wire({}) as made:
        yield made


async def granted(request: web.Request) -> web.StreamResponse:
    await request.read()
    return web.json_response({"code": 0, "msg": "ok", "data": {"message_id": "om_1"}})


@dataclass
class Platform:
    """A server that hands out tokens ``t-1``, ``t-2``, … and leaves every other call to ``handler``."""

    handler: Handler = granted
    token: Handler | None = None
    """What answers the token call instead."""
    tokens: int = 0
    refused: set[str] = field(default_factory=set)
    """Tokens that are not taken any more."""
    seen: list[str] = field(default_factory=list)
    """The tokens of the other calls."""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if request.path == TOKEN_PATH:
            self.tokens += 1
            if self.token is not None:
                return await self.token(request)
            assert (await request.json())["app_secret"] == SECRET
            return web.json_response({"code": 0, "tenant_access_token": f"t-{self.tokens}", "expire": 7200})
        bearer = request.headers["Authorization"].removeprefix("Bearer ")
        self.seen.append(bearer)
        if bearer in self.refused:
            await request.read()
            return web.json_response({"code": 99991663, "msg": "Invalid access token for authorization."}, status=400)
        return await self.handler(request)


@asynccontextmanager
async def served(platform: Platform, wire: Wire) -> AsyncIterator[Api]:
    app = web.Application(client_max_size=64 * 2**20)
    app.router.add_route("*", "/{rest:.*}", platform.answer)
    async with TestServer(app) as running:
        api = made(str(running.make_url("/")), wire)
        yield api
        await api.close()


def made(domain: str, wire: Wire) -> Api:
    return Api("cli_a", SECRET, domain, *wire.connection(domain))


def saying(status: int, body: str | bytes, headers: dict[str, str] | None = None) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        await request.read()
        raw = body.encode() if isinstance(body, str) else body
        return web.Response(status=status, body=raw, headers=headers)

    return handler


def refusing(code: int, message: str = "no", status: int = 400, headers: dict[str, str] | None = None) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        await request.read()
        return web.json_response({"code": code, "msg": message}, status=status, headers=headers)

    return handler


async def failure(api: Api) -> BridgeError:
    with pytest.raises(BridgeError) as caught:
        await api.call("POST", PATH, {"content": "x"})
    return caught.value


# ------------------------------------------------------------------ out


async def test_a_call_is_one_json_body_and_brings_the_whole_answer(wire: Wire) -> None:
    seen: list[tuple[str, str, str, Any]] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        seen.append((request.method, request.path_qs, request.content_type, await request.json()))
        return await granted(request)

    async with served(Platform(handler), wire) as api:
        answer = await api.call("POST", PATH, {"text": "你好"}, {"receive_id_type": "chat_id"})
    assert answer["data"] == {"message_id": "om_1"}
    assert seen == [("POST", f"{PATH}?receive_id_type=chat_id", "application/json", {"text": "你好"})]


async def test_a_file_goes_up_with_its_name_and_the_fields_beside_it(wire: Wire) -> None:
    files: list[tuple[str, int, dict[str, Any]]] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        fields = dict(await request.post())
        file = fields.pop("file")
        assert isinstance(file, web.FileField)
        files.append((file.filename, len(file.file.read()), fields))
        return await granted(request)

    async with served(Platform(handler), wire) as api:
        await api.upload(
            "/open-apis/im/v1/files", {"file_type": "stream"}, '报告\r\n "a".pdf', bytes(3 * 2**20), "file"
        )
    assert files == [('报告 "a".pdf', 3 * 2**20, {"file_type": "stream"})]


async def test_an_upload_is_sent_again_whole_with_a_new_token(wire: Wire) -> None:
    sizes: list[int] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        image = (await request.post())["image"]
        assert isinstance(image, web.FileField)
        sizes.append(len(image.file.read()))
        return await granted(request)

    async with served(Platform(handler, refused={"t-1"}), wire) as api:
        await api.upload("/open-apis/im/v1/images", {"image_type": "message"}, "a.png", bytes(1000), "image")
    assert sizes == [1000]


# ------------------------------------------------------------------ the token on its way


async def test_calls_share_one_token(wire: Wire) -> None:
    platform = Platform()
    async with served(platform, wire) as api:
        await asyncio.gather(*(api.call("GET", PATH) for _ in range(5)))
    assert platform.tokens == 1
    assert platform.seen == ["t-1"] * 5


async def test_a_refused_token_is_renewed_once_for_all_who_used_it(wire: Wire) -> None:
    platform = Platform()
    async with served(platform, wire) as api:
        await api.call("GET", PATH)
        platform.refused.add("t-1")
        answers = await asyncio.gather(*(api.call("GET", PATH) for _ in range(5)))
    assert platform.tokens == 2
    assert all(answer["code"] == 0 for answer in answers)


async def test_a_token_that_is_refused_twice_means_that_nothing_was_done(wire: Wire) -> None:
    platform = Platform(refused={"t-1", "t-2"})
    async with served(platform, wire) as api:
        assert isinstance(await failure(api), Unreachable)
    assert platform.seen == ["t-1", "t-2"]


@pytest.mark.parametrize("code", [10003, 10014])
async def test_wrong_credentials_are_for_the_operator(wire: Wire, code: int) -> None:
    platform = Platform(token=refusing(code, f"invalid param: {SECRET}", 200))
    async with served(platform, wire) as api:
        error = await failure(api)
    assert isinstance(error, Fatal)
    assert "app_secret" in str(error)
    assert SECRET not in whole(error)


@pytest.mark.parametrize("token", [saying(502, "<html>"), saying(200, "{}"), refusing(4711), saying(200, '{"code":0}')])
async def test_without_a_token_nothing_was_sent(wire: Wire, token: Handler) -> None:
    platform = Platform(token=token)
    async with served(platform, wire) as api:
        assert isinstance(await failure(api), Unreachable)
    assert platform.seen == []


# ------------------------------------------------------------------ what failures mean


@pytest.mark.parametrize(
    ("handler", "error"),
    [
        (refusing(230002), Gone),
        (refusing(230025), Refused),
        (refusing(230011), Refused),
        (refusing(10003), Refused),
        (refusing(2200), Unsure),
        (refusing(200810), Unsure),
        (refusing(4711, status=500), Unsure),
        (refusing(4711, status=429), RateLimited),
        (refusing(230006), Misconfigured),
        (refusing(99991672, SCOPES), MissingScope),
        (saying(429, "slow down"), RateLimited),
        (saying(413, "<html>413 Request Entity Too Large</html>"), Refused),
        (saying(404, "<html>404</html>"), Unsure),
        (saying(502, "<html>Bad Gateway</html>"), Unsure),
        (saying(500, '{"code": 0}'), Unsure),
        (saying(200, "<html>a portal</html>"), Unsure),
        (saying(200, "[]"), Unsure),
        (saying(200, '{"code": "0"}'), Unsure),
        (saying(200, '{"msg": "错误"}'.encode("gbk")), Unsure),
        (saying(200, b"[" * 100_000), Unsure),
    ],
)
async def test_a_refusal_has_its_error(wire: Wire, handler: Handler, error: type[BridgeError]) -> None:
    async with served(Platform(handler), wire) as api:
        assert type(await failure(api)) is error


@pytest.mark.parametrize(
    ("code", "header", "seconds", "whole_bot"),
    [
        (99991400, "7", 7.0, True),
        (99991400, "", APP_WAIT, True),
        (99991400, "nan", APP_WAIT, True),
        (230020, "3", 3.0, False),
    ],
)
async def test_a_limit_says_how_long_and_for_whom(
    wire: Wire, code: int, header: str, seconds: float, whole_bot: bool
) -> None:
    headers = {"x-ogw-ratelimit-reset": header} if header else {}
    async with served(Platform(refusing(code, headers=headers)), wire) as api:
        error = await failure(api)
    assert isinstance(error, RateLimited)
    assert (error.retry_after, error.whole_bot) == (seconds, whole_bot)


async def test_the_used_up_quota_is_a_long_limit_of_the_whole_bot(wire: Wire) -> None:
    async with served(Platform(refusing(99991403)), wire) as api:
        error = await failure(api)
    assert isinstance(error, QuotaUsedUp)
    assert error.whole_bot
    assert error.retry_after >= 600


async def test_a_refusal_names_the_code_and_the_log_id_but_not_the_values(wire: Wire) -> None:
    message = (
        "Failed to create card content, ext=ErrCode: 11310; ErrMsg: table number over limit; ErrorValue: secret words"
    )
    async with served(Platform(refusing(230099, message, headers={"x-tt-logid": "20261123A"})), wire) as api:
        error = await failure(api)
    assert isinstance(error, Refused)
    assert (error.code, error.inner) == (230099, 11310)
    assert str(error).endswith("ErrMsg: table number over limit (code 230099, log 20261123A)")


async def test_a_redirect_is_not_followed_with_what_was_to_be_sent(wire: Wire) -> None:
    paths: list[str] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        paths.append(request.path)
        return await (granted if request.path == "/elsewhere" else saying(307, "", {"Location": "/elsewhere"}))(request)

    async with served(Platform(handler), wire) as api:
        assert isinstance(await failure(api), Unsure)
    assert paths == [PATH]


async def test_nobody_at_home_means_that_nothing_was_sent(wire: Wire) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = await granted(request)
        response.force_close()
        return response

    async with served(Platform(handler), wire) as api:
        await api.call("GET", PATH)
    assert isinstance(await failure(api), Unreachable)


# ------------------------------------------------------------------ in


async def fetched(api: Api) -> list[bytes]:
    return [piece async for piece in api.open_file("om_1", "file/1", "file")]


@pytest.mark.parametrize("size", [0, 1, PIECE, 5 * PIECE + 3])
async def test_a_file_comes_whole_in_pieces(wire: Wire, size: int) -> None:
    data = bytes(index % 251 for index in range(size))
    asked: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(request.raw_path)
        return web.Response(body=data)

    async with served(Platform(handler, refused={"t-1"}), wire) as api:
        pieces = await fetched(api)
    assert b"".join(pieces) == data
    assert all(len(piece) <= PIECE for piece in pieces)
    assert asked == [f"{PATH}/om_1/resources/file%2F1?type=file"]


async def test_a_file_is_too_big_by_its_size_before_it_is_fetched(wire: Wire) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(DOWNLOAD_MOST + 1)})
        await response.prepare(request)
        return response

    async with served(Platform(handler), wire) as api:
        with pytest.raises(TooBig):
            await fetched(api)


async def test_a_file_that_the_platform_finds_too_big_is_too_big(wire: Wire) -> None:
    async with served(Platform(refusing(234037)), wire) as api:
        with pytest.raises(TooBig):
            await fetched(api)


async def test_a_file_that_is_not_handed_out_is_refused(wire: Wire) -> None:
    async with served(Platform(refusing(234043)), wire) as api:
        with pytest.raises(Refused, match="234043"):
            await fetched(api)


# ------------------------------------------------------------------ what they never say


def whole(error: BaseException) -> str:
    """Everything that a log could show of it."""
    return "".join([str(error), repr(error), *traceback.format_exception(error)])


async def _nonsense(connection: Connection) -> None:
    await connection.request()
    await connection.send(b"nonsense\r\n\r\n")


async def _nothing(connection: Connection) -> None:
    await connection.request()


async def _half(connection: Connection) -> None:
    await connection.request()
    await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")


@pytest.mark.parametrize("behaves", [_nonsense, _nothing, _half])
async def test_neither_secret_nor_token_is_in_a_failure_of_http(
    wire: Wire, behaves: Callable[[Connection], Awaitable[None]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token = b'{"code": 0, "tenant_access_token": "t-hidden", "expire": 7200}'

    async def handler(connection: Connection) -> None:
        if (await connection.reader.readuntil(b"\r\n")).startswith(f"POST {TOKEN_PATH}".encode()):
            head = await connection.reader.readuntil(b"\r\n\r\n")
            await connection.reader.readexactly(int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]))
            head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(token)
            await connection.send(head, token)
        else:
            await behaves(connection)

    async with serve(handler) as running:
        api = made(running.url, wire)
        error = await failure(api)
        assert isinstance(error, Unsure)
        with pytest.raises(Unreachable) as caught:
            await fetched(api)
    told = whole(error) + whole(caught.value) + repr(api) + caplog.text
    assert "t-hidden" not in told
    assert SECRET not in told


# ------------------------------------------------------------------ codes


@pytest.mark.parametrize(
    ("message", "scopes"),
    [
        (SCOPES, ("im:message.group_msg", "im:message")),
        (
            "Access denied. [im:message:send_as_bot,cardkit:card:write]",
            ("im:message:send_as_bot", "cardkit:card:write"),
        ),
        ("Access denied.", ()),
        ("a [1] b", ()),
    ],
)
def test_the_scopes_of_a_refusal_are_those_in_its_list(message: str, scopes: tuple[str, ...]) -> None:
    assert scopes_in(message) == scopes
    error = refusal(99991672, message, None, 400)
    assert isinstance(error, MissingScope)
    assert error.scopes == scopes


@given(st.integers(), st.text(), st.none() | st.floats(0, 1000), st.integers(100, 599))
def test_every_answer_has_a_meaning_in_few_words(code: int, message: str, wait: float | None, status: int) -> None:
    assert len(str(refusal(code, message, wait, status))) < 300


def test_only_the_first_sentence_of_a_message_is_told() -> None:
    error = refusal(230001, "Invalid request parameter. Your text was: hello", None, 400)
    assert str(error) == "Feishu refuses: Invalid request parameter (code 230001)"


# ------------------------------------------------------------------ the token by the clock


class Issuer:
    """Hands out tokens that live two hours, on a clock of its own. While ``open`` is not set, none comes."""

    def __init__(self) -> None:
        self.now = 0.0
        self.issued = 0
        self.fault: BridgeError | None = None
        self.open = asyncio.Event()
        self.open.set()
        self.token = Token(self.issue, lambda: self.now)

    async def issue(self) -> tuple[str, float]:
        self.issued += 1
        value = f"t-{self.issued}"
        await self.open.wait()
        if self.fault is not None:
            raise self.fault
        return value, 7200.0

    async def settled(self) -> str:
        """The token when what goes on behind the calls has come to its end."""
        for _ in range(5):
            await asyncio.sleep(0)
        return await self.token.get()


async def test_a_token_is_kept_until_shortly_before_its_end() -> None:
    issuer = Issuer()
    assert await issuer.token.get() == "t-1"
    issuer.now = 7200 - EARLY - 1
    assert await issuer.token.get() == "t-1"
    assert await issuer.settled() == "t-1"


async def test_near_its_end_a_token_is_renewed_while_the_old_one_is_used() -> None:
    issuer = Issuer()
    await issuer.token.get()
    issuer.now = 7200 - EARLY + 1
    assert await issuer.token.get() == "t-1"
    assert await issuer.settled() == "t-2"


async def test_a_failed_renewal_is_logged_and_tried_again_later(caplog: pytest.LogCaptureFixture) -> None:
    issuer = Issuer()
    await issuer.token.get()
    issuer.now, issuer.fault = 7200 - EARLY + 1, Unreachable()
    await issuer.token.get()
    assert await issuer.settled() == "t-1"
    assert await issuer.settled() == "t-1"
    assert "could not be renewed" in caplog.text
    assert issuer.issued == 2
    issuer.now, issuer.fault = issuer.now + AGAIN + 1, None
    await issuer.token.get()
    assert await issuer.settled() == "t-3"


async def test_an_ended_token_is_not_used_and_the_failure_is_told() -> None:
    issuer = Issuer()
    await issuer.token.get()
    issuer.now, issuer.fault = 7200.0, Unreachable()
    with pytest.raises(Unreachable):
        await issuer.token.get()


async def test_one_fetch_serves_all_and_survives_the_one_who_asked_first() -> None:
    issuer = Issuer()
    issuer.open.clear()
    first, *others = [asyncio.create_task(issuer.token.get()) for _ in range(3)]
    await asyncio.sleep(0)
    first.cancel()
    issuer.open.set()
    assert await asyncio.gather(*others) == ["t-1", "t-1"]
    assert issuer.issued == 1


async def test_who_comes_late_with_an_old_token_gets_the_new_one() -> None:
    issuer = Issuer()
    assert await issuer.token.get() == "t-1"
    assert await issuer.token.renew("t-1") == "t-2"
    assert await issuer.token.renew("t-1") == "t-2"
    assert issuer.issued == 2


async def test_a_close_ends_a_renewal_that_nobody_waits_for_and_a_token_can_still_be_had() -> None:
    issuer = Issuer()
    await issuer.token.get()
    issuer.now = 7200 - EARLY + 1
    issuer.open.clear()
    assert await issuer.token.get() == "t-1"
    await asyncio.sleep(0)
    assert issuer.issued == 2
    await issuer.token.close()
    issuer.open.set()
    assert await issuer.settled() == "t-1", "the renewal was broken off"
    issuer.now = 7200.0
    assert await issuer.token.get() == "t-3"


async def test_who_waits_for_a_token_gets_it_in_spite_of_a_close() -> None:
    issuer = Issuer()
    issuer.open.clear()
    asked = [asyncio.create_task(issuer.token.get()) for _ in range(2)]
    await asyncio.sleep(0)
    await issuer.token.close()
    issuer.open.set()
    assert await asyncio.gather(*asked) == ["t-1", "t-1"]


async def test_refused_credentials_are_told_beside_the_calls_until_they_are_taken_again() -> None:
    issuer = Issuer()
    await issuer.token.get()
    issuer.now, issuer.fault = 7200.0, Misconfigured("wrong", "mend it")
    told = asyncio.create_task(issuer.token.refused())
    with pytest.raises(Misconfigured):
        await issuer.token.get()
    assert await told is issuer.fault
    issuer.fault = None
    await issuer.token.get()
    told = asyncio.create_task(issuer.token.refused())
    await issuer.settled()
    assert not told.done()
    told.cancel()


# ------------------------------------------------------------------ who we are


def knowing(**bot: Any) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        return web.json_response({"code": 0, "msg": "ok", "bot": bot})

    return handler


async def test_the_account_learns_its_name_and_open_id(wire: Wire) -> None:
    async with served(Platform(knowing(activate_status=2, app_name="助手", open_id="ou_bot")), wire) as api:
        account = Account("fs", api, Double({}, wire))
        await account.connect()
    assert (account.open_id, account.name) == ("ou_bot", "助手")


async def test_an_app_without_a_bot_is_for_the_operator(wire: Wire) -> None:
    async with served(Platform(refusing(11205, "app do not have bot")), wire) as api:
        with pytest.raises(Fatal, match="feature Bot"):
            await Account("fs", api, Double({}, wire)).connect()


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0, "is not installed yet"),
        (1, "was disabled by the company"),
        (3, "is installed, but not enabled yet"),
        (5, "has no valid license any more"),
        (6, "is stopped: the company's plan has ended"),
        (2, ""),
        (7, ""),
        (None, ""),
    ],
)
async def test_an_app_that_is_not_in_use_yet_is_a_warning_and_runs(
    wire: Wire, status: int | None, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with served(Platform(knowing(activate_status=status, open_id="ou_bot", app_name=None)), wire) as api:
        account = Account("fs", api, Double({}, wire))
        await account.connect()
    assert account.open_id == "ou_bot"
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert told == ([f"bot fs: the app {words}: {UNAVAILABLE_FIX}"] if words else [])


async def test_the_account_asks_until_it_knows(wire: Wire) -> None:
    answers = [saying(502, "<html>"), refusing(4711), knowing(), knowing(open_id="ou_bot")]

    async def handler(request: web.Request) -> web.StreamResponse:
        return await answers.pop(0)(request)

    async with served(Platform(handler), wire) as api:
        account = Account("fs", api, Double({}, wire))
        await account.connect()
    assert account.open_id == "ou_bot"


class Full(Double):
    """A host whose budget has no room for a minute."""

    async def spend(self, chat: str, durable: bool, within: float = math.inf) -> None:
        if within < 60:
            raise RateLimited(60.0)


async def test_a_call_that_cannot_wait_is_given_up_when_the_budget_is_full(wire: Wire) -> None:
    platform = Platform()
    async with served(platform, wire) as api:
        with pytest.raises(RateLimited):
            await Account("fs", api, Full({}, wire)).call("GET", PATH, durable=False, within=3)
    assert platform.seen == []
