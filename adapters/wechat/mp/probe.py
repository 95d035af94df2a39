"""``check --online`` for an official account: its credentials, its IP allow list, its rights and its address.

Rules of this file: nothing is sent to anybody. What an account may do is told by a call that can only be refused.
"""

from __future__ import annotations

from adapters.wechat.mp.api import Api, NotAllowed, Unverified
from adapters.wechat.mp.callback import address
from bridge.model import BridgeError, Fatal, Finding, Host, RateLimited, Rejected, Unreachable, Unsure

NOBODY = "fastgpt-bridge-check"
"""An openid that nobody has."""


async def findings(bot: str, host: Host, api: Api | None, *, verified: bool) -> list[Finding]:
    """``api`` is None where there is no app_secret to try."""
    found = [_address(bot, host)]
    if api is not None:
        found.append(await _credentials(api))
        if found[-1].ok:
            found.append(await _rights(api, verified=verified))
    return found


def _address(bot: str, host: Host) -> Finding:
    if host.public_url:
        return Finding(True, f"the server address (URL) to enter into the account's console: {address(host, bot)}")
    return Finding(
        False,
        "WeChat cannot reach the bridge: it posts each message to its public address",
        "set http.public_url, and enter it into the account's console with /hooks/" + bot,
    )


async def _credentials(api: Api) -> Finding:
    try:
        await api.token()
    except NotAllowed as error:
        return Finding(
            False, str(error), f"add {error.address} to the IP allow list (IP白名单) in the account's console"
        )
    except Fatal as error:
        return Finding(False, str(error), "copy AppID and AppSecret from the account's console")
    except (Unreachable, Unsure, RateLimited) as error:
        return Finding(False, str(error), "is api_base right, and can this machine reach it?")
    except BridgeError as error:
        return Finding(False, str(error), "look the number up in WeChat's list of return codes")
    return Finding(True, "app_id and app_secret are right, and this machine is on the IP allow list")


async def _rights(api: Api, *, verified: bool) -> Finding:
    try:
        await api.call("message/custom/typing", {"touser": NOBODY, "command": "Typing"})
    except Unverified:
        if not verified:
            return Finding(True, "the account is not verified: what is not ready in time waits for the next message")
        return Finding(
            False, "the account may not send messages of its own accord (errcode 48001)", "set verified: false"
        )
    except Rejected:
        pass  # of nobody's openid, as it should be
    except BridgeError as error:
        return Finding(False, str(error), "try again in a while")
    if verified:
        return Finding(True, "the account may send messages of its own accord")
    return Finding(False, "the account may send messages of its own accord, and is not set to", "set verified: true")
