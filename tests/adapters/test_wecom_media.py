"""Files on their way from and to WeCom."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from adapters.wechat.wecom import media
from adapters.wechat.wecom.events import MediaRef
from adapters.wechat.wecom.media import Decryptor, fetch, kinds, upload
from adapters.wechat.wecom.socket import Refused
from bridge.model import BridgeError, Download, TooBig, Unreachable, Unsure

KEY = bytes(range(32))
WIRE_KEY = base64.b64encode(KEY).decode()


def sealed(data: bytes, block: int = 32) -> bytes:
    """As the platform does it."""
    padding = block - len(data) % block
    aes = Cipher(algorithms.AES(KEY), modes.CBC(KEY[:16])).encryptor()
    return aes.update(data + bytes([padding]) * padding) + aes.finalize()


def opened(data: bytes, step: int, key: str = WIRE_KEY) -> bytes:
    cipher = Decryptor(key)
    pieces = [cipher.feed(data[start : start + step]) for start in range(0, len(data), step)]
    return b"".join(pieces) + cipher.end()


# ------------------------------------------------------------------ the cipher


@given(st.binary(max_size=200), st.integers(1, 220), st.sampled_from([16, 32]))
def test_what_is_encrypted_comes_back_however_it_is_cut(data: bytes, step: int, block: int) -> None:
    assert opened(sealed(data, block), step) == data


def test_a_key_need_not_be_filled_up() -> None:
    assert opened(sealed(b"words"), 64, WIRE_KEY.rstrip("=")) == b"words"


@pytest.mark.parametrize("key", ["!", "AAAA", "ä", base64.b64encode(KEY + KEY).decode()])
def test_a_key_that_is_none(key: str) -> None:
    with pytest.raises(BridgeError, match="key"):
        Decryptor(key)


@pytest.mark.parametrize("data", [b"", sealed(b"words" * 10)[:-1], sealed(bytes(100))[:-32], sealed(b"")[:0]])
def test_half_a_file_is_no_file(data: bytes) -> None:
    with pytest.raises(BridgeError, match="decrypted"):
        opened(data, 64)


# ------------------------------------------------------------------ in


@dataclass
class Shelf:
    """WeCom's storage."""

    base: str
    session: aiohttp.ClientSession
    files: dict[str, bytes] = field(default_factory=dict)

    async def get(self, path: str, key: str = WIRE_KEY) -> bytes:
        ref = msgspec.json.encode(MediaRef(self.base + path, key)).decode()
        return b"".join([piece async for piece in fetch(lambda _: (self.session, None), ref)])


@pytest.fixture
async def shelf() -> AsyncIterator[Shelf]:
    files: dict[str, bytes] = {}

    async def serve(request: web.Request) -> web.Response:
        data = files.get(request.path)
        return web.Response(status=404) if data is None else web.Response(body=data)

    app = web.Application()
    app.router.add_get("/{path:.*}", serve)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        yield Shelf(str(server.make_url("")).rstrip("/"), session, files)


async def test_a_file_is_fetched_and_decrypted(shelf: Shelf) -> None:
    data = bytes(range(256)) * 1000
    shelf.files["/a"], shelf.files["/plain"] = sealed(data), data
    assert await shelf.get("/a") == data
    assert await shelf.get("/plain", "") == data


async def test_a_file_that_is_too_big(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "MOST", 1000)
    shelf.files["/a"], shelf.files["/b"] = sealed(bytes(1000)), sealed(bytes(1056))
    assert len(await shelf.get("/a")) == 1000
    with pytest.raises(TooBig):
        await shelf.get("/b")


async def test_an_address_that_is_too_old_or_none(shelf: Shelf) -> None:
    with pytest.raises(BridgeError, match="404") as caught:
        await shelf.get("/SECRET")
    assert "SECRET" not in str(caught.value)
    with pytest.raises(BridgeError, match="where"):
        await anext(fetch(lambda _: (shelf.session, None), "{}"))
    shelf.base = "http:SECRET"
    with pytest.raises(BridgeError) as caught:
        await shelf.get("/SECRET")
    assert "SECRET" not in str(caught.value)


# ------------------------------------------------------------------ out


class Uploads:
    """The socket, with what it has taken."""

    def __init__(self, error: BridgeError | None = None) -> None:
        self.error = error
        self.order: Mapping[str, Any] = {}
        self.chunks: dict[int, bytes] = {}

    async def request(self, command: str, body: Mapping[str, Any]) -> dict[str, Any]:
        match command:
            case "aibot_upload_media_init":
                self.order = body
                return {"upload_id": "u-1"}
            case "aibot_upload_media_chunk":
                if self.error:
                    raise self.error
                self.chunks[body["chunk_index"]] = base64.b64decode(body["base64_data"])
                return {}
        return {"type": self.order["type"], "media_id": f"media of {body['upload_id']}", "created_at": 1}


@pytest.mark.parametrize("size", [1, 512 * 1024, 512 * 1024 + 1, 1_300_000])
async def test_a_file_is_uploaded_in_chunks(size: int) -> None:
    uploads, data = Uploads(), bytes(range(250)) * (size // 250) + bytes(size % 250)
    assert await upload(uploads.request, "a.bin", data, "file") == "media of u-1"
    assert b"".join(uploads.chunks.values()) == data
    assert list(uploads.chunks) == list(range(uploads.order["total_chunks"]))
    assert max(map(len, uploads.chunks.values())) <= 512 * 1024
    assert uploads.order == {
        "type": "file",
        "filename": "a.bin",
        "total_size": size,
        "total_chunks": len(uploads.chunks),
        "md5": hashlib.md5(data).hexdigest(),
    }


@pytest.mark.parametrize(("error", "raised"), [(Unsure(), Unreachable), (Refused(40009), Refused)])
async def test_an_upload_that_fails(error: BridgeError, raised: type[BridgeError]) -> None:
    with pytest.raises(raised):
        await upload(Uploads(error).request, "a.bin", b"words", "file")


@pytest.mark.parametrize(
    ("mime", "size", "best"),
    [
        ("image/png", 100, "image"),
        ("image/jpeg; q=1", 10 * 2**20, "image"),
        ("image/png", 10 * 2**20 + 1, "file"),
        ("image/gif", 100, "file"),
        ("", 100, "file"),
    ],
)
def test_what_a_file_is_sent_as(mime: str, size: int, best: str) -> None:
    assert kinds(Download(bytes(size), "a", mime))[0] == best
