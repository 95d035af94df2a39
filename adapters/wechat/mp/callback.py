"""WeChat's calls to the account: each message is posted to ``/hooks/{bot}``, and the response may be its answer.

Rules of this file:
- WeChat waits five seconds, and calls three times in all. What is answered at all is answered within ``WITHIN``, and
  after the commit; with 503 WeChat calls again;
- the same message brings the same response, however often it is posted (``Host.final``);
- the address is public. Only what is signed with our token is believed and, where there is a key, only what is
  encrypted with it. Whoever is refused learns nothing but 401, the log says why;
- a signature is good for an hour.

Source: developers.weixin.qq.com, "接入指南", "被动回复用户消息", "消息加解密说明".
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Mapping

from aiohttp import web

from adapters.wechat.mp import xml
from adapters.wechat.mp.crypto import Cipher, Denied, same, signature
from adapters.wechat.mp.events import parse
from adapters.wechat.plain import plain
from bridge.model import AnyEvent, BridgeError, Host, Receive

log = logging.getLogger(__name__)

WITHIN = 4.3
"""Seconds in which the answer may be the response; the network gets the rest of the five."""
MOST = 256 << 10
"""Bytes of a body."""
FRESH = 3600.0
"""Seconds, either way, that a signature may be away from now."""
NOTHING = "success"
"""What WeChat takes for: there is no response."""


class Callback:
    """Hands messages in and responds; its route is served from the beginning, with 503 until the bot runs.

    ``verified`` accounts get what is late by a message of its own; the others are told that it is being written.
    """

    def __init__(self, bot: str, host: Host, token: str, aes_key: str, app_id: str, *, verified: bool) -> None:
        self._bot = bot
        self._host = host
        self._token = token
        self._cipher = Cipher(aes_key, app_id) if aes_key else None
        self._verified = verified
        self._receive: Receive | None = None
        self._denied = 0
        host.route("GET", path(bot), self._get)
        host.route("POST", path(bot), self._post)

    async def run(self, receive: Receive) -> None:
        """Take messages in until cancelled."""
        log.info("bot %s: the server address (URL) of the account is %s", self._bot, address(self._host, self._bot))
        self._receive = receive
        try:
            await asyncio.Event().wait()
        finally:
            self._receive = None

    async def _get(self, request: web.Request) -> web.Response:
        """The console asks whether this is the account's server."""
        try:
            self._check(request.query, request.query.get("signature", ""))
        except Denied as reason:
            return self._refuse(reason)
        log.info("bot %s: WeChat has verified the server address", self._bot)
        return web.Response(text=request.query.get("echostr", ""))

    async def _post(self, request: web.Request) -> web.Response:
        try:
            fields = self._opened(request.query, await _body(request))
        except Denied as reason:
            return self._refuse(reason)
        if self._receive is None:
            return web.Response(status=503)
        try:
            event = parse(self._bot, fields)
        except (KeyError, ValueError) as error:
            log.warning("bot %s: a message is not as documented, and passed over: %s", self._bot, type(error).__name__)
            event = None
        if event is None:
            return web.Response(text=NOTHING)
        try:
            text = await self._answer(self._receive, event)
        except BridgeError as error:
            log.error("bot %s: message %s is not taken in: %s", self._bot, event.id, error)
            return web.Response(status=503)
        return self._reply(fields, text) if text else web.Response(text=NOTHING)

    async def _answer(self, receive: Receive, event: AnyEvent) -> str:
        """The words of the response; none when the answer comes in another way, or there is none."""
        _, show = await asyncio.gather(receive(event), self._host.final(event, WITHIN))
        if show is None:
            return ""
        if show.final:
            return plain(show.text)
        return "" if self._verified else show.status

    # ------------------------------------------------------------ is it WeChat?

    def _check(self, query: Mapping[str, str], given: str, *message: str) -> None:
        stamp = query.get("timestamp", "")
        if not same(given, signature(self._token, stamp, query.get("nonce", ""), *message)):
            raise Denied("it is not signed with our token")
        if not stamp.isdecimal() or abs(time.time() - int(stamp)) > FRESH:
            raise Denied("its signature is not of this hour: it was sent before, or our clock is wrong")

    def _opened(self, query: Mapping[str, str], body: bytes) -> dict[str, str]:
        """What WeChat says. Raises Denied when it is not WeChat."""
        try:
            fields = xml.read(body)
            if self._cipher is None:
                self._check(query, query.get("signature", ""))
                if "Encrypt" in fields:
                    raise Denied("it is encrypted, and aes_key is not set")
                return fields
            if "Encrypt" not in fields:
                raise Denied("it is not encrypted, and aes_key is set")
            self._check(query, query.get("msg_signature", ""), fields["Encrypt"])
            return xml.read(self._cipher.decrypt(fields["Encrypt"]))
        except ValueError as error:
            raise Denied(str(error)) from None

    def _refuse(self, reason: Denied) -> web.Response:
        self._denied += 1
        if self._denied in (1, 10, 100):
            log.warning("bot %s: a call to the webhook was refused: %s (%d so far)", self._bot, reason, self._denied)
        return web.Response(status=401)

    # ------------------------------------------------------------ the response

    def _reply(self, fields: Mapping[str, str], text: str) -> web.Response:
        stamp = str(int(time.time()))
        body = xml.write(
            {
                "ToUserName": fields["FromUserName"],
                "FromUserName": fields.get("ToUserName", ""),
                "CreateTime": stamp,
                "MsgType": "text",
                "Content": text,
            }
        )
        if self._cipher is not None:
            encrypted, nonce = self._cipher.encrypt(body), secrets.token_hex(8)
            body = xml.write(
                {
                    "Encrypt": encrypted,
                    "MsgSignature": signature(self._token, stamp, nonce, encrypted),
                    "TimeStamp": stamp,
                    "Nonce": nonce,
                }
            )
        return web.Response(body=body, content_type="application/xml")


def path(bot: str) -> str:
    """Where the messages of a bot are posted."""
    return f"/hooks/{bot}"


def address(host: Host, bot: str) -> str:
    """What to enter into the account's console, as far as we know it."""
    return (host.public_url or "<the public address of this port>") + path(bot)


async def _body(request: web.Request) -> bytes:
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > MOST:
            raise Denied(f"it is longer than {MOST} bytes")
    return bytes(body)
