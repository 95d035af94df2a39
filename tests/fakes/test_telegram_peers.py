"""python-telegram-bot as a second opinion: it reads every update and every answer of the fake, and every payload file.

What the library does not know ends in ``api_kwargs``: only the names listed here may.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from telegram import (
    Bot,
    BotCommand,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    Message,
    MessageEntity,
    ReactionTypeEmoji,
    ReplyParameters,
    TelegramObject,
    Update,
)
from telegram.error import BadRequest, ChatMigrated, EndPointNotFound, Forbidden, InvalidToken, NetworkError

from tests.fakes.botapi import BotApi
from tests.fakes.telegram.chat import bot_of
from tests.fakes.telegram.client import library_bot
from tests.fakes.telegram.files import PIXEL
from tests.fakes.telegram.items import (
    Animation,
    Audio,
    Contact,
    Dice,
    Document,
    Location,
    Photo,
    Poll,
    Sticker,
    Video,
    VideoNote,
    Voice,
)
from tests.fakes.telegram.rules import Json

PAYLOADS = sorted((Path(__file__).parent.parent / "payloads" / "telegram").glob("*.json"))
GROUP, FORUM, BASIC, CHANNEL = -100123, -100124, -5, -100200

NEWER = {"stopped_message_generation"}
"""Of a Bot API after the library's 10.0."""
OLDER = {
    "thumb",
    "new_chat_participant",
    "new_chat_member",
    "left_chat_participant",
    "forward_from_chat",
    "forward_from_message_id",
    "forward_signature",
    "forward_date",
    "can_manage_voice_chats",
    "all_members_are_administrators",
    "accepted_gift_types",
}
"""Names that the platform still sends and no longer documents: in payloads, not in the fake."""


@pytest.fixture(autouse=True)
def _durations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PTB_TIMEDELTA", "true")


@pytest.fixture
async def api() -> AsyncIterator[BotApi]:
    async with BotApi() as server:
        yield server


@pytest.fixture
async def bot(api: BotApi) -> AsyncIterator[Bot]:
    async with library_bot(api) as library:
        yield library


def unknown(value: Any) -> Iterator[str]:
    """The names of all fields that the library has no attribute for."""
    if isinstance(value, TelegramObject):
        yield from value.api_kwargs
        slots = {slot for kind in type(value).__mro__ for slot in getattr(kind, "__slots__", ())}
        for name in slots - {"api_kwargs"}:
            if not name.startswith("_"):
                yield from unknown(getattr(value, name))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from unknown(item)


def kept(given: Any, read: Any, path: str = "update") -> Iterator[str]:
    """The paths of what was given and is not in what the library writes back."""
    if isinstance(given, dict) and isinstance(read, dict):
        for name, value in given.items():
            yield from kept(value, read.get(name), f"{path}.{name}")
    elif isinstance(given, list) and isinstance(read, list | tuple) and len(given) == len(read):
        for at, (one, other) in enumerate(zip(given, read, strict=True)):
            yield from kept(one, other, f"{path}[{at}]")
    elif given != read and given not in (None, [], {}, False):
        yield f"{path}: {given!r} became {read!r}"


def read(update: Json) -> Update:
    """The update as the library sees it; it must have lost nothing."""
    parsed = Update.de_json(update, None)
    assert list(kept(update, parsed.to_dict())) == []
    return parsed


# ------------------------------------------------------------------ updates


@pytest.mark.parametrize("path", PAYLOADS, ids=lambda path: path.stem)
def test_every_payload_is_an_update(path: Path) -> None:
    update = read(json.loads(path.read_text("utf-8")))
    assert set(unknown(update)) <= NEWER | OLDER


def test_no_two_payloads_are_the_same_update() -> None:
    numbers = [json.loads(path.read_text("utf-8"))["update_id"] for path in PAYLOADS]
    assert len(set(numbers)) == len(numbers)


def _edit(api: BotApi) -> None:
    api.edit(7, api.say("hi", chat=7)["message_id"], "again /new")
    api.edit(7, api.send(Photo(), chat=7, caption="x")["message_id"], "y")


def _reply(api: BotApi) -> None:
    for chat in (7, GROUP):
        first = api.say("a 😀 question", chat=chat)["message_id"]
        api.say("and then?", chat=chat, reply_to=first, quote="question")


def _channel(api: BotApi) -> None:
    api.open(CHANNEL, type="channel")
    api.edit(CHANNEL, api.say("news", chat=CHANNEL, author_signature="Ed")["message_id"], "news!")


