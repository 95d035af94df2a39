"""One answer on WeChat's screen: a message for each part, sent once and never changed.

Rules of this file:
- an answer goes out under the token of its question; where that is refused and the user has written since, under the
  newest token from then on, once. After that there is no more to send with: Exhausted;
- a success without a message id was not delivered (Tencent/openclaw-weixin #263, #278): nothing is on the screen, so it
  may be sent again. A part that is swallowed for the third time is out of what the platform grants;
- a message's ``client_id`` is the same for the same words in the same place, and another for others: should the
  platform know it again, nothing is shown twice. One that may have arrived and is refused now has arrived;
- what leaves has passed ``Caps.fits``: WeChat cuts longer texts without a word.

Source: npm @tencent-weixin/openclaw-weixin 2.4.9 (sendmessage).
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Mapping
from typing import Any

import msgspec

from adapters.wechat.ilink.api import Api
from adapters.wechat.ilink.contexts import Contexts
from adapters.wechat.ilink.events import BOT, ItemType
from adapters.wechat.ilink.files import Fetch, Files
from adapters.wechat.ilink.media import Cdn
from adapters.wechat.plain import plain
from bridge.model import BridgeError, Exhausted, Rejected, Show, Shown, Unreachable

log = logging.getLogger(__name__)

FINISHED = 2
"""``message_state``."""
SEND_TIMEOUT = 15.0
SWALLOWED_MOST = 3
"""How often a part is sent that is accepted and not delivered."""


class AnswerSurface:
    """``token`` is the question's, ``turn`` seeds the client ids, ``fetch`` is ``Host.download``."""

    def __init__(
        self, api: Api, contexts: Contexts, cdn: Cdn, user: str, token: str, turn: str, resume: str | None, fetch: Fetch
    ) -> None:
        self._api = api
        self._contexts = contexts
        self._files = Files(cdn, user, fetch)
        self._user = user
        self._token = token
        self._on_newest = False
        self._turn = turn
        self._ids: list[str] = msgspec.json.decode(resume, type=list[str]) if resume else []
        self._swallowed: Counter[int] = Counter()
        self._calls = 0

    async def show(self, op: Show) -> Shown:
        """See bridge.model.Surface. Raises RateLimited, Unreachable, Unsure, Exhausted, Rejected and LoginNeeded."""
        self._calls = 0
        try:
            item = await self._item(op)
            if item is not None:
                words = op.files[0].url if op.files else op.text
                if id := await self._once(op, item, _digest(self._turn, op.part, words)):
                    self._ids.append(id)
        except BridgeError as error:
            error.calls = self._calls
            raise
        return Shown(msgspec.json.encode(self._ids).decode(), tuple(self._ids), self._calls)

    async def _item(self, op: Show) -> dict[str, Any] | None:
        """What is to be sent; None when nothing is: a part cannot be taken back, and a file may be left out."""
        if op.files:
            return await self._files.item(op.files[0], self._call)
        text = plain(op.text, fences=True)
        return {"type": ItemType.TEXT, "text_item": {"text": text}} if text.strip() else None

    async def _once(self, op: Show, item: Mapping[str, Any], client_id: str) -> str:
        """The id of the message; empty when it had arrived before."""
        try:
            return await self._send(op.part, item, client_id)
        except Rejected as refusal:
            if not op.again:
                raise
            log.info("a message that may have arrived is refused now, so it has: %s", refusal)
            return ""

    async def _send(self, part: int, item: Mapping[str, Any], client_id: str) -> str:
        """The id of the message."""
        message = {
            "from_user_id": "",
            "to_user_id": self._user,
            "client_id": client_id,
            "message_type": BOT,
            "message_state": FINISHED,
            "item_list": [item],
            "context_token": self._token,
            "run_id": _digest(self._turn),
        }
        try:
            answer = await self._call("sendmessage", {"msg": message}, SEND_TIMEOUT)
        except Exhausted:
            if not await self._renewed():
                raise
            message["context_token"] = self._token
            answer = await self._call("sendmessage", {"msg": message}, SEND_TIMEOUT)
        if id := answer.get("message_id"):
            return str(id)
        self._swallowed[part] += 1
        log.warning("WeChat has accepted part %d and not delivered it (time %d)", part + 1, self._swallowed[part])
        if self._swallowed[part] < SWALLOWED_MOST:
            raise Unreachable("WeChat has accepted a message and not delivered it")
        raise Exhausted("WeChat accepts the messages and does not deliver them")

    async def _renewed(self) -> bool:
        """Go on under the newest token, if there is another one and this is the first time."""
        newest = await self._contexts.newest(self._user)
        if self._on_newest or newest in ("", self._token):
            return False
        self._token, self._on_newest = newest, True
        return True

    async def _call(self, path: str, body: Mapping[str, Any], timeout: float) -> dict[str, Any]:
        self._calls += 1
        return await self._api.call(path, body, timeout=timeout)


def _digest(*seeds: object) -> str:
    """32 characters, the same for the same seeds."""
    return hashlib.sha256("\n".join(map(str, seeds)).encode()).hexdigest()[:32]
