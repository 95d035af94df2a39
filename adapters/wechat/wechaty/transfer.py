"""Files that the gateway keeps: they come and go as streams of chunks.

Rules of this file:
- these two calls are younger than the stubs of wechaty-grpc 0.20.19, so their four messages stand here;
- an upload shows nothing to anybody: if it fails, nothing was sent;
- a download asks for an id that the gateway has just given, and once: an unknown one ends the gateway's process.

Source: puppet/download-upload.proto of wechaty-grpc 1.5.2, src/server/puppet-implementation.ts of
wechaty-puppet-service 1.19.9 (the end of the process: measured).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass

import betterproto
from grpclib.client import Channel, StreamUnaryMethod, UnaryStreamMethod

from adapters.wechat.wechaty.status import designed
from bridge.model import Unreachable, Unsure

CHUNK = 2**18
"""Bytes of an upload's chunk."""
QUIET = 60.0
"""Seconds without a chunk after which a download is given up."""


@dataclass(eq=False, repr=False)
class UploadRequest(betterproto.Message):
    chunk: bytes = betterproto.bytes_field(1)


@dataclass(eq=False, repr=False)
class UploadResponse(betterproto.Message):
    id: str = betterproto.string_field(1)


@dataclass(eq=False, repr=False)
class DownloadRequest(betterproto.Message):
    id: str = betterproto.string_field(1)


@dataclass(eq=False, repr=False)
class DownloadResponse(betterproto.Message):
    chunk: bytes = betterproto.bytes_field(1)


async def upload(channel: Channel, metadata: dict[str, str], data: bytes, timeout: float) -> str:
    """Let the gateway keep a file; its uuid. Raises Unreachable, or Fatal and Rejected of ``designed``."""
    method = StreamUnaryMethod(channel, "/wechaty.Puppet/Upload", UploadRequest, UploadResponse)
    try:
        with designed():
            async with method.open(timeout=timeout, metadata=metadata) as stream:
                for start in range(0, len(data), CHUNK):
                    await stream.send_message(UploadRequest(data[start : start + CHUNK]))
                await stream.end()
                reply = await stream.recv_message()
                assert reply is not None
                return reply.id
    except Unsure as error:
        raise Unreachable(str(error)) from None


async def download(channel: Channel, metadata: dict[str, str], uuid: str) -> AsyncGenerator[bytes, None]:
    """The pieces of a file that the gateway keeps. Raises what ``designed`` raises."""
    method = UnaryStreamMethod(channel, "/wechaty.Puppet/Download", DownloadRequest, DownloadResponse)
    with designed():
        async with method.open(metadata=metadata) as stream:
            await stream.send_message(DownloadRequest(uuid), end=True)
            while True:
                async with asyncio.timeout(QUIET):
                    reply = await stream.recv_message()
                if reply is None:
                    return
                yield reply.chunk
