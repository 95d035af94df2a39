"""Tencent's CDN, where the files of messages are: encrypted before they go there, decrypted as they come.

Rules of this file:
- AES-128-ECB with PKCS7 padding and a key for each file is the platform's choice, not ours;
- nothing is visible of a file that was only uploaded, so a fault on the way to the CDN is always Unreachable;
- addresses and keys are never part of an error: an address hands out the file;
- cryptography is loaded with the first file: most bots never see one.

Sources: docs/protocol.md of Tencent/openclaw-weixin ("CDN media flow"), its src/cdn.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import io
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Literal

import aiohttp
import msgspec

from adapters.wechat.ilink.events import ItemType, MediaRef
from adapters.wechat.ilink.login import trusted
from bridge.model import BridgeError, Download, Rejected, TooBig, Unreachable, Unsure

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.modes import ECB

MOST = 100 * 2**20
"""Bytes of a file, both ways (the official client's limit)."""
TRIES = 3
PIECE = 64 * 1024
UPLOAD_TIMEOUT = aiohttp.ClientTimeout(total=600, connect=10)
DOWNLOAD_TIMEOUT = aiohttp.ClientTimeout(connect=10, sock_read=30)
CALL_TIMEOUT = 15.0
_MEDIA_TYPES = {"image": 1, "file": 3}

Connection = Callable[[str], tuple[aiohttp.ClientSession, str | None]]
"""``Host.connection``."""
Call = Callable[[str, Mapping[str, Any], float], Awaitable[dict[str, Any]]]
"""``Api.call``: path, body, seconds."""


class Cdn:
    """``base`` is its address, with the ``/c2c``."""

    def __init__(self, connection: Connection, base: str) -> None:
        self._connection = connection
        self._base = base.rstrip("/")

    async def upload(self, call: Call, user: str, file: Download, kind: Literal["image", "file"]) -> dict[str, Any]:
        """Bring a file there for a user: the item of a message that shows it.

        Raises Rejected (the file is not taken), Unreachable, and what ``call`` does, but for Unsure.
        """
        key, name = secrets.token_bytes(16), secrets.token_hex(16)
        data, digest = await asyncio.to_thread(_sealed, file.data, key)  # 100 MB take a while
        order = {
            "filekey": name,
            "media_type": _MEDIA_TYPES[kind],
            "to_user_id": user,
            "rawsize": len(file.data),
            "rawfilemd5": digest,
            "filesize": len(data),
            "aeskey": key.hex(),
            "no_need_thumb": True,
        }
        try:
            place = await call("getuploadurl", order, CALL_TIMEOUT)
        except Unsure as error:
            raise Unreachable(str(error)) from None
        media = {
            "encrypt_query_param": await self._put(self._address(place, name), data),
            "aes_key": base64.b64encode(key.hex().encode()).decode(),
            "encrypt_type": 1,
        }
        if kind == "image":
            return {"type": ItemType.IMAGE, "image_item": {"media": media, "mid_size": len(data)}}
        return {
            "type": ItemType.FILE,
            "file_item": {"media": media, "file_name": file.name, "len": str(len(file.data))},
        }

    def _address(self, place: Mapping[str, Any], name: str) -> tuple[str, dict[str, str]]:
        """Address and query of an upload: given whole, or to be put together."""
        if full := place.get("upload_full_url"):
            try:
                trusted(str(full).partition("?")[0], self._base)
            except BridgeError:
                raise Rejected("iLink names a place for the file that is not WeChat's") from None
            return str(full), {}
        if param := place.get("upload_param"):
            return f"{self._base}/upload", {"encrypted_query_param": str(param), "filekey": name}
        raise Rejected("iLink names no place for the file")

    async def _put(self, address: tuple[str, dict[str, str]], data: bytes) -> str:
        """What the download is asked with."""
        reason = ""
        for _ in range(TRIES):
            status, param = await self._post(*address, data)
            if 400 <= status < 500:
                raise Rejected(f"the CDN does not take the file ({status})")
            if status == 200 and param:
                return param
            reason = f"the CDN does not take the file now ({status})"
        raise Unreachable(reason)

    async def _post(self, url: str, query: dict[str, str], data: bytes) -> tuple[int, str]:
        session, proxy = self._connection(url)
        try:
            async with session.post(
                url,
                params=query,
                data=io.BytesIO(data),  # aiohttp warns of more than 1 MB of bare bytes
                headers={"Content-Type": "application/octet-stream"},
                timeout=UPLOAD_TIMEOUT,
                proxy=proxy,
                allow_redirects=False,
            ) as response:
                return response.status, response.headers.get("x-encrypted-param", "")
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:  # ValueError: not an address
            raise Unreachable(f"the CDN cannot be reached ({type(error).__name__})") from None

    async def download(self, ref: str) -> AsyncIterator[bytes]:
        """The bytes of a file that a user has sent, by ``Attachment.ref``, in pieces. Raises TooBig (over 100 MB), or
        BridgeError when it is not there or cannot be decrypted."""
        media = msgspec.json.decode(ref, type=MediaRef)
        if not media.param:
            raise BridgeError("WeChat does not say where the file is")
        cipher = Decryptor(key_of(media.key)) if media.key else None
        size = 0
        async with aclosing(self._get(media.param)) as pieces:
            async for piece in pieces:
                size += len(piece)
                if size > MOST + 16:  # the padding
                    raise TooBig
                yield cipher.feed(piece) if cipher else piece
        if cipher:
            yield cipher.end()

    async def _get(self, param: str) -> AsyncGenerator[bytes]:
        url = f"{self._base}/download"
        session, proxy = self._connection(url)
        try:
            async with session.get(
                url,
                params={"encrypted_query_param": param},
                timeout=DOWNLOAD_TIMEOUT,
                proxy=proxy,
                allow_redirects=False,
            ) as response:
                if response.status != 200:
                    raise BridgeError(f"the CDN does not hand the file out ({response.status})")
                async for piece in response.content.iter_chunked(PIECE):
                    yield piece
        except (aiohttp.ClientError, TimeoutError) as error:
            raise BridgeError(f"a file could not be fetched ({type(error).__name__})") from None


# ------------------------------------------------------------------ the cipher


def key_of(encoded: str) -> bytes:
    """The 16 bytes of a key: the platform writes them in base64, or their hexadecimal digits in base64. Raises
    BridgeError when it is neither."""
    try:
        key = base64.b64decode(encoded, validate=True)
        key = bytes.fromhex(key.decode("ascii")) if len(key) == 32 else key
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != 16:
        raise BridgeError("the file has a key of an unknown form")
    return key


def encrypt(data: bytes, key: bytes) -> bytes:
    """The padded data, encrypted."""
    from cryptography.hazmat.primitives.padding import PKCS7

    padder, encryptor = PKCS7(128).padder(), _aes(key).encryptor()
    return encryptor.update(padder.update(data) + padder.finalize()) + encryptor.finalize()


class Decryptor:
    """Undoes ``encrypt``, piece by piece."""

    def __init__(self, key: bytes) -> None:
        from cryptography.hazmat.primitives.padding import PKCS7

        self._aes = _aes(key).decryptor()
        self._unpadder = PKCS7(128).unpadder()

    def feed(self, piece: bytes) -> bytes:
        """What is certain by now: the last block may be padding, and waits for the end."""
        return self._unpadder.update(self._aes.update(piece))

    def end(self) -> bytes:
        """The rest. Raises BridgeError when this was not the end, or not the key."""
        try:
            return self._unpadder.update(self._aes.finalize()) + self._unpadder.finalize()
        except ValueError:
            raise BridgeError("the file cannot be decrypted") from None


def _aes(key: bytes) -> Cipher[ECB]:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    return Cipher(algorithms.AES(key), modes.ECB())  # noqa: S305


def _sealed(data: bytes, key: bytes) -> tuple[bytes, str]:
    """Encrypted, and the MD5 of what it was."""
    return encrypt(data, key), hashlib.md5(data, usedforsecurity=False).hexdigest()
