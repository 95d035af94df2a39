"""How an official account proves that a message is WeChat's, and hides what is in it.

Rules of this file:
- pure: bytes and texts in, bytes and texts out;
- a signature is SHA-1 over the sorted parts, as WeChat has it, and compared in constant time;
- whatever cannot be opened is Denied, with a reason for the log that quotes nothing of it.

Source: developers.weixin.qq.com, "接收普通消息", "消息加解密说明"; both checked against wechatpy in tests/fakes.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets

from cryptography.hazmat.primitives.ciphers import Cipher as Aes
from cryptography.hazmat.primitives.ciphers import algorithms, modes

BLOCK = 32
"""Bytes that the padding fills up to: PKCS#7, of a block twice as long as AES has it."""
NONCE = 16


class Denied(Exception):
    """What is not believed to be WeChat's; the message is for the log."""


def signature(*parts: str) -> str:
    """Of a token, a timestamp, a nonce and, where it is encrypted, the message."""
    return hashlib.sha1("".join(sorted(parts)).encode("utf-8", "surrogatepass")).hexdigest()  # noqa: S324 - theirs


def same(given: str, ours: str) -> bool:
    """Compares in constant time."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), ours.encode())


class Cipher:
    """``aes_key`` is the ``EncodingAESKey``, 43 characters."""

    def __init__(self, aes_key: str, app_id: str) -> None:
        key = base64.b64decode(aes_key + "=")
        self._aes = Aes(algorithms.AES(key), modes.CBC(key[:16]))
        self._app_id = app_id.encode()

    def decrypt(self, text: str) -> bytes:
        """The XML of an ``Encrypt`` element. Raises Denied when it was not encrypted for this account."""
        try:
            data = base64.b64decode(text, validate=True)
            decryptor = self._aes.decryptor()
            plain = decryptor.update(data) + decryptor.finalize()
        except (binascii.Error, ValueError):
            raise Denied("it is not encrypted as WeChat does it") from None
        body = plain[NONCE : -plain[-1] if plain and plain[-1] <= BLOCK else None]
        length = int.from_bytes(body[:4], "big")
        message, app_id = body[4 : 4 + length], body[4 + length :]
        if len(message) != length or not hmac.compare_digest(app_id, self._app_id):
            raise Denied("it is not encrypted with our aes_key for our app_id")
        return message

    def encrypt(self, message: bytes) -> str:
        """The same way back."""
        plain = secrets.token_bytes(NONCE) + len(message).to_bytes(4, "big") + message + self._app_id
        missing = BLOCK - len(plain) % BLOCK
        encryptor = self._aes.encryptor()
        data = encryptor.update(plain + bytes([missing]) * missing) + encryptor.finalize()
        return base64.b64encode(data).decode()
