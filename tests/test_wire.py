"""bridge.wire against real sockets: what was sent, which proxy, how many connections."""

from __future__ import annotations

import asyncio
import base64
import logging
import socket
from collections.abc import AsyncIterator

import aiohttp
import httpx
import pytest

from bridge.wire import FAILURES, Environment, UnsupportedProxy, Wire, not_sent
from tests.rawserver import Connection, serve

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    async with Wire(environ={}) as wire:
        yield wire


async def failure(wire: Wire, url: str, proxy: str = "") -> BaseException:
    with pytest.raises(FAILURES) as caught:
        await wire.client(proxy).post(url, content=b"x")
    return caught.value


def refused_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port: int = unused.getsockname()[1]
        return port


# ---------------------------------------------------------------- not_sent


async def test_a_refused_connection_was_not_sent(wire: Wire) -> None:
    url = f"http://127.0.0.1:{refused_port()}/"
    assert not_sent(await failure(wire, url))
    with pytest.raises(aiohttp.ClientConnectorError) as caught:
        await wire.session.post(url)
    assert not_sent(caught.value)


async def test_an_unknown_name_was_not_sent(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    async def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", unknown)
    assert not_sent(await failure(wire, "http://no-such-host.invalid/"))


async def test_a_failed_tls_handshake_was_not_sent(wire: Wire) -> None:
    async def talk(connection: Connection) -> None:
        await connection.reader.read(1)
        await connection.send(b"this is no TLS\r\n\r\n")

    async with serve(talk) as server:
        assert not_sent(await failure(wire, f"https://127.0.0.1:{server.port}/"))


async def test_a_connection_that_closes_at_once_was_perhaps_sent(wire: Wire) -> None:
    async def talk(connection: Connection) -> None:
        connection.writer.close()

    async with serve(talk) as server:
        assert not not_sent(await failure(wire, server.url))


async def test_a_request_that_was_read_was_perhaps_sent(wire: Wire) -> None:
    async def talk(connection: Connection) -> None:
        await connection.request()

    async with serve(talk) as server:
        error = await failure(wire, server.url)
        assert isinstance(error, httpx.ConnectTimeout)  # the trap: it looks like a refusal
        assert not not_sent(error)
        assert [request.body for request in server.requests] == [b"x"]


async def test_an_answer_that_is_no_http_was_perhaps_sent(wire: Wire) -> None:
    async def talk(connection: Connection) -> None:
        await connection.request()
        await connection.send(b"SSH-2.0-OpenSSH\r\n\r\n")

    async with serve(talk) as server:
        assert not not_sent(await failure(wire, server.url))


def test_errors_of_others_were_perhaps_sent() -> None:
    assert not not_sent(httpx.ConnectError("refused"))
    assert not not_sent(ConnectionRefusedError())


# ---------------------------------------------------------------- one pool


async def test_more_than_a_hundred_at_once_on_clients_that_close_nothing(wire: Wire) -> None:
    arrived = 0
    everyone = asyncio.Event()

    async def talk(connection: Connection) -> None:
        nonlocal arrived
        await connection.request()
        arrived += 1
        if arrived == 130:
            everyone.set()
        await everyone.wait()
        await connection.send(OK)

    async def get(url: str) -> str:
        async with wire.client() as client:  # closing it leaves the session open
            return (await client.get(url)).text

    async with serve(talk) as server:
        assert await asyncio.gather(*(get(server.url) for _ in range(130))) == ["ok"] * 130
    assert not wire.session.closed


async def test_connections_are_used_again_and_cookies_are_not_kept(wire: Wire) -> None:
    opened = 0

    async def talk(connection: Connection) -> None:
        nonlocal opened
        opened += 1
        for _ in range(2):
            await connection.request()
            await connection.send(OK.replace(b"\r\n", b"\r\nSet-Cookie: a=b; Path=/\r\n", 1))

    async with serve(talk) as server:
        await wire.client().get(server.url)
        await wire.client().get(server.url)
        assert opened == 1
        assert "cookie" not in server.requests[1].headers


async def test_close_closes_the_session() -> None:
    wire = Wire(environ={})
    await wire.close()
    assert wire.session.closed


async def test_addresses_are_not_logged(wire: Wire, caplog: pytest.LogCaptureFixture) -> None:
    async def talk(connection: Connection) -> None:
        await connection.request()
        await connection.send(OK)

    with caplog.at_level(logging.INFO):
        async with serve(talk) as server:
            await wire.client().get(f"{server.url}/?access_token=secret")
    assert "secret" not in caplog.text


# ---------------------------------------------------------------- proxies


async def proxy(connection: Connection) -> None:
    request = await connection.request()
    await connection.send(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n" if request.line.startswith("CONNECT") else OK)


async def test_a_request_through_a_configured_proxy(wire: Wire) -> None:
    async with serve(proxy) as server:
        address = f"http://user:word@127.0.0.1:{server.port}"
        assert (await wire.client(address).get("http://far.example/path")).text == "ok"
        request = server.requests[0]
        assert request.line == "GET http://far.example/path HTTP/1.1"
        expected = "Basic " + base64.b64encode(b"user:word").decode()
        assert request.headers["proxy-authorization"] == expected
        async with wire.session.get("http://far.example/", proxy=wire.proxy_for("http://far.example/", address)) as raw:
            assert await raw.text() == "ok"
        assert server.requests[1].headers["proxy-authorization"] == expected


async def test_a_tunnel_that_does_not_open_was_not_sent(wire: Wire) -> None:
    async with serve(proxy) as server:
        assert not_sent(await failure(wire, "https://far.example/", server.url))
        assert [request.line for request in server.requests] == ["CONNECT far.example:443 HTTP/1.1"]
    assert not_sent(await failure(wire, "http://far.example/", f"http://127.0.0.1:{refused_port()}"))


async def test_the_proxy_of_the_environment_and_its_exceptions() -> None:
    async def direct(connection: Connection) -> None:
        await connection.request()
        await connection.send(OK)

    async with serve(proxy) as server, serve(direct) as target:
        async with Wire({"http_proxy": f"127.0.0.1:{server.port}", "NO_PROXY": "near.example"}) as wire:
            await wire.client().get("http://far.example/")
            await wire.client().get(target.url)
        assert [request.line for request in server.requests] == ["GET http://far.example/ HTTP/1.1"]
        assert [request.line for request in target.requests] == ["GET / HTTP/1.1"]


@pytest.mark.parametrize(
    ("environ", "url", "expected"),
    [
        ({}, "http://a.example/", ""),
        ({"HTTP_PROXY": "http://p:1"}, "http://a.example/", "http://p:1"),
        ({"HTTP_PROXY": "http://p:1"}, "https://a.example/", ""),
        ({"https_proxy": "p:1", "HTTPS_PROXY": "http://q:1"}, "https://a.example/", "http://p:1"),
        ({"ALL_PROXY": "http://p:1"}, "https://a.example/", "http://p:1"),
        ({"ALL_PROXY": "http://p:1"}, "http://localhost:3000/", ""),
        ({"ALL_PROXY": "http://p:1"}, "http://127.0.0.9:3000/", ""),
        ({"ALL_PROXY": "http://p:1"}, "http://[::1]:3000/", ""),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "*"}, "https://a.example/", ""),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "b.org, example"}, "https://a.Example/", ""),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": ".a.example"}, "https://a.example/", ""),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "*.example"}, "https://a.example/", ""),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "xample"}, "https://a.example/", "http://p:1"),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "a.example:8080"}, "https://a.example/", "http://p:1"),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "a.example:8080"}, "https://a.example:8080/", ""),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "10.0.0.0/8"}, "http://10.1.2.3:3000/", ""),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "10.0.0.0/8"}, "http://11.1.2.3:3000/", "http://p:1"),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "192.168.1.5"}, "http://192.168.1.5/", ""),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "fd00::/8,[fe80::1]:80"}, "http://[fd00::1]/", ""),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "[fe80::1]:80"}, "http://[fe80::1]:80/", ""),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "[fe80::1]:80"}, "http://[fe80::1]:81/", "http://p:1"),
    ],
)
def test_the_environment(environ: dict[str, str], url: str, expected: str) -> None:
    assert Environment(environ).proxy_for(url) == expected


