"""bridge.fastgpt against a server of bytes: requests, streams, limits, hanging up (facts 1, 2.7 and 10.3)."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

import bridge.fastgpt
from bridge.config import App
from bridge.fastgpt import Ask, Choices, Delta, Done, FastGPT, Piece, UpstreamError, api_root, completions_url
from bridge.wire import Wire
from tests.rawserver import STREAM, Connection, Handler, serve
from tests.test_reply import DONE, ERROR, FAULTS, FLOW, PLAIN, SCENARIOS, STOP, answer, event

KEY = "fastgpt-0123456789"
ASK = Ask(chat_id="tg.42.sk1", content="导演是谁", item_id="7", uid="tg.42", variables={"platform": "telegram"})
JSON = "Content-Type: application/json\r\n"


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    async with Wire(environ={}) as wire:
        yield wire


def app(url: str, **more: Any) -> App:
    return App(**{"base_url": f"{url}/api", "api_key": KEY, **more})


async def pieces(fastgpt: FastGPT, ask: Ask = ASK) -> tuple[list[Piece], UpstreamError | None]:
    """All pieces, and the error behind them."""
    found: list[Piece] = []
    try:
        async for piece in fastgpt.stream(ask):
            found.append(piece)  # noqa: PERF401 - what came before the error counts
    except UpstreamError as error:
        return found, error
    return found, None


def says(body: str | bytes, headers: str = STREAM, status: str = "200 OK", size: int = 7) -> Handler:
    """A server that gives one answer to everything."""

    async def talk(connection: Connection) -> None:
        while True:
            await connection.request()
            await connection.start(status, headers)
            await connection.chunks(body if isinstance(body, bytes) else body.encode(), size)
            await connection.end()

    return talk


# ---------------------------------------------------------------- the request


@pytest.mark.parametrize(
    ("base", "completions", "root"),
    [
        ("https://h/api", "https://h/api/v1/chat/completions", "https://h/api"),
        ("https://h/api/", "https://h/api/v1/chat/completions", "https://h/api"),
        ("https://h/api/v1", "https://h/api/v1/chat/completions", "https://h/api"),
        ("https://h/api/v2/", "https://h/api/v2/chat/completions", "https://h/api"),
        ("https://h/api/v1/chat/completions", "https://h/api/v1/chat/completions", "https://h/api"),
        ("https://h/own/chat/completions", "https://h/own/chat/completions", "https://h/own"),
        ("https://h", "https://h/v1/chat/completions", "https://h"),
    ],
)
def test_addresses(base: str, completions: str, root: str) -> None:
    assert completions_url(base) == completions
    assert api_root(base) == root


async def test_what_fastgpt_receives(wire: Wire) -> None:
    async with serve(says(answer("a") + DONE)) as server:
        config = app(server.url, app_id="65bb")
        await pieces(FastGPT(config, wire.client()), Ask(**{**fields(ASK), "history": (("q", "a"),)}))
        (request,) = server.requests
    assert request.line == "POST /api/v1/chat/completions HTTP/1.1"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["accept-encoding"] == "identity"
    assert request.json == {
        "chatId": "tg.42.sk1",
        "stream": True,
        "detail": True,
        "retainDatasetCite": True,
        "responseChatItemId": "7",
        "customUid": "tg.42",
        "appId": "65bb",
        "variables": {"platform": "telegram"},
        "messages": [{"role": "user", "content": "导演是谁"}],
    }


def fields(ask: Ask) -> dict[str, Any]:
    return {name: getattr(ask, name) for name in ask.__struct_fields__}


async def test_without_a_chat_the_history_goes_along(wire: Wire) -> None:
    async with serve(says(answer("a") + DONE)) as server:
        parts: list[dict[str, Any]] = [
            {"type": "text", "text": "这是什么"},
            {"type": "image_url", "image_url": {"url": "https://x/a.png"}},
        ]
        await pieces(FastGPT(app(server.url), wire.client()), Ask(chat_id="", content=parts, history=(("q", "a"),)))
        body = server.requests[0].json
    assert body.keys() == {"stream", "detail", "retainDatasetCite", "variables", "messages"}
    assert [message["content"] for message in body["messages"]] == ["q", "a", parts]


@pytest.mark.parametrize(("history", "kept"), [(20, ["q1", "a1", "q2", "a2"]), (1, ["q2", "a2"]), (0, [])])
async def test_what_an_openai_endpoint_receives(wire: Wire, history: int, kept: list[str]) -> None:
    async with serve(says(answer("a") + event("", "[DONE]"))) as server:
        config = app(server.url, kind="openai", model="m", app_id="65bb", history=history)
        ask = Ask(**{**fields(ASK), "history": (("q1", "a1"), ("q2", "a2"))})
        assert await pieces(FastGPT(config, wire.client()), ask) == ([Delta("a"), Done()], None)
        body = server.requests[0].json
    assert body.keys() == {"model", "stream", "messages"}
    assert (body["model"], body["stream"]) == ("m", True)
    assert [message["content"] for message in body["messages"]] == [*kept, "导演是谁"]
    assert [message["role"] for message in body["messages"]] == ["user", "assistant"] * (len(kept) // 2) + ["user"]


# ---------------------------------------------------------------- answers


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("name", SCENARIOS)
async def test_the_seven_scenarios(wire: Wire, name: str, end: str) -> None:
    headers, body, text, thinking, rest = SCENARIOS[name]
    size = 4093 if len(body) > 100_000 else 7
    async with serve(says(body.replace("\n", end), STREAM if headers else "", size=size)) as server:
        found, error = await pieces(FastGPT(app(server.url), wire.client()))
    assert "".join(piece.text for piece in found if isinstance(piece, Delta)) == text
    assert "".join(piece.thinking for piece in found if isinstance(piece, Delta)) == thinking
    assert [piece for piece in found if not isinstance(piece, Delta)] == rest
    assert (error and (error.reason, error.detail)) == FAULTS.get(name)


async def test_json_although_a_stream_was_asked_for(wire: Wire) -> None:
    async with serve(says(PLAIN, JSON)) as server:
        found = await pieces(FastGPT(app(server.url), wire.client()))
    assert found == ([Delta("电影《铃芽之旅》的导演是新海诚。"), Done(finish="stop")], None)


async def test_pieces_come_as_they_are_sent(wire: Wire) -> None:
    go_on = asyncio.Event()

    async def talk(connection: Connection) -> None:
        await connection.request()
        await connection.start()
        await connection.chunks(answer("a").encode())
        await go_on.wait()
        await connection.chunks((answer("b") + DONE).encode())
        await connection.end()

    async with serve(talk) as server, aclosing(FastGPT(app(server.url), wire.client()).stream(ASK)) as stream:
        assert await anext(stream) == Delta("a")
        go_on.set()
        assert [piece async for piece in stream] == [Delta("b"), Done()]


async def test_the_connection_is_used_again(wire: Wire) -> None:
    opened = 0

    async def talk(connection: Connection) -> None:
        nonlocal opened
        opened += 1
        await says(answer("a") + FLOW + DONE, size=4093)(connection)

    async with serve(talk) as server:
        fastgpt = FastGPT(app(server.url), wire.client())
        assert await pieces(fastgpt) == await pieces(fastgpt)
    assert opened == 1


async def test_records_behind_done_are_waited_for_but_not_for_ever(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridge.fastgpt, "RECORDS", 0.01)

    async def talk(connection: Connection) -> None:
        await connection.request()
        await connection.start()
        await connection.chunks((answer("a") + DONE).encode())
        await connection.hung_up()

    async with serve(talk) as server:
        assert await pieces(FastGPT(app(server.url), wire.client())) == ([Delta("a"), Done()], None)


async def test_an_end_without_a_word_is_a_cut(wire: Wire) -> None:
    async with serve(says(answer("a"))) as server:
        assert await pieces(FastGPT(app(server.url), wire.client())) == ([Delta("a"), Done(cut=True)], None)


@pytest.mark.parametrize("complete", [False, True])
async def test_a_broken_connection(wire: Wire, complete: bool) -> None:
    async def talk(connection: Connection) -> None:
        await connection.request()
        await connection.start()
        await connection.chunks((answer("a[6") + (event("answer", STOP % "{}") if complete else "")).encode())

    async with serve(talk) as server:
        found, error = await pieces(FastGPT(app(server.url), wire.client()))
    if complete:
        assert (found, error) == ([Delta("a"), Delta("[6"), Done(finish="stop")], None)
    else:
        assert found == [Delta("a"), Delta("[6")]
        assert error is not None
        assert (error.reason, error.sent) == ("cut", True)


async def test_an_interactive_node(wire: Wire) -> None:
    params = '{"description":"选","userSelectOptions":[{"key":"k","value":"A"}]}'
    node = f'{{"interactive":{{"type":"userSelect","params":{params}}}}}'
    async with serve(says(event("interactive", node) + event("answer", STOP % "{}") + DONE)) as server:
        found, _ = await pieces(FastGPT(app(server.url), wire.client()))
    assert found == [Choices("选", (("A", "A"),)), Done(finish="stop")]


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("status", "headers", "body", "reason"),
    [
        ("500 Internal Server Error", JSON, ERROR, "key"),
        ("401 Unauthorized", JSON, "{}", "key"),
        ("403 Forbidden", JSON, "{}", "permission"),
        ("404 Not Found", "Content-Type: text/html\r\n", "<html></html>", "wrong_path"),
        ("409 Conflict", JSON, "{}", "busy"),
        ("200 OK", "Content-Type: text/html\r\n", "<!DOCTYPE html>", "wrong_path"),
        ("307 Temporary Redirect", "Location: /login\r\n", "", "wrong_path"),
        (
            "500 Internal Server Error",
            JSON,
            '{"code":500,"statusText":"error","message":"appId is empty"}',
            "wrong_key",
        ),
    ],
)
async def test_errors(wire: Wire, status: str, headers: str, body: str, reason: str) -> None:
    async with serve(says(body, headers, status)) as server:
        found, error = await pieces(FastGPT(app(server.url), wire.client()))
        assert len(server.requests) == 1  # nothing is asked again, no redirect is followed
    assert found == []
    assert error is not None
    assert (error.reason, error.sent) == (reason, True)


async def test_of_an_address_the_host_is_told(wire: Wire) -> None:
    told = "see https://me:word@Files.example.com:8/v1/secret?sig=secret#secret, or http://10.0.0.1/secret"
    async with serve(says(f'{{"error":{{"message":"{told}"}}}}', JSON, "500 Oops")) as server:
        _, error = await pieces(FastGPT(app(server.url), wire.client()))
    assert error is not None
    assert error.detail == "see https://Files.example.com:8/… or http://10.0.0.1/…"


async def test_a_refused_connection_was_not_sent(wire: Wire) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        _, error = await pieces(FastGPT(app(url), wire.client()))
    assert error is not None
    assert (error.reason, error.sent) == ("unreachable", False)


async def test_a_request_that_is_not_answered_was_perhaps_sent(wire: Wire) -> None:
    async def talk(connection: Connection) -> None:
        await connection.request()

    async with serve(talk) as server:
        _, error = await pieces(FastGPT(app(server.url), wire.client()))
    assert error is not None
    assert (error.reason, error.sent) == ("unreachable", True)


@pytest.mark.parametrize("sent", ["nothing", "headers"])
async def test_no_first_byte(wire: Wire, sent: str) -> None:
    async def talk(connection: Connection) -> None:
        await connection.request()
        if sent == "headers":
            await connection.start()
        await connection.hung_up()

    async with serve(talk) as server:
        _, error = await pieces(FastGPT(app(server.url, first_token_timeout=0.02), wire.client()))
    assert error is not None
    assert error.reason == "timeout_first"


async def test_a_stream_that_stops(wire: Wire) -> None:
    hung_up = asyncio.Event()

    async def talk(connection: Connection) -> None:
        await connection.request()
        await connection.start()
        await connection.chunks(answer("a<thi").encode(), 65536)
        await connection.hung_up()
        hung_up.set()

    async with serve(talk) as server:
        found, error = await pieces(FastGPT(app(server.url, idle_timeout=0.02), wire.client()))
        await hung_up.wait()
    assert found == [Delta("a"), Delta("<thi")]
    assert error is not None
    assert error.reason == "timeout_idle"


async def test_a_stream_without_end(wire: Wire) -> None:
    async def talk(connection: Connection) -> None:
        await connection.request()
        await connection.start()
        while not connection.writer.is_closing():
            await connection.chunks(answer("").encode(), 65536)  # heartbeats
            await asyncio.sleep(0)

    async with serve(talk) as server:
        found, error = await pieces(FastGPT(app(server.url, turn_timeout=0.05), wire.client()))
    assert found == []
    assert error is not None
    assert error.reason == "timeout_turn"


async def test_no_secret_is_told(wire: Wire, caplog: pytest.LogCaptureFixture) -> None:
    body = f'{{"error":{{"message":"Incorrect API key provided: {KEY}","code":"invalid_api_key"}}}}'
    with caplog.at_level(logging.DEBUG):
        async with serve(says(body, JSON, "401 Unauthorized")) as server:
            fastgpt = FastGPT(app(server.url, app_id="a"), wire.client())
            _, error = await pieces(fastgpt)
    assert error is not None
    assert error.detail == "invalid_api_key: Incorrect API key provided: ***"
    for text in (caplog.text, str(error), repr(error), repr(fastgpt), repr(ASK)):
        assert KEY not in text
        assert "导演" not in text


# ---------------------------------------------------------------- hanging up, stopping


@pytest.mark.parametrize("how", ["aclose", "cancel"])
async def test_closing_hangs_up_at_once(wire: Wire, how: str) -> None:
    hung_up = asyncio.Event()

    async def talk(connection: Connection) -> None:
        await connection.request()
        await connection.start()
        await connection.chunks(answer("a").encode())
        await connection.hung_up()
        hung_up.set()

    started = asyncio.Event()

    async def follow(fastgpt: FastGPT) -> None:
        async with aclosing(fastgpt.stream(ASK)) as stream:
            async for _ in stream:
                started.set()

    async with serve(talk) as server:
        fastgpt = FastGPT(app(server.url), wire.client())
        if how == "cancel":
            task = asyncio.create_task(follow(fastgpt))
            await started.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        else:
            stream = fastgpt.stream(ASK)
            await anext(stream)
            await stream.aclose()
        await hung_up.wait()


# ---------------------------------------------------------------- limits of the app


class Clock:
    """Time that passes only by ``sleep``."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.mark.parametrize(
    ("headers", "body", "told", "held"),
    [
        ("Retry-After: 7\r\n", "{}", 7.0, 7.0),
        (JSON, '{"code":429,"statusText":"error","message":"Please try again in 42 seconds."}', 42.0, 42.0),
        ("Retry-After: 86400\r\n", "{}", 86400.0, bridge.fastgpt.HOLD_MOST),
    ],
)
async def test_after_a_429_no_request_leaves(wire: Wire, headers: str, body: str, told: float, held: float) -> None:
    asked: list[float] = []
    clock = Clock()

    async def talk(connection: Connection) -> None:
        while True:
            await connection.request()
            asked.append(clock.now)
            if len(asked) == 1:
                await connection.start("429 Too Many Requests", headers)
                await connection.chunks(body.encode())
            else:
                await connection.start()
                await connection.chunks((answer("a") + FLOW + DONE).encode(), 65536)
            await connection.end()

    async with serve(talk) as server:
        fastgpt = FastGPT(app(server.url), wire.client(), clock=clock, sleep=clock.sleep)
        found, error = await pieces(fastgpt)
        assert (found, error and error.reason, error and error.retry_after) == ([], "rate", told)
        for _ in range(2):
            _, error = await pieces(fastgpt)
            assert error is None
    assert clock.slept == [held]
    assert asked == [1000.0, 1000.0 + held, 1000.0 + held]


