"""An official account: WeChat's API, and WeChat itself, which posts what users do to the account's server.

Rules of this file:
- it encrypts, signs and retries as WeChat does: five seconds (``patience``), three times in all, with the same MsgId;
- what a user sees is only what WeChat took: a response that came in time and was not lost, or a message within the
  limits (five for each of the user's, 48 hours, verified accounts). The first response of a message counts;
- a response that it does not understand is a complaint, and tests end with none.

Source: developers.weixin.qq.com, "被动回复用户消息", "客服消息", "获取稳定版接口调用凭据".
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal

import aiohttp
from aiohttp import web

from tests.fakes.changes import Changes
from tests.fakes.wechat.mp_envelope import Envelope, fields_of, xml_of

TRIES = 3
SENDS = 5
"""Messages for each one of the user's."""
Fault = Literal["drop_before", "drop_after", "502", "hang"]


@dataclass
class Reply:
    """How a call of the account's server ended."""

    id: str
    how: str
    """reply, success, timeout, or the HTTP status."""
    seconds: float
    text: str = ""


@dataclass
class Phone:
    """What a user sees."""

    seen: list[str] = field(default_factory=list)
    left: int = 0
    """Messages that may still be sent to it."""


class Mp(Changes):
    """``async with`` starts it. ``hook`` is where the account's server listens."""

    app_id = "wx0123456789abcdef"
    app_secret = "app-secret-of-the-account"
    token = "callback-token"
    aes_key = base64.b64encode(bytes(range(32))).decode().rstrip("=")

    def __init__(self, *, plain: bool = False, verified: bool = True, patience: float = 5.0) -> None:
        super().__init__()
        self.plain = plain
        self.verified = verified
        self.patience = patience
        self.hook = ""
        self.url = ""
        self.replies: list[Reply] = []
        self.typing: list[str] = []
        self.calls: list[str] = []
        self.tokens = 0
        """How many access tokens were given out."""
        self.denied_address = ""
        self.complaints: list[str] = []
        self.files: dict[str, bytes] = {}
        self._valid = ""
        self._phones: dict[str, Phone] = {}
        self._answered: set[str] = set()
        self._lost = 0
        self._faults: list[tuple[str, Fault]] = []
        self._failures: Counter[tuple[str, int]] = Counter()
        self._numbers = itertools.count(24_000_000_000_000_001)
        self._deliveries: set[asyncio.Task[None]] = set()
        self._last: dict[str, str] = {}
        self.envelope = Envelope(self.token, self.aes_key, self.app_id)

    async def __aenter__(self) -> Mp:
        app = web.Application(client_max_size=32 << 20)
        app.router.add_post("/cgi-bin/{path:.+}", self._api)
        app.router.add_get("/pictures/{name}", self._picture)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        self._session = aiohttp.ClientSession()
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._deliveries:
            task.cancel()
        await asyncio.gather(*self._deliveries, return_exceptions=True)
        await self._session.close()
        await self._runner.cleanup()

    def dump(self) -> str:
        phones = {user: phone.seen for user, phone in self._phones.items()}
        return f"{phones}\n{self.replies}\n{self.calls}\n{self.complaints}"

    # ------------------------------------------------------------ what users do

    def say(self, text: str, *, sender: str = "openid-1", id: str = "", at: float | None = None) -> str:
        return self.post({"MsgType": "text", "Content": text}, sender=sender, id=id, at=at)

    def say_image(self, data: bytes, *, sender: str = "openid-1") -> str:
        name = f"{len(self.files)}.jpg"
        self.files[name] = data
        picture = {"MsgType": "image", "PicUrl": f"{self.url}/pictures/{name}", "MediaId": f"media-{name}"}
        return self.post(picture, sender=sender)

    def voice(self, words: str | None, *, sender: str = "openid-1") -> str:
        heard = {} if words is None else {"Recognition": words}
        return self.post({"MsgType": "voice", "MediaId": "voice-1", "Format": "amr", **heard}, sender=sender)

    def click(self, key: str, *, sender: str = "openid-1") -> str:
        return self.post({"MsgType": "event", "Event": "CLICK", "EventKey": key}, sender=sender)

    def subscribe(self, sender: str = "openid-1") -> str:
        return self.post({"MsgType": "event", "Event": "subscribe", "EventKey": ""}, sender=sender)

    def post(self, content: dict[str, str], *, sender: str = "openid-1", id: str = "", at: float | None = None) -> str:
        """Have a message delivered; its id."""
        id = id or str(next(self._numbers))
        stamp = str(int(time.time() if at is None else at))
        message = {"ToUserName": "gh_account", "FromUserName": sender, "CreateTime": stamp, **content}
        if content["MsgType"] != "event":
            message["MsgId"] = id
        self.phone(sender).left = SENDS
        self._last = message
        self._deliver(id, message)
        return id

    def again(self) -> None:
        """The last message is delivered once more, though it was answered."""
        self._deliver(self._last.get("MsgId", ""), self._last)

    def lose(self, times: int = 1) -> None:
        """The first responses to the next messages do not arrive."""
        self._lost += times

    def phone(self, user: str = "openid-1") -> Phone:
        return self._phones.setdefault(user, Phone())

    def screen(self, user: str = "openid-1") -> list[str]:
        return list(self.phone(user).seen)

    @property
    def busy(self) -> bool:
        """Is a message on its way to the account's server?"""
        return bool(self._deliveries)

    # ------------------------------------------------------------ WeChat calls the account's server

    async def verify(self, *, token: str = "") -> bool:
        """The console asks whether the server is the account's."""
        query = Envelope(token or self.token, self.aes_key, self.app_id).query()
        async with self._session.get(self.hook, params={**query, "echostr": "echo-42"}) as response:
            return response.status == 200 and await response.text() == "echo-42"

    def _deliver(self, id: str, message: dict[str, str]) -> None:
        task = asyncio.create_task(self._tries(id, message))
        self._deliveries.add(task)
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._deliveries.discard(task)
        self.changed()

    async def _tries(self, id: str, message: dict[str, str]) -> None:
        for number in range(TRIES):
            began = time.monotonic()
            how, text = await self._call(message)
            lost = how in ("reply", "success") and self._lost > 0 and not number
            self._lost -= lost
            self.replies.append(Reply(id, how, time.monotonic() - began, text))
            if how in ("reply", "success") and not lost:
                if how == "reply" and id not in self._answered:
                    self._see(message["FromUserName"], text)
                self._answered.add(id)
                return
            self.changed()
            if how != "timeout" and not lost:
                await asyncio.sleep(min(1.0, self.patience / 5))  # whoever refuses is asked again after a moment

    async def _call(self, message: dict[str, str]) -> tuple[str, str]:
        query = {**self.envelope.query(), "openid": message["FromUserName"]}
        body = xml_of(message)
        if not self.plain:
            more, body = self.envelope.seal(body, message["ToUserName"], query["timestamp"], query["nonce"])
            query |= more
        try:
            limit = aiohttp.ClientTimeout(total=self.patience)
            headers = {"Content-Type": "text/xml"}
            async with self._session.post(
                self.hook, params=query, data=body, timeout=limit, headers=headers
            ) as response:
                raw = await response.read()
                if response.status != 200:
                    return str(response.status), ""
        except TimeoutError:
            return "timeout", ""
        except aiohttp.ClientError:
            return "unreachable", ""
        return ("success", "") if raw in (b"", b"success") else ("reply", self._understood(message, raw))

    def _understood(self, message: dict[str, str], raw: bytes) -> str:
        try:
            fields = fields_of(raw if self.plain else self.envelope.open(raw))
        except (ValueError, KeyError) as error:
            self.complaints.append(f"a response cannot be read: {error!r}")
            return ""
        if (fields["ToUserName"], fields["FromUserName"]) != (message["FromUserName"], message["ToUserName"]):
            self.complaints.append("a response is for somebody else")
        if len(fields["Content"].encode()) > 2048:
            self.complaints.append("a response is too long")
        return fields["Content"]

    def _see(self, user: str, what: str) -> None:
        self.phone(user).seen.append(what)
        self.changed()

    # ------------------------------------------------------------ WeChat's API

    def fail(self, path: str, errcode: int, times: int = 1) -> None:
        self._failures[path, errcode] += times

    def fault(self, path: str, kind: Fault, times: int = 1) -> None:
        self._faults += [(path, kind)] * times

    def expire_token(self) -> None:
        self._valid = ""

    async def _picture(self, request: web.Request) -> web.Response:
        data = self.files.get(request.match_info["name"])
        return web.Response(body=data, content_type="image/jpeg") if data is not None else web.Response(status=404)

    async def _api(self, request: web.Request) -> web.StreamResponse:
        path = request.match_info["path"]
        self.calls.append(path)
        fault = next((fault for fault in self._faults if fault[0] == path), None)
        if fault is not None:
            self._faults.remove(fault)
        how = fault[1] if fault else ""
        if how == "502":
            return web.Response(status=502, text="<html>Bad gateway</html>")
        answer: dict[str, Any] = {}
        if how != "drop_before":
            answer = await self._answer(path, request)
        if how == "hang":
            await asyncio.sleep(60)
        if how and request.transport is not None:
            request.transport.close()
        self.changed()
        return web.json_response(answer)

    async def _answer(self, path: str, request: web.Request) -> dict[str, Any]:
        for (failing, code), times in self._failures.items():
            if failing == path and times > 0:
                self._failures[failing, code] -= 1
                return {"errcode": code, "errmsg": f"failed {code} rid: 1"}
        if self.denied_address:
            words = f"invalid ip {self.denied_address} ipv6 ::ffff:{self.denied_address}, not in whitelist rid: 1"
            return {"errcode": 40164, "errmsg": words}
        if path == "stable_token":
            return self._new_token(await request.json())
        if not self._valid or request.query.get("access_token") != self._valid:
            return {"errcode": 42001, "errmsg": "access_token expired"}
        match path:
            case "message/custom/send":
                return self._send(await request.json())
            case "message/custom/typing":
                return self._type(await request.json())
            case "media/upload":
                form = await request.post()
                picture = form["media"]
                assert isinstance(picture, web.FileField)
                id = f"uploaded-{len(self.files)}"
                self.files[id] = picture.file.read()
                return {"type": "image", "media_id": id, "created_at": int(time.time())}
        return {"errcode": 40066, "errmsg": "invalid url"}

    def _new_token(self, asked: dict[str, Any]) -> dict[str, Any]:
        if asked["appid"] != self.app_id:
            return {"errcode": 40013, "errmsg": "invalid appid"}
        if asked["secret"] != self.app_secret:
            return {"errcode": 40125, "errmsg": "invalid appsecret"}
        if not self._valid or asked.get("force_refresh"):
            self.tokens += 1
            self._valid = f"access-token-{self.tokens}"
        return {"access_token": self._valid, "expires_in": 7200}

    def _send(self, message: dict[str, Any]) -> dict[str, Any]:
        if not self.verified:
            return {"errcode": 48001, "errmsg": "api unauthorized"}
        phone = self._phones.get(message["touser"])
        if phone is None:
            return {"errcode": 40003, "errmsg": "invalid openid"}
        if phone.left <= 0:
            return {"errcode": 45047, "errmsg": "out of response count limit"}
        if message["msgtype"] == "image":
            what = "[image]" if message["image"]["media_id"] in self.files else ""
        else:
            what = message["text"]["content"]
        if not what or len(what.encode()) > 2048:
            return {"errcode": 45002, "errmsg": "content size out of limit"}
        phone.left -= 1
        self._see(message["touser"], what)
        return {"errcode": 0, "errmsg": "ok"}

    def _type(self, asked: dict[str, Any]) -> dict[str, Any]:
        if not self.verified:
            return {"errcode": 48001, "errmsg": "api unauthorized"}
        if asked["touser"] not in self._phones:
            return {"errcode": 40003, "errmsg": "invalid openid"}
        self.typing.append(asked["touser"])
        return {"errcode": 0, "errmsg": "ok"}
