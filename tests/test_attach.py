"""bridge.attach from the platform to the app: a platform by hand, the scripted FastGPT, and the bridge's own /files."""

from __future__ import annotations

import asyncio
import base64
import tempfile
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

from bridge import attach, incoming
from bridge.appapi import AppApi
from bridge.attach import Attaching, Note, Parts
from bridge.config import App
from bridge.config import Bot as BotConfig
from bridge.core import Bot
from bridge.fastgpt import Ask, FastGPT
from bridge.links import Links
from bridge.model import (
    AnyEvent,
    Attachment,
    BridgeError,
    Caps,
    Conversation,
    Finding,
    Message,
    Receive,
    Surface,
    TooBig,
    User,
)
from bridge.pace import Budget
from bridge.sniff import Kind
from bridge.sniff import sniff as sniffed
from bridge.store import open_engine
from bridge.wire import Wire
from tests.fakes.fastgpt import FakeFastGPT

JPEG = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 300
PDF = b"%PDF-1.7\n" + bytes(200_000)
OGG = b"OggS\x00\x02" + bytes(1000)
MP4 = b"\x00\x00\x00\x20ftypisom" + bytes(1000)
EVERYTHING = dict.fromkeys(("canSelectFile", "canSelectImg", "canSelectAudio", "canSelectVideo"), True)
TO = Message(id="1", conversation=Conversation("tg", "7", "private"), user=User("u"), at=0.0)


class Platform:
    """An adapter whose files are in a dict; ``ref`` is the key. An exception is raised where the file should come."""

    def __init__(self) -> None:
        self.files: dict[str, bytes | Exception] = {}
        self.inbound = frozenset({"image", "file", "audio", "video"})
        self.piece = 1 << 16
        self.open = 0
        self.most_open = 0
        self.two_open = asyncio.Event()
        self.sent = 0
        self.gate: asyncio.Event | None = None

    async def fetch(self, what: Attachment) -> AsyncIterator[bytes]:
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        if self.open == 2:
            self.two_open.set()
        try:
            if self.gate is not None:
                await self.gate.wait()
            data = self.files[what.ref]
            if isinstance(data, Exception):
                raise data
            for at in range(0, len(data), self.piece):
                self.sent += 1
                yield data[at : at + self.piece]
        finally:
            self.open -= 1

    def caps(self, to: AnyEvent) -> Caps:
        return Caps(fits=lambda text: True, live=True, inbound=self.inbound)

    async def run(self, receive: Receive) -> None:
        raise NotImplementedError

    def answer(self, to: AnyEvent, turn: str, resume: str | None = None) -> Surface:
        raise NotImplementedError

    async def typing(self, to: AnyEvent) -> None:
        raise NotImplementedError

    async def complete(self, message: Message) -> Message:
        raise NotImplementedError

    async def probe(self) -> list[Finding]:
        raise NotImplementedError

    def file(self, data: bytes | Exception, kind: Any = "file", name: str = "", **more: Any) -> Attachment:
        ref = f"ref{len(self.files)}"
        self.files[ref] = data
        return Attachment(kind, ref, name, **more)


class Stage:
    """One bot between the platform and the app."""

    def __init__(self, gpt: FakeFastGPT, wire: Wire) -> None:
        self.gpt, self._wire = gpt, wire
        self.platform = Platform()
        self.links: Links | None = None
        self.use()

    def use(self, **more: Any) -> None:
        app = App(base_url=self.gpt.base_url, api_key=self.gpt.key, **{"app_id": self.gpt.app_id, **more})
        client = self._wire.client()
        self.bot = Bot(
            name="tg",
            config=BotConfig(platform="telegram", app="a"),
            adapter=self.platform,
            app=FastGPT(app, client),
            api=AppApi(app, client),
            app_config=app,
            budget=Budget(),
        )

    async def parts(self, *attachments: Attachment) -> Parts:
        return await Attaching(self.links).parts(self.bot, TO, "c1", attachments)

    async def note(self, attachment: Attachment) -> Note:
        """The one note about a file that does not come along."""
        found = await self.parts(attachment)
        assert found.parts == []
        [note] = found.notes
        return note

    async def asked(self, *attachments: Attachment) -> list[tuple[str, str, int | None]]:
        """(name, type, size) of the files as the app has them in the question."""
        found = await self.parts(*attachments)
        assert found.notes == []
        ask = Ask(chat_id="c1", content=[{"type": "text", "text": "这是什么？"}, *found.parts])
        async with aclosing(self.bot.app.stream(ask)) as pieces:
            async for _ in pieces:
                pass
        return [(row.name, row.type, row.size) for row in self.gpt.asked[-1].received]

    @property
    def uploads(self) -> list[bytes]:
        return [stored.data for stored in self.gpt.store.objects.values()]


