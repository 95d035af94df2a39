"""Updates by webhook: Telegram posts each one to ``/hooks/{bot}``.

Rules of this file:
- 200 confirms an update, so it comes after the commit; with 503 Telegram brings it again;
- nobody but Telegram knows the secret, and a body is read only after it: the address is public;
- who may set a webhook may also take it away: every few minutes we look whether it is still ours, and whether Telegram
  gets through;
- it stays when the process ends: what comes in the meantime waits at Telegram.

Source: Bot API, setWebhook and WebhookInfo.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
from typing import Any

import msgspec
from aiohttp import web

from adapters.telegram.account import Account
from adapters.telegram.intake import Closed, Intake
from adapters.telegram.rival import Rival
from adapters.telegram.updates import ALLOWED
from bridge.model import BridgeError, Fatal, Host, Rejected

log = logging.getLogger(__name__)

HEADER = "X-Telegram-Bot-Api-Secret-Token"
PURPOSE = b"fastgpt-bridge telegram webhook "
BODY = 1 << 20
"""Bytes of an update."""
CONNECTIONS = 40
"""Updates that Telegram posts at the same time; its default."""
LOOK = 5.0, 300.0
"""Seconds between two looks at the webhook: while it is new, and the most."""
HELP = "http.public_url must be an https address on port 443, 80, 88 or 8443 that Telegram can reach"


class Info(msgspec.Struct, frozen=True):
    """WebhookInfo. ``last_error_date`` in Unix seconds, by Telegram's clock."""

    url: str = ""
    pending_update_count: int = 0
    last_error_date: int = 0
    last_error_message: str = ""


class Webhook:
    """Has updates brought to the intake; its route is served from the beginning, with 503 until the bot runs."""

    def __init__(self, account: Account, intake: Intake, host: Host, token: str) -> None:
        self._account = account
        self._intake = intake
        self._host = host
        self._rival = Rival(account.bot, host)
        self._secret = secret(token, account.bot)
        self._url = ""
        self._failed_at = 0
        host.route("POST", f"/hooks/{account.bot}", self._post)

    # ------------------------------------------------------------ what Telegram posts

    async def _post(self, request: web.Request) -> web.Response:
        given = request.headers.get(HEADER, "").encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(given, self._secret.encode()):
            return web.Response(status=401)
        try:
            update = msgspec.json.decode(await _body(request), type=dict[str, Any])
        except ValueError as error:  # another try would not make it better
            log.error("bot %s: an update cannot be read and is skipped: %s", self._account.bot, error)
            return web.Response()
        try:
            await self._intake.take(update)
        except Closed:
            return web.Response(status=503)
        except BridgeError as error:
            log.error("bot %s: update %s not taken in: %s", self._account.bot, update.get("update_id"), error)
            return web.Response(status=503)
        return web.Response()

    # ------------------------------------------------------------ that it does

    async def run(self) -> None:
        """Set the webhook and keep it until cancelled. Raises Fatal when there is no address, or none that Telegram
        takes."""
        if not self._host.public_url:
            raise Fatal(f"mode: webhook needs an address. {HELP}")
        await self._set()
        wait, most = LOOK
        while True:
            self._account.connected(await self._look())
            await asyncio.sleep(wait)
            wait = min(most, 2 * wait)

    async def _look(self) -> str:
        """Is it still ours, and does Telegram get through? What /readyz shall say of it; empty when all is well."""
        info = await self._info()
        if info.url != self._url:
            did = "set another webhook for" if info.url else "removed the webhook of"
            log.warning("bot %s: another program %s this token; ours is set again", self._account.bot, did)
            await self._rival.seen(f"another program {did} this token")
            await self._set()
        elif info.last_error_date > self._failed_at:
            self._failed_at = info.last_error_date
            detail = f"Telegram cannot reach us: {info.last_error_message}"
            log.warning("bot %s: %s", self._account.bot, detail)
            return detail
        return ""

    async def _info(self) -> Info:
        return msgspec.convert(await self._account.insist("getWebhookInfo", {}), Info)

    async def _set(self) -> None:
        body = {
            "url": address(self._host, self._account.bot),
            "secret_token": self._secret,
            "allowed_updates": list(ALLOWED),
            "drop_pending_updates": False,
            "max_connections": CONNECTIONS,
        }
        while True:
            try:
                await self._account.insist("setWebhook", body)
                break
            except Rejected as refusal:
                reason = str(refusal).lower()
                if "webhook" in reason and "resolve" not in reason:  # a name may be too new for Telegram
                    raise Fatal(f"Telegram refuses the webhook ({refusal}). {HELP}") from None
                await self._host.failed(refusal)
        info = await self._info()
        self._url = info.url or str(body["url"])  # in Telegram's own spelling
        self._failed_at = info.last_error_date  # what failed before concerns nobody any more


def address(host: Host, bot: str) -> str:
    """Where Telegram posts the updates of a bot."""
    return f"{host.public_url}/hooks/{bot}"


def secret(token: str, bot: str) -> str:
    """What Telegram shows with each update (1-256 of A-Z, a-z, 0-9, _ and -): the same after a restart."""
    return hmac.new(token.encode(), PURPOSE + bot.encode(), hashlib.sha256).hexdigest()


async def _body(request: web.Request) -> bytes:
    """The whole body. Raises ValueError when it is longer than BODY."""
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > BODY:
            raise ValueError(f"it is longer than {BODY} bytes")
    return bytes(body)
