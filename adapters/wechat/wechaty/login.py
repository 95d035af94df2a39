"""``fastgpt-bridge login`` at a wechaty gateway: draw the codes that WeChat wants scanned, until somebody is logged in.

Rules of this file:
- a gateway has one event stream. When the running bridge has it, we read what it notes and leave it alone;
- a puppet that runs is never restarted; whoever is logged in stays so.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing

from adapters.wechat.wechaty import connection, note
from adapters.wechat.wechaty.client import Gateway, Taken
from adapters.wechat.wechaty.lookup import Lookup
from bridge.model import Host, Unreachable

log = logging.getLogger(__name__)

PATIENCE = 600.0
"""Seconds for somebody to scan the code that another program has."""
LOOK = 1.0
"""Seconds between two looks at the bridge's note."""


Draw = Callable[[str], Awaitable[None]]


async def log_in(gateway: Gateway, host: Host, qr: Draw) -> None:
    """Draw each new code, and return when somebody is logged in. Raises BridgeError when the gateway cannot be
    reached, does not take our token or ends the stream."""
    drawn = ""

    async def draw(link: str) -> None:
        nonlocal drawn
        if link and link != drawn:
            drawn = link
            await qr(link)

    try:
        await _by_the_gateway(gateway, host, draw)
    except Taken:
        await _by_the_bridge(host, draw)


async def _by_the_gateway(gateway: Gateway, host: Host, draw: Draw) -> None:
    async with aclosing(connection.attached(gateway, connection.SILENCE)) as stream:
        async for happened in stream:
            if happened.kind == "scan":
                await draw(connection.code_of(happened.payload).link)
            elif happened.kind == "login":
                name = await Lookup(gateway).name(str(happened.payload.get("contactId", "")))
                await note.save(host, note.Note("connected", time.time(), name=name))
                return
    raise Unreachable("the gateway has ended the event stream")


async def _by_the_bridge(host: Host, draw: Draw) -> None:
    """As the running bridge notes it."""
    log.warning("another program listens to the gateway; if it is the running bridge, its code is shown here")
    until = time.monotonic() + PATIENCE
    while (noted := await note.load(host)) is None or noted.state != "connected":
        if time.monotonic() > until:
            raise Taken
        await draw(noted.qr if noted else "")
        await asyncio.sleep(LOOK)
