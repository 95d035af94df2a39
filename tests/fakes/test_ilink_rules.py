"""The rules of the fake iLink, by plain HTTP: what the platform asks, counts, cuts, holds and forgets."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import itertools
from collections.abc import AsyncIterator
from typing import Any, Literal

import aiohttp
import pytest
from yarl import URL

from tests.fakes.wechat.ilink import Broken, Ilink
from tests.fakes.wechat.ilink_cdn import decrypted, encrypted, key_of
from tests.fakes.wechat.ilink_phone import Kind, text_item
from tests.fakes.wechat.ilink_rules import Json, cut

KEY = bytes(range(16))
LONG = 60.0
"""Seconds of a long poll that has to be woken."""


class Bot:
    """Plain calls, as the documents say that they are made."""

    def __init__(self, ilink: Ilink, session: aiohttp.ClientSession) -> None:
        self.ilink, self.session = ilink, session
        self.token = ilink.token
        self._numbers = itertools.count(1)

    def headers(self) -> dict[str, str]:
        return {
            "Content-Type": "application/json",
            "AuthorizationType": "ilink_bot_token",
            "Authorization": f"Bearer {self.token}",
            "X-WECHAT-UIN": base64.b64encode(str(next(self._numbers)).encode()).decode(),
            "iLink-App-Id": "bot",
            "iLink-App-ClientVersion": "132105",
        }

    async def post(self, path: str, body: Any, headers: dict[str, str] | None = None) -> Json:
        url = f"{self.ilink.url}/ilink/bot/{path}"
        async with self.session.post(url, json=body, headers=headers or self.headers()) as response:
            assert response.status == 200, response.status
            answer: Json = await response.json()
            return answer

    async def call(self, path: str, **body: Any) -> Json:
        return await self.post(path, {"base_info": {"channel_version": "2.4.9", "bot_agent": "Test/1.0"}, **body})

    def message(self, item: Json, token: str = "ctx-1", to: str = Ilink.user) -> Json:
        return {
            "from_user_id": "",
            "to_user_id": to,
            "client_id": f"client-{next(self._numbers)}",
            "message_type": 2,
            "message_state": 2,
            "item_list": [item],
            "context_token": token,
        }

    async def send(self, text: str, token: str = "ctx-1", to: str = Ilink.user) -> Json:
        return await self.call("sendmessage", msg=self.message(text_item(text), token, to))

    async def poll(self, cursor: str = "") -> Json:
        return await self.call("getupdates", get_updates_buf=cursor)

    async def qr_code(self, **body: Any) -> str:
        return str((await self.post("get_bot_qrcode?bot_type=3", body))["qrcode"])

    async def qr_status(self, qrcode: str, url: str = "", **query: str) -> Json:
        url = f"{url or self.ilink.url}/ilink/bot/get_qrcode_status"
        async with self.session.get(url, params={"qrcode": qrcode, **query}) as response:
            answer: Json = await response.json()
            return answer

    async def announce(self, data: bytes, **changed: Any) -> Json:
        """The answer of getuploadurl for this file, under the key of these tests."""
        body: Json = {
            "filekey": f"file-{next(self._numbers)}",
            "media_type": 3,
            "to_user_id": Ilink.user,
            "rawsize": len(data),
            "rawfilemd5": hashlib.md5(data).hexdigest(),
            "filesize": len(encrypted(data, KEY)),
            "aeskey": KEY.hex(),
            "no_need_thumb": True,
        }
        return await self.call("getuploadurl", **{**body, **changed})

    async def upload(self, url: str, data: bytes) -> tuple[int, str]:
        """HTTP status and download parameter."""
        async with self.session.post(url, data=data) as response:
            return response.status, response.headers.get("x-encrypted-param", "")

    async def download(self, parameter: str) -> tuple[int, bytes]:
        params = {"encrypted_query_param": parameter}
        async with self.session.get(f"{self.ilink.url}/c2c/download", params=params) as response:
            return response.status, await response.read()


def file_item(parameter: str, key: bytes = KEY, name: str = "a.pdf") -> Json:
    media = {"encrypt_query_param": parameter, "aes_key": base64.b64encode(key).decode(), "encrypt_type": 1}
    return {"type": 4, "file_item": {"media": media, "file_name": name, "len": "3"}}


@pytest.fixture
async def ilink() -> AsyncIterator[Ilink]:
    async with Ilink() as server:
        yield server


@pytest.fixture
async def bot(ilink: Ilink) -> AsyncIterator[Bot]:
    async with aiohttp.ClientSession() as session:
        yield Bot(ilink, session)


# ---------------------------------------------------------------- messages in


async def test_a_message_is_delivered_until_its_cursor_comes_back(ilink: Ilink, bot: Bot) -> None:
    written = ilink.say("hi", created=1700000000.5)
    first = await bot.poll()
    [message] = first["msgs"]
    assert str(message["message_id"]) == written and message["message_id"] > 1 << 53
    assert (message["from_user_id"], message["to_user_id"]) == (ilink.user, ilink.bot_id)
    assert (message["message_type"], message["message_state"]) == (1, 2)
    assert (message["create_time_ms"], message["context_token"]) == (1700000000500, "ctx-1")
    assert message["item_list"] == [{"type": 1, "text_item": {"text": "hi"}}]
    assert (await bot.poll())["msgs"] == [message] and ilink.unconfirmed() == 1
    ilink.say("more")
    second = await bot.poll(first["get_updates_buf"])
    assert [each["context_token"] for each in second["msgs"]] == ["ctx-2"] and ilink.unconfirmed() == 1
    assert (await bot.poll("bm9uZQ=="))["ret"] == -1, "a cursor that was never given"


async def test_a_poll_waits_for_a_message_and_no_longer_than_it_is_held(ilink: Ilink, bot: Bot) -> None:
    waiting = asyncio.create_task(bot.poll())
    await ilink.until(lambda: ilink.calls)
    ilink.say("now")
    assert [each["item_list"] for each in (await waiting)["msgs"]] == [[text_item("now")]]
    ilink.hold = 0.01
    cursor = (await bot.poll())["get_updates_buf"]
    empty = await bot.poll(cursor)
    assert (empty["ret"], empty["msgs"], empty["get_updates_buf"]) == (0, [], cursor)


async def test_a_message_comes_again_under_its_id_or_a_new_one(ilink: Ilink, bot: Bot) -> None:
    ids = [ilink.say("hi"), ilink.again(), ilink.again(new_id=True)]
    messages = (await bot.poll())["msgs"]
    assert [str(each["message_id"]) for each in messages] == ids and ids[0] == ids[1] != ids[2]
    for name in ("create_time_ms", "context_token", "item_list", "from_user_id"):
        assert len({str(each[name]) for each in messages}) == 1, name


# ---------------------------------------------------------------- messages out


async def test_ten_sends_for_a_message_and_then_none(ilink: Ilink, bot: Bot) -> None:
    ilink.say("hi")
    answers = [await bot.send(str(number)) for number in range(12)]
    assert [answer["ret"] for answer in answers] == [0] * 10 + [-2] * 2
    assert all(answer["message_id"] > 1 << 53 for answer in answers[:10])
    ilink.say("go on")
    assert (await bot.send("10", "ctx-2"))["ret"] == 0
    assert ilink.screen() == [str(number) for number in range(11)] and ilink.complaints == []


async def test_only_who_has_written_can_be_answered(ilink: Ilink, bot: Bot) -> None:
    ilink.say("hi")
    ilink.say("hi", sender="u2@im.wechat")
    assert (await bot.send("a", "ctx-9"))["ret"] == -2
    assert (await bot.send("b", ""))["ret"] == -2
    assert (await bot.send("c", "ctx-2"))["ret"] == -2
    assert (await bot.send("d", "ctx-2", "u2@im.wechat"))["ret"] == 0
    assert (ilink.screen(), ilink.screen("u2@im.wechat")) == ([], ["d"])


async def test_a_long_text_is_cut_and_nobody_is_told(ilink: Ilink, bot: Bot) -> None:
    ilink.say("hi")
    assert (await bot.send("字" * 2001))["ret"] == 0
    assert ilink.screen() == ["字" * 2000] and ilink.sent[0].length == 2001
    assert cut("a" + "😀" * 1000) == "a" + "😀" * 999


async def test_a_swallowed_message_is_accepted_counted_and_never_seen(ilink: Ilink, bot: Bot) -> None:
    ilink.budget = 2
    ilink.say("hi")
    ilink.swallow()
    assert await bot.send("lost") == {"ret": 0}
    assert (await bot.send("seen"))["message_id"]
    assert (await bot.send("over"))["ret"] == -2
    assert ilink.screen() == ["seen"]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"from_user_id": "abc@im.bot"}, "from_user_id"),
        ({"to_user_id": ""}, "to_user_id"),
        ({"client_id": ""}, "client_id"),
        ({"message_type": 1}, "message_type"),
        ({"message_state": 1}, "message_state"),
        ({"item_list": []}, "item_list"),
        ({"item_list": [text_item("a"), text_item("b")]}, "item_list"),
        ({"item_list": [{"type": 99}]}, "type"),
        ({"item_list": [text_item("")]}, "text"),
        ({"item_list": [{"type": 2, "image_item": {}}]}, "media"),
        ({"item_list": [{"type": 2, "image_item": {"media": {}}}]}, "encrypt_type"),
    ],
)
async def test_a_malformed_message_is_refused(ilink: Ilink, bot: Bot, changed: Json, reason: str) -> None:
    ilink.say("hi")
    answer = await bot.call("sendmessage", msg={**bot.message(text_item("a")), **changed})
    assert answer["ret"] == -1 and reason in answer["errmsg"]
    assert ilink.screen() == [] and ilink.complaints == [f"sendmessage: {answer['errmsg']}"]


@pytest.mark.parametrize(
    ("repeats", "ret", "seen"), [("known", 0, ["a"]), ("refused", -3, ["a"]), ("shown", 0, ["a", "a"])]
)
async def test_a_client_id_that_was_used_before(
    ilink: Ilink, bot: Bot, repeats: Literal["known", "refused", "shown"], ret: int, seen: list[str]
) -> None:
    ilink.repeats = repeats
    ilink.say("hi")
    message = bot.message(text_item("a"))
    assert (await bot.call("sendmessage", msg=message))["ret"] == 0
    assert (await bot.call("sendmessage", msg=message))["ret"] == ret
    assert ilink.screen() == seen


# ---------------------------------------------------------------- every call


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AuthorizationType", ""),
        ("iLink-App-Id", "app"),
        ("iLink-App-ClientVersion", "2.4.9"),
        ("X-WECHAT-UIN", "12345"),
        ("X-WECHAT-UIN", base64.b64encode(b"4294967296").decode()),
        ("Content-Type", "text/plain"),
    ],
)
async def test_headers_are_asked_for(ilink: Ilink, bot: Bot, name: str, value: str) -> None:
    body = {"base_info": {"channel_version": "2.4.9"}}
    answer = await bot.post("msg/notifystart", body, {**bot.headers(), name: value})
    assert answer["ret"] == -1 and name in answer["errmsg"] and len(ilink.complaints) == 1


async def test_each_call_has_a_new_uin_and_base_info(ilink: Ilink, bot: Bot) -> None:
    headers, body = bot.headers(), {"base_info": {"channel_version": "2.4.9"}}
    assert await bot.post("msg/notifystart", body, headers) == {"ret": 0}
    assert "X-WECHAT-UIN" in (await bot.post("msg/notifystop", body, headers))["errmsg"]
    assert "base_info" in (await bot.post("msg/notifystop", {}))["errmsg"]
    assert (
        "bot_agent"
        in (await bot.call("msg/notifystop", base_info={**body["base_info"], "bot_agent": "机器人"}))["errmsg"]
    )
    assert "JSON" in (await bot.post("msg/notifystop", []))["errmsg"]
    assert [path for path, _ in ilink.calls] == ["msg/notifystart"] + ["msg/notifystop"] * 4


async def test_an_ended_login_is_told_to_every_call_and_wakes_the_poll(ilink: Ilink, bot: Bot) -> None:
    ilink.hold = LONG
    waiting = asyncio.create_task(bot.poll())
    await ilink.until(lambda: ilink.calls)
    ilink.expire()
    assert await asyncio.wait_for(waiting, 5) == {"errcode": -14, "errmsg": "session timeout"}
    assert await bot.send("a") == {"ret": -14, "errmsg": "session timeout"}
    assert ilink.screen() == [] and ilink.complaints == []


async def test_a_user_has_one_bot(ilink: Ilink, bot: Bot) -> None:
    ilink.say("hi")
    ilink.renew("tok-2")
    assert (await bot.poll())["errcode"] == -14
    bot.token = "tok-2"
    assert len((await bot.poll())["msgs"]) == 1 and (await bot.send("a"))["ret"] == 0


async def test_typing_needs_the_ticket_of_the_user(ilink: Ilink, bot: Bot) -> None:
    ilink.say("hi")
    assert (await bot.call("getconfig", ilink_user_id=ilink.user, context_token="ctx-9"))["ret"] == -1
    ticket = (await bot.call("getconfig", ilink_user_id=ilink.user, context_token="ctx-1"))["typing_ticket"]

    async def typing(status: int, ticket: str = ticket, user: str = ilink.user) -> int:
        answer = await bot.call("sendtyping", ilink_user_id=user, typing_ticket=ticket, status=status)
        return int(answer["ret"])

    assert [await typing(1), await typing(2)] == [0, 0]
    assert [await typing(1, "none"), await typing(1, user="u2@im.wechat"), await typing(3)] == [-1] * 3
    assert ilink.typing == [1, 2]


# ---------------------------------------------------------------- files


def test_files_are_encrypted_as_the_standard_says() -> None:
    block = bytes.fromhex("00112233445566778899aabbccddeeff")  # FIPS-197, appendix C.1
    assert encrypted(block, KEY)[:16].hex() == "69c4e0d86a7b0430d8cdb78070b4c55a"
    assert len(encrypted(block, KEY)) == 32, "a whole block of padding"


@pytest.mark.parametrize("full_urls", [True, False])
async def test_a_file_comes_in_under_either_form_of_key(ilink: Ilink, bot: Bot, full_urls: bool) -> None:
    ilink.full_urls = full_urls
    kinds: list[Kind] = ["image", "voice", "file", "video"]
    for kind in kinds:
        ilink.say_media(kind, kind.encode(), f"{kind}.bin", text="words")
    messages = (await bot.poll())["msgs"]
    assert [[item["type"] for item in message["item_list"]] for message in messages] == [[1, 2], [3], [1, 4], [1, 5]]
    lengths = []
    for kind, message in zip(kinds, messages, strict=True):
        content = message["item_list"][-1][f"{kind}_item"]
        media = content["media"]
        lengths.append(len(base64.b64decode(media["aes_key"])))
        status, data = await bot.download(media["encrypt_query_param"])
        assert (status, decrypted(data, key_of(media["aes_key"]))) == (200, kind.encode())
        assert ("full_url" in media) is full_urls
    assert sorted(set(lengths)) == [16, 32]
    assert messages[1]["item_list"][0]["voice_item"]["text"] == "words"
    assert messages[2]["item_list"][1]["file_item"]["file_name"] == "file.bin"
    async with bot.session.get(media.get("full_url", f"{ilink.url}/c2c/download")) as response:
        assert response.status == (200 if full_urls else 404)


async def test_a_file_goes_out_and_is_opened_with_its_key(ilink: Ilink, bot: Bot) -> None:
    ilink.say("hi")
    data = encrypted(b"pdf", KEY)
    for key, name in ((KEY, "a.pdf"), (KEY.hex().encode(), "b.pdf"), (bytes(16), "c.pdf"), (b"short", "d.pdf")):
        answer = await bot.announce(b"pdf")
        status, parameter = await bot.upload(answer["upload_full_url"], data)
        assert status == 200
        assert (await bot.call("sendmessage", msg=bot.message(file_item(parameter, key, name))))["ret"] == 0
    _, other = await bot.upload((await bot.announce(b"pdf"))["upload_full_url"], encrypted(b"doc", KEY))
    for parameter, name in ((other, "e.pdf"), ("dl-none", "f.pdf")):
        await bot.call("sendmessage", msg=bot.message(file_item(parameter, KEY, name)))
    broken = [f"[file {name}.pdf cannot be opened]" for name in "cdef"]
    assert ilink.screen() == ["[file a.pdf]", "[file b.pdf]", *broken] and len(ilink.complaints) == 4
    assert [sent.data for sent in ilink.sent] == [b"pdf", b"pdf", *[None] * 4]


async def test_the_cdn_takes_what_was_announced(ilink: Ilink, bot: Bot) -> None:
    ilink.full_urls = False
    answer = await bot.announce(b"pdf")
    assert "upload_full_url" not in answer
    url = URL(f"{ilink.url}/c2c/upload")
    right = str(url.with_query(encrypted_query_param=answer["upload_param"], filekey="file-1"))
    assert (await bot.upload(right, b"x" * 32))[0] == 400
    assert (await bot.upload(str(url.with_query(encrypted_query_param="none")), b"x" * 16))[0] == 400
    assert (await bot.upload(right, b"x" * 16))[0] == 200
    assert (await bot.download("none"))[0] == 404
    for changed in ({"filesize": 3}, {"media_type": 5}, {"aeskey": "00"}, {"rawfilemd5": ""}, {"no_need_thumb": False}):
        assert (await bot.announce(b"pdf", **changed))["ret"] == -1


# ---------------------------------------------------------------- login


async def test_a_scanned_code_gives_the_credentials(ilink: Ilink, bot: Bot) -> None:
    qrcode = await bot.qr_code(local_token_list=[])
    waiting = asyncio.create_task(bot.qr_status(qrcode))
    await ilink.until(lambda: ilink.calls[-1][0] == "get_qrcode_status")
    ilink.scan = "scaned"
    assert (await waiting)["status"] == "scaned"
    ilink.renew("tok-2")
    ilink.scan = "confirmed"
    assert await bot.qr_status(qrcode) == {
        "ret": 0,
        "status": "confirmed",
        "bot_token": "tok-2",
        "ilink_bot_id": ilink.bot_id,
        "ilink_user_id": ilink.user,
        "baseurl": ilink.url,
    }
    ilink.scan = "binded_redirect"
    assert await bot.qr_status(qrcode) == {"ret": 0, "status": "binded_redirect"}
    ilink.hold, asked = LONG, len(ilink.calls)
    waiting = asyncio.create_task(bot.qr_status(qrcode))
    await ilink.until(lambda: len(ilink.calls) > asked)
    ilink.scan = "expired"
    assert (await waiting)["status"] == "expired", "held before, for there was nothing new"


async def test_the_number_on_the_phone_is_asked_for(ilink: Ilink, bot: Bot) -> None:
    ilink.scan = "need_verifycode"
    qrcode = await bot.qr_code()
    told = [(await bot.qr_status(qrcode, **query))["status"] for query in ({}, {"verify_code": "1"})]
    assert told == ["need_verifycode"] * 2
    assert (await bot.qr_status(qrcode, verify_code=ilink.verify_code))["status"] == "scaned"
    assert (await bot.qr_status(qrcode))["status"] == "confirmed"


async def test_wrong_numbers_block_the_code(ilink: Ilink, bot: Bot) -> None:
    ilink.scan = "need_verifycode"
    qrcode = await bot.qr_code()
    told = [(await bot.qr_status(qrcode, verify_code="1"))["status"] for _ in range(3)]
    assert told == ["need_verifycode", "need_verifycode", "verify_code_blocked"]
    assert (await bot.qr_status(qrcode, verify_code=ilink.verify_code))["status"] == "verify_code_blocked"


async def test_a_code_expires(ilink: Ilink, bot: Bot) -> None:
    ilink.expiring, ilink.scan = 1, "confirmed"
    first = await bot.qr_code()
    assert (await bot.qr_status(first))["status"] == "expired"
    second = await bot.qr_code()
    assert (await bot.qr_status(second))["status"] == "confirmed"
    assert (await bot.qr_status(first))["status"] == "expired"
    ilink.scan = "expired"
    assert (await bot.qr_status(await bot.qr_code()))["status"] == "expired"


async def test_a_login_goes_on_where_it_is_sent_to(ilink: Ilink, bot: Bot) -> None:
    ilink.hold, ilink.scan = 0.01, "scaned_but_redirect"
    qrcode = await bot.qr_code()
    sent = [await bot.qr_status(qrcode) for _ in range(2)]
    assert [answer["status"] for answer in sent] == ["scaned_but_redirect"] * 2
    there = f"http://{sent[0]['redirect_host']}"
    assert [(await bot.qr_status(qrcode, there))["status"] for _ in range(2)] == ["scaned", "confirmed"]
    assert (await bot.qr_status(qrcode))["status"] == "scaned_but_redirect"


async def test_a_code_needs_its_kind_of_bot_and_at_most_ten_tokens(ilink: Ilink, bot: Bot) -> None:
    assert (await bot.post("get_bot_qrcode", {}))["ret"] == -1
    assert (await bot.post("get_bot_qrcode?bot_type=3", {"local_token_list": ["t"] * 11}))["ret"] == -1
    with pytest.raises(ValueError, match="no such status"):
        ilink.scan = "scanned"


# ---------------------------------------------------------------- faults


async def test_faults_are_met_in_order_and_used_up(ilink: Ilink, bot: Bot) -> None:
    ilink.say("hi")
    ilink.fail("sendmessage", ret=-2, times=2)
    ilink.fail("sendmessage", status=429)
    ilink.fail("getupdates", ret=-14)
    assert [(await bot.send("a"))["ret"] for _ in range(2)] == [-2, -2]
    with pytest.raises(AssertionError, match="429"):
        await bot.send("a")
    assert (await bot.send("b"))["ret"] == 0 and ilink.screen() == ["b"]
    assert (await bot.poll())["errcode"] == -14
    for misspelt in ("sendMessage", "c2c/upload"):
        with pytest.raises(ValueError, match="no such call"):
            ilink.fail(misspelt, ret=-1)


@pytest.mark.parametrize(("kind", "seen"), [("drop_before", []), ("drop_after", ["a"]), ("502", [])])
async def test_an_answer_is_lost(ilink: Ilink, bot: Bot, kind: Broken, seen: list[str]) -> None:
    ilink.say("hi")
    ilink.fault("sendmessage", kind)
    with pytest.raises((aiohttp.ClientConnectionError, AssertionError)):
        await bot.send("a")
    assert ilink.screen() == seen


async def test_a_call_that_hangs_does_not_outlive_the_server() -> None:
    async with aiohttp.ClientSession() as session:
        async with Ilink() as ilink:
            ilink.fault("getupdates", "hang")
            hanging = asyncio.create_task(Bot(ilink, session).poll())
            await ilink.until(lambda: ilink.calls)
            assert not hanging.done()
        with pytest.raises(aiohttp.ClientConnectionError):
            await hanging
