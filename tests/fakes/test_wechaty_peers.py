"""wechaty's own client stubs, which nobody here wrote, at both gateways: the real one in Node, and the fake in Python.

What the two answer must be the same: where the real one is odd, so is the fake.
"""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any, Literal, TypeVar

import betterproto
import pytest
import pytest_asyncio
from grpclib.client import Channel, StreamUnaryMethod, UnaryStreamMethod
from grpclib.const import Status
from grpclib.exceptions import GRPCError, StreamTerminatedError
from wechaty_grpc.wechaty import PuppetStub

from tests.fakes.wechat import boxes
from tests.fakes.wechat.node import MISSING, NodeGateway, available
from tests.fakes.wechat.puppet import PuppetGateway
from tests.fakes.wechat.things import DIRTY, DONG, HEARTBEAT, LOGIN, LOGOUT, ME, MESSAGE, QRCODE, READY, ROOM, SCAN

T = TypeVar("T")
Gateway = PuppetGateway | NodeGateway

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["python", "node"])
async def gateway(request: pytest.FixtureRequest) -> AsyncIterator[Gateway]:
    if request.param == "node" and not available():
        pytest.skip(MISSING)
    async with PuppetGateway() if request.param == "python" else NodeGateway() as gateway:
        yield gateway


async def done(act: T | Awaitable[T]) -> T:
    """What somebody did: the fake does it at once, the real gateway when it is asked to."""
    return await act if isawaitable(act) else act


# ------------------------------------------------------------------ the client


@dataclass(eq=False, repr=False)
class Id(betterproto.Message):
    id: str = betterproto.string_field(1)


@dataclass(eq=False, repr=False)
class Piece(betterproto.Message):
    chunk: bytes = betterproto.bytes_field(1)


class Client:
    """The stubs on one connection; Download and Upload are younger than they are."""

    def __init__(self, gateway: Gateway, authorization: str = "", tls: ssl.SSLContext | None = None) -> None:
        host, port = gateway.endpoint.split(":")
        self.channel = Channel(host, int(port), ssl=tls)
        self._metadata = {"authorization": authorization or f"Wechaty {gateway.token}"}
        self.stub = PuppetStub(self.channel, metadata=self._metadata)
        self._events = self.stub.event()

    async def event(self) -> tuple[int, dict[str, Any]]:
        """The next event: its number, and what it tells."""
        event = await anext(self._events)
        return int(event.type), json.loads(event.payload)

    async def until(self, number: int) -> dict[str, Any]:
        """What the next event with this number tells."""
        while (event := await self.event())[0] != number:
            pass
        return event[1]

    async def download(self, uuid: str) -> list[bytes]:
        method = UnaryStreamMethod(self.channel, "/wechaty.Puppet/Download", Id, Piece)
        async with method.open(metadata=self._metadata) as stream:
            await stream.send_message(Id(id=uuid), end=True)
            return [piece.chunk async for piece in stream]

    async def upload(self, *pieces: bytes) -> str:
        method = StreamUnaryMethod(self.channel, "/wechaty.Puppet/Upload", Piece, Id)
        async with method.open(metadata=self._metadata) as stream:
            for piece in pieces:
                await stream.send_message(Piece(chunk=piece))
            await stream.end()
            answer = await stream.recv_message()
            assert answer
            return str(answer.id)


@asynccontextmanager
async def connected(gateway: Gateway) -> AsyncIterator[Client]:
    """A client that has seen the login; the gateway is free again at the end."""
    client = Client(gateway)
    assert await client.until(LOGIN) == {"contactId": ME}
    try:
        yield client
    finally:
        client.channel.close()
        await gateway.until(lambda: not gateway.listening)


@pytest_asyncio.fixture(loop_scope="module")
async def client(gateway: Gateway) -> AsyncIterator[Client]:
    async with connected(gateway) as client:
        yield client


def first_line(error: GRPCError) -> str:
    return (error.message or "").partition("\n")[0]


# ------------------------------------------------------------------ in


async def test_a_newcomer_is_told_who_is_logged_in(gateway: Gateway) -> None:
    client = Client(gateway)
    told = [await client.event() for _ in range(3)]
    assert told == [
        (HEARTBEAT, {"data": "Wechaty Puppet gRPC stream connect successfully"}),
        (LOGIN, {"contactId": ME}),
        (READY, {"data": "ready"}),
    ]
    assert gateway.listening
    client.channel.close()
    await gateway.until(lambda: not gateway.listening)


