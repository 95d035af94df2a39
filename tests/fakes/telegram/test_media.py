"""Files, out and in: what the platform takes from a bot, and what it brings of people's."""

from __future__ import annotations

import struct

import msgspec
import pytest

from tests.fakes.botapi import BotApi
from tests.fakes.telegram.client import Client, Clock
from tests.fakes.telegram.files import PIXEL, Upload
from tests.fakes.telegram.items import (
    MP4,
    Animation,
    Audio,
    Captioned,
    Contact,
    Dice,
    Document,
    Item,
    Location,
    Photo,
    Poll,
    Sticker,
    Video,
    VideoNote,
    Voice,
)
from tests.fakes.telegram.rules import Json, Limit

KINDS = {
    "photo": PIXEL,
    "document": b"%PDF",
    "video": MP4,
    "audio": b"ID3",
    "voice": b"OggS",
    "animation": MP4,
}
ITEMS: list[Item] = [
    Photo(),
    Document(),
    Voice(),
    Audio(),
    Video(),
    VideoNote(),
    Animation(),
    Sticker(),
    Sticker(animated=True),
    Location(),
    Contact(user_id=9),
    Poll(),
    Dice(),
]


def png(width: int, height: int) -> bytes:
    return PIXEL[:16] + struct.pack(">II", width, height) + PIXEL[24:]


# ------------------------------------------------------------------ out


@pytest.mark.parametrize("kind", KINDS)
async def test_a_file_is_sent_by_upload_by_address_and_by_id(api: BotApi, client: Client, kind: str) -> None:
    api.open(7)
    data, method = KINDS[kind], f"send{kind.title()}"
    api.page("https://files.test/a/b.mp3?x=1", data)
    first = await client.upload(method, {kind: ("b.mp3", data)}, chat_id="7", caption="look")
    await client.upload(method, {"part": ("b.mp3", data)}, chat_id="7", **{kind: "attach://part"})
    await client.ok(method, chat_id=7, **{kind: "https://files.test/a/b.mp3?x=1"})
    value = first["result"][kind]
    await client.ok(method, chat_id=7, **{kind: (value[-1] if kind == "photo" else value)["file_id"]})
    shown = api.screen(7)
    assert [(seen.media, seen.data, seen.from_bot) for seen in shown] == [(kind, data, True)] * 4
    assert len({seen.file_name for seen in shown}) == 1  # the same on every road
    assert shown[0].file_name == ("" if kind in ("photo", "voice") else "b.mp3")
    assert shown[0].text == "look"


@pytest.mark.parametrize(
    ("method", "params", "reason"),
    [
        ("sendPhoto", {}, "400 Bad Request: there is no photo in the request"),
        ("sendPhoto", {"photo": "attach://none"}, "there is no photo in the request"),
        ("sendPhoto", {"photo": "no-such-id"}, "400 Bad Request: wrong file identifier/HTTP URL specified"),
        ("sendPhoto", {"photo": "https://files.test/unknown.png"}, "400 Bad Request: failed to get HTTP URL content"),
        ("sendPhoto", {"photo": "https://files.test/text.pdf"}, "400 Bad Request: wrong type of the web page content"),
        ("sendDocument", {"document": "https://files.test/login"}, "wrong type of the web page content"),
        ("sendDocument", {"document": "picture"}, "can't use file of type Photo as Document"),
        ("sendDocument", {"document": "report", "caption": "😀" * 513}, "400 Bad Request: message caption is too long"),
        ("sendDocument", {"document": "report", "caption": "x", "caption_entities": [{}]}, "can't parse entities"),
        ("sendDocument", {"document": "report", "message_thread_id": 4}, "message thread not found"),
        ("sendDocument", {"document": "report", "reply_parameters": {"message_id": 99}}, "to be replied not found"),
        ("sendDocument", {"document": "report", "reply_markup": {"inline_keyboard": [[{"text": "x"}]]}}, "unallowed"),
        ("sendDocument", {"document": "report", "chat_id": 8}, "400 Bad Request: chat not found"),
        ("editMessageText", {"message_id": 2, "text": "x"}, "there is no text in the message to edit"),
        ("editMessageCaption", {"message_id": 3, "caption": "x"}, "there is no caption in the message to edit"),
        ("editMessageCaption", {"message_id": 2, "caption": "as it was"}, "message is not modified"),
    ],
)
async def test_what_is_refused(api: BotApi, client: Client, method: str, params: Json, reason: str) -> None:
    api.page("https://files.test/text.pdf", b"%PDF")
    api.page("https://files.test/login", b"<html>", "text/html; charset=utf-8")
    api.say("question", chat=7)
    report = api.file(b"a report")
    await client.ok("sendDocument", chat_id=7, document=report, caption="as it was")
    await client.ok("sendMessage", chat_id=7, text="x")
    picture = api.send(Photo(), chat=7)["photo"][-1]["file_id"]
    params = {name: {"report": report, "picture": picture}.get(str(value), value) for name, value in params.items()}
    before = api.screen(7)
    assert reason in await client.refused(method, **{"chat_id": 7, **params})
    assert api.screen(7) == before


@pytest.mark.parametrize(
    ("kind", "data", "reason"),
    [
        ("photo", b"<svg/>", "400 Bad Request: IMAGE_PROCESS_FAILED"),
        ("photo", png(9000, 1001), "400 Bad Request: PHOTO_INVALID_DIMENSIONS"),
        ("photo", png(21, 1), "400 Bad Request: PHOTO_INVALID_DIMENSIONS"),
        ("photo", PIXEL + bytes(10 * 2**20), "is too big for a photo; the maximum size is 10485760 bytes"),
        ("document", b"", "400 Bad Request: file must be non-empty"),
        ("document", bytes(50 * 2**20 + 1), "413 Request Entity Too Large"),
        ("document", bytes(52 * 2**20), "413 Request Entity Too Large"),
    ],
    ids=["type", "sides", "shape", "photo size", "empty", "file size", "body size"],
)
async def test_an_upload_has_limits(api: BotApi, client: Client, kind: str, data: bytes, reason: str) -> None:
    api.open(7)
    answer = await client.upload(f"send{kind.title()}", {kind: ("x.png", data)}, chat_id="7")
    assert reason in f"{answer['status']} {answer['description']}"
    assert api.screen(7) == []


