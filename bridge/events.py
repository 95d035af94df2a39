"""The events of one answer, sans-IO: ``(name, data)`` pairs in, pieces out.

Rules of this file:
- pure; every generation of FastGPT and every OpenAI-compatible server goes through the same functions;
- ``[DONE]`` is not the end: the records of the run may come before it, behind it, or never;
- an unknown event, an odd chunk or a broken record is passed over; only an error is an error, and it is kept in
  ``fault`` beside the pieces that came before it, never raised;
- the usual chunk is decoded by type, the way of nearly every token; whatever does not fit goes the tolerant way.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from bridge import faults, interactive
from bridge.cite import Marks
from bridge.faults import UpstreamError
from bridge.model import Form
from bridge.pieces import Choices, Delta, Done, Piece, Sources, Status
from bridge.quotes import Quotes
from bridge.think import Thoughts

_ANSWERS = frozenset(("", "answer", "fastAnswer", "message"))
"""Names of the events whose payload is an OpenAI-like chunk."""


class _Text(msgspec.Struct, gc=False):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None


class _Choice(msgspec.Struct, gc=False):
    delta: _Text | None = None
    message: _Text | None = None
    finish_reason: str | None = None


class _Chunk(msgspec.Struct, gc=False):
    choices: list[_Choice]
    error: Any = None
    responseData: Any = None


_usual = msgspec.json.Decoder(_Chunk).decode


class Events:
    """Reads the events of one answer."""

    def __init__(self) -> None:
        self.fault: UpstreamError | None = None
        """What went wrong; nothing is read after it."""
        self.done = False
        """``[DONE]`` was seen."""
        self.records = False
        """Node records were seen: nothing worth waiting for comes behind ``[DONE]``."""
        self.complete = False
        """The server said, in one way or another, that the answer is complete."""
        self.understood = False
        """Something made sense."""
        self._thoughts = Thoughts()
        self._marks = Marks()
        self._thought_marks = Marks()
        self._quotes = Quotes()
        self._fixed = ""
        """What fixed replies said: the words of an interactive node may be among it."""
        self._finish = ""

    def feed(self, events: list[tuple[str, str]], out: list[Piece]) -> None:
        """Appends the pieces of these events to ``out``."""
        for name, data in events:
            if self.fault:
                break
            if name not in _ANSWERS:
                self._odd(name, data, out)
                continue
            try:
                chunk = _usual(data)
            except (ValueError, RecursionError):
                self._odd(name, data, out)
                continue
            if chunk.error or chunk.responseData:
                self._odd(name, data, out)
                continue
            self.understood = True
            for choice in chunk.choices:
                if choice.finish_reason:
                    self._finished(choice.finish_reason)
                if part := choice.delta or choice.message:
                    self._say(name, part.content or "", part.reasoning_content or part.reasoning or "", out)

    def whole(self, payload: dict[str, Any], out: list[Piece]) -> None:
        """A whole answer: the decoded reply of a request without ``stream``."""
        self._answer("", payload, out)
        self.complete = True

    def rest(self) -> list[Piece]:
        """The text that was held back because it could have become a tag or a mark."""
        text, thinking = self._thoughts.end()
        text = self._marks.feed(text) + self._marks.end()
        thinking = self._thought_marks.feed(thinking) + self._thought_marks.end()
        return [Delta(text, thinking)] if text or thinking else []

    def end(self) -> list[Piece]:
        """There are no more events: what is left, with Sources and Done unless there is a ``fault``."""
        out = self.rest()
        if not self.fault:
            if sources := self._quotes.sources():
                out.append(Sources(sources))
            out.append(Done(cut=not self.complete, finish=self._finish))
        return out

    # -------------------------------------------------------------- one event

    def _odd(self, name: str, data: str, out: list[Piece]) -> None:
        """Every event that is not the usual chunk."""
        data = data.strip()
        if not data or data.startswith(":"):  # a keep-alive comment in the clothes of data
            return
        payload = data if data == "[DONE]" else decoded(data)
        if isinstance(payload, str) and payload.strip() != "[DONE]":
            payload = decoded(payload) or payload  # JSON within JSON
        self.understood = self.understood or payload is not None
        if name == "error":
            self.fault = faults.of_payload(data if payload is None else payload)
        elif isinstance(payload, str):
            if payload.strip() == "[DONE]":
                self.done = self.complete = True
        elif isinstance(payload, dict) and "choices" in payload and name in _ANSWERS:
            self._answer(name, payload, out)
        elif isinstance(payload, dict) and "choices" not in payload and _is_error(name, payload):
            self.fault = faults.of_payload(payload)
        else:
            self._named(name, payload, out)

    def _named(self, name: str, payload: Any, out: list[Piece]) -> None:
        match name, payload:
            case "flowResponses" | "appStreamResponse", list():
                self._quotes.add(payload)
                self.records = self.complete = True
            case "flowNodeResponse", dict():  # one a node, while the run goes on: says nothing about its end
                self._quotes.add(payload)
                self.records = True
            case "flowNodeStatus", {"name": str(text)} if text:
                out.append(Status(text))
            case "toolCall", {"tool": dict(tool)}:
                _tool(tool, out)
            case "interactive", {"interactive": node}:
                self._ask(node, out)

    def _answer(self, name: str, payload: dict[str, Any], out: list[Piece]) -> None:
        """A chunk or a whole answer in any shape."""
        before = len(out)
        for choice in _dicts(payload["choices"]):
            part = choice.get("delta") or choice.get("message")
            part = part if isinstance(part, dict) else {}
            thinking = part.get("reasoning_content") or part.get("reasoning")
            if isinstance(thinking, str):
                self._say(name, "", thinking, out)
            self._content(name, part.get("content"), out)
            finish = choice.get("finish_reason")
            if isinstance(finish, str) and finish:
                self._finished(finish)
        if payload.get("responseData"):
            self._quotes.add(payload["responseData"])
            self.records = True
        if (error := payload.get("error")) and not any(map(_is_answer, out[before:])):
            self.fault = faults.of_payload(error)

    def _content(self, name: str, content: object, out: list[Piece]) -> None:
        """Text, OpenAI's list of parts, or FastGPT's list of values."""
        if isinstance(content, str):
            self._say(name, content, "", out)
        texts = 0
        for item in _dicts(content):
            match item:
                case {"text": str(text)}:
                    self._say(name, text, "", out)
                case {"text": {"content": str(text)}}:  # values of one reply stand on lines of their own
                    self._say(name, f"\n{text}" if texts else text, "", out)
                    texts += 1
                case {"reasoning": {"content": str(text)}}:
                    self._say(name, "", text, out)
                case {"interactive": node}:
                    self._ask(node, out)
                case {"tools": list(tools)}:
                    for tool in _dicts(tools):
                        _tool(tool, out)
                case {"tool": dict(tool)}:
                    _tool(tool, out)

    def _finished(self, reason: str) -> None:
        self._finish = reason
        self.complete = True

    # -------------------------------------------------------------- one piece

    def _say(self, name: str, text: str, thinking: str, out: list[Piece]) -> None:
        if text:
            if name == "fastAnswer":
                self._fixed += text
            text, thought = self._thoughts.feed(text)
            text = self._marks.feed(text)
            thinking += thought
        if thinking:
            thinking = self._thought_marks.feed(thinking)
        if text or thinking:
            out.append(Delta(text, thinking))

    def _ask(self, node: object, out: list[Piece]) -> None:
        """Servers of 2024 stream the words of the node as a fixed reply, too: they are not said twice."""
        match interactive.ask(node):
            case Choices() as piece:
                said = piece.description.strip() in self._fixed
                out.append(Choices("", piece.options) if said else piece)
            case Form() as piece:
                said = piece.title.strip() in self._fixed
                out.append(Form(piece.key, "", piece.fields) if said else piece)


def decoded(data: str) -> Any:
    """The JSON value, or None. Halves of surrogate pairs, which JavaScript leaves where it cuts a text, become "?"."""
    try:
        return msgspec.json.decode(data)
    except (ValueError, RecursionError):
        pass
    try:
        return msgspec.json.decode(json.dumps(json.loads(data), ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None


def _is_error(name: str, payload: dict[str, Any]) -> bool:
    code = payload.get("code")
    return bool(payload.get("error")) or (not name and isinstance(code, int) and code >= 400)


def _is_answer(piece: Piece) -> bool:
    return bool(piece.text) if isinstance(piece, Delta) else not isinstance(piece, Status)


def _tool(tool: dict[str, Any], out: list[Piece]) -> None:
    name = tool.get("toolName") or tool.get("functionName")
    if isinstance(name, str) and name:
        out.append(Status(name))


def _dicts(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