async def test_a_private_message(gateway: Gateway, client: Client) -> None:
    message_id = await done(gateway.say("hello 你好", at=1_700_000_000.25))
    assert await client.until(MESSAGE) == {"messageId": message_id}
    message = await client.stub.message_payload(id=message_id)
    assert (message.id, message.from_id, message.to_id, message.room_id) == (message_id, "alice", ME, "")
    assert (message.text, message.type, message.timestamp) == ("hello 你好", 7, 1_700_000_000_250)
    assert (message.mention_ids, message.filename) == ([], "")
    contact = await client.stub.contact_payload(id="alice")
    assert (contact.id, contact.name, contact.alias) == ("alice", "Alice", "")
    await done(gateway.resend(message_id))
    assert await client.until(MESSAGE) == {"messageId": message_id}


async def test_a_mention_in_a_room(gateway: Gateway, client: Client) -> None:
    message_id = await done(gateway.say("@FastBot hi", sender="bob", room=ROOM, mentions=[ME]))
    message = await client.stub.message_payload(id=message_id)
    assert (message.from_id, message.to_id, message.room_id) == ("bob", "", ROOM)
    assert (message.text, message.mention_ids) == ("@FastBot hi", [ME])
    room = await client.stub.room_payload(id=ROOM)
    assert (room.id, room.topic, room.member_ids) == (ROOM, "Room 1", [ME, "alice", "bob"])
    assert (await client.stub.room_member_list(id=ROOM)).member_ids == room.member_ids
    member = await client.stub.room_member_payload(id=ROOM, member_id=ME)
    assert (member.id, member.name, member.room_alias) == (ME, "FastBot", "")
    await done(gateway.alias("Helper"))
    assert await client.until(DIRTY) == {"payloadId": ROOM, "payloadType": 4}
    assert (await client.stub.room_member_payload(id=ROOM, member_id=ME)).room_alias == "Helper"


@pytest.mark.parametrize("kind", [0, 2, 5, 10, 13, 16, 99])
async def test_message_types_are_the_puppets_own_numbers(gateway: Gateway, client: Client, kind: int) -> None:
    message_id = await done(gateway.say("", kind=kind))
    assert (await client.stub.message_payload(id=message_id)).type == kind


async def test_a_link(gateway: Gateway, client: Client) -> None:
    message_id = await done(gateway.say_link("Docs", "https://docs.example/", "all of them"))
    assert (await client.stub.message_payload(id=message_id)).type == 14
    link = json.loads((await client.stub.message_url(id=message_id)).url_link)
    assert link == {"title": "Docs", "url": "https://docs.example/", "description": "all of them"}


@pytest.mark.parametrize("size", [3, boxes.INLINE_MOST])
async def test_a_small_file_is_in_its_box(gateway: Gateway, client: Client, size: int) -> None:
    message_id = await done(gateway.say_file("a.png", b"x" * size))
    message = await client.stub.message_payload(id=message_id)
    assert (message.type, message.filename, message.text) == (6, "a.png", "")
    image = json.loads((await client.stub.message_image(id=message_id, type=3)).filebox)
    assert image == json.loads((await client.stub.message_file(id=message_id)).filebox)
    assert base64.b64decode(image.pop("base64")) == b"x" * size
    assert image == {"metadata": {}, "name": "a.png", "size": size, "type": 1, "boxType": 1}


