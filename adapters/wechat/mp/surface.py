"""One answer in an official account's chat, as far as it does not go as the response to the question itself
(callback.py): a customer-service message for each part, sent once and never changed.

Rules of this file:
- a verified account has five of them for each message of the user, within 48 hours; another one has none, and what
  could not be the response waits for the user's next message;
- WeChat gives them no ids, so they are counted, and have ids of ours. A part that may have arrived and is refused now,
  because the five are used up, has arrived.

Source: developers.weixin.qq.com, "客服消息" (service/en/guide/product/kf/intro.html).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import msgspec

from adapters.wechat.mp.api import Api, Unverified
from adapters.wechat.mp.media import Fetch, uploaded
from adapters.wechat.plain import plain
from bridge.model import BridgeError, Exhausted, Show, Shown

log = logging.getLogger(__name__)


class AnswerSurface:
    """``api`` is None where the account may send nothing of its own accord; ``turn`` makes the ids, ``fetch`` is
    ``Host.download``."""

    def __init__(self, api: Api | None, user: str, turn: str, resume: str | None, fetch: Fetch) -> None:
        self._api = api
        self._user = user
        self._turn = turn
        self._sent: int = msgspec.json.decode(resume, type=int) if resume else 0
        self._fetch = fetch
        self._media: tuple[str, str] = ("", "")  # of the picture that is tried: address, id
        self._calls = 0

    async def show(self, op: Show) -> Shown:
        """See bridge.model.Surface. Raises RateLimited, Unreachable, Unsure, Exhausted, Gone, Overfull, Rejected and
        Fatal."""
        self._calls = 0
        if op.files or plain(op.text).strip():
            if self._api is None:
                raise Exhausted("an account that is not verified can only respond")
            try:
                await self._send(self._api, op)
            except BridgeError as error:
                error.calls = self._calls
                raise
        ids = tuple(f"{self._turn}#{number}" for number in range(self._sent))
        return Shown(str(self._sent), ids, self._calls)

    async def _send(self, api: Api, op: Show) -> None:
        message = await self._message(api, op)
        if message is None:
            return
        self._calls += 1
        try:
            await api.call("message/custom/send", {"touser": self._user, **message})
        except Unverified:
            raise
        except Exhausted as refusal:
            if not op.again:
                raise
            log.info("a message that may have arrived is refused now, so it has: %s", refusal)
        self._sent += 1

    async def _message(self, api: Api, op: Show) -> Mapping[str, Any] | None:
        """None when a picture is left out."""
        if not op.files:
            return {"msgtype": "text", "text": {"content": plain(op.text).strip()}}
        [file] = op.files
        if self._media[0] != file.url:
            self._calls += 1
            self._media = file.url, await uploaded(api, file, self._fetch)
        media_id = self._media[1]
        return {"msgtype": "image", "image": {"media_id": media_id}} if media_id else None
