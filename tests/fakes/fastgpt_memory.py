"""What the scripted server remembers: chats with their items, and the calls it was asked.

Rules of this file:
- plain data for tests to read; only the request handlers of the fake write to it;
- no key is ever kept;
- Record alone knows when an era writes a turn down, and under which ids.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.fakes.fastgpt_run import Run
from tests.fakes.fastgpt_script import Era, Received, Script
from tests.fakes.fastgpt_wire import NEW, Turn, content_values, node_results, spoken


@dataclass
class Item:
    """One record of a chat."""

    data_id: str
    obj: Literal["Human", "AI"]
    text: str = ""
    value: list[dict[str, Any]] = field(default_factory=list)
    nodes: list[dict[str, Any]] = field(default_factory=list)
    """What getResData returns."""
    interactive: dict[str, Any] | None = None
    """The innermost question to the user; None once anything was said after it."""
    good: str | None = None
    bad: str | None = None
    """Feedback texts; None = none."""


@dataclass
class Chat:
    """One chatId. ``run`` holds E26's generation lock while it is not None."""

    chat_id: str
    items: list[Item] = field(default_factory=list)
    variables: dict[str, Any] = field(default_factory=dict)
    title: str = ""
    run: Run | None = None

    def item(self, data_id: str, obj: Literal["Human", "AI"] = "AI") -> Item | None:
        return next((item for item in self.items if item.data_id == data_id and item.obj == obj), None)


def _is_new_query(interactive: dict[str, Any]) -> bool:
    """Is the answer to this a question of its own, with an id of its own?"""
    kind = interactive.get("type")
    return kind == "agentPlanAskQuery" or (kind == "agentAsk" and interactive.get("responseMode") != "submit")


def innermost(interactive: dict[str, Any]) -> dict[str, Any]:
    """Unwrap ``params.childrenResponse`` as the server does, 20 levels at most."""
    for _ in range(20):
        child = interactive.get("params", {}).get("childrenResponse")
        if not isinstance(child, dict):
            break
        interactive = child
    return interactive


@dataclass
class Asked:
    """A chat completion that was asked for. Times are Unix seconds."""

    time: float
    path: str
    headers: dict[str, str]
    """Names in lower case, without the Authorization."""
    body: dict[str, Any]
    parts: list[dict[str, Any]] = field(default_factory=list)
    """The content of the last message, without the parts that the server drops."""
    question: str = ""
    """Its text parts, joined."""
    files: list[dict[str, Any]] = field(default_factory=list)
    """image_url and file_url parts of the question."""
    received: list[Received] = field(default_factory=list)
    """What the server knows of these files."""
    chat_id: str = ""
    item_id: str = ""
    variables: dict[str, Any] = field(default_factory=dict)
    """Stored ones, the request's over them, the reserved ones over all."""
    prompt: list[tuple[str, str]] = field(default_factory=list)
    """(role, text) that the model would see: the stored history, then every message sent."""
    answers: str = ""
    """Type of the interactive node that this message was taken as the answer to."""
    refused: str = ""
    """Why no run was started: a statusText or a message."""
    hung_up: bool = False
    """The client went away before its answer was complete."""
    finished: bool = False
    """The run came to its own end, whether or not somebody still read it."""
    stopped: bool = False
    sent: int = 0
    """Tokens produced so far."""


@dataclass
class Call:
    """Any other request."""

    time: float
    method: str
    path: str
    query: dict[str, str]
    body: Any


@dataclass
class Stopped:
    """A POST /api/v2/chat/stop; ``running`` says whether there was anything to stop."""

    time: float
    app_id: str
    chat_id: str
    running: bool


@dataclass
class Feedback:
    """An updateUserFeedback; both texts None = taken back. ``known``: such an answer exists in the chat."""

    chat_id: str
    data_id: str
    good: str | None
    bad: str | None
    known: bool


class Record:
    """Writes one turn into its chat. E26 creates both items, strictly, before the run; older servers after it."""

    def __init__(self, chat: Chat, era: Era, asked: Asked) -> None:
        self._chat = chat
        data_id = asked.item_id or secrets.token_urlsafe(18)
        self._human: Item | None = Item(data_id if era in NEW else secrets.token_urlsafe(18), "Human", asked.question)
        self._human.value = [{"type": "text", "text": {"content": asked.question}}]
        self._ai = Item(data_id, "AI")
        self._created = False
        self.options: list[str] = []
        """What the answered userSelect had on offer."""
        last = chat.items[-1] if chat.items else None
        if last is not None and last.interactive is not None:
            asking, last.interactive = last.interactive, None
            asked.answers = str(asking.get("type"))
            self.options = [option["value"] for option in asking["params"].get("userSelectOptions", ())]
            if era in NEW and not _is_new_query(
                asking
            ):  # a submit goes on in the item that asked, whatever id was sent
                self._human, self._ai, self._created = None, last, True
        if era in NEW:
            self._create()

    def _create(self) -> None:
        if not self._created:
            self._created = True
            self._chat.items += [item for item in (self._human, self._ai) if item is not None]

    def save(self, script: Script, era: Era, turn: Turn, run: Run) -> None:
        words = spoken(script, era, turn)
        text = "".join(words if run.outcome == "done" else words[: max(0, run.sent - len(script.thinking))])
        self._ai.text = "\n".join(part for part in (self._ai.text, script.fast, text) if part)
        self._ai.value += content_values(script, era, text)
        self._ai.nodes += node_results(script, era, turn, text)
        if run.outcome == "done":
            self._chat.variables = {**self._chat.variables, **script.variables}
            if script.interactive is not None:
                self._ai.interactive = innermost(script.interactive)
        self._create()
