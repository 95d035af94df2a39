"""The pictures that an answer shows: brought to Feishu, for its cards show no others.

Rules of this file:
- a picture that cannot be had, or is not taken, stays a link; the log names its host, for any other part of an address
  may be a key;
- none is tried twice, and together they may take only so long: the text is on the screen already, but the next question
  waits.

Source: the pages "上传图片", "卡片 JSON 2.0 富文本（Markdown）组件".
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import urlsplit

from adapters.feishu.codes import MissingScope
from adapters.feishu.messages import Calls
from adapters.feishu.mode import Mode
from adapters.feishu.render import pictures
from bridge.model import BridgeError, Download, File, Show

log = logging.getLogger(__name__)

Fetch = Callable[[File, int], Awaitable[Download]]
"""``Host.download``."""

PATH = "/open-apis/im/v1/images"
BYTES_MOST = 10 * 2**20
MOST = 10
"""Pictures of an answer."""
SECONDS_MOST = 20.0
"""For all pictures of an answer."""


class Pictures:
    """Those of one answer. ``known`` are those of an earlier process: address -> image key."""

    def __init__(self, calls: Calls, mode: Mode, fetch: Fetch, known: Mapping[str, str]) -> None:
        self._calls = calls
        self._mode = mode
        self._fetch = fetch
        self._tried = set(known)
        self._left = SECONDS_MOST
        self.keys = dict(known)
        """Address -> image key, of all that Feishu has."""

    def wanted(self, op: Show) -> bool:
        """Are there any that were not tried yet?"""
        return not op.plain and self._mode.can("uploads") and not self._tried.issuperset(pictures(op.text)[:MOST])

    async def bring(self, op: Show) -> bool:
        """Upload the pictures of the text that are new. True when there is another key."""
        if op.plain:
            return False
        before = len(self.keys)
        start = time.monotonic()
        for url in pictures(op.text):
            left = self._left - (time.monotonic() - start)
            if url in self._tried or len(self._tried) >= MOST or left <= 0 or not self._mode.can("uploads"):
                continue
            self._tried.add(url)
            try:
                async with asyncio.timeout(left):
                    found = await self._fetch(File(url, "", image=True), BYTES_MOST)
                    self.keys[url] = await upload(self._calls, found)
            except MissingScope as error:
                self._mode.without("uploads", error)
            except (BridgeError, TimeoutError) as error:
                log.warning("a picture of %s stays a link: %s", host(url), str(error) or "it takes too long")
        self._left -= time.monotonic() - start
        return len(self.keys) > before

    def refused(self, error: BridgeError) -> None:
        """Feishu does not take the card with its pictures: they stay links."""
        log.warning("the pictures of an answer stay links: %s", error)
        self.keys.clear()


async def upload(calls: Calls, picture: Download) -> str:
    """The key of a picture that may be shown in any message of the bot. Raises what Api.upload raises."""
    data = await calls.upload(PATH, {"image_type": "message"}, picture.name, picture.data, "image")
    return str(data["image_key"])


def host(url: str) -> str:
    """An address for the log."""
    try:
        return urlsplit(url).hostname or "no host"
    except ValueError:
        return "no host"
