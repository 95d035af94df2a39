"""``check --online`` for a WeCom AI bot.

Rules of this file: it does not subscribe. That would throw out the bridge that runs, and take its messages.
"""

from __future__ import annotations

import time

from adapters.wechat.wecom.socket import Socket
from bridge.model import Finding, Unreachable


async def findings(socket: Socket) -> list[Finding]:
    try:
        await (await socket.open()).close()
    except Unreachable as error:
        return [Finding(False, str(error), "is ws_url right, and can this machine reach it?")]
    return [Finding(True, "WeCom's long connection can be opened"), await _credentials(socket)]


async def _credentials(socket: Socket) -> Finding:
    noted = await socket.note.read()
    if noted is None:
        return Finding(True, "bot_id and secret are tried when the bridge runs: it would be thrown out by a try now")
    at = time.strftime("%Y-%m-%d %H:%M", time.localtime(noted.at))
    if noted.errcode:
        fix = "copy bot_id and secret from WeCom's admin console, and choose the long connection there"
        return Finding(False, f"WeCom did not accept bot_id and secret at {at} (errcode {noted.errcode})", fix)
    return Finding(True, f"WeCom accepted bot_id and secret at {at}")