@pytest.mark.parametrize(
    ("box", "size", "told"),
    [("base64", boxes.INLINE_MOST + 1, boxes.INLINE_MOST + 1), ("base64", 200_000, 200_000), ("uuid", 3, -1)],
)
async def test_a_bigger_file_is_downloaded(
    gateway: Gateway, client: Client, box: Literal["base64", "uuid"], size: int, told: int
) -> None:
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    message_id = await done(gateway.say_file("b.pdf", data, box=box, kind=1))
    found = json.loads((await client.stub.message_file(id=message_id)).filebox)
    uuid = found.pop("uuid")
    assert found == {"metadata": {}, "name": "b.pdf", "size": told, "type": 7, "boxType": 7}
    for _ in range(2):
        pieces = await client.download(uuid)
        assert b"".join(pieces) == data
        assert [len(piece) for piece in pieces[:-1]] == [65536] * (size // 65536)


async def test_a_file_by_its_address(gateway: Gateway, client: Client) -> None:
    url = "https://files.example/a/c.pdf"
    message_id = await done(gateway.say_file("c.pdf", b"", box="url", url=url, kind=1))
    found = json.loads((await client.stub.message_file(id=message_id)).filebox)
    assert found == {"metadata": {}, "name": "c.pdf", "size": -1, "type": 2, "boxType": 2, "url": url}


# ------------------------------------------------------------------ out


async def test_an_answer_comes_back_as_an_own_message(gateway: Gateway, client: Client) -> None:
    before = len(gateway.screen("alice"))
    answer = await client.stub.message_send_text(conversation_id="alice", text="Hello")
    assert await client.until(MESSAGE) == {"messageId": answer.id}
    own = await client.stub.message_payload(id=answer.id)
    assert (own.from_id, own.to_id, own.text, own.type) == (ME, "alice", "Hello", 7)
    await gateway.until(lambda: gateway.screen("alice")[before:] == ["Hello"])
    await client.stub.message_send_text(conversation_id=ROOM, text="@Alice\u2005yes", mentonal_ids=["alice"])
    sent = await gateway.until(lambda: next((sent for sent in gateway.sent if sent.conversation == ROOM), None))
    assert sent and (sent.text, sent.mentions, sent.file) == ("@Alice\u2005yes", ("alice",), None)


async def test_files_out(gateway: Gateway, client: Client) -> None:
    before = len(gateway.sent)
    small = boxes.inline("small.txt", b"small")
    await client.stub.message_send_file(conversation_id="bob", filebox=small)
    big = [b"a" * 100_000, b"b" * 100_000]
    stored = boxes.stored("big.bin", 200_000, await client.upload(*big))
    await client.stub.message_send_file(conversation_id="bob", filebox=stored)
    await gateway.until(lambda: len(gateway.sent) == before + 2)
    assert [sent.file for sent in gateway.sent[before:]] == [("small.txt", b"small"), ("big.bin", b"".join(big))]
    assert gateway.screen("bob")[-2:] == ["[file small.txt]", "[file big.bin]"]


# ------------------------------------------------------------------ refusals

Call = Callable[[PuppetStub], Awaitable[Any]]
BIG = "a" * 4 * 1024 * 1024


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda stub: stub.message_payload(id="m0"), "Error: no payload found for id m0"),
        (lambda stub: stub.contact_payload(id="zoe"), "Error: no payload found for id zoe"),
        (lambda stub: stub.room_payload(id="r0@chatroom"), "Error: no payload found for id r0@chatroom"),
        (lambda stub: stub.message_file(id="m0"), "Error: no filebox cache"),
        (
            lambda stub: stub.message_send_text(conversation_id="zoe", text="hi"),
            "Error: MockContact.load(): zoe not exist.",
        ),
        (
            lambda stub: stub.message_send_text(conversation_id="r0@chatroom", text="hi"),
            "Error: MockRoom.load(): r0@chatroom not exist.",
        ),
        (
            lambda stub: stub.message_send_file(conversation_id="bob", filebox='{"type":5}'),
            'Error: unknown filebox json object{type}: {"type":5}',
        ),
    ],
)
async def test_what_the_puppet_throws(client: Client, call: Call, message: str) -> None:
    with pytest.raises(GRPCError) as failed:
        await call(client.stub)
    assert (failed.value.status, first_line(failed.value)) == (Status.UNKNOWN, message)
    assert "\n    at " in (failed.value.message or "")


async def test_a_uuid_that_was_never_uploaded_cannot_be_sent(client: Client) -> None:
    with pytest.raises(GRPCError, match="ENOENT: no such file or directory") as failed:
        await client.stub.message_send_file(conversation_id="bob", filebox=boxes.stored("x", 1, "0" * 36))
    assert failed.value.status is Status.UNKNOWN


async def test_sends_fail_on_order(gateway: Gateway, client: Client) -> None:
    await done(gateway.fail(1, "no more today"))
    with pytest.raises(GRPCError) as failed:
        await client.stub.message_send_text(conversation_id="bob", text="once")
    assert (failed.value.status, first_line(failed.value)) == (Status.UNKNOWN, "Error: no more today")
    await client.stub.message_send_text(conversation_id="bob", text="twice")
    await gateway.until(lambda: gateway.screen("bob")[-1:] == ["twice"])
    assert "once" not in gateway.screen("bob")


async def test_a_message_has_four_mebibytes_at_most(client: Client) -> None:
    with pytest.raises(GRPCError, match=r"Received message larger than max \(\d+ vs 4194304\)") as failed:
        await client.stub.message_send_text(conversation_id="bob", text=BIG)
    assert failed.value.status is Status.RESOURCE_EXHAUSTED
    await client.upload(*[b"x" * 1024 * 1024] * 5)  # a stream of them may have more


