"""Calls, uploads and downloads of the Bot API: what a server receives, what failures mean, and what they never say."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from adapters.telegram.api import DOWNLOAD_MOST, PIECE, Api, Moved, NotFound, as_file
from bridge.model import BridgeError, Fatal, Gone, RateLimited, Rejected, TooBig, Unreachable, Unsure
from bridge.wire import Wire
from tests.fakes.botapi import BotApi
from tests.rawserver import Connection, serve

TOKEN = "4242:AAsecret-SECRET_0123456789abcdefghi"
OK = b'{"ok": true, "result": {"message_id": 5}}'

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    async with Wire({}) as made:
        yield made


@asynccontextmanager
async def server(handler: Handler, wire: Wire) -> AsyncIterator[Api]:
    """The Api of a bot whose server is one function."""
    app = web.Application(client_max_size=64 * 2**20)
    app.router.add_route("*", "/{rest:.*}", handler)
    async with TestServer(app) as running:
        yield made(str(running.make_url("/")), wire)


def made(base: str, wire: Wire) -> Api:
    return Api(TOKEN, base, *wire.connection(base))


def saying(status: int, body: str | bytes) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        await request.read()
        text = body if isinstance(body, bytes) else body.replace("{path}", request.raw_path).encode()
        return web.Response(status=status, body=text)

    return handler


# ------------------------------------------------------------------ out


async def test_a_call_without_files_is_one_json_body(wire: Wire) -> None:
    seen: list[tuple[str, Any]] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append((request.content_type, await request.json()))
        return web.Response(body=OK)

    async with server(handler, wire) as api:
        assert await api.call("sendMessage", {"chat_id": 7, "text": "你好"}) == {"message_id": 5}
    assert seen == [("application/json", {"chat_id": 7, "text": "你好"})]


async def test_a_file_goes_up_with_its_name_and_the_other_parameters_beside_it(wire: Wire) -> None:
    seen: list[dict[str, Any]] = []
    files: list[tuple[str, str, int]] = []

    async def handler(request: web.Request) -> web.Response:
        body = dict(await request.post())
        file = body.pop("document")
        assert isinstance(file, web.FileField)
        files.append((file.filename, file.content_type, len(file.file.read())))
        seen.append(body)
        return web.Response(body=OK)

    file = as_file(bytes(3 * 2**20), '报告 "a".pdf')
    async with server(handler, wire) as api:
        parameters = {"chat_id": 7, "document": file, "reply_parameters": {"message_id": 3}}
        assert await api.call("sendDocument", parameters) == {"message_id": 5}
    assert seen == [{"chat_id": "7", "reply_parameters": '{"message_id": 3}'}]
    assert files == [('报告 "a".pdf', "application/pdf", 3 * 2**20)]


async def test_the_name_of_a_file_is_no_row_of_percent_signs(wire: Wire) -> None:
    seen: list[bytes] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(await request.read())
        return web.Response(body=OK)

    async with server(handler, wire) as api:
        await api.call("sendDocument", {"chat_id": 7, "document": as_file(b"x", "报告.pdf")})
    assert 'filename="报告.pdf"'.encode() in seen[0]


async def test_a_name_with_control_characters_is_sent_without_them(wire: Wire) -> None:
    async with BotApi() as platform:
        platform.open(7)
        api = Api(platform.token, platform.url, *wire.connection(platform.url))
        await api.call("sendDocument", {"chat_id": 7, "document": as_file(b"x", "a\r\nX-Evil: 1\0.txt")})
        await api.call("sendDocument", {"chat_id": 7, "document": as_file(b"x", "\n")})
        assert [seen.file_name for seen in platform.screen(7)] == ["aX-Evil: 1.txt", "file"]


# ------------------------------------------------------------------ what failures mean


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (413, "<html>413 Request Entity Too Large</html>", Rejected),
        (413, '{"ok": false, "error_code": 413, "description": "Request Entity Too Large"}', Rejected),
        (400, '{"ok": false, "description": "Bad Request: file is too big"}', Rejected),
        (400, '{"ok": false, "description": "Bad Request: chat not found"}', Gone),
        (403, '{"ok": false, "description": "Forbidden: bot was blocked by the user"}', Gone),
        (404, '{"ok": false, "error_code": 404, "description": "Not Found"}', NotFound),
        (401, '{"ok": false, "error_code": 401, "description": "Unauthorized"}', Fatal),
        (502, "<html>Bad Gateway</html>", Unsure),
        (200, "<html>a portal</html>", Unsure),
        (200, "[]", Unsure),
        (200, '{"ok": true}', Unsure),
        (200, '{"ok": true, "result": "错误"}'.encode("gbk"), Unsure),
        (502, '{"description": "错误"}'.encode("gbk"), Unsure),
        (200, b"[" * 100_000, Unsure),
        (400, '{"parameters": 5}', Unsure),
    ],
)
async def test_a_refusal_has_its_error(wire: Wire, status: int, body: str | bytes, error: type[BridgeError]) -> None:
    async with server(saying(status, body), wire) as api:
        with pytest.raises(BridgeError) as caught:
            await api.call("sendDocument", {"chat_id": 7, "document": as_file(b"x", "a.txt")})
    assert type(caught.value) is error


async def test_a_method_that_an_old_server_lacks_is_not_found(wire: Wire) -> None:
    async with BotApi() as platform:
        platform.open(7)
        api = Api(platform.token, platform.url, *wire.connection(platform.url))
        platform.unknown("sendMessageDraft")
        with pytest.raises(NotFound):
            await api.call("sendMessageDraft", {"chat_id": 7, "draft_id": 1, "text": "x"})


async def test_a_group_that_moved_says_where(wire: Wire) -> None:
    async with BotApi() as platform:
        platform.open(-5, type="group")
        new = platform.migrate(-5)
        api = Api(platform.token, platform.url, *wire.connection(platform.url))
        with pytest.raises(Moved) as caught:
            await api.call("sendMessage", {"chat_id": -5, "text": "x"})
    assert caught.value.chat == new


async def test_a_limit_says_how_long(wire: Wire) -> None:
    async with BotApi() as platform:
        platform.open(7)
        platform.fail("sendDocument", 1, "429", seconds=9)
        api = Api(platform.token, platform.url, *wire.connection(platform.url))
        with pytest.raises(RateLimited) as caught:
            await api.call("sendDocument", {"chat_id": 7, "document": as_file(b"x", "a.txt")})
    assert caught.value.retry_after == 9


# ------------------------------------------------------------------ in


async def fetched(api: Api, file_id: str) -> list[bytes]:
    return [piece async for piece in api.open_file(file_id)]


@pytest.mark.parametrize("size", [0, 1, PIECE, 5 * PIECE + 3])
async def test_a_file_comes_whole_in_pieces(wire: Wire, size: int) -> None:
    data = bytes(index % 251 for index in range(size))
    async with BotApi() as platform:
        api = Api(platform.token, platform.url, *wire.connection(platform.url))
        pieces = await fetched(api, platform.file(data))
    assert b"".join(pieces) == data
    assert all(len(piece) <= PIECE for piece in pieces)


async def test_what_telegram_calls_too_big_is_too_big(wire: Wire) -> None:
    async with BotApi() as platform:
        api = Api(platform.token, platform.url, *wire.connection(platform.url))
        with pytest.raises(TooBig):
            await fetched(api, platform.file(bytes(DOWNLOAD_MOST + 1)))
        with pytest.raises(Rejected):
            await fetched(api, "unknown")


def file_server(found: str, body: bytes, status: int = 200) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        if request.path.endswith("/getFile"):
            return web.Response(text=f'{{"ok": true, "result": {{"file_id": "f", {found}}}}}')
        return web.Response(status=status, body=body)

    return handler


async def test_a_file_is_too_big_by_its_size_before_it_is_fetched(wire: Wire) -> None:
    async with server(file_server(f'"file_path": "a", "file_size": {DOWNLOAD_MOST + 1}', b"small"), wire) as api:
        with pytest.raises(TooBig):
            await fetched(api, "f")


async def test_a_file_of_unknown_size_is_too_big_by_its_bytes(wire: Wire) -> None:
    async with server(file_server('"file_path": "a"', bytes(DOWNLOAD_MOST + 1)), wire) as api:
        with pytest.raises(TooBig):
            await fetched(api, "f")


async def test_a_server_that_serves_no_files_is_explained(wire: Wire) -> None:
    async with server(file_server('"file_path": "/var/lib/bot/photos/a.jpg"', b""), wire) as api:
        with pytest.raises(BridgeError, match="--local"):
            await fetched(api, "f")


async def test_a_file_that_has_gone_is_an_error(wire: Wire) -> None:
    async with server(file_server('"file_path": "a"', b"<html>", 404), wire) as api:
        with pytest.raises(BridgeError, match="404"):
            await fetched(api, "f")


# ------------------------------------------------------------------ what they never say

PAGE = "<pre>Cannot {path}</pre>"
REASON = '{"ok": false, "description": "Bad Request: no route {path}"}'


def whole(error: BaseException) -> str:
    """Everything that a log could show of it."""
    return "".join([str(error), repr(error), *traceback.format_exception(error)])


async def test_the_token_is_in_no_answer_that_quotes_the_address(wire: Wire, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for status in (400, 403, 404, 409, 413, 500, 502):
        for body in (PAGE, REASON):
            async with server(saying(status, body), wire) as api:
                with pytest.raises(BridgeError) as caught:
                    await api.call("sendMessage", {"chat_id": 7, "text": "x"})
                assert TOKEN not in whole(caught.value)
                with pytest.raises(BridgeError) as caught:
                    await fetched(api, "f")
                assert TOKEN not in whole(caught.value)
                assert TOKEN not in repr(api)
    assert TOKEN not in "".join(record.getMessage() for record in caplog.records if record.name.startswith("adapters"))


async def test_the_token_is_masked_in_letters_of_any_size(wire: Wire) -> None:
    body = f'{{"ok": false, "description": "Bad Request: no route /bot{TOKEN.lower()}/sendmessage"}}'
    async with server(saying(400, body), wire) as api:
        with pytest.raises(Rejected, match="route /bot…/") as caught:
            await api.call("sendMessage", {"chat_id": 7, "text": "x"})
    assert TOKEN.lower() not in whole(caught.value)


async def _nonsense(connection: Connection) -> None:
    await connection.request()
    await connection.send(b"nonsense\r\n\r\n")


async def _nothing(connection: Connection) -> None:
    await connection.request()


async def _half(connection: Connection) -> None:
    await connection.request()
    await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")


async def _round(connection: Connection) -> None:
    while True:
        line = (await connection.request()).line
        await connection.send(f"HTTP/1.1 307 X\r\nLocation: {line.split()[1]}\r\nContent-Length: 0\r\n\r\n".encode())


async def _astray(connection: Connection) -> None:
    line = (await connection.request()).line
    await connection.send(f"HTTP/1.1 307 X\r\nLocation: bad://{line.split()[1]}\r\nContent-Length: 0\r\n\r\n".encode())


@pytest.mark.parametrize("behaves", [_nonsense, _nothing, _half, _round, _astray])
async def test_the_token_is_in_no_failure_of_http(wire: Wire, behaves: Callable[[Connection], Awaitable[None]]) -> None:
    async with serve(behaves) as running:
        api = made(running.url, wire)
        for parameters in ({"chat_id": 7}, {"chat_id": 7, "document": as_file(b"x", "a")}):
            with pytest.raises(Unsure) as caught:
                await api.call("sendDocument", parameters)
            assert TOKEN not in whole(caught.value)
            assert "Unknown error" not in str(caught.value), "the library has quoted an exception"


@pytest.mark.parametrize("behaves", [_nonsense, _nothing, _half, _round, _astray])
async def test_the_token_is_in_no_failure_of_a_download(
    wire: Wire, behaves: Callable[[Connection], Awaitable[None]]
) -> None:
    async def handler(connection: Connection) -> None:
        head = await asyncio.wait_for(connection.reader.readuntil(b"\r\n\r\n"), 5)
        if b"/getFile" in head:
            body = b'{"ok": true, "result": {"file_path": "a"}}'
            await connection.reader.readexactly(int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]))
            await connection.send(
                b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body), body
            )
            return
        rest = asyncio.StreamReader()
        rest.feed_data(head)
        rest.feed_eof()
        await behaves(Connection(rest, connection.writer, connection.requests))

    async with serve(handler) as running:
        with pytest.raises(Unreachable) as caught:
            await fetched(made(running.url, wire), "f")
        assert TOKEN not in whole(caught.value)


async def test_the_token_is_in_no_refused_connection(wire: Wire) -> None:
    api = made("http://127.0.0.1:9", wire)
    with pytest.raises(Unreachable) as caught:
        await api.call("getMe", {})
    assert TOKEN not in whole(caught.value)
