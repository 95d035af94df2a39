"""The messages of one answer: sent where the question was asked, changed and taken back.

Rules of this file:
- every send has a uuid that is the same after a restart: within the hour the platform then returns the first message
  instead of sending a second one (im/v1/messages, "uuid");
- a question that was recalled is not answered elsewhere (Gone); a message of our own that is gone needs a new place
  (Vanished);
- a place that knows no threads is answered without one, from then on;
- a bot that may not send at all waits for its operator: the answer is kept (Fatal).

Source: Server API, im/v1 messages: create, reply, patch, delete.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from typing import Any

import msgspec

from adapters.feishu.api import Api
from adapters.feishu.codes import PUBLISH, Misconfigured, MissingScope, Refused
from adapters.feishu.spacing import Spacing
from bridge.model import Gone, Vanished

log = logging.getLogger(__name__)

PATH = "/open-apis/im/v1/messages"
RECALLED = {230011, 231003}
"""The message was recalled, deleted, or never was."""
SENDING = {"im:message:send_as_bot", "im:message:send", "im:message"}
"""Any of these permissions is enough to send any kind of message."""
NO_THREADS = {230071, 230072}
"""Threads are not supported here; the message is part of a merged one."""


class Place(msgspec.Struct, frozen=True):
    """Where an answer goes: below the message ``reply_to`` (in its thread with ``in_thread``), else into ``chat``."""

    chat: str
    reply_to: str = ""
    in_thread: bool = False


class Calls:
    """The calls of one answer. ``made`` counts them, those that failed too: the platform does."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self.made = 0

    async def call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, query: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """``data`` of the answer. Raises what Api.call raises."""
        self.made += 1
        answer = await self._api.call(method, path, body, query)
        return answer.get("data") or {}

    async def upload(self, path: str, fields: Mapping[str, str], name: str, data: bytes, field: str) -> dict[str, Any]:
        """As ``call``, with a file."""
        self.made += 1
        answer = await self._api.upload(path, fields, name, data, field)
        return answer.get("data") or {}


class Messages:
    """``turn`` seeds the uuids; ``spacing`` is the bot's."""

    def __init__(self, calls: Calls, spacing: Spacing, place: Place, turn: str) -> None:
        self._calls = calls
        self._spacing = spacing
        self._place = place
        self._in_thread = place.in_thread
        self._turn = turn

    async def send(self, kind: str, content: Mapping[str, Any], *what: object) -> str:
        """The id of a new message of the ``msg_type`` kind; ``what`` tells it from the others of this answer.

        Raises Gone when the question was recalled, Misconfigured when the bot may not send, and what Api.call raises.
        """
        await self._spacing.turn(self._place.chat)
        body = {"msg_type": kind, "content": dumped(content), "uuid": uuid(self._turn, kind, *what)}
        try:
            if self._place.reply_to:
                return await self._reply(body)
            body["receive_id"] = self._place.chat
            return _id(await self._calls.call("POST", PATH, body, {"receive_id_type": "chat_id"}))
        except MissingScope as refusal:
            if SENDING.isdisjoint(refusal.scopes):
                raise
            raise Misconfigured("without im:message:send_as_bot nothing can be answered", PUBLISH) from None

    async def _reply(self, body: dict[str, Any]) -> str:
        path = f"{PATH}/{self._place.reply_to}/reply"
        try:
            try:
                return _id(await self._calls.call("POST", path, body | {"reply_in_thread": self._in_thread}))
            except Refused as refusal:
                if refusal.code not in NO_THREADS or not self._in_thread:
                    raise
                self._in_thread = False
                return _id(await self._calls.call("POST", path, body | {"reply_in_thread": False}))
        except Refused as refusal:
            if refusal.code in RECALLED:
                raise Gone("the question was recalled") from None
            raise

    async def change(self, message: str, content: Mapping[str, Any]) -> None:
        """New content for an interactive message of our own. Raises Vanished when it is not there any more."""
        try:
            await self._calls.call("PATCH", f"{PATH}/{message}", {"content": dumped(content)})
        except Refused as refusal:
            if refusal.code in RECALLED:
                raise Vanished from None
            raise

    async def delete(self, message: str) -> None:
        """Take a message of our own off the screen. One that the platform keeps stays, with a line in the log."""
        try:
            await self._calls.call("DELETE", f"{PATH}/{message}")
        except Refused as refusal:
            if refusal.code not in RECALLED:
                log.warning("a message cannot be taken back: %s", refusal)


def uuid(*seeds: object) -> str:
    """32 characters (the platform takes 50), the same for the same seeds."""
    return hashlib.sha256("\n".join(map(str, seeds)).encode()).hexdigest()[:32]


def dumped(value: Mapping[str, Any]) -> str:
    """JSON within JSON, as the platform wants cards and contents."""
    return msgspec.json.encode(value).decode()


def _id(data: dict[str, Any]) -> str:
    return str(data["message_id"])
