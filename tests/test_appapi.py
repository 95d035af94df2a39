"""bridge.appapi against an HTTP server of each age: what the app and its storage received, and what became of it."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

from bridge.appapi import AppApi, NoUpload, Uploaded
from bridge.appsettings import FileRules, Settings, settings_of
from bridge.config import App
from bridge.storage import UploadRefused
from bridge.wire import Wire

KEY = "fastgpt-secret-key"
PRESIGN = "/api/core/chat/file/presignChatFilePostUrl"
GET_URL = "/api/core/chat/file/presignChatFileGetUrl"
OLD_PRESIGN = "/api/core/chat/presignChatFilePostUrl"
OLD_GET_URL = "/api/core/chat/presignChatFileGetUrl"
INIT = "/api/core/chat/init"
STOP = "/api/v2/chat/stop"
DATA = b"%PDF-1.7 " + bytes(range(256)) * 3000


class Got:
    """A request as the server saw it."""

    def __init__(self, request: web.Request, body: bytes) -> None:
        self.method, self.path, self.query = request.method, request.path, dict(request.query)
        self.headers, self.body = request.headers.copy(), body


class Server:
    """FastGPT's API and its storage in one: ``on[path]`` answers, everything else is the web application's 404."""

    def __init__(self) -> None:
        self.on: dict[str, Callable[[Got], web.Response | Awaitable[web.Response]]] = {}
        self.got: list[Got] = []
        self.now = 1000.0

    async def handle(self, request: web.Request) -> web.Response:
        got = Got(request, await request.read())
        self.got.append(got)
        answer = self.on.get(got.path)
        if answer is None:
            return web.Response(status=404, text="<!DOCTYPE html><title>FastGPT</title>", content_type="text/html")
        said = answer(got)
        return said if isinstance(said, web.Response) else await said

    def says(self, path: str, data: object, status: int = 200, **more: object) -> None:
        self.on[path] = lambda _: web.json_response({"code": 200, "data": data, **more}, status=status)

    def fails(self, path: str, code: int, text: str, message: str = "") -> None:
        self.says(path, None, 500, code=code, statusText=text, message=message)

    def paths(self) -> list[str]:
        return [got.path for got in self.got]

    def app(self, **more: Any) -> App:
        return App(base_url=f"{self.url}/api", api_key=KEY, **{"app_id": "65bb", **more})

    url: str


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    async with Wire(environ={}) as wire:
        yield wire


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    app = web.Application(client_max_size=1 << 24)
    app.router.add_route("*", "/{path:.*}", server.handle)
    async with TestServer(app) as running:
        server.url = str(running.make_url("")).rstrip("/")
        yield server


@pytest.fixture
def api(server: Server, wire: Wire) -> AppApi:
    return AppApi(server.app(), wire.client(), clock=lambda: server.now)


async def upload(api: AppApi, data: bytes = DATA) -> Uploaded:
    return await api.upload("c1", "合同.pdf", "application/pdf", len(data), io.BytesIO(data))


# ---------------------------------------------------------------- stop


async def test_stop(server: Server, api: AppApi) -> None:
    server.says(STOP, {"success": True})
    await api.stop("c1")
    [got] = server.got
    assert (got.method, got.path, got.body) == ("POST", STOP, b'{"appId":"65bb","chatId":"c1"}')
    assert got.headers["Authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("more", [{"app_id": ""}, {"kind": "openai"}])
async def test_an_app_without_these_calls(server: Server, wire: Wire, more: dict[str, str]) -> None:
    api = AppApi(server.app(**more), wire.client())
    await api.stop("c1")
    assert await api.settings("c1") is None
    with pytest.raises(NoUpload):
        await upload(api)
    assert server.got == []


async def test_a_stop_that_fails_is_logged(server: Server, wire: Wire, caplog: pytest.LogCaptureFixture) -> None:
    server.fails(STOP, 500, "error")
    await AppApi(server.app(), wire.client()).stop("c1")
    await AppApi(App(base_url="http://127.0.0.1:9/api", api_key=KEY, app_id="a"), wire.client()).stop("c2")
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert "c1 failed: HTTP 500" in caplog.text


# ---------------------------------------------------------------- settings


def init(**config: object) -> dict[str, Any]:
    return {"appId": "65bb", "app": {"name": "客服", "chatConfig": config}}


async def test_settings(server: Server, api: AppApi) -> None:
    files = {
        "canSelectImg": True,
        "canSelectFile": False,
        "canSelectAudio": False,
        "canSelectVideo": False,
        "canSelectCustomFileExtension": True,
        "customFileExtensionList": [".EML", "log"],
        "maxFiles": 3,
    }
    server.says(INIT, init(welcomeText="你好\n[怎么退货？]", fileSelectConfig=files))
    settings = await api.settings("c1")
    rules = FileRules(image=True, file=False, audio=False, video=False, extensions=(".eml", ".log"), most=3)
    assert settings == Settings("你好\n[怎么退货？]", rules)
    assert rules.takes("image", ".png") and rules.takes("file", ".EML") and not rules.takes("file", ".pdf")
    [got] = server.got
    assert got.query == {"appId": "65bb", "chatId": "c1"}
    assert got.headers["Authorization"] == f"Bearer {KEY}"


async def test_settings_are_asked_for_once(server: Server, api: AppApi) -> None:
    hold = asyncio.Event()

    async def slow(_: Got) -> web.Response:
        await hold.wait()
        return web.json_response({"code": 200, "data": init(welcomeText="hi")})

    server.on[INIT] = slow
    asking = asyncio.gather(*(api.settings(f"c{n}") for n in range(5)))
    hold.set()
    assert [s.welcome if s else None for s in await asking] == ["hi"] * 5
    assert await api.settings("c9") == Settings("hi")
    assert len(server.got) == 1
    server.now += 301
    server.says(INIT, init(welcomeText="new"))
    assert await api.settings("c9") == Settings("new")


async def test_settings_that_cannot_be_had(server: Server, api: AppApi, caplog: pytest.LogCaptureFixture) -> None:
    server.fails(INIT, 514, "unAuthApiKey", f"{KEY} 不合法")
    assert await api.settings("c1") is None
    assert await api.settings("c1") is None
    assert len(server.got) == 1
    assert "not known: key" in caplog.text and KEY not in caplog.text
    server.now += 31
    server.says(INIT, init())
    assert await api.settings("c1") == Settings()


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "x",
        {},
        {"app": None},
        {"app": {"chatConfig": []}},
        init(),
        init(welcomeText=None, fileSelectConfig=None),
        init(welcomeText=5, fileSelectConfig={"canSelectImg": None, "maxFiles": "many"}),
        init(fileSelectConfig={"maxFiles": 0, "customFileExtensionList": {"a": 1}}),
        init(fileSelectConfig={"maxFiles": True, "customFileExtensionList": None}),
    ],
)
def test_what_is_unknown_is_permitted(data: object) -> None:
    assert settings_of(data) == Settings()


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ("canSelectImg", "canSelectFile", "maxFiles", "customFileExtensionList", "canSelectCustomFileExtension")


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, JSON)), JSON)
def test_settings_of_any_shape_are_read(files: dict[str, Any], welcome: object) -> None:
    settings = settings_of(init(welcomeText=welcome, fileSelectConfig=files))
    assert settings.files.image == (files.get("canSelectImg") is not False)
    assert settings.files.most >= 0 and settings.files.audio
    assert settings.welcome == (welcome if isinstance(welcome, str) else "")


# ---------------------------------------------------------------- upload


def stores(server: Server, *, verb: str = "PUT", **more: object) -> None:
    """A server of 2026: presign, storage, address."""
    headers = {"x-amz-meta-origin-filename": "%E5%90%88", "Content-Type": "application/pdf"}
    server.says(PRESIGN, {"url": f"{server.url}/s3/k?X-Sig=top-secret", "key": "chat/k", "headers": headers, **more})
    server.on["/s3/k"] = lambda got: web.Response(status=200 if got.method == verb else 403)
    server.says(GET_URL, f"{server.url}/read/k")


async def test_upload(server: Server, api: AppApi) -> None:
    stores(server)
    assert await upload(api) == Uploaded("chat/k", f"{server.url}/read/k")
    presign, put, address = server.got
    assert presign.body.decode() == '{"appId":"65bb","chatId":"c1","filename":"合同.pdf"}'
    assert (put.method, put.body, put.query) == ("PUT", DATA, {"X-Sig": "top-secret"})
    assert put.headers["x-amz-meta-origin-filename"] == "%E5%90%88"
    assert put.headers["Content-Type"] == "application/pdf"
    assert put.headers["Content-Length"] == str(len(DATA)) and "Transfer-Encoding" not in put.headers
    assert "Authorization" not in put.headers, "the storage is not the app"
    assert address.body == b'{"appId":"65bb","chatId":"c1","key":"chat/k"}'
    assert "Authorization" in presign.headers and "Authorization" in address.headers


async def test_a_storage_that_wants_post(server: Server, api: AppApi) -> None:
    stores(server, verb="POST")
    assert (await upload(api)).key == "chat/k"
    put, post = (got for got in server.got if got.path == "/s3/k")
    assert (put.method, post.method) == ("PUT", "POST")
    assert post.body == DATA


async def test_a_storage_behind_the_app_itself(server: Server, api: AppApi) -> None:
    stores(server)
    server.says(PRESIGN, {"url": "/api/system/file/u/token", "key": "k", "headers": {}})
    server.on["/api/system/file/u/token"] = lambda _: web.Response()
    assert (await upload(api)).key == "k"
    assert server.got[1].body == DATA


async def test_a_server_of_2025_takes_a_form(server: Server, api: AppApi) -> None:
    server.says(OLD_PRESIGN, {"url": f"{server.url}/bucket", "fields": {"key": "chat/old", "policy": "p"}})
    server.on["/bucket"] = lambda _: web.Response(status=204)
    server.says(OLD_GET_URL, "https://files/old")
    assert await upload(api) == Uploaded("chat/old", "https://files/old")
    [form] = [got for got in server.got if got.path == "/bucket"]
    assert form.headers["Content-Type"].startswith("multipart/form-data")
    assert form.body.index(b'name="policy"') < form.body.index(b'name="file"'), "S3 ignores what follows the file"
    assert DATA in form.body and "合同.pdf".encode() in form.body


async def test_no_address_to_be_had(server: Server, api: AppApi) -> None:
    stores(server)
    del server.on[GET_URL]
    assert await upload(api) == Uploaded("chat/k", "")
    stores(server, previewUrl="https://files/preview")
    del server.on[GET_URL]
    assert await upload(api) == Uploaded("chat/k", "https://files/preview")


async def test_a_server_without_uploads_is_asked_every_ten_minutes(server: Server, api: AppApi) -> None:
    for _ in range(2):
        with pytest.raises(NoUpload):
            await upload(api)
    assert server.paths() == [PRESIGN, OLD_PRESIGN]
    stores(server)
    server.now += 601
    assert (await upload(api)).key == "chat/k"


async def test_a_key_that_may_not_upload(server: Server, api: AppApi) -> None:
    server.fails(PRESIGN, 403, "unAuthorization", "common:code_error.error_message.403")
    with pytest.raises(NoUpload):
        await upload(api)


async def test_a_storage_out_of_reach(server: Server, api: AppApi, caplog: pytest.LogCaptureFixture) -> None:
    stores(server)
    server.says(PRESIGN, {"url": "http://127.0.0.1:9/k?X-Sig=top-secret", "key": "k", "headers": {}})
    with pytest.raises(NoUpload) as caught:
        await upload(api)
    assert "storage cannot be reached" in caplog.text
    assert "top-secret" not in caplog.text + str(caught.value)
    stores(server)
    with pytest.raises(NoUpload):
        await upload(api)
    assert server.paths() == [PRESIGN], "it is left alone for a moment"
    assert api.uploads, "and for no longer"
    server.now += 11
    assert (await upload(api)).key == "chat/k"


async def test_a_storage_that_fails_once(server: Server, api: AppApi) -> None:
    stores(server)
    answers = [503, 200]
    server.on["/s3/k"] = lambda _: web.Response(status=answers.pop(0))
    assert (await upload(api)).key == "chat/k"
    assert [got.body for got in server.got if got.path == "/s3/k"] == [DATA, DATA]


async def test_headers_of_the_connection_are_ours(server: Server, api: AppApi) -> None:
    stores(
        server,
        headers={"content-length": "999", "Transfer-Encoding": "chunked", "host": "else", "X-A": "1", "x-a": "2"},
    )
    assert (await upload(api)).key == "chat/k"
    put = server.got[1]
    assert put.body == DATA
    assert put.headers.getall("x-a") == ["2"]
    assert put.headers["Host"] in server.url and "Transfer-Encoding" not in put.headers


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ("http://[bad/put", {}),
        ("http://h:99999/put", {}),
        ("mailto:x", {}),
        ("/put", {"x-amz-meta-name": "a\nb"}),
    ],
)
async def test_a_target_that_cannot_be_sent_to(server: Server, api: AppApi, url: str, headers: dict[str, str]) -> None:
    server.says(PRESIGN, {"url": url, "key": "k", "headers": headers})
    with pytest.raises(UploadRefused):
        await upload(api)
    assert server.paths() == [PRESIGN]


@pytest.mark.parametrize(
    ("code", "name", "message", "reason"),
    [
        (510002, "FileUploadDisabled", "common:error.file_upload_disabled", "disabled"),
        (500, "error", "fileUploadDisabled", "disabled"),
        (510000, "InvalidUploadFileType", "common:error.s3_upload_invalid_file_type", "type"),
        (429, "error", "Rate limit exceeded. Please try again in 20 seconds.", "rate"),
        (500, "error", "网络连接异常", "failed"),
    ],
)
async def test_refusals_by_the_app(
    server: Server, api: AppApi, code: int, name: str, message: str, reason: str
) -> None:
    server.fails(PRESIGN, code, name, message)
    with pytest.raises(UploadRefused) as caught:
        await upload(api)
    assert caught.value.reason == reason
    stores(server)
    assert (await upload(api)).key == "chat/k", "a refusal is about one file"


@pytest.mark.parametrize(
    ("status", "text", "reason"),
    [
        (400, "<Error><Code>EntityTooLarge</Code></Error>", "too_big"),
        (413, "", "too_big"),
        (403, "<Error><Code>SignatureDoesNotMatch</Code></Error>", "failed"),
        (500, '{"statusText":"UploadFileTypeMismatch"}', "type"),
    ],
)
async def test_refusals_by_the_storage(
    server: Server, api: AppApi, caplog: pytest.LogCaptureFixture, status: int, text: str, reason: str
) -> None:
    stores(server)
    server.on["/s3/k"] = lambda _: web.Response(status=status, text=text)
    caplog.set_level(logging.DEBUG)
    with pytest.raises(UploadRefused) as caught:
        await upload(api)
    assert caught.value.reason == reason
    ours = "".join(record.getMessage() for record in caplog.records if record.name.startswith("bridge"))
    assert f"HTTP {status}" in ours and "top-secret" not in ours + str(caught.value)


async def test_too_big_is_known_before_the_bytes_go_out(server: Server, api: AppApi) -> None:
    stores(server, maxSize=1000)
    with pytest.raises(UploadRefused) as caught:
        await upload(api)
    assert (caught.value.reason, caught.value.most) == ("too_big", 1000)
    assert server.paths() == [PRESIGN]


@pytest.mark.parametrize("data", [None, "x", {}, {"url": 5}, {"url": "https://s?X-Sig=top-secret", "headers": 7}])
async def test_an_answer_that_leads_nowhere(server: Server, api: AppApi, data: object) -> None:
    server.says(PRESIGN, data)
    with pytest.raises(UploadRefused) as caught:
        await upload(api)
    assert caught.value.reason == "failed" and "top-secret" not in repr(caught.value)
