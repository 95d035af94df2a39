"""`check --online`: what it says of keys, tokens and settings, and that it takes nothing from anybody."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from tests.fakes.fastgpt import FakeFastGPT
from tests.fakes.telegram.state import Webhook
from tests.product import command, free_port
from tests.stories.conftest import Stage


async def online(stage: Stage) -> tuple[int, str]:
    code, out, err = await command("check", "-c", str(stage.product.write_config()), "--online")
    assert "Traceback" not in err
    assert stage.api.token not in out + err
    assert stage.app["api_key"] not in out + err
    assert stage.api.counts["getUpdates"] == stage.api.counts["setWebhook"] == stage.api.counts["deleteWebhook"] == 0
    return code, out


async def test_all_is_well(stage: Stage) -> None:
    stage.app["app_id"] = stage.gpt.app_id
    stage.api.bots[stage.api.token].privacy = True
    stage.api.say("waiting", chat=7)
    code, out = await online(stage)
    assert code == 0
    assert "ok    app support: answers as '客服', and takes the key" in out
    assert "ok    bot tg: the token is that of @my_bot (id 42)" in out
    assert "privacy mode is on" in out
    assert "/setprivacy" in out
    assert "FAULT" not in out
    assert stage.api.unconfirmed() == 1
    assert not (stage.product.folder / "bridge.db").exists(), "looking must not make a store"


async def test_a_token_that_telegram_does_not_know(stage: Stage) -> None:
    stage.api.revoke()
    code, out = await online(stage)
    assert code == 2
    assert "FAULT bot tg: Telegram does not know this token" in out
    assert "fix: get the bot's token from @BotFather" in out


async def test_a_webhook_in_the_way_of_polling_is_named_by_its_host(stage: Stage) -> None:
    stage.api.bots[stage.api.token].webhook = Webhook("https://other.example.com/secret-path", "")
    code, out = await online(stage)
    assert code == 2
    assert "FAULT bot tg: a webhook at other.example.com is set for this token" in out
    assert "secret-path" not in out


@pytest.mark.slow
async def test_another_poller_that_run_has_met_is_named(stage: Stage) -> None:
    await stage.product.start()
    await stage.api.until(stage.api.polling)
    async with aiohttp.ClientSession() as other:
        await other.get(f"{stage.api.url}/bot{stage.api.token}/getUpdates")
    await stage.product.logged("another program polls with this bot's token")
    await stage.product.stop()
    stage.api.counts.clear()
    code, out = await online(stage)
    assert code == 2
    assert "FAULT bot tg: another program polled with this token at " in out


@pytest.mark.parametrize(
    ("app", "words"),
    [
        ({"api_key": "fastgpt-wrong"}, "api_key: the server does not accept it"),
        ({"base_url": f"http://127.0.0.1:{free_port()}/api"}, "base_url or proxy: no connection"),
        ({"app_id": "000000000000000000000000"}, "app_id"),
    ],
)
@pytest.mark.parametrize("era", ["e23", "e24", "e26"])
@pytest.mark.slow
async def test_an_app_that_does_not_answer_has_a_fix(stage: Stage, era: Any, app: dict[str, str], words: str) -> None:
    stage.gpt.era = era
    stage.app.update({"app_id": stage.gpt.app_id, **app})
    code, out = await online(stage)
    assert code == 2
    assert "FAULT app support: " in out
    assert words in out


@pytest.mark.parametrize("era", ["e23", "e24"])
async def test_an_accounts_key_is_explained(stage: Stage, era: Any) -> None:
    stage.gpt.era = era
    stage.app["api_key"] = FakeFastGPT.account_key
    code, out = await online(stage)
    assert code == 2
    assert "this is an account's key; the app's own is needed" in out


@pytest.mark.parametrize("era", ["e23", "e24", "e26", "openai"])
@pytest.mark.slow
async def test_an_app_without_app_id_is_tried_at_no_cost(stage: Stage, era: Any) -> None:
    stage.gpt.era = era
    stage.app["base_url"] = stage.gpt.base_url
    if era == "openai":
        stage.app.update({"kind": "openai", "model": "fake-1"})
    code, out = await online(stage)
    assert code == 0, out
    assert "ok    app support: answers" in out
    assert stage.gpt.runs == set()
    assert not any(asked.question for asked in stage.gpt.asked)


async def test_a_web_page_in_the_place_of_the_app(stage: Stage) -> None:
    stage.app["base_url"] = f"{stage.gpt.url}/console"
    code, out = await online(stage)
    assert code == 2
    assert "base_url: something else answers there" in out
