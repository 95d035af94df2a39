"""What the events of Feishu do not tell: names, quoted messages, merged forwards."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator

import pytest

from adapters.feishu.account import Account
from adapters.feishu.api import Api
from adapters.feishu.codes import PUBLISH
from adapters.feishu.lookup import KNOWN, PAUSE, UNKNOWN, Lookup
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
    stage.platform.scopes.discard("contact:contact.base:readonly")
    assert [await stage.name(user) for user in (USER, "ou_b", "ou_c")] == ["", "", ""]
    assert len(stage.platform.called("/contact/")) == 1
    stage.now = UNKNOWN + 1
    assert await stage.name() == ""
    (record,) = [record for record in caplog.records if "contact:contact.base:readonly" in record.getMessage()]
    assert record.levelno == logging.INFO, "a bot can do without"
    assert record.getMessage().startswith("bot fs: the names of users are not looked up: a permission is missing: ")
    stage.platform.scopes.add("contact:contact.base:readonly")
    stage.now = 2 * UNKNOWN + 2
    assert await stage.name() == "Ann"


async def test_the_names_asked_for_last_are_kept(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.feishu.lookup.MOST", 2)
    for user in (USER, "ou_b", USER, "ou_c", USER, "ou_b"):
        stage.platform.person(user)
        await stage.name(user)
    asked = [call.path.rpartition("/")[2] for call in stage.platform.called("/contact/")]
    assert asked == [USER, "ou_b", "ou_c", "ou_b"]


@pytest.mark.parametrize("scope", ["contact:contact.base:readonly", "contact:user.base:readonly"])
async def test_without_one_of_the_two_permissions_users_have_no_names_and_groups_do(stage: Stage, scope: str) -> None:
    stage.platform.scopes.discard(scope)
    completed = await stage.lookup.complete(stage.message())
    assert (completed.user.name, completed.conversation.name) == ("", "Team")


async def test_a_failure_leaves_names_open_for_a_minute_without_asking(stage: Stage) -> None:
    stage.platform.fault("/contact/", "502")
    assert await stage.name() == ""
    stage.platform.person("ou_b", "Bo")
    stage.now = PAUSE - 1
    assert await stage.name("ou_b") == ""
    assert len(stage.platform.called("/contact/")) == 1
    stage.now = PAUSE + 1
    assert [await stage.name(), await stage.name("ou_b")] == ["Ann", "Bo"]


@pytest.mark.parametrize("kind", ["drop_before", "limit"])
async def test_any_trouble_makes_a_pause_for_the_names_that_had_it(stage: Stage, kind: str) -> None:
    if kind == "limit":
        stage.platform.fail("/im/v1/chats/", 99991400, status=429)
    else:
        stage.platform.fault("/im/v1/chats/", kind, times=2)  # type: ignore[arg-type]
    assert await stage.place() == ""
    stage.platform.faults.clear()
    completed = await stage.lookup.complete(stage.message())
    assert (completed.user.name, completed.conversation.name) == ("Ann", "")
    stage.now = PAUSE + 1
    assert await stage.place() == "Team"


async def test_an_unknown_user_makes_no_pause_for_the_others(stage: Stage) -> None:
    assert [await stage.name("ou_hidden"), await stage.name()] == ["", "Ann"]


async def test_nobody_waits_long_and_the_next_not_at_all(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.feishu.lookup.NAME_PATIENCE", 0.05)
    lookup = Lookup(stage.account, lambda: stage.now)
    gate = stage.platform.hold("/contact/", times=2)
    assert (await asyncio.wait_for(lookup.complete(stage.message()), 5)).user.name == ""
    await asyncio.wait_for(lookup.complete(stage.message(user="ou_b")), 5)
    gate.set()
    assert len(stage.platform.called("/contact/")) == 1


async def test_all_who_want_a_name_at_once_share_one_call(stage: Stage) -> None:
    gate = stage.platform.hold("/contact/")
    first, *others = [asyncio.create_task(stage.name()) for _ in range(20)]
    await stage.platform.until(lambda: stage.platform.called("/contact/"))
    first.cancel()
    await asyncio.wait([first])
    gate.set()
    assert await asyncio.gather(*others) == ["Ann"] * 19
    assert first.cancelled()
    assert len(stage.platform.called("/contact/")) == 1


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


async def test_without_the_permission_a_quote_stays_as_it_is_and_the_operator_is_told_once(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    said = stage.platform.say("words", stage.group)
    stage.platform.scopes.discard("im:message:readonly")
    for _ in range(2):
        assert await stage.quote(said.message_id) == Quote(said.message_id)
        stage.now += UNKNOWN + 1
    (told,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert told.startswith("bot fs: quoted and forwarded messages are not looked up: a permission is missing: ")
    assert "im:message:readonly" in told
    assert told.endswith(PUBLISH)
