"""Files on their way from and to iLink's CDN."""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.wechat.ilink import media
from adapters.wechat.ilink.events import MediaRef
from adapters.wechat.ilink.media import Decryptor, encrypt, key_of
from bridge.model import Attachment, BridgeError, Download, Exhausted, Shown, TooBig, Unreachable
from tests.adapters.ilink_stage import Stage, final, final_file, ilink_bot

ROOT = Path(__file__).parent.parent.parent
KEY = bytes(range(16))
PNG = Download(b"\x89PNG\r\n\x1a\n" + bytes(100_000), "cat.png", "image/png")
PDF = Download(b"%PDF-1.7 ...", "报告.pdf", "application/pdf; charset=binary")
URL = "https://me:SECRET@files.example.com/SECRET/cat?token=SECRET#SECRET"


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with ilink_bot() as made:
        yield made


async def shown(stage: Stage, file: Download) -> Shown:
    """The file is sent as an answer."""
    event = await stage.asked()
    stage.host.downloads[URL] = file
    return await stage.door.answer(event, event.id).show(final_file(URL))


def seen(stage: Stage) -> list[tuple[str, bytes | None]]:
    """What the user has on the screen and can open."""
    return [(sent.seen, sent.data) for sent in stage.ilink.sent]


# ------------------------------------------------------------------ the cipher


@pytest.mark.parametrize("key", [KEY, KEY.hex().encode(), KEY.hex().upper().encode()])
def test_a_key_is_written_in_two_ways(key: bytes) -> None:
    assert key_of(base64.b64encode(key).decode()) == KEY


@pytest.mark.parametrize(
    "wire", ["", "!", "AAAA", base64.b64encode(b"z" * 32).decode(), base64.b64encode(KEY + KEY).decode()]
)
def test_a_key_that_is_none(wire: str) -> None:
    with pytest.raises(BridgeError, match="key"):
        key_of(wire)


