"""Logging in by QR code: the operator scans it with WeChat, types a number that the phone shows, and confirms.

Rules of this file:
- the token goes only where it belongs: WeChat names the server of a login itself, and one that is neither Tencent's,
  by https, nor the configured one is not believed;
- a poll that fails is one without news, a few times in a row: the code on the screen is good for minutes, and whoever
  has just scanned it would have to begin anew;
- a WeChat account that is bound already brings no new credentials: those in the store are good then.

Source: npm @tencent-weixin/openclaw-weixin 2.4.9 (get_bot_qrcode, get_qrcode_status).
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any

from adapters.wechat.ilink.account import Account
from adapters.wechat.ilink.api import Api, Credentials
from bridge.model import BridgeError, RateLimited, Unreachable, Unsure

log = logging.getLogger(__name__)

RENEWALS = 3
"""How often an expired code is replaced."""
FAULTS = 5
"""How many polls in a row may fail."""
PAUSE = 1.0
"""Seconds between two polls without news, and after one that has failed."""
CALL, POLL = 15.0, 40.0
"""Seconds for a call, and for one that waits 35 s on the server."""
STATUS = "get_qrcode_status"

QUESTION = "The number that WeChat shows on the phone"
WRONG = "That is not the number; the one that WeChat shows now"

_DIGITS, _VISIBLE = re.compile(r"[0-9]+"), re.compile(r"[!-~]+")
_TENCENT = re.compile(r"https://(?:[a-z0-9-]+\.)+(?:qq|wechat)\.com(?::\d+)?(?:/[\w./-]*)?", re.IGNORECASE | re.ASCII)

Draw = Callable[[str], Awaitable[None]]
Ask = Callable[[str], Awaitable[str]]


async def login(api: Api, account: Account, qr: Draw, ask: Ask) -> None:
    """Log in; nothing else may be using ``api``. Raises a BridgeError that says why it did not work."""
    known = await account.stored()
    api.credentials = None
    for _ in range(1 + RENEWALS):
        code, link = await _new_code(api, known)
        await qr(link)
        answer = await _Scan(api, code).outcome(ask)
        if answer is not None:
            await account.keep(_credentials(answer, known, api.base_url))
            return
    raise BridgeError("the QR code has expired several times; log in again with the phone at hand")


async def _new_code(api: Api, known: Credentials | None) -> tuple[str, str]:
    """A code's id, and the link to draw. By our token WeChat can tell that the account is bound to us already."""
    body = {"local_token_list": [known.token] if known else []}
    answer = await api.call("get_bot_qrcode?bot_type=3", body, timeout=CALL)
    code, link = _text(answer, "qrcode"), _text(answer, "qrcode_img_content")
    if not (code and link):
        raise BridgeError("iLink hands out no QR code")
    return code, link


class _Scan:
    """What becomes of one code."""

    def __init__(self, api: Api, code: str) -> None:
        self._api = api
        self._query = {"qrcode": code}
        self._server = api.base_url
        self._faults = 0

    async def outcome(self, ask: Ask) -> dict[str, Any] | None:
        """Wait for the operator: the answer that ends it, or None when the code has expired."""
        while True:
            answer = await self._poll()
            match _text(answer, "status"):
                case "confirmed" | "binded_redirect":
                    return {**answer, "baseurl": _text(answer, "baseurl") or self._server}
                case "expired":
                    return None
                case "verify_code_blocked":
                    raise BridgeError("WeChat takes no numbers for now, too many were wrong; log in again later")
                case "need_verifycode":
                    await self._number(ask)
                case "scaned_but_redirect":
                    self._server = trusted(_text(answer, "redirect_host"), self._api.base_url)
                case "scaned":
                    self._query.pop("verify_code", None)  # it was the right one
            # any other is no news: one of their next version is not worth giving up for
            await asyncio.sleep(PAUSE)

    async def _poll(self) -> dict[str, Any]:
        try:
            answer = await self._api.get(STATUS, self._query, timeout=POLL, base_url=self._server)
        except (Unreachable, Unsure, RateLimited) as error:
            self._faults += 1
            if self._faults == FAULTS:
                raise
            log.info("the state of the QR code is not known: %s", error)
            return {}
        self._faults = 0
        return answer

    async def _number(self, ask: Ask) -> None:
        question = WRONG if "verify_code" in self._query else QUESTION
        while not _DIGITS.fullmatch(number := (await ask(question)).strip()):
            question = WRONG
        self._query["verify_code"] = number


def _credentials(answer: dict[str, Any], known: Credentials | None, base_url: str) -> Credentials:
    token, bot_id, user_id = (_text(answer, key) for key in ("bot_token", "ilink_bot_id", "ilink_user_id"))
    if not token:
        if known is None:
            raise BridgeError(
                "this WeChat account is bound already, and not by us: end that in WeChat, or in the program that has "
                "it, then log in again"
            )
        return known
    if not (_VISIBLE.fullmatch(token) and bot_id and user_id):
        raise BridgeError("iLink has confirmed the login, but does not say whose it is")
    place = trusted(_text(answer, "baseurl"), base_url)
    return Credentials(token, bot_id, user_id, "" if place == base_url else place)


def trusted(place: str, base_url: str) -> str:
    """The address of a server that WeChat names by host or by address, without a slash at its end. Raises BridgeError
    for one that may not have the token."""
    address = place if "//" in place else f"https://{place}"
    if _host(address) == _host(base_url):
        return base_url
    if not _TENCENT.fullmatch(address):
        raise BridgeError(
            f"WeChat sends this login to another server ({place[:80]!r}), which would get its token; if it is yours, "
            "set base_url to it"
        )
    return address.rstrip("/")


def _host(address: str) -> str:
    return address.lower().partition("//")[2].partition("/")[0]


def _text(answer: dict[str, Any], key: str) -> str:
    value = answer.get(key)
    return value if isinstance(value, str) else ""
