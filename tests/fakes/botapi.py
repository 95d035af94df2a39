"""A Telegram Bot API server on the loopback: strict as the platform, scriptable, and cheap enough for benchmarks.

    async with BotApi() as api:                       # bot token "42:test", address api.url
        api.say("hi", chat=7)
        await api.until(lambda: any("Hello" in seen.text for seen in api.screen(7) if seen.from_bot))

Rules of this file:
- HTTP, scripted faults and call limits; what a call does is in ``telegram.methods``, what people do and see in
  ``telegram.users``, ``peers`` and ``watch``, whose methods are the test's side of this class;
- a call is counted, then met by a scripted fault, the token, the limits, and at last the method;
- a client that hangs up does not stop its call: like the platform, it may be carried out all the same.

As a program, ``python -m tests.fakes.botapi --port N`` prints its address as the first line and ends by itself; the
test's side is then at ``POST /_control/{name}`` (see ``telegram.program``).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Literal, Self, get_args

import msgspec
from aiohttp import web

from tests.fakes.telegram.body import parameters, request_of
from tests.fakes.telegram.methods import FLOODED, METHODS, Method, get_updates
from tests.fakes.telegram.params import chat_id_of
from tests.fakes.telegram.rules import Json, Refused, bad_entities, too_many_requests
from tests.fakes.telegram.state import Bot, Call
from tests.fakes.telegram.users import Users
from tests.fakes.telegram.webhooks import post_updates

Kind = Literal["429", "500", "502", "entities", "delay", "drop_before", "drop_after"]
"""What goes wrong: a refusal, an HTML page of a gateway, slowness, or a connection that ends without an answer, before
the call was carried out or after it."""

JSON_HEADERS = {"Content-Type": "application/json"}
BAD_GATEWAY = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>nginx</body>\r\n</html>\r\n"


class Fault(msgspec.Struct):
    """A scripted fault, ``times`` more times."""

    method: str
    kind: Kind
    times: int
    seconds: float
    chat: int | None


class BotApi(Users):
    """The server. The arguments are those of ``State``: bot tokens, clock, length of the history, bodies in it."""

    def __init__(
        self,
        *tokens: str,
        clock: Callable[[], float] = time.monotonic,
        history: int | None = None,
        bodies: bool = True,
    ) -> None:
        super().__init__(*tokens, clock=clock, history=history, bodies=bodies)
        self.control: Callable[[str, web.BaseRequest], Awaitable[web.StreamResponse]] | None = None
        """Serves ``/_control/{name}`` in the program."""
        self._faults: list[Fault] = []
        self._pushers: dict[str, asyncio.Task[None]] = {}
        self._runner: web.ServerRunner | None = None
        self._port = 0

    # -------------------------------------------------------------- life

    @property
    def url(self) -> str:
        """The address to be given to a bot as ``api_base``."""
        return f"http://127.0.0.1:{self._port}"

    async def start(self, port: int = 0) -> None:
        """Listen; after a ``stop`` on the port of before, with all that was there: an outage of the platform."""
        self.closing = False
        self._runner = web.ServerRunner(
            web.Server(self._serve, request_factory=request_of, access_log=None), shutdown_timeout=0.2
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port or self._port, backlog=2048).start()
        self._port = self._runner.addresses[0][1]
        for bot in self.bots.values():
            self._hook(bot)

    async def stop(self) -> None:
        self.closing = True
        for bot in self.bots.values():
            bot.wake()
        for task in self._pushers.values():
            task.cancel()
        await asyncio.gather(*self._pushers.values(), return_exceptions=True)
        self._pushers.clear()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    # -------------------------------------------------------------- faults

    def fail(self, method: str, times: int, kind: Kind, *, seconds: float = 1.0, chat: int | None = None) -> None:
        """The next ``times`` calls of ``method`` ("*" = any) go wrong, in ``chat`` if given; earlier faults come first.

        ``seconds`` is the retry_after of a 429 and the length of a delay. A delayed call is then carried out.
        """
        if method != "*" and method.lower() not in METHODS:
            raise ValueError(f"no such method: {method}")
        if kind not in get_args(Kind):
            raise ValueError(f"no such fault: {kind}")
        self._faults.append(Fault(method.lower(), kind, times, seconds, chat))

    def unknown(self, *methods: str) -> None:
        """The server is too old for these methods (Bot API names): 404 Not Found from now on."""
        for method in methods:
            if method.lower() not in METHODS:
                raise ValueError(f"no such method: {method}")
        self.missing.update(method.lower() for method in methods)

    def _fault(self, call: Call) -> Fault | None:
        for fault in self._faults:
            if fault.method in ("*", call.method.lower()) and fault.chat in (None, call.chat):
                fault.times -= 1
                if fault.times <= 0:
                    self._faults.remove(fault)
                return fault
        return None

    # -------------------------------------------------------------- HTTP

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path
        if path.startswith("/bot"):
            token, _, name = path[4:].partition("/")
            return await self._call(request, token, name)
        if path.startswith("/file/bot"):
            token, _, name = path[9:].partition("/")
            return self._download(token, name)
        if path.startswith("/_control/") and self.control is not None:
            return await self.control(path[10:], request)
        return _answer(404, Refused(404, "Not Found").body())

    async def _call(self, request: web.BaseRequest, token: str, name: str) -> web.StreamResponse:
        proper, method = METHODS.get(name.lower(), (name, None))
        try:
            params = await parameters(request)
        except Refused as refused:
            return _answer(refused.code, refused.body())
        call = Call(self.clock(), proper, chat_id_of(params), params if self.bodies else None)
        self.history.append(call)
        self.counts[proper] += 1
        fault = self._fault(call) if self._faults else None
        kind = fault.kind if fault else ""
        if fault and kind == "delay":
            self.changed()
            await asyncio.sleep(fault.seconds)
        if kind == "drop_before":
            return self._drop(request)
        if kind == "502":
            call.status = 502
            self.changed()
            return web.Response(status=502, text=BAD_GATEWAY, content_type="text/html")
        try:
            if fault:
                _refuse(fault)
            bot = self.bots.get(token)
            if bot is None or bot.revoked:
                raise Refused(401, "Unauthorized")
            if method is None or name.lower() in self.missing:
                raise Refused(404, "Not Found")
            result = await self._carry_out(bot, call, method, params)
        except Refused as refused:
            call.status, answer = refused.code, refused.body()
        else:
            call.status, answer = 200, {"ok": True, "result": result}
        if kind == "drop_after":
            call.status = 0
            return self._drop(request)
        self.changed()
        return _answer(call.status, answer)

    async def _carry_out(self, bot: Bot, call: Call, method: Method, params: Json) -> Any:
        if method is get_updates:
            return await get_updates(self, bot, params)
        self._spend(bot, call)
        result = method(self, bot, params)
        if "Webhook" in call.method:
            self._hook(bot)
        return result

    def _spend(self, bot: Bot, call: Call) -> None:
        """Draw the call from the budgets of the bot and of the chat."""
        if self.bot_limit and (left := bot.window.spend(self.bot_limit, self.clock())):
            raise too_many_requests(left)
        if call.chat is None or call.method not in FLOODED:
            return
        limit = self.private_limit if call.chat > 0 else self.group_limit
        chat = bot.chats.get(call.chat)
        if limit and chat and (left := chat.window.spend(limit, self.clock())):
            raise too_many_requests(left)

    def _drop(self, request: web.BaseRequest) -> web.Response:
        """End the connection; the response that is returned reaches nobody."""
        if request.transport is not None:
            request.transport.abort()
        self.changed()
        return web.Response()

    def _download(self, token: str, path: str) -> web.Response:
        bot = self.bots.get(token)
        for file in bot.files.values() if bot and not bot.revoked else ():
            if file.path == path:
                return web.Response(body=file.data, content_type="application/octet-stream")
        return _answer(404, Refused(404, "Not Found").body())

    # -------------------------------------------------------------- webhooks

    def _hook(self, bot: Bot) -> None:
        """Begin, change or end the posting of updates, as the bot's webhook now says."""
        old = self._pushers.pop(bot.token, None)
        if old is not None:
            old.cancel()
        if bot.webhook is not None:
            self._pushers[bot.token] = asyncio.create_task(post_updates(self, bot, bot.webhook))


def _refuse(fault: Fault) -> None:
    match fault.kind:
        case "429":
            raise too_many_requests(fault.seconds)
        case "500":
            raise Refused(500, "Internal Server Error")
        case "entities":
            raise bad_entities("can't find end of the entity starting at byte offset 0")


def _answer(status: int, body: Json) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(body), headers=JSON_HEADERS)


if __name__ == "__main__":
    from tests.fakes.telegram.program import main

    main()
