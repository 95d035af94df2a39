"""A plain client for tests of the fake: REST calls as they come, and a socket that acknowledges what it is told to."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

import aiohttp
import msgspec

from tests.fakes.feishu.codec import DATA, Frame, decode, encode
from tests.fakes.feishu.rest import TOKEN_PATH
from tests.fakes.feishu.rules import Json
from tests.fakes.feishu.server import ENDPOINT, OpenPlatform

CARDS = "cardkit/v1/cards"
MESSAGES = "im/v1/messages"


def compact(value: Any) -> str:
    """JSON as a string."""
    return msgspec.json.encode(value).decode()


def markdown(text: str, element_id: str = "md") -> Json:
    return {"tag": "markdown", "element_id": element_id, "content": text}


def button(label: str = "Stop", **more: Any) -> Json:
    calls = [{"type": "callback", "value": {"k": label.lower()}}]
    return {"tag": "button", "text": {"tag": "plain_text", "content": label}, "behaviors": calls, **more}


def card(*elements: Json, streaming: bool = False, **config: Any) -> Json:
    """A card 2.0; with one empty markdown ``md`` unless elements are given."""
    return {
        "schema": "2.0",
        "config": {"streaming_mode": streaming, **config},
        "body": {"elements": list(elements) or [markdown("")]},
    }


class Client:
    """REST calls. ``status`` and ``headers`` are those of the last answer."""

    def __init__(self, platform: OpenPlatform, session: aiohttp.ClientSession) -> None:
        self.platform, self._session = platform, session
        self.token = ""
        self.status = 0
        self.headers: dict[str, str] = {}

    async def login(self) -> str:
        """Get a tenant token, and use it from now on."""
        body = {"app_id": self.platform.app_id, "app_secret": self.platform.app_secret}
        async with self._session.post(self.platform.url + TOKEN_PATH, json=body) as response:
            self.token = (await response.json())["tenant_access_token"]
        return self.token

    async def call(self, method: str, path: str, body: Any = None, **query: str) -> Json:
        """The answer to a call, refused or not. ``body`` as JSON, or a form."""
        sent = {"data": body} if isinstance(body, aiohttp.FormData) else {"json": body}
        url, headers = f"{self.platform.url}/open-apis/{path}", {"Authorization": f"Bearer {self.token}"}
        async with self._session.request(method, url, params=query, headers=headers, **sent) as response:
            self.status, self.headers = response.status, dict(response.headers)
            answer: Json = await response.json()
            return answer

    async def code(self, method: str, path: str, body: Any = None, **query: str) -> int:
        """0, or the code of the refusal."""
        answer = await self.call(method, path, body, **query)
        assert (self.status == 200) == (answer["code"] == 0), answer
        return int(answer["code"])

    async def data(self, method: str, path: str, body: Any = None, **query: str) -> Json:
        """The data of an answer that must be good."""
        answer = await self.call(method, path, body, **query)
        assert answer["code"] == 0, answer
        data: Json = answer["data"]
        return data

    # ------------------------------------------------------------------ the calls most used

    async def send(self, kind: str, content: Any, to: str = "", **more: Any) -> int:
        """Send a message to a chat, by default to Ann; its code."""
        body = {"receive_id": to or self.platform.p2p(), "msg_type": kind, "content": compact(content), **more}
        return await self.code("POST", MESSAGES, body, receive_id_type="chat_id")

    async def make(self, value: Json) -> str:
        """A card entity of this JSON; its card_id."""
        made = await self.data("POST", CARDS, {"type": "card_json", "data": compact(value)})
        return str(made["card_id"])

    async def refused(self, value: Json) -> int:
        """The code of a card entity that cannot be made."""
        return await self.code("POST", CARDS, {"type": "card_json", "data": compact(value)})

    async def show(self, card_id: str) -> str:
        """Send a card entity to Ann; its message_id."""
        assert await self.send("interactive", {"type": "card", "data": {"card_id": card_id}}) == 0
        return self.platform.answers()[-1].message_id

    async def write(self, card_id: str, sequence: int, text: str = "Hello", element: str = "md", **more: Any) -> int:
        """Stream a text into a card; its code."""
        body = {"content": text, "sequence": sequence, **more}
        return await self.code("PUT", f"{CARDS}/{card_id}/elements/{element}/content", body)

    async def stream(self, card_id: str, sequence: int, on: bool = True, **config: Any) -> int:
        """Switch streaming mode; its code."""
        settings = compact({"config": {"streaming_mode": on, **config}})
        return await self.code("PATCH", f"{CARDS}/{card_id}/settings", {"settings": settings, "sequence": sequence})


class Socket:
    """A long connection that reads frames and answers them when told to."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._socket.close()

    async def frame(self) -> Frame:
        """The next frame. Raises TimeoutError after ten seconds."""
        return decode(await self._socket.receive_bytes(timeout=10))

    async def event(self) -> tuple[Frame, Json]:
        """The next event, from as many frames as it comes in."""
        frame = await self.frame()
        payload = frame.payload
        for _ in range(int(frame.header("sum")) - 1):
            frame = await self.frame()
            payload += frame.payload
        return frame, msgspec.json.decode(payload)

    async def ack(self, frame: Frame, code: int = 200, answer: Json | None = None) -> None:
        """Answer a frame."""
        body: Json = {"code": code}
        if answer is not None:
            body["data"] = base64.b64encode(msgspec.json.encode(answer)).decode()
        headers = [*frame.headers, ("biz_rt", "1")]
        reply = Frame(frame.seq_id, frame.log_id, frame.service, DATA, headers, msgspec.json.encode(body))
        await self._socket.send_bytes(encode(reply))

    async def ping(self, frame: Frame) -> Frame:
        await self._socket.send_bytes(encode(frame))
        return await self.frame()


async def address(platform: OpenPlatform, session: aiohttp.ClientSession, secret: str = "") -> Json:
    """The answer of the endpoint."""
    body = {"AppID": platform.app_id, "AppSecret": secret or platform.app_secret}
    async with session.post(platform.url + ENDPOINT, json=body) as response:
        answer: Json = await response.json()
        return answer


@asynccontextmanager
async def connected(platform: OpenPlatform, session: aiohttp.ClientSession) -> AsyncIterator[Socket]:
    """A long connection that is open. Raises WSServerHandshakeError when it is refused."""
    url = (await address(platform, session))["data"]["URL"]
    async with Socket(await session.ws_connect(url)) as socket:
        await platform.connected()
        yield socket
