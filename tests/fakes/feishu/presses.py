"""What people do on cards: press, choose, fill in and submit.

Rules of this file:
- a person can press only what the card shows now: ``LookupError`` for what is not there, ``ValueError`` for what the
  client itself would stop (a disabled button, a required field left empty);
- a press is delivered once and answered within 3 s of the platform's clock.

Source: fact sheet 3.5.
"""

from __future__ import annotations

from typing import Any

from tests.fakes.feishu import events
from tests.fakes.feishu.cardschema import walk
from tests.fakes.feishu.interaction import NOT_SUBSCRIBED, TIMED_OUT, Pressed, settle
from tests.fakes.feishu.rules import CARD_LIFE, Json, new_id
from tests.fakes.feishu.state import USER
from tests.fakes.feishu.things import Card, Message
from tests.fakes.feishu.users import Users

MENUS = ("select_static", "overflow", "multi_select_static")


class Presses(Users):
    """People at cards."""

    async def press(self, message_id: str, button: str | Json, user: str = USER, *, event_id: str = "") -> Pressed:
        """Press a button, named by its label (a part will do), its element_id, or the value it calls back with.

        Returns what the person sees: toast, changed card, or a code such as 200341 when no answer came in time.
        """
        message, card = self._card(message_id)
        element = _button(card, button)
        if element.get("form_action_type") == "submit":
            return await self.submit(message_id, {}, button, user)
        if element.get("disabled"):
            raise ValueError(f"{button!r} is disabled")
        action = {"tag": element["tag"], "value": _value(element), "name": element.get("name", "")}
        return await self._act(message, card, _without_empty(action), user, event_id)

    async def choose(self, message_id: str, label: str, user: str = USER) -> Pressed:
        """Choose from a menu outside a form, by the label of the choice."""
        message, card = self._card(message_id)
        for menu in (element for element in walk(card.data) if element["tag"] in MENUS):
            for option in menu.get("options", ()):
                if label in option["text"]["content"]:
                    action = {"tag": menu["tag"], "option": option["value"], "value": _value(menu)}
                    return await self._act(message, card, {**action, **_name(menu)}, user, "")
        raise LookupError(f"no choice {label!r}: {[element['tag'] for element in walk(card.data)]}")

    async def enter_text(self, message_id: str, name: str, text: str, user: str = USER) -> Pressed:
        """Fill in an input outside a form."""
        message, card = self._card(message_id)
        field = _named(card.data, name)
        action = {"tag": "input", "input_value": text, "value": _value(field), "name": name}
        return await self._act(message, card, action, user, "")

    async def submit(
        self, message_id: str, values: dict[str, Any], button: str | Json = "", user: str = USER, *, event_id: str = ""
    ) -> Pressed:
        """Fill in the form of a card (``name -> value``; of a menu the label or the value) and submit it.

        Fields that are not named keep their default. Raises ValueError for a required field left empty.
        """
        message, card = self._card(message_id)
        forms = [element for element in walk(card.data) if element["tag"] == "form"]
        if not forms:
            raise LookupError("the card has no form")
        form = forms[0]
        filled = {field["name"]: _filled(field, values) for field in _fields(form)}
        if unknown := set(values) - set(filled):
            raise LookupError(f"the form has no fields {sorted(unknown)}, only {sorted(filled)}")
        for field in _fields(form):
            if field.get("required") and not filled[field["name"]]:
                raise ValueError(f"the client does not submit: {field['name']} is required")
        pressed = next(one for one in walk(form) if one.get("form_action_type") == "submit" and _is(one, button))
        action = {
            "tag": "button",
            "value": _value(pressed),
            "name": pressed.get("name", ""),
            "form_value": {name: value for name, value in filled.items() if value not in ("", [], None)},
        }
        return await self._act(message, card, action, user, event_id)

    def interact(self, message_id: str, on: bool = True) -> None:
        """A person is at the card right now: changes to it get 200810, until ``on`` is False."""
        self._card(message_id)[1].interacting += 1 if on else -1

    # ------------------------------------------------------------------ inside

    def _card(self, message_id: str) -> tuple[Message, Card]:
        message = self.messages[message_id]
        if message.card is None or message.deleted:
            raise LookupError("there is no card to press")
        if self.clock.now() - message.created > CARD_LIFE:
            raise ValueError("the card is older than 14 days")
        return message, message.card

    async def _act(self, message: Message, card: Card, action: Json, user: str, event_id: str) -> Pressed:
        self.person(user)
        token = f"c-{new_id('')}"
        event = events.pressed(action, message_id=message.message_id, chat_id=message.chat_id, user=user, token=token)
        payload = events.envelope(
            events.PRESSED,
            event,
            app_id=self.app_id,
            token=self.verification_token,
            now=self.clock.now(),
            event_id=event_id,
        )
        if events.PRESSED not in self.subscribed:
            return Pressed(NOT_SUBSCRIBED)
        card.interacting += 1
        try:
            delivery = self._deliver(payload, once=True)
            assert delivery.answer is not None
            code, answer = await delivery.answer
        finally:
            card.interacting -= 1
        if code == 0:
            return Pressed(TIMED_OUT, token=token, event_id=delivery.event_id)
        pressed = settle(self, message, code, answer, token, delivery.event_id)
        self.changed()
        return pressed


def _button(card: Card, wanted: str | Json) -> Json:
    buttons = [element for element in walk(card.data) if element["tag"] == "button"]
    for element in buttons:
        if _is(element, wanted):
            return element
    raise LookupError(f"no button {wanted!r} among {[one.get('text', {}).get('content') for one in buttons]}")


def _is(button: Json, wanted: str | Json) -> bool:
    if isinstance(wanted, dict):
        return bool(_value(button) == wanted)
    return wanted == button.get("element_id") or wanted in button.get("text", {}).get("content", "")


def _value(element: Json) -> Any:
    """What an element calls back with; of 1.0 its own ``value``."""
    calls = [one["value"] for one in element.get("behaviors", ()) if one.get("type") == "callback"]
    return calls[0] if calls else element.get("value", {})


def _fields(form: Json) -> list[Json]:
    return [one for one in walk(form["elements"]) if one.get("name") and one["tag"] != "button"]


def _named(data: Json, name: str) -> Json:
    for element in walk(data):
        if element.get("name") == name:
            return element
    raise LookupError(f"no field {name!r}")


def _filled(field: Json, values: dict[str, Any]) -> Any:
    """What a field holds when the form is submitted."""
    given = values.get(field["name"], field.get("default_value", field.get("initial_option", "")))
    options = field.get("options", ())
    if isinstance(given, list):
        return [_option(options, one) for one in given]
    if isinstance(given, str) and len(given) > field.get("max_length", 1000):
        raise ValueError(f"the client does not take more than {field.get('max_length', 1000)} characters")
    return _option(options, given) if options and given else given


def _option(options: Any, wanted: str) -> str:
    for option in options:
        if wanted in (option["value"], option["text"]["content"]):
            return str(option["value"])
    raise LookupError(f"no choice {wanted!r}")


def _name(element: Json) -> Json:
    return {"name": element["name"]} if element.get("name") else {}


def _without_empty(action: Json) -> Json:
    return {name: value for name, value in action.items() if value != ""}
