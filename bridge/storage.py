"""The storage of an app, as the app describes it for one upload: how a file is put there, and why not.

Rules of this file:
- what the app says of its storage may be anything: an address or a header that is none ends in UploadRefused;
- a storage that fails is tried once more, then Unavailable; what it refuses is not tried again;
- addresses of uploads are secrets: whoever has one may write. None reaches a log or a message.

Sources: labring/FastGPT, ``core/chat/file/presignChatFilePostUrl``, ``common/error/code/s3``; Amazon S3, PutObject.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import IO, Any, Literal
from urllib.parse import urljoin

import httpx
import msgspec

from bridge.model import BridgeError
from bridge.wire import FAILURES

log = logging.getLogger(__name__)

TRIES = 2
PIECE = 1 << 18

Refusal = Literal["disabled", "type", "too_big", "rate", "failed"]


class UploadRefused(BridgeError):
    """The app does not take this file. ``disabled``: it takes none at all; ``most``: bytes, with ``too_big``."""

    def __init__(self, reason: Refusal, most: int = 0) -> None:
        super().__init__(f"the upload was refused: {reason}")
        self.reason: Refusal = reason
        self.most = most


class Unavailable(BridgeError):
    """The storage cannot be reached, or fails."""


_REFUSALS: tuple[tuple[str, Refusal], ...] = (
    ("fileuploaddisabled", "disabled"),
    ("file_upload_disabled", "disabled"),
    ("invaliduploadfiletype", "type"),
    ("uploadfiletypemismatch", "type"),
    ("s3_upload_invalid_file_type", "type"),
    ("entitytoolarge", "too_big"),
)
"""Names of FastGPT's S3ErrEnum and its untranslated messages, and of S3 itself."""
_TRANSPORT = (
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
)
"""Headers that belong to the connection, whatever the server wants them to be."""


class Target(msgspec.Struct, frozen=True, rename="camel"):
    """Where an upload goes."""

    url: str
    key: str = ""
    headers: dict[str, str] | None = None
    fields: dict[str, str] | None = None
    """A form of S3's POST, as servers gave it until 2025; the key is among them."""
    max_size: float | None = None
    """Bytes."""
    preview_url: str | None = None


def target_of(data: Any) -> Target:
    """The target in an answer of the app. Raises UploadRefused."""
    try:
        return msgspec.convert(data, Target)
    except msgspec.ValidationError:  # whose message may quote the address
        raise UploadRefused("failed") from None


async def put(
    client: httpx.AsyncClient, root: str, target: Target, name: str, mime: str, size: int, content: IO[bytes]
) -> None:
    """Send a file of ``size`` bytes to the storage; its address may be relative to ``root``. ``content`` can be read
    again from its start.

    Raises UploadRefused or Unavailable.
    """
    if target.max_size is not None and size > target.max_size:
        raise UploadRefused("too_big", int(target.max_size))
    for _ in range(TRIES):
        try:
            response = await _send(client, urljoin(f"{root}/", target.url), target, name, mime, size, content)
        except (ValueError, httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            log.warning("where the app wants an upload to go cannot be used: %s", type(error).__name__)
            raise UploadRefused("failed") from None
        except FAILURES as error:
            log.warning("the app's storage cannot be reached: %s", type(error).__name__)
            continue
        if response.is_success:
            return
        log.warning("the app's storage answered HTTP %d", response.status_code)
        reason = refusal_of(response.text, response.status_code)
        if reason != "failed" or response.status_code < 500:
            raise UploadRefused(reason, int(target.max_size or 0))
    raise Unavailable


async def _send(
    client: httpx.AsyncClient, url: str, target: Target, name: str, mime: str, size: int, content: IO[bytes]
) -> httpx.Response:
    if target.fields is not None:
        return await client.post(url, data=target.fields, files={"file": (name, content, mime)})
    headers = httpx.Headers()
    for header, value in (target.headers or {}).items():
        if header.strip().lower() not in _TRANSPORT:
            headers[header] = value
    headers["Content-Length"] = str(size)  # S3 refuses a body of unknown length
    response = await client.put(url, content=_pieces(content), headers=headers)
    if response.status_code in (403, 405):  # signed for the other verb
        response = await client.post(url, content=_pieces(content), headers=headers)
    return response


async def _pieces(content: IO[bytes]) -> AsyncIterator[bytes]:
    content.seek(0)
    while piece := await asyncio.to_thread(content.read, PIECE):  # it may be a file on disk
        yield piece


def refusal_of(words: str, status: int = 0) -> Refusal:
    """The reason in the words of the app or its storage."""
    folded = words.lower()
    if status == 413:
        return "too_big"
    return next((refusal for name, refusal in _REFUSALS if name in folded), "failed")
