"""What a bot's keys in config.yaml change for the people who talk to it."""

from __future__ import annotations

import time

from tests.fakes.fastgpt import Gate, Script
from tests.stories.conftest import Stage


async def test_variables_the_bot_wins_over_the_app_over_the_platform(stage: Stage) -> None:
    stage.app["variables"] = {"company": "Acme", "user_name": "from the app", "tier": "app"}
    stage.bot["variables"] = {"tier": "bot"}
    await stage.product.start()
    stage.api.say("hello", chat=7)
    await stage.answered(7)
    variables = stage.gpt.asked[0].body["variables"]
    assert (variables["company"], variables["user_name"], variables["tier"]) == ("Acme", "from the app", "bot")
    assert variables["chat_id"] == "7"


async def test_after_idle_hours_a_new_context_begins(stage: Stage) -> None:
    stage.bot["reset_after"] = 1
    await stage.product.start()
    now = int(time.time())
    for number, (text, date) in enumerate((("old", now - 9000), ("same", now - 8000), ("new", now)), 1):
        stage.api.say(text, chat=7, date=date)
        await stage.answered(7, number)
    first, second, third = (asked.chat_id for asked in stage.gpt.asked)
    assert first == second != third


async def test_a_group_can_share_one_context(stage: Stage) -> None:
    stage.bot.update(session="chat", groups="all")
    await stage.product.start()
    stage.gpt.when("first", Script(gate=(gate := Gate(0))))
    stage.api.say("first", chat=-5, user=11, thread=3)
    await gate.reached()
    stage.api.say("second", chat=-5, user=12)
    gate.open()
    await stage.answered(-5, 2)
    assert [asked.question for asked in stage.gpt.asked] == ["first", "second"]
    assert {asked.chat_id.rpartition(".")[0] for asked in stage.gpt.asked} == {"tg.-5"}


async def test_groups_off_is_silent_there(stage: Stage) -> None:
    stage.bot["groups"] = "off"
    await stage.product.start()
    stage.api.say(f"@{stage.api.bot().user['username']} hello", chat=-5)
    stage.api.say("/help", chat=-5)
    stage.api.say("hello", chat=7)
    await stage.answered(7)
    assert stage.answers(-5) == []


async def test_who_writes_too_fast_is_told_once(stage: Stage) -> None:
    stage.bot["per_user"] = "2/hour"
    await stage.product.start()
    for text in ("one", "two", "three", "four"):
        stage.api.say(text, chat=7)
    stage.api.say("other", chat=8)
    await stage.answered(8)
    answers = await stage.answered(7, 3)
    assert sorted(seen.text.partition(" ")[0] for seen in answers) == ["Too", "You", "You"]
    await stage.api.until(lambda: stage.api.unconfirmed() == 0)
    assert len(stage.answers(7)) == 3


async def test_the_bridges_own_words_are_in_the_persons_language(stage: Stage) -> None:
    await stage.product.start()
    person = {"id": 7, "is_bot": False, "first_name": "小明", "language_code": "zh-hans"}
    stage.api.say("/help", chat=7, user=person)
    assert "你的 ID：7" in (await stage.answered(7))[0].text
    stage.gpt.next(Script(text=""))
    stage.api.say("有人吗？", chat=8)
    assert (await stage.answered(8))[0].text == "⚠️ 应用没有给出回答。"
    stage.api.say("/start", chat=9)
    assert "/help" in (await stage.answered(9))[0].text


async def test_a_page_and_a_bot_share_an_app(stage: Stage) -> None:
    stage.product.config["bots"]["site"] = {"platform": "web", "app": "support", "welcome": "Hi there"}
    await stage.product.start()
    status, body = await stage.product.readyz()
    assert status == 200
    assert {name: row["state"] for name, row in body["bots"].items()} == {"tg": "connected", "site": "connected"}
