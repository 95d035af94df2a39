"""The client of a wechaty gateway, against one in the test's own process."""

from __future__ import annotations

import asyncio
import datetime
import json
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import betterproto
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from grpclib.const import Cardinality, Handler, Status
from grpclib.exceptions import GRPCError
from grpclib.server import Server, Stream
from hypothesis import given
from hypothesis import strategies as st

from adapters.wechat.wechaty import boxes, channel, client
from adapters.wechat.wechaty.client import Gateway, Happened, PuppetError, Taken
from adapters.wechat.wechaty.schema import WxContact, WxLink, WxMember, WxMessage, WxRoom
from bridge.model import BridgeError, Fatal, Rejected, TooBig, Unreachable, Unsure
from tests.fakes.wechat.puppet import PuppetGateway
from tests.fakes.wechat.things import ROOM


@pytest.fixture
async def puppet() -> AsyncIterator[PuppetGateway]:
    async with PuppetGateway() as gateway:
        yield gateway
        assert gateway.complaints == []


@pytest.fixture
async def gateway(puppet: PuppetGateway) -> AsyncIterator[Gateway]:
    with closing(Gateway(puppet.endpoint, puppet.token)) as gateway:
        yield gateway


@asynccontextmanager
async def listening(gateway: Gateway) -> AsyncIterator[AsyncIterator[Happened]]:
    """The event stream behind its first events."""
    async with aclosing(gateway.events()) as events:
        assert (await anext(events)).kind == "heartbeat"
        assert await anext(events) == ("login", {"contactId": "bot"})
        assert (await anext(events)).kind == "ready"
        yield events


async def listen(gateway: Gateway) -> None:
    """Until cancelled."""
    async with aclosing(gateway.events()) as events:
        async for _ in events:
            pass


async def no_download(url: str) -> bytes:
    raise AssertionError(f"asked for {url}")


async def fetched(gateway: Gateway, message_id: str, kind: str = "file") -> bytes:
    return b"".join([piece async for piece in gateway.file(message_id, kind, no_download)])


@dataclass(eq=False, repr=False)
class Raw(betterproto.Message):
    """Any request, and a VersionResponse whose text may be no UTF-8."""

    version: bytes = betterproto.bytes_field(1)


class Strange:
    """A service that tells this version, ends Start without an answer, and cannot send."""

    def __init__(self, version: bytes) -> None:
        self._version = Raw(version)

    def __mapping__(self) -> dict[str, Handler]:
        calls = {"Version": self._tell, "Start": self._nothing, "MessageSendText": self._unknown}
        return {
            f"/wechaty.Puppet/{name}": Handler(call, Cardinality.UNARY_UNARY, Raw, Raw) for name, call in calls.items()
        }

    async def _tell(self, stream: Stream[Raw, Raw]) -> None:
        await stream.recv_message()
        await stream.send_message(self._version)

    async def _nothing(self, stream: Stream[Raw, Raw]) -> None:
        await stream.recv_message()
        await stream.send_initial_metadata()
        await stream.cancel()

    async def _unknown(self, stream: Stream[Raw, Raw]) -> None:
        raise GRPCError(Status.UNIMPLEMENTED)


