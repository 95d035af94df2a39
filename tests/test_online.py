"""bridge.online: which answers to a question without words are an app's."""

from __future__ import annotations

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bridge import online
from bridge.config import App
from bridge.model import Finding
from bridge.wire import Wire


async def found(status: int, body: bytes) -> Finding:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=status, body=body)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app) as server, Wire(environ={}) as wire:
        return await online.app(App(base_url=str(server.make_url("/api")), api_key="k"), wire.client())


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b'{"code":500,"statusText":"error","message":"messages is empty","data":null}'),
        (400, b'{"error":{"message":"[] is too short - \'messages\'","type":"invalid_request_error"}}'),
    ],
)
async def test_an_app_that_wants_words(status: int, body: bytes) -> None:
    assert (await found(status, body)).ok


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (502, b"<html><title>502 Bad Gateway</title></html>"),
        (400, b"<html><title>400 Bad Request</title></html>"),
        (503, b"no healthy upstream"),
        (500, b""),
        (500, b'{"error":"upstream"}'),
        (500, b'{"code":500,"statusText":"error","message":"Internal Server Error"}'),
        (500, b'"body is empty"'),
        (200, b'{"a":"\xff"}'),
        (200, b"[" * 100_000),
        (200, b""),
    ],
)
async def test_what_stands_in_the_place_of_an_app(status: int, body: bytes) -> None:
    assert not (await found(status, body)).ok
