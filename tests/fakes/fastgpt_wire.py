"""The wire forms of FastGPT by era: SSE frames, node results, whole answers, error envelopes.

Rules of this file:
- pure: a Script and a Dialect in, bytes out; no clock, no socket;
- the literal shapes are those of the fact sheet (2.1 to 2.7), keys in that order, separators as in
  JSON.stringify, raw U+2028 included;
- what detail=false hides is decided in one place, ``Dialect.event``;
- everything is encoded before the first byte leaves: a token costs one string encoding between a ready prefix and
  suffix, and playing a stream costs none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from tests.fakes.fastgpt_script import Era, Part, Quote, Received, Script, cut

_json = msgspec.json.encode
NEW: tuple[Era, ...] = ("e26", "v2")
"""The eras of 2026."""
_TAILS: dict[Era, tuple[Part, ...]] = {
    "e23": ("stop", "done", "flow"),
    "e24": ("stop", "done", "flow"),
    "e26": ("stop", "flow", "done"),
    "v2": ("stop", "done"),
    "openai": ("stop", "done"),
}
CITE = re.compile(r"[\[【]([a-f0-9]{24})[\]】](?:\([^\)]*\)?)?|[\[【]id[\]】]\(CITE\)")
"""Citation marks, as the server takes them out without retainDatasetCite."""


def envelope(code: int, status_text: str, message: str, data: Any = None) -> bytes:
    """``{"code":514,"statusText":"unAuthApiKey","message":"…","data":null}``"""
    return _json({"code": code, "statusText": status_text, "message": message, "data": data})


def sse_error(payload: bytes) -> bytes:
    return b"event: error\ndata: " + payload + b"\n\n"


@dataclass(frozen=True)
class Turn:
    """What the wire needs to know of the request being answered."""

    question: str = ""
    chat_id: str = ""
    model: str = ""
    variables: dict[str, Any] | None = None
    keep_cites: bool = True
    first: bool = True
    """The first turn of its chat: eras that have titles send one."""
    value_id: str = ""
    """responseValueId of E26."""
    files: Sequence[Received] = ()


class Dialect:
    """How one era writes one frame."""

    def __init__(self, era: Era, detail: bool, turn: Turn, *, space: bool = True) -> None:
        self.era, self.detail = era, detail
        self._colon = b"data: " if space else b"data:"
        self._label = b"event: answer\n" if detail and era != "openai" else b""
        self._role = b"" if era in ("e23", "openai") else b'"role":"assistant",'
        if era == "openai":
            self._open = (
                b'{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":%b,'
                b'"choices":[{"index":0,"delta":' % _json(turn.model)
            )
            self._finish, self._close = b',"finish_reason":', b"}]}"
        else:
            model = b"" if era == "e23" else b'"model":"",'
            self._open = b'{"id":"","object":"","created":0,%b"choices":[{"delta":' % model
            self._finish = b',"index":0,"finish_reason":'
            value_id = b',"responseValueId":%b' % _json(turn.value_id) if detail and era == "e26" else b""
            self._close = b"}]" + value_id + b"}"

    def chunk(self, delta: bytes, finish: bytes = b"null", label: bytes | None = None) -> bytes:
        label = self._label if label is None else label
        body = self._open + delta + self._finish + finish + self._close
        return label + self._colon + body + b"\n\n"

    def texts(self, tokens: tuple[str, ...], key: str = "content") -> list[bytes]:
        """A frame for each token, from one template."""
        before, after = self.chunk(b"{%b%b:\0}" % (self._role, _json(key))).split(b"\0")
        return [before + _json(token) + after for token in tokens]

    def stop(self, reason: str) -> bytes:
        delta = b'{"role":"assistant","content":null}' if self.era in NEW else b"{}"
        return self.chunk(delta, _json(reason))

    def done(self) -> bytes:
        return self._label + self._colon + b"[DONE]\n\n"

    def event(self, name: str, data: bytes) -> bytes:
        """A typed event; detail=false lets none through but chatTitle, and the OpenAI form has none."""
        if self.era == "openai" or not (self.detail or name == "chatTitle"):
            return b""
        return b"event: %b\n%b%b\n\n" % (name.encode(), self._colon, data)

    def known(self, name: str, data: Any) -> bytes:
        """An event that came with E24."""
        return b"" if self.era == "e23" else self.event(name, _json(data))


@dataclass(frozen=True)
class Frames:
    """A stream, ready to be sent: ``head`` when the run begins, ``tokens`` one by one, then ``tail``."""

    head: bytes
    tokens: list[bytes]
    tail: bytes
    beat: bytes
    """The heartbeat: an answer chunk without text."""
    error: bytes
    """What Fail ``event`` sends in place of the rest."""


def frames(script: Script, era: Era, detail: bool, turn: Turn) -> Frames:
    """The stream=true form of a Script."""
    dialect = Dialect(era, detail, turn, space=script.space)
    words = spoken(script, era, turn)
    nodes = node_results(script, era, turn, "".join(words))
    tokens = dialect.texts(script.thinking, "reasoning_content") if era != "e23" else []
    tokens += dialect.texts(words)
    if script.junk and tokens:
        lines = "".join(f"{line}\n\n" for line in script.junk).encode()
        tokens[0] += lines
    payload = script.fail.payload if script.fail else {}
    error = _json({"error": payload} if era == "openai" else payload)

    def bytes_of(data: bytes) -> bytes:
        return data if script.eol == "\n" else data.replace(b"\n", script.eol.encode())

    tail = bytes_of(_tail(script, dialect, turn, nodes))
    return Frames(
        head=(b"\xef\xbb\xbf" if script.bom else b"") + bytes_of(_head(script, dialect, nodes)),
        tokens=[bytes_of(token) for token in tokens],
        tail=tail.rstrip(b"\r\n") if script.ragged else tail,
        beat=bytes_of(dialect.texts(("",))[0]),
        error=bytes_of(b"data: " + error + b"\n\n" if era == "openai" else sse_error(error)),
    )


def spoken(script: Script, era: Era, turn: Turn) -> tuple[str, ...]:
    """The tokens after the server has taken the citation marks out, where it does."""
    words = script.words(turn.question, turn.files)
    if turn.keep_cites or script.leaks or era in ("e23", "openai"):
        return words
    whole = "".join(words)
    clean = CITE.sub("", whole)
    return words if clean == whole else cut(clean, script.piece)


def _head(script: Script, dialect: Dialect, nodes: list[dict[str, Any]]) -> bytes:
    parts = []
    if dialect.era == "openai":
        parts.append(dialect.chunk(b'{"role":"assistant","content":""}'))
    names = script.nodes
    if names is None:
        names = tuple(node["moduleName"] for node in nodes)
    parts += [dialect.known("flowNodeStatus", {"status": "running", "name": name}) for name in names]
    if dialect.era == "v2":
        parts += [dialect.known("flowNodeResponse", node) for node in nodes[:-1]]
    for tool in script.tools:
        call = {"id": tool.id, "toolName": tool.name, "toolAvatar": "/imgs/x.svg", "functionName": tool.function}
        parts.append(dialect.known("toolCall", {"tool": {**call, "params": "", "response": ""}}))
        for piece in cut(tool.params, 5):
            parts.append(dialect.known("toolParams", {"tool": {"id": tool.id, "params": piece}}))
        parts.append(dialect.known("toolResponse", {"tool": {"id": tool.id, "response": tool.response}}))
    parts += [dialect.event(name, data.encode()) for name, data in script.events]
    if script.fast:
        parts.append(_fast(dialect, script.fast))
    return b"".join(parts)


def _fast(dialect: Dialect, text: str) -> bytes:
    label = b"event: fastAnswer\n" if dialect.detail and dialect.era != "openai" else b""
    return dialect.chunk(b'{"role":"assistant","content":%b}' % _json(text), label=label)


def _tail(script: Script, dialect: Dialect, turn: Turn, nodes: list[dict[str, Any]]) -> bytes:
    era = dialect.era
    parts = []
    if script.interactive is not None:
        description = script.interactive.get("params", {}).get("description", "")
        if era == "e24" and description:
            parts.append(_fast(dialect, f"\n{description}"))
        parts.append(dialect.known("interactive", {"interactive": script.interactive}))
    if script.variables:
        parts.append(dialect.known("updateVariables", script.variables))
    if era == "v2":
        parts.append(dialect.known("flowNodeResponse", nodes[-1]))
    if era in NEW:
        parts.append(dialect.known("workflowDuration", {"durationSeconds": 3.27}))
        if title := title_of(script, turn):
            parts.append(dialect.known("chatTitle", {"title": title}))
    for part in _TAILS[era] if script.tail is None else script.tail:
        if part == "stop":
            parts.append(dialect.stop(script.finish_reason))
            if era == "openai" and script.usage:
                usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
                parts.append(
                    b"data: "
                    + _json({"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [], "usage": usage})
                    + b"\n\n"
                )
        elif part == "flow":
            parts.append(dialect.event("appStreamResponse" if era == "e23" else "flowResponses", _json(nodes)))
        else:
            parts.append(dialect.done())
    return b"".join(parts)


def title_of(script: Script, turn: Turn) -> str:
    return script.title or (turn.question[:20] if turn.first else "")


def quote_row(quote: Quote, era: Era, plain_score: bool) -> dict[str, Any]:
    """One element of quoteList."""
    if era == "e23":
        return {"kb_id": "646627f4f7b896cfd8910e38", "id": quote.id, "q": quote.q, "a": quote.a, "source": quote.source}
    score = [{"type": "embedding", "value": quote.score, "index": 0}, {"type": "rrf", "value": 0.065, "index": 0}]
    return {
        "id": quote.id,
        "q": quote.q,
        "a": quote.a,
        "chunkIndex": 0,
        "datasetId": "65bb346a24d8f2c1e9a0b3d1",
        "collectionId": "65bb346a24d8f2c1e9a0b3d2",
        "sourceName": quote.source,
        "sourceId": "65bb346a24d8f2c1e9a0b3d3",
        "score": quote.score if plain_score else score,
    }


def node_results(script: Script, era: Era, turn: Turn, answer: str) -> list[dict[str, Any]]:
    """The array of flowResponses and responseData; the chat node is the last one."""
    points: dict[str, Any] = {"price": 450} if era == "e23" else {"totalPoints": 0.45}

    def node(number: int, name: str, kind: str, **more: Any) -> dict[str, Any]:
        ids = {"id": f"run-{number}"} if era in NEW else {}
        place = {} if era == "e23" else {"nodeId": f"node-{number}"}
        return {**ids, **place, "moduleName": name, "moduleType": kind, "runningTime": 1.78, **points, **more}

    history = [{"obj": "Human", "value": turn.question}, {"obj": "AI", "value": answer}]
    chat = node(2, "AI 对话", "chatNode", model="gpt-4o-mini", query=turn.question, historyPreview=history)
    rows = [quote_row(quote, era, script.plain_score) for quote in script.quotes]
    if not rows:
        return [chat]
    search = node(1, "知识库搜索", "datasetSearchNode", similarity=0.4, limit=5000, quoteList=rows)
    if script.quotes_at == "search":
        return [search, chat]
    if script.quotes_at == "chat":
        return [{**chat, "quoteList": rows}]
    parents = {"childrenResponses": "appModule", "pluginDetail": "pluginModule", "toolDetail": "tools"}
    return [node(3, "子流程", parents[script.quotes_at], **{script.quotes_at: [search]}), chat]


def completion(script: Script, era: Era, detail: bool, turn: Turn) -> dict[str, Any]:
    """The stream=false form."""
    text = "".join(spoken(script, era, turn))
    message: dict[str, Any] = {"role": "assistant"}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 1}
    if era == "openai":
        choice = {"index": 0, "message": {**message, "content": text}, "finish_reason": script.finish_reason}
        head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1700000000, "model": turn.model}
        return {**head, "choices": [choice], "usage": usage}
    values = content_values(script, era, text)
    as_list = script.content == "list" or script.interactive is not None or script.tools
    if detail and (as_list or len([value for value in values if "text" in value]) > 1):
        message["content"] = values
    elif script.content != "missing" and (text or script.fast or script.interactive is None):
        message["content"] = "\n".join(part for part in (script.fast, text) if part)
    if era in NEW and script.thinking and not isinstance(message.get("content"), list):
        message["reasoning_content"] = "".join(script.thinking)
    whole: dict[str, Any] = {}
    if detail:
        whole["responseData"] = node_results(script, era, turn, text)
        if era != "e23":
            whole["newVariables"] = {**(turn.variables or {}), **script.variables}
    if era in NEW and (title := title_of(script, turn)):
        whole["title"] = title
    if script.beside is not None or (detail and era in NEW):
        whole["error"] = script.beside
    choice = {"message": message, "finish_reason": script.finish_reason, "index": 0}
    return {**whole, "id": turn.chat_id, "model": "", "usage": usage, "choices": [choice]}


def content_values(script: Script, era: Era, text: str) -> list[dict[str, Any]]:
    """An answer as a list of values; ``type`` is absent in v2."""
    values: list[dict[str, Any]] = []

    def add(kind: str, key: str, value: Any) -> None:
        values.append({key: value} if era == "v2" else {key: value, "type": kind})

    if script.thinking and era != "e23":
        add("reasoning", "reasoning", {"content": "".join(script.thinking)})
    for tool in script.tools:
        call = {"id": tool.id, "toolName": tool.name, "toolAvatar": "", "functionName": tool.function}
        add("tool", "tools", [{**call, "params": tool.params, "response": tool.response}])
    if script.fast:
        add("text", "text", {"content": script.fast})
    if text:
        add("text", "text", {"content": text})
    if script.interactive is not None:
        add("interactive", "interactive", script.interactive)
    return values
