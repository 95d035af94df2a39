"""The client of a wechaty gateway (Wechaty Puppet Service): one stream of events, and calls.

Rules of this file:
- the puppet is never stopped, and started only when the caller says so: a login outlives the bridge;
- a gateway has one event stream: it is closed when ``events`` is left, so that the next one is not refused;
- a call that failed while connecting has sent nothing (Unreachable); once it was sent it may have been carried out
  (Unsure);
- ids are passed on as they are: what a room or a contact is called is the puppet's affair.

Source: puppet.proto and puppet/*.proto of wechaty-grpc 1.5.2, src/server/puppet-implementation.ts of
wechaty-puppet-service 1.19.9. The stubs are of wechaty-grpc 0.20.19, which speaks the same protocol.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any, NamedTuple

from grpclib.client import Channel
from wechaty_grpc.wechaty import PuppetStub
from wechaty_grpc.wechaty.puppet import EventType, ImageType

from adapters.wechat.wechaty import boxes, schema, transfer
from adapters.wechat.wechaty.channel import channel, connect
from adapters.wechat.wechaty.schema import WxContact, WxLink, WxMember, WxMessage, WxRoom
from adapters.wechat.wechaty.status import PuppetError, Taken, designed
from bridge.model import Rejected, TooBig, Unreachable, Unsure

__all__ = ["Gateway", "Happened", "PuppetError", "Taken"]

TIMEOUT = 30.0
"""Seconds for a call. A gateway gives its puppet 15 s to start."""
FILE_TIMEOUT = 300.0
"""Seconds for one that moves a file."""
MOST = 100 * 2**20
"""Bytes of a file."""
NO_TLS = " If it speaks TLS, set `tls: true`."


class Happened(NamedTuple):
    """``kind``: the event's name in small letters (``message``, ``room-join``), or its number when it is unknown."""

    kind: str
    payload: dict[str, Any]