@pytest.fixture
async def gpt() -> AsyncIterator[FakeFastGPT]:
    async with FakeFastGPT("e26") as gpt:
        gpt.chat_config = {"fileSelectConfig": {**EVERYTHING, "maxFiles": 10}}
        gpt.fetches = True
        yield gpt


@pytest.fixture
async def stage(gpt: FakeFastGPT) -> AsyncIterator[Stage]:
    async with Wire(environ={}) as wire:
        yield Stage(gpt, wire)


@pytest.fixture
async def linked(stage: Stage) -> AsyncIterator[Stage]:
    """The same, with a port that the app can reach."""
    engine = open_engine("sqlite::memory:")
    await engine.start(None)
    app = web.Application()
    server = TestServer(app)

    async def files(request: web.Request) -> web.StreamResponse:
        return await links.handler(request)

    app.router.add_get(Links.PATH, files)
    await server.start_server()
    url = str(server.make_url("")).rstrip("/")
    stage.links = links = Links(engine, url, lambda bot, what: stage.platform.fetch(what))
    yield stage
    await server.close()
    await engine.close(0)


# ---------------------------------------------------------------- uploaded


@pytest.mark.parametrize("presign", ["put", "post", "form"])
async def test_files_are_uploaded_in_their_order(stage: Stage, presign: Any) -> None:
    stage.gpt.presign = presign
    file = stage.platform.file
    got = await stage.asked(
        file(PDF, name="合同.pdf"), file(JPEG, "image"), file(OGG, "audio", "voice.oga"), file(MP4, "video")
    )
    assert got == [
        ("合同.pdf", "application/pdf", len(PDF)),
        ("image.jpg", "image/jpeg", len(JPEG)),
        ("voice.ogg", "audio/ogg", len(OGG)),
        ("file.mp4", "video/mp4", len(MP4)),
    ]
    assert sorted(stage.uploads) == sorted([PDF, JPEG, OGG, MP4])
    first, second = stage.gpt.asked[0].files[:2]
    assert first["type"] == "file_url" and first["name"] == "合同.pdf" and first["url"].startswith(stage.gpt.url)
    assert second["type"] == "image_url" and second["image_url"]["url"].startswith(stage.gpt.url)
    assert first["key"] in stage.gpt.store.objects


async def test_a_file_that_waits_on_disk_arrives_whole(stage: Stage) -> None:
    big = b"%PDF-1.7\n" + bytes(range(256)) * 20_000
    await stage.asked(stage.platform.file(big, name="a.pdf"))
    assert stage.uploads == [big]


@given(cuts=st.lists(st.integers(1, 9000), max_size=6), spool=st.integers(1, 9000), size=st.integers(1, 20_000))
def test_no_byte_is_lost_between_the_platform_and_the_app(cuts: list[int], spool: int, size: int) -> None:
    """Whatever the pieces, and wherever memory ends and the disk begins."""
    data = (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 80)[:size]

    async def pieces() -> AsyncIterator[bytes]:
        at = 0
        for cut in cuts:
            yield data[at : at + cut]
            at += cut
        yield b""
        yield data[at:]

    async def run() -> None:
        async with incoming.Incoming(pieces) as came:
            with tempfile.SpooledTemporaryFile(spool) as disk:
                held = attach._Held(came, disk)
                assert await held.read(4096) >= min(4096, size)
                assert held.start(4096) == data[:4096]
                assert await held.read(incoming.MOST) == size
                assert held.start(size) == data

    asyncio.run(run())


async def test_the_content_says_what_it_is(stage: Stage) -> None:
    got = await stage.asked(stage.platform.file(JPEG, "file", "invoice.pdf", mime="application/pdf"))
    assert got == [("invoice.jpg", "image/jpeg", len(JPEG))]
    assert stage.gpt.asked[0].files[0]["type"] == "image_url"


async def test_a_few_files_of_all_questions_at_once(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attach, "SIDE_BY_SIDE", 2)
    stage.platform.gate = asyncio.Event()
    attaching = Attaching(None)
    pictures = [stage.platform.file(JPEG, "image") for _ in range(5)]
    async with asyncio.TaskGroup() as group:
        bringing = [group.create_task(attaching.parts(stage.bot, TO, "c1", pictures)) for _ in range(3)]
        await stage.platform.two_open.wait()
        stage.platform.gate.set()
    assert [len(task.result().parts) for task in bringing] == [5, 5, 5]
    assert stage.platform.most_open == 2


# ---------------------------------------------------------------- what does not come along


async def test_a_kind_that_the_platform_cannot_bring(stage: Stage) -> None:
    file = stage.platform.file
    found = await stage.parts(file(JPEG, "sticker"), file(JPEG, "image"), file(JPEG, "sticker", "a\u202eb.webp"))
    assert found.notes == [("file_unreadable", {"name": "#1, ab.webp"})]
    assert len(found.parts) == 1
    only = await stage.parts(file(JPEG, "sticker"))
    assert only.parts == []


