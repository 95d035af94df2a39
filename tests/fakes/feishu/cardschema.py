"""Is this a card of JSON 2.0? What the platform checks before it takes one.

Rules of this file:
- pure: a card in, a ``BadCard`` raised or nothing; what exists in the tenant (image keys, people) comes in ``World``;
- a tag or a property that is not documented is an error, as in the real 2.0;
- codes are those of CardKit; ``messages`` wraps them into 230099, as the platform does.

Source: fact sheet 3.1, 3.4 and 3.5, and the platform's component pages that it names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from tests.fakes.feishu.cardmarkdown import at_ids, image_targets, table_count
from tests.fakes.feishu.cardtags import COMMON, ELEMENTS, FREE, INTERACTIVE_TAGS, OBJECTS, PARTS
from tests.fakes.feishu.rules import Json

ELEMENTS_MOST = 200
ELEMENT_ID = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,19}")


class BadCard(Exception):
    """A card the platform does not take: CardKit's code, and why."""

    def __init__(self, code: int, msg: str) -> None:
        super().__init__(code, msg)
        self.code, self.msg = code, msg


class World(msgspec.Struct, frozen=True):
    """What a card may refer to, and how many tables it may have."""

    images: frozenset[str]
    people: frozenset[str]
    at_all: bool = True
    tables_most: int = 5
    tables_in_one: int = 4


def check_card(card: Any, world: World) -> None:
    """Raises BadCard for what the platform would not take."""
    _object(card, "card", "")
    if card.get("schema") != "2.0":
        raise BadCard(300315, "schema must be 2.0")  # the code is not documented: it stands for "bad property"
    config = _object(card.get("config", {}), "config", "config")
    if config.get("update_multi") is False:
        raise BadCard(300315, "update_multi: false is not supported")
    _object(config.get("streaming_config", {}), "streaming_config", "config -> streaming_config")
    _object(config.get("summary", {}), "summary", "config -> summary")
    if "header" in card:
        _header(card["header"])
    body = _object(card.get("body", {}), "body", "body")
    check_elements(body.get("elements", []), "body -> elements")
    whole(card, world)


def check_elements(elements: Any, path: str, inside: str = "") -> None:
    """Are these elements well formed? ``inside`` names the container that forbids some."""
    if not isinstance(elements, list):
        raise BadCard(300315, f"{path} is no list")
    for at, element in enumerate(elements):
        _element(element, f"{path} -> [{at}]", inside)


def whole(card: Json, world: World) -> None:
    """What holds for the card as a whole: how many elements and tables, unique ids, and what it refers to."""
    tagged = list(walk(card))
    if len(tagged) > ELEMENTS_MOST:
        raise BadCard(300305, f"{len(tagged)} elements; the card exceeds {ELEMENTS_MOST}")
    seen: set[str] = set()
    tables = 0
    for element in tagged:
        key = element.get("element_id")
        if key in seen:
            raise BadCard(300301, f"duplicate element_id {key}")
        if key is not None:
            seen.add(key)
        tables += tables_of(element, world)
        _references(element, world)
    if tables > world.tables_most:
        raise BadCard(11310, "element exceeds the limit; table number over limit")


def tables_of(element: Json, world: World) -> int:
    """The tables of one element."""
    if element["tag"] == "table":
        return 1
    if element["tag"] not in ("markdown", "lark_md"):
        return 0
    count = table_count(element.get("content", ""))
    if count > world.tables_in_one:
        raise BadCard(11310, "element exceeds the limit; table number over limit")
    return count


