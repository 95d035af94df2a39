"""The CDN of iLink: encrypted bytes in and out, and the key that makes a file of them.

Rules of this file:
- the CDN holds only what was encrypted; who shows a file decrypts it with the key that the message names;
- AES-128-ECB with PKCS7 padding. A key travels as base64, of its 16 bytes or of its 32 hexadecimal digits.

Source: docs/protocol.md of @tencent-weixin/openclaw-weixin, "CDN media flow"; fact sheet, section 4.1.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
from collections.abc import Mapping

import msgspec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from tests.fakes.wechat.ilink_rules import Json, need

BLOCK = 16
"""Bytes: of a key, and what encrypted data is a multiple of."""


class Announced(msgspec.Struct, frozen=True):
    """What ``getuploadurl`` was told of a file: sizes in bytes, before and after encryption, and the MD5 in hex."""

    filekey: str
    rawsize: int
    rawfilemd5: str
    filesize: int


class Stored(msgspec.Struct, frozen=True):
    """Encrypted data; ``announced`` is None for what a person has sent."""

    data: bytes
    announced: Announced | None = None


class NotServed(Exception):
    """The CDN refuses: the HTTP status, and the reason that goes into the header ``x-error-message``."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(status, reason)
        self.status, self.reason = status, reason


class Unreadable(Exception):
    """No file comes of these bytes with this key."""


class Cdn:
    """The data by download parameter, and the uploads that were announced."""

    def __init__(self) -> None:
        self._stored: dict[str, Stored] = {}
        self._announced: dict[str, Announced] = {}
        self._numbers = itertools.count(1)

    def announce(self, body: Json) -> str:
        """The upload parameter for a file that will come."""
        need(body.get("media_type") in (1, 2, 3, 4), "media_type is not 1 to 4")
        need(body.get("filekey"), "no filekey")
        need(_is_hex(body.get("aeskey")), "aeskey is not 32 hexadecimal digits")
        need(_is_hex(body.get("rawfilemd5")), "rawfilemd5 is not 32 hexadecimal digits")
        need(body.get("no_need_thumb") is True, "a thumbnail is neither announced nor declined")
        size = body.get("rawsize")
        need(type(size) is int and size > 0, "no rawsize")
        need(body.get("filesize") == (body["rawsize"] // BLOCK + 1) * BLOCK, "filesize is not rawsize, padded")
        parameter = f"up+{next(self._numbers)}/="
        self._announced[parameter] = msgspec.convert(body, Announced)
        return parameter

    def upload(self, query: Mapping[str, str], data: bytes) -> str:
        """The download parameter of data that has come; raises NotServed when it is not what was announced."""
        announced = self._announced.get(query.get("encrypted_query_param", ""))
        if announced is None:
            raise NotServed(400, "encrypted_query_param is not known")
        if query.get("filekey", announced.filekey) != announced.filekey or len(data) != announced.filesize:
            raise NotServed(400, "this is not the file that was announced")
        return self._keep(Stored(data, announced))

    def keep(self, data: bytes, key: bytes) -> str:
        """The download parameter of a person's file."""
        return self._keep(Stored(encrypted(data, key)))

    def _keep(self, stored: Stored) -> str:
        parameter = f"dl+{next(self._numbers)}/="  # characters that a query must escape
        self._stored[parameter] = stored
        return parameter

    def data(self, parameter: str) -> bytes:
        """The encrypted data; raises NotServed when there is none."""
        if parameter not in self._stored:
            raise NotServed(404, "encrypted_query_param is not known")
        return self._stored[parameter].data

    def opened(self, media: Json) -> bytes:
        """The file that a message names. Raises Unreadable, as a phone fails to open it."""
        stored = self._stored.get(str(media.get("encrypt_query_param")))
        if stored is None:
            raise Unreadable("no such file")
        try:
            data = decrypted(stored.data, key_of(str(media.get("aes_key"))))
        except ValueError as error:
            raise Unreadable(str(error)) from None
        known = stored.announced
        if known and (len(data), hashlib.md5(data).hexdigest()) != (known.rawsize, known.rawfilemd5.lower()):
            raise Unreadable("not the file that was announced")
        return data


def encrypted(data: bytes, key: bytes) -> bytes:
    padder = PKCS7(8 * BLOCK).padder()
    cipher = Cipher(algorithms.AES128(key), modes.ECB()).encryptor()
    return cipher.update(padder.update(data) + padder.finalize()) + cipher.finalize()


def decrypted(data: bytes, key: bytes) -> bytes:
    """Raises ValueError when the key does not fit."""
    cipher = Cipher(algorithms.AES128(key), modes.ECB()).decryptor()
    unpadder = PKCS7(8 * BLOCK).unpadder()
    return unpadder.update(cipher.update(data) + cipher.finalize()) + unpadder.finalize()


def key_of(wire: str) -> bytes:
    """The 16 bytes of an ``aes_key``. Raises ValueError."""
    key = base64.b64decode(wire, validate=True)
    return key if len(key) == BLOCK else bytes.fromhex(key.decode("ascii"))


def wire_keys(key: bytes) -> tuple[str, str]:
    """Both ways in which an ``aes_key`` is written."""
    return base64.b64encode(key).decode(), base64.b64encode(key.hex().encode()).decode()


def _is_hex(value: object) -> bool:
    return isinstance(value, str) and len(value) == 32 and all(digit in "0123456789abcdefABCDEF" for digit in value)
