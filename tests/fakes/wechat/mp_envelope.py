"""How WeChat seals what it posts to an official account, and opens what comes back. Checked against wechatpy."""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
import time
from xml.etree import ElementTree

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes


def xml_of(fields: dict[str, str]) -> bytes:
    """As WeChat writes it: texts in CDATA."""
    inner = "".join(f"<{name}><![CDATA[{text}]]></{name}>\n" for name, text in fields.items())
    return f"<xml>{inner}</xml>".encode()


def fields_of(raw: bytes) -> dict[str, str]:
    try:
        return {element.tag: element.text or "" for element in ElementTree.fromstring(raw)}
    except ElementTree.ParseError as error:
        raise ValueError(str(error)) from None


def sign(*parts: str) -> str:
    return hashlib.sha1("".join(sorted(parts)).encode()).hexdigest()


class Envelope:
    def __init__(self, token: str, aes_key: str, app_id: str) -> None:
        self._token = token
        self._app_id = app_id.encode()
        key = base64.b64decode(f"{aes_key}=")
        self._cipher = Cipher(algorithms.AES(key), modes.CBC(key[:16]))

    def query(self) -> dict[str, str]:
        """What each call carries."""
        stamp, nonce = str(int(time.time())), str(secrets.randbelow(10**9))
        return {"signature": sign(self._token, stamp, nonce), "timestamp": stamp, "nonce": nonce}

    def seal(self, body: bytes, to: str, stamp: str, nonce: str) -> tuple[dict[str, str], bytes]:
        """The query beside the plain one, and the body."""
        content = os.urandom(16) + len(body).to_bytes(4, "big") + body + self._app_id
        padder = padding.PKCS7(256).padder()
        encryptor = self._cipher.encryptor()
        sealed = encryptor.update(padder.update(content) + padder.finalize()) + encryptor.finalize()
        text = base64.b64encode(sealed).decode()
        query = {"encrypt_type": "aes", "msg_signature": sign(self._token, stamp, nonce, text)}
        return query, xml_of({"ToUserName": to, "Encrypt": text})

    def open(self, raw: bytes) -> bytes:
        """What is in a sealed response. Raises ValueError or KeyError when it is not as WeChat wants it."""
        fields = fields_of(raw)
        text = fields["Encrypt"]
        if fields["MsgSignature"] != sign(self._token, fields["TimeStamp"], fields["Nonce"], text):
            raise ValueError("the signature is wrong")
        decryptor = self._cipher.decryptor()
        padded = decryptor.update(base64.b64decode(text)) + decryptor.finalize()
        unpadder = padding.PKCS7(256).unpadder()
        content = unpadder.update(padded) + unpadder.finalize()
        length = int.from_bytes(content[16:20], "big")
        if content[20 + length :] != self._app_id:
            raise ValueError("it is for another account")
        return content[20 : 20 + length]
