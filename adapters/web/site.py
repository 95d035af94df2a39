"""The requests of the page.

Under ``/chat/{bot}``: GET the page, POST the login; below it GET page.js, page.css and events (the stream), POST
messages ``{id, text}`` -> 204, POST presses ``{id, target, key, values}`` -> ``{toast}``; a refusal is ``{error}``.

Rules of this file: the question is on the screen before the core has it, because the answer may begin before the commit
is reported; when the core does not take it, it goes off the screen again and the page keeps it for another try.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar
from urllib.parse import parse_qs

import msgspec
from aiohttp import web

from adapters.web import pages
from adapters.web.screen import GREETING, Screen, Screens
from adapters.web.stream import HEADERS, Stream
from adapters.web.visitor import Door, Options, Refused, Visitor, language, own_page
from bridge.model import AnyEvent, Conversation, Entered, Handler, Host, Message, Press, Receive, User

TEXT = 20_000
"""Characters of one message."""
BODY = 256 * 1024
"""Bytes of one request: TEXT characters, each escaped as JSON."""
STREAMS = 1_000
"""Open pages of one bot."""
STREAMS_EACH = 20
"""Open pages of one visitor."""

_Id = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{8,64}\Z")]
_Body = TypeVar("_Body", bound=msgspec.Struct)


class Typed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST messages. ``id`` is the page's own, and the same when the POST is repeated."""

    id: _Id
    text: str


class Pressed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST presses. ``target`` is the id of the part, ``values`` are a form's."""

    id: _Id
    target: Annotated[str, msgspec.Meta(max_length=200)]
    key: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    values: Annotated[dict[str, str], msgspec.Meta(max_length=100)] = {}


