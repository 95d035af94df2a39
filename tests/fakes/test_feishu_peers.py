"""Two clients that nobody here wrote live at the fake platform: Feishu's own for Python and for Node.

What they can do with the real platform they must be able to do here, by the wire that they speak themselves.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.feishu import USER, OpenPlatform
from tests.fakes.feishu.events import MESSAGE, envelope
from tests.fakes.feishu.rules import Json
from tests.fakes.feishu.webhook import sealed, signed

PEERS = Path(__file__).parent / "feishu" / "peers"
NODE = PEERS / "node"
PATIENCE = 60.0
"""Seconds: the Python client needs six of CPU before its first word."""


class Peer:
    """A client in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def line(self) -> Json:
        """The next line that it prints as JSON; its log is passed over."""
        assert self._process.stdout
        while line := await asyncio.wait_for(self._process.stdout.readline(), PATIENCE):
            if line.startswith(b"{"):
                said: Json = json.loads(line)
                return said
        raise AssertionError("the peer has ended")

    async def ask(self, **question: Any) -> Json:
        """Give it a line; the next one that it prints."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps(question).encode() + b"\n")
        return await self.line()


@asynccontextmanager
async def peer_at(platform: OpenPlatform, *command: str) -> AsyncIterator[Peer]:
    """A peer that is connected."""
    process = await asyncio.create_subprocess_exec(
        *command,
        platform.url,
        platform.app_id,
        platform.app_secret,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "NO_PROXY": "127.0.0.1", "PYTHONWARNINGS": "ignore"},
    )
    try:
        await platform.connected(timeout=PATIENCE)
        yield Peer(process)
    finally:
        process.kill()
        await process.wait()


async def lives_here(platform: OpenPlatform, peer: Peer) -> None:
    """Messages, fragments, replies, a streamed card, a press with its toast, and a second connection."""

    async def says(text: str, answer: str, **how: Any) -> None:
        platform.say(text, **how)
        await platform.until(lambda: any(seen.text == answer for seen in platform.answers()), PATIENCE)

    await says("hello 你好", "heard: hello 你好")
    await says("字" * 1000, "length: 1000", parts=3)
    await says("card", "Hello <you>")
    await platform.until(lambda: not platform.answers()[-1].streaming)
    card = platform.answers()[-1]
    assert (card.summary, card.buttons) == ("Hello", ["Stop"])
    assert card.reply_to == platform.screen()[-2].message_id
    pressed = await platform.press(card.message_id, "Stop")
    assert (pressed.code, pressed.toast, pressed.toast_type) == (0, "stopping", "success")
    assert await peer.line() == {"pressed": {"k": "stop"}, "by": USER}
    await platform.until(lambda: platform.pings)
    platform.drop_connections()
    await platform.connected(timeout=PATIENCE)
    await says("again", "heard: again")
    await platform.until(lambda: not platform.unacked)
    assert [ack.code for ack in platform.acks] == [200] * 5 and platform.complaints == []
    assert {call.code for call in platform.calls} == {0}


@pytest.mark.slow
async def test_lark_oapi_lives_here() -> None:
    async with OpenPlatform() as platform:
        command = (sys.executable, str(PEERS / "lark_peer.py"))
        async with peer_at(platform, *command) as peer:
            await lives_here(platform, peer)
            await reads_webhooks(platform, peer)


async def reads_webhooks(platform: OpenPlatform, peer: Peer) -> None:
    """What the fake encrypts and signs is read and believed by the library; what it did not sign is not."""
    key, token = "the app's key 密", platform.verification_token
    body = sealed(key, envelope(MESSAGE, {"message": {"content": "{}"}}, app_id="", token=token, now=0, event_id="e1"))

    async def ask(headers: dict[str, str], text: bytes = body) -> Json:
        return await peer.ask(headers=headers, body=text.decode(), key=key, token=token)

    headers = signed(key, body, platform.clock.now())
    assert await ask(headers) == {"webhook": "{}", "event": "e1"}
    assert (await peer.line())["status"] == 200
    assert (await ask({**headers, "X-Lark-Signature": "0" * 64}))["status"] == 500
    challenge = sealed(key, {"challenge": "c1", "token": token, "type": "url_verification"})
    assert json.loads((await ask({}, challenge))["answer"]) == {"challenge": "c1"}


async def test_the_node_sdk_lives_here() -> None:
    node = shutil.which("node")
    if node is None or not (NODE / "node_modules").exists():
        pytest.skip(f"needs Node and the client: npm ci --prefix {NODE}")
    async with OpenPlatform() as platform, peer_at(platform, node, str(NODE / "peer.mjs")) as peer:
        await lives_here(platform, peer)
