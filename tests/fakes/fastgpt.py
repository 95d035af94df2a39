"""A scripted FastGPT server for tests and benchmarks: in-process, or a program of its own.

    async with FakeFastGPT("e26") as gpt:
        gpt.next(Script(text="你好", gate=(gate := Gate(after=1))))
        ...                                   # point the client at gpt.base_url with gpt.key
        await gate.reached()
        await gpt.until(lambda: gpt.asked[0].finished)

    python -m tests.fakes.fastgpt --port 3000 --era e24        # prints its address first; /_control/ sets the script

Rules of this file:
- the server behaves as the fact sheet says real servers do, and was written from it alone, never from a client;
- what is not known there (texts of newer errors) is marked where it is made up;
- tests read plain lists (asked, calls, stopped, feedback, chats) and wait with ``until``, never with a sleep;
- one file per noun: Script, wire forms, HTTP, Run, memory, the completions call, the helper calls, the control API,
  the object store, the parts of a question, the linked files.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Coroutine
from pprint import pformat
from types import TracebackType
from typing import Any, Literal, get_args
from urllib.parse import quote

import msgspec

from tests.fakes.fastgpt_api import helper
from tests.fakes.fastgpt_control import control
from tests.fakes.fastgpt_files import ObjectStore, Presign
from tests.fakes.fastgpt_http import STORE, Connection, Request
from tests.fakes.fastgpt_memory import Asked, Call, Chat, Feedback, Stopped
from tests.fakes.fastgpt_oddities import ODDITIES, Oddity
from tests.fakes.fastgpt_parts import Fetched
from tests.fakes.fastgpt_run import Run
from tests.fakes.fastgpt_script import (
    Era,
    Fail,
    Gate,
    Quote,
    Received,
    Reply,
    Script,
    Tool,
    answer_to,
    many_quotes,
    names_of,
    script_of,
)
from tests.fakes.fastgpt_static import STATIC, Published, static
from tests.fakes.fastgpt_turn import completions

__all__ = [
    "ODDITIES",
    "Era",
    "Fail",
    "FakeFastGPT",
    "Gate",
    "Oddity",
    "Quote",
    "Received",
    "Reply",
    "Script",
    "Tool",
    "answer_to",
    "many_quotes",
    "names_of",
    "serve",
]

COMPLETIONS = ("/api/v1/chat/completions", "/api/v2/chat/completions")


class FakeFastGPT:
    """The server, and what a test may know and do. One app, one app key, one account key."""

    key = "fastgpt-key-of-the-app"
    account_key = "openapi-key-of-the-account"
    app_id = "65a1b2c3d4e5f60718293a4b"

    def __init__(self, era: Era = "e26", *, port: int = 0, limit: tuple[int, float] | None = None) -> None:
        self.era: Era = era
        self.limit = limit
        """(requests, seconds): the frequency limit of the team; None = none."""
        self.default = Script()
        self.chat_config: dict[str, Any] = {}
        """Laid over the chatConfig that init returns, name by name: welcomeText, fileSelectConfig, variables,
        questionGuide. Without a fileSelectConfig no file may be uploaded."""
        self.presign: Presign | None = None
        """How files are uploaded; None = by PUT in E26, and no such call in the other eras."""
        self.store = ObjectStore(lambda: self.url)
        self.fetches = False
        """Read the addresses of the files in a question, as an app that reads files does."""
        self.fetched: list[Fetched] = []
        self.published: dict[str, Published] = {}
        """What ``publish`` has put under /static/, by name."""
        self.suggestions = ["第一问?", "第二问?", "第三问?"]
        self.asked: list[Asked] = []
        self.calls: list[Call] = []
        self.stopped: list[Stopped] = []
        self.feedback: list[Feedback] = []
        self.chats: dict[str, Chat] = {}
        self.runs: set[Run] = set()
        self.port = port
        self.gates: list[Gate] = []
        """Those that the control API made."""
        self._queue: deque[Script] = deque()
        self._rules: list[tuple[str, Script]] = []
        self._admitted: deque[float] = deque()
        self._waiting: list[tuple[Callable[[], object], asyncio.Future[None]]] = []
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self._absence: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    # -------------------------------------------------------------- life

    async def __aenter__(self) -> FakeFastGPT:
        await self.up()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._absence is not None:
            self._absence.cancel()
        await self.down()

    async def up(self) -> None:
        """Listen; after ``down`` on the same port. Memory and scripts are those of before."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self._handle, self._connections), "127.0.0.1", self.port, backlog=4096
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def down(self) -> None:
        """The process dies: connections are refused, open ones are reset, runs are lost."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in list(self._connections):
            connection.end("reset")
        for task in self._tasks:
            task.cancel()
        for run in list(self.runs):
            run.kill()
        await asyncio.sleep(0)  # the transports tell of their end in the next turn of the loop

    def away(self, seconds: float) -> None:
        """``down``, and ``up`` again after so many seconds: for the control API, which is away meanwhile itself."""

        async def vanish() -> None:
            await asyncio.sleep(0.05)  # the reply to this call goes out first
            await self.down()
            await asyncio.sleep(seconds)
            await self.up()

        self._absence = asyncio.get_running_loop().create_task(vanish())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        """What a user puts into the config."""
        return self.url + ("/v1" if self.era == "openai" else "/api")

    # -------------------------------------------------------------- scripting

    def next(self, *scripts: Script) -> None:
        """Queue scripts; each answers one request, before any rule."""
        self._queue.extend(scripts)

    def when(self, substring: str, script: Script) -> None:
        """Answer every question that contains ``substring`` so; the newest rule is asked first."""
        self._rules.insert(0, (substring, script))

    def publish(
        self,
        name: str,
        data: bytes,
        *,
        content_type: str | None = "application/octet-stream",
        status: int = 200,
        redirect: str | None = None,
        chunked: bool = False,
        length: int | None = None,
        endless: bool = False,
        hold: asyncio.Event | None = None,
    ) -> str:
        """Put a file under /static/ for an answer to link to, and return its URL; the arguments are Published's."""
        self.published[name] = Published(data, content_type, status, redirect, chunked, length, endless, hold)
        return f"{self.url}{STATIC}{quote(name)}"

    def choose(self, question: str) -> Script:
        if self._queue:
            return self._queue.popleft()
        return next((script for substring, script in self._rules if substring in question), self.default)

    # -------------------------------------------------------------- watching

    @property
    def running(self) -> int:
        """Runs in progress, those without a client included."""
        return len(self.runs)

    def called(self, path: str) -> int:
        """How often a path other than the completions was called, e.g. ``/api/core/chat/init``."""
        return sum(call.path == path for call in self.calls)

    async def until(self, predicate: Callable[[], object], timeout: float = 10.0) -> None:
        """Return as soon as ``predicate()`` is true; it is asked again whenever something happens here.

        An IndexError or KeyError in it means "not yet". Raises AssertionError with a dump of the server's state.
        """
        happened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (predicate, happened)
        self._waiting.append(entry)
        try:
            self.changed()
            await asyncio.wait_for(happened, timeout)
        except TimeoutError:
            raise AssertionError(f"not within {timeout} s\n{self.dump()}") from None
        finally:
            self._waiting.remove(entry)

    def changed(self) -> None:
        """Something happened: ask those who wait."""
        for predicate, happened in self._waiting:
            if happened.done():
                continue
            try:
                if predicate():
                    happened.set_result(None)
            except LookupError:
                pass
            except Exception as error:  # it belongs to the waiting test
                happened.set_exception(error)

    def dump(self) -> str:
        """The state, readable."""
        state = {
            "asked": self.asked,
            "calls": self.calls,
            "stopped": self.stopped,
            "feedback": self.feedback,
            "chats": {chat_id: [(item.obj, item.text) for item in chat.items] for chat_id, chat in self.chats.items()},
            "objects": list(self.store.objects),
            "running": self.running,
            "queued scripts": len(self._queue),
        }
        return pformat(state, width=120, sort_dicts=False)

    # -------------------------------------------------------------- for the handlers

    @property
    def presigns(self) -> Presign | None:
        """How files are uploaded to this server; None = not at all."""
        return self.presign or ("put" if self.era == "e26" else None)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Let work go on beside the handlers; it ends with the server."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def kind_of_key(self, request: Request, body: dict[str, Any]) -> Literal["app", "account", "wrong"]:
        """Whose key it is. ``<key>-<appId>`` stands for the key with an appId in the body."""
        sent = request.headers.get("authorization", "").removeprefix("Bearer ")
        key = sent.removesuffix(f"-{self.app_id}")
        if key != sent and self.era in ("e26", "v2"):
            body.setdefault("appId", self.app_id)
            sent = key
        return "app" if sent == self.key else "account" if sent == self.account_key else "wrong"

    def take_from_limit(self) -> int:
        """0 = admitted, else the whole seconds to wait."""
        if self.limit is None:
            return 0
        calls, seconds = self.limit
        now = time.monotonic()
        while self._admitted and self._admitted[0] <= now - seconds:
            self._admitted.popleft()
        if len(self._admitted) >= calls:
            return max(1, math.ceil(self._admitted[0] + seconds - now))
        self._admitted.append(now)
        return 0

    def limit_headers(self) -> dict[str, str]:
        """X-RateLimit-Reset is in milliseconds of the epoch."""
        if self.limit is None or not self._admitted:
            return {}
        calls, seconds = self.limit
        reset = time.time() + self._admitted[0] + seconds - time.monotonic()
        return {
            "X-RateLimit-Limit": str(calls),
            "X-RateLimit-Remaining": str(calls - len(self._admitted)),
            "X-RateLimit-Reset": str(int(reset * 1000)),
        }

    def _handle(self, request: Request, connection: Connection) -> None:
        openai = self.era == "openai"
        if request.path.startswith("/_control/"):
            control(self, request, connection)
        elif request.path.startswith(STORE):
            self.store.handle(request, connection)
            self.changed()
        elif request.path.startswith(STATIC):
            static(self, request, connection)
            self.changed()
        elif request.method == "POST" and (
            request.path in COMPLETIONS or (openai and request.path == "/v1/chat/completions")
        ):
            completions(self, request, connection)
        elif openai and request.method == "GET" and request.path == "/v1/models":
            models = {"object": "list", "data": [{"id": "fake-1", "object": "model", "created": 0, "owned_by": "fake"}]}
            connection.reply(200, msgspec.json.encode(models), "application/json", {})
        else:
            helper(self, request, connection)


async def serve(gpt: FakeFastGPT, lifetime: float) -> None:
    """Run as a program: the address on the first line, until SIGTERM, SIGINT or the end of ``lifetime`` seconds."""
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    async with gpt:
        print(gpt.base_url, flush=True)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), lifetime)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fakes.fastgpt", description="A scripted FastGPT server.")
    parser.add_argument("--port", type=int, default=0, help="0 = any free one")
    parser.add_argument("--era", choices=get_args(Era), default="e26")
    parser.add_argument("--script", default="{}", help='the default answer as JSON, e.g. {"length": 100, "rate": 50}')
    parser.add_argument("--lifetime", type=float, default=600.0, help="seconds")
    options = parser.parse_args(arguments)
    gpt = FakeFastGPT(options.era, port=options.port)
    gpt.default = script_of(msgspec.json.decode(options.script))
    asyncio.run(serve(gpt, options.lifetime))


if __name__ == "__main__":
    main(sys.argv[1:])
