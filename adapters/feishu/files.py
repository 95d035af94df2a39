"""A file of an answer as a message of its own.

Rules of this file:
- it is sent once; a file that was fetched is kept until it is sent or given up: a platform that is away is tried often;
- what Feishu does not take as a video or a voice, it takes as a file;
- a file that cannot be had, or that is refused as a file too, is left out with a line in the log: its link stands in
  the text. Whether the platform can be reached, and how fast, is not this file's business: such errors pass.

Source: the pages "上传文件", "发送消息内容".
"""

from __future__ import annotations

import logging
from pathlib import PurePosixPath

from adapters.feishu.codes import MissingScope, Refused
from adapters.feishu.messages import Calls, Messages
from adapters.feishu.mode import Mode
from adapters.feishu.part import Row
from adapters.feishu.pictures import BYTES_MOST as PICTURE_MOST
from adapters.feishu.pictures import Fetch, host, upload
from bridge.model import BridgeError, Download, File, Gone, TooBig

log = logging.getLogger(__name__)

PATH = "/open-apis/im/v1/files"
MOST = 30 * 2**20
"""Bytes of a file that a bot can send."""

_TYPES = {
    ".opus": "opus",
    ".mp4": "mp4",
    ".pdf": "pdf",
    ".doc": "doc",
    ".docx": "doc",
    ".xls": "xls",
    ".xlsx": "xls",
    ".ppt": "ppt",
    ".pptx": "ppt",
}
"""Ending -> ``file_type``; any other is a stream."""
_MESSAGES = {"opus": "audio", "mp4": "media"}
"""``file_type`` -> ``msg_type``; any other is a file."""
_PICTURES = ("image/jpeg", "image/png", "image/webp", "image/gif", "image/bmp")


class Files:
    """The files of one answer."""

    def __init__(self, calls: Calls, messages: Messages, mode: Mode, fetch: Fetch) -> None:
        self._calls = calls
        self._messages = messages
        self._mode = mode
        self._fetch = fetch
        self._kept: tuple[File, Download] | None = None

    async def show(self, file: File, row: Row, number: int) -> None:
        """Send the file as this part, unless it was; ``row`` gets its id. Raises RateLimited, Unreachable, Unsure,
        Gone and Fatal; it may then be tried again."""
        if row.message or not self._mode.can("uploads"):
            return
        if self._kept is None or self._kept[0] != file:
            self._kept = None
            try:
                self._kept = file, await self._fetch(file, MOST)
            except BridgeError as error:
                log.warning("a file of %s is not sent: %s", host(file.url), error)
                return
        row.kind, row.message = "file", await self._send(file, self._kept[1], (number, row.lost))
        self._kept = None

    async def _send(self, file: File, found: Download, what: tuple[object, ...]) -> str:
        reason: BridgeError | None = None
        for kind in kinds(found):
            try:
                return await self._send_as(kind, found, what)
            except Gone:
                raise
            except MissingScope as error:
                self._mode.without("uploads", error)
                return ""
            except (Refused, TooBig) as error:
                reason = error
        log.warning("a file of %s is refused by Feishu: %s", host(file.url), reason)
        return ""

    async def _send_as(self, kind: str, found: Download, what: tuple[object, ...]) -> str:
        if kind == "image":
            return await self._messages.send("image", {"image_key": await upload(self._calls, found)}, *what)
        data = await self._calls.upload(
            PATH, {"file_type": kind, "file_name": found.name}, found.name, found.data, "file"
        )
        return await self._messages.send(_MESSAGES.get(kind, "file"), {"file_key": str(data["file_key"])}, *what)


def kinds(file: Download) -> tuple[str, ...]:
    """What to send the file as, best first: ``image``, or a ``file_type``."""
    if file.mime.partition(";")[0].strip().lower() in _PICTURES:
        return ("image", "stream") if len(file.data) <= PICTURE_MOST else ("stream",)
    kind = _TYPES.get(PurePosixPath(file.name).suffix.lower(), "stream")
    return (kind, "stream") if kind in _MESSAGES else (kind,)
