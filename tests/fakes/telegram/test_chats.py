"""Kinds of chats and of senders, what becomes of chats, and servers of other ages."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fakes.botapi import BotApi
from tests.fakes.telegram.chat import bot_of
from tests.fakes.telegram.client import Client, Clock
from tests.fakes.telegram.items import Photo
from tests.fakes.telegram.rules import Json

BASIC, GROUP, FORUM, CHANNEL = -5, -100123, -100124, -100200


async def received(client: Client) -> list[tuple[str, Any]]:
    """The waiting updates, confirmed: (kind, content)."""
    updates = await client.ok("getUpdates")
    if updates:
        await client.ok("getUpdates", offset=updates[-1]["update_id"] + 1)
    return [(kind, value) for update in updates for kind, value in update.items() if kind != "update_id"]


# ------------------------------------------------------------------ who writes where


async def test_a_topic_of_a_private_chat(api: BotApi, client: Client) -> None:
    asked = api.say("hi", chat=7, thread=5)
    assert asked["is_topic_message"] is True and asked["message_thread_id"] == 5 and "reply_to_message" not in asked
    sent = await client.ok("sendMessage", chat_id=7, text="x", reply_parameters={"message_id": asked["message_id"]})
    assert (sent["message_thread_id"], sent["is_topic_message"]) == (5, True)


async def test_the_general_topic_of_a_forum_has_no_number(api: BotApi, client: Client) -> None:
    asked = api.say("hi", chat=FORUM, thread=1)
    assert asked["chat"]["is_forum"] is True
    assert not {"message_thread_id", "is_topic_message", "reply_to_message"} & asked.keys()
    assert "thread not found" in await client.refused("sendMessage", chat_id=FORUM, text="x", message_thread_id=1)
    sent = await client.ok("sendMessage", chat_id=FORUM, text="x", reply_parameters={"message_id": asked["message_id"]})
    assert "message_thread_id" not in sent
    topic = api.say("hi", chat=FORUM, thread=9)
    assert topic["reply_to_message"]["forum_topic_created"]
    reply = api.say("hi", chat=FORUM, reply_to=topic["message_id"])  # a reply is where the other message is
    assert (reply["message_thread_id"], reply["is_topic_message"]) == (9, True)
    reply = api.say("hi", chat=FORUM, thread=9, reply_to=topic["message_id"])
    assert reply["reply_to_message"]["message_id"] == topic["message_id"]


async def test_a_reply_in_a_supergroup_has_a_thread_that_is_no_topic(api: BotApi, client: Client) -> None:
    first = api.say("one", chat=GROUP)
    second = api.say("two", chat=GROUP, reply_to=first["message_id"], quote="n")
    third = api.say("three", chat=GROUP, reply_to=second["message_id"])
    assert second["quote"] == {"text": "n", "position": 1, "is_manual": True}
    assert "reply_to_message" not in third["reply_to_message"]
    sent = await client.ok("sendMessage", chat_id=GROUP, text="x", reply_parameters={"message_id": third["message_id"]})
    for message in (second, third, sent):
        assert message["message_thread_id"] == first["message_id"] and "is_topic_message" not in message
    wrong = {"message_id": third["message_id"], "quote": "four"}
    assert "QUOTE_TEXT_INVALID" in await client.refused("sendMessage", chat_id=GROUP, text="x", reply_parameters=wrong)
    api.open(BASIC, type="group")
    for chat in (BASIC, 7):
        plain = api.say("one", chat=chat)
        assert "message_thread_id" not in api.say("two", chat=chat, reply_to=plain["message_id"])


async def test_a_channel_has_posts_and_nobody_in_from(api: BotApi, client: Client) -> None:
    api.open(CHANNEL, type="channel")
    post = api.say("news @my_bot", chat=CHANNEL, author_signature="Ed")
    api.send(Photo(), chat=CHANNEL, caption="a picure")
    photo = api.screen(CHANNEL)[-1]
    api.edit(CHANNEL, photo.message_id, "a picture")
    sent = await client.ok("sendMessage", chat_id=CHANNEL, text="x")
    for message in (post, sent):
        assert "from" not in message and message["sender_chat"] == message["chat"] == api.open(CHANNEL).info
    assert [seen.from_bot for seen in api.screen(CHANNEL)] == [False, False, True]
    kinds = await received(client)
    assert [kind for kind, _ in kinds] == ["channel_post", "channel_post", "edited_channel_post"]
    assert kinds[0][1]["author_signature"] == "Ed"
    assert (kinds[2][1]["caption"], kinds[2][1]["edit_date"] > 0) == ("a picture", True)
    assert "TEXTDRAFT_PEER_INVALID" in await client.refused("sendMessageDraft", chat_id=CHANNEL, draft_id=1, text="x")


async def test_a_linked_channel_posts_into_its_group_and_people_comment(api: BotApi, client: Client) -> None:
    post = api.linked_post("news #1 @my_bot", GROUP, CHANNEL, signature="Ed")
    assert post["from"]["id"] == 777000 and post["is_automatic_forward"] is True
    assert post["sender_chat"] == post["forward_origin"]["chat"] and post["sender_chat"]["type"] == "channel"
    comment = api.say("nice", chat=GROUP, reply_to=post["message_id"])
    assert comment["message_thread_id"] == post["message_id"] and "is_topic_message" not in comment
    assert comment["reply_to_message"]["is_automatic_forward"] is True
    assert [kind for kind, _ in await received(client)] == ["message", "message"]


async def test_masks_and_machines(api: BotApi) -> None:
    admin = api.say("hi", chat=GROUP, as_chat=GROUP, author_signature="boss")
    assert (admin["from"]["id"], admin["sender_chat"]["id"]) == (1087968824, GROUP)
    channel = api.say("hi", chat=GROUP, as_chat=CHANNEL)
    assert (channel["from"]["id"], channel["sender_chat"]["id"]) == (136817688, CHANNEL)
    assert channel["sender_chat"]["type"] == "channel"
    other = bot_of(4300, "search_bot")
    assert api.say("hi", chat=GROUP, user=other)["from"]["is_bot"] is True
    assert api.say("hi", chat=GROUP, via_bot=other)["via_bot"] == other
    assert not any(seen.from_bot for seen in api.screen(GROUP))


async def test_privacy_holds_back_edits_but_no_service_messages(api: BotApi) -> None:
    api.add_bot("43:b", username="quiet_bot", privacy=True)
    number = api.say("hello", chat=GROUP, token="43:b")["message_id"]
    api.edit(GROUP, number, "hello!", token="43:b")
    assert api.unconfirmed("43:b") == 0
    api.edit(GROUP, number, "hello @quiet_bot", token="43:b")
    api.joined(GROUP, token="43:b")
    assert api.unconfirmed("43:b") == 2


# ------------------------------------------------------------------ what becomes of chats


async def test_the_bot_comes_and_goes(api: BotApi, client: Client) -> None:
    api.member(GROUP, "member", user=9)
    api.member(GROUP, "administrator", user=9)
    api.member(GROUP, "left", user=9)
    api.member(BASIC, "member", type="group")
    assert api.open(BASIC).kind == "group"
    refused = await client.refused("sendMessage", chat_id=GROUP, text="x")
    assert refused == "403 Forbidden: bot is not a member of the supergroup chat"
    api.open(CHANNEL, type="channel")
    api.member(CHANNEL, "kicked")
    refused = await client.refused("sendMessage", chat_id=CHANNEL, text="x")
    assert refused == "403 Forbidden: bot was kicked from the channel"
    changes = [
        (value["old_chat_member"]["status"], value["new_chat_member"]["status"])
        if kind == "my_chat_member"
        else value["new_chat_members"][0]["username"]
        for kind, value in await received(client)
    ]
    assert changes == [
        ("left", "member"),
        "my_bot",
        ("member", "administrator"),
        ("administrator", "left"),
        ("left", "member"),
        "my_bot",
        ("member", "kicked"),
    ]


async def test_a_user_blocks_the_bot_and_lets_it_in_again(api: BotApi, client: Client) -> None:
    api.block(7)
    assert "bot was blocked by the user" in await client.refused("sendPhoto", chat_id=7, photo="x")
    api.block(7, False)
    await client.ok("sendMessage", chat_id=7, text="x")
    statuses = [value["new_chat_member"]["status"] for _, value in await received(client)]
    assert statuses == ["kicked", "member"]


async def test_a_group_becomes_a_supergroup(api: BotApi, client: Client) -> None:
    api.open(BASIC, type="group", title="Book club")
    asked = api.say("@my_bot hi", chat=BASIC)
    assert api.say("hi", chat=7)["message_id"] == asked["message_id"] + 1  # basic groups share the count of messages
    late = api.say("later", chat=BASIC)["message_id"]
    new = api.migrate(BASIC)
    (_, to), (_, since) = (await received(client))[-2:]
    assert (to["chat"]["id"], to["migrate_to_chat_id"]) == (BASIC, new)
    assert (since["chat"]["id"], since["migrate_from_chat_id"], since["message_id"]) == (new, BASIC, 1)
    assert since["chat"] == {"id": new, "type": "supergroup", "title": "Book club"}
    for method, params in (("sendMessage", {"text": "x"}), ("sendChatAction", {"action": "typing"}), ("getChat", {})):
        answer = await client.call(method, chat_id=BASIC, **params)
        assert answer == {
            "status": 400,
            "ok": False,
            "error_code": 400,
            "description": "Bad Request: group chat was upgraded to a supergroup chat",
            "parameters": {"migrate_to_chat_id": new},
        }
    gone: Json = {"chat_id": new, "text": "x", "reply_parameters": {"message_id": late}}
    assert "replied not found" in await client.refused("sendMessage", **gone)
    await client.ok("sendMessage", chat_id=new, text="x")
    with pytest.raises(ValueError, match="nobody can write here"):
        api.say("hi", chat=BASIC)
    with pytest.raises(ValueError, match="only a basic group"):
        api.migrate(new)


# ------------------------------------------------------------------ drafts, and servers of other ages


async def test_the_stop_button_is_there_when_the_bot_wants_it(api: BotApi, client: Client) -> None:
    api.open(7)
    api.topic(7, 5)
    await client.ok("sendMessageDraft", chat_id=7, message_thread_id=5, draft_id=9, text="a", can_stop=True)
    assert api.stop_draft(7, thread=5) > 0 and api.drafts(7) == []
    assert await received(client) == [
        ("stopped_message_generation", {"chat": api.open(7).info, "draft_id": 9, "message_thread_id": 5})
    ]
    await client.ok("getUpdates", allowed_updates=["message"])
    await client.ok("sendMessageDraft", chat_id=7, draft_id=9, text="a", can_stop=True, keep_on_stop=True)
    assert api.stop_draft(7) == 0 and api.unconfirmed() == 0  # not among the kinds that the bot has asked for
    assert [draft.text for draft in api.drafts(7)] == ["a"]
    long = await client.refused("sendMessageDraft", chat_id=7, draft_id=9, text="😀" * 2049)
    assert long == "400 Bad Request: MESSAGE_TOO_LONG"


async def test_a_file_closes_a_draft_and_time_does(api: BotApi, client: Client, clock: Clock) -> None:
    api.open(7)
    await client.ok("sendMessageDraft", chat_id=7, draft_id=9, text="a")
    clock.now += 29
    await client.ok("sendMessageDraft", chat_id=7, draft_id=9, text="a")
    clock.now += 29
    assert api.drafts(7)
    clock.now += 1
    assert api.drafts(7) == []
    await client.ok("sendMessageDraft", chat_id=7, draft_id=9, text="a")
    await client.ok("sendDocument", chat_id=7, document=api.file(b"x"))
    assert api.drafts(7) == []


async def test_servers_of_other_ages(api: BotApi, client: Client) -> None:
    api.open(7)
    draft: Json = {"chat_id": 7, "draft_id": 1, "can_stop": True}
    api.version = (10, 2)
    await client.ok("sendMessageDraft", **draft)
    with pytest.raises(LookupError, match="no draft that can be stopped"):
        api.stop_draft(7)
    api.version = (9, 5)
    assert "message text is empty" in await client.refused("sendMessageDraft", **draft)
    await client.ok("sendMessageDraft", **draft, text="x")
    api.version = (9, 2)
    assert await client.refused("sendMessageDraft", **draft, text="x") == "404 Not Found"
    api.unknown("sendchataction")
    answer = await client.call("sendChatAction", chat_id=7, action="typing")
    assert answer == {"status": 404, "ok": False, "error_code": 404, "description": "Not Found"}
    with pytest.raises(ValueError, match="no such method"):
        api.unknown("sendMesage")
