"""The login by QR code: what the codes are worth, and what the user does with the newest one on the phone.

Rules of this file:
- ``scan`` is set by the test and told to the client, once at once and then as a long poll;
- what the client must do (type the number, follow the redirect) it must do before the login goes on. When it has, the
  user confirms without a further word of the test;
- a code that is not the newest has expired.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from tests.fakes.wechat.ilink_rules import QR_TOKENS, Json, need
from tests.fakes.wechat.ilink_state import State

SCANS = (
    "wait",
    "scaned",
    "need_verifycode",
    "verify_code_blocked",
    "scaned_but_redirect",
    "expired",
    "binded_redirect",
    "confirmed",
)
WRONG_CODES = 3
"""After so many wrong numbers the code is blocked. How many the platform takes is not known."""


class Login(State):
    """The codes of one bot."""

    def __init__(self) -> None:
        super().__init__()
        self.verify_code = "4711"
        """The number that the phone shows."""
        self.expiring = 0
        """So many of the next QR codes expire before they are scanned."""
        self.redirect_host = ""
        """Where to poll after ``scaned_but_redirect``; empty: another name of this server."""
        self._scan = "wait"
        self._codes = itertools.count(1)
        self._new_code("")

    @property
    def scan(self) -> str:
        """The status of the newest code."""
        return self._scan

    @scan.setter
    def scan(self, status: str) -> None:
        if status not in SCANS:
            raise ValueError(f"no such status: {status}")
        self._scan = status
        self.changed()

    def _new_code(self, qrcode: str) -> None:
        self._qrcode = qrcode
        self._told = "wait"
        self._wrong = 0
        self._moved = False

    def get_bot_qrcode(self, query: Mapping[str, str], body: Json) -> Json:
        """A new code, and the address to draw as QR code."""
        need(query.get("bot_type") == "3", "bot_type is not 3")
        tokens = body.get("local_token_list", [])
        need(isinstance(tokens, list) and len(tokens) <= QR_TOKENS, "local_token_list is not at most 10 tokens")
        qrcode = f"qr-{next(self._codes)}"
        if self.expiring:
            self.expiring -= 1
            self._new_code("")
        else:
            self._new_code(qrcode)
        return {"ret": 0, "qrcode": qrcode, "qrcode_img_content": f"https://liteapp.weixin.qq.com/q/{qrcode}"}

    async def get_qrcode_status(self, query: Mapping[str, str], host: str) -> Json:
        """The status of a code, asked of ``host``; a poll that has nothing new to tell is held."""
        qrcode, typed = query.get("qrcode", ""), query.get("verify_code", "")
        need(qrcode, "no qrcode")
        if self._status(qrcode, host) == self._told and not typed:
            await self.held(lambda: self._status(qrcode, host) != self._told)
        status = self._status(qrcode, host)
        if status == "need_verifycode" and typed:
            status = self._type(typed)
        elif status == "scaned_but_redirect":
            self._moved = True
        elif self._scan == "scaned_but_redirect" and status == "scaned":
            self.scan = "confirmed"
        if status != "expired":
            self._told = status
        return {"ret": 0, "status": status, **self._more(status)}

    def _status(self, qrcode: str, host: str) -> str:
        if qrcode != self._qrcode:
            return "expired"
        elsewhere = host != self._redirect()
        if elsewhere and (self._moved or self._scan == "scaned_but_redirect"):
            return "scaned_but_redirect"
        return "scaned" if self._scan == "scaned_but_redirect" else self._scan

    def _type(self, number: str) -> str:
        """The status after the client has passed on what the operator has typed."""
        if number == self.verify_code:
            self.scan = "confirmed"
            return "scaned"
        self._wrong += 1
        if self._wrong >= WRONG_CODES:
            self.scan = "verify_code_blocked"
        return self._scan

    def _more(self, status: str) -> Json:
        """The fields that only this status has."""
        if status == "scaned_but_redirect":
            return {"redirect_host": self._redirect()}
        if status != "confirmed":
            return {}
        return {
            "bot_token": self.token,
            "ilink_bot_id": self.bot_id,
            "ilink_user_id": self.user,
            "baseurl": self.address,
        }

    def _redirect(self) -> str:
        return self.redirect_host or f"localhost:{self.port}"
