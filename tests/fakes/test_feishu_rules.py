"""The rules of the fake open platform: what it takes, what it refuses, and with which code."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.fakes.feishu import PIXEL, USER, OpenPlatform
from tests.fakes.feishu.client import CARDS, MESSAGES, Client, button, card, compact, markdown
from tests.fakes.feishu.rules import Json

TABLE = "| a | b |\n| --- | --- |\n| 1 | 2 |\n"
TEN_MINUTES = 600.0


@pytest.fixture
async def platform() -> AsyncIterator[OpenPlatform]:
    async with OpenPlatform() as server:
        yield server
        assert server.complaints == []


@pytest.fixture
async def client(platform: OpenPlatform) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as session:
        plain = Client(platform, session)
        await plain.login()
        yield plain


# ------------------------------------------------------------------ tokens, permissions, limits


async def test_a_token_lasts_two_hours_and_has_a_successor_in_its_last_half(
    platform: OpenPlatform, client: Client
) -> None:
    first = client.token
    platform.clock.advance(5000)
    assert await client.login() == first
    platform.clock.advance(500)
    second = await client.login()
    assert second != first
    for client.token in (first, second):
        assert (await client.call("GET", "bot/v3/info"))["bot"]["open_id"] == platform.open_id
    platform.clock.advance(1800)
    client.token = first
    assert await client.code("GET", "bot/v3/info") == 99991663
    client.token = second
    assert await client.code("GET", "bot/v3/info") == 0


@pytest.mark.parametrize(
    ("app", "code"), [({"app_secret": "wrong"}, 10014), ({"app_id": "cli_0000000000000000"}, 10003)]
)
async def test_wrong_credentials_get_no_token(platform: OpenPlatform, client: Client, app: Json, code: int) -> None:
    body = {"app_id": platform.app_id, "app_secret": platform.app_secret, **app}
    answer = await client.call("POST", "auth/v3/tenant_access_token/internal", body)
    assert answer["code"] == code and "tenant_access_token" not in answer
    assert platform.app_secret not in str(platform.calls)


async def test_a_missing_permission_is_named_in_the_refusal(platform: OpenPlatform, client: Client) -> None:
    platform.scopes.discard("cardkit:card:write")
    answer = await client.call("POST", CARDS, {"type": "card_json", "data": compact(card())})
    assert (client.status, answer["code"]) == (400, 99991672)
    assert "One of the following scopes is required: [cardkit:card:write]." in answer["msg"]
    granted = (await client.data("GET", "application/v6/scopes"))["scopes"]
    assert {scope["scope_name"] for scope in granted} == platform.scopes


async def test_the_months_quota_counts_every_call_but_tokens(platform: OpenPlatform, client: Client) -> None:
    platform.quota = 1
    await client.login()
    assert await client.code("GET", "bot/v3/info") == 0
    assert await client.code("GET", "bot/v3/info") == 99991403


async def test_an_api_takes_fifty_calls_a_second_and_a_thousand_a_minute(
    platform: OpenPlatform, client: Client
) -> None:
    taken = 0
    for _ in range(21):
        platform.clock.advance(1)
        taken += sum([await client.code("GET", "bot/v3/info") == 0 for _ in range(51)])
    assert taken == 1000
    assert await client.code("GET", "bot/v3/info") == 99991400
    assert client.status == 429 and 30 <= int(client.headers["x-ogw-ratelimit-reset"]) <= 60
    platform.api_limits = ()
    assert await client.code("GET", "bot/v3/info") == 0


async def test_a_chat_takes_five_messages_a_second(platform: OpenPlatform, client: Client) -> None:
    codes = [await client.send("text", {"text": "hi"}) for _ in range(6)]
    assert codes == [0] * 5 + [230020] and len(platform.answers()) == 5
    assert await client.send("text", {"text": "hi"}, platform.group()) == 0
    platform.clock.advance(1)
    assert await client.send("text", {"text": "hi"}) == 0


# ------------------------------------------------------------------ messages


async def test_a_uuid_gives_the_first_message_again_for_an_hour(platform: OpenPlatform, client: Client) -> None:
    for _ in range(2):
        assert await client.send("text", {"text": "once"}, uuid="u1") == 0
    assert len(platform.answers()) == 1
    platform.clock.advance(3601)
    assert await client.send("text", {"text": "once"}, uuid="u1") == 0
    assert len(platform.answers()) == 2
    assert await client.send("text", {"text": "x"}, uuid="u" * 51) == 99992402


async def test_a_text_is_edited_twenty_times(platform: OpenPlatform, client: Client) -> None:
    await client.send("text", {"text": "0"})
    path = f"{MESSAGES}/{platform.answers()[0].message_id}"
    codes = [
        await client.code("PUT", path, {"msg_type": "text", "content": compact({"text": str(n)})}) for n in range(1, 22)
    ]
    assert codes == [0] * 20 + [230072]
    assert (platform.answers()[0].text, platform.answers()[0].edits) == ("20", 20)


async def test_the_card_of_a_message_is_updated_five_times_a_second(platform: OpenPlatform, client: Client) -> None:
    await client.send("interactive", card(markdown("0")))
    path = f"{MESSAGES}/{platform.answers()[0].message_id}"
    codes = [await client.code("PATCH", path, {"content": compact(card(markdown(str(n))))}) for n in range(1, 7)]
    assert codes == [0] * 5 + [230020] and platform.answers()[0].text == "5"
    of_entity = await client.show(await client.make(card()))
    assert await client.code("PATCH", f"{MESSAGES}/{of_entity}", {"content": compact(card())}) == 230099
    platform.clock.advance(14 * 86400 + 1)
    await client.login()
    assert await client.code("PATCH", path, {"content": compact(card())}) == 230031


async def test_a_withdrawn_message_is_neither_answered_nor_changed(platform: OpenPlatform, client: Client) -> None:
    asked = platform.say("hi")
    platform.recall(asked.message_id)
    text = {"msg_type": "text", "content": compact({"text": "hi"})}
    assert await client.code("POST", f"{MESSAGES}/{asked.message_id}/reply", text) == 230011
    assert await client.code("POST", f"{MESSAGES}/om_unknown/reply", text) == 230011
    await client.send("text", {"text": "hi"})
    mine = f"{MESSAGES}/{platform.answers()[0].message_id}"
    assert await client.code("DELETE", mine) == 0
    assert await client.code("PUT", mine, text) == 231003
    assert platform.answers() == [] and [seen.deleted for seen in platform.screen()] == [True, True]


async def test_a_bot_that_was_removed_cannot_write(platform: OpenPlatform, client: Client) -> None:
    team = platform.group()
    platform.remove_bot(team)
    assert await client.send("text", {"text": "hi"}, team) == 230002


async def test_replies_stand_in_the_thread_of_what_they_answer(platform: OpenPlatform, client: Client) -> None:
    topics, plain = platform.group(topics=True), platform.group()
    text = {"msg_type": "text", "content": compact({"text": "hi"})}
    for chat, in_thread in ((topics, False), (plain, True), (plain, False)):
        asked = platform.say("hi", chat, mention=True)
        await client.data("POST", f"{MESSAGES}/{asked.message_id}/reply", {**text, "reply_in_thread": in_thread})
        answer = platform.answers(chat)[-1]
        assert answer.reply_to == asked.message_id
        assert answer.thread == next(seen.thread for seen in platform.screen(chat) if not seen.from_bot and
                                     seen.message_id == asked.message_id)  # fmt: skip
        assert bool(answer.thread) == (chat == topics or in_thread)


@pytest.mark.parametrize(
    ("kind", "content", "code"),
    [
        ("text", {"text": "字" * 51_200}, 230025),
        ("text", {"text": "字" * 51_000}, 0),
        ("text", {"text": ""}, 230001),
        ("post", {"zh_cn": {"content": [[{"tag": "text", "text": "x" * 30_720}]]}}, 230025),
        ("post", {"zh_cn": {"content": [[{"tag": "md", "text": "**x**"}]]}}, 0),
        ("post", {"content": [[{"tag": "text", "text": "x"}]]}, 230001),
        ("post", {"zh_cn": {"content": [[{"tag": "table"}]]}}, 230001),
        ("image", {"image_key": "img_unknown"}, 230055),
        ("interactive", card(markdown("x" * 30_720)), 230025),
        ("interactive", card(markdown(TABLE), markdown(TABLE * 4, "md2")), 0),
        ("interactive", {"schema": "2.0", "elements": []}, 230099),
        ("interactive", {"type": "card", "data": {"card_id": "1"}}, 230099),
    ],
)
async def test_contents_are_checked(client: Client, kind: str, content: Any, code: int) -> None:
    assert await client.send(kind, content) == code


async def test_the_content_of_a_card_is_not_given_back(platform: OpenPlatform, client: Client) -> None:
    message_id = await client.show(await client.make(card(markdown("secret"))))
    items = (await client.data("GET", f"{MESSAGES}/{message_id}"))["items"]
    assert "secret" not in str(items) and items[0]["sender"]["sender_type"] == "app"
    forward = platform.forward([platform.item("text", {"text": "one"}), platform.item("text", {"text": "two"})])
    parent, *children = (await client.data("GET", f"{MESSAGES}/{forward.message_id}"))["items"]
    assert {child["upper_message_id"] for child in children} == {parent["message_id"]}
    assert [json.loads(child["body"]["content"])["text"] for child in children] == ["one", "two"]


# ------------------------------------------------------------------ CardKit


async def test_the_sequence_rises_over_all_operations(platform: OpenPlatform, client: Client) -> None:
    card_id = await client.make(card(streaming=True))
    assert await client.write(card_id, 5) == 0
    assert await client.stream(card_id, 5, on=False) == 300317
    assert await client.write(card_id, 4) == 300317
    assert await client.write(card_id, 0) == 99992402
    assert await client.write(card_id, 6, element="nowhere") == 300313
    assert await client.stream(card_id, 6, on=False) == 0
    operations = platform.cards[card_id].operations
    assert [(one.kind, one.sequence, one.code) for one in operations if one.code != 300317] == [
        ("content", 5, 0),
        ("content", 6, 300313),
        ("settings", 6, 0),
    ]


async def test_streaming_closes_after_ten_minutes_and_can_be_reopened(platform: OpenPlatform, client: Client) -> None:
    card_id = await client.make(card(streaming=True))
    await client.show(card_id)
    platform.clock.advance(TEN_MINUTES - 5)
    assert await client.stream(card_id, 1) == 0
    platform.clock.advance(TEN_MINUTES - 5)
    assert await client.write(card_id, 2) == 0 and platform.answers()[0].streaming
    platform.clock.advance(10)
    assert not platform.answers()[0].streaming
    assert [await client.write(card_id, 3) for _ in range(3)] == [200850, 300309, 300309]
    assert await client.stream(card_id, 3) == 0
    assert await client.write(card_id, 4, "Hello again") == 0
    assert platform.answers()[0].text == "Hello again"


async def test_a_whole_card_takes_streaming_from_its_config(platform: OpenPlatform, client: Client) -> None:
    card_id = await client.make(card(streaming=True))
    await client.show(card_id)
    whole = card(markdown("Done"), button("Again"), summary={"content": "Done"})
    body = {"card": {"type": "card_json", "data": compact(whole)}, "sequence": 1}
    assert await client.code("PUT", f"{CARDS}/{card_id}", body) == 0
    seen = platform.answers()[0]
    assert (seen.text, seen.buttons, seen.streaming, seen.summary) == ("Done", ["Again"], False, "Done")
    assert await client.write(card_id, 2) == 300309


async def test_a_uuid_makes_an_operation_happen_once(platform: OpenPlatform, client: Client) -> None:
    card_id = await client.make(card(streaming=True))
    for _ in range(2):
        assert await client.write(card_id, 1, uuid="u1") == 0
    assert await client.write(card_id, 2, "other", uuid="u1") == 200770
    assert len([one for one in platform.cards[card_id].operations if one.code == 0]) == 1


async def test_a_card_takes_ten_operations_a_second_unless_it_streams(platform: OpenPlatform, client: Client) -> None:
    card_id = await client.make(card(streaming=True))
    assert [await client.write(card_id, number) for number in range(1, 13)] == [0] * 12
    assert await client.stream(card_id, 13, on=False) == 0
    codes = [await client.stream(card_id, number, on=False) for number in range(14, 25)]
    assert codes == [0] * 10 + [99991400] and client.headers["x-ogw-ratelimit-reset"] == "1"
    platform.streaming_exempt = False
    platform.clock.advance(1)
    assert await client.stream(card_id, 25) == 0
    assert [await client.write(card_id, number) for number in range(26, 36)] == [0] * 9 + [99991400]


async def test_a_card_is_sent_once_and_lives_fourteen_days(platform: OpenPlatform, client: Client) -> None:
    card_id = await client.make(card(streaming=True))
    await client.show(card_id)
    assert await client.send("interactive", {"type": "card", "data": {"card_id": card_id}}) == 230099
    assert await client.write("1", 1) == 200740
    platform.clock.advance(14 * 86400 + 1)
    await client.login()
    assert await client.write(card_id, 1) == 200750


async def test_a_card_at_which_a_person_is_busy_is_not_changed(platform: OpenPlatform, client: Client) -> None:
    card_id = await client.make(card(streaming=True))
    message_id = await client.show(card_id)
    platform.interact(message_id)
    assert await client.write(card_id, 1) == 200810
    platform.interact(message_id, on=False)
    assert await client.write(card_id, 1) == 0


FORM: Json = {
    "tag": "form",
    "name": "f",
    "elements": [
        {"tag": "input", "name": "x", "required": True},
        {"tag": "button", "name": "ok", "text": {"tag": "plain_text", "content": "OK"}, "form_action_type": "submit"},
    ],
}


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (card(markdown("a"), button(), FORM, {"tag": "hr"}), 0),
        ({"schema": "1.0", "elements": []}, 300315),
        (card(markdown("a"), wide_screen_mode=True), 300315),
        (card(markdown("a"), update_multi=False), 300315),
        (card({"tag": "note", "elements": []}), 300315),
        (card({"tag": "action", "actions": []}), 300315),
        (card({**markdown("a"), "href": {}}), 300315),
        (card(button(behaviors=[{"type": "callback", "value": "a string"}])), 300315),
        (card({**FORM, "elements": FORM["elements"][:1]}), 300315),
        (card({**FORM, "elements": [*FORM["elements"], {"tag": "table", "columns": [], "rows": []}]}), 300315),
        (card({"tag": "column_set", "columns": [{"tag": "column", "elements": [FORM]}]}), 300315),
        (card(markdown("a", "1md")), 300315),
        (card(markdown("a", "m" * 21)), 300315),
        (card(markdown("a"), markdown("b")), 300301),
        (card(*[{"tag": "hr"}] * 200), 0),
        (card(*[{"tag": "hr"}] * 201), 300305),
        (card(*[button()] * 101), 300305),
        (card(markdown("x" * 30_720)), 200860),
        (card(markdown("![a](https://a.b/c.png)")), 200570),
        (card(markdown("`![a](https://a.b/c.png)`\n```\n![a](x)\n```\n![a](x")), 0),
        (card({"tag": "img", "img_key": "img_unknown", "alt": {"tag": "plain_text", "content": ""}}), 200570),
        (card(markdown("<at id=ou_nobody></at>")), 100290),
        (card(markdown(f"<at id={USER}></at> <at id=all></at> `<at id=x></at>` &lt;at id=x&gt;")), 0),
        (card(markdown(TABLE), markdown(TABLE * 4, "md2")), 0),
        (card(markdown(TABLE * 3), markdown(TABLE * 3, "md2")), 300305),
        (card(markdown(TABLE * 5)), 300305),
        (card(markdown(f"{TABLE * 4}```\n{TABLE}```")), 0),
    ],
)
async def test_cards_are_checked(client: Client, value: Json, code: int) -> None:
    assert await client.refused(value) == code


async def test_too_many_tables_are_said_so_by_each_call(platform: OpenPlatform, client: Client) -> None:
    platform.tables_most = 3
    table = {"tag": "table", "columns": [{"name": "a"}], "rows": [{"a": "1"}]}
    much = card(markdown(TABLE * 3), table)
    body = {"receive_id": platform.p2p(), "msg_type": "interactive", "content": compact(much)}
    answer = await client.call("POST", MESSAGES, body, receive_id_type="chat_id")
    assert (client.status, answer["code"]) == (400, 230099)
    assert "ErrCode: 11310; ErrMsg: element exceeds the limit; table number over limit" in answer["msg"]
    card_id = await client.make(card(table, markdown(""), streaming=True))
    assert await client.write(card_id, 1, TABLE * 3) == 300305
    platform.table_code = 11310
    assert await client.write(card_id, 1, TABLE * 3) == 11310
    assert await client.write(card_id, 1, TABLE * 2) == 0


async def test_what_streams_in_is_checked_as_well(platform: OpenPlatform, client: Client) -> None:
    card_id = await client.make(card(markdown(""), button(element_id="stop"), streaming=True))
    await client.show(card_id)
    assert await client.write(card_id, 1, "x" * 30_720) == 200860
    assert await client.write(card_id, 1, "![a](https://a.b/c.png)") == 200570
    assert await client.write(card_id, 1, "<at id=ou_nobody></at>") == 100290
    assert await client.write(card_id, 1, "") == 99992402
    assert await client.write(card_id, 1, "a", element="stop") == 300315
    assert await client.write(card_id, 1, "fine") == 0 and platform.answers()[0].text == "fine"


async def test_elements_are_added_changed_and_deleted_all_or_none(platform: OpenPlatform, client: Client) -> None:
    card_id = await client.make(card(markdown("one")))
    await client.show(card_id)
    path = f"{CARDS}/{card_id}"
    added = compact([markdown("two", "b"), button(element_id="go")])
    body = {"type": "insert_after", "target_element_id": "md", "elements": added, "sequence": 1}
    assert await client.code("POST", f"{path}/elements", body) == 0
    replaced = {"element": compact(markdown("2", "b")), "sequence": 2}
    assert await client.code("PUT", f"{path}/elements/b", replaced) == 0
    changed = {"partial_element": compact({"content": "1"}), "sequence": 3}
    assert await client.code("PATCH", f"{path}/elements/md", changed) == 0
    assert await client.code("DELETE", f"{path}/elements/go", {"sequence": 4}) == 0
    assert (platform.answers()[0].text, platform.answers()[0].buttons) == ("1\n2", [])
    batch = [
        {"action": "partial_update_setting", "params": {"settings": {"config": {"streaming_mode": True}}}},
        {"action": "delete_elements", "params": {"element_ids": ["b"]}},
        {"action": "add_elements", "params": {"type": "append", "elements": [markdown("x", "md")]}},
    ]
    assert await client.code("POST", f"{path}/batch_update", {"actions": compact(batch), "sequence": 5}) == 300301
    assert platform.answers()[0].text == "1\n2" and not platform.answers()[0].streaming
    assert await client.code("POST", f"{path}/batch_update", {"actions": compact(batch[:2]), "sequence": 5}) == 0
    assert platform.answers()[0].text == "1" and platform.answers()[0].streaming


# ------------------------------------------------------------------ files and screen


async def test_uploads_have_limits_and_downloads_belong_to_their_message(
    platform: OpenPlatform, client: Client
) -> None:
    async def upload(kind: str, data: bytes, **fields: str) -> Json:
        form = aiohttp.FormData(fields, default_to_multipart=True)
        form.add_field(kind, io.BytesIO(data), filename="a")
        return await client.call("POST", f"im/v1/{kind}s", form)

    image = await upload("image", PIXEL, image_type="message")
    assert await client.send("interactive", card(markdown(f"![a]({image['data']['image_key']})"))) == 0
    assert platform.answers()[0].images == [image["data"]["image_key"]]
    assert (await upload("image", PIXEL + bytes(10 * 2**20), image_type="message"))["code"] == 234006
    assert (await upload("image", b"no picture", image_type="message"))["code"] == 234011
    assert (await upload("file", b"", file_type="stream", file_name="a"))["code"] == 234010
    file = await upload("file", b"a,b", file_type="stream", file_name="a.csv")
    assert await client.send("file", {"file_key": file["data"]["file_key"]}) == 0
    sent, sticker = platform.send_image(), platform.send_file(b"", kind="sticker")
    key = platform.screen()[-2].file
    path = f"{MESSAGES}/{sent.message_id}/resources"
    assert await client.code("GET", f"{path}/{key}") == 99992402
    assert await client.code("GET", f"{path}/{key}", type="file") == 234001
    assert await client.code("GET", f"{path}/img_unknown", type="image") == 234003
    assert await client.code("GET", f"{MESSAGES}/{sticker.message_id}/resources/x", type="file") == 234043


async def test_the_screen_shows_the_words_of_a_card_in_order(platform: OpenPlatform, client: Client) -> None:
    panel = {
        "tag": "collapsible_panel",
        "header": {"title": {"tag": "plain_text", "content": "Thoughts"}},
        "elements": [markdown("hidden", "think")],
    }
    menu = {"tag": "select_static", "options": [{"text": {"tag": "plain_text", "content": "A"}, "value": "a"}]}
    shown = card(panel, markdown(f"a &lt;b&gt; &#42;c&#42; <at id={USER}></at>"), {"tag": "hr"}, button(), menu, FORM)
    await client.show(await client.make(shown))
    [seen] = platform.answers()
    assert seen.text == f"Thoughts\na <b> *c* <at id={USER}></at>\n---"
    assert (seen.folded, seen.buttons, seen.options, seen.fields) == ("hidden", ["Stop", "OK"], ["A"], ["x"])
    assert seen.mentions == [USER]
