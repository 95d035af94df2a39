"""The one way in for events, however they reach us.

Rules of this file:
- ``take`` returns after the durable commit; whoever brought the event acknowledges it then, and not before;
- nothing is awaited before ``receive``: events that are handed in one after the other reach it in that order;
- an event that cannot be read, or that meets a bug, is logged and skipped: Feishu would bring it four more times.
  Only a designed error, such as a store that does not write, asks for it again;
- a message that is half an hour old is not answered any more: Feishu repeats for hours, and brings old messages after
  a reconnect. What was taken in before, the store knows by its id.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from adapters.feishu.account import Account
from adapters.feishu.events import left, parse
from bridge.model import AnyEvent, BridgeError, Message, Press, Receive

log = logging.getLogger(__name__)

STALE = 1800.0
"""Seconds after which a message is not answered any more."""


class Closed(BridgeError):
    """The bot is starting or stopping."""


class Intake:
    """Takes events in while it is open."""

    def __init__(self, account: Account) -> None:
        self._bot = account.bot
        self._account = account
        self._receive: Receive | None = None

    @asynccontextmanager
    async def open(self, receive: Receive) -> AsyncIterator[None]:
        """Hand the events to ``receive`` within this block."""
        self._receive = receive
        try:
            yield
        finally:
            self._receive = None

    async def take(self, payload: dict[str, Any]) -> dict[str, Any] | None:
        """Take one event in. What comes back answers a card callback: a toast, or nothing to say ({}); None for all
        other events. Raises BridgeError when it was not taken in: bring it again."""
        if self._receive is None:
            raise Closed
        event = self._read(payload)
        if event is None:
            return None
        toast = None
        try:
            toast = await self._receive(event)
        except BridgeError:
            raise
        except Exception:
            log.exception("bot %s: event %s cannot be taken in and is skipped", self._bot, event.id)
        if not isinstance(event, Press):
            return None
        return {"toast": {"type": "info", "content": toast}} if toast else {}

    def _read(self, payload: dict[str, Any]) -> AnyEvent | None:
        """The event, if it is one for us."""
        try:
            event, chat = parse(self._bot, self._account.open_id, payload), left(payload)
        except (msgspec.ValidationError, UnicodeError) as error:
            log.error("bot %s: event %s cannot be read and is skipped: %s", self._bot, event_id(payload), error)
            return None
        except Exception:
            log.exception("bot %s: event %s cannot be read and is skipped", self._bot, event_id(payload))
            return None
        if chat:
            log.info("bot %s: removed from chat %s", self._bot, chat)
        if isinstance(event, Message) and (age := time.time() - event.at) > STALE:
            log.warning("bot %s: message %s is dropped: it is %.0f s old", self._bot, event.id, age)
            return None
        return event


def read_json(data: bytes) -> dict[str, Any]:
    """A payload as it came. Not by msgspec, which refuses half an emoji (a lone surrogate). Raises ValueError when it
    is no JSON object."""
    try:
        payload = json.loads(data)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(payload, dict):
        raise ValueError("it is no JSON object")
    return payload


def event_id(payload: dict[str, Any]) -> str:
    """For the log; empty when it has none."""
    match payload:
        case {"header": {"event_id": str(found)}}:
            return found
    return ""
