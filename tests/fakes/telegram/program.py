"""The fake Bot API as a program, for tests and benchmarks of another process.

Rules of this file:
- the first line printed is the address; the program ends on SIGTERM or after its lifetime, whatever happens;
- ``POST /_control/{name}`` calls the method of that name on ``BotApi`` with the JSON object of the body as arguments,
  and answers with its result as JSON; a caller's mistake is 400 ``{"error"}``, a wait in vain 408 with the screens;
- bytes are base64 both ways; a ``Limit`` is an object, an item too (``{"type": "photo", "data": "…"}``).

Beside these names: ``open`` (gives the Chat object), ``unknown`` (``methods``), ``counts``, ``history`` (``last``),
``wait_text`` (``chat``, ``text``, ``timeout``: until a message of the bot contains it; the screen) and ``wait_calls``
(``method``, ``count``, ``timeout``).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import inspect
import signal
from collections.abc import Callable
from typing import Any, get_type_hints

import msgspec
from aiohttp import web

from tests.fakes.botapi import BotApi
from tests.fakes.telegram.rules import Json
from tests.fakes.telegram.screen import Seen
from tests.fakes.telegram.state import Call

LIFETIME = 600.0
"""Seconds."""


class Control:
    """The test's side of a ``BotApi`` over HTTP."""

    def __init__(self, api: BotApi) -> None:
        self._api = api
        does = (
            api.say,
            api.send,
            api.album,
            api.edit,
            api.press,
            api.react,
            api.push,
            api.stop_draft,
            api.file,
            api.page,
        )
        meets = (api.topic, api.block, api.member, api.joined, api.migrate, api.linked_post, self.open)
        sees = (api.screen, api.drafts, api.typing, api.answers, api.commands, api.unconfirmed, api.polling, api.dump)
        own = (
            api.fail,
            self.unknown,
            api.revoke,
            api.limit,
            self.counts,
            self.history,
            self.wait_text,
            self.wait_calls,
        )
        self._actions: dict[str, Callable[..., Any]] = {
            action.__name__: action for action in (*does, *meets, *sees, *own)
        }

    async def __call__(self, name: str, request: web.BaseRequest) -> web.StreamResponse:
        try:
            action = self._actions[name]
            given = msgspec.json.decode(await request.read() or b"{}", type=Json)
            result = action(**_typed(action, given))
            if inspect.isawaitable(result):
                result = await result
        except TimeoutError as error:
            return _json(408, {"error": str(error)})
        except (LookupError, TypeError, ValueError, msgspec.MsgspecError) as error:
            return _json(400, {"error": f"{type(error).__name__}: {error}"})
        return _json(200, result)

    def open(self, chat: int, token: str | None = None, **info: Any) -> Json:
        return self._api.open(chat, token, **info).info

    def unknown(self, methods: list[str]) -> None:
        self._api.unknown(*methods)

    def counts(self) -> dict[str, int]:
        return self._api.counts

    def history(self, last: int = 100) -> list[Call]:
        return list(self._api.history)[-last:]

    async def wait_text(self, chat: int, text: str, timeout: float = 10.0, token: str | None = None) -> list[Seen]:
        def screen() -> list[Seen]:
            seen = self._api.screen(chat, token)
            return seen if any(text in message.text for message in seen if message.from_bot) else []

        return await self._api.until(screen, timeout)

    async def wait_calls(self, method: str, count: int = 1, timeout: float = 10.0) -> int:
        await self._api.until(lambda: self._api.counts[method] >= count, timeout)
        return self._api.counts[method]


def _typed(action: Callable[..., Any], given: Json) -> Json:
    """The arguments as the action wants them: bytes of base64, items and limits of objects.

    Raises msgspec.ValidationError when one does not fit.
    """
    hints = get_type_hints(action)
    return {name: msgspec.convert(value, hints.get(name, Any)) for name, value in given.items()}


def _json(status: int, body: Any) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(body), content_type="application/json")


async def serve(api: BotApi, port: int, lifetime: float) -> None:
    """Serve until SIGTERM, SIGINT or the end of ``lifetime`` seconds."""
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    api.control = Control(api)
    await api.start(port)
    try:
        print(api.url, flush=True)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), lifetime)
    finally:
        await api.stop()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fakes.botapi", description="a fake Telegram Bot API server")
    parser.add_argument("--port", type=int, default=0, help="0 = any free one")
    parser.add_argument("--token", action="append", default=[], help="a bot's token, may be repeated (default 42:test)")
    parser.add_argument("--lifetime", type=float, default=LIFETIME, help="seconds until the program ends by itself")
    parser.add_argument("--history", type=int, default=10_000, help="how many calls are remembered")
    parser.add_argument("--no-bodies", action="store_true", help="remember calls without their parameters")
    args = parser.parse_args()
    api = BotApi(*args.token, history=args.history, bodies=not args.no_bodies)
    asyncio.run(serve(api, args.port, args.lifetime))