def walk(value: Any) -> Iterator[Json]:
    """Every object with a tag, outermost first. What a chart, a table or a callback value holds is data."""
    if isinstance(value, dict):
        data = isinstance(value.get("tag"), str)
        if data:
            yield value
        for name, inner in value.items():
            if name not in FREE or (name == "columns" and value.get("tag") == "column_set"):
                yield from walk(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from walk(inner)


def _references(element: Json, world: World) -> None:
    keys = [element["img_key"]] if "img_key" in element else []
    if element["tag"] in ("markdown", "lark_md"):
        text = element.get("content", "")
        keys += image_targets(text)
        for who in at_ids(text):
            if (who == "all" and not world.at_all) or (who != "all" and who not in world.people):
                raise BadCard(100290, f"invalid user id: {who}")
    for key in keys:
        if key not in world.images:
            raise BadCard(200570, f"invalid image keys: {key[:60]}")


def _element(element: Any, path: str, inside: str) -> None:
    tag = element.get("tag") if isinstance(element, dict) else None
    if tag not in ELEMENTS:
        raise BadCard(300315, f"unsupported tag {tag}; path: {path}")
    if inside == "form" and tag in ("form", "table", "chart"):
        raise BadCard(300315, f"{tag} cannot be inside a form; path: {path}")
    if tag == "form" and not re.fullmatch(r"body -> elements -> \[\d+\]", path):
        raise BadCard(300315, f"a form stands at the root; path: {path}")
    _tagged(element, ELEMENTS[tag], path)
    if inside == "form" and tag in INTERACTIVE_TAGS and not element.get("name"):
        raise BadCard(300315, f"{tag} in a form needs a name; path: {path}")
    if tag == "markdown" and not isinstance(element.get("content"), str):
        raise BadCard(300315, f"content is no string; path: {path}")
    if tag == "form":
        _form(element, path)
    if tag in ("select_static", "multi_select_static", "overflow"):
        _options(element.get("options"), path)
    for at, behavior in enumerate(element.get("behaviors", ())):
        _behavior(behavior, f"{path} -> behaviors -> [{at}]")
    for at, column in enumerate(element.get("columns", ()) if tag == "column_set" else ()):
        where = f"{path} -> columns -> [{at}]"
        _part(column, where)
        check_elements(column.get("elements", []), where, inside)
    if tag != "form" and "elements" in element:
        check_elements(element["elements"], f"{path} -> elements", inside)
    _inner(element, path)


def _form(element: Json, path: str) -> None:
    if not element.get("name"):
        raise BadCard(300315, f"a form needs a name; path: {path}")
    check_elements(element.get("elements"), f"{path} -> elements", "form")
    if not any(one.get("form_action_type") == "submit" for one in walk(element)):
        raise BadCard(300315, f"a form needs a submit button; path: {path}")
    names = [one["name"] for one in walk(element["elements"]) if "name" in one]
    if len(names) != len(set(names)):
        raise BadCard(300315, f"names in a form are unique; path: {path}")


def _options(options: Any, path: str) -> None:
    for at, option in enumerate(options or ()):
        where = f"{path} -> options -> [{at}]"
        _object(option, "option", where)
        _part(option.get("text"), f"{where} -> text")
        if not isinstance(option.get("value"), str):
            raise BadCard(300315, f"the value of an option is a string; path: {where}")


def _behavior(behavior: Any, path: str) -> None:
    kind = behavior.get("type") if isinstance(behavior, dict) else None
    if kind not in ("callback", "open_url"):
        raise BadCard(300315, f"unknown behavior {kind}; path: {path}")
    _object(behavior, kind, path)
    if kind == "callback" and not isinstance(behavior.get("value"), dict):
        raise BadCard(300315, f"the value of a callback is an object; path: {path}")
    if kind == "open_url" and not str(behavior.get("default_url", "")).startswith(("http://", "https://", "lark://")):
        raise BadCard(300315, f"default_url is no address; path: {path}")


def _inner(element: Json, path: str) -> None:
    """The texts, icons and dialogs of an element."""
    for name in ("text", "icon", "hover_tips", "disabled_tips", "placeholder", "label", "alt", "title"):
        if name in element:
            _part(element[name], f"{path} -> {name}")
    if "confirm" in element:
        confirm = _object(element["confirm"], "confirm", f"{path} -> confirm")
        for name, text in confirm.items():
            _part(text, f"{path} -> confirm -> {name}")
    if element["tag"] == "button" and "text" not in element and "icon" not in element:
        raise BadCard(300315, f"a button needs a text or an icon; path: {path}")
    if element["tag"] == "collapsible_panel" and isinstance(element.get("header"), dict):
        _part(element["header"].get("title"), f"{path} -> header -> title", also=("markdown",))


def _header(header: Any) -> None:
    _object(header, "header", "header")
    _part(header.get("title"), "header -> title")
    for at, tag in enumerate(header.get("text_tag_list", ())):
        _part(tag, f"header -> text_tag_list -> [{at}]")


def _part(value: Any, path: str, also: tuple[str, ...] = ()) -> None:
    tag = value.get("tag") if isinstance(value, dict) else None
    if tag not in PARTS and tag not in also:
        raise BadCard(300315, f"unsupported tag {tag}; path: {path}")
    _tagged(value, PARTS.get(tag) or ELEMENTS[tag], path)
    if tag in ("plain_text", "lark_md") and not isinstance(value.get("content"), str):
        raise BadCard(300315, f"content is no string; path: {path}")


def _tagged(value: Json, names: frozenset[str], path: str) -> None:
    for name in value:
        if name not in names and name not in COMMON:
            raise BadCard(300315, f"unknown property: {name}, path: {path}(tag: {value['tag']})")
    key = value.get("element_id")
    if key is not None and not (isinstance(key, str) and ELEMENT_ID.fullmatch(key)):
        raise BadCard(300315, f"element_id {key!r} is malformed; path: {path}")


def _object(value: Any, kind: str, path: str) -> Json:
    if not isinstance(value, dict):
        raise BadCard(300315, f"{path or 'the card'} is no object")
    for name in value:
        if name not in OBJECTS[kind]:
            raise BadCard(300315, f"unknown property: {name}, path: [{path}]")
    return value
