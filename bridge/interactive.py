"""FastGPT's interactive nodes as Choices and Forms, and a filled form as the text that answers one.

Rules of this file:
- pure; ``ask`` never fails: a node that is not understood is None;
- a choice carries the very text that must be sent back; a form is turned into that text by ``reply``;
- wrappers (a node inside a plugin, a tool, a loop) are opened down to the innermost node: that is what the next
  message answers.

The shapes are those of FastGPT's ``workflow/template/system/interactive/type.ts``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec

from bridge.model import Field, Form
from bridge.pieces import Choices

_DEPTH = 20
"""Wrappers around a node; the server's own limit."""

AGENT_ASK = "agentAsk"
"""Key of a form whose answer is a list, one entry a question. Every other form is answered by an object."""

_KINDS: dict[str, Any] = {
    "textarea": "paragraph",
    "numberInput": "number",
    "select": "select",
    "password": "password",
}
"""FastGPT's input types as kinds of a Field; all others are asked as text."""

_CONTINUE = (("继续 · Continue", "continue"),)


def ask(node: object) -> Choices | Form | None:
    """What the app asks by an interactive node ``{"type": …, "params": {…}}``."""
    kind, params = _innermost(node)
    match kind:
        case "userSelect" | "agentPlanAskUserSelect":
            return _choices(_str(params.get("description")), params.get("userSelectOptions"))
        case "userInput" | "agentPlanAskUserForm":
            return _form(params)
        case "agentAsk":
            return _questions(params)
        case "agentPlanAskQuery":
            return _choices(_str(params.get("content")), params.get("options"))
        case "paymentPause":
            return Choices(_str(params.get("description")), _CONTINUE)
    return None


def reply(form: Form, values: Mapping[str, str]) -> str:
    """The message that answers a form: ``{"name":"…","count":3}``, or ``{"answers":["…",""]}`` for agentAsk."""
    if form.key == AGENT_ASK:
        return _json({"answers": [values.get(field.key, "") for field in form.fields]})
    return _json({field.key: _typed(field, values[field.key]) for field in form.fields if field.key in values})


def _innermost(node: object) -> tuple[str, dict[str, Any]]:
    for _ in range(_DEPTH + 1):
        if not isinstance(node, dict):
            break
        params = node.get("params")
        if not isinstance(params, dict):
            return _str(node.get("type")), {}
        if not isinstance(params.get("childrenResponse"), dict):
            return _str(node.get("type")), params
        node = params["childrenResponse"]
    return "", {}


def _choices(description: str, options: object) -> Choices | None:
    found = _options(options, "value")
    return Choices(description, found) if found or description else None


def _options(items: object, label: str) -> tuple[tuple[str, str], ...]:
    """(label, value) of each item that has a value; an item may also be the value itself."""
    named = [item if isinstance(item, dict) else {"value": item} for item in _list(items)]
    return tuple((_str(item.get(label)) or value, value) for item in named if (value := _str(item.get("value"))))


def _form(params: dict[str, Any]) -> Form | None:
    fields = tuple(_field(item) for item in _dicts(params.get("inputForm")) if _str(item.get("key")))
    return Form("userInput", _str(params.get("description")), fields) if fields else None


def _field(item: dict[str, Any]) -> Field:
    kind = _KINDS.get(_str(item.get("type")), "text")
    options: tuple[tuple[str, str], ...] = ()
    if kind == "select":
        # A select without choices of its own has one placeholder, {"label": "", "value": ""}.
        options = _options(item.get("list"), "label")
        kind = "select" if options else "text"
    bounds = ("min", "max") if kind == "number" else ("minLength", "maxLength")
    return Field(
        key=item["key"],
        label=_str(item.get("label")) or item["key"],
        kind=kind,
        required=item.get("required") is True,
        default=_str(item.get("defaultValue")) or _str(item.get("value")),
        options=options,
        least=_number(item.get(bounds[0])),
        most=_number(item.get(bounds[1])),
    )


def _questions(params: dict[str, Any]) -> Choices | Form | None:
    """agentAsk: one to three questions, each with or without options."""
    title = _str(params.get("description"))
    fields = []
    for number, question in enumerate(_dicts(params.get("questions"))):
        options = _options(question.get("options"), "summary")
        label = _str(question.get("question")) or str(number + 1)
        fields.append(Field(str(number), label, "select" if options else "text", options=options))
    if len(fields) == 1 and fields[0].options:
        sent = tuple((label, _json({"answers": [value]})) for label, value in fields[0].options)
        return Choices("\n".join(dict.fromkeys(text for text in (title, fields[0].label) if text)), sent)
    return Form(AGENT_ASK, title, tuple(fields)) if fields else None


def _typed(field: Field, value: str) -> str | int | float:
    """A number field as a number, as FastGPT's own form sends it; what is not a number goes as it is."""
    if field.kind != "number":
        return value
    try:
        return int(value)
    except ValueError:
        pass
    try:
        number = float(value)
    except ValueError:
        return value
    return number if math.isfinite(number) else value


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _str(value: object) -> str:
    """Text, or a plain value as text (defaults of a form may be numbers or booleans); empty for everything else."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (str, int, float)) else ""


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _dicts(value: object) -> list[dict[str, Any]]:
    return [item for item in _list(value) if isinstance(item, dict)]
