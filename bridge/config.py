"""What a config says, as frozen structs; bridge.configfile reads them from YAML.

Rules of this file: pure; a default here is the default in the documentation; nothing secret is in a ``repr``.
"""

from __future__ import annotations

import re
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

from bridge.model import BridgeError

_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd]?)")
_PER_USER = re.compile(r"(\d+)\s*/\s*(\d*)\s*(s|sec|min|m|h|hour|d|day)")
PROXIES = frozenset({"http", "https", "socks4", "socks5", "socks5h"})
_SECONDS = {"": 1, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "hour": 3600, "d": 86400, "day": 86400}


class ConfigError(BridgeError):
    """The config is faulty. ``faults`` holds one line for each."""

    def __init__(self, *faults: str) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class App(msgspec.Struct, frozen=True, kw_only=True):
    """One app behind a FastGPT-compatible endpoint. Times in seconds."""

    base_url: str
    api_key: str
    app_id: str = ""
    kind: Literal["fastgpt", "openai"] = "fastgpt"
    model: str = ""
    history: int = 20
    variables: dict[str, str] = {}
    first_token_timeout: float = 120
    idle_timeout: float = 200
    turn_timeout: float = 1800
    max_concurrent: int = 0
    proxy: str = ""

    def __repr__(self) -> str:
        return f"App(base_url={self.base_url!r})"


class Bot(msgspec.Struct, frozen=True, kw_only=True):
    """What every bot can set; ``options`` is the adapter's own struct."""

    platform: str
    app: str
    allow: list[str] = []
    deny: list[str] = []
    admins: list[str] = []
    groups: Literal["mention", "all", "off"] = "mention"
    session: Literal["chat", "user", "thread"] = "user"
    language: Literal["auto", "zh", "en"] = "auto"
    debounce: float = 0
    """Seconds without another message after which those of one person are one question; 0 = each is one."""
    per_user: str = "20/min"
    reset_after: float = 0
    """Idle hours after which a new context begins; 0 = never."""
    variables: dict[str, str] = {}
    welcome: str = ""
    reasoning: Literal["hide", "fold"] = "hide"
    proxy: str = ""
    options: Any = None

    def __repr__(self) -> str:
        return f"Bot(platform={self.platform!r}, app={self.app!r})"


class Http(msgspec.Struct, frozen=True, kw_only=True):
    listen: str = "127.0.0.1:8080"
    public_url: str = ""
    """Where the world reaches this port, as https://bot.example.com; a path before it is kept."""
    admin_token: str = ""

    def __repr__(self) -> str:
        return f"Http(listen={self.listen!r})"

    @property
    def address(self) -> tuple[str, int]:
        host, colon, port = self.listen.rpartition(":")
        if not colon or not 0 <= int(port) < 65536:
            raise ValueError(self.listen)
        return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104 - an empty host is the operator's wish


class Config(msgspec.Struct, frozen=True, kw_only=True):
    fastgpt: dict[str, App]
    bots: dict[str, Bot]
    store: str = "sqlite:data/bridge.db"
    http: Http = Http()
    shutdown_grace: float = 8
    retention: str = "30d"
    allow_private: list[str] = []
    """Addresses, networks or host names that are not public and may be fetched from all the same."""


def rate(text: str) -> tuple[int, float]:
    """``20/min`` -> (20, 60.0); ``0`` switches the limit off -> (0, 0.0)."""
    if text.strip() in ("0", ""):
        return 0, 0.0
    match = _PER_USER.fullmatch(text.strip())
    if not match or (match[2] and not int(match[2])):
        raise ValueError("write it as 20/min")
    return int(match[1]), float(int(match[2] or 1) * _SECONDS[match[3]])


def is_proxy(text: str) -> bool:
    """Is it the address of a proxy that can be used? HTTP has a usual port, SOCKS has not."""
    try:
        parts = urlsplit(text)
        known = bool(parts.hostname) and parts.scheme in PROXIES
        return known and (bool(parts.port) or not parts.scheme.startswith("socks"))
    except ValueError:  # a host or a port that cannot be one
        return False


def span(text: str) -> float:
    """``30d`` -> seconds."""
    match = _SPAN.fullmatch(text.strip())
    if not match:
        raise ValueError("write it as 30d, 12h or 90s")
    return float(match[1]) * _SECONDS[match[2]]
