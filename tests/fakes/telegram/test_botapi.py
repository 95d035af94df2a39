"""The fake Bot API as a bot meets it: over HTTP, by plain calls and by python-telegram-bot's own client and types."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from telegram import Bot, BotCommand, InlineKeyboardButton, InlineKeyboardMarkup, Message, MessageEntity, Update
from telegram.error import BadRequest, Conflict, EndPointNotFound, Forbidden, InvalidToken, NetworkError, RetryAfter

from tests.fakes.botapi import BotApi
from tests.fakes.telegram.client import Client, Clock, library_bot
from tests.fakes.telegram.rules import Json, Limit

GROUP = -100123


@pytest.fixture
async def ptb(api: BotApi, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bot]:
    monkeypatch.setenv("PTB_TIMEDELTA", "true")
    async with library_bot(api) as bot:
        yield bot


# ------------------------------------------------------------------ python-telegram-bot


async def test_ptb_sends_edits_and_deletes(api: BotApi, ptb: Bot) -> None:
    asked = api.say("hi", chat=7)
    markup = InlineKeyboardMarkup([[InlineKeyboardButton("⏹ Stop", callback_data="stop:1")]])
    sent = await ptb.send_message(7, "…", reply_markup=markup, reply_to_message_id=asked["message_id"])
    assert isinstance(sent, Message) and sent.from_user == ptb.bot and sent.date.year > 2000
    assert sent.reply_to_message is not None and sent.reply_to_message.text == "hi"
    edited = await ptb.edit_message_text("Hello", 7, sent.message_id, entities=[MessageEntity("bold", 0, 5)])
    assert isinstance(edited, Message) and edited.entities[0].type == "bold" and edited.edit_date is not None

    user, bot = api.screen(7)
    assert (user.text, user.from_bot) == ("hi", False)
    assert (bot.text, bot.from_bot, bot.edits, bot.reply_to) == ("Hello", True, 1, asked["message_id"])
    assert bot.buttons == []  # an edit that does not send the keyboard again drops it

    assert await ptb.delete_message(7, sent.message_id)
    assert [seen.text for seen in api.screen(7)] == ["hi"]


async def test_ptb_reads_every_kind_of_update(api: BotApi, ptb: Bot) -> None:
    await ptb.get_updates(allowed_updates=Update.ALL_TYPES)
    sent = await ptb.send_message(
        api.open(7).info["id"],
        "a",
        reply_markup=InlineKeyboardMarkup.from_button(InlineKeyboardButton("b", url="tg://x")),
    )
    asked = api.say("/new@my_bot x", chat=7)
    api.say("@my_bot hi", chat=GROUP, user=9, thread=5)
    api.edit(7, asked["message_id"], "again")
    api.press(7, sent.message_id, "tg://x")
    api.react(7, sent.message_id, "👍")
    api.block(7)
    command, mention, edited, press, reaction, block = await ptb.get_updates()

    assert command.message is not None and command.message.entities[0].type == "bot_command"
    assert mention.message is not None and mention.effective_user is not None and mention.effective_user.id == 9
    assert mention.message.is_topic_message and mention.message.message_thread_id == 5
    assert mention.message.reply_to_message is not None
    assert mention.message.reply_to_message.forum_topic_created is not None
    assert edited.edited_message is not None and edited.edited_message.text == "again"
    assert press.callback_query is not None and isinstance(press.callback_query.message, Message)
    assert press.callback_query.message.text == "a" and press.callback_query.message.message_id == sent.message_id
    assert reaction.message_reaction is not None and reaction.message_reaction.new_reaction[0].type == "emoji"
    assert block.my_chat_member is not None and block.my_chat_member.new_chat_member.status == "kicked"


async def test_ptb_does_the_rest(api: BotApi, ptb: Bot) -> None:
    asked = api.say("hi", chat=7)
    me = await ptb.get_me()
    assert (me.id, me.username, me.can_read_all_group_messages, me.has_topics_enabled) == (42, "my_bot", True, True)
    assert (await ptb.get_chat(7)).first_name == "User 7"
    assert await ptb.set_message_reaction(7, asked["message_id"], "👀")
    assert api.screen(7)[0].reaction == "👀"
    assert await ptb.set_my_commands([BotCommand("new", "start anew")], language_code="en")
    assert api.commands("en") == [{"command": "new", "description": "start anew"}] and api.commands() == []
    assert (await ptb.get_my_commands(language_code="en"))[0].command == "new"
    assert await ptb.send_message_draft(7, 5, "grow", api_kwargs={"can_stop": True})
    assert [(draft.text, draft.can_stop) for draft in api.drafts(7)] == [("grow", True)]

    api.press(7, 99, "x", stale=True)
    query = (await ptb.get_updates())[-1].callback_query
    assert query is not None and query.message is not None  # a deleted message has the date 0 and no content
    assert (query.message.message_id, query.message.date.timestamp()) == (99, 0)
    assert await query.answer("noted", show_alert=True)
    assert [(answer.text, answer.alert) for answer in api.answers()] == [("noted", True)]

    assert (await ptb.get_webhook_info()).url == ""
    file = await ptb.get_file(api.file(b"pixels"))
    assert file.file_size == 6 and await file.download_as_bytearray() == b"pixels"


async def test_ptb_raises_the_right_errors(api: BotApi, ptb: Bot) -> None:
    with pytest.raises(BadRequest, match="Chat not found"):
        await ptb.send_message(7, "hi")
    api.open(7)
    api.fail("sendMessage", 1, "429", seconds=3)
    with pytest.raises(RetryAfter, match="Retry in 0:00:03"):
        await ptb.send_message(7, "hi")
    for kind, error in (("500", NetworkError), ("502", NetworkError), ("entities", BadRequest)):
        api.fail("sendMessage", 1, kind)  # type: ignore[arg-type]
        with pytest.raises(error):
            await ptb.send_message(7, "hi")
    api.block(7)
    with pytest.raises(Forbidden, match="bot was blocked by the user"):
        await ptb.send_message(7, "hi")
    with pytest.raises(EndPointNotFound):
        await ptb.do_api_request("noSuchMethod", {"chat_id": 7})
    api.revoke()
    with pytest.raises(InvalidToken):
        await ptb.get_updates()


# ------------------------------------------------------------------ receiving


async def test_an_offset_confirms_and_everything_else_comes_again(api: BotApi, client: Client) -> None:
    for text in "abc":
        api.say(text)
    first = await client.ok("getUpdates")
    assert [update["message"]["text"] for update in first] == ["a", "b", "c"]
    assert await client.ok("getUpdates", limit=2) == first[:2]
    assert api.unconfirmed() == 3
    assert await client.ok("getUpdates", offset=first[1]["update_id"]) == first[1:]
    assert api.unconfirmed() == 2
    assert await client.ok("getUpdates", offset=-1) == first[2:]
    assert api.unconfirmed() == 1


async def test_a_long_poll_waits_for_an_update(api: BotApi, client: Client) -> None:
    poll = asyncio.create_task(client.ok("getUpdates", timeout=50))
    await api.until(api.polling)
    api.push({"update_id": 5, "message": {"chat": "poison"}})
    assert await poll == [{"update_id": 5, "message": {"chat": "poison"}}]


async def test_a_second_poller_ends_the_first(api: BotApi, client: Client, ptb: Bot) -> None:
    first = asyncio.create_task(ptb.get_updates(timeout=50))
    await api.until(api.polling)
    second = asyncio.create_task(client.ok("getUpdates", timeout=50))
    with pytest.raises(Conflict, match="terminated by other getUpdates request; make sure that only one bot instance"):
        await first
    api.say("hi")
    assert len(await second) == 1


async def test_only_the_kinds_asked_for_are_queued(api: BotApi, client: Client) -> None:
    number = api.say("hi")["message_id"]
    assert api.react(1, number, "👍") == 0
    await client.ok("getUpdates", allowed_updates=["message_reaction", "stopped_message_generation"])
    assert api.react(1, number, "") > 0
    api.say("not wanted")
    kinds = [list(update)[1] for update in await client.ok("getUpdates")]
    assert kinds == ["message", "message_reaction"]  # what was there before, stays
    await client.ok("getUpdates", allowed_updates=[])
    api.say("wanted again")
    assert api.unconfirmed() == 3


async def test_a_webhook_gets_the_updates_until_it_takes_them(api: BotApi, client: Client) -> None:
    got: list[tuple[str, str]] = []

    async def hook(request: web.BaseRequest) -> web.Response:
        update = await request.json()
        got.append((request.headers["X-Telegram-Bot-Api-Secret-Token"], update["message"]["text"]))
        return web.Response(status=500 if len(got) == 1 else 200)

    runner = web.ServerRunner(web.Server(hook))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/hooks/tg"
    try:
        api.webhook_retry = 0.0
        api.say("a")
        waiting = asyncio.create_task(client.call("getUpdates", offset=900_000_000, timeout=50))
        await api.until(api.polling)
        api.say("b")
        api.say("c")
        await waiting
        assert "400 " in await client.refused("setWebhook", url=url, secret_token="not allowed")
        await client.ok("setWebhook", url=url, secret_token="s3cret")
        await api.until(lambda: not api.unconfirmed())
        assert got == [("s3cret", "b"), ("s3cret", "b"), ("s3cret", "c")]
        assert "500" in (await client.ok("getWebhookInfo"))["last_error_message"]
        assert "can't use getUpdates method while webhook is active" in await client.refused("getUpdates")
        api.say("d")
        await api.until(lambda: not api.unconfirmed())
        assert got[3:] == [("s3cret", "d")]
    finally:
        await client.ok("deleteWebhook")
        await runner.cleanup()
    api.say("e")
    assert len(await client.ok("getUpdates")) == 1


async def test_every_bot_has_its_own_world(api: BotApi, client: Client) -> None:
    other = api.add_bot("43:b", username="quiet_bot", privacy=True)
    for text in ("hello", "@quiet_bot hello", "/new@my_bot", "/new"):
        api.say(text, chat=GROUP, token="43:b")
    assert api.unconfirmed() == 0 and api.unconfirmed("43:b") == 2  # privacy lets mentions and commands through
    assert len(api.screen(GROUP, "43:b")) == 4
    async with client.session.post(f"{api.url}/bot43:b/GETME") as response:
        me = (await response.json())["result"]
    assert (me["id"], me["username"], me["can_read_all_group_messages"]) == (43, other.user["username"], False)
    async with client.session.get(f"{api.url}/bot44:c/getMe") as response:
        assert (response.status, await response.json()) == (
            401,
            {"ok": False, "error_code": 401, "description": "Unauthorized"},
        )


async def test_an_outage_ends_with_everything_still_there(api: BotApi, client: Client) -> None:
    await api.stop()
    api.say("hi")
    with pytest.raises(aiohttp.ClientConnectorError):
        await client.call("getUpdates")
    await api.start()
    assert len(await client.ok("getUpdates")) == 1


# ------------------------------------------------------------------ strictness


@pytest.mark.parametrize(
    ("method", "params", "reason"),
    [
        ("sendMessage", {"text": "x"}, "400 Bad Request: chat_id is empty"),
        ("sendMessage", {"chat_id": 8, "text": "x"}, "400 Bad Request: chat not found"),
        ("sendMessage", {"chat_id": "@somebody", "text": "x"}, "400 Bad Request: chat not found"),
        ("sendMessage", {"chat_id": 7}, "400 Bad Request: message text is empty"),
        ("sendMessage", {"chat_id": 7, "text": " \n"}, "400 Bad Request: message text is empty"),
        ("sendMessage", {"chat_id": 7, "text": "😀" * 2049}, "400 Bad Request: message is too long"),
        ("sendMessage", {"chat_id": 7, "text": "x", "message_thread_id": 3}, "message thread not found"),
        ("sendMessage", {"chat_id": 7, "text": "x", "entities": "[{"}, "can't parse entities JSON object"),
        ("sendMessage", {"chat_id": 7, "text": "x", "parse_mode": "HTML"}, "501 Not Implemented"),
        ("sendMessage", {"chat_id": 7, "text": "x", "reply_parameters": {"message_id": 9}}, "replied not found"),
        ("editMessageText", {"chat_id": 7, "message_id": 9, "text": "x"}, "message to edit not found"),
        ("editMessageText", {"chat_id": 7, "message_id": 1, "text": "x"}, "message can't be edited"),
        ("editMessageText", {"chat_id": 7, "message_id": 2, "text": "字" * 4097}, "400 Bad Request: MESSAGE_TOO_LONG"),
        ("editMessageText", {"chat_id": 7, "message_id": 2, "text": ""}, "message text is empty"),
        ("editMessageText", {"chat_id": 7, "message_id": 2, "text": "answer\n"}, "message is not modified: specified"),
        ("editMessageReplyMarkup", {"chat_id": 7, "message_id": 2}, "message is not modified: specified"),
        ("editMessageText", {"chat_id": 7, "text": "x"}, "message identifier is not specified"),
        ("deleteMessage", {"chat_id": 7, "message_id": 9}, "message to delete not found"),
        ("deleteMessage", {"chat_id": GROUP, "message_id": 1}, "message can't be deleted"),
        ("sendMessageDraft", {"chat_id": GROUP, "draft_id": 1}, "400 Bad Request: TEXTDRAFT_PEER_INVALID"),
        ("sendMessageDraft", {"chat_id": 7, "draft_id": 0}, "400 Bad Request: RANDOM_ID_INVALID"),
        ("sendChatAction", {"chat_id": 7, "action": "thinking"}, "wrong parameter action in request"),
        ("setMessageReaction", {"chat_id": 7, "message_id": 9}, "message to react not found"),
        (
            "setMessageReaction",
            {"chat_id": 7, "message_id": 1, "reaction": [{"type": "emoji", "emoji": "✅"}]},
            "400 Bad Request: REACTION_INVALID",
        ),
        ("answerCallbackQuery", {"callback_query_id": "1"}, "query is too old"),
        ("setMyCommands", {"commands": [{"command": "New", "description": "x"}]}, "BOT_COMMAND_INVALID"),
        ("setMyCommands", {"commands": [{"command": "new", "description": ""}]}, "BOT_COMMAND_DESCRIPTION_INVALID"),
        ("getFile", {"file_id": "none"}, "wrong file_id"),
        ("sendDice", {"chat_id": 7}, "404 Not Found"),
    ],
)
async def test_what_the_platform_refuses(api: BotApi, client: Client, method: str, params: Json, reason: str) -> None:
    api.say("question", chat=7)
    api.say("question", chat=GROUP)
    await client.ok("sendMessage", chat_id=7, text="answer")
    before = api.screen(7)
    assert reason in await client.refused(method, **params)
    assert api.screen(7) == before and api.answers() == [] and api.drafts(7) == []


async def test_an_edit_counts_when_text_entities_or_keyboard_change(api: BotApi, client: Client) -> None:
    api.open(7)
    bold = [{"type": "bold", "offset": 0, "length": 1}]
    keyboard = {"inline_keyboard": [[{"text": "a", "callback_data": "b"}]]}
    message: Json = {"chat_id": 7, "text": "x" * 4096, "entities": bold, "reply_markup": keyboard}
    message["message_id"] = (await client.ok("sendMessage", **message))["message_id"]
    assert "not modified" in await client.refused("editMessageText", **message)
    for name, value in (("reply_markup", None), ("entities", []), ("text", "y")):
        message[name] = value
        await client.ok("editMessageText", **message)
        assert "not modified" in await client.refused("editMessageText", **message)
    assert api.screen(7)[0].edits == 3


async def test_forms_and_multipart_are_read_as_json_is(api: BotApi, client: Client) -> None:
    api.open(7)
    url = f"{api.url}/bot{api.token}/sendMessage"
    fields = {"chat_id": "7", "text": "字", "entities": '[{"type":"bold","offset":0,"length":1}]'}
    multipart = aiohttp.FormData(fields, default_to_multipart=True)
    for body in (fields, multipart):
        async with client.session.post(url, data=body) as response:
            assert response.status == 200
    async with client.session.get(url, params=fields) as response:
        assert response.status == 200
    one, two, three = api.screen(7)
    assert one.text == two.text == three.text == "字"
    assert one.entities == two.entities == three.entities == [{"type": "bold", "offset": 0, "length": 1}]
    async with client.session.post(url, data=b"{", headers={"Content-Type": "application/json"}) as response:
        assert response.status == 400


async def test_topics(api: BotApi, client: Client) -> None:
    asked = api.say("in a topic", chat=GROUP, thread=5)
    api.topic(GROUP, 1, name="General")
    assert asked["reply_to_message"]["forum_topic_created"] and api.open(GROUP).info["is_forum"]
    sent = await client.ok("sendMessage", chat_id=GROUP, text="x", reply_parameters={"message_id": asked["message_id"]})
    assert sent["message_thread_id"] == 5  # a reply goes where the message is
    assert "thread not found" in await client.refused("sendMessage", chat_id=GROUP, text="x", message_thread_id=1)
    await client.ok("sendChatAction", chat_id=GROUP, action="typing", message_thread_id=1)
    assert api.typing(GROUP) == "typing" and api.typing(GROUP, thread=5) == ""


async def test_message_ids_are_counted_per_group_and_over_all_private_chats(api: BotApi) -> None:
    numbers = [api.say("x", chat=chat)["message_id"] for chat in (7, 8, GROUP, GROUP - 1)]
    assert numbers == [1, 2, 1, 1]


# ------------------------------------------------------------------ call limits and faults


async def test_flood_control_is_by_chat_and_counts_every_call(api: BotApi, client: Client, clock: Clock) -> None:
    api.limit(private=Limit(calls=3, seconds=60, penalty=8, lengthen=2), group=Limit(calls=1, seconds=60, penalty=20))
    for chat in (7, 8, GROUP):
        api.open(chat)
    sent = await client.ok("sendMessage", chat_id=7, text="x")
    await client.ok("sendChatAction", chat_id=7, action="typing")
    await client.ok("sendMessageDraft", chat_id=7, draft_id=1, text="x")
    refused = await client.call("editMessageText", chat_id=7, message_id=sent["message_id"], text="y")
    assert refused == {
        "status": 429,
        "ok": False,
        "error_code": 429,
        "description": "Too Many Requests: retry after 8",
        "parameters": {"retry_after": 8},
    }
    await client.ok("setMessageReaction", chat_id=7, message_id=sent["message_id"])  # not of the chat's budget
    await client.ok("sendMessage", chat_id=8, text="x")
    await client.ok("sendMessage", chat_id=GROUP, text="x")
    assert "retry after 20" in await client.refused("sendMessage", chat_id=GROUP, text="x")
    clock.now += 5
    assert "retry after 5" in await client.refused("deleteMessage", chat_id=7, message_id=sent["message_id"])
    clock.now += 56
    await client.ok("editMessageText", chat_id=7, message_id=sent["message_id"], text="y")


async def test_a_bot_has_a_budget_over_all_chats(api: BotApi, client: Client, clock: Clock) -> None:
    api.limit(per_second=2)
    api.open(7)
    api.open(8)
    assert [(await client.call("sendMessage", chat_id=chat, text="x"))["status"] for chat in (7, 8, 8)] == [
        200,
        200,
        429,
    ]
    await client.ok("getUpdates")
    clock.now += 1
    await client.ok("sendMessage", chat_id=8, text="x")


async def test_scripted_faults(api: BotApi, client: Client) -> None:
    api.open(7)
    api.open(8)
    message = {"chat_id": 7, "text": "x"}
    api.fail("sendMessage", 2, "500", chat=7)
    api.fail("*", 1, "429", seconds=33, chat=7)
    api.fail("sendmessage", 1, "entities")
    await client.ok("sendChatAction", chat_id=8, action="typing")
    assert "500 " in await client.refused("sendMessage", **message)
    assert "500 " in await client.refused("sendMessage", **message)
    assert "retry after 33" in await client.refused("sendMessage", **message)
    assert "can't parse entities" in await client.refused("sendMessage", **message)
    api.fail("sendMessage", 1, "502")
    async with client.session.post(f"{api.url}/bot{api.token}/sendMessage", json=message) as response:
        assert (response.status, response.content_type) == (502, "text/html")
    api.fail("sendMessage", 1, "delay", seconds=0.01)
    await client.ok("sendMessage", **message)
    assert len(api.screen(7)) == 1
    assert [call.status for call in api.history if call.method == "sendMessage"] == [500, 500, 429, 400, 502, 200]
    api.fail("sendMessage", 1, "delay", seconds=30)
    waiting = asyncio.create_task(client.call("sendMessage", **message))
    await api.until(lambda: api.counts["sendMessage"] == 7)
    waiting.cancel()
    assert api.history[-1].status == 0 and len(api.screen(7)) == 1
    for method, kind in (("sendMesage", "500"), ("sendMessage", "503")):
        with pytest.raises(ValueError, match="no such"):
            api.fail(method, 1, kind)  # type: ignore[arg-type]


async def test_a_dropped_connection_tells_nothing_about_the_call(api: BotApi, client: Client) -> None:
    api.open(7)
    for kind, shown in (("drop_before", 0), ("drop_after", 1)):
        api.fail("sendMessage", 1, kind)  # type: ignore[arg-type]
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await client.call("sendMessage", chat_id=7, text="x")
        assert len(api.screen(7)) == shown
    assert [call.status for call in api.history] == [0, 0]
    await client.ok("sendMessage", chat_id=7, text="x")


# ------------------------------------------------------------------ the test's side


async def test_a_press_needs_its_button(api: BotApi, client: Client) -> None:
    api.open(GROUP)
    rows = [[{"text": "⏹ Stop", "callback_data": "stop:1"}, {"text": "Copy", "copy_text": {"text": "code"}}]]
    sent = await client.ok("sendMessage", chat_id=GROUP, text="x", reply_markup={"inline_keyboard": rows})
    (seen,) = api.screen(GROUP)
    assert seen.buttons == [[("⏹ Stop", "stop:1"), ("Copy", "code")]]
    with pytest.raises(LookupError, match="no button 'stop:2'"):
        api.press(GROUP, sent["message_id"], "stop:2")
    with pytest.raises(LookupError, match="no button 'Go'"):
        seen.button("Go")
    query = api.press(GROUP, sent["message_id"], seen.button("Stop"), user=9)
    assert query["from"]["id"] == 9 and query["message"] == sent
    await client.ok("answerCallbackQuery", callback_query_id=query["id"], text="stopped")
    assert api.answers()[0].text == "stopped"


async def test_typing_ends_by_time_and_by_a_message(api: BotApi, client: Client, clock: Clock) -> None:
    api.open(7)
    await client.ok("sendChatAction", chat_id=7, action="typing")
    assert api.typing(7) == "typing"
    clock.now += 5
    assert api.typing(7) == ""
    await client.ok("sendChatAction", chat_id=7, action="typing")
    await client.ok("sendMessage", chat_id=7, text="x")
    assert api.typing(7) == ""


async def test_drafts_end_by_time_by_a_message_and_by_the_stop_button(
    api: BotApi, client: Client, clock: Clock
) -> None:
    api.open(7)
    await client.ok("sendMessageDraft", chat_id=7, draft_id=1, text="gro")
    await client.ok("sendMessageDraft", chat_id=7, draft_id=1, text="grow")
    assert [draft.text for draft in api.drafts(7)] == ["grow"]
    with pytest.raises(LookupError, match="no draft that can be stopped"):
        api.stop_draft(7)
    clock.now += 30
    assert api.drafts(7) == []
    await client.ok("sendMessageDraft", chat_id=7, draft_id=2, can_stop=True)
    api.stop_draft(7)
    assert api.drafts(7) == []
    (update,) = await client.ok("getUpdates")
    assert update["stopped_message_generation"] == {"chat": api.open(7).info, "draft_id": 2}
    await client.ok("sendMessageDraft", chat_id=7, draft_id=3, text="x")
    await client.ok("sendMessage", chat_id=7, text="x")
    assert api.drafts(7) == []


async def test_a_wait_in_vain_shows_the_screen(api: BotApi, client: Client) -> None:
    api.say("hi", chat=7)
    await client.ok("sendMessage", chat_id=7, text="Hello")
    with pytest.raises(TimeoutError, match=r"(?s)chat 7:.*#1 user: 'hi'.*#2 bot, 0 edits: 'Hello'.*sendMessage 200"):
        await api.until(lambda: False, timeout=0)


async def test_the_history_can_be_bounded_and_bare() -> None:
    async with BotApi(history=2, bodies=False) as api, aiohttp.ClientSession() as session:
        for _ in range(3):
            await Client(api, session).ok("getMe")
        assert api.counts["getMe"] == 3
        assert [(call.method, call.body) for call in api.history] == [("getMe", None)] * 2


async def test_a_text_too_long_for_one_message_cannot_be_said(api: BotApi) -> None:
    with pytest.raises(ValueError, match="as several messages"):
        api.say("😀" * 2049)
    assert api.screen() == [] and api.unconfirmed() == 0


async def test_the_program_is_driven_over_http() -> None:
    program = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.fakes.botapi",
        "--lifetime=60",
        cwd=Path(__file__).parents[3],
        stdout=asyncio.subprocess.PIPE,
    )
    assert program.stdout is not None
    try:
        url = (await program.stdout.readline()).decode().strip()
        async with aiohttp.ClientSession(url) as session:

            async def control(name: str, **arguments: Any) -> Any:
                async with session.post(f"/_control/{name}", json=arguments) as response:
                    return await response.json()

            said = await control("say", text="hi", chat=7)
            assert said["text"] == "hi" and await control("unconfirmed") == 1
            await control("limit", private={"calls": 1, "seconds": 60, "penalty": 9})
            waiting = asyncio.create_task(control("wait_text", chat=7, text="Hello"))
            async with session.post("/bot42:test/sendMessage", json={"chat_id": 7, "text": "Hello"}) as response:
                assert response.status == 200
            assert [seen["text"] for seen in await waiting] == ["hi", "Hello"]
            async with session.post("/bot42:test/sendMessage", json={"chat_id": 7, "text": "more"}) as response:
                assert (await response.json())["parameters"] == {"retry_after": 9}
            assert await control("wait_calls", method="sendMessage", count=2) == 2
            assert [call["status"] for call in await control("history", last=2)] == [200, 429]
            assert "chat 7" in (await control("wait_text", chat=7, text="never", timeout=0))["error"]
            photo = {"type": "photo", "data": "/9j/", "unknown": "is ignored"}
            assert (await control("send", item=photo, chat=7, caption="this"))["caption"] == "this"
            assert (await control("screen", chat=7))[-1]["data"] == "/9j/"  # bytes are base64 both ways
            file_id = await control("file", data="cGl4ZWxz", path="p/x.bin")
            async with session.get("/file/bot42:test/p/x.bin") as response:
                assert (file_id, await response.read()) == ("file4", b"pixels")
            assert (await control("open", chat=-5, type="group"))["type"] == "group"
            new = await control("migrate", chat=-5)
            assert (await control("screen", chat=new))[0]["from_bot"] is False
            await control("unknown", methods=["sendMessage"])
            async with session.post("/bot42:test/sendMessage", json={"chat_id": 7, "text": "more"}) as response:
                assert response.status == 404
            for name, arguments in (
                ("send", {"item": {"type": "moon"}}),
                ("file", {"data": "?"}),
                ("shout", {}),
                ("say", {"texts": "x"}),
                ("limit", {"private": {}}),
            ):
                assert "Error" in (await control(name, **arguments))["error"]
    finally:
        program.send_signal(signal.SIGTERM)
        assert await program.wait() == 0