class Gateway:
    """The gateway at ``endpoint`` (``host:port``); no IO before the first call. ``ca`` is the path of a file with the
    authority that signed the gateway's certificate; empty = one of the system's.

    All calls raise Fatal (the token is refused, or ``ca`` cannot be used), Unreachable (nothing was sent), Rejected
    (the gateway does not know the call), Unsure, and PuppetError when the puppet reports an error.
    """

    def __init__(self, endpoint: str, token: str, *, tls: bool = False, ca: str = "") -> None:
        self._endpoint = endpoint
        self._token = token
        self._tls = tls
        self._ca = ca
        self._metadata = {"authorization": f"Wechaty {token}"}
        self._channel: Channel | None = None

    def close(self) -> None:
        """Hang up: what is under way is lost. The next call connects anew."""
        if self._channel:
            self._channel.close()
            self._channel = None

    async def events(self) -> AsyncGenerator[Happened, None]:
        """What happens from now on, in order, until the gateway ends the stream (it stopped its puppet). The first
        events tell where it stands: ``heartbeat``, then ``login`` when an account is logged in, or ``scan``.

        Raises Fatal, Taken, and Unreachable when the stream cannot be opened or is lost. Leave it with ``aclosing``.
        """
        stub = PuppetStub(await self._connected(), metadata=self._metadata)
        opened = False
        async with aclosing(stub.event()) as stream:
            while True:
                try:
                    with designed():
                        event = await anext(stream, None)
                except (PuppetError, Rejected) as error:
                    raise Unreachable(str(error)) from None
                except Unsure as error:
                    raise Unreachable(f"{error}{'' if opened or self._tls else NO_TLS}") from None
                if event is None:
                    return
                opened = True
                yield Happened(_kind(event.type), schema.read(event.payload))

    async def start(self) -> None:
        """Start the puppet; nothing happens when it runs already."""
        await self._call(lambda stub: stub.start())

    async def version(self) -> str:
        """The version of the puppet."""
        return str((await self._call(lambda stub: stub.version())).version)

    # ------------------------------------------------------------ what there is

    async def message(self, message_id: str) -> WxMessage:
        found = await self._call(lambda stub: stub.message_payload(id=message_id))
        return WxMessage(
            id=found.id or message_id,
            type=int(found.type),
            from_id=found.from_id,
            room_id=found.room_id,
            to_id=found.to_id,
            text=found.text,
            mention_ids=tuple(found.mention_ids),
            timestamp=schema.seconds(found.timestamp) or time.time(),
            filename=found.filename,
        )

    async def contact(self, contact_id: str) -> WxContact:
        found = await self._call(lambda stub: stub.contact_payload(id=contact_id))
        return WxContact(contact_id, found.name, found.alias)

    async def room(self, room_id: str) -> WxRoom:
        found = await self._call(lambda stub: stub.room_payload(id=room_id))
        return WxRoom(room_id, found.topic, tuple(found.member_ids))

    async def member(self, room_id: str, contact_id: str) -> WxMember:
        found = await self._call(lambda stub: stub.room_member_payload(id=room_id, member_id=contact_id))
        return WxMember(found.name, found.room_alias)

    async def link(self, message_id: str) -> WxLink:
        """What a message of type 14 points to."""
        return schema.link((await self._call(lambda stub: stub.message_url(id=message_id))).url_link)

    # ------------------------------------------------------------ sending

    async def send_text(self, conversation: str, text: str, mentions: Sequence[str] = ()) -> str:
        """Send to a contact or a room; the message's id, empty when the puppet gives none. ``mentions`` are contact
        ids; their names must stand in the text."""
        sent = await self._call(
            lambda stub: stub.message_send_text(conversation_id=conversation, text=text, mentonal_ids=list(mentions))
        )
        return sent.id or ""

    async def send_file(self, conversation: str, name: str, data: bytes) -> str:
        """Send a file, of which the puppet makes a picture or a video by the ending of its name; the message's id as
        above. Raises TooBig above 100 MB."""
        if len(data) > MOST:
            raise TooBig
        if len(data) <= boxes.INLINE:
            box = boxes.inline(name, data)
        else:
            uuid = await transfer.upload(await self._connected(), self._metadata, data, FILE_TIMEOUT)
            box = boxes.stored(name, uuid, len(data))
        sent = await self._call(
            lambda stub: stub.message_send_file(conversation_id=conversation, filebox=box), FILE_TIMEOUT
        )
        return sent.id or ""

    # ------------------------------------------------------------ files that came

    async def file(
        self, message_id: str, kind: str, download: Callable[[str], Awaitable[bytes]]
    ) -> AsyncGenerator[bytes, None]:
        """The bytes of a message's file, in pieces; ``kind`` is ``image`` (the picture in full size) or ``file``. What
        the gateway only has the address of is fetched by ``download``. Raises TooBig above 100 MB."""
        if kind == "image":
            found = await self._call(
                lambda stub: stub.message_image(id=message_id, type=ImageType.IMAGE_TYPE_ARTWORK), FILE_TIMEOUT
            )
        else:
            found = await self._call(lambda stub: stub.message_file(id=message_id), FILE_TIMEOUT)
        box = boxes.box(found.filebox)
        if box.size > MOST:
            raise TooBig
        total = 0
        async with aclosing(self._opened(box, download)) as pieces:
            async for piece in pieces:
                total += len(piece)
                if total > MOST:
                    raise TooBig
                yield piece

    async def _opened(self, box: boxes.Box, download: Callable[[str], Awaitable[bytes]]) -> AsyncGenerator[bytes, None]:
        if box.type == boxes.UUID:
            async with aclosing(transfer.download(await self._connected(), self._metadata, box.content)) as pieces:
                async for piece in pieces:
                    yield piece
        elif box.type == boxes.URL:
            yield await download(box.content)
        else:
            yield boxes.unpacked(box.content)

    # ------------------------------------------------------------ calls

    async def _connected(self) -> Channel:
        if self._channel is None:
            self._channel = channel(self._endpoint, self._token, tls=self._tls, ca=self._ca)
        line = self._channel
        await connect(line, self._endpoint)
        return line

    async def _call(self, call: Callable[[PuppetStub], Awaitable[Any]], timeout: float = TIMEOUT) -> Any:
        stub = PuppetStub(await self._connected(), timeout=timeout, metadata=self._metadata)
        with designed():
            return await call(stub)


def _kind(number: int) -> str:
    try:
        name: str = EventType(number).name
    except ValueError:
        return str(number)
    return name.removeprefix("EVENT_TYPE_").lower().replace("_", "-")
