"""Events by HTTP: posted plain, or encrypted and signed.

Rules of this file: the platform's side only; what is written here is read in the tests by a library of others.

Source: fact sheet 1.4 (AES-256-CBC with SHA-256 of the key, IV first, PKCS#7; signature over timestamp, nonce, key and
body).
"""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
from typing import Any

import aiohttp
import msgspec
from Crypto.Cipher import AES

from tests.fakes.feishu.rules import Json

BLOCK = 16


def encrypt(key: str, data: bytes) -> str:
    """Base64 of a random IV and the encrypted data."""
    iv = os.urandom(BLOCK)
    fill = BLOCK - len(data) % BLOCK
    cipher = AES.new(hashlib.sha256(key.encode()).digest(), AES.MODE_CBC, iv)
    return base64.b64encode(iv + cipher.encrypt(data + bytes([fill]) * fill)).decode()


def signature(key: str, timestamp: str, nonce: str, body: bytes) -> str:
    """SHA-256 in hex over timestamp, nonce, key and the body as sent."""
    return hashlib.sha256((timestamp + nonce + key).encode() + body).hexdigest()


def signed(key: str, body: bytes, now: float, case: str = "canonical") -> dict[str, str]:
    """The headers of a post; ``case`` is ``canonical`` or ``lower``. Without a key nothing is signed."""
    timestamp, nonce = str(int(now)), secrets.token_hex(5)
    headers = {"Content-Type": "application/json; charset=utf-8"}
    if key:
        headers |= {
            "X-Lark-Request-Timestamp": timestamp,
            "X-Lark-Request-Nonce": nonce,
            "X-Lark-Signature": signature(key, timestamp, nonce, body),
        }
    return {name.lower(): value for name, value in headers.items()} if case == "lower" else headers


def sealed(key: str, payload: Json | bytes) -> bytes:
    """The body of a post: the payload, encrypted where there is a key."""
    data = payload if isinstance(payload, bytes) else msgspec.json.encode(payload)
    return msgspec.json.encode({"encrypt": encrypt(key, data)}) if key else data


async def post(session: aiohttp.ClientSession, url: str, body: bytes, headers: dict[str, str]) -> tuple[int, Any]:
    """HTTP status and the JSON of the answer (None for none); status 0 when nobody answers."""
    try:
        async with session.post(url, data=body, headers=headers, timeout=aiohttp.ClientTimeout(10)) as response:
            text = await response.read()
            status = response.status
    except (aiohttp.ClientError, TimeoutError):
        return 0, None
    try:
        return status, msgspec.json.decode(text) if text.strip() else None
    except msgspec.DecodeError:
        return status, None
