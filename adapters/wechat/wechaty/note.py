"""What is known of the login, kept in the store for other processes.

Rules of this file:
- whoever holds the gateway's event stream writes it, at each change; ``login`` and ``check --online`` read it. No call
  of the puppet protocol tells whether somebody is logged in, and the event stream has room for one client.

Source: ``server/puppet-implementation`` of wechaty-puppet-service 1.19.9.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from bridge.model import Host

KEY = "login"


class Note(msgspec.Struct, frozen=True, omit_defaults=True):
    """``at`` is when it was written (Unix seconds), ``qr`` what is to be scanned, ``name`` whose account it is."""

    state: Literal["connected", "login_needed", "away"]
    at: float
    qr: str = ""
    name: str = ""


async def load(host: Host) -> Note | None:
    """The latest, if there was any."""
    row = await host.load(KEY)
    return msgspec.json.decode(row, type=Note) if row else None


async def save(host: Host, note: Note) -> None:
    await host.save(KEY, msgspec.json.encode(note))
