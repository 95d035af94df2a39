"""``check --online`` at a wechaty gateway: does it answer, and is somebody logged in?

Rules of this file:
- it asks, and changes nothing: neither the puppet is started nor the event stream opened, which has room for one;
- no call of the puppet protocol tells whether somebody is logged in. The bridge notes it when it hears it, so the row
  says since when.
"""

from __future__ import annotations

import time

from adapters.wechat.wechaty import note
from adapters.wechat.wechaty.client import Gateway
from bridge.model import BridgeError, Fatal, Finding, Host


async def findings(gateway: Gateway, host: Host, bot: str, endpoint: str) -> list[Finding]:
    """The rows for one bot. Nothing else is asked when the gateway does not take our calls."""
    try:
        version = await gateway.version()
    except Fatal as error:
        return [Finding(False, str(error), "use the token that the gateway was started with")]
    except BridgeError as error:
        return [Finding(False, str(error), f"look whether the gateway runs at {endpoint}, and at tls and ca")]
    rows = [Finding(True, f"the gateway at {endpoint} answers (version {version})")]
    return [*rows, _login(await note.load(host), bot)]


def _login(noted: note.Note | None, bot: str) -> Finding:
    if noted is None:
        text = "who is logged in to WeChat is not known: the bridge was not connected to a gateway yet"
        return Finding(True, text, f"`run` tells it, or `fastgpt-bridge login {bot}`")
    at = time.strftime("%Y-%m-%d %H:%M", time.localtime(noted.at))
    if noted.state == "connected":
        return Finding(True, f"logged in to WeChat as {noted.name or 'an account without a name'}, as heard at {at}")
    return Finding(False, f"nobody is logged in to WeChat, as heard at {at}", f"run: fastgpt-bridge login {bot}")