@pytest.mark.parametrize(
    ("switch", "data", "name", "key"),
    [
        ("canSelectImg", JPEG, "photo.jpg", "app_takes_no_image"),
        ("canSelectFile", PDF, "a.pdf", "app_takes_no_file"),
        ("canSelectAudio", OGG, "a.ogg", "app_takes_no_audio"),
        ("canSelectVideo", MP4, "a.mp4", "app_takes_no_video"),
    ],
)
async def test_a_kind_that_the_app_does_not_take(stage: Stage, switch: str, data: bytes, name: str, key: str) -> None:
    stage.gpt.chat_config = {"fileSelectConfig": {**EVERYTHING, switch: False}}
    stage.platform.piece = 5000
    assert await stage.note(stage.platform.file(data, name=name)) == (key, {"name": name})
    assert stage.uploads == [] and stage.platform.sent == 1, "no more than its first bytes was fetched"
    assert stage.platform.open == 0


async def test_an_ending_that_the_app_takes_besides(stage: Stage) -> None:
    config = {"canSelectFile": False, "canSelectCustomFileExtension": True, "customFileExtensionList": ["EML"]}
    stage.gpt.chat_config = {"fileSelectConfig": {**EVERYTHING, **config}}
    got = await stage.asked(stage.platform.file(b"From: a\n", name="mail.eml"))
    assert [name for name, _, _ in got] == ["mail.eml"]
    note = await stage.note(stage.platform.file(b"From: a\n", name="mail.log"))
    assert note == ("app_takes_no_file", {"name": "mail.log"})


async def test_more_files_than_the_app_takes(stage: Stage) -> None:
    stage.gpt.chat_config = {"fileSelectConfig": {**EVERYTHING, "maxFiles": 2}}
    found = await stage.parts(*(stage.platform.file(PDF, name=f"{n}.pdf") for n in range(4)))
    assert [part["name"] for part in found.parts] == ["0.pdf", "1.pdf"]
    assert found.notes == [("too_many_files", {"most": 2})]


async def test_uploads_that_are_off_are_one_note(stage: Stage) -> None:
    stage.gpt.chat_config = {"fileSelectConfig": {"canSelectVideo": None}}
    found = await stage.parts(stage.platform.file(PDF, name="a.pdf"), stage.platform.file(PDF, name="b.pdf"))
    assert found == ([], [("app_takes_no_files", {"name": "a.pdf, b.pdf"})])


async def test_an_ending_that_the_app_refuses(stage: Stage) -> None:
    note = await stage.note(stage.platform.file(b"PK\x03\x04" + bytes(100), name="a.zip"))
    assert note == ("app_takes_no_file", {"name": "a.zip"})


async def test_too_many_uploads_at_once(stage: Stage) -> None:
    stage.gpt.store.busy = 1
    assert await stage.note(stage.platform.file(PDF, name="a.pdf")) == ("too_many_uploads", {"name": "a.pdf"})


async def test_files_that_are_too_big(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incoming, "MOST", 100_000)
    told = stage.platform.file(b"", name="told.pdf", size=(100 << 20) + 1)
    found = await stage.parts(told, stage.platform.file(TooBig()), stage.platform.file(PDF, name="long.pdf"))
    assert found == ([], [("file_too_big", {"name": "told.pdf, #2, long.pdf"})])
    assert stage.uploads == []
    monkeypatch.undo()
    stage.gpt.store.max_size = 1000
    assert await stage.note(stage.platform.file(PDF, name="a.pdf")) == ("file_too_big", {"name": "a.pdf"})