def pieces(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    start = 0
    for cut in sorted(min(cut, len(data)) for cut in cuts):
        yield data[start:cut]
        start = cut
    yield data[start:]


@given(st.binary(max_size=200), st.binary(min_size=16, max_size=16), st.lists(st.integers(0, 220), max_size=5))
def test_what_is_encrypted_comes_back_however_it_is_cut(data: bytes, key: bytes, cuts: list[int]) -> None:
    encrypted, cipher = encrypt(data, key), Decryptor(key)
    assert len(encrypted) == (len(data) // 16 + 1) * 16
    assert b"".join([cipher.feed(piece) for piece in pieces(encrypted, cuts)]) + cipher.end() == data


@pytest.mark.parametrize("data", [b"", encrypt(b"words" * 10, KEY)[:-1], encrypt(b"words" * 10, KEY)[:-16]])
def test_half_a_file_is_no_file(data: bytes) -> None:
    cipher = Decryptor(KEY)
    cipher.feed(data)
    with pytest.raises(BridgeError, match="decrypted"):
        cipher.end()


def test_the_cipher_is_loaded_with_the_first_file() -> None:
    code = "import sys, adapters.wechat.ilink; print('cryptography' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert out.stdout.strip() == "False"


# ------------------------------------------------------------------ in


@pytest.mark.parametrize("kind", ["image", "file", "video"])
async def test_a_users_file_comes_whatever_way_its_key_is_written(
    stage: Stage, kind: Literal["image", "file", "video"]
) -> None:
    for data in (PNG.data, PDF.data):
        stage.ilink.say_media(kind, data, "cat.png")
        assert await stage.fetched(await stage.event()) == data


async def test_a_file_that_is_not_encrypted_comes_as_it_is(stage: Stage) -> None:
    param = stage.ilink.cdn.keep(b"words", KEY)
    came = [piece async for piece in stage.door.fetch(Attachment("image", f'{{"param":"{param}"}}'))]
    assert b"".join(came) == encrypt(b"words", KEY)


async def test_a_file_is_not_fetched_beyond_the_limit(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "MOST", len(PNG.data))
    stage.ilink.say_media("image", PNG.data)
    assert await stage.fetched(await stage.event()) == PNG.data
    monkeypatch.setattr(media, "MOST", len(PNG.data) - 20)
    stage.ilink.say_media("image", PNG.data)
    with pytest.raises(TooBig):
        await stage.fetched(await stage.event())


async def test_a_file_that_cannot_be_had(stage: Stage) -> None:
    param = stage.ilink.cdn.keep(b"words", KEY)
    wrong = base64.b64encode(b"another key 16 b").decode()
    for ref in (MediaRef(), MediaRef("SECRET", wrong), MediaRef(param, wrong), MediaRef(param, "SECRET")):
        with pytest.raises(BridgeError) as caught:
            [piece async for piece in stage.door.fetch(Attachment("file", msgspec.json.encode(ref).decode()))]
        assert "SECRET" not in str(caught.value) and param not in str(caught.value)


async def test_the_cdn_is_away(stage: Stage) -> None:
    stage.ilink.say_media("image", PNG.data)
    event = await stage.event()
    stage.ilink.fault("download", "drop_before", times=2)  # aiohttp repeats a GET once
    with pytest.raises(BridgeError, match="fetched"):
        await stage.fetched(event)
    assert await stage.fetched(event) == PNG.data


# ------------------------------------------------------------------ out


@pytest.mark.parametrize("whole_address", [True, False])
async def test_a_picture_is_shown_and_a_file_is_sent(stage: Stage, whole_address: bool) -> None:
    stage.ilink.full_urls = whole_address
    first, second = await shown(stage, PNG), await shown(stage, PDF)
    assert seen(stage) == [("[image]", PNG.data), ("[file 报告.pdf]", PDF.data)]
    assert first.ids == (stage.ilink.sent[0].id,) and second.ids == (stage.ilink.sent[1].id,)
    assert first.calls == 2, "the CDN's calls are not iLink's"


async def test_what_is_no_picture_for_wechat_is_a_file(stage: Stage) -> None:
    stage.ilink.fail("getuploadurl", ret=-5)
    await shown(stage, PNG)
    assert seen(stage) == [("[file cat.png]", PNG.data)]


async def test_an_upload_is_tried_again_while_the_cdn_has_trouble(stage: Stage) -> None:
    stage.ilink.fail("upload", status=503, times=2)
    await shown(stage, PDF)
    assert (seen(stage), stage.made("upload")) == ([("[file 报告.pdf]", PDF.data)], 3)


async def test_a_file_that_is_refused_is_left_out(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    stage.ilink.fail("upload", status=403)
    result = await shown(stage, PDF)
    assert (result.ids, seen(stage), stage.made("upload")) == ((), [], 1)
    assert "files.example.com is refused" in caplog.text and "SECRET" not in caplog.text


async def test_a_file_that_cannot_be_downloaded_is_left_out(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    surface = stage.door.answer(await stage.asked(), "turn-1")
    before = await surface.show(final("Words."))
    assert await surface.show(final_file(URL, part=1)) == Shown(before.ref, before.ids, calls=0)
    assert "files.example.com is not sent" in caplog.text and "SECRET" not in caplog.text


@pytest.mark.parametrize("path", ["getuploadurl", "upload"])
async def test_a_fault_before_the_message_has_sent_nothing(
    stage: Stage, path: Literal["getuploadurl", "upload"]
) -> None:
    event = await stage.asked()
    stage.host.downloads[URL] = PDF
    surface = stage.door.answer(event, "turn-1")
    stage.ilink.fault(path, "502", times=3 if path == "upload" else 1)
    with pytest.raises(Unreachable):
        await surface.show(final_file(URL))
    del stage.host.downloads[URL]  # it is kept
    await surface.show(final_file(URL))
    assert seen(stage) == [("[file 报告.pdf]", PDF.data)]


async def test_what_was_uploaded_is_not_uploaded_again(stage: Stage) -> None:
    event = await stage.asked()
    stage.host.downloads[URL] = PDF
    surface = stage.door.answer(event, "turn-1")
    stage.ilink.budget = 0
    with pytest.raises(Exhausted) as caught:
        await surface.show(final_file(URL))
    assert caught.value.calls == 2
    stage.ilink.budget = 10
    await surface.show(final_file(URL))
    assert (seen(stage), stage.made("upload")) == ([("[file 报告.pdf]", PDF.data)], 1)