@asynccontextmanager
async def strange(version: bytes, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A server that is no gateway; its endpoint."""
    server = Server([Strange(version)])
    door = socket.create_server(("127.0.0.1", 0))
    await server.start(sock=door, ssl=tls)
    try:
        yield f"127.0.0.1:{door.getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()


# ------------------------------------------------------------------ events


async def test_events_come_in_order_with_their_names(puppet: PuppetGateway, gateway: Gateway) -> None:
    async with listening(gateway) as events:
        ids = [puppet.say(text) for text in ("one", "two")]
        puppet.emit(19, roomId=ROOM)
        puppet.emit(4, postId="p1")
        assert [await anext(events) for _ in range(4)] == [
            ("message", {"messageId": ids[0]}),
            ("message", {"messageId": ids[1]}),
            ("room-join", {"roomId": ROOM}),
            ("4", {"postId": "p1"}),
        ]


async def test_a_gateway_that_stops_its_puppet_ends_the_events(puppet: PuppetGateway, gateway: Gateway) -> None:
    async with listening(gateway) as events:
        puppet.stop()
        assert [event async for event in events] == []


async def test_a_gateway_has_one_listener(puppet: PuppetGateway, gateway: Gateway) -> None:
    with closing(Gateway(puppet.endpoint, puppet.token)) as second:
        async with listening(gateway):
            with pytest.raises(Taken):
                await anext(second.events())
        await puppet.until(lambda: not puppet.listening)
        async with listening(second):
            pass


async def test_a_cancelled_listener_makes_room_for_the_next(puppet: PuppetGateway, gateway: Gateway) -> None:
    for _ in range(3):
        listener = asyncio.create_task(listen(gateway))
        await puppet.until(lambda: puppet.listening)
        listener.cancel()
        with pytest.raises(asyncio.CancelledError):
            await listener
        await puppet.until(lambda: not puppet.listening)


async def test_a_killed_gateway_is_noticed_and_found_again(puppet: PuppetGateway, gateway: Gateway) -> None:
    async with listening(gateway) as events:
        await puppet.kill()
        with pytest.raises(Unreachable):
            await anext(events)
    with pytest.raises(Unreachable, match="refused"):
        await gateway.send_text("alice", "lost")
    await puppet.restart()
    async with listening(gateway):
        await gateway.send_text("alice", "found")
    assert puppet.screen() == ["found"]


async def test_a_loss_is_not_taken_for_a_cancellation(puppet: PuppetGateway, gateway: Gateway) -> None:
    """A task group asks its task whether it was cancelled; the loss of a connection must not answer."""
    puppet.fault("drop_before")
    with pytest.raises(Unsure):
        await gateway.send_text("alice", "hi")
    task = asyncio.current_task()
    assert task and task.cancelling() == 0


async def test_a_cancellation_wins_over_a_loss(puppet: PuppetGateway, gateway: Gateway) -> None:
    listener = asyncio.create_task(listen(gateway))
    await puppet.until(lambda: puppet.listening)
    gateway.close()
    listener.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listener


async def test_a_network_that_died_silently_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "PING", 0.05)
    monkeypatch.setattr(channel, "PONG", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # connects, and says nothing
        gateway = Gateway(f"127.0.0.1:{silent.getsockname()[1]}", "token")
        with pytest.raises(Unreachable, match="lost"), closing(gateway):
            await anext(gateway.events())


# ------------------------------------------------------------------ who may


async def test_a_wrong_token_is_for_the_operator_and_not_repeated(puppet: PuppetGateway) -> None:
    with closing(Gateway(puppet.endpoint, "s3cret-token")) as gateway:
        for call in (gateway.version(), anext(gateway.events()), gateway.send_file("alice", "a", bytes(4_000_000))):
            with pytest.raises(Fatal) as refused:
                await call
            assert "s3cret" not in str(refused.value)
        assert "s3cret" not in repr(gateway)


def test_a_client_does_nothing_by_itself() -> None:
    Gateway("gateway.invalid:8788", "token", tls=True, ca="/nowhere").close()


@pytest.mark.parametrize(
    ("token", "name"),
    [("insecure_0a1b", "insecure"), ("Puppet_WorkPro_0a1b", "puppet_workpro"), ("0a1b", ""), ("_0a1b", "")],
)
def test_the_name_in_the_certificate_is_in_the_token(token: str, name: str) -> None:
    assert channel.server_name(token) == name


def certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, str]:
    """A server's TLS with a certificate for this common name, as gateways have it, and the file to check it with."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    pem = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "ca.pem").write_bytes(pem)
    (folder / "server.pem").write_bytes(pem + secret)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    context.set_alpn_protocols(["h2"])
    return context, str(folder / "ca.pem")


async def test_tls_with_the_operators_authority(tmp_path: Path) -> None:
    tls, ca = certificate(tmp_path, "insecure")

    async def version(token: str, **options: Any) -> str:
        with closing(Gateway(endpoint, token, **options)) as gateway:
            return await gateway.version()

    async with strange(b"1.19", tls) as endpoint:
        assert await version("insecure_0a1b", tls=True, ca=ca) == "1.19"
        with pytest.raises(Unreachable, match="certificate is refused"):  # signed by nobody that the system knows
            await version("insecure_0a1b", tls=True)
        with pytest.raises(Unreachable, match="certificate is refused"):  # for another name
            await version("other_0a1b", tls=True, ca=ca)
        with pytest.raises(Fatal, match="nowhere"):
            await version("insecure_0a1b", tls=True, ca=str(tmp_path / "nowhere"))
        with pytest.raises(Unreachable, match="tls: true"), closing(Gateway(endpoint, "insecure_0a1b")) as plain:
            await anext(plain.events())


async def test_tls_where_there_is_none(puppet: PuppetGateway) -> None:
    gateway = Gateway(puppet.endpoint, puppet.token, tls=True)
    with pytest.raises(Unreachable, match="no TLS there"), closing(gateway):
        await gateway.version()


# ------------------------------------------------------------------ calls


async def test_what_a_gateway_knows(puppet: PuppetGateway, gateway: Gateway) -> None:
    puppet.alias("Helper")
    said = puppet.say("hi", room=ROOM, mentions=["bot"], at=1795470000.5)
    assert await gateway.message(said) == WxMessage(
        id=said, type=7, from_id="alice", room_id=ROOM, text="hi", mention_ids=("bot",), timestamp=1795470000.5
    )
    file = puppet.say_file("a.pdf", b"%PDF", kind=1)
    assert (await gateway.message(file)).filename == "a.pdf"
    assert await gateway.contact("alice") == WxContact("alice", "Alice")
    room = await gateway.room(ROOM)
    assert isinstance(room, WxRoom) and {"alice", "bot"} <= {*room.member_ids}
    assert (await gateway.member(ROOM, "bot")).room_alias == "Helper"
    assert await gateway.member(ROOM, "alice") == WxMember("Alice")
    link = puppet.say_link("Title", "https://example.com/", "About")
    assert await gateway.link(link) == WxLink("Title", "https://example.com/", "About")
    assert await gateway.version()


async def test_a_puppet_is_started_on_demand(puppet: PuppetGateway, gateway: Gateway) -> None:
    await puppet.restart(logged_in=False)
    async with aclosing(gateway.events()) as events:
        assert (await anext(events)).kind == "heartbeat"
        await gateway.start()
        scan = await anext(events)
        assert (scan.kind, scan.payload["status"]) == ("scan", 2)


async def test_a_text_goes_out_with_its_mentions(puppet: PuppetGateway, gateway: Gateway) -> None:
    puppet.room(members=["alice"])
    sent = await gateway.send_text(ROOM, "@Alice\u2005done", ["alice"])
    assert [(one.id, one.conversation, one.text, one.mentions) for one in puppet.sent] == [
        (sent, ROOM, "@Alice\u2005done", ("alice",))
    ]


async def test_a_puppets_error_is_told_without_its_stack(puppet: PuppetGateway, gateway: Gateway) -> None:
    puppet.fail(1, "x" * 1000)
    with pytest.raises(PuppetError, match=r"\Ax{200}\Z"):
        await gateway.send_text("alice", "hi")
    with pytest.raises(PuppetError, match=r"\Ano payload found for id nobody\Z"):
        await gateway.contact("nobody")


@pytest.mark.parametrize(("fault", "arrived"), [("drop_before", []), ("drop_after", ["hi"])])
async def test_a_send_without_an_answer_may_have_arrived(
    puppet: PuppetGateway, gateway: Gateway, fault: Any, arrived: list[str]
) -> None:
    puppet.fault(fault)
    with pytest.raises(Unsure):
        await gateway.send_text("alice", "hi")
    assert puppet.screen() == arrived
    await gateway.send_text("alice", "on")
    assert puppet.screen() == [*arrived, "on"]


# ------------------------------------------------------------------ files


@pytest.mark.parametrize("size", [0, 1, boxes.INLINE, boxes.INLINE + 1, 4 * 2**20 + 1])
async def test_a_file_of_any_size_goes_out(puppet: PuppetGateway, gateway: Gateway, size: int) -> None:
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)
    sent = await gateway.send_file("alice", "数据.bin", data)
    assert [(one.id, one.file) for one in puppet.sent] == [(sent, ("数据.bin", data))]