class Site:
    """The HTTP side of one web bot."""

    def __init__(self, bot: str, options: Options, host: Host, screens: Screens) -> None:
        self._bot = bot
        self._door = Door(bot, options, host)
        self._screens = screens
        self._streams: set[Stream] = set()
        self._boot = secrets.token_hex(8)
        self._receive: Receive | None = None
        base = f"/chat/{bot}"
        host.route("GET", base, self._page)
        host.route("GET", f"{base}/", self._page_itself)
        host.route("POST", base, self._login)
        host.route("GET", f"{base}/page.js", pages.script)
        host.route("GET", f"{base}/page.css", pages.style)
        host.route("GET", f"{base}/events", self._guarded(self._events))
        host.route("POST", f"{base}/messages", self._guarded(self._messages))
        host.route("POST", f"{base}/presses", self._guarded(self._presses))

    async def open(self, receive: Receive) -> None:
        await self._door.open()
        self._receive = receive

    def close(self) -> None:
        self._receive = None
        for stream in self._streams:
            stream.end()

    # ------------------------------------------------------------ the page

    async def _page(self, request: web.Request) -> web.StreamResponse:
        try:
            self._core()
            visitor = self._door.enter(request)
        except Refused as why:
            if why.status != 401:
                return pages.refusal(request, why)
            return pages.login(self._bot, request, why) if self._door.asks else pages.closed(self._bot, why)
        response = pages.page(self._bot)
        self._door.remember(request, response, visitor)
        return response

    async def _page_itself(self, request: web.Request) -> web.StreamResponse:
        raise web.HTTPPermanentRedirect(f"/chat/{self._bot}")

    async def _login(self, request: web.Request) -> web.StreamResponse:
        try:
            self._core()
            own_page(request)
            if not self._door.asks:
                raise Refused(
                    404, "这里没有设置密钥，无需登录。", "No key is set here: there is nothing to log in with."
                )
            form = parse_qs((await _body(request)).decode("utf-8", "replace"))
            visitor = self._door.login(request, form.get("key", [""])[0].strip())
        except Refused as why:
            return pages.login(self._bot, request, why) if why.status in (401, 429) else pages.refusal(request, why)
        # Relative, so that a proxy may serve us under a path of its own.
        response = web.Response(status=303, headers={**pages.SAFE, "Location": self._bot})
        self._door.remember(request, response, visitor)
        return response

    # ------------------------------------------------------------ what it asks for

    def _guarded(self, handler: Callable[[web.Request, Visitor], Awaitable[web.StreamResponse]]) -> Handler:
        """Let the request in, or answer it with the reason why not."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            try:
                self._core()
                if request.method != "GET":
                    own_page(request)
                return await handler(request, self._door.enter(request))
            except Refused as why:
                return pages.refusal(request, why)

        return guarded

    async def _messages(self, request: web.Request, visitor: Visitor) -> web.StreamResponse:
        typed = await _json(request, Typed)
        if not typed.text.strip():
            raise Refused(400, "消息是空的。", "The message is empty.")
        if len(typed.text) > TEXT:
            raise Refused(413, f"消息太长，最多 {TEXT} 个字符。", f"The message is longer than {TEXT} characters.")
        where, who = self._origin(request, visitor)
        event = Message(id=typed.id, conversation=where, user=who, at=time.time(), text=typed.text)
        async with self._screens.use(visitor.id) as screen:
            await self._take(screen, event, typed.text)
        return self._welcome(request, visitor, web.Response(status=204))

    async def _presses(self, request: web.Request, visitor: Visitor) -> web.StreamResponse:
        pressed = await _json(request, Pressed)
        where, who = self._origin(request, visitor)
        event = Press(
            id=pressed.id,
            conversation=where,
            user=who,
            at=time.time(),
            target=pressed.target,
            key=pressed.key,
            values=pressed.values,
        )
        async with self._screens.use(visitor.id) as screen:
            toast = await self._take(screen, event, _suggested(screen, pressed))
        body = msgspec.json.encode({"toast": toast or ""})
        return self._welcome(request, visitor, web.Response(body=body, content_type="application/json"))

    async def _events(self, request: web.Request, visitor: Visitor) -> web.StreamResponse:
        async with self._screens.use(visitor.id) as screen:
            if len(screen.watchers) >= STREAMS_EACH:
                raise Refused(429, "打开的页面太多。", "Too many pages are open.", Retry_After="30")
            if len(self._streams) >= STREAMS:
                raise Refused(503, "现在访问的人太多。", "Too many visitors at once.", Retry_After="30")
            response = self._welcome(request, visitor, web.StreamResponse(headers=HEADERS))
            stream = Stream(response)
            self._streams.add(stream)
            screen.watchers.add(stream)
            try:
                if visitor.known and not screen.entries:  # who sends no cookie back would be greeted for ever
                    where, who = self._origin(request, visitor)
                    # Always the same id: the core greets a visitor once.
                    hello = Entered(id=GREETING, conversation=where, user=who, at=time.time(), first=True)
                    await self._core()(hello)
                await response.prepare(request)
                await stream.follow(screen, self._boot)
            except (ConnectionError, TimeoutError):
                if request.transport is not None:
                    request.transport.abort()  # nobody will take what waits in its buffer
            finally:
                screen.watchers.discard(stream)
                self._streams.discard(stream)
        return response

    # ------------------------------------------------------------ inward

    async def _take(self, screen: Screen, event: AnyEvent, question: str) -> str | None:
        new = bool(question) and screen.ask(event.id, question)
        try:
            toast = await self._core()(event)
        except Exception:
            if new:
                screen.take_off(event.id)
            raise
        await screen.save()
        return toast

    def _core(self) -> Receive:
        if self._receive is None:
            raise Refused(503, "服务正在启动或停止，请稍后再试。", "Starting or stopping; try again.", Retry_After="2")
        return self._receive

    def _origin(self, request: web.Request, visitor: Visitor) -> tuple[Conversation, User]:
        where = Conversation(bot=self._bot, chat=visitor.id, kind="private")
        return where, User(id=visitor.id, language=language(request))

    def _welcome(self, request: web.Request, visitor: Visitor, response: web.StreamResponse) -> web.StreamResponse:
        """The response with our headers, and the cookie of whoever had none."""
        response.headers.update(pages.SAFE)
        if not visitor.known:
            self._door.remember(request, response, visitor)
        return response


def _suggested(screen: Screen, pressed: Pressed) -> str:
    """The question that a suggestion stands for: pressing it asks it."""
    entry = screen.find(pressed.target)
    buttons = entry.show.buttons if entry and entry.show else ()
    return next((b.label for b in buttons if b.key == pressed.key and b.role == "suggest"), "")


async def _json(request: web.Request, shape: type[_Body]) -> _Body:
    try:
        return msgspec.json.decode(await _body(request), type=shape)
    except ValueError as error:  # msgspec's, and of what is not UTF-8
        raise Refused(400, f"请求格式不对：{error}", f"The request is malformed: {error}") from None


async def _body(request: web.Request) -> bytes:
    """The whole body; Refused when it is longer than BODY."""
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > BODY:
            raise Refused(413, f"请求太大，最多 {BODY} 字节。", f"The request is larger than {BODY} bytes.")
    return bytes(body)
