"""What the events of Feishu do not tell: names, quoted messages, merged forwards."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator

import pytest

from adapters.feishu.account import Account
from adapters.feishu.api import Api
from adapters.feishu.lookup import KNOWN, UNKNOWN, Lookup
from bridge.model import Conversation, Message, Quote, User
from bridge.wire import Wire
from tests.adapters.host import Double
from tests.fakes.feishu import PIXEL, USER, OpenPlatform


class Stage:
    """A bot that looks things up, on a clock of its own."""

    def __init__(self, platform: OpenPlatform, api: Api, host: Double) -> None:
        self.platform = platform
        self.api = api
        self.account = Account("fs", api, host)
        self.now = 0.0
        self.lookup = Lookup(self.account, lambda: self.now)
        self.group = platform.group("Team")

    async def name(self, user: str = USER) -> str:
        """The name of whoever writes."""
        return (await self.lookup.complete(self.message(user=user))).user.name

    async def place(self) -> str:
        """The name of the group that they write in."""
        return (await self.lookup.complete(self.message())).conversation.name

    async def quote(self, message_id: str) -> Quote:
        """What is known of a message that they quote."""
        (quote,) = (await self.lookup.complete(self.message(Quote(message_id)))).quotes
        return quote

    def message(self, *quotes: Quote, user: str = USER) -> Message:
        place = Conversation("fs", self.group, "group")
        return Message(id="om_9", conversation=place, user=User(user), at=0.0, text="hi", quotes=quotes)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with OpenPlatform() as platform, Wire({}) as wire:
        api = Api(platform.app_id, platform.app_secret, platform.url, *wire.connection(platform.url))
        yield Stage(platform, api, Double({}, wire))
        await api.close()


# ------------------------------------------------------------------ names


async def test_user_and_group_get_their_names(stage: Stage) -> None:
    completed = await stage.lookup.complete(stage.message())
    assert (completed.user.name, completed.conversation.name) == ("Ann", "Team")
    assert completed.text == "hi"


async def test_what_is_known_is_not_asked_for(stage: Stage) -> None:
    place = Conversation("fs", stage.platform.p2p(), "private")
    message = Message(id="om_9", conversation=place, user=User(USER, "Annie"), at=0.0, quotes=(Quote("om_1", "words"),))
    assert await stage.lookup.complete(message) == message
    assert stage.platform.calls == []


async def test_a_name_is_asked_for_once_a_day(stage: Stage) -> None:
    await stage.name()
    stage.platform.person(USER, "Anna")
    stage.now = KNOWN - 1
    assert await stage.name() == "Ann"
    stage.now = KNOWN + 1
    assert await stage.name() == "Anna"


async def test_a_user_whom_the_app_may_not_see_is_asked_for_again_after_an_hour(stage: Stage) -> None:
    assert await stage.name("ou_hidden") == ""
    stage.platform.person("ou_hidden", "Bo")
    assert await stage.name("ou_hidden") == ""
    stage.now = UNKNOWN + 1
    assert await stage.name("ou_hidden") == "Bo"


async def test_a_missing_permission_is_told_once_and_tried_again_after_an_hour(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "adapters.feishu")
    stage.platform.scopes.discard("contact:user.base:readonly")
    assert [await stage.name(user) for user in (USER, "ou_b", "ou_c")] == ["", "", ""]
    assert len(stage.platform.called("/contact/")) == 1
    stage.now = UNKNOWN + 1
    assert await stage.name() == ""
    assert [record.getMessage() for record in caplog.records if "contact:user.base" in record.getMessage()] == [
        "bot fs: the names of users are not looked up: a permission is missing: contact:user.base:readonly"
    ]
    stage.platform.scopes.add("contact:user.base:readonly")
    stage.now = 2 * UNKNOWN + 2
    assert await stage.name() == "Ann"


async def test_the_names_asked_for_last_are_kept(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.feishu.lookup.MOST", 2)
    for user in (USER, "ou_b", USER, "ou_c", USER, "ou_b"):
        stage.platform.person(user)
        await stage.name(user)
    asked = [call.path.rpartition("/")[2] for call in stage.platform.called("/contact/")]
    assert asked == [USER, "ou_b", "ou_c", "ou_b"]


async def test_the_other_names_do_not_suffer(stage: Stage) -> None:
    stage.platform.scopes.discard("contact:user.base:readonly")
    completed = await stage.lookup.complete(stage.message())
    assert (completed.user.name, completed.conversation.name) == ("", "Team")


@pytest.mark.parametrize("kind", ["502", "drop_before"])
async def test_a_failure_leaves_the_name_open_until_the_next_message(stage: Stage, kind: str) -> None:
    stage.platform.fault("/im/v1/chats/", kind, times=2)  # type: ignore[arg-type]
    assert await stage.place() == ""
    stage.platform.faults.clear()
    assert await stage.place() == "Team"


async def test_nobody_waits_long(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.feishu.lookup.PATIENCE", 0.05)
    gate = stage.platform.hold("/contact/")
    completed = await asyncio.wait_for(stage.lookup.complete(stage.message()), 5)
    gate.set()
    assert (completed.user.name, completed.conversation.name) == ("", "Team")


# ------------------------------------------------------------------ quotes


async def test_a_quoted_message_tells_its_words(stage: Stage) -> None:
    said = stage.platform.say("the old plan", stage.group, mention=True)
    assert (await stage.quote(said.message_id)).text == "@Helper the old plan"


async def test_a_quoted_picture_can_be_fetched(stage: Stage) -> None:
    sent = stage.platform.send_image(chat=stage.group)
    (image,) = (await stage.quote(sent.message_id)).attachments
    pieces = [piece async for piece in stage.api.open_file(*image.ref.split("/"))]
    assert b"".join(pieces) == PIXEL


async def test_a_merged_forward_is_told_line_by_line(stage: Stage) -> None:
    platform = stage.platform
    sent = platform.forward([platform.item("text", {"text": "first"}), platform.item("text", {"text": "second"})])
    assert (await stage.quote(sent.message_id)).text == f"{USER}: first\n{USER}: second"


async def test_of_our_own_cards_nothing_is_told(stage: Stage) -> None:
    card = {"schema": "2.0", "body": {"elements": [{"tag": "markdown", "content": "the answer"}]}}
    body = {"receive_id": stage.group, "msg_type": "interactive", "content": json.dumps(card)}
    sent = await stage.api.call("POST", "/open-apis/im/v1/messages", body, {"receive_id_type": "chat_id"})
    quote = Quote(sent["data"]["message_id"])
    assert await stage.quote(quote.id) == quote


async def test_what_was_recalled_or_never_was_stays_as_it_is(stage: Stage) -> None:
    said = stage.platform.say("secret", stage.group)
    stage.platform.recall(said.message_id)
    for message_id in (said.message_id, "om_unknown"):
        assert await stage.quote(message_id) == Quote(message_id)


async def test_without_the_permission_a_quote_stays_as_it_is(stage: Stage) -> None:
    said = stage.platform.say("words", stage.group)
    stage.platform.scopes.discard("im:message:readonly")
    assert await stage.quote(said.message_id) == Quote(said.message_id)
