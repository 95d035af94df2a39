"""The app of ``fastgpt-bridge demo``: a FastGPT-compatible endpoint that needs no model and no account.

It answers over real HTTP on the bridge's own port, in the form of FastGPT 4.8–4.14, so that the demo goes the same way
as a real app: node status, a streamed answer, the node responses at the end.
"""

from __future__ import annotations

import asyncio
import hmac
import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from bridge.model import BridgeError

if TYPE_CHECKING:
    from bridge.app import Bridge

PATH = "/demo/api"
KEY = "fastgpt-demo"
PACE = 0.03
"""Seconds between two tokens: about the speed of a hosted model."""
QUOTED = 200
"""Characters of the question that the answer repeats."""

CONFIG = """\
```yaml
fastgpt:
  support:
    base_url: https://fastgpt.example.com/api
    api_key: "${FASTGPT_API_KEY}"
bots:
  tg:
    platform: telegram
    app: support
    token: "${TELEGRAM_TOKEN}"
```"""

ENGLISH = """\
You asked: {question}

This is the **built-in demo app**. No model is behind it, but everything between you and it is the real thing: your \
message was committed to a file before the page heard of it, went up as `POST /v1/chat/completions`, and this text \
streams back.

| platform | how an answer grows |
| --- | --- |
| Telegram | the message is edited, with a stop button |
| Web | this page |

To put your own [FastGPT](https://fastgpt.io) app behind a Telegram bot:

{config}

Things to try:

1. press **stop** while an answer grows
2. reload the page in the middle of one
3. `kill -9` the service under `fastgpt-bridge run`, start it again, and watch the answer go on
"""

CHINESE = """\
你问的是：{question}

这是**内置的演示应用**，背后没有模型，但你和它之间的一切都是真实的：消息先写入磁盘，页面才收到确认，\
然后通过 `POST /v1/chat/completions` 发给应用，回答逐字流回。

| 平台 | 回答如何增长 |
| --- | --- |
| Telegram | 编辑同一条消息，带停止按钮 |
| 网页 | 就是这个页面 |

把你自己的 [FastGPT](https://fastgpt.io) 应用接到 Telegram 机器人：

{config}

可以试试：

1. 在回答过程中点**停止**
2. 回答到一半时刷新页面
3. 用 `fastgpt-bridge run` 运行服务，中途 `kill -9` 再启动，看回答继续
"""


def port(wanted: int, *, strict: bool) -> int:
    """``wanted`` when it is free, else (unless ``strict``) any that is."""
    for number in (wanted,) if strict else (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", number))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise BridgeError(f"port {wanted} is taken; choose another with --port")


def mount(bridge: Bridge) -> None:
    bridge.server.route("POST", f"{PATH}/v1/chat/completions", _completions)
    bridge.server.route("GET", "/", _front)


async def _front(request: web.Request) -> web.StreamResponse:
    raise web.HTTPFound("/chat/demo")


async def _completions(request: web.Request) -> web.StreamResponse:
    if not hmac.compare_digest(request.headers.get("Authorization", ""), f"Bearer {KEY}"):
        raise web.HTTPUnauthorized
    body = msgspec.json.decode(await request.read())
    question = str(body["messages"][-1]["content"])
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream;charset=utf-8"})
    with suppress(ConnectionError):  # a stopped answer: whoever asked has hung up
        await response.prepare(request)
        await _answer(response, question)
    return response


async def _answer(response: web.StreamResponse, question: str) -> None:
    for name in ("Understanding the question", "Answering"):
        await _send(response, "flowNodeStatus", {"status": "running", "name": name})
    for token in _tokens(question):
        await _send(response, "answer", {"choices": [{"delta": {"role": "assistant", "content": token}, "index": 0}]})
        await asyncio.sleep(PACE)
    await _send(response, "answer", {"choices": [{"delta": {}, "index": 0, "finish_reason": "stop"}]})
    await _send(response, "answer", "[DONE]")
    await _send(response, "flowResponses", [])


async def _send(response: web.StreamResponse, event: str, data: Any) -> None:
    text = data if isinstance(data, str) else msgspec.json.encode(data).decode()
    await response.write(f"event: {event}\ndata: {text}\n\n".encode())


def _tokens(question: str) -> Iterator[str]:
    """The answer in pieces about as large as a model's."""
    words = " ".join(question.split())
    quoted = words if len(words) <= QUOTED else f"{words[:QUOTED]}…"
    template = CHINESE if re.search("[\u3400-\u9fff]", question) else ENGLISH
    for match in re.finditer(r"\s*\S{1,6}|\s+$", template.format(question=quoted, config=CONFIG)):
        yield match[0]
