"""What every part of the platform refuses with, and how it counts: errors, limits, ids.

Rules of this file: pure; no HTTP, no memory of the platform. Limits are those of the fact sheet, sections 3 and 4.
"""

from __future__ import annotations

import secrets
from collections import deque
from typing import Any

Json = dict[str, Any]

KB, MB = 1024, 1024 * 1024
CARD_BYTES = 30 * KB
"""The most bytes of a card or a post, as the string that is sent."""
TEXT_BYTES = 150 * KB
DAY = 86400.0
CARD_LIFE = 14 * DAY
"""Seconds in which a card can be changed and pressed."""
STREAMING = 600.0
"""Seconds after which a card stops streaming, counted from when streaming was last switched on."""
UUID_MEMORY = 3600.0
"""Seconds in which a ``uuid`` gives the first message again."""


class Refused(Exception):
    """A call that the platform refuses: Feishu's ``code`` and ``msg``, the HTTP status, further headers and fields."""

    def __init__(
        self, code: int, msg: str, status: int = 400, headers: dict[str, str] | None = None, **fields: Any
    ) -> None:
        super().__init__(code, msg)
        self.code, self.msg, self.status, self.headers, self.fields = code, msg, status, headers or {}, fields

    def body(self) -> Json:
        """The JSON of the answer."""
        log_id = new_id("")
        return {"code": self.code, "msg": self.msg, "error": {"log_id": log_id}, **self.fields}


def invalid(reason: str) -> Refused:
    """A parameter that is missing or of the wrong shape."""
    return Refused(99992402, f"field validation failed: {reason}")


def too_often(seconds: float, status: int) -> Refused:
    """A frequency limit; the header says after how many seconds it ends (a whole number, at least one)."""
    reset = {"x-ogw-ratelimit-limit": "50", "x-ogw-ratelimit-reset": str(max(1, -int(-seconds // 1)))}
    return Refused(99991400, "request trigger frequency limit", status, reset)


class Window:
    """The times of what was let through, for any number of (count, seconds) limits at once."""

    def __init__(self) -> None:
        self._times: deque[float] = deque()

    def spend(self, limits: tuple[tuple[int, float], ...], now: float) -> float:
        """Count one thing at ``now``; or, where a limit is reached, give the seconds until it has room again."""
        longest = max((seconds for _, seconds in limits), default=0.0)
        while self._times and self._times[0] <= now - longest:
            self._times.popleft()
        for count, seconds in limits:
            if len(self._times) >= count and self._times[-count] > now - seconds:
                return self._times[-count] + seconds - now
        self._times.append(now)
        return 0.0


def new_id(prefix: str) -> str:
    """An id as the platform makes them: ``om_`` and 32 hexadecimal digits."""
    return prefix + secrets.token_hex(16)


def text_of(body: Json, name: str, most: int = 0, least: int = 1) -> str:
    """A required string of a body, of ``least`` to ``most`` characters. Raises Refused (99992402)."""
    value = body.get(name)
    if not isinstance(value, str) or len(value) < least:
        raise invalid(f"{name} is required")
    if most and len(value) > most:
        raise invalid(f"{name} has more than {most} characters")
    return value


def optional_text(body: Json, name: str, most: int) -> str:
    """A string that may be absent (then empty). Raises Refused (99992402)."""
    return text_of(body, name, most) if body.get(name) not in (None, "") else ""
