"""How the scripted FastGPT server deals with files: uploads, parts of a question, linked files; and the config."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import httpx
import pytest

from tests.fakes.fastgpt import Era, FakeFastGPT, Gate, Received, Script, names_of
from tests.fakes.fastgpt_reader import Client, read

PDF = b"%PDF-1.7\r\n--\x00\xff\r\n"
PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII=")
ALL = {"canSelectFile": True, "canSelectImg": True, "maxFiles": 10}
CHAT = "tg:1/2"
POST_URL = "/core/chat/file/presignChatFilePostUrl"
GET_URL = "/core/chat/file/presignChatFileGetUrl"


@pytest.fixture
async def gpt() -> AsyncIterator[FakeFastGPT]:
    async with FakeFastGPT("e26") as fake:
        fake.chat_config = {"fileSelectConfig": ALL}
        yield fake


async def call(client: Client, path: str, **body: Any) -> httpx.Response:
    body = {"appId": client.gpt.app_id, "chatId": CHAT, **body}
    return await client.http.post(client.gpt.base_url + path, json=body, headers=client.headers())


async def signed(client: Client, filename: str = "合同.pdf", **body: Any) -> dict[str, Any]:
    reply = await call(client, POST_URL, filename=filename, **body)
    assert reply.status_code == 200, reply.text
    data: dict[str, Any] = reply.json()["data"]
    return data


async def put(client: Client, to: dict[str, Any], data: bytes = PDF) -> httpx.Response:
    return await client.http.put(to["url"], content=data, headers=to["headers"])


async def uploaded(client: Client, filename: str = "合同.pdf", data: bytes = PDF, **body: Any) -> str:
    to = await signed(client, filename, **body)
    assert (await put(client, to, data)).status_code == 200
    return str(to["key"])


def part(name: str = "合同.pdf", **fields: Any) -> dict[str, Any]:
    return {"type": "file_url", "name": name, **fields}


def message(*parts: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(parts)}]


def image(url: str, **fields: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}, **fields}


# ------------------------------------------------------------------ addresses for uploads


async def test_an_upload_and_its_way_back(client: Client) -> None:
    gpt = client.gpt
    to = await signed(client, contentType="application/pdf")
    assert set(to) == {"url", "key", "headers", "maxSize"}
    assert (await put(client, to)).status_code == 200
    stored = gpt.store.objects[to["key"]]
    assert (stored.filename, stored.content_type, stored.data) == ("合同.pdf", "application/pdf", PDF)
    assert [(visit.method, visit.key, visit.size, visit.status) for visit in gpt.store.visits] == [
        ("PUT", to["key"], len(PDF), 200)
    ]
    url = (await call(client, GET_URL, key=to["key"])).json()["data"]
    back = await client.http.get(url)
    assert (back.status_code, back.content, back.headers["content-type"]) == (200, PDF, "application/pdf")
    gpt.store.missing = True
    assert (await client.http.get(url)).status_code == 404


async def test_a_large_upload_is_no_matter_of_the_chat_servers_limit(client: Client) -> None:
    client.gpt.store.max_size = None
    large = bytes(21 * 1024 * 1024)
    to = await signed(client)
    assert "maxSize" not in to
    assert (await put(client, to, large)).status_code == 200
    assert client.gpt.store.objects[to["key"]].data == large


async def test_the_store_takes_what_was_signed_and_nothing_else(client: Client) -> None:
    store, http = client.gpt.store, client.http
    store.max_size = len(PDF)
    to = await signed(client)
    url, headers = to["url"], to["headers"]
    other = (await signed(client))["url"].partition("?")[0] + "?" + url.partition("?")[2]
    replies = [
        await http.put(url, content=PDF, headers={**headers, "Content-Type": "text/plain"}),
        await http.put(url, content=PDF, headers={"Content-Type": headers["Content-Type"]}),
        await http.post(url, content=PDF, headers=headers),
        await http.get(url),
        await http.put(url + "0", content=PDF, headers=headers),
        await http.put(other, content=PDF, headers=headers),
        await http.put(url, content=PDF, headers={**headers, **client.headers()}),
        await http.put(url, content=PDF + b"!", headers=headers),
    ]
    assert [reply.status_code for reply in replies] == [403] * 6 + [400] * 2
    assert "SignatureDoesNotMatch" in replies[0].text
    assert "one auth mechanism" in replies[6].text
    assert "EntityTooLarge" in replies[7].text
    assert not store.objects
    assert (await put(client, to)).status_code == 200
    assert (await put(client, to)).status_code == 403
    assert list(store.objects) == [to["key"]]


async def test_a_body_without_a_length_is_refused(client: Client) -> None:
    to = await signed(client)

    async def pieces() -> AsyncIterator[bytes]:
        yield PDF

    assert (await client.http.put(to["url"], content=pieces(), headers=to["headers"])).status_code == 411


async def test_an_address_expires(client: Client) -> None:
    store = client.gpt.store
    key = await uploaded(client)
    store.lifetime = 0
    late = await put(client, await signed(client))
    assert (late.status_code, "Request has expired" in late.text) == (403, True)
    assert (await client.http.get((await call(client, GET_URL, key=key)).json()["data"])).status_code == 403


async def test_the_store_may_refuse_once(client: Client) -> None:
    client.gpt.store.denies = 1
    to = await signed(client)
    assert (await put(client, to)).status_code == 403
    assert (await put(client, to)).status_code == 200


async def test_the_form_of_the_first_servers(client: Client) -> None:
    gpt, http = client.gpt, client.http
    gpt.presign = "form"
    to = await signed(client)
    assert set(to) == {"url", "key", "fields"}
    wrong = await http.post(to["url"], data={**to["fields"], "key": "mine"}, files={"file": PDF})
    assert wrong.status_code == 403
    late = b"".join(
        b'--b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (name.encode(), value)
        for name, value in {"file": PDF, **{name: value.encode() for name, value in to["fields"].items()}}.items()
    )
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    assert (await http.post(to["url"], content=late + b"--b--\r\n", headers=headers)).status_code == 403
    assert (await http.put(to["url"], content=PDF)).status_code == 403
    form = aiohttp.FormData(to["fields"])
    form.add_field("file", PDF, filename="合同.pdf")
    async with aiohttp.ClientSession() as session, session.post(to["url"], data=form) as reply:
        assert reply.status == 204
    assert gpt.store.objects[to["key"]].data == PDF


async def test_the_raw_post(client: Client) -> None:
    client.gpt.presign = "post"
    to = await signed(client)
    assert (await put(client, to)).status_code == 403
    assert (await client.http.post(to["url"], content=PDF, headers=to["headers"])).status_code == 200
    assert client.gpt.store.objects[to["key"]].data == PDF


@pytest.mark.parametrize("era", ["e23", "e24", "v2"])
async def test_only_e26_has_the_calls(http: httpx.AsyncClient, era: Era) -> None:
    async with FakeFastGPT(era) as gpt:
        client = Client(gpt, http)
        for path, subject in ((POST_URL, {"filename": "a.pdf"}), (GET_URL, {"key": "k"})):
            reply = await call(client, path, **subject)
            assert (reply.status_code, reply.text[:15]) == (404, "<!DOCTYPE html>")
        gpt.presign, gpt.chat_config = "put", {"fileSelectConfig": ALL}
        assert await uploaded(client) in gpt.store.objects


async def test_what_the_app_does_not_take_gets_no_address(client: Client) -> None:
    gpt = client.gpt
    config: dict[str, Any]
    for config, filename, status_text in (
        ({}, "a.pdf", "FileUploadDisabled"),
        ({"fileSelectConfig": {"canSelectFile": False, "canSelectImg": False}}, "a.pdf", "FileUploadDisabled"),
        ({"fileSelectConfig": {"canSelectImg": True}}, "a.pdf", "InvalidUploadFileType"),
        ({"fileSelectConfig": {"canSelectImg": True}}, "photo", "InvalidUploadFileType"),
    ):
        gpt.chat_config = config
        reply = await call(client, POST_URL, filename=filename)
        assert (reply.status_code, reply.json()["statusText"]) == (500, status_text)
    for config, filename in (
        ({"canSelectImg": True}, "a.PNG"),
        ({"canSelectAudio": True}, "a.ogg"),
        ({"canSelectVideo": True}, "a.mp4"),
        ({"canSelectCustomFileExtension": True, "customFileExtensionList": [".log"]}, "a.log"),
    ):
        gpt.chat_config = {"fileSelectConfig": config}
        assert (await call(client, POST_URL, filename=filename)).status_code == 200


async def test_other_refusals_of_an_address(client: Client) -> None:
    gpt = client.gpt
    gpt.store.busy = 1
    busy = await call(client, POST_URL, filename="a.pdf")
    assert (busy.status_code, busy.json()["code"]) == (500, 429)
    assert (await call(client, POST_URL, filename="a.pdf")).status_code == 200
    for field in ("filename", "appId", "chatId"):
        reply = await call(client, POST_URL, **{"filename": "a.pdf", field: ""})
        assert (reply.status_code, reply.json()["message"]) == (500, f"{field}: Invalid input")
    assert (await call(client, POST_URL, filename="a.pdf", appId="of another")).json()["message"] == "app is empty"
    body = {"appId": gpt.app_id, "chatId": CHAT, "filename": "a.pdf"}
    stranger = {"Authorization": "Bearer nobody"}
    wrong = await client.http.post(gpt.base_url + POST_URL, json=body, headers=stranger)
    assert (wrong.status_code, wrong.json()["statusText"]) == (500, "unAuthorization")
    key = await uploaded(client)
    foreign = await call(client, GET_URL, key=key, chatId="another")
    assert (foreign.status_code, foreign.json()["statusText"]) == (500, "unAuthChat")


# ------------------------------------------------------------------ the parts of a question


async def test_parts_are_taken_or_dropped(client: Client) -> None:
    gpt = client.gpt
    picture, file = image("https://example.org/a.png"), part("b.txt", url="https://example.org/b.txt")
    texts = [{"type": "text", "text": "导演"}, {"type": "text", "text": "是谁"}]
    audio = {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}
    await client.ask(messages=message(texts[0], picture, audio, file, texts[1]))
    asked = gpt.asked[0]
    assert asked.parts == [texts[0], picture, file, texts[1]]
    assert (asked.question, asked.files) == ("导演是谁", [picture, file])
    assert asked.received == [Received("a.png", "image_url"), Received("b.txt", "file_url")]
    assert not gpt.fetched
    await client.ask(messages=message(file))
    assert (gpt.asked[1].question, gpt.asked[1].refused) == ("", "")


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ([], "User question is empty"),
        ([{"type": "input_audio"}], "User question is empty"),
        ([{"text": "a"}], "messages.0.content.0.type: Invalid input"),
        ([{"type": "text", "text": "a"}, {"type": "text"}], "messages.0.content.1.text: Invalid input"),
        ([{"type": "image_url", "image_url": {}}], "messages.0.content.0.image_url.url: Invalid input"),
        ([{"type": "image_url", "url": "https://x.org"}], "messages.0.content.0.image_url.url: Invalid input"),
        ([{"type": "file_url", "url": "https://x.org"}], "messages.0.content.0.name: Invalid input"),
        ([{"type": "file_url", "name": "a.pdf"}], "messages.0.content.0.url: Invalid input"),
    ],
)
@pytest.mark.parametrize("era", ["e24", "e26"])
async def test_incomplete_parts_are_refused(
    http: httpx.AsyncClient, era: Era, parts: list[dict[str, Any]], reason: str
) -> None:
    async with FakeFastGPT(era) as gpt:
        client = Client(gpt, http)
        reply = await client.ask(messages=message(*parts), stream=False)
        assert (reply.status_code, reply.json()["message"]) == (500, reason)
        streamed = await client.ask(messages=message(*parts))
        early = era == "e26" and reason.startswith("messages.")  # before the handler knows of streams
        assert streamed.status_code == (500 if early else 200)
        assert [asked.refused for asked in gpt.asked] == [reason, reason]


async def test_a_key_must_be_of_this_chat(client: Client) -> None:
    gpt = client.gpt
    key = await uploaded(client)
    gpt.default = Script(names="files")
    fine = read(200, "", (await client.ask(messages=message(part("x.pdf", key=key)), chatId=CHAT)).content)
    assert fine.text == f"合同.pdf (application/pdf, {len(PDF)} bytes)"
    never_sent = (await signed(client))["key"]
    for bad, chat_id in ((key, "another"), (key, ""), ("chat/made-up.pdf", CHAT), (never_sent, CHAT)):
        reply = await client.ask(messages=message(part(key=bad)), chatId=chat_id)
        seen = read(200, "", reply.content)
        assert reply.status_code == 200
        assert (seen.text, "unAuthFile" in (seen.error or "")) == ("", True)
    assert [asked.finished for asked in gpt.asked] == [True, False, False, False, False]
    whole = await client.ask(messages=message(part(key=key)), chatId="another", stream=False)
    assert (whole.status_code, whole.json()["statusText"]) == (500, "unAuthFile")
    assert gpt.running == 0
    again = await client.ask(messages=message(part(key=key)), chatId=CHAT)
    assert read(200, "", again.content).error is None


async def test_pictures_in_the_request_are_decoded(client: Client) -> None:
    gpt = client.gpt
    gpt.default = Script(names="files")
    url = "data:image/png;base64," + base64.b64encode(PNG).decode()
    seen = read(200, "", (await client.ask(messages=message(image(url)))).content)
    assert seen.text == f" (image/png, {len(PNG)} bytes)"
    assert gpt.fetched == [(url, 200, {"content-type": "image/png"}, PNG)]
    for bad in ("data:image/png;base64,not base64", "data:image/png;base64,", "data:text/plain;base64,aGk="):
        assert "Invalid base64" in (read(200, "", (await client.ask(messages=message(image(bad)))).content).error or "")
    assert len(gpt.fetched) == 1


async def test_addresses_are_fetched_when_the_app_reads_files(client: Client) -> None:
    gpt = client.gpt
    key = await uploaded(client)
    text = gpt.publish("说明.txt", b"hello", content_type="text/plain; charset=utf-8")
    moved = gpt.publish("moved.png", b"", redirect=gpt.publish("a.png", PNG, content_type="image/png"))
    gone = f"{gpt.url}/static/gone.pdf"
    dead = "http://127.0.0.1:1/dead.pdf"
    gpt.default = Script(names="files")
    files = [part("b.txt", url=text), image(moved), part("c", url=gone), part("d", url=dead)]
    await client.ask(messages=message(*files), chatId="c1")
    assert gpt.published["说明.txt"].requests == 0
    gpt.fetches = True
    files.append(part("x.pdf", url=text, key=key))
    seen = read(200, "", (await client.ask(messages=message(*files), chatId=CHAT)).content)
    expected = [
        Received("b.txt", "text/plain", 5),
        Received("moved.png", "image/png", len(PNG)),
        Received("c", "file_url"),
        Received("d", "file_url"),
        Received("合同.pdf", "application/pdf", len(PDF)),
    ]
    assert gpt.asked[1].received == expected
    assert seen.text == names_of(expected)
    assert seen.text.splitlines()[2] == "c (file_url, not read)"
    got = [(fetched.url, fetched.status, fetched.data) for fetched in gpt.fetched]
    assert got == [(text, 200, b"hello"), (moved, 200, PNG), (gone, 404, b"Not Found"), (dead, 0, b"")]
    assert gpt.fetched[0].headers["content-type"] == "text/plain; charset=utf-8"
    assert "authorization" not in gpt.published["说明.txt"].seen[0]
    assert [gpt.published[name].requests for name in ("说明.txt", "moved.png", "a.png")] == [1, 1, 1]


async def test_reading_holds_the_lock_and_can_be_stopped(client: Client) -> None:
    gpt, hold = client.gpt, asyncio.Event()
    gpt.fetches = True
    url = gpt.publish("slow.txt", b"", hold=hold)
    slow = asyncio.create_task(client.ask(messages=message(part("slow.txt", url=url)), chatId="c1"))
    await gpt.until(lambda: gpt.published["slow.txt"].requests)
    assert (await client.ask("二", chatId="c1", stream=False)).json()["message"] == "chatIsGenerating"
    await client.post("/v2/chat/stop", chatId="c1")
    seen = read(200, "", (await slow).content)
    assert (seen.text, seen.error, gpt.asked[0].stopped) == ("", None, True)
    assert read(200, "", (await client.ask("三", chatId="c1")).content).text == "You asked: 三"
    hold.set()
    await gpt.until(lambda: gpt.fetched)
    assert gpt.asked[0].sent == 0


async def test_a_script_can_name_the_files(client: Client) -> None:
    client.gpt.next(Script(names="files"), Script(names="files", text="fixed"))
    assert read(200, "", (await client.ask("a")).content).text == "no files"
    assert read(200, "", (await client.ask("a")).content).text == "fixed"
    script = Script(names="files", fast="!")
    assert script.says("q", [Received("a", "b/c", 1)]) == "!a (b/c, 1 bytes)"


async def test_a_gate_still_holds_a_run_with_files(client: Client) -> None:
    gpt, gate = client.gpt, Gate(after=1)
    gpt.fetches = True
    url = gpt.publish("a.txt", b"hi", content_type="text/plain")
    gpt.next(Script(names="files", piece=3, gate=gate))
    task = asyncio.create_task(client.ask(messages=message(part("a.txt", url=url))))
    await gate.reached()
    assert gpt.asked[0].sent == 1
    gate.open()
    assert read(200, "", (await task).content).text == "a.txt (text/plain, 2 bytes)"


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (part(url="https://x.org/a.pdf"), "Invalid value: 'file_url'. Supported values are: 'text', 'image_url'"),
        (image("https://x.org/a.png", key="k"), "Unknown parameter: 'messages[0].content[1].key'."),
        ({"type": "image_url", "image_url": {}}, "Missing required parameter: 'messages[0].content[1].image_url'."),
        (image(""), "Missing required parameter: 'messages[0].content[1].image_url.url'."),
    ],
)
async def test_a_strict_openai_server(http: httpx.AsyncClient, bad: dict[str, Any], words: str) -> None:
    async with FakeFastGPT("openai") as gpt:
        client, text = Client(gpt, http), {"type": "text", "text": "a"}
        url, headers = f"{gpt.base_url}/chat/completions", client.headers()
        body = {"model": "fake-1", "messages": message(text, bad)}
        reply = await http.post(url, json=body, headers=headers)
        error = reply.json()["error"]
        assert (reply.status_code, error["type"]) == (400, "invalid_request_error")
        assert error["message"].startswith(words)
        assert gpt.asked[0].refused == error["message"]
        empty = await http.post(url, json={**body, "messages": message()}, headers=headers)
        assert (empty.status_code, "empty array" in empty.text) == (400, True)
        sound = {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}
        await http.post(url, json={**body, "messages": message(sound)}, headers=headers)
        assert gpt.asked[-1].parts == [sound]
        fine = message(text, image(gpt.publish("a.png", PNG, content_type="image/png")))
        gpt.fetches = True
        gpt.next(Script(names="files"))
        answer = (await http.post(url, json={**body, "messages": fine}, headers=headers)).json()
        assert answer["choices"][0]["message"]["content"] == f"a.png (image/png, {len(PNG)} bytes)"


# ------------------------------------------------------------------ the app's config


async def test_the_config_of_the_app_is_scripted_and_its_calls_are_counted(client: Client) -> None:
    gpt = client.gpt
    config = {
        "welcomeText": "您好",
        "fileSelectConfig": {**ALL, "canSelectCustomFileExtension": True, "customFileExtensionList": [".log"]},
        "variables": [{"key": "name", "label": "姓名", "type": "input", "required": True}],
        "questionGuide": {"open": True, "model": "m", "customPrompt": ""},
    }
    gpt.chat_config = config
    path, query = "/api/core/chat/init", {"appId": gpt.app_id, "chatId": "c1"}
    for times in (1, 2):
        reply = await client.http.get(gpt.url + path, params=query, headers=client.headers())
        assert gpt.called(path) == times
    seen = reply.json()["data"]["app"]["chatConfig"]
    assert {name: seen[name] for name in config} == config
    assert seen["ttsConfig"] == {"type": "web"}


# ------------------------------------------------------------------ files that an answer links to


async def test_a_published_file(gpt: FakeFastGPT, http: httpx.AsyncClient) -> None:
    url = gpt.publish("报告 1.pdf", PDF, content_type="text/html", status=203)
    reply = await http.get(url, headers={"X-From": "me"})
    assert (reply.status_code, reply.content, reply.headers["content-type"]) == (203, PDF, "text/html")
    page = gpt.published["报告 1.pdf"]
    assert (page.requests, page.seen[0]["x-from"]) == (1, "me")
    head = await http.head(url)
    assert (head.content, head.headers["content-length"], page.requests) == (b"", str(len(PDF)), 2)
    assert (await http.get(f"{gpt.url}/static/other.pdf")).status_code == 404
    bare = await http.get(gpt.publish("bare", PDF, content_type=None))
    assert "content-type" not in bare.headers


async def test_redirects(gpt: FakeFastGPT, http: httpx.AsyncClient) -> None:
    loop = gpt.publish("loop", b"", redirect="/static/loop", status=307)
    assert (await http.get(loop)).status_code == 307
    moved = gpt.publish("moved", b"", redirect=gpt.publish("a.pdf", PDF))
    reply = await http.get(moved)
    assert (reply.status_code, reply.headers["location"]) == (302, f"{gpt.url}/static/a.pdf")
    assert (await http.get(moved, follow_redirects=True)).content == PDF


async def test_lengths_that_are_missing_or_wrong(gpt: FakeFastGPT, http: httpx.AsyncClient) -> None:
    chunked = await http.get(gpt.publish("chunked", PDF, chunked=True))
    assert (chunked.content, "content-length" in chunked.headers) == (PDF, False)
    with pytest.raises(httpx.RemoteProtocolError):
        await http.get(gpt.publish("long", PDF, length=1000))
    short = await http.get(gpt.publish("short", PDF, length=4))
    assert short.content == PDF[:4]
    assert (await http.get(gpt.publish("after", PDF))).content == PDF


async def test_an_endless_body_waits_for_its_reader(gpt: FakeFastGPT) -> None:
    gpt.publish("endless", b"0", endless=True)
    page = gpt.published["endless"]
    reader, writer = await asyncio.open_connection("127.0.0.1", gpt.port)
    writer.write(b"GET /static/endless HTTP/1.1\r\n\r\n")
    await gpt.until(lambda: page.requests)
    for _ in range(5000):  # turns of the loop; 80 MB at one piece a turn would take 1,250
        await asyncio.sleep(0)
    assert (await reader.readline(), page.sent < 40_000_000) == (b"HTTP/1.1 200 OK\r\n", True)
    writer.close()
    await gpt.until(lambda: page.hung_up)


@pytest.mark.parametrize("length", [None, 10**9])
async def test_an_endless_body_ends_with_its_reader(
    gpt: FakeFastGPT, http: httpx.AsyncClient, length: int | None
) -> None:
    url = gpt.publish("endless", b"0123456789", endless=True, length=length)
    page, got = gpt.published["endless"], b""
    async with http.stream("GET", url) as reply:
        assert reply.headers.get("content-length") == (None if length is None else str(length))
        async for piece in reply.aiter_bytes():
            got += piece
            if len(got) >= 200_000:
                break
    assert got.startswith(b"01234567890123")
    await gpt.until(lambda: page.hung_up)


async def test_an_endless_body_ends_after_all(gpt: FakeFastGPT, http: httpx.AsyncClient) -> None:
    size = 0
    async with http.stream("GET", gpt.publish("endless", bytes(1000), endless=True)) as reply:
        async for piece in reply.aiter_bytes():
            size += len(piece)
    assert (size, gpt.published["endless"].hung_up) == (80_000_000, False)


async def test_a_slow_first_byte(gpt: FakeFastGPT, http: httpx.AsyncClient) -> None:
    hold = asyncio.Event()
    url = gpt.publish("slow", PDF, hold=hold)
    page = gpt.published["slow"]
    lost, waiting = (asyncio.create_task(http.get(url)) for _ in range(2))
    await gpt.until(lambda: page.requests == 2)
    lost.cancel()
    await gpt.until(lambda: page.hung_up)
    assert not waiting.done()
    hold.set()
    assert (await waiting).content == PDF


async def test_a_server_that_dies_leaves_nothing_behind(gpt: FakeFastGPT, http: httpx.AsyncClient) -> None:
    url = gpt.publish("slow", PDF, hold=asyncio.Event())
    task = asyncio.create_task(http.get(url))
    await gpt.until(lambda: gpt.published["slow"].requests)
    await gpt.down()
    with pytest.raises(httpx.TransportError):
        await task
    assert len(asyncio.all_tasks()) == 1


async def test_the_control_api_sets_the_switches(client: Client) -> None:
    gpt = client.gpt
    settings = {"presign": "form", "fetches": True}
    assert (await client.http.post(f"{gpt.url}/_control/set", json=settings)).status_code == 200
    assert "fields" in await signed(client)
    gpt.presign = None
    key = await uploaded(client)
    url = gpt.publish("a.txt", b"hi")
    await client.ask(messages=message(part(url=url), part(key=key)), chatId=CHAT)
    assert len(gpt.fetched) == 1
    assert (await client.http.get(f"{gpt.url}/_control/state")).json()["asked"][0]["received"][1]["size"] == len(PDF)
    await client.http.post(f"{gpt.url}/_control/clear")
    assert not gpt.fetched
    assert not gpt.store.objects