@pytest.mark.parametrize("error", [BridgeError("gone"), RuntimeError("https://api/bot123:token/f"), OSError("disk")])
async def test_one_failure_does_not_hold_up_the_others(
    stage: Stage, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    found = await stage.parts(stage.platform.file(error), stage.platform.file(PDF, name="a.pdf"))
    assert [part["name"] for part in found.parts] == ["a.pdf"]
    assert found.notes == [("file_failed", {"name": "#1"})]
    assert "token" not in caplog.text and "could not be brought" in caplog.text


async def test_a_bug_with_one_file_does_not_end_the_question(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def sniff(head: bytes, name: str, mime: str) -> Kind:
        if name == "b.pdf":
            raise LookupError(name)
        return sniffed(head, name, mime)

    monkeypatch.setattr(attach, "sniff", sniff)
    found = await stage.parts(stage.platform.file(PDF, name="a.pdf"), stage.platform.file(PDF, name="b.pdf"))
    assert [part["name"] for part in found.parts] == ["a.pdf"]
    assert found.notes == [("file_failed", {"name": "b.pdf"})]


async def test_a_file_that_never_comes(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attach, "TIME", 0.05)
    stage.platform.gate = asyncio.Event()
    assert await stage.note(stage.platform.file(PDF, name="a.pdf")) == ("file_failed", {"name": "a.pdf"})
    assert stage.platform.open == 0


async def test_a_stop_lets_go_of_the_files(stage: Stage) -> None:
    stage.platform.gate = asyncio.Event()
    bringing = asyncio.create_task(stage.parts(stage.platform.file(PDF), stage.platform.file(PDF)))
    await stage.platform.two_open.wait()
    bringing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await bringing
    assert stage.platform.open == 0


# ---------------------------------------------------------------- the other ways


@pytest.mark.parametrize("how", ["an old server", "no app_id"])
async def test_without_uploads_the_app_fetches_from_the_bridge(linked: Stage, how: str) -> None:
    if how == "an old server":
        linked.gpt.era = "e24"
        linked.use()
    else:
        linked.use(app_id="")
    got = await linked.asked(linked.platform.file(PDF, name="合同.pdf"), linked.platform.file(JPEG, "image"))
    assert [(kind, size) for _, kind, size in got] == [("application/pdf", len(PDF)), ("image/jpeg", len(JPEG))]
    file, image = linked.gpt.asked[0].files
    assert file["name"] == "合同.pdf" and "key" not in file
    assert "filename=image.jpg" in image["image_url"]["url"]


async def test_a_small_picture_goes_within_the_question(stage: Stage) -> None:
    stage.use(app_id="")
    assert await stage.asked(stage.platform.file(JPEG, "image")) == [("", "image/jpeg", len(JPEG))]
    url = stage.gpt.asked[0].files[0]["image_url"]["url"]
    assert base64.b64decode(url.removeprefix("data:image/jpeg;base64,")) == JPEG


async def test_a_chat_that_is_not_kept_has_no_uploads(stage: Stage) -> None:
    [part] = (await Attaching(None).parts(stage.bot, TO, "", [stage.platform.file(JPEG, "image")])).parts
    assert part["image_url"]["url"].startswith("data:image/jpeg;base64,")
    assert stage.gpt.calls == []


@pytest.mark.parametrize(
    ("data", "name"), [(JPEG[:4] + bytes(1 << 20), "big.jpg"), (PDF, "a.pdf"), (b"<svg/>", "a.svg")]
)
async def test_what_needs_an_address_says_so(stage: Stage, data: bytes, name: str) -> None:
    stage.use(app_id="")
    assert await stage.note(stage.platform.file(data, name=name)) == ("file_needs_public_url", {"name": name})


async def test_an_openai_app_gets_pictures_only(stage: Stage) -> None:
    stage.use(kind="openai", model="m")
    picture = JPEG[:4] + bytes(2 << 20)
    found = await stage.parts(stage.platform.file(picture, "image"), stage.platform.file(PDF, name="a.pdf"))
    [part] = found.parts
    assert set(part) == {"type", "image_url"}
    assert base64.b64decode(part["image_url"]["url"].partition(",")[2]) == picture
    assert found.notes == [("app_takes_pictures_only", {"name": "a.pdf"})]
    large = stage.platform.file(JPEG[:4] + bytes(4 << 20), "image")
    assert await stage.note(large) == ("file_needs_public_url", {"name": "#1"})
    assert stage.gpt.calls == [], "no helper call goes to such a server"


@pytest.mark.parametrize(("kind", "size", "fit"), [("openai", 3 << 20, 2), ("fastgpt", 400_000, 2)])
async def test_the_pictures_within_one_question_have_a_limit_together(
    stage: Stage, kind: Any, size: int, fit: int
) -> None:
    stage.use(app_id="", kind=kind, model="m")
    found = await stage.parts(*(stage.platform.file(JPEG[:4] + bytes(size), "image") for _ in range(5)))
    assert len(found.parts) == fit
    assert [key for key, _ in found.notes] == ["file_needs_public_url"]


async def test_a_storage_that_fails_is_no_matter_of_the_public_url(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage.gpt.store, "_address", lambda: "http://127.0.0.1:9")
    assert await stage.note(stage.platform.file(PDF, name="a.pdf")) == ("file_failed", {"name": "a.pdf"})


async def test_an_openai_app_fetches_a_large_picture(linked: Stage) -> None:
    linked.use(kind="openai", model="m")
    [part] = (await linked.parts(linked.platform.file(JPEG[:4] + bytes(4 << 20), "image"))).parts
    assert part["image_url"]["url"].startswith("http://127.0.0.1")


async def test_nothing_attached_asks_nobody(stage: Stage) -> None:
    assert await stage.parts() == ([], [])
    assert stage.gpt.calls == []
