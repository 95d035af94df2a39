"""bridge.http: who is let in without a word, byte by byte."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp.test_utils import TestServer

from bridge.http import Server


async def status(admin_token: str, head: bytes) -> int:
    """What /metrics answers to a request with this head, from this machine."""

    async def healthy() -> bool:
        return True

    async with TestServer(Server(admin_token, healthy).app) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /metrics " + head + b"\r\nConnection: close\r\n\r\n")
        line = await reader.readline()
        writer.close()
        await writer.wait_closed()
    return int(line.split()[1])


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"HTTP/1.1\r\nHost: 127.0.0.1:8080", 200),
        (b"HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost", 200),
        (b"HTTP/1.0\r\nHost: 127.0.0.1:8080", 401),  # nginx, with nothing but a proxy_pass
        (b"HTTP/1.1\r\nHost: bridge.example.com", 401),
        (b"HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 8.8.8.8", 401),
        (b"HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example", 401),
        (b"HTTP/1.1\r\nHost: localhost\r\nOrigin: http://[", 401),
    ],
)
async def test_this_machine_alone(head: bytes, expected: int) -> None:
    assert await status("", head) == expected


@pytest.mark.parametrize(("token", "expected"), [(b"geheim", 200), (b"other", 401), (b"\xff", 401)])
async def test_a_token(token: bytes, expected: int) -> None:
    assert await status("geheim", b"HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token) == expected
