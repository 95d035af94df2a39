"""A real wechaty gateway in a process of its own, with the names of ``puppet``: ``gateway/gateway.js``, run by Node.

    if not available(): pytest.skip(...)
    async with NodeGateway() as gateway:        # about two seconds
        await gateway.until(lambda: gateway.listening)
        await gateway.say("hi")
        await gateway.until(gateway.screen)

Rules of this file:
- what the gateway tells on its stdout is what a test sees, at once and even when the process is then killed; what a
  test does goes by its HTTP control;
- what was sent stays known when the gateway is killed; all else that it held dies with it.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

from tests.fakes.wechat.boxes import Kind
from tests.fakes.wechat.things import IMAGE, ME, ROOM, TEXT, WAITING
from tests.fakes.wechat.watch import Sent, Watch

FOLDER = Path(__file__).parent / "gateway"
MISSING = f"needs Node and the gateway: npm ci --ignore-scripts --legacy-peer-deps --prefix {FOLDER}"
"""Why a test is skipped."""
START = 60.0
"""Seconds: two on an idle machine."""
LINE_MOST = 2**28
"""Bytes of one line: a file that was sent is in it."""
QUIET = {"WECHATY_LOG": "silent", "NODE_NO_WARNINGS": "1"}
BOXES: dict[Kind, str] = {"base64": "base64", "url": "url", "uuid": "stream"}
"""What the puppet has to hold for the client to see such a box."""


def available() -> bool:
    """Is Node there, and the gateway installed?"""
    return shutil.which("node") is not None and (FOLDER / "node_modules").exists()


class NodeGateway(Watch):
    """The gateway: start it, kill it, steer it. ``tls``: with the certificate that comes with the package."""

    token = "test-token"
    me = ME

    def __init__(self, *, logged_in: bool = True, tls: bool = False) -> None:
        super().__init__()
        self._logged_in = logged_in
        self._tls = tls
        self._port = free_port()
        self._control = ""
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None

    @property
    def endpoint(self) -> str:
        """host:port; the same after a restart."""
        return f"127.0.0.1:{self._port}"

    # ------------------------------------------------------------------ its life

    async def __aenter__(self) -> Self:
        await self.restart(logged_in=self._logged_in)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.kill()

    async def restart(self, *, logged_in: bool = True) -> None:
        """Come (back) up. Not logged in, the puppet waits for a client's Start."""
        await self.kill()
        node = shutil.which("node")
        assert node, MISSING
        self._process = await asyncio.create_subprocess_exec(
            node,
            str(FOLDER / "gateway.js"),
            *("--grpc", self.endpoint, "--token", self.token),
            *(() if logged_in else ("--no-login",)),
            *(("--tls",) if self._tls else ()),
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, **QUIET},
            limit=LINE_MOST,
        )
        assert self._process.stdout
        self._control = await asyncio.wait_for(ready(self._process.stdout), START)
        self._reading = asyncio.create_task(self._read(self._process.stdout))

    async def kill(self) -> None:
        """Be gone: the process ends, and all its connections."""
        process, self._process = self._process, None
        if process:
            with suppress(ProcessLookupError):
                process.terminate()
            await process.wait()
        if self._reading:
            await self._reading

    async def _read(self, lines: asyncio.StreamReader) -> None:
        while line := await lines.readline():
            if line.startswith(b"{"):
                self._told(json.loads(line))
        self.listening = False
        self.changed()

    def _told(self, line: dict[str, Any]) -> None:
        self.listening = line.get("listening", self.listening)
        self.started += "started" in line
        if sent := line.get("sent"):
            self.sent.append(sent_of(sent))
        self.changed()

    # ------------------------------------------------------------------ people

    async def say(
        self,
        text: str,
        *,
        sender: str = "alice",
        room: str = "",
        mentions: Sequence[str] = (),
        kind: int = TEXT,
        id: str | None = None,
        at: float | None = None,
    ) -> str:
        """Somebody writes to the bot, or into a room. ``kind``: the message type; ``at``: Unix seconds.

        Returns the message id.
        """
        own = {"id": id} if id else {}
        when = {} if at is None else {"at": int(at * 1000)}
        return await self._say(sender, room, text=text, mentions=list(mentions), type=kind, **own, **when)

    async def say_file(
        self,
        name: str,
        data: bytes,
        *,
        sender: str = "alice",
        room: str = "",
        kind: int = IMAGE,
        box: Kind = "base64",
        url: str = "",
    ) -> str:
        """Somebody sends a file. Returns the message id."""
        content = {"url": url} if box == "url" else {"base64": base64.b64encode(data).decode()}
        return await self._say(sender, room, type=kind, file={"name": name, "box": BOXES[box], **content})

    async def say_link(
        self, title: str, url: str, description: str = "", *, sender: str = "alice", room: str = ""
    ) -> str:
        """Somebody shares a page. Returns the message id."""
        link = {"title": title, "url": url, "description": description}
        return await self._say(sender, room, link=link)

    async def _say(self, sender: str, room: str, **what: Any) -> str:
        told = await self.control("say", **{"from": sender}, **({"room": room} if room else {}), **what)
        return str(told["messageId"])

    async def resend(self, message_id: str) -> None:
        """The bot is told of a message once more."""
        await self.control("resend", messageId=message_id)

    async def alias(self, name: str, *, room: str = ROOM, contact: str = ME) -> None:
        """Name a contact otherwise in a room."""
        await self.control("alias", room=room, id=contact, alias=name)

    # ------------------------------------------------------------------ the phone, and faults

    async def login(self) -> None:
        """The phone has confirmed."""
        await self.control("login")

    async def logout(self) -> None:
        """WeChat has ended the session."""
        await self.control("logout")

    async def scan(self, qrcode: str, status: int = WAITING) -> None:
        """There is a QR code, or a phone did something with it."""
        await self.control("scan", qrcode=qrcode, status=status)

    async def fail(self, times: int, message: str = "puppet failed") -> None:
        """The next ``times`` sends throw in the puppet."""
        await self.control("fail", n=times, message=message)

    async def control(self, call: str, **body: Any) -> Any:
        """One call of the control, as the header of ``gateway.js`` has them; what it answers."""
        async with (
            aiohttp.ClientSession(trust_env=False) as session,
            session.post(f"{self._control}/{call}", json=body) as response,
        ):
            told = await response.json()
            assert response.ok, told
            return told


def free_port() -> int:
    """A port of the loopback that nobody holds now."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


async def ready(lines: asyncio.StreamReader) -> str:
    """Wait for the gateway's word; gives the control's address."""
    while line := (await lines.readline()).decode():
        if line.startswith("READY "):
            return line.removeprefix("READY ").strip()
    raise AssertionError("the gateway has ended before it was ready")


def sent_of(record: dict[str, Any]) -> Sent:
    """A message of the bot, from the gateway's line."""
    file = (record["file"]["name"], base64.b64decode(record["base64"])) if "file" in record else None
    mentions = tuple(record.get("mentions", ()))
    return Sent(record["id"], record["conversationId"], record["time"] / 1000, record.get("text", ""), mentions, file)
