"""What the scripted FastGPT server answers: a Script, a value that one request consumes.

Rules of this file:
- a Script is pure and can be written as JSON (the control API does); it knows neither sockets nor clocks;
- every field names something that real servers do; the default of every field is what they do most of the time;
- a "token" is one piece of the stream that the user could see, thinking included: ``Fail.after`` and ``Gate.after``
  count these, and a number past the last token means before the tail;
- the Gate is the one part that lives: a test holds the stream at a token with it and acts without sleeping.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec

Era = Literal["e23", "e24", "e26", "v2", "openai"]
"""Which wire form: FastGPT of 2023, of 2024-25, v1 of 2026, the v2 endpoint, or a strict OpenAI-compatible server."""

Part = Literal["stop", "flow", "done"]
"""A part of the tail: the frame with the finish_reason, the array of node results, ``[DONE]``."""

SSE_TYPE = "text/event-stream;charset=utf-8"
JSON_TYPE = "application/json; charset=utf-8"


def cut(text: str, size: int) -> tuple[str, ...]:
    """``text`` in tokens of ``size`` characters."""
    return tuple(text[at : at + size] for at in range(0, len(text), size))


def answer_to(question: str) -> str:
    """The text of the default answer: it names the question, so that a mixed-up answer shows."""
    return f"You asked: {question}"


class Quote(msgspec.Struct, frozen=True):
    """A row of ``quoteList``. ``id`` is what stands inside a citation mark."""

    id: str
    q: str = "电影《铃芽之旅》"
    a: str = "导演是新海诚"
    source: str = "a.csv"
    score: float = 0.93


def many_quotes(count: int = 600, length: int = 400) -> tuple[Quote, ...]:
    """Quotes with ``length`` CJK characters in ``q`` and in ``a``: 600 of them make one line of about 1.5 MB."""
    return tuple(Quote(id=f"{n:024x}", q="问" * length, a="答" * length) for n in range(count))


class Tool(msgspec.Struct, frozen=True):
    """A tool call of the workflow, as the events toolCall, toolParams and toolResponse tell it."""

    id: str = "call_1"
    name: str = "天气"
    function: str = "weather"
    params: str = '{"city":"杭州"}'
    response: str = '{"t":20}'


class Fail(msgspec.Struct, frozen=True):
    """A stream that goes wrong after ``after`` tokens.

    ``event``: an ``event: error`` frame with ``payload``, then EOF; the run has ended. The others are faults of the
    network, so the run itself goes on where the era lets it: ``eof`` ends the body in order but without its tail,
    ``close`` closes the connection without the last chunk, ``reset`` sends a TCP reset.
    """

    after: int = 1
    how: Literal["event", "eof", "close", "reset"] = "event"
    payload: dict[str, Any] = msgspec.field(default_factory=lambda: {"message": "boom"})


class Reply(msgspec.Struct, frozen=True):
    """A whole HTTP reply in place of a run. ``content_type`` None = no such header."""

    status: int = 200
    body: str = ""
    content_type: str | None = JSON_TYPE
    headers: dict[str, str] = {}


class Gate:
    """Holds every stream that reaches token ``after`` until ``open`` is called (0 = before the first token)."""

    def __init__(self, after: int = 1) -> None:
        self.after = after
        self.opened = False
        self._arrived = 0
        self._held: list[Callable[[], None]] = []
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    def __repr__(self) -> str:
        return f"Gate(after={self.after}, opened={self.opened}, held={len(self._held)})"

    async def reached(self, streams: int = 1, timeout: float = 10.0) -> None:
        """Return as soon as so many streams have arrived; what they sent before is on its way to the client."""
        if self._arrived < streams:
            arrival: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((streams, arrival))
            try:
                await asyncio.wait_for(arrival, timeout)
            except TimeoutError:
                raise AssertionError(f"{self._arrived} of {streams} streams reached {self!r} in {timeout} s") from None

    def open(self) -> None:
        """Let the held streams go on; later ones pass without stopping."""
        self.opened = True
        held, self._held = self._held, []
        for go_on in held:
            go_on()

    def hold(self, go_on: Callable[[], None]) -> None:
        """A stream has arrived; ``go_on`` is called when the gate opens."""
        self._held.append(go_on)
        self._arrived += 1
        for streams, arrival in self._waiting:
            if self._arrived >= streams and not arrival.done():
                arrival.set_result(None)

    def leave(self, go_on: Callable[[], None]) -> None:
        """A held stream has ended in another way (stopped, client gone)."""
        if go_on in self._held:
            self._held.remove(go_on)


class Received(msgspec.Struct, frozen=True):
    """A file of a question. ``type``: its MIME type, or the type of the part while nobody has read it."""

    name: str
    type: str
    size: int | None = None
    """Bytes; None = not read."""


def names_of(files: Sequence[Received]) -> str:
    """The text of an answer that names the files that arrived, a line for each."""
    rows = [f"{f.name} ({f.type}, {'not read' if f.size is None else f'{f.size} bytes'})" for f in files]
    return "\n".join(rows) or "no files"


class Script(msgspec.Struct, frozen=True, kw_only=True):
    """One answer. With neither ``tokens`` nor ``text`` it is derived from the question, see ``names``."""

    era: Era | None = None
    """Speak this wire form whatever the server's is."""
    # what is said
    tokens: tuple[str, ...] = ()
    text: str | None = None
    """Cut into tokens of ``piece`` characters; ``""`` is an empty answer."""
    piece: int = 4
    names: Literal["question", "files"] = "question"
    """What the derived answer names: the question (``answer_to``) or the files that came with it (``names_of``)."""
    length: int = 0
    """Prolong the derived answer to so many tokens (benchmarks)."""
    thinking: tuple[str, ...] = ()
    fast: str = ""
    """A fixed reply (event fastAnswer) before the text; it arrives whole."""
    nodes: tuple[str, ...] | None = None
    """Names of the nodes in flowNodeStatus; None = the usual ones."""
    tools: tuple[Tool, ...] = ()
    quotes: tuple[Quote, ...] = ()
    quotes_at: Literal["search", "chat", "childrenResponses", "pluginDetail", "toolDetail"] = "search"
    plain_score: bool = False
    """``score`` is a number (E24 for a while), not a list."""
    leaks: bool = False
    """Citation marks stay even when the client did not ask for them (old servers)."""
    interactive: dict[str, Any] | None = None
    """``{"type":…,"params":{…}}``: the run ends by asking the user something."""
    variables: dict[str, Any] = {}
    """What the workflow changed (updateVariables, newVariables)."""
    title: str = ""
    """chatTitle; empty = cut from the question in the first turn of a chat, where the era has titles."""
    events: tuple[tuple[str, str], ...] = ()
    """(event, data) as they are, before the text. Filtered by detail=false as all typed events are."""
    junk: tuple[str, ...] = ()
    """Lines as they are, each closed by an empty line, after the first token."""
    finish_reason: str = "stop"
    tail: tuple[Part, ...] | None = None
    """None = in the order of the era."""
    usage: bool = True
    """Era openai: the usage chunk with ``choices: []``. Many gateways send it unasked."""
    # when
    delay: float = 0.0
    """Seconds before the first byte (status line included)."""
    rate: float = 0.0
    """Tokens a second; 0 = all at once."""
    heartbeat: float = 10.0
    """Seconds between the empty answer chunks while the run lasts; 0 = none."""
    gate: Gate | None = None
    linger: bool = False
    """Keep the body open after the tail until the client hangs up."""
    # in which bytes
    chunk: int = 0
    """Send in HTTP chunks and TCP segments of so many bytes, cutting characters; 0 = as the frames come."""
    eol: Literal["\n", "\r\n", "\r"] = "\n"
    bom: bool = False
    space: bool = True
    """``data: {`` or ``data:{``."""
    ragged: bool = False
    """No empty line at the end of the body."""
    content_type: str | None = SSE_TYPE
    # the whole answer (stream=false, or as_json)
    as_json: bool = False
    """Answer application/json although stream=true was asked."""
    content: Literal["auto", "list", "missing"] = "auto"
    beside: Any = None
    """``error`` beside the choices, with HTTP 200."""
    # gone wrong
    fail: Fail | None = None
    instead: Reply | None = None

    def words(self, question: str, files: Sequence[Received] = ()) -> tuple[str, ...]:
        """The text as tokens, thinking excluded."""
        if self.tokens:
            return self.tokens
        if self.text is not None:
            return cut(self.text, self.piece)
        tokens = cut(names_of(files) if self.names == "files" else answer_to(question), self.piece)
        return tokens + tuple(f" {n}" for n in range(len(tokens), self.length))

    def says(self, question: str, files: Sequence[Received] = ()) -> str:
        """The text that the user must end up seeing when nothing goes wrong."""
        return self.fast + "".join(self.words(question, files))


def script_of(value: object) -> Script:
    """A Script from plain JSON values; ``"gate": 3`` makes a Gate. Raises msgspec.ValidationError."""
    return msgspec.convert(value, Script, dec_hook=_gate)


def _gate(kind: type, value: object) -> object:
    if kind is Gate and isinstance(value, int):
        return Gate(after=value)
    raise msgspec.ValidationError(f"{kind.__name__} cannot be made of {value!r}")
