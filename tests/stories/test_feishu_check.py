"""`check --online` for a Feishu bot: what it says of each step in the console, and that it changes nothing."""

from __future__ import annotations

import pytest

from tests.product import command
from tests.stories.conftest import FeishuStage


async def online(feishu: FeishuStage) -> tuple[int, str]:
    code, out, err = await command("check", "-c", str(feishu.product.write_config()), "--online")
    assert "Traceback" not in err
    assert feishu.platform.app_secret not in out + err
    assert not feishu.platform.connections, "the long connection was not opened"
    assert {call.method for call in feishu.platform.calls if "/im/" in call.path} <= {"GET"}
    assert feishu.platform.cards == {}
    return code, out


async def test_all_is_well_and_what_only_the_console_shows_is_listed(feishu: FeishuStage) -> None:
    code, out = await online(feishu)
    assert code == 0
    assert "FAULT" not in out
    assert f"ok    bot fs: the credentials are those of {feishu.platform.app_id}" in out
    assert "ok    bot fs: its bot is 'Helper'" in out
    assert "ok    bot fs: Feishu grants a long connection" in out
    assert "cardkit:card:write" in out
    assert "im.message.receive_v1" in out
    assert "200340" in out


@pytest.mark.parametrize(
    ("step", "row", "fix"),
    [
        ("secret", "Feishu does not know this app_id with this app_secret", "copy both from the developer console"),
        ("bot", "the app has no bot", "add the feature Bot"),
        ("cards", "without cardkit:card:write answers do not stream", "publish a version"),
        ("private", "without im:message.p2p_msg:readonly private messages do not come", "publish a version"),
        ("connection", "the app may not have a long connection", "choose the long connection"),
    ],
)
async def test_each_missing_step_is_named_with_its_fix(feishu: FeishuStage, step: str, row: str, fix: str) -> None:
    match step:
        case "secret":
            feishu.bot["app_secret"] = "another"
        case "bot":
            feishu.platform.bot_enabled = False
        case "cards":
            feishu.platform.scopes.remove("cardkit:card:write")
        case "private":
            feishu.platform.scopes.remove("im:message.p2p_msg:readonly")
        case "connection":
            feishu.platform.fail("/callback/ws/endpoint", 403, "forbidden")
    code, out = await online(feishu)
    assert code == 2
    faults = [line for line in out.splitlines() if "FAULT bot fs" in line]
    assert len(faults) == 1
    assert row in faults[0]
    assert fix in out
