"""Who may come in, and who is who.

Rules of this file:
- a visitor is a random id in a cookie signed with a key that is made once and kept in the store; a forged or foreign
  cookie counts as none;
- a login is that cookie with the mark of the key it was made with: a key taken out of the config ends its logins;
- keys are compared by their marks, each of them in constant time, and wrong ones are counted per peer address;
- whatever changes something must come from our own page: its Origin is absent or names our host.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections import Counter
from collections.abc import Callable
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from bridge.model import Host

TRIES = 10
"""Wrong keys that one peer address may send in a minute."""
COOKIE_AGE = 30 * 86400
"""Seconds; each visit of the page begins them anew."""
_COOKIE = re.compile(r"([A-Za-z0-9_-]{22})\.([0-9a-f]{32})?\.([0-9a-f]{64})")
_LANGUAGE = re.compile(r"\s*([A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8}){0,3})\s*(?:[,;]|$)")


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a web bot has in the config beside the common keys. With neither, the page serves this machine alone."""

    keys: list[str] = []
    """Any of them opens the page (login form) and the requests (``Authorization: Bearer``)."""
    public: bool = False
    """Everyone may come in."""

    def __repr__(self) -> str:
        return f"Options(keys=<{len(self.keys)}>, public={self.public})"

    def __rich_repr__(self) -> list[tuple[str, object]]:  # msgspec's own would print the keys
        return [("keys", len(self.keys)), ("public", self.public)]


class Refused(Exception):
    """The request is answered with ``status`` and a sentence in the visitor's language."""

    def __init__(self, status: int, zh: str, en: str, **headers: str) -> None:
        super().__init__(en)
        self.status = status
        self.zh = zh
        self.en = en
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class Visitor(msgspec.Struct, frozen=True):
    """Whoever sent a request. ``known`` is false when this very request made the id up."""

    id: str
    mark: str
    """The mark of the key that was logged in with, or empty."""
    known: bool


class Tries:
    """Counts wrong keys per peer address and minute. It forgets all of them when a minute begins, so it stays small."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._minute = 0
        self._wrong: Counter[str] = Counter()

    def wrong(self, peer: str) -> None:
        self._now()[peer] += 1

    def spent(self, peer: str) -> bool:
        return self._now()[peer] >= TRIES

    def _now(self) -> Counter[str]:
        minute = int(self._clock() // 60)
        if minute != self._minute:
            self._minute = minute
            self._wrong.clear()
        return self._wrong


class Door:
    """Lets requests in by the rules above. ``open`` comes before everything else."""

    def __init__(self, bot: str, options: Options, host: Host) -> None:
        self._bot = bot
        self._keys = [key for key in options.keys if key]
        self._public = options.public
        self._host = host
        self._secret = b""
        self._marks: list[str] = []
        self.tries = Tries()

    @property
    def asks(self) -> bool:
        """Is there a key that a visitor could log in with?"""
        return bool(self._keys)

    async def open(self) -> None:
        """Load the signing key; the first start makes it."""
        secret = await self._host.load("secret")
        if not secret:
            await self._host.save("secret", secrets.token_bytes(32))
            secret = await self._host.load("secret")  # a process that started beside this one may have been later
            assert secret
        self._secret = secret
        self._marks = [self._mark(key) for key in self._keys]

    def enter(self, request: web.Request) -> Visitor:
        """The visitor behind a request. Raises Refused."""
        visitor = self._cookie(request)
        if not (
            self._public
            or (visitor is not None and self._valid(visitor.mark))
            or self._bearer(request)
            or (not self._keys and self._host.local(request))
        ):
            raise Refused(401, "请先登录。", "Log in first.", WWW_Authenticate="Bearer")
        return visitor or _new("")

    def login(self, request: web.Request, key: str) -> Visitor:
        """The visitor with the key's mark on the cookie; who was known before stays the same. Raises Refused."""
        mark = self._try(request, key)
        if not mark:
            raise Refused(401, "密钥不正确。", "This key is not valid.", WWW_Authenticate="Bearer")
        known = self._cookie(request)
        return Visitor(known.id, mark, True) if known else _new(mark)

    def remember(self, request: web.Request, response: web.StreamResponse, visitor: Visitor) -> None:
        """Put the visitor's cookie on a response."""
        # A proxy in front of us says so when it talks https; who lies here changes only a cookie of their own.
        https = request.secure or request.headers.get("X-Forwarded-Proto", "").lower() == "https"
        response.set_cookie(
            self._cookie_name,
            f"{visitor.id}.{visitor.mark}.{self._sign(visitor.id, visitor.mark)}",
            max_age=COOKIE_AGE,
            httponly=True,
            secure=https,
            samesite="Lax",
        )

    # ------------------------------------------------------------ keys

    def _bearer(self, request: web.Request) -> bool:
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        return scheme.lower() == "bearer" and bool(self._keys) and bool(self._try(request, key.strip()))

    def _try(self, request: web.Request, key: str) -> str:
        """The mark of a right key, or empty."""
        peer = request.remote or ""
        if self.tries.spent(peer):
            raise Refused(429, "尝试太多，请一分钟后再试。", "Too many tries; wait a minute.", Retry_After="60")
        mark = self._mark(key)
        if self._valid(mark):
            return mark
        self.tries.wrong(peer)
        return ""

    def _valid(self, mark: str) -> bool:
        return sum(hmac.compare_digest(mark, known) for known in self._marks) > 0  # not any(): every key is compared

    def _mark(self, key: str) -> str:
        return self._hmac(f"key:{key}")[:32]

    # ------------------------------------------------------------ cookie

    @property
    def _cookie_name(self) -> str:
        return f"bridge_{self._bot}"

    def _cookie(self, request: web.Request) -> Visitor | None:
        match = _COOKIE.fullmatch(request.cookies.get(self._cookie_name, ""))
        if match is None:
            return None
        visitor, mark, signature = match.group(1), match.group(2) or "", match.group(3)
        return Visitor(visitor, mark, True) if hmac.compare_digest(signature, self._sign(visitor, mark)) else None

    def _sign(self, visitor: str, mark: str) -> str:
        return self._hmac(f"visitor:{self._bot}.{visitor}.{mark}")

    def _hmac(self, text: str) -> str:
        return hmac.new(self._secret, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def own_page(request: web.Request) -> None:
    """Raises Refused when another site's page sent the request."""
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc.lower() != request.headers.get("Host", "").lower():
        raise Refused(
            403,
            "请求来自其他网站；如果前面有反向代理，请让它保留 Host 头。",
            "The request comes from another site; a proxy in front must pass the Host header on.",
        )


def language(request: web.Request) -> str:
    """The first tag of Accept-Language, as it stands, or empty."""
    match = _LANGUAGE.match(request.headers.get("Accept-Language", ""))
    return match.group(1) if match else ""


def chinese(request: web.Request) -> bool:
    return language(request).lower().startswith("zh")


def _new(mark: str) -> Visitor:
    return Visitor(secrets.token_urlsafe(16), mark, False)
