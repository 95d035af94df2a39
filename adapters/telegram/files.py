"""A file of an answer -> the Telegram message that suits it.

Rules of this file:
- a file that was fetched is kept until it is sent or given up: a platform that is away is tried often;
- what Telegram does not take as a photo, a video or a sound, it takes as a document;
- a file that cannot be had, or that is refused as a document too, is left out with a line in the log: its link stands
  in the text. Whether the platform can be reached, and how fast, is not this file's business: such errors pass.

Source: Bot API 10, "Sending files" and sendPhoto, sendAudio, sendVideo, sendAnimation, sendVoice.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from adapters.telegram.api import Moved, as_file
from bridge.model import BridgeError, Download, File, Rejected

log = logging.getLogger(__name__)

Fetch = Callable[[File, int], Awaitable[Download]]
"""``Host.download``."""
Send = Callable[[str, dict[str, Any]], Awaitable[int]]
"""Calls a method with what belongs to it; returns the id of the message."""

MOST = 50 * 2**20
"""Bytes of a file that a bot can send."""
PHOTO_MOST = 10 * 2**20

_PHOTOS = ("image/jpeg", "image/png", "image/webp")
_METHODS = {
    "image/gif": "Animation",
    "video/mp4": "Video",
    "audio/mpeg": "Audio",
    "audio/mp4": "Audio",
    "audio/x-m4a": "Audio",
    "audio/ogg": "Voice",
}


class Files:
    """The files of one answer."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._kept: tuple[File, Download] | None = None

    async def send(self, file: File, send: Send) -> tuple[int, int]:
        """The id of the message, 0 when the file was left out, and the number of calls. Raises what ``send`` does, but
        for refusals of the file; it may then be tried again."""
        if self._kept is None or self._kept[0] != file:
            self._kept = None
            try:
                self._kept = file, await self._fetch(file, MOST)
            except BridgeError as error:
                log.warning("a file of %s is not sent: %s", _host(file.url), error)
                return 0, 0
        sent = await _sent(file, self._kept[1], send)
        self._kept = None
        return sent


async def _sent(file: File, found: Download, send: Send) -> tuple[int, int]:
    calls, reason = 0, ""
    for kind in kinds(found):
        calls += 1
        try:
            return await send(f"send{kind}", {kind.lower(): as_file(found.data, found.name)}), calls
        except Moved:
            raise
        except Rejected as refusal:  # Gone, too: a group may forbid photos alone
            reason = str(refusal)
    log.warning("a file of %s is refused by Telegram: %s", _host(file.url), reason)
    return 0, calls


def kinds(file: Download) -> tuple[str, ...]:
    """What to send the file as, best first."""
    mime = file.mime.partition(";")[0].strip().lower()
    if mime in _PHOTOS:
        return ("Photo", "Document") if len(file.data) <= PHOTO_MOST else ("Document",)
    return (_METHODS[mime], "Document") if mime in _METHODS else ("Document",)


def _host(url: str) -> str:
    """An address for the log: any other part of it may be a key."""
    try:
        return urlsplit(url).hostname or "no host"
    except ValueError:
        return "no host"