async def test_there_is_one_event_stream(gateway: Gateway, client: Client) -> None:
    second = Client(gateway)
    with pytest.raises(GRPCError, match="can not call twice") as refused:
        await second.event()
    assert refused.value.status is Status.ALREADY_EXISTS
    assert (await second.stub.version()).version  # all else may be called
    second.channel.close()
    message_id = await done(gateway.say("still there?"))
    assert await client.until(MESSAGE) == {"messageId": message_id}


@pytest.mark.parametrize(
    ("authorization", "message"),
    [("Wechaty wrong", 'Invalid Wechaty TOKEN "wrong"'), ("Bearer test-token", 'Invalid authorization type: "Bearer"')],
)
async def test_only_with_the_token(gateway: Gateway, authorization: str, message: str) -> None:
    client = Client(gateway, authorization)
    for call in (client.stub.version(), client.event(), client.upload(b"x")):
        with pytest.raises(GRPCError) as refused:
            await call
        assert (refused.value.status, refused.value.message) == (Status.UNAUTHENTICATED, message)
    client.channel.close()


# ------------------------------------------------------------------ the phone, and the gateway's life


async def test_the_phone(gateway: Gateway, client: Client) -> None:
    await done(gateway.logout())
    assert await client.until(LOGOUT) == {"contactId": ME, "data": "test"}
    with pytest.raises(GRPCError, match="Error: not logged in"):
        await client.stub.message_send_text(conversation_id="bob", text="hi")
    await done(gateway.scan("https://login.example/2", 3))
    assert await client.until(SCAN) == {"qrcode": "https://login.example/2", "status": 3}
    await done(gateway.login())
    assert await client.event() == (LOGIN, {"contactId": ME})
    assert await client.event() == (READY, {"data": "ready"})
    await client.stub.logout()
    assert await client.until(LOGOUT) == {"contactId": ME, "data": "logout()"}
    await done(gateway.login())
    await client.stub.ding(data="still there?")
    assert await client.until(DONG) == {"data": "still there?"}


async def test_it_stops_ends_and_comes_back(gateway: Gateway) -> None:
    async with connected(gateway) as client:
        await client.stub.message_send_text(conversation_id="bob", text="before")
        await client.stub.stop()
        with pytest.raises(StopAsyncIteration):
            await client.until(LOGOUT)
    async with connected(gateway) as client:  # whoever was logged in still is
        with pytest.raises(StreamTerminatedError):  # nobody catches this error there: the process ends
            await client.download("no-such-uuid")
        with pytest.raises(StreamTerminatedError):
            await client.until(LOGOUT)
    await gateway.kill()
    with pytest.raises(ConnectionRefusedError):
        await Client(gateway).stub.version()
    await gateway.restart(logged_in=False)
    assert gateway.screen("bob")[-1:] == ["before"]
    await waits_for_a_start(gateway)


async def waits_for_a_start(gateway: Gateway) -> None:
    """Nobody is logged in: a client starts the puppet, which shows a QR code, to newcomers too, until the login."""
    client = Client(gateway)
    before = gateway.started
    assert (await client.event())[0] == HEARTBEAT
    await client.stub.start()
    assert await client.event() == (SCAN, {"qrcode": QRCODE, "status": 2})
    await gateway.until(lambda: gateway.started == before + 1)
    client.channel.close()
    await gateway.until(lambda: not gateway.listening)
    client = Client(gateway)
    assert [(await client.event())[0] for _ in range(2)] == [HEARTBEAT, SCAN]
    await done(gateway.login())
    assert await client.event() == (LOGIN, {"contactId": ME})
    client.channel.close()
    await gateway.until(lambda: not gateway.listening)


@pytest.mark.slow
async def test_the_real_gateway_by_tls() -> None:
    if not available():
        pytest.skip(MISSING)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # its own certificate is made for nobody
    context.set_alpn_protocols(["h2"])
    async with NodeGateway(tls=True, logged_in=False) as gateway:
        client = Client(gateway, tls=context)
        assert (await client.stub.version()).version
        client.channel.close()


@pytest.mark.parametrize(("kind", "arrived"), [("drop_before", []), ("drop_after", ["hi"])])
async def test_a_connection_dies_at_a_send(kind: Literal["drop_before", "drop_after"], arrived: list[str]) -> None:
    async with PuppetGateway() as gateway, connected(gateway) as client:
        gateway.fault(kind)
        with pytest.raises(StreamTerminatedError):
            await client.stub.message_send_text(conversation_id="alice", text="hi")
        assert gateway.screen() == arrived
        await client.stub.message_send_text(conversation_id="alice", text="again")
        assert gateway.screen() == [*arrived, "again"]
        assert gateway.complaints == []