@pytest.mark.parametrize("head", [b"\xff\xd8\xff\xe0", b"GIF89a", b"RIFF\x0c\x00\x00\x00WEBPVP8 ", png(20, 1)])
async def test_every_picture_the_platform_shows_is_a_photo(api: BotApi, client: Client, head: bytes) -> None:
    api.open(7)
    assert (await client.upload("sendPhoto", {"photo": ("x", head)}, chat_id="7"))["status"] == 200


async def test_a_file_is_a_message_as_any_other(api: BotApi, client: Client, clock: Clock) -> None:
    api.limit(private=Limit(calls=4, seconds=60, penalty=8))
    asked = api.say("draw", chat=7, thread=5)
    await client.ok("sendMessageDraft", chat_id=7, message_thread_id=5, draft_id=1, text="drawing")
    await client.ok("sendChatAction", chat_id=7, message_thread_id=5, action="upload_photo")
    rows = {"inline_keyboard": [[{"text": "Again", "callback_data": "again"}]]}
    bold = [{"type": "bold", "offset": 0, "length": 4}]
    message = {
        "chat_id": 7,
        "photo": api.file(PIXEL),
        "caption": "Here",
        "caption_entities": bold,
        "message_thread_id": 5,
        "reply_parameters": {"message_id": asked["message_id"], "quote": "raw"},
        "reply_markup": rows,
    }
    sent = await client.ok("sendPhoto", **message)
    assert sent["quote"] == {"text": "raw", "position": 1, "is_manual": True}
    assert api.drafts(7) == [] and api.typing(7, thread=5) == ""
    seen = api.screen(7)[-1]
    assert (seen.text, seen.entities, seen.thread, seen.reply_to) == ("Here", bold, 5, asked["message_id"])
    assert seen.button("Again") == "again"
    await client.ok("editMessageCaption", chat_id=7, message_id=sent["message_id"], caption="There")
    seen = api.screen(7)[-1]
    assert (seen.text, seen.entities, seen.buttons, seen.edits, seen.data) == ("There", [], [], 1, PIXEL)
    assert "retry after 8" in await client.refused("sendPhoto", **message)


# ------------------------------------------------------------------ in


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: type(item).__name__)
async def test_people_send_everything(api: BotApi, client: Client, item: Item) -> None:
    message = api.send(item, chat=7, **({"caption": "for @my_bot"} if isinstance(item, Captioned) else {}))
    (update,) = await client.ok("getUpdates")
    assert update["message"] == message
    (seen,) = api.screen(7)
    assert seen.media in message and seen.data == getattr(item, "data", b"")
    if isinstance(item, Captioned):
        assert message["caption_entities"] == [{"type": "mention", "offset": 4, "length": 7}]
    if seen.data:
        value = message[seen.media]
        file_id = (value[-1] if seen.media == "photo" else value)["file_id"]
        path = (await client.ok("getFile", file_id=file_id))["file_path"]
        async with client.session.get(f"{api.url}/file/bot{api.token}/{path}") as response:
            assert await response.read() == seen.data
        async with client.session.get(f"{api.url}/file/bot{api.token}/no/{path}") as response:
            assert response.status == 404


async def test_a_photo_comes_in_sizes_and_the_largest_is_last(api: BotApi) -> None:
    sizes = api.send(Photo(png(1200, 800) + bytes(1000)), chat=7)["photo"]
    assert [(size["width"], size["height"]) for size in sizes] == [(300, 200), (600, 400), (1200, 800)]
    assert [size["file_size"] for size in sizes] == sorted({size["file_size"] for size in sizes})
    assert len({size["file_id"] for size in sizes}) == 3


async def test_an_animation_is_a_document_too(api: BotApi) -> None:
    message = api.send(Animation(name="cat.gif"), chat=7)
    assert message["document"]["file_id"] == message["animation"]["file_id"]
    assert message["animation"]["mime_type"] == "image/gif"


async def test_an_album_is_a_message_for_each_file(api: BotApi, client: Client) -> None:
    album = api.album([Photo(), Video()], chat=7, caption="which?")
    other = api.album([Document(), Document(name="b.txt")], chat=7)
    updates = await client.ok("getUpdates")
    assert [update["message"] for update in updates] == [*album, *other]
    assert [message.get("caption") for message in (*album, *other)] == ["which?", None, None, None]
    groups = [message["media_group_id"] for message in (*album, *other)]
    assert groups[0] == groups[1] != groups[2] == groups[3]
    with pytest.raises(ValueError, match="two to ten"):
        api.album([Photo()])


async def test_a_file_over_20_mb_is_not_for_bots(api: BotApi, client: Client) -> None:
    file_id = api.send(Document(bytes(20 * 2**20 + 1)), chat=7)["document"]["file_id"]
    assert await client.refused("getFile", file_id=file_id) == "400 Bad Request: file is too big"


def test_bytes_stay_out_of_reports() -> None:
    assert repr(Upload(b"secret", "a.txt")) == "Upload(6 bytes, name='a.txt', mime='')"


def test_items_are_json_objects_in_the_program() -> None:
    for item in ITEMS:
        assert msgspec.json.decode(msgspec.json.encode(item), type=Item) == item
