"""A WeChat bot's own keys in config.yaml. Each gateway has its own; the others' are not accepted beside it."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

KEYS = {
    "wechaty": ("endpoint", "token", "tls", "ca", "sends"),
    "ilink": ("base_url", "cdn_url"),
    "wecom": ("bot_id", "secret", "ws_url"),
    "mp": ("app_id", "app_secret", "token", "aes_key", "verified", "api_base"),
}
"""Which keys a gateway has."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    gateway: Literal["wechaty", "ilink", "wecom", "mp"] = "wechaty"
    endpoint: str = "127.0.0.1:18788"
    token: str = ""
    tls: bool = False
    ca: str = ""
    """Path of the certificate that the gateway's is signed with; empty = the system's."""
    sends: int = 5
    """Messages for one answer."""
    base_url: str = "https://ilinkai.weixin.qq.com"
    cdn_url: str = "https://novac2c.cdn.weixin.qq.com/c2c"
    bot_id: str = ""
    secret: str = ""
    ws_url: str = "wss://openws.work.weixin.qq.com"
    app_id: str = ""
    app_secret: str = ""
    aes_key: str = ""
    """``EncodingAESKey`` of the account, 43 characters; empty = its messages come unencrypted."""
    verified: bool = True
    """WeChat has verified the account: it may send messages of its own accord (customer service)."""
    api_base: str = "https://api.weixin.qq.com"

    def __repr__(self) -> str:
        return f"Options(gateway={self.gateway!r})"

    def __post_init__(self) -> None:
        defaults = {field.name: field.default for field in msgspec.structs.fields(type(self))}
        own = KEYS[self.gateway]
        for gateway, keys in KEYS.items():
            for key in keys:
                if key not in own and getattr(self, key) != defaults[key]:
                    raise ValueError(f"{key}: is a key of gateway: {gateway}")
        for key in ("base_url", "cdn_url", "api_base", "ws_url"):
            scheme = "wss?" if key == "ws_url" else "https?"
            if not re.fullmatch(rf"{scheme}://[^/@?#\s]+(/[^?#\s]*)?", getattr(self, key)):
                raise ValueError(f"{key}: write it as {defaults[key]}")
        match self.gateway:
            case "wechaty":
                self._check_wechaty()
            case "wecom":
                self._need("bot_id", "secret")
            case "mp":
                self._check_mp()

    def _need(self, *keys: str) -> None:
        for key in keys:
            value = getattr(self, key)
            if not (value and value.isascii() and value.isprintable()):
                raise ValueError(f"{key}: is empty, or holds characters that it cannot have")

    def _check_wechaty(self) -> None:
        host, _, port = self.endpoint.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise ValueError("endpoint: write it as 127.0.0.1:18788, host and port of the puppet service")
        if not (self.token and self.token.isascii() and self.token.isprintable()):
            raise ValueError("token: is empty, or holds characters that no token has; it is the gateway's own")
        if self.ca and not self.tls:
            raise ValueError("ca: is for tls: true")
        if self.sends < 1:
            raise ValueError("sends: is how many messages an answer may have, 1 or more")

    def _check_mp(self) -> None:
        self._need("app_id", "token")
        if self.verified:
            self._need("app_secret")
        if self.aes_key and not re.fullmatch(r"[A-Za-z0-9]{43}", self.aes_key):
            raise ValueError("aes_key: is the account's EncodingAESKey, 43 letters and digits")

    @property
    def identity(self) -> str:
        """The key that tells one account from another: a gateway has one stream of events."""
        return {"wechaty": "endpoint", "wecom": "bot_id", "mp": "app_id"}.get(self.gateway, "")
