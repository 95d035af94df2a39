"""A Feishu bot's own keys in config.yaml."""

from __future__ import annotations

import re
from typing import Literal

import msgspec


class Options(msgspec.Struct, frozen=True, kw_only=True):
    app_id: str
    app_secret: str
    domain: str = "https://open.feishu.cn"
    mode: Literal["websocket", "webhook"] = "websocket"
    verification_token: str = ""
    encrypt_key: str = ""
    stream: Literal["auto", "card", "edit", "off"] = "auto"

    def __repr__(self) -> str:
        return f"Options(app_id={self.app_id!r}, domain={self.domain!r})"

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_-]+", self.app_id):
            raise ValueError("app_id: is not an App ID (cli_…); copy it from the developer console")
        if not (self.app_secret and self.app_secret.isascii() and self.app_secret.isprintable()):
            raise ValueError("app_secret: is empty, or holds characters that no secret has; copy it again")
        if not re.fullmatch(r"https?://[^/@?#]+/?", self.domain):
            raise ValueError("domain: write it as https://open.feishu.cn, or https://open.larksuite.com")
        if self.mode == "webhook" and not (self.verification_token or self.encrypt_key):
            raise ValueError("mode: webhook needs encrypt_key or verification_token; both are in the developer console")

    @property
    def identity(self) -> str:
        """The key that tells one account from another."""
        return "app_id"

    @property
    def console(self) -> str:
        """Where the operator sets the app up."""
        return f"{self.origin}/app/{self.app_id}"

    @property
    def origin(self) -> str:
        """``domain``, without a slash at its end."""
        return self.domain.rstrip("/")
