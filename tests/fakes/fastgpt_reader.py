"""A plain client for tests of the scripted FastGPT server: httpx calls, and the reader of fact sheet 10.2.

Rules of this file:
- it shares nothing with the product, so that the fake and the product are not wrong together;
- the reader works on whole bodies: it says what was sent, not how a stream is to be read.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.fakes.fastgpt import FakeFastGPT
from tests.fakes.fastgpt_wire import CITE


class Client:
    """Plain httpx calls to one fake."""

    def __init__(self, gpt: FakeFastGPT, http: httpx.AsyncClient) -> None:
        self.gpt, self.http = gpt, http

    def headers(self, key: str | None = None) -> dict[str, str]:
        return {"Authorization": f"Bearer {key or self.gpt.key}"}

    async def ask(self, question: str = "导演是谁", *, key: str | None = None, **fields: Any) -> httpx.Response:
        body = {"messages": [{"role": "user", "content": question}], "stream": True, "detail": True, **fields}
        path = "/v2/chat/completions" if body.pop("v2", False) else "/v1/chat/completions"
        url = self.gpt.base_url.removesuffix("/v1") + path
        return await self.http.post(url, json=body, headers=self.headers(key))

    async def get(self, path: str, **query: str) -> httpx.Response:
        return await self.http.get(self.gpt.base_url + path, params=query, headers=self.headers())

    async def post(self, path: str, **body: Any) -> Any:
        """``data`` of a helper call."""
        reply = await self.http.post(
            self.gpt.base_url + path, json={"appId": self.gpt.app_id, **body}, headers=self.headers()
        )
        assert reply.status_code == 200, reply.text
        return reply.json()["data"]


@dataclass
class Seen:
    text: str = ""
    thought: str = ""
    sources: list[str] = field(default_factory=list)
    error: str | None = None
    finish: str = ""
    done: bool = False
    events: list[str] = field(default_factory=list)
    interactive: dict[str, Any] = field(default_factory=dict)


def sse(raw: bytes) -> list[tuple[str, str]]:
    """(event, data) of a whole body."""
    found: list[tuple[str, str]] = []
    name, data = "", list[str]()
    text = raw.decode("utf-8", "replace").removeprefix("\ufeff")
    for line in [*re.split("\r\n|\n|\r", text), ""]:
        if not line:
            if data:
                found.append((name, "\n".join(data)))
            name, data = "", []
        elif line[0] in "{[":
            data.append(line)
        elif not line.startswith(":"):
            key, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if key == "event":
                name = value
            elif key == "data":
                data.append(value)
    return found


def read(status: int, content_type: str, raw: bytes, *, cut: bool = False) -> Seen:
    """What a tolerant client makes of a reply."""
    seen = Seen()
    if status >= 400 or raw.startswith(b"<"):
        seen.error = raw.decode()
    elif "json" in content_type:
        whole = json.loads(raw)
        if "choices" not in whole:
            seen.error = json.dumps(whole, ensure_ascii=False)
        else:
            take_whole(seen, whole)
    else:
        for name, data in sse(raw):
            take(seen, name, data)
        if seen.error is None and (cut or not (seen.done or seen.finish)):
            seen.error = "cut"
    thoughts = re.findall("<think>(.*?)</think>", seen.text)
    seen.thought += "".join(thoughts)
    seen.text = CITE.sub("", re.sub("<think>.*?</think>", "", seen.text))
    return seen


def take(seen: Seen, name: str, data: str) -> None:
    seen.events.append(name)
    if data == "[DONE]":
        seen.done = True
        return
    try:
        value = json.loads(data)
        value = json.loads(value) if isinstance(value, str) and name != "error" else value
    except ValueError:
        return
    if name == "error" or (isinstance(value, dict) and "choices" not in value and "error" in value):
        seen.error = json.dumps(value, ensure_ascii=False)
    elif name in ("flowResponses", "appStreamResponse", "flowNodeResponse"):
        seen.sources += quotes(value)
    elif name == "interactive":
        seen.interactive = value["interactive"]
    elif isinstance(value, dict) and name in ("", "answer", "fastAnswer"):
        for choice in value.get("choices") or ():
            take_message(seen, choice.get("delta") or choice.get("message") or {})
            seen.finish = choice.get("finish_reason") or seen.finish


def take_message(seen: Seen, message: dict[str, Any]) -> None:
    content = message.get("content") or ""
    parts: list[dict[str, Any]] = [{"text": content}] if isinstance(content, str) else content
    for part in parts:
        text = part.get("text") or ""
        seen.text += text if isinstance(text, str) else text["content"]
        seen.thought += part.get("reasoning", {}).get("content", "")
        seen.interactive = part.get("interactive", seen.interactive)
    seen.thought += message.get("reasoning_content") or message.get("reasoning") or ""


def take_whole(seen: Seen, whole: dict[str, Any]) -> None:
    take_message(seen, whole["choices"][0]["message"])
    seen.finish = whole["choices"][0]["finish_reason"]
    seen.sources += quotes(whole.get("responseData", []))
    if whole.get("error"):
        seen.error = json.dumps(whole["error"], ensure_ascii=False)


def quotes(value: Any) -> list[str]:
    nodes = value if isinstance(value, list) else [value]
    found = []
    for node in nodes:
        found += [quote["id"] for quote in node.get("quoteList", ())]
        for inner in ("childrenResponses", "pluginDetail", "toolDetail"):
            found += quotes(node.get(inner, []))
    return found