class Socks:
    """A SOCKS5 proxy without passwords (RFC 1928): connects, and copies both ways."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, methods = await reader.readexactly(2)
        await reader.readexactly(methods)
        writer.write(b"\x05\x00")
        _, _, _, kind = await reader.readexactly(4)
        size = 4 if kind == 1 else (await reader.readexactly(1))[0]
        raw = await reader.readexactly(size)
        host = ".".join(map(str, raw)) if kind == 1 else raw.decode()
        port = int.from_bytes(await reader.readexactly(2), "big")
        self.asked.append(host)
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
        await asyncio.gather(copy(reader, far_writer), copy(far_reader, writer))


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(4096):
        writer.write(data)
    writer.close()


async def test_a_socks_proxy_carries_requests_and_looks_names_up(wire: Wire) -> None:
    socks = Socks()

    async def answer(connection: Connection) -> None:
        await connection.request()
        await connection.send(OK)

    async with serve(answer) as far, await asyncio.start_server(socks, "127.0.0.1", 0) as server:
        proxy = f"socks5://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        address = far.url.replace("127.0.0.1", "far.example")
        assert (await wire.client(proxy).get(address)).text == "ok"
        session, through = wire.connection(address, proxy)
        assert through is None
        async with session.get(address) as response:
            assert await response.text() == "ok"
    assert set(socks.asked) == {"far.example"}


async def test_a_socks_proxy_that_is_not_there_is_a_request_not_sent(wire: Wire) -> None:
    with pytest.raises(FAILURES) as caught:
        await wire.client("socks5://127.0.0.1:9").get("http://far.example/")
    assert not_sent(caught.value)


@pytest.mark.parametrize("kind", ["socks4", "socks5"])
async def test_a_socks_proxy_that_breaks_the_handshake_is_a_request_not_sent(wire: Wire, kind: str) -> None:
    async def talk(connection: Connection) -> None:
        await connection.reader.read(100)
        connection.writer.close()

    async with serve(talk) as server:
        assert not_sent(await failure(wire, "http://far.example/", f"{kind}://127.0.0.1:{server.port}"))


async def test_a_socks4_proxy_looks_names_up(wire: Wire) -> None:
    asked = bytearray()

    async def talk(connection: Connection) -> None:
        asked.extend(await connection.reader.read(100))
        await connection.send(b"\x00\x5b" + bytes(6))  # refused

    async with serve(talk) as server:
        assert not_sent(await failure(wire, "http://far.example/", f"socks4://127.0.0.1:{server.port}"))
    assert asked.endswith(b"far.example\0")


def test_a_proxy_of_an_unknown_kind_is_refused_without_its_password() -> None:
    async def build(proxy: str) -> None:
        async with Wire({}) as wire:
            wire.client(proxy)

    for proxy in ("ftp://user:word@127.0.0.1:1080", "127.0.0.1:1080", "socks5://user:word@proxy", "http://h:99999"):
        with pytest.raises(UnsupportedProxy, match="write it as") as caught:
            asyncio.run(build(proxy))
        assert "word" not in str(caught.value)
