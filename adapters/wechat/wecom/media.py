"""Files of messages: fetched encrypted from WeCom's storage, and brought to WeCom over the bot's own connection.

Rules of this file:
- AES-256-CBC, a key for each file and padding to 32 bytes are the platform's choice, not ours;
- nothing is visible of a file that was only uploaded, so a doubtful upload is Unreachable;
- what was fetched is kept until it is uploaded, and what was uploaded until the next file: a platform that is away is
  tried often;
- a file that cannot be had, or that is refused, is left out with a line in the log: its link stands in the text;
- addresses and keys are never part of an error: an address hands out the file;
- cryptography is loaded with the first file: most bots never see one.

Sources: developer.work.weixin.qq.com/document/path/101463 (upload, decryption); npm @wecom/aibot-node-sdk 1.0.7, which
counts chunks from 0.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any, Literal
from urllib.parse import urlsplit

import aiohttp
import msgspec

from adapters.wechat.wecom.events import MediaRef
from adapters.wechat.wecom.socket import Refused
from bridge.model import BridgeError, Download, File, TooBig, Unreachable, Unsure

log = logging.getLogger(__name__)

MOST = 100 * 2**20
"""Bytes of a file that a user sends."""
IMAGE_MOST = 10 * 2**20
FILE_MOST = 20 * 2**20
"""Bytes of an image and of any other file in an answer (WeCom's limits of temporary media)."""
CHUNK = 512 * 1024
PIECE = 64 * 1024
BLOCK = 32
"""Bytes that the padding fills up to: it may be as long."""
DOWNLOAD_TIMEOUT = aiohttp.ClientTimeout(connect=10, sock_read=30)
_IMAGES = ("image/jpeg", "image/png")

Connection = Callable[[str], tuple[aiohttp.ClientSession, str | None]]
"""``Host.connection``."""
Request = Callable[[str, Mapping[str, Any]], Awaitable[dict[str, Any]]]
"""``Socket.request`` under a req_id of its own."""
Fetch = Callable[[File, int], Awaitable[Download]]
"""``Host.download``."""
Kind = Literal["image", "file"]


# ------------------------------------------------------------------ in


async def fetch(connection: Connection, ref: str) -> AsyncIterator[bytes]:
    """The bytes of a file that a user has sent, by ``Attachment.ref``, in pieces. Raises TooBig (over 100 MB), or
    BridgeError when it is not there (any more: an address is good for five minutes) or cannot be decrypted."""
    media = msgspec.json.decode(ref, type=MediaRef)
    if not media.u:
        raise BridgeError("WeCom does not say where the file is")
    cipher = Decryptor(media.k) if media.k else None
    size = 0
    async with aclosing(_get(connection, media.u)) as pieces:
        async for piece in pieces:
            size += len(piece)
            if size > MOST + BLOCK:
                raise TooBig
            yield cipher.feed(piece) if cipher else piece
    if cipher:
        yield cipher.end()


async def _get(connection: Connection, url: str) -> AsyncGenerator[bytes]:
    session, proxy = connection(url)
    try:
        async with session.get(url, timeout=DOWNLOAD_TIMEOUT, proxy=proxy, allow_redirects=False) as response:
            if response.status != 200:
                raise BridgeError(f"WeCom does not hand the file out ({response.status}); its address may be too old")
            async for piece in response.content.iter_chunked(PIECE):
                yield piece
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:  # ValueError: not an address
        raise BridgeError(f"a file could not be fetched ({type(error).__name__})") from None


class Decryptor:
    """Decrypts a file piece by piece; ``aeskey`` is in base64, with or without its ``=``. Raises BridgeError when that
    is no key of 32 bytes."""

    def __init__(self, aeskey: str) -> None:
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

        try:
            key = base64.b64decode(aeskey + "=" * (-len(aeskey) % 4), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != 32:
            raise BridgeError("the file has a key of an unknown form")
        self._aes = Cipher(algorithms.AES(key), modes.CBC(key[:16])).decryptor()
        self._tail = b""

    def feed(self, piece: bytes) -> bytes:
        """What is certain by now: the last bytes may be padding, and wait for the end."""
        data = self._tail + self._aes.update(piece)
        certain = max(0, len(data) - BLOCK)
        self._tail = data[certain:]
        return data[:certain]

    def end(self) -> bytes:
        """The rest. Raises BridgeError when this was not the end, or not the key."""
        try:
            data = self._tail + self._aes.finalize()
        except ValueError:
            data = b""
        padding = data[-1] if data else 0
        if not 0 < padding <= min(BLOCK, len(data)) or data[-padding:] != bytes([padding]) * padding:
            raise BridgeError("the file cannot be decrypted")
        return data[:-padding]


# ------------------------------------------------------------------ out


async def upload(request: Request, name: str, data: bytes, kind: Kind) -> str:
    """Bring a file to WeCom: its media_id, good for three days.

    Raises Refused when it is not taken, Unreachable, RateLimited. These calls concern no chat's limit.
    """
    total = max(1, -(-len(data) // CHUNK))
    digest = await asyncio.to_thread(hashlib.md5, data, usedforsecurity=False)
    order = {
        "type": kind,
        "filename": name,
        "total_size": len(data),
        "total_chunks": total,
        "md5": digest.hexdigest(),
    }
    try:
        upload_id = _named(await request("aibot_upload_media_init", order), "upload_id")
        for index in range(total):
            chunk = base64.b64encode(data[index * CHUNK : (index + 1) * CHUNK]).decode()
            body = {"upload_id": upload_id, "chunk_index": index, "base64_data": chunk}
            await request("aibot_upload_media_chunk", body)
        return _named(await request("aibot_upload_media_finish", {"upload_id": upload_id}), "media_id")
    except Unsure as error:
        raise Unreachable(str(error)) from None


def _named(answer: Mapping[str, Any], key: str) -> str:
    if value := answer.get(key):
        return str(value)
    raise Unreachable(f"WeCom gives no {key} for a file")


class Media(msgspec.Struct, frozen=True):
    """A file that was uploaded."""

    kind: Kind
    id: str

    @property
    def body(self) -> dict[str, Any]:
        """The message that shows it."""
        return {"msgtype": self.kind, self.kind: {"media_id": self.id}}


class Files:
    """The files of one answer. ``download`` is ``Host.download``."""

    def __init__(self, request: Request, download: Fetch) -> None:
        self._request = request
        self._download = download
        self._file: File | None = None
        self._found: Download | None = None
        self._media: Media | None = None

    async def media(self, file: File) -> Media | None:
        """The file at WeCom; None when it is left out. Raises Unreachable and RateLimited; it may be tried again."""
        if file != self._file:
            self._file, self._found, self._media = file, None, None
        if self._media is None:
            self._found = self._found or await self._fetched(file)
            if self._found is not None:
                self._media = await self._uploaded(file, self._found)
            self._found = None
        return self._media

    async def _fetched(self, file: File) -> Download | None:
        try:
            return await self._download(file, FILE_MOST)
        except BridgeError as error:
            log.warning("a file of %s is not sent: %s", host(file.url), error)
            return None

    async def _uploaded(self, file: File, found: Download) -> Media | None:
        reason = ""
        for kind in kinds(found):
            try:
                return Media(kind, await upload(self._request, found.name, found.data, kind))
            except Refused as refusal:
                reason = str(refusal)
        log.warning("a file of %s is refused by WeCom: %s", host(file.url), reason)
        return None


def kinds(file: Download) -> tuple[Kind, ...]:
    """What to send the file as, best first: WeCom shows JPG and PNG up to 10 MB as images."""
    image = file.mime.partition(";")[0].strip().lower() in _IMAGES and len(file.data) <= IMAGE_MOST
    return ("image", "file") if image else ("file",)


def host(url: str) -> str:
    """An address for the log: any other part of it may be a key."""
    try:
        return urlsplit(url).hostname or "no host"
    except ValueError:
        return "no host"
