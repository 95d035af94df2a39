"""A hundred conversations under the limit of one bot."""

from __future__ import annotations

from statistics import mean

import pytest

from tests.fakes.fastgpt import Script
from tests.stories.conftest import Stage

CHATS = range(1001, 1101)
TEXT = "".join(f"word-{number} " for number in range(120)).strip()


@pytest.mark.slow
async def test_a_hundred_answers_at_once_share_the_bots_calls_evenly(stage: Stage) -> None:
    stage.api.limit(per_second=30)
    stage.gpt.default = Script(text=TEXT, piece=9, rate=8)
    await stage.product.start()
    for chat in CHATS:
        stage.api.say("hello", chat=chat)
    await stage.api.until(lambda: all(stage.finished(chat) for chat in CHATS), 120)
    for chat in CHATS:
        assert [answer.text for answer in stage.answers(chat)] == [TEXT]
    edits = [stage.answers(chat)[0].edits for chat in CHATS]
    assert max(edits) - min(edits) <= max(2.0, 0.5 * mean(edits)), "previews thin out evenly"
    refused: dict[int | None, float] = {}
    for call in stage.api.history:
        if call.method in ("sendMessage", "editMessageText"):
            assert call.time >= refused.get(call.chat, 0.0) + 1.0, "repeated within the time of its 429"
            if call.status == 429:
                refused[call.chat] = call.time
    assert len(refused) <= 10, "the limit is kept by our own count, not found by refusals"