def _comment(api: BotApi) -> None:
    post = api.linked_post("news #1 @my_bot", GROUP, CHANNEL, signature="Ed")
    api.say("nice", chat=GROUP, reply_to=post["message_id"])


def _migrate(api: BotApi) -> None:
    api.open(BASIC, type="group")
    api.say("hi", chat=BASIC)
    api.migrate(BASIC)


def _membership(api: BotApi) -> None:
    api.member(GROUP, "member")
    api.member(GROUP, "administrator")
    api.member(GROUP, "left")
    api.block(7)
    api.block(7, False)
    api.joined(FORUM)


def _masks(api: BotApi) -> None:
    other = bot_of(4300, "search_bot")
    api.say("hi", chat=GROUP, as_chat=GROUP, author_signature="boss")
    api.say("hi", chat=GROUP, as_chat=CHANNEL)
    api.say("hi", chat=GROUP, user=other)
    api.say("hi", chat=GROUP, via_bot=other)


def _topics(api: BotApi) -> None:
    api.say("private", chat=7, thread=5)
    api.say("@my_bot forum", chat=FORUM, thread=9)
    api.say("general", chat=FORUM, thread=1)


def _items(api: BotApi) -> None:
    for captioned in (Photo(), Document(), Voice(), Audio(), Video(), Animation()):
        api.send(captioned, chat=7, caption="look @my_bot")
    for bare in (VideoNote(), Sticker(), Sticker(animated=True), Location(), Contact(user_id=9), Poll(), Dice()):
        api.send(bare, chat=7)
    api.album([Photo(), Video()], chat=GROUP, caption="both")


def _touch(api: BotApi) -> None:
    number = api.say("hi", chat=7)["message_id"]
    api.press(7, number, "x", stale=True)
    api.press(7, 99, "x", stale=True)
    api.react(7, number, "👍")


ACTS: list[tuple[Callable[[BotApi], None], int]] = [
    (_edit, 4),
    (_reply, 4),
    (_channel, 2),
    (_comment, 2),
    (_migrate, 3),
    (_membership, 7),
    (_masks, 4),
    (_topics, 3),
    (_items, 15),
    (_touch, 4),
]
"""What people do, and how many updates come of it."""


@pytest.mark.parametrize(("act", "count"), ACTS, ids=[act.__name__[1:] for act, _ in ACTS])
def test_the_library_reads_what_people_do(act: Callable[[BotApi], None], count: int) -> None:
    api = BotApi()
    api.bot().allowed = frozenset(Update.ALL_TYPES)
    act(api)
    updates = [read(json.loads(bytes(update))) for _, update in api.bot().updates]
    assert len(updates) == count
    for update in updates:
        assert set(unknown(update)) == set() and update.effective_chat is not None


async def test_a_stopped_draft_is_newer_than_the_library(api: BotApi, bot: Bot) -> None:
    api.open(7)
    await bot.send_message_draft(7, 5, "grow", api_kwargs={"can_stop": True, "keep_on_stop": True})
    api.stop_draft(7)
    (update,) = await bot.get_updates()
    assert set(unknown(update)) == NEWER and update.effective_chat is None
    assert update.api_kwargs["stopped_message_generation"] == {"chat": api.open(7).info, "draft_id": 5}


# ------------------------------------------------------------------ calls


async def test_the_library_sends_every_kind_of_message(api: BotApi, bot: Bot) -> None:
    asked = api.say("draw a cat", chat=7)
    entities = [MessageEntity("bold", 0, 4)]
    markup = InlineKeyboardMarkup.from_button(InlineKeyboardButton("Again", callback_data="again"))
    reply = ReplyParameters(asked["message_id"], quote="cat")
    text = await bot.send_message(7, "Here it is", entities=entities, reply_markup=markup, reply_parameters=reply)
    photo = await bot.send_photo(7, PIXEL, "Here it is", caption_entities=entities, reply_markup=markup)
    document = await bot.send_document(7, b"a,b", "Here it is", filename="猫.csv", reply_parameters=reply)
    sent = [
        text,
        photo,
        document,
        await bot.send_video(7, b"film", filename="a.mp4"),
        await bot.send_audio(7, b"ID3", filename="a.mp3"),
        await bot.send_voice(7, b"OggS"),
        await bot.send_animation(7, b"film", filename="a.mp4"),
        await bot.send_photo(7, photo.photo[-1].file_id),
    ]
    for message in sent:
        assert isinstance(message, Message) and set(unknown(message)) == set() and message.from_user == bot.bot
    assert text.quote is not None and text.quote.text == "cat" and text.reply_markup == markup
    assert photo.caption_entities == tuple(entities) and document.reply_to_message is not None
    shown = api.screen(7)[1:]
    assert [seen.media for seen in shown] == ["", "photo", "document", "video", "audio", "voice", "animation", "photo"]
    assert (shown[2].file_name, shown[2].data, shown[2].text) == ("猫.csv", b"a,b", "Here it is")
    assert shown[-1].data == PIXEL


