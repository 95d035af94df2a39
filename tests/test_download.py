"""bridge.download and bridge.addresses: what may be fetched, and what comes of it.

Servers listen on 127.0.0.1 and 127.0.0.2: neither is public, so each test says what the operator allows.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_network

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from bridge import download
from bridge.addresses import Guard, NotPublic, host_of, is_public
from bridge.download import Downloads
from bridge.model import BridgeError, File, TooBig
from bridge.wire import Wire
from tests.rawserver import Connection, serve

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
HERE, THERE = "127.0.0.1", "127.0.0.2"

# ---------------------------------------------------------------- the rule

PRIVATE = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.2.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "224.0.0.0/4",
    "240.0.0.0/4",
]
PRIVATE6 = [
    "::/96",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
    "ff00::/8",
    "2001:db8::/32",
    "2001::/32",
    "100::/64",
    "fec0::/10",
]
PUBLIC = ["8.8.8.8", "1.1.1.1", "223.5.5.5", "172.32.0.1", "2606:4700:4700::1111", "2400:3200::1", "64:ff9b::808:808"]


def within(networks: list[str]) -> st.SearchStrategy[str]:
    def one(text: str) -> st.SearchStrategy[str]:
        network = ip_network(text)
        return st.ip_addresses(network=network).map(str)

    return st.sampled_from(networks).flatmap(one)


@given(within(PRIVATE))
def test_no_private_address_in_any_dress(text: str) -> None:
    four = IPv4Address(text)
    number = int(four)
    dressed: list[IPv4Address | IPv6Address] = [
        four,
        IPv6Address(f"::ffff:{four}"),
        IPv6Address((0x2002 << 112) | (number << 80)),  # 6to4
        IPv6Address((0x64FF9B << 96) | number),  # NAT64
        IPv6Address(number),  # "IPv4-compatible", long gone
    ]
    assert not any(is_public(address) for address in dressed)


@given(within(PRIVATE6))
def test_no_private_address_of_version_six(text: str) -> None:
    assert not is_public(IPv6Address(text))


@pytest.mark.parametrize("text", PUBLIC)
def test_public_addresses(text: str) -> None:
    for proxied in (True, False):
        Guard().check_host(text, 443, proxied=proxied)
    Guard().check_found("example.com", 443, [text, "8.8.4.4"])
    with pytest.raises(NotPublic):
        Guard().check_found("example.com", 443, [text, "10.0.0.1"])


@pytest.mark.parametrize(
    "host",
    [
        *(
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0177.0.0.1",
            "0x7f.1",
            "0x7f000001",
            "a.0x7f",
            "127.0.0.1.",
            "1.2.3.4.5",
        ),
        *("::1", "::ffff:127.0.0.1", "fe80::1%25eth0", "fe80::1%eth0", "2606:4700::1111%1", "ex%61mple.com", "a b", ""),
    ],
)
@pytest.mark.parametrize("proxied", [True, False])
def test_hosts_that_are_no_public_name(host: str, proxied: bool) -> None:
    with pytest.raises(NotPublic):
        Guard().check_host(host, 80, proxied=proxied)


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST.", "a.localhost", "redis", "printer.local", "metadata.google.internal"]
)
def test_through_a_proxy_a_name_must_be_of_the_internet(host: str) -> None:
    Guard().check_host(host, 80, proxied=False)  # the look-up decides
    with pytest.raises(NotPublic):
        Guard().check_host(host, 80, proxied=True)
    Guard().check_host("files.example.com", 80, proxied=True)


def test_an_international_name_is_the_host_that_is_fetched_from() -> None:
    guard = Guard([host_of("https://文档.Example.com/api")], ["图.lan"])
    for name, port in [("文档.example.com", 443), ("图.lan", 9000)]:
        host = URL(f"https://{name}:{port}/a.png").raw_host
        guard.check_found(str(host), port, ["10.9.9.9"])


@pytest.mark.parametrize("url", ["", "http://h:99999/api", "http://[", "/api"])
def test_an_address_without_a_host_allows_nothing(url: str) -> None:
    assert host_of(url) == ""


def test_what_the_operator_allows() -> None:
    app = host_of("http://FastGPT.lan:3000/api"), host_of("https://192.168.1.9/api")
    assert app == ("fastgpt.lan:3000", "192.168.1.9:443")
    guard = Guard(app, ["10.1.2.3", "172.20.0.0/16", "fd00::/8", "Minio.lan", "[::1]"])
    for host, port in [("fastgpt.LAN", 3000), ("192.168.1.9", 443), ("10.1.2.3", 1), ("::1", 80), ("minio.lan", 9000)]:
        guard.check_host(host, port, proxied=True)
    guard.check_host("::ffff:10.1.2.3", 80, proxied=False)
    guard.check_found("fastgpt.lan", 3000, ["10.9.9.9"])
    guard.check_found("any.example.com", 80, ["172.20.3.4", "fd00::7"])
    for host, port, found in [
        ("fastgpt.lan", 3001, "10.9.9.9"),
        ("x", 80, "172.21.0.1"),
        ("x.minio.lan", 1, "10.1.1.1"),
    ]:
        with pytest.raises(NotPublic):
            guard.check_found(host, port, [found])
    with pytest.raises(NotPublic):
        guard.check_host("192.168.1.9", 80, proxied=False)


# ---------------------------------------------------------------- servers


class Web:
    """Two servers on one port: one on HERE, one on THERE. ``on[path]`` answers."""

    def __init__(self) -> None:
        self.on: dict[str, Callable[[web.Request], web.StreamResponse]] = {}
        self.got: list[tuple[str, web.Request]] = []
        self._runners: list[web.AppRunner] = []

    async def start(self) -> None:
        with socket.create_server((HERE, 0)) as free:
            self.port = free.getsockname()[1]
        for address in (HERE, THERE):
            app = web.Application()
            app.router.add_get("/{path:.*}", self._handler(address))
            runner = web.AppRunner(app)
            await runner.setup()
            await web.TCPSite(runner, address, self.port).start()
            self._runners.append(runner)

    def _handler(self, address: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            self.got.append((address, request))
            return self.on[request.path](request)

        return handle

    async def stop(self) -> None:
        for runner in self._runners:
            await runner.cleanup()

    def url(self, path: str, host: str = HERE) -> str:
        return f"http://{host}:{self.port}{path}"

    def gives(self, path: str, body: bytes = PNG, **headers: str) -> None:
        self.on[path] = lambda _: web.Response(body=body, headers={k.replace("_", "-"): v for k, v in headers.items()})

    def moves(self, path: str, to: str, status: int = 302) -> None:
        self.on[path] = lambda _: web.Response(status=status, headers={"Location": to, "Set-Cookie": "a=b; Path=/"})


class Names:
    """A name server whose answers change: each name gives its next answer, the last one for ever."""

    def __init__(self, **answers: Sequence[str]) -> None:
        self._answers = {name.replace("_", "."): list(found) for name, found in answers.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str) -> list[str]:
        self.asked.append(host)
        if host not in self._answers:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        found = self._answers[host]
        return [found.pop(0) if len(found) > 1 else found[0]]


@pytest.fixture
async def site() -> AsyncIterator[Web]:
    site = Web()
    await site.start()
    yield site
    await site.stop()


Open = Callable[..., Downloads]


@pytest.fixture
async def opened() -> AsyncIterator[Open]:
    """Makes Downloads, and closes them."""
    made: list[Downloads] = []
    async with Wire(environ={}) as wire:

        def make(allow: Sequence[str] = (HERE,), names: Names | None = None, hosts: Sequence[str] = ()) -> Downloads:
            made.append(Downloads(wire, hosts, allow, resolve=names))
            return made[-1]

        yield make
        for downloads in made:
            await downloads.close()


def file(url: str, name: str = "") -> File:
    return File(url, name)


async def test_a_file(site: Web, opened: Open) -> None:
    site.gives("/a/%E5%9B%BE.png", Content_Type="text/html")
    site.on["/a/图.png"] = site.on["/a/%E5%9B%BE.png"]
    got = await opened().fetch(file(site.url("/a/图.png?X-Sig=a%2Fb")), 1000)
    assert (got.data, got.name, got.mime) == (PNG, "图.png", "image/png")
    got = await opened().fetch(file(site.url("/a/%E5%9B%BE.png?X-Sig=a%2Fb%3D")), 1000)
    assert got.name == "图.png"
    assert site.got[-1][1].raw_path.endswith("?X-Sig=a%2Fb%3D"), "a signature is sent as it was written"


@pytest.mark.parametrize(
    ("path", "disposition", "given", "name"),
    [
        ("/x.png?filename=q.png", "attachment; filename*=UTF-8''%E5%90%88%20a.png", "g", "合 a.png"),
        ("/x.png?filename=q.png", 'inline; filename="c:/d.png"', "g", "d.png"),
        ("/x.png?filename=q.png", "", "g", "x.png"),
        ("/token?filename=%E5%90%88.png", "", "g", "合.png"),
        ("/token", "", "图表", "图表.png"),
        ("/token", "attachment; filename*=", "", "token.png"),
        ("/token", "attachment; filename*=utf-8''a.pdf; filename*0=b.pdf", "g", "g.png"),
    ],
)
async def test_names(site: Web, opened: Open, path: str, disposition: str, given: str, name: str) -> None:
    headers = {"Content-Disposition": disposition} if disposition else {}
    site.on[path.partition("?")[0]] = lambda _: web.Response(body=PNG, headers=headers)
    assert (await opened().fetch(file(site.url(path), given), 1000)).name == name


@given(st.text(max_size=80), st.text(max_size=10))
def test_no_header_breaks_the_name(disposition: str, given: str) -> None:
    name = download._name(URL("http://x/a.png"), f"attachment; filename{disposition}", given)
    assert isinstance(name, str)


async def test_no_credentials_are_sent(site: Web, opened: Open) -> None:
    site.moves("/login", "/file")
    site.gives("/file")
    url = site.url("/login").replace("http://", "http://user:secret@")
    assert (await opened().fetch(file(url), 1000)).data == PNG
    for _, request in site.got:
        assert not {"Authorization", "Cookie", "Referer"} & set(request.headers)


# ---------------------------------------------------------------- private addresses


async def test_a_private_address_is_refused(site: Web, opened: Open) -> None:
    site.gives("/f")
    names = Names(evil_example_com=[HERE])
    downloads = opened(allow=(), names=names)
    for host in (HERE, "127.1", "[::1]", "2130706433", "evil.example.com"):
        with pytest.raises(NotPublic):
            await downloads.fetch(file(site.url("/f?X-Sig=secret", host)), 1000)
    assert site.got == []


async def test_localhost_by_the_system_is_refused(site: Web, opened: Open) -> None:
    with pytest.raises(NotPublic):
        await opened(allow=()).fetch(file(site.url("/f", "localhost")), 1000)


async def test_the_checked_address_is_the_one_connected_to(site: Web, opened: Open) -> None:
    site.gives("/f")
    names = Names(rebind_example_com=[THERE, HERE])  # allowed first, then private
    downloads = opened(allow=(THERE,), names=names)
    await downloads.fetch(file(site.url("/f", "rebind.example.com")), 1000)
    assert names.asked == ["rebind.example.com"], "looked up once"
    [(address, request)] = site.got
    assert (address, request.headers["Host"]) == (THERE, f"rebind.example.com:{site.port}")
    with pytest.raises(NotPublic):
        await downloads.fetch(file(site.url("/f", "rebind.example.com")), 1000)
    assert len(site.got) == 1


async def test_a_redirect_is_checked_like_the_first(site: Web, opened: Open) -> None:
    names = Names(evil_example_com=[HERE])
    downloads = opened(allow=(THERE,), names=names)
    for to in (
        site.url("/f", HERE),
        site.url("/f", "evil.example.com"),
        "http://[::ffff:127.0.0.1]/",
        "//169.254.169.254/",
    ):
        site.moves("/go", to)
        with pytest.raises(NotPublic):
            await downloads.fetch(file(site.url("/go", THERE)), 1000)
    for to in ("file:///etc/passwd", "ftp://x/y", "http://[", "data:,x"):
        site.moves("/go", to)
        with pytest.raises(BridgeError):
            await downloads.fetch(file(site.url("/go", THERE)), 1000)
    assert {address for address, _ in site.got} == {THERE}


async def test_redirects_are_followed_five_times(site: Web, opened: Open) -> None:
    for number in range(6):
        site.moves(f"/{number}", f"../{number + 1}", status=(301, 302, 303, 307, 308)[number % 5])
    site.gives("/6")
    assert (await opened().fetch(file(site.url("/1")), 1000)).data == PNG
    with pytest.raises(BridgeError, match="redirects"):
        await opened().fetch(file(site.url("/0")), 1000)


async def test_the_apps_own_host_is_known(site: Web, opened: Open) -> None:
    site.gives("/f")
    names = Names(fastgpt_lan=[HERE])
    downloads = opened(allow=(), names=names, hosts=[host_of(site.url("/api", "fastgpt.lan"))])
    assert (await downloads.fetch(file(site.url("/f", "fastgpt.lan")), 1000)).data == PNG
    other = site.url("/f", "fastgpt.lan").replace(str(site.port), "9")
    with pytest.raises(NotPublic):
        await downloads.fetch(file(other), 1000)


async def test_the_name_in_the_certificate_stays_the_hosts(opened: Open) -> None:
    hello = bytearray()

    async def talk(connection: Connection) -> None:
        hello.extend(await connection.reader.read(2000))
        connection.writer.close()

    async with serve(talk) as server:
        downloads = opened(names=Names(files_example_com=[HERE]))
        with pytest.raises(BridgeError):
            await downloads.fetch(file(f"https://files.example.com:{server.port}/"), 1000)
    assert b"files.example.com" in hello


# ---------------------------------------------------------------- proxies


async def test_through_a_proxy(opened: Open) -> None:
    async def talk(connection: Connection) -> None:
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(PNG), PNG)

    async with serve(talk) as proxy:
        downloads = opened(allow=(), names=Names())
        got = await downloads.fetch(file("http://u:p@files.example.com/x.png"), 1000, proxy.url)
        for url in (
            "http://10.0.0.1/",
            "http://localhost/",
            "http://redis:6379/",
            "http://0x7f.1/",
            "http://127.0.0.1/",
        ):
            with pytest.raises(NotPublic):
                await downloads.fetch(file(url), 1000, proxy.url)
        [request] = proxy.requests
    assert (got.name, got.data) == ("x.png", PNG)
    assert request.line == "GET http://files.example.com/x.png HTTP/1.1"
    assert "authorization" not in request.headers


# ---------------------------------------------------------------- limits, failures


async def test_a_few_files_at_once(opened: Open) -> None:
    full, hold = asyncio.Event(), asyncio.Event()
    now, most = 0, 0

    async def talk(connection: Connection) -> None:
        nonlocal now, most
        await connection.request()
        now += 1
        most = max(most, now)
        if now == download.AT_ONCE:
            full.set()
        await hold.wait()
        now -= 1
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(PNG), PNG)

    async with serve(talk) as server, asyncio.TaskGroup() as group:
        downloads = opened()
        for _ in range(3 * download.AT_ONCE):
            group.create_task(downloads.fetch(file(server.url), 1000))
        await asyncio.wait_for(full.wait(), 10)
        hold.set()
    assert most == download.AT_ONCE


async def test_a_body_without_end_stops_at_the_cap(opened: Open) -> None:
    hung_up = asyncio.Event()

    async def talk(connection: Connection) -> None:
        await connection.request()
        await connection.start(headers="Content-Type: image/png\r\n")
        try:
            while True:
                await connection.chunks(bytes(10_000), 10_000)
        except ConnectionError:
            hung_up.set()

    async with serve(talk) as server:
        with pytest.raises(TooBig):
            await opened().fetch(file(server.url), 100_000)
        await asyncio.wait_for(hung_up.wait(), 10)


async def test_a_size_that_is_announced_is_believed(site: Web, opened: Open) -> None:
    site.gives("/f", bytes(1001))
    with pytest.raises(TooBig):
        await opened().fetch(file(site.url("/f")), 1000)
    assert len((await opened().fetch(file(site.url("/f")), 1001)).data) == 1001


async def test_a_server_that_never_answers(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "TOTAL", 0.05)
    hold = asyncio.Event()

    async def talk(connection: Connection) -> None:
        await hold.wait()

    async with serve(talk) as server:
        with pytest.raises(BridgeError, match="no file within"):
            await opened().fetch(file(server.url), 1000)
        hold.set()


@pytest.mark.parametrize(
    "url", ["", "x", "/a/b", "ftp://x/y", "file:///etc/passwd", "http://", "http://[", "http://a:99999/"]
)
async def test_no_address_at_all(opened: Open, url: str) -> None:
    with pytest.raises(BridgeError):
        await opened().fetch(file(url), 1000)


async def test_messages_hold_no_secret(site: Web, opened: Open) -> None:
    site.on["/f"] = lambda _: web.Response(status=403)
    site.moves("/loop", "/loop?X-Sig=secret")
    urls = [site.url("/f?X-Sig=secret"), site.url("/loop?X-Sig=secret"), "http://127.0.0.1:9/secret?X-Sig=secret"]
    urls += ["http://secret:secret@10.0.0.1/?secret", "http://gone.example.com/secret", "gopher://x/secret"]
    downloads = opened(names=Names())
    for url in urls:
        with pytest.raises(BridgeError) as caught:
            await downloads.fetch(file(url), 1000)
        assert "secret" not in f"{caught.value!r} {caught.value.__cause__!r}"


def test_what_aiohttp_takes_for_an_address_is_one_here() -> None:
    """The guard must see a literal address wherever aiohttp would connect without a look-up."""
    for host in ("127.1", "2130706433", "::1", "1.2.3.4", "0.0", "...1"):
        assert aiohttp.helpers.is_ip_address(host)
        with pytest.raises(NotPublic):
            Guard().check_host(host.replace("1.2.3.4", "10.2.3.4"), 80, proxied=False)