async def test_a_429_within_a_stream_holds_too(wire: Wire) -> None:
    clock = Clock()
    async with serve(says(event("error", '{"message":"Rate limit exceeded, try again in 3 seconds"}'), "")) as server:
        fastgpt = FastGPT(app(server.url), wire.client(), clock=clock, sleep=clock.sleep)
        await pieces(fastgpt)
        await pieces(fastgpt)
    assert clock.slept == [3.0]


async def test_max_concurrent(wire: Wire) -> None:
    at_once = most = 0
    pair = asyncio.Barrier(2)

    async def talk(connection: Connection) -> None:
        nonlocal at_once, most
        while True:
            await connection.request()
            at_once += 1
            most = max(most, at_once)
            await pair.wait()  # two do come at once
            await connection.start()
            await connection.chunks(answer("a").encode(), 65536)
            at_once -= 1
            await connection.end()

    async with serve(talk) as server:
        fastgpt = FastGPT(app(server.url, max_concurrent=2), wire.client())
        results = await asyncio.gather(*(pieces(fastgpt) for _ in range(6)))
    assert [error for _, error in results] == [None] * 6
    assert most == 2


async def test_a_slot_is_free_again_after_a_close(wire: Wire) -> None:
    async with serve(says(answer("a") + DONE)) as server:
        fastgpt = FastGPT(app(server.url, max_concurrent=1), wire.client())
        stream = fastgpt.stream(ASK)
        await anext(stream)
        waiting = asyncio.create_task(pieces(fastgpt))
        await stream.aclose()
        assert await waiting == ([Delta("a"), Done()], None)
