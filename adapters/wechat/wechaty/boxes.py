"""FileBox: how files travel through a gateway. Pure.

Rules of this file:
- a box is JSON with the bytes in it (base64), an address (url), or the id of a file that the gateway keeps (uuid): a
  gateway gives up to 20 KB inline, the rest by uuid;
- the type stands under ``type``, in older versions under ``boxType``: both are written, either is read.

Source: file-box 1.5.5 (file-box.ts), src/file-box-helper of wechaty-puppet-service 1.19.9.
"""

from __future__ import annotations

import base64
import json
from typing import NamedTuple

from adapters.wechat.wechaty.schema import read
from bridge.model import BridgeError

BASE64, URL, UUID = 1, 2, 7
INLINE = 3_000_000
"""Bytes that we send inline. A message of gRPC holds 4 MiB (grpc-js's default), and as base64 they are 4,000,000."""


class Box(NamedTuple):
    """``content``: the base64, address or id, by ``type``. ``size`` in bytes, 0 = unknown."""

    type: int
    content: str
    size: int = 0

    def __repr__(self) -> str:
        return f"Box({self.type}, {self.size} bytes)"


def box(text: str) -> Box:
    """The box in a gateway's JSON. Raises BridgeError when it is of no kind that can be opened."""
    fields = read(text)
    kind = fields.get("type") or fields.get("boxType")
    match kind:
        case 1:
            content = fields.get("base64")
        case 2:
            content = fields.get("url") or fields.get("remoteUrl")
        case 7:
            content = fields.get("uuid")
        case _:
            raise BridgeError("The gateway gave a file of an unknown kind.")
    if not isinstance(content, str) or not content:
        raise BridgeError("The gateway gave a file without content.")
    size = fields.get("size")
    return Box(kind, content, size if isinstance(size, int) and size > 0 else 0)


def inline(name: str, data: bytes) -> str:
    """The box of a small file."""
    return _json(BASE64, name, len(data), base64=base64.b64encode(data).decode())


def stored(name: str, uuid: str, size: int) -> str:
    """The box of a file that was uploaded."""
    return _json(UUID, name, size, uuid=uuid)


def _json(kind: int, name: str, size: int, **content: str) -> str:
    return json.dumps({"type": kind, "boxType": kind, "name": name, "size": size, **content})


def unpacked(content: str) -> bytes:
    """The bytes of an inline box. Raises BridgeError."""
    try:
        return base64.b64decode(content)
    except ValueError:  # binascii.Error is one, and letters that no base64 has are another
        raise BridgeError("The gateway gave a file that is not base64.") from None