async def test_a_lost_upload_has_sent_nothing(puppet: PuppetGateway, gateway: Gateway) -> None:
    sending = asyncio.create_task(gateway.send_file("alice", "big", bytes(50_000_000)))
    await gateway.version()  # the connection is up, and the upload goes by it
    await puppet.kill()
    with pytest.raises(Unreachable):
        await sending
    assert puppet.screen() == []


async def test_files_above_100_mb_are_not_sent(gateway: Gateway) -> None:
    with pytest.raises(TooBig):
        await gateway.send_file("alice", "big", bytes(client.MOST + 1))


@pytest.mark.parametrize("kind", ["image", "file"])
@pytest.mark.parametrize(("box", "size"), [("base64", 10), ("uuid", 10), ("base64", 300_000)])
async def test_a_file_comes_whole(puppet: PuppetGateway, gateway: Gateway, box: Any, size: int, kind: str) -> None:
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)
    assert await fetched(gateway, puppet.say_file("a", data, box=box), kind) == data


async def test_a_file_with_an_address_is_fetched_by_the_caller(puppet: PuppetGateway, gateway: Gateway) -> None:
    said = puppet.say_file("a", b"", box="url", url="https://example.com/a")

    async def download(url: str) -> bytes:
        return url.encode()

    assert [piece async for piece in gateway.file(said, "image", download)] == [b"https://example.com/a"]


