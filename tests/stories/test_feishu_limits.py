"""A Feishu bot at the platform's limits: time, quotas, permissions, many cards at once."""

from __future__ import annotations

import pytest

from tests.fakes.fastgpt import Gate, Script
from tests.stories.conftest import FeishuStage

BOB = "ou_b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0"
TEXT = "".join(f"word-{number} " for number in range(120)).strip()


async def update(feishu: FeishuStage, count: int, seconds: float) -> None:
    """So many updates of the card, and after each of them the platform's clock moves on."""
    for _ in range(count):
        seen = len(feishu.platform.called("/content"))
        await feishu.platform.until(lambda seen=seen: len(feishu.platform.called("/content")) > seen)  # type: ignore[misc]
        feishu.platform.clock.advance(seconds)


@pytest.mark.slow
async def test_an_answer_of_twelve_minutes_ends_complete_on_one_card(feishu: FeishuStage) -> None:
    """By the platform's clock: six minutes of words, three of silence, three of words."""
    await feishu.start()
    feishu.gpt.next(Script(text=TEXT, piece=8, rate=20, gate=(gate := Gate(60))))
    feishu.platform.say("tell me everything")
    await update(feishu, 6, 60)
    await gate.reached()
    feishu.platform.clock.advance(180)
    gate.open()
    await update(feishu, 2, 90)
    [answer] = await feishu.answered()
    assert answer.text == TEXT
    refused = [call.code for call in feishu.platform.calls if call.code]
    assert refused == [200850], "streaming had ended, was switched on again, and nothing else was refused"
    assert len(feishu.gpt.asked) == 1


@pytest.mark.slow
async def test_when_the_calls_of_the_month_are_used_up_answers_wait_and_questions_still_come_in(
    feishu: FeishuStage,
) -> None:
    await feishu.start()
    feishu.gpt.next(Script(text=TEXT, gate=(gate := Gate(10))))
    feishu.platform.say("hi")
    await feishu.platform.until(lambda: feishu.answers() and feishu.answers()[0].text.startswith("word-0"))
    feishu.platform.quota = 0
    gate.open()
    await feishu.product.until(lambda: any("used up" in line for line in feishu.product.log))
    await feishu.product.kill()
    await feishu.start()
    feishu.platform.say("and this?", user=BOB)
    await feishu.gpt.until(lambda: len(feishu.gpt.asked) == 2)
    await feishu.platform.until(lambda: not feishu.platform.unacked)
    refused = [call for call in feishu.platform.calls if call.code == 99991403]
    assert len(refused) <= 3, "it is tried again in ten minutes, not in a loop"


async def test_without_any_card_the_words_still_come(feishu: FeishuStage) -> None:
    feishu.platform.scopes.remove("cardkit:card:write")
    feishu.bot["stream"] = "off"
    await feishu.start()
    feishu.platform.say("hi")
    [answer] = await feishu.answered()
    assert answer.text == "You asked: hi"
    assert answer.edits == 0


@pytest.mark.slow
async def test_twenty_cards_at_once_stay_within_the_companys_limits(feishu: FeishuStage) -> None:
    """Each wants ten updates a second."""
    people = [f"ou_{number:032d}" for number in range(20)]
    feishu.gpt.default = Script(text=TEXT * 2, piece=8, rate=20)
    await feishu.start()
    for person in people:
        feishu.platform.say("hi", user=person)

    def whole() -> bool:
        seen = [feishu.platform.answers(user=person) for person in people]
        return all(len(one) == 1 and one[0].text == TEXT * 2 and not one[0].streaming for one in seen)

    await feishu.platform.until(whole, 60)
    assert [call.code for call in feishu.platform.calls if call.code] == []
    updates = [
        len(feishu.platform.cards[seen.card_id].operations)
        for seen in (feishu.platform.answers(user=person)[0] for person in people)
    ]
    assert max(updates) - min(updates) <= max(2.0, 0.5 * sum(updates) / len(updates)), "they thin out evenly"


@pytest.mark.slow
async def test_twenty_people_in_one_group_all_see_their_answers_grow(feishu: FeishuStage) -> None:
    people = [f"ou_{number:032d}" for number in range(20)]
    feishu.gpt.default = Script(text=TEXT, piece=8, rate=20)
    team = feishu.platform.group()
    await feishu.start()
    for person in people:
        feishu.platform.say("hi", team, person, mention=True)
    answers = await feishu.answered(team, 20, 60)
    assert {answer.text for answer in answers} == {TEXT}
    assert [call.code for call in feishu.platform.calls if call.code] == []
    assert min(len(feishu.platform.cards[answer.card_id].operations) for answer in answers) >= 3
