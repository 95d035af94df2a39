"""Events by webhook: Feishu posts each one to ``/hooks/{bot}``.

Rules of this file:
- 200 acknowledges an event, so it comes after the commit; with 503, Feishu brings it again;
- the address is public. With an Encrypt Key only what Feishu has signed is believed, without one what holds the
  Verification Token; where both are set, both must be right. Whoever is refused learns nothing but 401, the log says
  why;
- a signature is good for an hour: Feishu does not say whether it signs anew when it repeats an event, and a message of
  more than half an hour is not answered anyway. What comes twice within the hour, the store knows by its id;
- the address is entered into the developer console by a person, and Feishu then asks for a challenge. That request is
  not signed; it is encrypted where there is a key;
- anybody can make us read a body. A signature is checked before anything is read out of it, and without one it must be
  short: nothing but the question for a challenge can come so where there is a key.

Source: pages "将事件发送至开发者服务器", "Encrypt Key 加密策略", "事件概述"; ``event`` in lark-oapi.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import time
from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web

from adapters.feishu.account import Account
from adapters.feishu.intake import Closed, Intake, event_id, read_json
from adapters.feishu.lark import cipher
from bridge.model import BridgeError, Host

log = logging.getLogger(__name__)

SIGNED, PLAIN, CHALLENGE = 1 << 20, 256 << 10, 4 << 10
"""Bytes of a body at most: of one with a signature, of one where there is no key, and of one without a signature where
there is a key."""
SIGNATURE = "X-Lark-Signature"
FRESH = 3600.0
"""Seconds, either way, that a signature may be away from now."""


class Denied(Exception):
    """A request that is not believed to be Feishu's; the message is for the log."""


class Webhook:
    """Has events brought to the intake; its route is served from the beginning, with 503 until the bot runs.

    Without a token and without a key every request is refused.
    """

    def __init__(self, account: Account, intake: Intake, host: Host, verification_token: str, encrypt_key: str) -> None:
        self._account = account
        self._intake = intake
        self._host = host
        self._token = verification_token
        self._key = encrypt_key
        self._cipher = cipher(encrypt_key) if encrypt_key else None
        self._denied = 0
        host.route("POST", path(account.bot), self._post)

    async def run(self) -> None:
        """Nothing but to say where Feishu shall post, until cancelled."""
        bot = self._account.bot
        log.info("bot %s: the request address for events and callbacks is %s", bot, address(self._host, bot))
        self._account.connected()
        await asyncio.Event().wait()

    async def _post(self, request: web.Request) -> web.Response:
        bot = self._account.bot
        try:
            payload = self._opened(request.headers, await _body(request, self._most(request.headers)))
        except Denied as reason:
            self._denied += 1
            if self._denied in (1, 10, 100):
                log.warning("bot %s: a request to the webhook was refused: %s (%d so far)", bot, reason, self._denied)
            return web.Response(status=401)
        if _asks_for_challenge(payload):
            log.info("bot %s: Feishu has verified the address of the webhook", bot)
            return _json({"challenge": str(payload.get("challenge", ""))})
        try:
            return _json(await self._intake.take(payload) or {})
        except Closed:
            return web.Response(status=503)
        except BridgeError as error:
            log.error("bot %s: event %s not taken in: %s", bot, event_id(payload), error)
            return web.Response(status=503)

    # ------------------------------------------------------------ is it Feishu?

    def _most(self, headers: Mapping[str, str]) -> int:
        if self._cipher is None:
            return PLAIN
        return SIGNED if SIGNATURE in headers else CHALLENGE

    def _opened(self, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
        """What Feishu says. Raises Denied when it is not Feishu's."""
        if self._cipher is not None and SIGNATURE in headers:
            self._check_signature(headers, body)
        payload = _object(body)
        if self._cipher is not None:
            try:
                payload = _object(self._cipher.decrypt_str(payload["encrypt"]).encode())
            except (LookupError, TypeError, ValueError):
                raise Denied("it is not encrypted with our encrypt_key") from None
            if SIGNATURE not in headers and not _asks_for_challenge(payload):
                raise Denied("it has no signature by our encrypt_key")
        elif "encrypt" in payload:
            raise Denied("it is encrypted, and encrypt_key is not set")
        if self._token:
            if not _same(_token(payload), self._token):
                raise Denied("it does not hold our verification_token")
        elif self._cipher is None:
            raise Denied("neither verification_token nor encrypt_key is set")
        return payload

    def _check_signature(self, headers: Mapping[str, str], body: bytes) -> None:
        """SHA-256 of timestamp, nonce, key and body, in hex."""
        stamp, nonce = headers.get("X-Lark-Request-Timestamp", ""), headers.get("X-Lark-Request-Nonce", "")
        signed = hashlib.sha256(_bytes(stamp + nonce + self._key) + body).hexdigest()
        if not _same(headers[SIGNATURE], signed):
            raise Denied("it has no signature by our encrypt_key")
        if not stamp.isdecimal() or abs(time.time() - int(stamp)) > FRESH:
            raise Denied("its signature is not of this hour: it was sent before, or our clock is wrong")


def path(bot: str) -> str:
    """Where the events of a bot are posted."""
    return f"/hooks/{bot}"


def address(host: Host, bot: str) -> str:
    """What to enter into the developer console, as far as we know it."""
    return (host.public_url or "<the public address of this port>") + path(bot)


def _asks_for_challenge(payload: Mapping[str, Any]) -> bool:
    return payload.get("type") == "url_verification"


def _token(payload: Mapping[str, Any]) -> str:
    """Of schema 2.0 in the header, else (and in the question for a challenge) at the top."""
    match payload:
        case {"header": {"token": str(token)}} | {"token": str(token)}:
            return token
    return ""


def _same(given: str, ours: str) -> bool:
    """Compares in constant time."""
    return hmac.compare_digest(_bytes(given), _bytes(ours))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")  # a header may hold any byte, and JSON half an emoji


def _object(data: bytes) -> dict[str, Any]:
    try:
        return read_json(data)
    except ValueError as error:
        raise Denied(f"it cannot be read: {error}") from None


def _json(answer: Mapping[str, Any]) -> web.Response:
    return web.Response(body=msgspec.json.encode(answer), content_type="application/json")


async def _body(request: web.Request, most: int) -> bytes:
    """The whole body. Raises Denied when it is longer than ``most`` bytes."""
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > most:
            raise Denied(f"it is longer than {most} bytes")
    return bytes(body)
