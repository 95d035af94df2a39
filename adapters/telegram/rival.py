"""Another program that uses this bot's token. ``run`` notes what it sees of it, ``check --online`` reads the note: it
may not poll to find out, because that would take messages away.
"""

from __future__ import annotations

import logging
import math
import time
from contextlib import suppress

import msgspec

from bridge.model import BridgeError, Host

log = logging.getLogger(__name__)

KEY = "conflict"
EVERY = 60.0
"""Least seconds between two notes: two pollers meet once a second."""


class Sighting(msgspec.Struct, frozen=True):
    """``at`` in Unix seconds; ``detail`` begins with "another program"."""

    at: float
    detail: str


class Rival:
    """Where sightings are noted."""

    def __init__(self, bot: str, host: Host) -> None:
        self._bot = bot
        self._host = host
        self._noted = -math.inf
        self._told = True
        """There may be a note, of an earlier run at least."""

    async def seen(self, detail: str) -> bool:
        """Note a sighting; False when the last one is so recent that there is nothing new to say."""
        if time.monotonic() - self._noted < EVERY:
            return False
        self._noted = time.monotonic()
        self._told = True
        try:
            await self._host.save(KEY, msgspec.json.encode(Sighting(time.time(), detail)))
        except BridgeError as error:
            log.warning("bot %s: that another program was seen was not noted: %s", self._bot, error)
        return True

    async def gone(self) -> None:
        """Nobody was in the way for a while: an earlier sighting is history."""
        if self._told:
            self._told, self._noted = False, -math.inf
            with suppress(BridgeError):
                await self._host.save(KEY, b"")


async def last_seen(host: Host) -> Sighting | None:
    """The last note; None when there never was one."""
    row = await host.load(KEY)
    return msgspec.json.decode(row, type=Sighting) if row else None