async def test_the_library_changes_messages(api: BotApi, bot: Bot) -> None:
    api.open(7)
    text = await bot.send_message(7, "one")
    photo = await bot.send_photo(7, PIXEL, "one")
    markup = InlineKeyboardMarkup.from_button(InlineKeyboardButton("Again", callback_data="again"))
    edited = [
        await bot.edit_message_text("two", 7, text.message_id),
        await bot.edit_message_caption(7, photo.message_id, caption="two"),
        await bot.edit_message_reply_markup(7, photo.message_id, reply_markup=markup),
    ]
    for message in edited:
        assert isinstance(message, Message) and set(unknown(message)) == set() and message.edit_date is not None
    assert [seen.text for seen in api.screen(7)] == ["two", "two"] and api.screen(7)[1].button("Again") == "again"
    assert await bot.set_message_reaction(7, text.message_id, ReactionTypeEmoji("👀"))
    assert await bot.delete_message(7, text.message_id)
    assert await bot.send_chat_action(7, "upload_photo") and api.typing(7) == "upload_photo"
    api.press(7, photo.message_id, "again")
    query = (await bot.get_updates())[-1].callback_query
    assert query is not None and await query.answer("Noted", show_alert=True)
    assert [(answer.text, answer.alert) for answer in api.answers()] == [("Noted", True)]


async def test_the_library_fetches_files(api: BotApi, bot: Bot) -> None:
    message = api.send(Document("你好".encode(), "a.txt"), chat=7)
    (update,) = await bot.get_updates()
    assert update.message is not None and update.message.document is not None
    file = await update.message.document.get_file()
    assert await file.download_as_bytearray() == "你好".encode()
    assert file.file_unique_id == message["document"]["file_unique_id"] and set(unknown(file)) == set()
    with pytest.raises(BadRequest, match="File is too big"):
        await bot.get_file(api.file(bytes(20 * 2**20 + 1)))


async def test_the_library_asks_about_itself(api: BotApi, bot: Bot) -> None:
    me = await bot.get_me()
    assert me.id == 42 and me.is_bot and set(unknown(me)) == set()
    assert await bot.set_my_commands([BotCommand("new", "start anew")])
    assert [command.command for command in await bot.get_my_commands()] == ["new"]
    for chat, kind in ((7, ""), (GROUP, ""), (BASIC, "group"), (CHANNEL, "channel")):
        known = api.open(chat, **({"type": kind} if kind else {}))
        info = await bot.get_chat(chat)
        assert (info.id, info.type) == (chat, known.kind) and set(unknown(info)) == set()
    assert await bot.set_webhook("http://127.0.0.1:9/", secret_token="s3cret", max_connections=2)
    api.say("hi")
    await api.until(lambda: api.bot().webhook is not None and api.bot().webhook.failure)  # type: ignore[union-attr]
    info_now = await bot.get_webhook_info()
    assert (info_now.url, info_now.max_connections, info_now.pending_update_count) == ("http://127.0.0.1:9/", 2, 1)
    assert info_now.last_error_message and info_now.last_error_date and set(unknown(info_now)) == set()
    assert await bot.delete_webhook(drop_pending_updates=True)
    assert await bot.get_updates() == ()


async def test_the_library_raises_its_own_error_for_each_refusal(api: BotApi, bot: Bot) -> None:
    api.open(BASIC, type="group")
    new = api.migrate(BASIC)
    with pytest.raises(ChatMigrated) as migrated:
        await bot.send_message(BASIC, "x")
    assert migrated.value.new_chat_id == new
    with pytest.raises(BadRequest, match="Image_process_failed"):
        await bot.send_photo(new, b"<svg/>")
    with pytest.raises(NetworkError, match="Request Entity Too Large"):
        await bot.send_document(new, bytes(50 * 2**20 + 1))
    api.member(new, "left")
    with pytest.raises(Forbidden, match="bot is not a member"):
        await bot.send_photo(new, PIXEL)
    api.unknown("sendMessageDraft")
    with pytest.raises(InvalidToken):  # the library takes every 404 of a method that it knows for a wrong token
        await bot.send_message_draft(7, 1, "x")
    with pytest.raises(EndPointNotFound):
        await bot.do_api_request("sendRichMessage", {"chat_id": 7})
