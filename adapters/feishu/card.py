"""A Show -> card JSON 2.0, and the messages that say the same where no card can be.

Rules of this file (pure):
- from top to bottom: the reasoning, folded away; the text, or the status in its place; the names of the sources, folded
  away; the form; the buttons;
- what is not Markdown stands in ``plain_text``, where no tag and no mark means anything;
- the text has been measured by ``render.fits``, so what is cut to size is the rest: first the reasoning, from its
  beginning, then the names of the sources, then labels, and buttons only when nothing else helps;
- plain means that Feishu has refused something here: the words are not Markdown then, and no button is an address.

Source: Card JSON 2.0: structure, plain text, rich text, button, column set, collapsible panel; 30 KB and 200 elements
a card. Content of messages: post 30 KB, text 150 KB.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from adapters.feishu.form import form_element
from adapters.feishu.inline import NO_WIDTH, escaped
from adapters.feishu.plain import clean, plain, plain_text
from adapters.feishu.render import fits, posted, rendered
from bridge.model import Button, Show

log = logging.getLogger(__name__)

Element = dict[str, Any]

TEXT, THINKING = "md", "think"
"""Ids of the elements whose ``content`` can be streamed."""
BYTES_MOST = 30_000
ELEMENTS_MOST = 200
SUMMARY_MOST = 50
STREAMING = {"print_frequency_ms": {"default": 40}, "print_step": {"default": 4}, "print_strategy": "fast"}
"""A hundred characters a second: faster than models write, and no client waits behind. (The default is 14.)"""

_RATINGS = ("good", "bad", "retry")
_ADDRESS = re.compile(r"https?://[^\s/]", re.IGNORECASE)
_TAG = re.compile(r"<(?=[/A-Za-z])")


class _Trim(NamedTuple):
    """The most of what may be cut."""

    thinking: int = 10_000
    """Characters."""
    names: int = 100
    """Sources that are named; the others are counted."""
    label: int = 100
    """Characters of the label of a button, and of the name of a source. (100 is the platform's limit.)"""
    buttons: int = 60


_TRIMS = (
    _Trim(),
    *(_Trim(thinking) for thinking in (800, 400, 100, 0)),
    *(_Trim(0, names) for names in (30, 10, 3)),
    *(_Trim(0, 3, label) for label in (40, 12)),
    *(_Trim(0, 1, 12, buttons) for buttons in (20, 5)),
)


def card(op: Show, value: Mapping[str, str], *, streaming: bool, images: Mapping[str, str] = {}) -> dict[str, Any]:
    """The whole card for a Show. ``value`` is what a press sends back beside its key ``k``; ``images`` has the img_key
    of each picture that can be shown, by its address."""
    config: dict[str, Any] = {
        "streaming_mode": streaming,
        "update_multi": True,
        "summary": {"content": summary(op)},
    }
    if streaming:
        config["streaming_config"] = STREAMING
    made: dict[str, Any] = {}
    for trim in _TRIMS:
        made = {"schema": "2.0", "config": config, "body": {"elements": list(_elements(op, value, images, trim))}}
        if len(msgspec.json.encode(made)) <= BYTES_MOST and _tagged(made) <= ELEMENTS_MOST:
            if trim.buttons < len(op.buttons):
                log.warning("%d buttons are left out: the card is full", len(op.buttons) - trim.buttons)
            break
    return made


def summary(op: Show) -> str:
    """What lists of chats and notifications show instead of the card: its first words."""
    words = plain_text(op.text[: 8 * SUMMARY_MOST]) or op.status
    return clean(_head(" ".join(words.split()), SUMMARY_MOST))


def message(op: Show) -> tuple[str, dict[str, Any]]:
    """(msg_type, content) of the message that says the same without a card. Choices and addresses are named in it."""
    rest = "\n".join(_named(op))
    if op.plain:
        words = "\n\n".join(filter(None, (plain_text(op.text) or op.text or op.status, rest)))
        return "text", {"text": clean(_TAG.sub("<" + NO_WIDTH, words))}
    text = op.text or op.status
    if rest and fits(whole := f"{text}\n\n{rest}"):
        text = whole
    return "post", {"zh_cn": {"content": [[{"tag": "md", "text": posted(text)}]]}}


# ------------------------------------------------------------------ elements


def _elements(op: Show, value: Mapping[str, str], images: Mapping[str, str], trim: _Trim) -> Iterator[Element]:
    thinking = _tail(op.thinking.strip(), trim.thinking)
    if thinking:
        yield _panel("💭 思考过程 · Reasoning", plain(thinking, element_id=THINKING))
    if op.text or op.status or not op.final:
        yield _text(op, images)
    if op.sources:
        names = list(dict.fromkeys(source.name for source in op.sources))
        yield _panel(f"📎 引用 · Sources ({len(names)})", plain(_list(names, trim)))
    if op.form:
        yield form_element(op.form, _callback(op.form.key, value))
    usable = [button for button in op.buttons if _usable(button) and not (op.plain and button.role == "link")]
    del usable[trim.buttons :]
    for button in usable:
        if button.role not in _RATINGS:
            yield _button(button, value, trim)
    ratings = [_button(button, value, trim) for button in usable if button.role in _RATINGS]
    if ratings:
        columns = [{"tag": "column", "width": "auto", "elements": [rating]} for rating in ratings]
        yield {"tag": "column_set", "flex_mode": "flow", "columns": columns}


def _text(op: Show, images: Mapping[str, str]) -> Element:
    if op.plain:
        return {"tag": "div", "text": plain(plain_text(op.text) or op.text or op.status, element_id=TEXT)}
    return {
        "tag": "markdown",
        "element_id": TEXT,
        "content": rendered(op.text, images) if op.text else escaped(clean(op.status)),
    }


def _panel(title: str, text: Element) -> Element:
    """Something to unfold."""
    return {
        "tag": "collapsible_panel",
        "expanded": False,
        "header": {
            "title": plain(title, text_color="grey"),
            "icon": {"tag": "standard_icon", "token": "down-small-ccm_outlined", "size": "16px 16px"},
            "icon_position": "follow_text",
            "icon_expanded_angle": -180,
        },
        "elements": [{"tag": "div", "text": text | {"text_size": "notation", "text_color": "grey"}}],
    }


def _list(names: list[str], trim: _Trim) -> str:
    lines = [f"{number}. {_head(name, trim.label)}" for number, name in enumerate(names[: trim.names], 1)]
    return "\n".join([*lines, f"… +{len(names) - trim.names}"] if len(names) > trim.names else lines)


def _button(button: Button, value: Mapping[str, str], trim: _Trim) -> Element:
    if button.role == "link":
        behavior = {"type": "open_url", "default_url": button.key}
    else:
        behavior = _callback(button.key, value)
    return {
        "tag": "button",
        "type": "danger" if button.role == "stop" else "default",
        "text": plain(_head(" ".join(button.label.split()), trim.label) or "…"),
        "behaviors": [behavior],
        **({"width": "fill"} if button.role in ("choice", "suggest") else {}),
    }


def _callback(key: str, value: Mapping[str, str]) -> dict[str, Any]:
    return {"type": "callback", "value": {"k": key, **value}}


def _usable(button: Button) -> bool:
    return button.role != "link" or bool(_ADDRESS.match(button.key))


def _named(op: Show) -> Iterator[str]:
    """What a message without buttons says of them, line by line."""
    for button in op.buttons:
        label = " ".join(button.label.split())
        if button.role in ("choice", "suggest"):
            yield f"- {label}"
        elif button.role == "link" and _usable(button):
            yield f"- {label}: {button.key}"


# ------------------------------------------------------------------ sizes


def _tagged(value: object) -> int:
    """What the platform counts as elements: whatever has a tag."""
    if isinstance(value, list):
        return sum(map(_tagged, value))
    if not isinstance(value, dict):
        return 0
    return ("tag" in value) + sum(_tagged(inner) for name, inner in value.items() if name != "value")


def _head(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def _tail(text: str, most: int) -> str:
    return text if len(text) <= most else "…" + text[1 - most :].lstrip() if most else ""
