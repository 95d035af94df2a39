"""FileBoxes: how files travel through a wechaty gateway, as JSON.

Rules of this file:
- pure; the shapes are those that wechaty-puppet-service 1.19.9 with file-box 1.5.5 writes and reads (measured);
- a box says its type twice, ``type`` and ``boxType``: old and new clients each read their own.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from typing import Any, Literal

Kind = Literal["base64", "url", "uuid"]

BASE64, URL, UUID = 1, 2, 7
INLINE_MOST = 20 * 1024
"""Bytes of a file that travels inside its box; a bigger one waits for the Download stream."""


def inline(name: str, data: bytes) -> str:
    """The box that holds its bytes."""
    return _box(BASE64, name, size=len(data), base64=base64.b64encode(data).decode())


def linked(name: str, url: str) -> str:
    """The box that names an address; nobody knows its size."""
    return _box(URL, name, size=-1, url=url)


def stored(name: str, size: int, uuid: str) -> str:
    """The box whose bytes come by the Download stream. ``size``: -1 where the puppet gave a stream."""
    return _box(UUID, name, size=size, uuid=uuid)


def _box(number: int, name: str, **content: Any) -> str:
    return json.dumps({"metadata": {}, "name": name, "type": number, "boxType": number, **content})


def opened(text: str, load: Callable[[str], bytes]) -> tuple[str, bytes]:
    """Name and bytes of a box that a client sends; ``load`` gives what was uploaded as a UUID.

    Raises ValueError in the gateway's words for what is no box, or one that this gateway cannot open.
    """
    box = json.loads(text)
    number = box.get("type") or box.get("boxType")
    if number == UUID:
        return box["name"], load(box["uuid"])
    if number != BASE64:
        raise ValueError(f"unknown filebox json object{{type}}: {text}")
    try:
        return box["name"], base64.b64decode(box["base64"], validate=True)
    except binascii.Error:
        raise ValueError("a client must send real base64: Node would take it, and cut it short") from None
