"""The calls of ``wechaty.Puppet`` as the Node gateway answers them.

Rules of this file:
- each answer, refusal and oddity is one that wechaty-puppet-service 1.19.9 over wechaty-puppet-mock gave (measured);
- a call that no bridge needs is left out: it is UNIMPLEMENTED, as any server says of what it does not know.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import betterproto
from grpclib.const import Cardinality, Handler, Status
from grpclib.exceptions import GRPCError
from grpclib.server import Stream
from wechaty_grpc.wechaty import puppet

from tests.fakes.wechat import boxes
from tests.fakes.wechat.things import Link, Said
from tests.fakes.wechat.world import PuppetFailed, World

MESSAGE_MOST = 4 * 1024 * 1024
"""Bytes of one message that grpc-js takes."""
CHUNK = 64 * 1024
"""Bytes of one message of the Download stream."""
VERSION = "1.19.4<1.20.2>"


@dataclass(eq=False, repr=False)
class Named(betterproto.Message):
    """DownloadRequest, UploadResponse."""

    id: str = betterproto.string_field(1)


@dataclass(eq=False, repr=False)
class Chunk(betterproto.Message):
    """DownloadResponse, UploadRequest: younger than the published stubs."""

    chunk: bytes = betterproto.bytes_field(1)


class Service:
    """One gateway's service. ``cut`` lets all its connections die."""

    def __init__(self, world: World, token: str, endpoint: Callable[[], str], cut: Callable[[], None]) -> None:
        self._world, self._token, self._endpoint, self._cut = world, token, endpoint, cut

    def __mapping__(self) -> dict[str, Handler]:
        """What grpclib's server asks a service for."""
        unary: dict[str, Callable[[Any], Any]] = {
            "Start": self._start,
            "Stop": self._stop,
            "Logout": self._logout,
            "Ding": self._ding,
            "Version": lambda _: puppet.VersionResponse(version=VERSION),
            "ContactList": lambda _: puppet.ContactListResponse(ids=[*self._world.memory.people]),
            "ContactPayload": self._contact,
            "RoomList": lambda _: puppet.RoomListResponse(ids=[*self._world.memory.rooms]),
            "RoomPayload": self._room,
            "RoomMemberList": lambda request: puppet.RoomMemberListResponse(member_ids=self._room(request).member_ids),
            "RoomMemberPayload": self._member,
            "MessagePayload": self._message,
            "MessageFile": lambda request: puppet.MessageFileResponse(filebox=self._world.box(request.id)),
            "MessageImage": lambda request: puppet.MessageImageResponse(filebox=self._world.box(request.id)),
            "MessageUrl": self._link,
            "MessageSendText": self._send_text,
            "MessageSendFile": self._send_file,
        }
        mapping = {name: self._unary(name, answer) for name, answer in unary.items()}
        mapping["Event"] = self._handler(
            self._event, Cardinality.UNARY_STREAM, puppet.EventRequest, puppet.EventResponse
        )
        mapping["Download"] = self._handler(self._download, Cardinality.UNARY_STREAM, Named, Chunk)
        mapping["Upload"] = self._handler(self._upload, Cardinality.STREAM_UNARY, Chunk, Named)
        return {f"/wechaty.Puppet/{name}": handler for name, handler in mapping.items()}

    # ------------------------------------------------------------------ what all calls go through

    def _handler(
        self, call: Callable[[Stream[Any, Any]], Awaitable[None]], cardinality: Cardinality, request: Any, answer: Any
    ) -> Handler:
        return Handler(partial(self._admitted, call), cardinality, request, answer)

    def _unary(self, name: str, answer: Callable[[Any], Any]) -> Handler:
        types = getattr(puppet, f"{name}Request"), getattr(puppet, f"{name}Response")
        return self._handler(partial(self._answered, answer), Cardinality.UNARY_UNARY, *types)

    async def _admitted(self, call: Callable[[Stream[Any, Any]], Awaitable[None]], stream: Stream[Any, Any]) -> None:
        """Only with the token; without any, grpc-js takes the ``:authority`` for it."""
        assert stream.metadata is not None
        told = str(stream.metadata.get("authorization", f"Wechaty {self._endpoint()}"))
        kind, _, token = told.partition(" ")
        if kind != "Wechaty":
            raise GRPCError(Status.UNAUTHENTICATED, f'Invalid authorization type: "{kind}"')
        if token != self._token:
            raise GRPCError(Status.UNAUTHENTICATED, f'Invalid Wechaty TOKEN "{token}"')
        await call(stream)

    async def _answered(self, answer: Callable[[Any], Any], stream: Stream[Any, Any]) -> None:
        request = await received(stream)
        try:
            response = answer(request)
        except (PuppetFailed, ValueError) as error:
            trace = "\n    at LinePuppet.call (file:///gateway.js:1:1)\n    at async call (file:///puppet.js:1:1)"
            raise GRPCError(Status.UNKNOWN, f"Error: {error}{trace}") from None
        await stream.send_message(response)

    # ------------------------------------------------------------------ the puppet

    def _start(self, _: Any) -> Any:
        self._world.start()
        return puppet.StartResponse()

    def _stop(self, _: Any) -> Any:
        self._world.stop()
        return puppet.StopResponse()

    def _logout(self, _: Any) -> Any:
        self._world.logout("logout()")
        return puppet.LogoutResponse()

    def _ding(self, request: Any) -> Any:
        self._world.ding(request.data)
        return puppet.DingResponse()

    async def _event(self, stream: Stream[Any, Any]) -> None:
        await received(stream)
        if self._world.listening:
            raise GRPCError(Status.ALREADY_EXISTS, "GrpcServerImpl.event() can not call twice.")
        events = self._world.listen()
        try:
            while happened := await events.get():
                await stream.send_message(puppet.EventResponse(type=happened.type, payload=happened.payload))
        finally:
            self._world.unlisten()

    # ------------------------------------------------------------------ who, where and what

    def _contact(self, request: Any) -> Any:
        name = known(self._world.memory.people, request.id)
        return puppet.ContactPayloadResponse(id=request.id, name=name, friend=True)

    def _room(self, request: Any) -> Any:
        room = known(self._world.memory.rooms, request.id)
        return puppet.RoomPayloadResponse(id=request.id, topic=room.topic, member_ids=room.members)

    def _member(self, request: Any) -> Any:
        name = known(self._world.memory.people, request.member_id)
        alias = self._world.memory.aliases.get((request.id, request.member_id), "")
        return puppet.RoomMemberPayloadResponse(id=request.member_id, name=name, room_alias=alias)

    def _message(self, request: Any) -> Any:
        said: Said = known(self._world.memory.messages, request.id)
        file = self._world.memory.files.get(said.id)
        room = "@" in said.conversation
        return puppet.MessagePayloadResponse(
            id=said.id,
            filename=file.name if file else "",
            text=said.text,
            timestamp=int(said.at * 1000),
            type=said.type,
            from_id=said.sender,
            room_id=said.conversation if room else "",
            to_id="" if room else said.conversation,
            mention_ids=list(said.mentions) if room else [],
        )

    def _link(self, request: Any) -> Any:
        mock = Link(f"mock title for {request.id}", "https://mock.url")
        link = self._world.memory.links.get(request.id, mock)
        return puppet.MessageUrlResponse(url_link=json.dumps(vars(link), ensure_ascii=False))

    # ------------------------------------------------------------------ sending

    def _send_text(self, request: Any) -> Any:
        send = partial(self._world.sends, request.conversation_id, request.text, request.mentonal_ids)
        return puppet.MessageSendTextResponse(id=self._sent(send))

    def _send_file(self, request: Any) -> Any:
        file = boxes.opened(request.filebox, self._world.uploaded)
        send = partial(self._world.sends, request.conversation_id, "", file=file)
        return puppet.MessageSendFileResponse(id=self._sent(send))

    def _sent(self, send: Callable[[], str]) -> str:
        """Send, unless the connection is to die first; the answer to a call on a dead connection reaches nobody."""
        cut, self._world.faults.cut = self._world.faults.cut, ""
        if cut == "drop_before":
            self._cut()
            raise GRPCError(Status.UNAVAILABLE)
        message_id = send()
        if cut == "drop_after":
            self._cut()
            raise GRPCError(Status.UNAVAILABLE)
        return message_id

    # ------------------------------------------------------------------ bytes

    async def _download(self, stream: Stream[Any, Any]) -> None:
        """An unknown UUID is an error that nobody catches: the real process ends, and all its connections."""
        uuid = (await received(stream)).id
        if uuid not in self._world.uploads:
            self._world.complaints.append(f"Download of an unknown UUID: {uuid}")
            self._cut()
            raise GRPCError(Status.UNAVAILABLE)
        data = self._world.uploads[uuid]
        for start in range(0, len(data), CHUNK):
            await stream.send_message(Chunk(chunk=data[start : start + CHUNK]))

    async def _upload(self, stream: Stream[Any, Any]) -> None:
        data = bytearray()
        while piece := await received(stream):
            data += piece.chunk
        await stream.send_message(Named(id=self._world.upload(bytes(data))))


async def received(stream: Stream[Any, Any]) -> Any:
    """The next message of the client; None at the end. grpc-js takes no more than 4 MiB."""
    message = await stream.recv_message()
    size = len(bytes(message)) if message is not None else 0
    if size > MESSAGE_MOST:
        raise GRPCError(Status.RESOURCE_EXHAUSTED, f"Received message larger than max ({size} vs {MESSAGE_MOST})")
    return message


def known(things: dict[str, Any], key: str) -> Any:
    """What there is under an id."""
    if key not in things:
        raise PuppetFailed(f"no payload found for id {key}")
    return things[key]