@pytest.mark.parametrize("box", ["base64", "uuid"])
async def test_a_file_that_is_too_big_is_given_up(
    puppet: PuppetGateway, gateway: Gateway, box: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "MOST", 100_000)
    with pytest.raises(TooBig):
        await fetched(gateway, puppet.say_file("a", bytes(300_000), box=box))
    assert await fetched(gateway, puppet.say_file("a", bytes(100_000), box=box)) == bytes(100_000)


async def test_a_file_that_is_not_there(puppet: PuppetGateway, gateway: Gateway) -> None:
    with pytest.raises(PuppetError, match="no filebox"):
        await fetched(gateway, puppet.say("hi"))


@given(st.text(), st.binary())
def test_a_box_holds_its_bytes(name: str, data: bytes) -> None:
    text = boxes.inline(name, data)
    assert json.loads(text)["name"] == name
    if data:
        assert boxes.unpacked(boxes.box(text).content) == data


def test_boxes_of_older_gateways_are_read() -> None:
    assert boxes.box('{"boxType": 2, "remoteUrl": "https://e.invalid/"}') == (2, "https://e.invalid/", 0)
    assert boxes.box('{"type": 7, "uuid": "u", "size": 9}') == (7, "u", 9)


JSON = st.recursive(st.none() | st.integers() | st.text(), lambda items: st.lists(items), max_leaves=3)


@given(st.dictionaries(st.sampled_from(["type", "boxType", "base64", "url", "uuid", "size"]), JSON), st.integers(0, 8))
def test_a_box_is_read_or_refused(fields: dict[str, Any], kind: int) -> None:
    for text in json.dumps(fields), json.dumps({**fields, "type": kind}), str(fields):
        with suppress(BridgeError):
            box = boxes.box(text)
            assert box.type in (1, 2, 7) and box.content
            boxes.unpacked(box.content)


# ------------------------------------------------------------------ servers that are no gateway


async def test_a_server_that_is_no_gateway() -> None:
    async with strange(b"\xff") as endpoint:
        with closing(Gateway(endpoint, "token")) as gateway:
            with pytest.raises(PuppetError, match="cannot be read"):
                await gateway.version()
            with pytest.raises(Unsure):
                await gateway.start()
            with pytest.raises(Rejected):
                await gateway.send_text("alice", "hi")
            with pytest.raises(Unreachable):
                await anext(gateway.events())
