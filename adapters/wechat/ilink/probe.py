"""``check --online`` for iLink: is it there, and does it take our login?

Rules of this file:
- it asks, and changes nothing: no poll, which would take messages from a running service, and no QR code. getconfig is
  what the official client calls before it shows that it types.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from adapters.wechat.ilink.account import Account
from adapters.wechat.ilink.api import Api, Credentials, LoginNeeded
from bridge.model import BridgeError, Exhausted, Finding, RateLimited, Rejected

CALL = 10.0
"""Seconds for the call."""


async def findings(account: Account, api: Api) -> list[Finding]:
    """The rows for one bot: iLink, and the login."""
    api.credentials = login = await account.stored()
    refusal: BridgeError | None = None
    try:
        await api.call("getconfig", {"ilink_user_id": login.user_id if login else ""}, timeout=CALL)
    except (LoginNeeded, Rejected, Exhausted) as error:
        refusal = error
    except BridgeError as error:
        fix = "try again later" if isinstance(error, RateLimited) else "look at the network, at proxy and at base_url"
        unreached = Finding(False, str(error), fix)
        return [unreached] if login else [unreached, _login(account, login, None)]
    server = urlsplit((login and login.base_url) or api.base_url).netloc
    return [Finding(True, f"iLink answers at {server}"), _login(account, login, refusal)]


def _login(account: Account, login: Credentials | None, refusal: BridgeError | None) -> Finding:
    if login is None:
        return Finding(False, "nobody is logged in", account.fix)
    if isinstance(refusal, LoginNeeded):
        return Finding(False, f"WeChat has ended the login of {login.bot_id}", account.fix)
    text = f"logged in as {login.bot_id}, which talks to {login.user_id} only"
    if refusal is not None:
        text += f"; a test call was refused, which need not mean anything ({refusal})"
    return Finding(True, text)
