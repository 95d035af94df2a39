"""A file of an answer -> the item of a message that shows it.

Rules of this file:
- what was fetched is kept until it is uploaded, and what was uploaded until the next file: a platform that is away is
  tried often;
- what WeChat does not take as an image, it takes as a file;
- a file that cannot be had, or that is refused as a file too, is left out with a line in the log: its link stands in
  the text. Whether the platform can be reached, and how fast, is not this file's business: such errors pass.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Literal
from urllib.parse import urlsplit

from adapters.wechat.ilink.media import MOST, Call, Cdn
from bridge.model import BridgeError, Download, File, Rejected

log = logging.getLogger(__name__)

Fetch = Callable[[File, int], Awaitable[Download]]
"""``Host.download``."""

_IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp", "image/bmp")


class Files:
    """The files of one answer, for one user."""

    def __init__(self, cdn: Cdn, user: str, fetch: Fetch) -> None:
        self._cdn = cdn
        self._user = user
        self._fetch = fetch
        self._file: File | None = None
        self._found: Download | None = None
        self._item: dict[str, Any] | None = None

    async def item(self, file: File, call: Call) -> dict[str, Any] | None:
        """The item, None when the file is left out. Raises what ``Cdn.upload`` does but for refusals of the file; it
        may then be tried again."""
        if file != self._file:
            self._file, self._found, self._item = file, None, None
        if self._item is None:
            self._found = self._found or await self._fetched(file)
            if self._found is not None:
                self._item = await self._uploaded(file, self._found, call)
            self._found = None
        return self._item

    async def _fetched(self, file: File) -> Download | None:
        try:
            return await self._fetch(file, MOST)
        except BridgeError as error:
            log.warning("a file of %s is not sent: %s", _host(file.url), error)
            return None

    async def _uploaded(self, file: File, found: Download, call: Call) -> dict[str, Any] | None:
        reason = ""
        for kind in kinds(found):
            try:
                return await self._cdn.upload(call, self._user, found, kind)
            except Rejected as refusal:
                reason = str(refusal)
        log.warning("a file of %s is refused by WeChat: %s", _host(file.url), reason)
        return None


def kinds(file: Download) -> tuple[Literal["image", "file"], ...]:
    """What to send the file as, best first."""
    return ("image", "file") if file.mime.partition(";")[0].strip().lower() in _IMAGES else ("file",)


def _host(url: str) -> str:
    """An address for the log: any other part of it may be a key."""
    try:
        return urlsplit(url).hostname or "no host"
    except ValueError:
        return "no host"
