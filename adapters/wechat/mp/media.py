"""Pictures of an official account: those that users send, and those in an answer.

Rules of this file:
- a picture that comes in has a public address, which the bridge fetches as any other (``Host.download``);
- one that goes out is uploaded first (JPEG, PNG or GIF up to 10 MB). What cannot be had or is refused is left out with
  a line in the log: its address is in the text.

Source: developers.weixin.qq.com, "新增临时素材".
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import urlsplit

import msgspec

from adapters.wechat.mp.api import Api
from adapters.wechat.mp.events import Media
from bridge.model import Attachment, BridgeError, Download, File, Rejected

log = logging.getLogger(__name__)

Fetch = Callable[[File, int], Awaitable[Download]]
"""``Host.download``."""

IN_MOST, OUT_MOST = 100 << 20, 10 << 20
"""Bytes of a picture."""
_TAKEN = ("image/jpeg", "image/png", "image/gif")


async def fetch(what: Attachment, download: Fetch) -> AsyncIterator[bytes]:
    """The bytes of a picture that a user has sent. Raises TooBig, or another BridgeError when it is not there."""
    media = msgspec.json.decode(what.ref, type=Media)
    if not media.url:
        raise BridgeError("WeChat has not told where the picture is")
    yield (await download(File(url=media.url, name=what.name, image=True), IN_MOST)).data


async def uploaded(api: Api, file: File, download: Fetch) -> str:
    """The media id of a picture of an answer; empty when it is left out. Raises what ``Api.upload`` does but for a
    refusal of the picture."""
    host = urlsplit(file.url).hostname or "no host"  # of the address, any other part may be a key
    try:
        found = await download(file, OUT_MOST)
    except BridgeError as error:
        log.warning("a picture of %s is not sent: %s", host, error)
        return ""
    mime = found.mime.partition(";")[0].strip().lower()
    if mime not in _TAKEN:
        log.warning("a picture of %s is not sent: WeChat does not take %s", host, mime)
        return ""
    try:
        answer = await api.upload("media/upload", {"type": "image"}, found.name, found.data, mime)
    except Rejected as refusal:
        log.warning("a picture of %s is refused: %s", host, refusal)
        return ""
    return str(answer.get("media_id", ""))
