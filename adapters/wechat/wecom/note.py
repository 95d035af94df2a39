"""What ``run`` has learned of the credentials, for ``check --online``: to try them would throw the running bridge out.

Rules of this file: a note is about the credentials that it was made with, and tells none of them.
"""

from __future__ import annotations

import hashlib
import time

import msgspec

from bridge.model import Host

KEY = "subscribed"


class Noted(msgspec.Struct, frozen=True):
    digest: str
    at: float
    """Unix seconds."""
    errcode: int
    """0 = accepted."""


class Note:
    def __init__(self, host: Host, bot_id: str, secret: str) -> None:
        self._host = host
        self._digest = hashlib.sha256(f"{bot_id}\n{secret}".encode()).hexdigest()

    async def write(self, errcode: int) -> None:
        await self._host.save(KEY, msgspec.json.encode(Noted(self._digest, time.time(), errcode)))

    async def read(self) -> Noted | None:
        """The last one about these credentials."""
        row = await self._host.load(KEY)
        noted = msgspec.json.decode(row, type=Noted) if row else None
        return noted if noted and noted.digest == self._digest else None
